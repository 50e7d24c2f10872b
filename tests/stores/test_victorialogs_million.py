"""A million records in VictoriaLogs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.store import Store, open_store

from . import million
from .victorialogs_server import VictoriaLogs, send

HISTORY = 0.1
"""Seconds."""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of its own with a million records."""
    with VictoriaLogs(tmp_path_factory.mktemp("million"), "single", "-futureRetention=100y") as server:
        assert isinstance(server, VictoriaLogs)
        store = open_store(f"victorialogs://127.0.0.1:{server.port}")
        send(store, million.batches())
        server.flush()
        yield store


def fastest(ask: Callable[[], Any]) -> float:
    """Seconds, of twenty times: other programs run on this machine, too."""
    seconds = []
    for _ in range(20):
        begun = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


@pytest.mark.stores
def test_one_accounts_history(full: Store, record_property: Callable[[str, object], None]) -> None:
    """All that happened to one of 20,000 accounts within thirty days, in a tenth of a second."""
    asked = Filters(subject=(million.ACCOUNT,))
    assert len(list(full.records(asked))) == million.history(million.ACCOUNT) > 0
    seconds = fastest(lambda: list(full.records(asked)))
    record_property("seconds", seconds)
    assert seconds <= HISTORY


@pytest.mark.stores
def test_the_newest(full: Store) -> None:
    """The last twenty of a million, in half a second; and there are a million."""
    assert full.size() >= million.MILLION
    newest = full.last(Filters(), 20)
    assert [record.time for record in newest] == sorted(record.time for record in newest)
    assert fastest(lambda: full.last(Filters(), 20)) <= 0.5


@pytest.mark.stores
def test_all_of_them(full: Store) -> None:
    """Every one comes back, in the order of time, each once, in bounded memory."""
    last, count = 0, 0
    for record in full.records(Filters()):
        assert record.time >= last
        last, count = record.time, count + 1
    assert count >= million.MILLION
