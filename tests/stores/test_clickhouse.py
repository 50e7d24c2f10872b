"""ClickHouse as a store: asked, written, broken, killed. The engine is real, the door in front of it is `clickhouse_server`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.cli import main
from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.pipeline.answers import Verdict
from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Key, Keyring
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, files_in
from opentelemetry_instrumentation_authaudit.query.verify import Keys, Verification
from opentelemetry_instrumentation_authaudit.stores.clickhouse import open_address
from opentelemetry_instrumentation_authaudit.stores.clickhouse.connection import ClickHouseError
from opentelemetry_instrumentation_authaudit.stores.clickhouse.store import ClickHouseStore
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.files import FileStore
from opentelemetry_instrumentation_authaudit.stores.store import Address

from ..query.history import chained
from .clickhouse_server import Server, asked, made, opened, running
from .recorded import FIRST_SIGNING_KEY, HASH_KEY, MIDNIGHT, SECOND, batch_of, recorded

pytestmark = pytest.mark.stores

_COPIED = "INSERT INTO {} SELECT * FROM {}"
KEYS = Keyring((Key.parse(HASH_KEY),))
ODD_STREAM = "0dd0dd0dd0dd0dd0"
ODD: tuple[dict[str, str], ...] = (
    {names.SUBJECT: "it's; DROP TABLE \\N --", names.TENANT: "o=a,ou=b"},
    {names.SUBJECT: 'line\nbreak\ttab\\slash"quote', names.USER_AGENT: "\u2028\U0001f511 \x7f"},
    {names.IDENTITY: "Ann@Example.org", names.CLIENT_ADDRESS: "192.0.2.7"},
    {names.IDENTITY: " ann@example.ORG ", names.CLIENT_ADDRESS: "192.0.2.7:4711"},
    {names.IDENTITY: "STRASSE", names.CLIENT_ADDRESS: "::ffff:192.0.2.7"},
    {names.IDENTITY: "straße", names.CLIENT_ADDRESS: "2001:DB8::0007"},
    {names.IDENTITY: "ﬁnn", names.CLIENT_ADDRESS: "192.0.2.0/24"},
    {names.IDENTITY: "\u212aelvin", names.PEER_ADDRESS: "192.0.2.7"},  # the sign for kelvin folds to a k
    {names.CLIENT_ADDRESS: "[2001:db8::7]:443", names.PROVIDER: "github", names.STRATEGY: "oauth2"},
    {names.CLIENT_ADDRESS: KEYS.address(bytes((192, 0, 2, 7)))},
    {names.CLIENT_ADDRESS: "010.0.2.7", names.PEER_ADDRESS: "invalid"},
    {names.ACTION: "sign_in_with_100%_of\\it", names.STRATEGY: "passkey"},
)

QUESTIONS = (
    Filters(),
    *(Filters(subject=(odd[names.SUBJECT],)) for odd in ODD if names.SUBJECT in odd),
    Filters(subject=("auth.user:1", "auth.user:2")),
    Filters(tenant=("o=a,ou=b",)),
    Filters(status=("failure",)),
    Filters(status=("failure", "unknown"), strategy=("password",)),
    Filters(strategy=("github",)),
    Filters(provider=("github",)),
    Filters(service=("shop",)),
    Filters(service=("odd", "admin")),
    Filters(action=("sign_in_with_*",)),
    Filters(action=("sign_in_with_100%_of\\it",)),
    Filters(action=("sign_in_with_1%",)),
    Filters(event=("audit.*", "mfa.*")),
    Filters(without=("audit.checkpoint", "auth.sign_in")),
    Filters(since=MIDNIGHT + 36_000 * SECOND, until=MIDNIGHT + 43_200 * SECOND),
    Filters(since=MIDNIGHT, until=1 << 70),
    Filters(until=1),
    *(Filters(identity=(text,), keys=KEYS) for text in ("ann@example.org", "strasse", "finn", "Kelvin", "ann", "nobody")),
    *(
        Filters(ip=(text,), keys=KEYS)
        for text in ("192.0.2.7", "192.0.2.0/25", "198.51.100.0/24", "2001:db8::7", "::/0", "0.0.0.0/0")
    ),
    Filters(ip=("192.0.2.7",)),
)


def odd_records() -> tuple[bytes, ...]:
    """A stream of everything that is hard to store exactly."""
    made = [
        CanonicalRecord(
            event="auth.sign_in",
            time=MIDNIGHT + place * SECOND + 123_456_000,
            severity=(None, 9, 13)[place % 3],
            trace_id=place % 2 and (1 << 127) + place,
            span_id=place % 2 and place,
            attributes={names.RECORD_ID: f"odd-{place}", names.OUTCOME: "failure", names.STREAM_ID: ODD_STREAM, **odd},
        )
        for place, odd in enumerate(ODD)
    ]
    return tuple(map(encode, chained(made, None)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all, as its start takes seconds."""
    with running(tmp_path_factory.mktemp("clickhouse") / "data") as one:
        yield one


@pytest.fixture(scope="module")
def day(server: Server) -> ClickHouseStore:
    """The recorded day and the odd records, each batch sent twice."""
    store = made(opened(server))
    sender = store.sender()
    for batch in (*recorded().batches(40), batch_of(ODD_STREAM, "odd", odd_records())):
        assert sender.send(batch).verdict is Verdict.ACCEPTED
        assert sender.send(batch).verdict is Verdict.ACCEPTED
    return store


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> FileStore:
    """The same records as journals."""
    folder = recorded().journal(tmp_path_factory.mktemp("journal"))
    odd = batch_of(ODD_STREAM, "odd", odd_records())
    around = b'{"resourceLogs":[{"resource":%b,"scopeLogs":[{"scope":%b,"logRecords":[%b]}]}]}\n'
    path = folder / "odd" / f"2026-11-20.{ODD_STREAM}.0001.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(around % (odd.resource, odd.scope, record) for record in odd.records))
    return FileStore([folder], files_in(folder), Unreadable())


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: repr(question)[:80])
def test_it_answers_as_files_do(day: ClickHouseStore, files: FileStore, question: Filters) -> None:
    """Whatever is asked, the same records come back, in the same order, to the last character; the newest three, too."""
    expected = [replace(record, file="") for record in files.records(question)]
    assert [replace(record, file="") for record in day.records(question)] == expected
    assert [record.id for record in day.last(question, 3)] == [record.id for record in expected[-3:]]


def test_the_questions_are_worth_asking(files: FileStore) -> None:
    """Most of them find some records and none but two finds all."""
    found = [len(list(files.records(question))) for question in QUESTIONS]
    assert sum(count == 0 for count in found) < 6
    assert sum(count == found[0] for count in found) <= 3


def test_every_chain_is_whole(day: ClickHouseStore, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`authaudit verify --store clickhouse://...`: the bytes that were hashed are made again of what the store keeps."""
    key = tmp_path / "first.key"
    key.write_text(FIRST_SIGNING_KEY, encoding="utf-8")
    assert main(["verify", "--store", str(day), "--key", str(key)]) == 0
    said = capsys.readouterr().out
    assert f"{len(recorded()) + len(ODD)} records" in said
    assert "whole: every record is what it was" in said


def accused(store: ClickHouseStore) -> list[tuple[str, str]]:
    """What the verifier accuses, and whom."""
    found = Verification(Keys([FIRST_SIGNING_KEY]))
    for record in store.copies(Filters()):
        found.feed(record, None)
    return [(finding.kind.value, finding.id) for finding in found.findings() if finding.kind.fault]


def test_what_an_administrator_changes_is_found(server: Server) -> None:
    """No role may change or delete; who may do everything still cannot update a record in place, and is found when he replaces it."""
    store = made(opened(server, table="changed"))
    assert all(store.sender().send(batch).verdict is Verdict.ACCEPTED for batch in recorded("spraying").batches(500))
    (victim,) = store.last(Filters(status=("failure",)), 1)
    where, now = f"WHERE RecordId = '{victim.id}'", "SETTINGS mutations_sync = 2"
    with pytest.raises(ClickHouseError, match="key column"):
        store.connection.run(f"ALTER TABLE {store.table} UPDATE LogAttributes = map() {where} {now}")
    assert accused(store) == []
    store.connection.run(f"ALTER TABLE {store.table} DELETE {where} {now}")
    assert [kind for kind, _ in accused(store)] == ["deleted"]
    row = {
        "Timestamp": f"{victim.time // SECOND}.{victim.time % SECOND:09d}",
        "EventName": victim.event,
        "SeverityNumber": victim.severity,
        "LogAttributes": {**victim.attributes, names.OUTCOME: "success"},
    }
    store.connection.run(f"INSERT INTO {store.table} FORMAT JSONEachRow", {"async_insert": "0"}, json.dumps(row).encode())
    assert accused(store) == [("modified", victim.id)]


def test_query_asks_it(day: ClickHouseStore, capsys: pytest.CaptureFixture[str]) -> None:
    """`authaudit query --store clickhouse://...` like any other place."""
    assert main(["query", "--store", str(day), "--status", "failure", "--tenant", "o=a,ou=b", "--format", "json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)[names.SUBJECT] == ODD[0][names.SUBJECT]


def test_copies_say_where_they_stand(day: ClickHouseStore) -> None:
    """Every row, and the part it is in; progress is counted in rows."""
    told: list[int] = []
    copies = list(day.copies(Filters(), told.append))
    assert sum(told) == day.size() == len(copies) == len(recorded()) + len(ODD)
    assert all(record.file.startswith("20261") for record in copies)


def test_a_column_that_the_server_works_out_cannot_be_written(day: ClickHouseStore) -> None:
    """Whoever may insert cannot let `Subject` say one thing and the record another."""
    with pytest.raises(ClickHouseError, match="MATERIALIZED"):
        day.connection.run(f"INSERT INTO {day.table} (Timestamp, Subject) FORMAT JSONEachRow", data=b'{"Subject":"root"}')


def test_a_repeated_batch_is_kept_once_and_a_repeated_record_seen_once(server: Server) -> None:
    """The table remembers blocks; what comes again in another block stays doubled in it and single in every answer."""
    store = made(opened(server, table="repeated"))
    sender = store.sender()
    batch = next(batch for batch in recorded("spraying").batches(40) if len(batch.records) == 40)
    for one in (batch, batch, replace(batch, records=batch.records[:10]), batch):
        assert sender.send(one).verdict is Verdict.ACCEPTED
    assert store.size() == 50
    assert len(list(store.records(Filters()))) == len(store.last(Filters(), 100)) == 40


def test_who_sends_the_same_rows_without_a_token_is_kept_once_too(server: Server) -> None:
    """The collector's exporter repeats an INSERT that nobody answered: same block, same rows."""
    store = made(opened(server, table="exported"))
    row = b'{"Timestamp":"2026-11-20 00:00:00","LogAttributes":{"audit.record.id":"a"},"EventName":"auth.sign_in"}\n'
    for _ in range(3):
        store.connection.run(
            f"INSERT INTO {store.table} (Timestamp, LogAttributes, EventName) FORMAT JSONEachRow", {"async_insert": "0"}, row
        )
    assert store.size() == 1


def test_rows_of_many_days_come_in_one_batch(server: Server) -> None:
    """A process that had little to say in 200 days: one INSERT, which the server's own limit (100 partitions) would refuse."""
    store = made(opened(server, table="rarely"))
    records = rare(MIDNIGHT, 200)
    assert store.sender().send(batch_of(ODD_STREAM, "odd", records)).verdict is Verdict.ACCEPTED
    assert [record.time for record in store.records(Filters())] == [
        MIDNIGHT - day * 86_400 * SECOND for day in range(199, -1, -1)
    ]
    assert asked(store, "SELECT uniqExact(toDate(Timestamp)) FROM {table}") == [[200]]
    rows = b"".join(b'{"Timestamp":"%d.0"}\n' % (MIDNIGHT // SECOND - day * 86_400) for day in range(101))
    with pytest.raises(ClickHouseError, match="partitions"):
        store.connection.run(f"INSERT INTO {store.table} (Timestamp) FORMAT JSONEachRow", {"async_insert": "0"}, rows)


def rare(until: int, days: int) -> tuple[bytes, ...]:
    """A record a day up to *until*, chained."""
    records = [
        CanonicalRecord(
            event="auth.sign_in",
            time=until - day * 86_400 * SECOND,
            attributes={names.RECORD_ID: f"rare-{day}", names.STREAM_ID: ODD_STREAM, names.SUBJECT: f"auth.user:{day % 7}"},
        )
        for day in range(days - 1, -1, -1)
    ]
    return tuple(map(encode, chained(records, None)))


def test_a_time_that_a_lifetime_cannot_count_is_refused(server: Server) -> None:
    """In 2106 the type of a TTL begins anew, so such a record would be gone at once: it is set aside where it comes from."""
    store = made(opened(server, table="late"))
    record = encode(CanonicalRecord(event="auth.sign_in", time=4_291_747_200 * SECOND, attributes={names.RECORD_ID: "late"}))
    assert store.sender().send(batch_of(ODD_STREAM, "odd", (record,))).verdict is Verdict.REJECTED


def test_a_sender_knows_what_an_error_is_about(server: Server, tmp_path: Path) -> None:
    """No table and a wrong password are about the set-up; nobody there is about time; a damaged record is about itself."""
    (batch, *_), nowhere = list(recorded("spraying").batches(5)), opened(server, table="nowhere").sender()
    assert nowhere.send(batch).verdict is nowhere.send(None).verdict is Verdict.MISCONFIGURED
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong", encoding="utf-8")
    assert opened(server, password_file=str(wrong)).sender().send(batch).verdict is Verdict.MISCONFIGURED
    gone = open_address(Address.parse("clickhouse://127.0.0.1:1/audit")).sender()
    assert gone.send(batch).verdict is Verdict.RETRY
    store = made(opened(server, table="fine"))
    assert store.sender().send(None).verdict is Verdict.ACCEPTED
    assert store.sender().send(replace(batch, records=(b'{"torn',))).verdict is Verdict.REJECTED
    assert store.size() == 0


def test_the_exporters_own_table_can_be_asked(server: Server, day: ClickHouseStore, files: FileStore) -> None:
    """A table without our columns, as the exporter makes it when it is left to itself: slower, and the same answers."""
    plain = opened(server, table="otel_logs")
    columns = ", ".join(
        f"{name} {kind}" for name, kind, default, *_ in asked(day, "DESCRIBE TABLE {table}") if default != "MATERIALIZED"
    )
    order = "ORDER BY (toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)"
    plain.connection.run(f"CREATE TABLE {plain.table} ({columns}) ENGINE = MergeTree {order}")
    plain.connection.run(_COPIED.format(plain.table, day.table))
    for question in QUESTIONS:
        assert [record.id for record in plain.records(question)] == [record.id for record in files.records(question)]


def test_a_table_of_something_else_is_told(server: Server, day: ClickHouseStore) -> None:
    """Asked of a table without these columns, the command says so instead of finding nothing."""
    other = opened(server, table="other")
    other.connection.run(f"CREATE TABLE {other.table} (x String) ENGINE = Memory")
    with pytest.raises(StoreError, match="the table is none of ours"):
        list(other.records(Filters()))
