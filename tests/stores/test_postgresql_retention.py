"""Retention in PostgreSQL: shown and applied by the keeper, asked for by a writer, with holds in the owner's table; verified after."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.journal.backlog import Batch
from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.journal.cursor import Position
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.lifetime import DAY, Hold, Unit, plan
from opentelemetry_instrumentation_authaudit.pipeline.answers import Verdict
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.links import Finding
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable, every_record
from opentelemetry_instrumentation_authaudit.query.verify import Keys, Verification
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.retained import Applied, Holding, Wish, open_holding, open_retained
from opentelemetry_instrumentation_authaudit.stores.store import open_store
from tests.cli.command import authaudit
from tests.pipeline.telling import config
from tests.query.history import Process, chained, stream
from tests.query.trail import envelope

from .exporter import FileExporter, request
from .postgresql_server import Server

TODAY = time.time_ns() // DAY * DAY


def days(count: int) -> list[CanonicalRecord]:
    """A process that recorded something every noon of the last *count* days, today's noon being the last; chained."""
    made = stream(1, Process(count - 1, stopped=False, checkpoint_every=1000))
    noon = TODAY + DAY // 2
    return chained([replace(record, time=noon - (count - 1 - place) * DAY) for place, record in enumerate(made)], None)


def put(postgresql: Server, database: str, records: Sequence[CanonicalRecord]) -> None:
    """Write them as a writer does, into a table that keeps them for 90 days."""
    with postgresql.connect(database) as connection:
        connection.execute("UPDATE audit.auth_audit_settings SET lifetime_days = 90")
    around = envelope()
    end = Position("", 0, 0, "")
    batch = Batch("s", around.resource, around.scope, around.schema_url.decode(), tuple(map(encode, records)), end)
    sender = open_store(postgresql.url(database, "app")).sender()
    answer = sender.send(batch)
    sender.close()
    assert answer.verdict is Verdict.ACCEPTED, answer


def read(postgresql: Server, database: str) -> list[Record]:
    """Everything that is there."""
    store = open_store(postgresql.url(database, "auditor"))
    found = list(store.records(Filters()))
    store.close()
    return found


def findings(records: Sequence[Record], lifetime: int | None) -> list[Finding]:
    """What the verifier says of the table."""
    verification = Verification(Keys([]), lifetime)
    for record in records:
        verification.feed(record, None)
    return [finding for finding in verification.findings() if finding.kind.fault]


def apply(url: str, folder: Path, now: int, lifetime: int | None = 90, *, explicit: bool = False) -> Applied:
    """What `authaudit retention apply` does."""
    return open_retained(url, config(folder), Wish(lifetime, explicit)).apply(now)


def told(folder: Path, event: str) -> list[Record]:
    """What is recorded on this machine."""
    found = every_record(sorted((folder / "journal" / "authaudit").glob("*.jsonl")), Unreadable())
    return [record for record, _ in found if record.event == event]


def test_days_go_when_their_time_is_over_and_not_before(postgresql: Server, database: str, tmp_path: Path) -> None:
    """The server's rule and ours agree to the microsecond; each deletion is recorded; what is left verifies; a second finds none."""
    put(postgresql, database, days(10))
    keeper = postgresql.url(database, "keeper")
    midnight = TODAY + 82 * DAY
    for now in (midnight - 1000, midnight, midnight + DAY - 1000):
        units = [Unit(name=str(day), newest=TODAY - day * DAY + DAY // 2) for day in range(10)]
        ours = len(plan(units, lifetime=90, now=now).going)
        standing = open_retained(keeper, config(tmp_path), Wish(90)).standing(now)
        assert len(standing.plan.going) == ours == (0 if now < midnight else 1)
    assert (standing.lifetime, standing.kind, standing.notes) == (90, "PostgreSQL", ())
    assert len(apply(keeper, tmp_path, midnight + 3 * DAY).deleted) == 4
    left = read(postgresql, database)
    assert [record.number for record in left] == [5, 6, 7, 8, 9, 10]
    (record,) = told(tmp_path, "audit.records_expired")
    assert record.attributes[names.EXPIRED_COUNT] == "4"
    day = datetime.fromtimestamp((TODAY - 5 * DAY) // 10**9, timezone.utc)
    assert record.attributes[names.EXPIRED_BEFORE] == f"{day:%Y-%m-%d}"
    assert "postgresql://keeper@" in record.attributes[names.RESOURCE]
    assert apply(keeper, tmp_path, midnight + 3 * DAY).deleted == ()
    assert len(told(tmp_path, "audit.records_expired")) == 1


def test_the_verifier_accepts_that_and_reports_what_nobody_recorded(postgresql: Server, database: str, tmp_path: Path) -> None:
    """The beginning is older than the lifetime, which is no fault; a row that the administrator deletes is one."""
    put(postgresql, database, days(10))
    apply(postgresql.url(database, "keeper"), tmp_path, TODAY, 4, explicit=True)
    left = read(postgresql, database)
    assert len(left) == 5
    assert findings(left, 4) == []
    assert [finding.kind.value for finding in findings(left, None)] == ["deleted"]
    with postgresql.connect(database) as connection:
        connection.execute("ALTER TABLE audit.auth_audit DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM audit.auth_audit WHERE sequence = 8")
    assert [(finding.kind.value, finding.number) for finding in findings(read(postgresql, database), 4)] == [("deleted", 9)]


def test_a_writer_may_ask_for_it_and_not_shorten_it(postgresql: Server, database: str, tmp_path: Path) -> None:
    """The shipper applies what the owner's table says, by the server's clock, whatever its own variables and clock say."""
    put(postgresql, database, days(10))
    app = postgresql.url(database, "app")
    assert apply(app, tmp_path, TODAY + 500 * DAY, 1).deleted == ()
    with pytest.raises(StoreError, match="permission denied"):
        apply(app, tmp_path, TODAY, 1, explicit=True)
    assert len(read(postgresql, database)) == 10
    apply(postgresql.url(database, "keeper"), tmp_path, TODAY - 100 * DAY, 4, explicit=True)
    assert len(read(postgresql, database)) == 10
    assert len(apply(app, tmp_path, TODAY, 90).deleted) == 5
    assert [record.attributes["audit.params.log_lifetime"] for record in told(tmp_path, "audit.config_change")] == ["4"]


def test_infinity(postgresql: Server, database: str, tmp_path: Path) -> None:
    """For ever, and back again."""
    put(postgresql, database, days(3))
    keeper = postgresql.url(database, "keeper")
    assert "for ever" in apply(keeper, tmp_path, TODAY + 9999 * DAY, None, explicit=True).changed
    standing = open_retained(keeper, config(tmp_path), Wish(90)).standing(TODAY + 9999 * DAY)
    assert (standing.lifetime, standing.plan.going) == (None, [])
    assert standing.notes == ("the table keeps for ever, log_lifetime says 90 days: retention apply --lifetime sets it",)
    apply(keeper, tmp_path, TODAY + 9999 * DAY, 90, explicit=True)
    assert read(postgresql, database) == []


def test_holds_keep_records_in_the_table(postgresql: Server, database: str, tmp_path: Path) -> None:
    """By subject, and by what the subject did; set and released by the keeper, by nobody else; what is left verifies."""
    records = days(10)
    records[2] = replace(records[2], attributes={**records[2].attributes, names.ACTOR_ID: "ann"})
    put(postgresql, database, chained(records, None))
    keeper = postgresql.url(database, "keeper")
    holding = open_holding(keeper, config(tmp_path))
    assert isinstance(holding, Holding)
    holds = [Hold(id="a", subject="auth.user:5", reason="case", since=TODAY), Hold(id="b", subject="ann", since=TODAY)]
    for hold in holds:
        holding.hold(hold)
    assert [replace(found, by="") for found in holding.holds()] == holds
    with pytest.raises(StoreError, match="permission denied"):
        open_holding(postgresql.url(database, "app"), config(tmp_path)).hold(Hold(id="c", subject="x"))
    standing = open_retained(keeper, config(tmp_path), Wish(90)).standing(TODAY + 86 * DAY)
    assert [hold.id for hold in standing.holds] == ["a", "b"]
    apply(keeper, tmp_path, TODAY + 89 * DAY)
    assert [record.number for record in read(postgresql, database)] == [3, 5, 9, 10]
    holding.release(holding.holds()[0])
    assert [found.id for found in holding.holds()] == ["b"]
    apply(keeper, tmp_path, TODAY + 89 * DAY)
    assert [record.number for record in read(postgresql, database)] == [3, 9, 10]


def test_what_is_held_stays_provable_as_far_as_rows_can(postgresql: Server, database: str, tmp_path: Path) -> None:
    """Between a held row and the young ones there is a gap, older than the lifetime: no fault; a young row deleted by hand is."""
    put(postgresql, database, days(10))
    keeper = postgresql.url(database, "keeper")
    open_holding(keeper, config(tmp_path)).hold(Hold(id="a", subject="auth.user:3", since=TODAY))
    apply(keeper, tmp_path, TODAY, 4, explicit=True)
    left = read(postgresql, database)
    assert [record.number for record in left] == [3, 6, 7, 8, 9, 10]
    assert findings(left, 4) == []
    assert [finding.number for finding in findings([record for record in left if record.number != 8], 4)] == [9]


def test_nothing_is_deleted_that_cannot_be_told(postgresql: Server, database: str, tmp_path: Path) -> None:
    """The journal of this machine has no place: the table stays as it is."""
    put(postgresql, database, days(3))
    (tmp_path / "journal").write_text("a file")
    with pytest.raises(StoreError, match="cannot be recorded"):
        apply(postgresql.url(database, "keeper"), tmp_path, TODAY + 500 * DAY)
    assert len(read(postgresql, database)) == 3


def test_whoever_ships_applies_it(postgresql: Server, database: str, tmp_path: Path) -> None:
    """`authaudit ship --to` as a writer: what is over by the owner's table goes at its start, told on this machine; its own
    variable shortens nothing, and what it ships is there."""
    put(postgresql, database, days(10))
    with postgresql.connect(database) as connection:
        connection.execute("UPDATE audit.auth_audit_settings SET lifetime_days = 4")
    FileExporter(tmp_path / "collected").write(request(1))
    environ = {"OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME": "1", "OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR": str(tmp_path / "journal")}
    shipped = authaudit("ship", "--to", postgresql.url(database, "app"), "--store", "collected", home=tmp_path, **environ)
    assert (shipped.returncode, shipped.stdout) == (0, "1 delivered\n"), shipped.stderr
    assert [record.number for record in read(postgresql, database)] == [1, 6, 7, 8, 9, 10]
    (record,) = told(tmp_path, "audit.records_expired")
    assert record.attributes[names.EXPIRED_COUNT] == "5"
