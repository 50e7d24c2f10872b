"""VictoriaLogs as a cluster: a storage node is killed under load."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.cli.main import main
from opentelemetry_instrumentation_authaudit.journal.backlog import Batch
from opentelemetry_instrumentation_authaudit.pipeline.answers import Verdict
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.store import Store, open_store

from ..collector.running import until
from . import million
from .victorialogs_server import SECRETS, Cluster, VictoriaLogs, cluster, send

RECORDS = 30_000


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    """Two storage nodes, a front for writers and one for readers."""
    with cluster(tmp_path) as found:
        yield found


class Writer(threading.Thread):
    """Sends all batches, each until it is accepted, like our delivery does."""

    def __init__(self, store: Store, batches: list[Batch]) -> None:
        super().__init__()
        self._sender, self._batches = store.sender(), batches
        self.sent, self.refused = 0, 0

    def run(self) -> None:
        """All of them."""
        pause = threading.Event()
        for batch in self._batches:
            while self._sender.send(batch).verdict is not Verdict.ACCEPTED:
                self.refused += 1
                pause.wait(0.1)
            self.sent += 1


@pytest.mark.stores
def test_a_storage_node_is_killed_under_load(running: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing goes on at the other node. A question is refused as long as a node is away, never answered in part, unless that is asked
    for. After its return only what it had in memory is missing, and `authaudit reconcile` brings that back."""
    monkeypatch.setenv("OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR", str(tmp_path / "journal"))
    batches = list(million.batches(RECORDS, 500))
    expected = {record for batch in batches for record in map(_id, batch.records)}
    store, reader = open_store(_url(running.insert.port)), open_store(_url(running.select.port))
    writer = Writer(store, batches)
    writer.start()
    until("some records are written", lambda: writer.sent > len(batches) // 3)
    running.nodes[0].kill()
    assert writer.sent < len(batches), "it is killed under load"
    with pytest.raises(StoreError, match=r"\[502\]; a storage node is away"):
        list(reader.records(Filters()))
    writer.join()
    with pytest.raises(StoreError, match=r"\[502\]"):
        list(reader.copies(Filters()))
    with pytest.raises(StoreError, match=r"\[502\]"):
        reader.size()
    partial = open_store(f"{_url(running.select.port)}?allow_partial=1")
    assert 0 < partial.size() < len(expected)
    running.nodes[0].start()
    until("the cluster answers again", lambda: _answers(reader))
    assert {record.id for record in reader.copies(Filters())} < expected, "what the killed node had in memory is lost"
    command = [
        "reconcile",
        "--against",
        str(million.collected(RECORDS)),
        "--lifetime",
        "infinity",
        "--store",
        _url(running.select.port),
    ]
    assert main([*command, "--repair", "--writer", _url(running.insert.port)]) == 0
    assert main(command) == 0
    found = [record.id for record in reader.records(Filters(without=("audit.reconciled", "audit.start", "audit.stop")))]
    assert len(found) == len(set(found))
    assert {record.id for record in reader.records(Filters())} >= expected


@pytest.mark.stores
def test_a_front_has_records_in_memory_too(running: Cluster) -> None:
    """It answers before a storage node has them, so it loses what it answered within the last second or so when it is killed."""
    batch = next(million.batches(500, 500))
    writer, reader = open_store(_url(running.insert.port)), open_store(_url(running.select.port))
    send(writer, [batch])
    running.insert.kill()
    running.insert.start()
    running.flush()
    assert reader.size() == 0
    send(writer, [batch])
    until("they are there", lambda: reader.size() == len(batch.records))


@pytest.mark.stores
def test_fronts_do_one_thing(running: Cluster) -> None:
    """The front for writers answers no question, the one for readers takes no record; nodes do not talk to strangers."""
    batch = next(million.batches(100, 100))
    assert open_store(_url(running.select.port)).sender().send(batch).verdict is Verdict.MISCONFIGURED
    with pytest.raises(StoreError):
        open_store(_url(running.insert.port)).size()
    node = open_store(_url(running.nodes[0].port))
    assert node.sender().send(batch).verdict is Verdict.MISCONFIGURED
    with pytest.raises(StoreError, match=r"\[401\]"):
        node.size()


@pytest.mark.stores
def test_one_entrance_before_both_fronts(running: Cluster, tmp_path: Path) -> None:
    """What a writer sends and an auditor reads goes through one vmauth, to the front for it."""
    fronts = {"AUTHAUDIT_VICTORIALOGS_INSERT_URL": running.insert.url, "AUTHAUDIT_VICTORIALOGS_SELECT_URL": running.select.url}
    server = VictoriaLogs(tmp_path / "auth", "auth", **fronts, **SECRETS)
    with server:
        send(
            open_store(f"victorialogs://:{SECRETS['AUTHAUDIT_WRITER_TOKEN']}@127.0.0.1:{server.port}"), million.batches(100, 100)
        )
        auditor = open_store(f"victorialogs://auditor:{SECRETS['AUTHAUDIT_AUDITOR_PASSWORD']}@127.0.0.1:{server.port}")
        until("they are there", lambda: auditor.size() == 100)
        running.nodes[1].kill()
        with pytest.raises(StoreError, match=r"\[502\]"):
            list(auditor.records(Filters()))


def _url(port: int) -> str:
    return f"victorialogs://127.0.0.1:{port}"


def _answers(store: Store) -> bool:
    try:
        return store.size() > 0
    except StoreError:
        return False


def _id(record: bytes) -> str:
    place = record.index(b'"audit.record.id","value":{"stringValue":"') + 42
    return record[place : place + 36].decode()
