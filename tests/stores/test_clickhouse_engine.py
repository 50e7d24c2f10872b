"""The table on ClickHouse's engine: what the exporter writes fits, the lifetime is kept, nothing that was answered is lost."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from opentelemetry_instrumentation_authaudit.cli import main
from opentelemetry_instrumentation_authaudit.pipeline.answers import Verdict
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Record
from opentelemetry_instrumentation_authaudit.stores.clickhouse.connection import ClickHouseError
from opentelemetry_instrumentation_authaudit.stores.clickhouse.schema import DERIVED, EXPORTED, roles
from opentelemetry_instrumentation_authaudit.stores.clickhouse.store import ClickHouseStore

from . import million
from .clickhouse_server import Server, asked, made, opened, running
from .recorded import recorded

pytestmark = pytest.mark.stores

EXPORTER: Final = "github.com/open-telemetry/opentelemetry-collector-contrib/exporter/clickhouseexporter@v0.161.0"
WRITTEN: Final = {
    "Timestamp": "DateTime64(9)",
    "TraceId": "String",
    "SpanId": "String",
    "TraceFlags": "UInt8",
    "SeverityText": "LowCardinality(String)",
    "SeverityNumber": "UInt8",
    "ServiceName": "LowCardinality(String)",
    "Body": "String",
    "ResourceSchemaUrl": "LowCardinality(String)",
    "ResourceAttributes": "Map(LowCardinality(String), String)",
    "ScopeSchemaUrl": "LowCardinality(String)",
    "ScopeName": "String",
    "ScopeVersion": "LowCardinality(String)",
    "ScopeAttributes": "Map(LowCardinality(String), String)",
    "LogAttributes": "Map(LowCardinality(String), String)",
    "EventName": "String",
}
"""The exporter's columns and the types that it gives them itself, as its sources say."""
DAY_S: Final = 86_400
_MANY: Final = """
INSERT INTO {} (Timestamp, EventName, LogAttributes) SELECT
    toDateTime64('2026-11-20 00:00:00', 9, 'UTC') + number, 'auth.sign_in', map('audit.record.id', toString(number), 'user.id', repeat('x', 200))
FROM numbers({})"""
_POISONED: Final = "CREATE VIEW {} AS SELECT {} FROM {} WHERE throwIf(rowNumberInAllBlocks() = 15000, 'a part is damaged') = 0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all, as its start takes seconds."""
    with running(tmp_path_factory.mktemp("clickhouse") / "data") as one:
        yield one


def bare(kind: str) -> str:
    """A type without what does not matter to who writes: a dictionary around it, a time zone."""
    return re.sub(r"LowCardinality\((\w+)\)", r"\1", kind).replace(", 'UTC'", "")


def test_the_table_takes_what_the_exporter_writes(server: Server) -> None:
    """Every column of its INSERT is there under its name, writable, and of a type that holds the same values."""
    store = made(opened(server))
    there = {str(name): (bare(str(kind)), default) for name, kind, default, *_ in asked(store, "DESCRIBE TABLE {table}")}
    assert list(EXPORTED) == list(WRITTEN)
    for name, kind in WRITTEN.items():
        assert there[name] == (bare(kind), ""), name
    assert {name for name, (_, default) in there.items() if default == "MATERIALIZED"} == set(DERIVED)


def test_the_exporters_sources_say_so() -> None:
    """The list above is that of the pinned release, read from its sources where Go has them."""
    sources = Path(os.environ.get("GOMODCACHE") or Path.home() / "go" / "pkg" / "mod") / EXPORTER / "internal" / "sqltemplates"
    if not sources.is_dir():
        pytest.skip("the exporter's sources are not here: make collector fetches them")
    inserted = (sources / "logs_insert.sql").read_text(encoding="utf-8").partition("VALUES")[0]
    assert [*re.findall(r"^ {4}([A-Z]\w+)", inserted, re.MULTILINE), "EventName"] == list(WRITTEN)
    created = (sources / "logs_table.sql").read_text(encoding="utf-8")
    for name, kind in WRITTEN.items():
        assert f"`{name}` {kind} C" in created.replace(f"{kind} COMMENT", f"{kind} C").replace(f"{kind} CODEC", f"{kind} C"), name


def filled(store: ClickHouseStore, days: int) -> ClickHouseStore:
    """Ten records a day, an hour before now and the same hour of the days before."""
    now = int(time.time()) - 3600
    row = b'{"Timestamp":"%d.%d","LogAttributes":{"audit.record.id":"%d-%d"}}\n'
    rows = b"".join(row % (now - day * DAY_S, number, day, number) for day in range(days) for number in range(10))
    store.connection.run(f"ALTER TABLE {store.table} MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0")
    settings = {"async_insert": "0", "max_partitions_per_insert_block": "0"}
    store.connection.run(f"INSERT INTO {store.table} (Timestamp, LogAttributes) FORMAT JSONEachRow", settings, rows)
    return store


def left(store: ClickHouseStore) -> int:
    """How many rows are left, after the server has done at once what it does in the background."""
    store.connection.run(f"OPTIMIZE TABLE {store.table} FINAL")
    return store.size()


def test_the_lifetime_is_kept_to_the_day(server: Server) -> None:
    """120 days of records: 90 days keep 90, 30 keep 30, and what is kept for ever stays. Every change may be repeated."""
    store = filled(made(opened(server, table="kept"), lifetime=None), 120)
    assert (store.lifetime(), store.size()) == (None, 1200)
    assert [store.keep(90), store.keep(90), store.lifetime(), left(store)] == [True, False, 90, 900]
    assert [store.keep(30), store.lifetime(), left(store)] == [True, 30, 300]
    assert [store.keep(None), store.keep(None), store.lifetime(), left(store)] == [True, False, None, 300]


def test_longer_than_a_lifetime_can_count_is_for_ever(server: Server) -> None:
    """109 years have no TTL; said twice, it is no news the second time."""
    store = made(opened(server, table="for_ever"))
    assert [store.keep(40_000), store.keep(1), store.keep(40_000), store.keep(40_000), store.lifetime()] == [
        False,
        True,
        True,
        False,
        None,
    ]


def test_what_comes_too_late_goes_too(server: Server) -> None:
    """A record that arrives after its time (an outage, a repair) is accepted, and gone with the next merge."""
    store = filled(made(opened(server, table="late"), lifetime=90), 120)
    assert left(store) == 900


def test_a_table_of_months_goes_by_months(server: Server) -> None:
    """For few records: partitions of a month, which go when their newest record's time is over, and not before."""
    store = made(opened(server, table="monthly"), monthly=True)
    filled(store, 120).keep(30)
    assert 300 <= left(store) <= 300 + 310
    assert asked(store, "SELECT partition_key FROM system.tables WHERE name = 'monthly'") == [["toYYYYMM(Timestamp)"]]


def test_init_makes_the_table_and_says_who_makes_the_roles(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """`authaudit store init`, again and again; where no roles can be made, as in the embedded engine, it says what is left to do."""
    url = server.url(table="fresh")
    assert main(["store", "init", "--store", url, "--dry-run"]) == 0
    assert "CREATE TABLE IF NOT EXISTS audit.fresh" in capsys.readouterr().out
    with pytest.raises(ClickHouseError, match="store init"):
        opened(server, table="fresh").size()
    for _ in range(2):
        assert main(["store", "init", "--store", url, "--log-lifetime", "30"]) == 3
        said = capsys.readouterr().err
        assert "the table audit.fresh is there, its roles are not" in said
        assert "GRANT INSERT, SHOW COLUMNS ON audit.fresh TO audit_writer" in said
    assert opened(server, table="fresh").lifetime() == 30


def test_upgrade_gives_the_exporters_own_table_our_columns(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Who let the exporter make its table keeps it: `authaudit store upgrade` adds the columns, also to the rows that are there."""
    store = opened(server, table="otel_logs")
    assert main(["store", "upgrade", "--store", server.url(table="otel_logs")]) == 3
    assert "`authaudit store init` makes it" in capsys.readouterr().err
    columns = ", ".join(f"{name} {kind}" for name, kind in WRITTEN.items())
    store.connection.run(f"CREATE TABLE {store.table} ({columns}) ENGINE = MergeTree ORDER BY (ServiceName, Timestamp)")
    for batch in recorded("spraying").batches(100):
        assert store.sender().send(batch).verdict is Verdict.ACCEPTED
    before = [record.id for record in opened(server, table="otel_logs").records(Filters(status=("failure",)))]
    assert main(["store", "upgrade", "--store", server.url(table="otel_logs")]) == 0
    upgraded = opened(server, table="otel_logs")
    assert "Outcome" in upgraded.columns
    assert [record.id for record in upgraded.records(Filters(status=("failure",)))] == before != []
    assert main(["store", "upgrade", "--store", server.url(table="otel_logs")]) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_the_roles_are_at_least_sql(server: Server) -> None:
    """They cannot be run here; the engine's parser reads each, and writes it down again as it understood it."""
    store = opened(server)
    for statement in roles(store.table, "audit"):
        ((read,),) = store.connection.rows("SELECT formatQuerySingleLine({statement:String})", {"statement": statement})
        assert read == statement


@pytest.mark.parametrize("ending", ["words", "frame", "cut"])
def test_an_answer_that_breaks_off_is_never_taken_for_whole(tmp_path: Path, ending: str) -> None:
    """The engine fails after it has sent many records: however servers say that, or just hang up, the command ends with an error."""
    with running(tmp_path / "data", ending) as server:
        store = many(server, 20_000)
        poisoned = opened(server, table="poisoned")
        everything = ", ".join([*EXPORTED, *DERIVED, "_part"])
        store.connection.run(_POISONED.format(poisoned.table, everything, store.table))
        got: list[str] = []
        with pytest.raises(ClickHouseError, match="broke off"):
            got.extend(record.id for record in poisoned.copies(Filters()))
        assert 0 < len(got) < 20_000
        assert main(["verify", "--store", server.url(table="poisoned")]) == 3
        assert len(list(store.records(Filters()))) == 20_000


def many(server: Server, count: int) -> ClickHouseStore:
    """A table with so many rows, a second apart."""
    store = made(opened(server))
    store.connection.run(_MANY.format(store.table, count))
    return store


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    """Kill -9 of the server in the middle of the traffic: what it had accepted is there; what it had not is sent again, and nothing twice."""
    with running(tmp_path / "data") as server:
        store, accepted = made(opened(server)), 0
        sender = store.sender()
        for number, batch in enumerate(recorded().batches(8)):
            if number in {7, 23, 41}:
                server.kill()
                assert sender.send(batch).verdict is Verdict.RETRY
                server.start()
                assert store.size() == accepted
            assert sender.send(batch).verdict is Verdict.ACCEPTED
            accepted += len(batch.records)
        assert store.size() == accepted == len(recorded())
        assert len({record.id for record in store.records(Filters())}) == accepted


def test_a_server_killed_while_it_answers_is_noticed(tmp_path: Path) -> None:
    """Half an answer and then nobody: an error, not fewer records."""
    with running(tmp_path / "data") as server:
        answer = many(server, 50_000).records(Filters())
        next(answer)
        server.kill()
        with pytest.raises(ClickHouseError, match="broke off"):
            list(answer)


_ATTRIBUTES: Final = "Array(Tuple(key String, value Tuple(stringValue String, intValue String)))"
_RECORD: Final = f"Tuple(timeUnixNano String, eventName String, severityNumber UInt8, attributes {_ATTRIBUTES})"
_LINE: Final = f"Array(Tuple(resource Tuple(attributes {_ATTRIBUTES}), scopeLogs Array(Tuple(logRecords Array({_RECORD})))))"
_IMPORT: Final = """
INSERT INTO {} (Timestamp, EventName, SeverityNumber, ServiceName, LogAttributes) SETTINGS max_partitions_per_insert_block = 0
SELECT fromUnixTimestamp64Nano(toInt64(record.1), 'UTC'), record.2, record.3, service,
    mapFromArrays(record.4.1, arrayMap(value -> value.1 || value.2, record.4.2))
FROM (
    SELECT resourceLogs[1].1.1[1].2.1 AS service, arrayJoin(resourceLogs[1].2[1].1) AS record
    FROM file('{}', JSONEachRow, 'resourceLogs {}')
)"""
"""Brings a collector's file into the table, faster than anything that passes through Python."""


def test_a_million_records(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Asked for one account of 20,000, it answers in a moment; asked for the newest, too; and the chains of all are whole."""
    with running(tmp_path / "data") as server:
        store = made(opened(server, timeout="1800"))
        store.connection.run(_IMPORT.format(store.table, million.collected(), _LINE))
        assert store.size() == million.MILLION
        found, took = timed(lambda: list(store.records(Filters(subject=(million.ACCOUNT,)))))
        record_property("seconds for one history", took)
        assert len(found) == million.history(million.ACCOUNT)
        assert took < 2
        newest, took = timed(lambda: store.last(Filters(), 20))
        record_property("seconds for the newest 20", took)
        assert len(newest) == 20
        assert took < 2
        ((size,),) = asked(store, "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'auth_audit'")
        record_property("bytes a record", int(str(size)) / million.MILLION)
        assert main(["verify", "--store", server.url()]) == 0


def timed(ask: Callable[[], list[Record]]) -> tuple[list[Record], float]:
    """The answer and the better of two times, in seconds."""
    times = []
    for _ in range(2):
        begin = time.monotonic()
        found = ask()
        times.append(time.monotonic() - begin)
    return found, min(times)
