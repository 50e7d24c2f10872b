"""PostgreSQL is killed, stopped, restarted, moved and cut off: what was acknowledged is there, once, and everything arrives in the end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import psycopg
import pytest

from opentelemetry_instrumentation_authaudit.journal.streams import Batch
from opentelemetry_instrumentation_authaudit.pipeline.answers import ACCEPTED, Verdict
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.store import open_store

from .postgresql_server import Server, init, replica, running
from .recorded import recorded

PATIENCE = 60.0
DAY = 86_400_000_000_000


@pytest.fixture
def day() -> list[Batch]:
    """Batches of a recorded day."""
    return list(recorded().batches(20))


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that this test may kill, writing as safely as PostgreSQL does by default; `app` may write, `auditor` read."""
    with running() as server:
        prepare(server)
        yield server


def prepare(server: Server) -> None:
    """The table, and who uses it."""
    init(server.url("postgres"))
    with server.connect("postgres") as connection:
        connection.execute("CREATE ROLE app LOGIN IN ROLE audit_writer")
        connection.execute("CREATE ROLE auditor LOGIN IN ROLE audit_reader")


def ids(server: Server, database: str = "postgres") -> list[str]:
    """The ids of all records in the table; a server that is just recovering is asked again."""
    until = time.monotonic() + PATIENCE
    while True:
        store = open_store(server.url(database, "auditor"))
        try:
            return [record.id for record in store.copies(Filters())]
        except StoreError:
            assert time.monotonic() < until
            time.sleep(0.1)
        finally:
            store.close()


def three_days() -> list[Batch]:
    """1,290 records of the last three days."""
    midnight = time.time_ns() // DAY * DAY
    return [batch for back in (2, 1, 0) for batch in recorded(midnight=midnight - back * DAY).batches(20)]


def ids_of(batch: Batch) -> list[str]:
    """The ids of its records."""
    return [
        part.split(b'"', 1)[0].decode()
        for record in batch.records
        for part in record.split(b'"audit.record.id","value":{"stringValue":"')[1:]
    ]


@dataclass
class Shipper(threading.Thread):
    """Sends batches until each is accepted, and remembers what was."""

    url: str
    batches: list[Batch]
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    pause: float = 0.0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Until the end."""
        sender = open_store(self.url).sender()
        for batch in self.batches:
            while (answer := sender.send(batch, 5.0)) != ACCEPTED:
                if answer.verdict is not Verdict.RETRY:
                    self.refused.append(answer.detail)
                time.sleep(0.05)
            self.acknowledged += ids_of(batch)
            time.sleep(self.pause)
        sender.close()


def ship(url: str, some: list[Batch], shippers: int = 2) -> list[Shipper]:
    """Shippers at work, each with its part."""
    found = [Shipper(url, some[number::shippers]) for number in range(shippers)]
    for shipper in found:
        shipper.start()
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def acknowledged(shippers: list[Shipper]) -> list[str]:
    """By all."""
    return [one for shipper in shippers for one in list(shipper.acknowledged)]


def kill_all(server: Server) -> None:
    """Postmaster and backends, with SIGKILL."""
    server.kill()
    server.start()


def kill_a_backend(server: Server) -> None:
    """One of the processes that write: the server then ends all of them and recovers."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        row = connection.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'app' LIMIT 1").fetchone()
    if row is not None:
        os.kill(row[0], signal.SIGKILL)


def terminate_all(server: Server) -> None:
    """An administrator ends every session."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")


def restart(server: Server) -> None:
    """In order, while sessions are at work."""
    server.stop()
    server.start()


@pytest.mark.parametrize(
    "fault",
    [
        kill_all,
        pytest.param(kill_a_backend, marks=pytest.mark.stores),
        terminate_all,
        pytest.param(restart, marks=pytest.mark.stores),
    ],
)
def test_under_load_nothing_acknowledged_is_missing(fault: Callable[[Server], None], own: Server) -> None:
    """Two shippers at work, the server fails three times: every acknowledged record is there, in the end all are, each once."""
    some = three_days()
    shippers = ship(own.url("postgres", "app"), some)
    for enough in (100, 400, 800):
        wait_for(partial(_have, shippers, enough))
        before = acknowledged(shippers)
        fault(own)
        assert set(before) <= set(ids(own))
    for shipper in shippers:
        shipper.join(PATIENCE)
    assert sorted(ids(own)) == sorted(acknowledged(shippers)) == sorted(one for batch in some for one in ids_of(batch))
    assert [shipper.refused for shipper in shippers] == [[], []]


def _have(shippers: list[Shipper], enough: int) -> bool:
    return len(acknowledged(shippers)) > enough


def test_a_connection_that_died_between_batches_is_not_noticed(postgresql: Server, database: str, day: list[Batch]) -> None:
    """The first batch after a restart is accepted at once, over a new connection."""
    sender = open_store(postgresql.url(database, "app")).sender()
    assert sender.send(day[0]) == ACCEPTED
    with postgresql.connect(database) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = 'app'", [database])
        wait_for(
            lambda: (
                admin.execute("SELECT 1 FROM pg_stat_activity WHERE datname = %s AND usename = 'app'", [database]).fetchone()
                is None
            )
        )
    assert sender.send(day[1]) == ACCEPTED
    sender.close()
    assert ids(postgresql, database) == ids_of(day[0]) + ids_of(day[1])


def test_a_stopped_server_does_not_hold_the_sender_for_ever(postgresql: Server, database: str, day: list[Batch]) -> None:
    """Its backend stands still, as on a machine that swaps: the answer comes in time, and says to try again."""
    sender = open_store(postgresql.url(database, "app")).sender()
    assert sender.send(day[0]) == ACCEPTED
    with postgresql.connect(database) as admin:
        row = admin.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename = 'app'", [database]).fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGSTOP)
    begun = time.monotonic()
    answer = sender.send(day[1], 1.0)
    took = time.monotonic() - begun
    os.kill(row[0], signal.SIGCONT)
    assert answer == ACCEPTED  # over a second connection, at once after the first was given up
    assert took < 10
    sender.close()
    assert ids(postgresql, database) == ids_of(day[0]) + ids_of(day[1])


def test_a_slow_server_is_given_fewer_records(postgresql: Server, database: str, day: list[Batch]) -> None:
    """A statement that takes longer than the time-out is ended by the server: smaller batches may get through."""
    sender = open_store(postgresql.url(database, "app")).sender()
    assert sender.send(day[0]) == ACCEPTED
    with postgresql.connect(database) as admin, admin.transaction():
        admin.execute("LOCK TABLE audit.auth_audit IN ACCESS EXCLUSIVE MODE")
        answer = sender.send(day[0], 0.5)
    assert (answer.verdict, answer.shrink) == (Verdict.RETRY, True)
    assert sender.send(day[1]) == ACCEPTED
    sender.close()


@pytest.mark.parametrize("setting", ["off", "local"])
def test_an_answer_means_that_it_is_written(setting: str, postgresql: Server, database: str, day: list[Batch]) -> None:
    """Somebody has told the server to answer before it has written: not for the audit trail."""
    with postgresql.connect(database) as admin:
        admin.execute("ALTER ROLE app SET synchronous_commit = " + setting)
        # PostgreSQL itself says, by a trigger of the test's own, with which promise the row comes.
        admin.execute("CREATE TABLE public.promises (promise text)")
        admin.execute("GRANT INSERT ON public.promises TO app")
        admin.execute("""CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO public.promises VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$""")
        admin.execute("CREATE TRIGGER note BEFORE INSERT ON audit.auth_audit FOR EACH ROW EXECUTE FUNCTION public.note()")
        sender = open_store(postgresql.url(database, "app")).sender()
        assert sender.send(day[0]) == ACCEPTED
        sender.close()
        admin.execute("ALTER ROLE app RESET synchronous_commit")
        assert admin.execute("SELECT DISTINCT promise FROM public.promises").fetchall() == [("on",)]


@pytest.mark.parametrize("hosts", ["127.0.0.1:1,127.0.0.1:{port}", "127.0.0.1:{port},127.0.0.1:1"])
def test_the_first_host_is_dead(hosts: str, postgresql: Server, database: str, day: list[Batch]) -> None:
    """A URL with several hosts: the one that is there is asked and written to."""
    place = hosts.format(port=postgresql.port)
    sender = open_store(f"postgresql://app@{place}/{database}").sender()
    assert sender.send(day[0]) == ACCEPTED
    sender.close()
    store = open_store(f"postgresql://auditor@{place}/{database}")
    assert [record.id for record in store.copies(Filters())] == ids_of(day[0])
    store.close()


def test_partitions_wait_for_a_reader_and_records_do_not(postgresql: Server, database: str, day: list[Batch]) -> None:
    """Somebody reads the whole table, so no partition can be attached now: records are accepted all the same, and read afterwards."""
    with postgresql.connect(database) as admin, admin.transaction():
        admin.execute("SELECT * FROM audit.auth_audit")
        sender = open_store(postgresql.url(database, "app")).sender()
        for batch in day[:3]:
            assert sender.send(batch) == ACCEPTED
        sender.close()
    with postgresql.connect(database) as admin:
        rest = admin.execute("SELECT count(*) FROM audit.auth_audit_rest").fetchone()
        assert rest == (sum(len(batch.records) for batch in day[:3]),)
    sender = open_store(postgresql.url(database, "app")).sender()
    assert sender.send(day[3]) == ACCEPTED  # makes the partition, and moves what waited
    sender.close()
    with postgresql.connect(database) as admin:
        assert admin.execute("SELECT count(*) FROM audit.auth_audit_rest").fetchone() == (0,)
    assert sorted(ids(postgresql, database)) == sorted(one for batch in day[:4] for one in ids_of(batch))


def test_many_writers_need_the_same_partition_at_once(postgresql: Server, database: str) -> None:
    """Six shippers begin with days that have no partition yet: nobody waits for ever, nothing is refused, nothing lost."""
    some = three_days()
    shippers = ship(postgresql.url(database, "app"), some, 6)
    for shipper in shippers:
        shipper.join(PATIENCE)
    assert sorted(ids(postgresql, database)) == sorted(one for batch in some for one in ids_of(batch))
    assert [shipper.refused for shipper in shippers] == [[]] * 6


@pytest.mark.stores
def test_the_primary_dies_and_its_standby_takes_over() -> None:
    """A synchronous standby is promoted when the primary is killed: the shipper goes on there by itself, and nothing acknowledged is lost.

    The server itself would answer before the standby has it (`local`): the shipper asks for more.
    """
    with ExitStack() as stack:
        primary = stack.enter_context(running(synchronous_standby_names="*", synchronous_commit="local"))
        prepare(primary)
        standby = stack.enter_context(replica(primary))
        place = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        some = three_days()
        shippers = ship(f"postgresql://app@{place}/postgres", some)
        wait_for(lambda: len(acknowledged(shippers)) > 400)
        primary.kill()
        before = acknowledged(shippers)
        with standby.connect("postgres") as connection:
            connection.execute("SELECT pg_promote()")
        assert set(before) <= set(ids(standby))
        for shipper in shippers:
            shipper.join(PATIENCE)
        assert sorted(ids(standby)) == sorted(acknowledged(shippers)) == sorted(one for batch in some for one in ids_of(batch))
