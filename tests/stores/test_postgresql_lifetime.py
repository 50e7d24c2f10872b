"""How partitions come and go: by functions of the owner's, which whoever writes may ask, and cannot talk into anything."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg import errors

from opentelemetry_instrumentation_authaudit.pipeline.answers import ACCEPTED
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.store import open_store

from .postgresql_server import Server, init
from .test_postgresql import batch, canonical

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"
TODAY = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
"""Whoever runs these tests at midnight sees them fail for a moment."""
DAY = timedelta(days=1)


@pytest.fixture
def admin(postgresql: Server, database: str) -> Iterator[Connection]:
    """The superuser's connection; records are kept for 90 days."""
    with postgresql.connect(database) as connection:
        connection.execute("UPDATE audit.auth_audit_settings SET lifetime_days = 90")
        yield connection


def put(server: Server, database: str, *times: datetime, **attributes: str) -> None:
    """Records of these times, sent by the writer; ids count from 1."""
    sender = open_store(server.url(database, "app")).sender()
    records = [
        canonical(number, time=int(when.timestamp()) * 1_000_000_000, **attributes) for number, when in enumerate(times, 1)
    ]
    assert sender.send(batch(*records)) == ACCEPTED
    sender.close()


def ids(connection: Connection) -> list[str]:
    """What is in the table."""
    return [one for (one,) in connection.execute("SELECT id FROM audit.auth_audit ORDER BY id")]


def partitions(connection: Connection) -> list[str]:
    """By the ends of their names."""
    rows = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit.auth_audit'::regclass ORDER BY 1"
    )
    return [name.removeprefix("audit.auth_audit_") for (name,) in rows]


def expire(connection: Connection, moment: datetime, *, dry_run: bool = False) -> list[tuple[Any, ...]]:
    """What the retention role calls."""
    return connection.execute("SELECT * FROM audit.auth_audit_expire(%s, %s)", [moment, dry_run]).fetchall()


def name(moment: datetime) -> str:
    """Of the partition of a day."""
    return f"{moment:%Y%m%d}"


def test_a_record_is_kept_to_the_day(postgresql: Server, database: str, admin: Connection) -> None:
    """90 days: what is of the 90th day before today stays, what is older goes, whatever the hour; the second time there is nothing to do."""
    limit = TODAY - 90 * DAY
    put(postgresql, database, limit - timedelta(seconds=1), limit, limit + DAY, TODAY)
    last = TODAY + timedelta(hours=23, minutes=59)
    assert expire(admin, last, dry_run=True) == expire(admin, last) == [("auth_audit_rest", 1, 0, False)]
    assert ids(admin) == ["id-2", "id-3", "id-4"]
    assert expire(admin, last) == []
    assert expire(admin, TODAY + DAY) == [(f"auth_audit_{name(limit)}", 1, 0, True)]
    assert ids(admin) == ["id-3", "id-4"]
    assert name(limit) not in partitions(admin)


def test_a_month_is_kept_to_the_day_too(postgresql: Server, admin: Connection) -> None:
    """A partition of a month is made again without its days that are over, and dropped with the last of them."""
    monthly = postgresql.make_database("monthly")
    init(postgresql.url(monthly), monthly=True, lifetime=10)
    with postgresql.connect(monthly) as own:
        days = [TODAY - DAY * back for back in range(10, -1, -1)]
        put(postgresql, monthly, *days)
        assert set(partitions(own)) <= {f"{day:%Y%m}" for day in (*days, TODAY + DAY)} | {"rest"}
        for ahead in range(1, 12):
            expire(own, TODAY + DAY * ahead)
            assert len(ids(own)) == 11 - ahead
    admin.execute("DROP DATABASE monthly WITH (FORCE)")


def test_holds_keep_rows_whatever_their_age(postgresql: Server, database: str, admin: Connection) -> None:
    """Of a subject and of a tenant; when they end, or are released, the rows go with the next application."""
    old = TODAY - 50 * DAY
    put(postgresql, database, old, old + DAY, TODAY, user__id="auth.user:1", audit__tenant="acme")
    sender = open_store(postgresql.url(database, "app")).sender()
    at = int(old.timestamp()) * 1_000_000_000
    others = [canonical(8, time=at, user__id="auth.user:2", audit__tenant="beta"), canonical(9, time=at, user__id="auth.user:3")]
    assert sender.send(batch(*others)) == ACCEPTED
    sender.close()
    admin.execute("UPDATE audit.auth_audit_settings SET lifetime_days = 30")
    with postgresql.connect(database, "keeper") as keeper:
        keeper.execute("INSERT INTO audit.auth_audit_holds (id, subject, reason) VALUES ('a', 'auth.user:1', 'case 7')")
        keeper.execute("INSERT INTO audit.auth_audit_holds (id, tenant) VALUES ('b', 'beta')")
        assert expire(keeper, TODAY) == [(f"auth_audit_{name(old)}", 1, 2, False)]
        assert expire(keeper, TODAY) == []
        assert ids(admin) == ["id-1", "id-2", "id-3", "id-8"]
        keeper.execute("UPDATE audit.auth_audit_holds SET until = now() WHERE id = 'a'")
        expire(keeper, datetime.now(timezone.utc))
        assert ids(admin) == ["id-3", "id-8"]
        keeper.execute("UPDATE audit.auth_audit_holds SET until = %s WHERE id = 'b'", [TODAY + 5 * DAY])
        expire(keeper, TODAY + 4 * DAY)
        assert ids(admin) == ["id-3", "id-8"]
        expire(keeper, TODAY + 5 * DAY)
        assert ids(admin) == ["id-3"]
    with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
        admin.execute("DELETE FROM audit.auth_audit")


def test_what_was_made_again_is_a_partition_like_all_others(postgresql: Server, database: str, admin: Connection) -> None:
    """Rows, indexes, triggers, dedup: after a hold has kept some of a partition, the rest of it is as it was."""
    old = TODAY - 50 * DAY
    put(postgresql, database, old, old + timedelta(hours=1), old + timedelta(hours=2))
    admin.execute("INSERT INTO audit.auth_audit_holds (subject) VALUES ('auth.user:1')")
    sender = open_store(postgresql.url(database, "app")).sender()
    assert sender.send(batch(canonical(7, time=int(old.timestamp()) * 1_000_000_000, user__id="auth.user:2"))) == ACCEPTED
    before = admin.execute("SELECT r.* FROM audit.auth_audit AS r WHERE subject = 'auth.user:1' ORDER BY id").fetchall()
    part = f"audit.auth_audit_{name(old)}"
    shape = "SELECT count(*), bool_and(i.indisvalid) FROM pg_index AS i WHERE i.indrelid = %s::regclass"
    indexes = admin.execute(shape, [part]).fetchone()
    admin.execute("UPDATE audit.auth_audit_settings SET lifetime_days = 30")
    assert expire(admin, TODAY) == [(f"auth_audit_{name(old)}", 1, 3, False)]
    assert admin.execute("SELECT r.* FROM audit.auth_audit AS r ORDER BY id").fetchall() == before
    assert admin.execute(shape, [part]).fetchone() == indexes
    for statement in ("DELETE FROM {0}", "TRUNCATE {0}", "UPDATE {0} SET event = ''"):
        with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
            admin.execute(statement.format(part))
    put(postgresql, database, old, old + timedelta(hours=1), old + timedelta(hours=2))
    assert len(ids(admin)) == 3
    sender.close()


def test_nothing_goes_that_is_not_archived(postgresql: Server, database: str, admin: Connection) -> None:
    """Where archives are asked for, only what lies before the end of the last one is deleted."""
    put(postgresql, database, *(TODAY - DAY * back for back in (40, 39, 38)))
    admin.execute("UPDATE audit.auth_audit_settings SET lifetime_days = 30, archive_before_delete = true")
    assert expire(admin, TODAY) == []
    admin.execute("UPDATE audit.auth_audit_settings SET archived_until = %s", [TODAY - 39 * DAY])
    expire(admin, TODAY)
    assert ids(admin) == ["id-2", "id-3"]


def test_for_ever_is_for_ever(postgresql: Server, database: str, admin: Connection) -> None:
    """Without a lifetime nothing is ever deleted."""
    put(postgresql, database, TODAY - 3000 * DAY, datetime(1971, 1, 1, tzinfo=timezone.utc))
    admin.execute("UPDATE audit.auth_audit_settings SET lifetime_days = NULL")
    assert expire(admin, TODAY + 100_000 * DAY) == []
    assert len(ids(admin)) == 2


def test_a_writer_applies_what_is_due_and_no_more(postgresql: Server, database: str, admin: Connection) -> None:
    """It may ask for retention; by when and for how long is not its to say."""
    put(postgresql, database, TODAY - 91 * DAY, TODAY - 90 * DAY)
    with postgresql.connect(database, "app") as app:
        assert app.execute("SELECT * FROM audit.auth_audit_apply_retention()").fetchall() == [("auth_audit_rest", 1, 0, False)]
        with pytest.raises(errors.InsufficientPrivilege):
            expire(app, TODAY + 10 * DAY)
    assert ids(admin) == ["id-2"]


@pytest.mark.parametrize(
    ("day", "made"),
    [
        (TODAY + 31 * DAY, True),
        (TODAY + 32 * DAY, False),
        (TODAY - 90 * DAY, True),
        (TODAY - 91 * DAY, False),
        (datetime(9999, 12, 31, tzinfo=timezone.utc), False),
        (datetime(1, 1, 1, tzinfo=timezone.utc), False),
        (TODAY, False),
    ],
    ids=str,
)
def test_a_writer_cannot_litter(day: datetime, made: bool, postgresql: Server, database: str, admin: Connection) -> None:
    """Partitions are made for days within the lifetime and a month ahead, once; everything else shares one."""
    with postgresql.connect(database, "app") as app:
        for expected in (made, False):
            assert app.execute("SELECT audit.auth_audit_ensure_partition(%s)", [day.date()]).fetchone() == (expected,)
    assert len(partitions(admin)) == 3 + made


def test_clocks_that_are_wrong_cost_nothing(postgresql: Server, database: str, admin: Connection) -> None:
    """Records from far ahead share a partition, and move into their own when their day comes near; the table gives them in order."""
    ahead = TODAY + 40 * DAY
    put(postgresql, database, ahead, ahead + DAY, TODAY)
    assert name(ahead) not in partitions(admin)
    row = admin.execute("SELECT pg_get_functiondef('audit.auth_audit_ensure_partition(date)'::regprocedure)").fetchone()
    assert row is not None
    admin.execute(row[0].replace("today + 31", "today + 60"))  # as if nine days had gone by
    with postgresql.connect(database, "app") as app:
        assert app.execute("SELECT audit.auth_audit_ensure_partition(%s)", [ahead.date()]).fetchone() == (True,)
    assert admin.execute("SELECT count(*) FROM audit.auth_audit_rest").fetchone() == (1,)
    assert admin.execute(
        "SELECT count(*) FROM audit.auth_audit WHERE tableoid = %s::regclass", [f"audit.auth_audit_{name(ahead)}"]
    ).fetchone() == (1,)
    assert ids(admin) == ["id-1", "id-2", "id-3"]


def test_retention_does_not_disturb_writers(postgresql: Server, database: str, admin: Connection) -> None:
    """Writers go on while partitions are dropped and made again: every batch is accepted, nothing of today is lost."""
    old = TODAY - 50 * DAY
    put(postgresql, database, *(old + DAY * number for number in range(10)))
    admin.execute("INSERT INTO audit.auth_audit_holds (subject) VALUES ('auth.user:2')")
    answers = []
    ended = threading.Event()

    def write() -> None:
        sender = open_store(postgresql.url(database, "app")).sender()
        number = 100
        while not ended.is_set():
            number += 1
            late = canonical(
                number, time=int((old + DAY * (number % 10)).timestamp()) * 1_000_000_000 + number * 1000, user__id="auth.user:2"
            )
            now = canonical(-number, time=int(TODAY.timestamp()) * 1_000_000_000 + number * 1000)
            answers.append(sender.send(batch(late, now)))
        sender.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for days in range(49, 39, -1):
            admin.execute("UPDATE audit.auth_audit_settings SET lifetime_days = %s", [days])
            expire(admin, TODAY)
    finally:
        ended.set()
        writer.join()
    assert set(answers) <= {ACCEPTED}
    assert len(ids(admin)) == 2 * len(answers)


def test_retention_waits_for_no_reader(postgresql: Server, database: str, admin: Connection) -> None:
    """Somebody reads the whole table: it gives up after seconds, so that nobody queues behind it; the next time it is done."""
    put(postgresql, database, TODAY - 50 * DAY)
    admin.execute("UPDATE audit.auth_audit_settings SET lifetime_days = 30")
    store = open_store(postgresql.url(database, "auditor"))
    reading = store.records(Filters())
    next(reading)
    begun = time.monotonic()
    with pytest.raises(errors.LockNotAvailable):
        expire(admin, TODAY)
    assert time.monotonic() - begun < 20
    assert ids(admin) == ["id-1"]
    reading.close()  # type: ignore[attr-defined] # a generator
    store.close()
    assert len(expire(admin, TODAY)) == 1


def test_what_stood_around_goes_with_the_records(postgresql: Server, database: str, admin: Connection) -> None:
    """The resources of days without records are removed, those of days with records stay."""
    put(postgresql, database, TODAY - 50 * DAY, TODAY)
    days = "SELECT day FROM audit.auth_audit_sources ORDER BY 1"
    assert admin.execute(days).fetchall() == [((TODAY - 50 * DAY).date(),), (TODAY.date(),)]
    admin.execute("UPDATE audit.auth_audit_settings SET lifetime_days = 30")
    expire(admin, TODAY)
    assert admin.execute(days).fetchall() == [(TODAY.date(),)]


@pytest.mark.parametrize(("zone", "style"), [("Pacific/Kiritimati", "SQL, DMY"), ("America/St_Johns", "German")])
def test_days_are_of_utc(zone: str, style: str, postgresql: Server, database: str, admin: Connection) -> None:
    """Whatever the time zone and the way of writing dates of who asks."""
    put(postgresql, database, TODAY - 91 * DAY, TODAY - 90 * DAY)
    with postgresql.connect(database, "keeper") as keeper:
        keeper.execute("SELECT set_config('TimeZone', %s, false), set_config('DateStyle', %s, false)", [zone, style])
        assert keeper.execute("SELECT audit.auth_audit_ensure_partition(%s)", [(TODAY + 5 * DAY).date()]).fetchone() == (True,)
        keeper.execute("SELECT * FROM audit.auth_audit_expire(now())").fetchall()
    assert ids(admin) == ["id-2"]
    bounds = admin.execute(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = %s", [f"auth_audit_{name(TODAY + 5 * DAY)}"]
    )
    begin = f"{TODAY + 5 * DAY:%Y-%m-%d}"
    row = bounds.fetchone()
    assert row is not None
    assert f"FROM ('{begin} 00:00:00+00')" in row[0]


def test_a_forged_source_is_refused(postgresql: Server, database: str) -> None:
    """What stands around records is named by its digest: nobody can put another resource in its place before it comes."""
    with postgresql.connect(database, "app") as app, pytest.raises(errors.CheckViolation):
        values = ["00000000-0000-0000-0000-000000000001", date(2026, 11, 24), "{}", "{}", ""]
        app.execute(
            "INSERT INTO audit.auth_audit_sources (source, day, resource, scope, schema_url) VALUES (%s, %s, %s, %s, %s)", values
        )
