"""The same questions asked of every store give the same answers, and a store can be watched like a file."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.journal.canonical import GENESIS, CanonicalRecord, digest, encode
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Key, Keyring
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable, files_in
from opentelemetry_instrumentation_authaudit.query.verify import Keys, Verification
from opentelemetry_instrumentation_authaudit.reports.report import Question, summary
from opentelemetry_instrumentation_authaudit.stores.files import FileStore
from opentelemetry_instrumentation_authaudit.stores.store import Merged, Store, open_store

from ..collector.running import until
from .clickhouse_server import made, opened, running
from .happenings import ANN, OFFICE, Happening, signed_in
from .postgresql_server import Server
from .recorded import FIRST_SIGNING_KEY, HASH_KEY, MIDNIGHT, SECOND, Recorder, batch_of, recorded
from .victorialogs_server import VictoriaLogs, send

RING = Keyring((Key.parse(HASH_KEY),))
STORES = ("postgresql", "victorialogs", pytest.param("clickhouse", marks=pytest.mark.stores))
QUESTIONS = (
    Filters(),
    Filters(subject=("auth.user:41",)),
    Filters(subject=("auth.user:1", "auth.user:2", "nobody")),
    Filters(identity=("Ann@Example.org",), keys=RING),
    Filters(action=("sign_in_with_*",)),
    Filters(action=("verify_with_totp", "sign_out"), status=("success",)),
    Filters(event=("mfa.*", "password.reset"), tenant=("globex",)),
    Filters(status=("failure",), ip=("203.0.113.0/24",)),
    Filters(ip=(OFFICE,), until=MIDNIGHT + 9 * 3600 * SECOND),
    Filters(strategy=("github",)),
    Filters(provider=("github",)),
    Filters(strategy=("totp", "api_key")),
    Filters(service=("admin", "api"), without=("audit.checkpoint",)),
    Filters(since=MIDNIGHT + 20 * 3600 * SECOND, until=MIDNIGHT + 21 * 3600 * SECOND),
    Filters(since=MIDNIGHT + 23 * 3600 * SECOND),
    Filters(subject=("nobody",)),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> FileStore:
    """The recorded day as files."""
    folder = recorded().journal(tmp_path_factory.mktemp("journal"))
    return FileStore([folder], files_in(folder), Unreadable())


@pytest.fixture(scope="module")
def in_postgresql(postgresql: Server) -> Iterator[Store]:
    """... in PostgreSQL."""
    database = postgresql.make_database("agreement", "template")
    send(open_store(postgresql.url(database, "app")), recorded().batches())
    with closing(open_store(postgresql.url(database, "auditor"))) as store:
        yield store


@pytest.fixture(scope="module")
def in_victorialogs(victorialogs: VictoriaLogs) -> Store:
    """... in VictoriaLogs."""
    tenant = victorialogs.tenant()
    tenant.put(recorded().batches())
    return tenant.open()


@pytest.fixture(scope="module")
def in_clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """... in ClickHouse."""
    with running(tmp_path_factory.mktemp("clickhouse")) as server:
        store = made(opened(server))
        send(store, recorded().batches())
        yield store


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Store:
    """The store that is named by the parameter."""
    found: Store = request.getfixturevalue(f"in_{request.param}")
    return found


def exactly(record: Record) -> tuple[object, ...]:
    """All of a record, but where it stands."""
    return (
        record.event, record.time, record.attributes, record.number, record.service, record.severity, record.trace_id, record.span_id,
    )  # fmt: skip


@pytest.mark.parametrize("filters", QUESTIONS, ids=range(len(QUESTIONS)))
@pytest.mark.parametrize("store", STORES, indirect=True)
def test_the_same_question_has_the_same_answer(store: Store, filters: Filters, files: FileStore) -> None:
    """Record by record, attribute by attribute, in the same order."""
    expected = [exactly(record) for record in files.records(filters)]
    assert [exactly(record) for record in store.records(filters)] == expected
    assert [exactly(record) for record in store.last(filters, 7)] == expected[-7:]
    assert sorted(record.id for record in store.copies(filters)) == sorted(record.id for record in files.copies(filters))


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_the_evidence_is_whole_in_every_store(store: Store) -> None:
    """Bytes rebuilt from what the store kept: links and signatures hold."""
    verification = Verification(Keys([FIRST_SIGNING_KEY]))
    for record in store.copies(Filters()):
        verification.feed(record, None)
    assert [finding for finding in verification.findings() if finding.kind.fault] == []
    assert verification.records == len(recorded())


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_reports_are_the_same(store: Store, files: FileStore) -> None:
    """A summary is one, wherever the trail is kept."""
    question = Question(until=MIDNIGHT + 86_400 * SECOND)
    assert summary(store.records(Filters()), question).data() == summary(files.records(Filters()), question).data()


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_two_stores_asked_as_one_have_each_record_once(store: Store, files: FileStore) -> None:
    """The journals and the store that they were delivered to."""
    both = Merged([files, store])
    everything = [record.id for record in files.records(Filters())]
    assert [record.id for record in both.records(Filters())] == everything
    assert [record.id for record in both.last(Filters(), 5)] == everything[-5:]
    assert len(list(both.copies(Filters()))) == 2 * len(everything)


class Watched:
    """`authaudit tail -f` as a process, and the lines that it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> str:
        """The id in the next line."""
        found: str = json.loads(self._lines.get(timeout=30))[names.RECORD_ID]
        return found

    def silent(self, seconds: float) -> bool:
        """Whether nothing more is printed for so long."""
        time.sleep(seconds)
        return self._lines.empty()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)


@contextmanager
def watching(*arguments: str, home: Path) -> Iterator[Watched]:
    """The command, until the block ends."""
    command = [sys.executable, "-m", "opentelemetry_instrumentation_authaudit", "tail", "-f", "--format", "json", *arguments]
    environ = {**os.environ, "HOME": str(home), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        try:
            yield Watched(process)
        finally:
            process.kill()


class Life:
    """An application that goes on signing people in, now."""

    def __init__(self, stream: str) -> None:
        self._stream, self._previous, self._number = stream, GENESIS, 0

    def batch(self, ago: float = 0.0) -> tuple[str, ...]:
        """The id in a new batch, which is `last` then."""
        self._number += 1
        now = time.time_ns() // 1000 * 1000 - int(ago * SECOND)
        found = Recorder(now).record(Happening(0, signed_in(ANN, OFFICE, session=f"s{self._number}")), self._number)
        own: dict[str, str | int] = {
            names.STREAM_ID: self._stream,
            names.SEQUENCE_NUMBER: self._number,
            names.PREVIOUS_HASH: self._previous,
        }
        record: CanonicalRecord = replace(found, attributes={**found.attributes, **own})
        encoded = encode(record)
        self._previous = digest(encoded)
        self.last = batch_of(self._stream, "shop", (encoded,))
        return (str(record.attributes[names.RECORD_ID]),)


def test_a_database_is_watched_like_a_file(postgresql: Server, tmp_path: Path) -> None:
    """The newest to begin with, then what arrives, a late one too, nothing twice; a restart of the server is waited for."""
    database = postgresql.make_database("watched", "template")
    writer, life = open_store(postgresql.url(database, "app")), Life("a" * 16)
    told: list[str] = []
    for ago in (120, 30, 20):
        told += life.batch(ago)
        send(writer, [life.last])
    with watching("--store", postgresql.url(database, "auditor"), "-n", "2", home=tmp_path) as watched:
        assert [watched.next(), watched.next()] == told[1:]
        for ago in (0, 40, 0):
            (new,) = life.batch(ago)
            send(writer, [life.last])
            assert watched.next() == new
        assert watched.silent(2.5)


def test_victorialogs_is_watched_like_a_file(victorialogs: VictoriaLogs, tmp_path: Path) -> None:
    """Likewise; what the filters do not let pass is not shown."""
    tenant, life = victorialogs.tenant(), Life("b" * 16)
    (first,) = life.batch(5)
    tenant.put([life.last])
    with watching("--store", tenant.store, "--subject", ANN.subject, "--status", "success", home=tmp_path) as watched:
        assert watched.next() == first
        (new,) = life.batch()
        tenant.put([life.last, life.last])
        assert watched.next() == new
        assert watched.silent(2.5)


@pytest.mark.stores
def test_a_store_that_is_away_is_waited_for(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The store is stopped and started again: one word about it, and what came meanwhile is shown."""
    with VictoriaLogs(tmp_path_factory.mktemp("restarted"), "single") as server:
        assert isinstance(server, VictoriaLogs)
        tenant, life = server.tenant(), Life("c" * 16)
        (first,) = life.batch(5)
        tenant.put([life.last])
        with watching("--store", tenant.store, home=tmp_path) as watched:
            assert watched.next() == first
            server.stop()
            time.sleep(3)
            server.start()
            until("the store answers again", server.healthy)
            (new,) = life.batch()
            tenant.put([life.last])
            assert watched.next() == new
            watched.process.kill()
            assert watched.process.stderr is not None
            assert watched.process.stderr.read().count("trying again") == 1
