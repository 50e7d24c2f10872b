"""Queues on disk: the collector, its store and its volumes are killed or taken away in the traffic; ids are counted at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValueList

from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.store import open_store
from tests.cli.command import authaudit

from .conftest import fill, post
from .running import Collector, missing, until
from .traffic import application, attribute, record, request
from .vault import LogStore


def stored(store: LogStore) -> list[str]:
    """The ids of the records in the store, doubled ones too."""
    opened = open_store(store.store)
    try:
        return [found.id for found in opened.copies(Filters())]
    finally:
        opened.close()


def test_a_queue_in_front_of_the_files(tmp_path: Path) -> None:
    """The collector with a queue is killed four times in the traffic: what it acknowledged is in the files in the end, chains whole."""
    with Collector(tmp_path / "collector", "queued") as collector:
        with application(tmp_path, collector.client("grpc"), pause=0.001) as running:
            for _ in range(4):
                running.begin(150)
                time.sleep(0.1)
                collector.kill()
                collector.start()
                running.tell(50)
            assert running.finish()
        until("all are in the files", lambda: not missing(running.told, collector.ids()))
        assert authaudit("verify", "--store", str(collector.files), home=tmp_path).returncode == 0


def test_the_files_have_no_room_but_the_queue_has(small_volume: Path, tmp_path: Path) -> None:
    """The audit volume is full, the queue lies on another: clients have their answers at once, the files get all when there is room."""
    ballast = small_volume / "ballast"
    with Collector(tmp_path / "collector", "queued", AUTHAUDIT_DIR=str(small_volume / "files")) as collector:
        collector.files = small_volume / "files"
        with ballast.open("wb") as file:
            fill(file.fileno())
        with application(tmp_path, collector.client()) as running:
            running.tell(300)
            assert running.finish()
        assert missing(running.told, collector.ids())
        collector.kill()  # with the queue full of what was acknowledged
        collector.start()
        ballast.unlink()
        until("all are in the files", lambda: not missing(running.told, collector.ids()))
        assert authaudit("verify", "--store", str(collector.files), home=tmp_path).returncode == 0


def test_the_queue_has_no_room(small_volume: Path, tmp_path: Path) -> None:
    """The queue's own volume is full, and the collector is killed and started on it: it refuses, clients wait, nothing is lost."""
    ballast = small_volume / "ballast"
    with Collector(tmp_path / "collector", "queued", AUTHAUDIT_QUEUE_DIR=str(small_volume / "queue")) as collector:
        with application(tmp_path, collector.client()) as running:
            running.tell(50)
            with ballast.open("wb") as file:
                fill(file.fileno())
            large = request([record("large", attribute("user.id", "x" * 3_000_000))])
            assert post(f"{collector.http}/v1/logs", large) == 503
            running.begin(100)
            collector.kill()
            collector.start()
            running.gather()
            ballast.unlink()
            running.tell(50)
            assert running.finish()
        until("all are in the files", lambda: not missing(running.told, collector.ids()))
        assert "large" not in collector.ids()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    """VictoriaLogs, running."""
    with LogStore(tmp_path / "store") as running:
        yield running


@pytest.mark.parametrize(("count", "away"), [(200, 0.5), pytest.param(5000, 150.0, marks=pytest.mark.stores, id="for minutes")])
def test_the_store_dies_and_so_does_the_collector(store: LogStore, tmp_path: Path, count: int, away: float) -> None:
    """The store is killed in the traffic and stays away, the collector is killed twice meanwhile: when the store is back, it gets
    everything that was told since it died. What it had acknowledged in its last seconds it may have lost; the files have all.
    """
    with Collector(tmp_path / "collector", "embedded", "victorialogs", AUTHAUDIT_VICTORIALOGS_URL=store.url) as collector:
        with application(tmp_path, collector.client(), pause=0.001) as running:
            running.tell(count)
            until("the store has some", lambda: len(stored(store)) > 0)
            running.begin(count)
            store.kill()
            running.gather()
            since = len(running.told)
            running.begin(count)
            collector.kill()
            collector.start()
            running.tell(count)
            time.sleep(away)
            collector.kill()
            collector.start()
            store.start()
            assert running.finish()
        assert missing(running.told, collector.ids()) == set()
        assert authaudit("verify", "--store", str(collector.files), home=tmp_path).returncode == 0
        until("the store has all since then", lambda: not missing(running.told[since:], stored(store)), 120)
        assert collector.metric("otelcol_exporter_send_failed_log_records") == 0


def test_the_store_is_stopped_and_started(store: LogStore, tmp_path: Path) -> None:
    """The store goes in good order, for an upgrade, while records come in: nothing is missing in it afterwards."""
    with Collector(tmp_path / "collector", "embedded", "victorialogs", AUTHAUDIT_VICTORIALOGS_URL=store.url) as collector:
        with application(tmp_path, collector.client("grpc"), pause=0.001) as running:
            running.tell(200)
            until("the store has some", lambda: len(stored(store)) > 0)
            running.begin(200)
            assert store.stop() == 0
            running.tell(200)
            store.start()
            assert running.finish()
        until("the store has all", lambda: not missing(running.told, stored(store)), 60)
        assert authaudit("verify", "--store", store.store, home=tmp_path).returncode == 0


_MAP = AnyValue(kvlist_value=KeyValueList(values=[attribute("name", "nested"), attribute("id", "nested")]))
CLASHES = {
    "the stream field": [attribute("service.name", "x")],
    "the stream field, twice": [attribute("service.name", "x"), attribute("service.name", "y")],
    "the stream field, nested": [attribute("service", _MAP)],
    "the store's own names": [
        attribute(name, "x")
        for name in ("_time", "_msg", "_stream", "_stream_id", "event_name", "trace_id", "severity_text", "scope.name")
    ],
    "no name": [attribute("", "x")],
    "the same name twice": [attribute("user.id", "x"), attribute("user.id", "y")],
    "a name of the resource": [attribute("host.name", "x")],
    "nested audit names": [attribute("audit", AnyValue(kvlist_value=KeyValueList(values=[attribute("record", _MAP)])))],
}


def test_names_that_clash_in_the_store(store: LogStore, tmp_path: Path) -> None:
    """A broken writer uses names that the store gives to its own fields, one of which would kill it: it lives, has every record, and
    what it says of them is the truth; the files have them as they came.
    """
    with Collector(tmp_path / "collector", "embedded", "victorialogs", AUTHAUDIT_VICTORIALOGS_URL=store.url) as collector:
        now = time.time_ns() // 1000 * 1000
        for number, attributes in enumerate(CLASHES.values()):
            sent = request([record(f"id-{number}", *attributes, at=now)], attribute("host.name", "web1"))
            assert post(f"{collector.http}/v1/logs", sent) == 200
        doubled = request([record("id-resource", at=now)], attribute("service.name", "twice"), attribute("service", _MAP))
        assert post(f"{collector.http}/v1/logs", doubled) == 200
        bodied = record("id-body", at=now)
        bodied.body.CopyFrom(AnyValue(kvlist_value=KeyValueList(values=[attribute("service.name", "body")])))
        assert post(f"{collector.http}/v1/logs", request([bodied])) == 200
        wanted = {*(f"id-{number}" for number in range(len(CLASHES))), "id-resource", "id-body"}
        until("the store has them", lambda: set(stored(store)) == wanted)
        assert store.running
        opened = open_store(store.store)
        for found in opened.copies(Filters()):
            assert (found.event, found.time) == ("auth.sign_in", now), found
        opened.close()
        assert sorted(collector.ids()) == sorted(wanted)
        assert '"_stream_id"' in "".join(path.read_text(encoding="utf-8") for path in collector.files.iterdir())
