"""Files as a store: the newest without the whole, a million records by a search, not a parse."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, files_in
from opentelemetry_instrumentation_authaudit.stores.files import FileStore

from . import million
from .recorded import MIDNIGHT, SECOND, recorded


def opened(place: Path) -> FileStore:
    """A store of everything there."""
    return FileStore([place], files_in(place), Unreadable())


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> FileStore:
    """The recorded day as journals."""
    return opened(recorded().journal(tmp_path_factory.mktemp("day")))


questions = st.builds(
    Filters,
    status=st.sampled_from([(), ("failure",), ("unknown",)]),
    subject=st.sampled_from([(), ("auth.user:41",), ("nobody",)]),
    since=st.sampled_from([0, MIDNIGHT - SECOND]) | st.integers(0, 86_400).map(lambda second: MIDNIGHT + second * SECOND),
    until=st.none() | st.integers(0, 86_400).map(lambda second: MIDNIGHT + second * SECOND),
)


@settings(deadline=None, max_examples=40)
@given(questions, st.integers(0, 500))
def test_the_newest_are_those_at_the_end(day: FileStore, filters: Filters, count: int) -> None:
    """However few are looked at: the answer is the end of the whole answer."""
    assert day.last(filters, count) == list(deque(day.records(filters), maxlen=count))


def test_what_cannot_be_read_is_counted_once(tmp_path: Path) -> None:
    """The newest are looked for in wider and wider spans; a torn line is one torn line."""
    path = recorded().collected(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"resourceLogs":[{"resource"')
    store = opened(tmp_path)
    assert len(store.last(Filters(subject=("auth.user:41",)), 50)) < 50
    assert store.unreadable.lines == 1


@pytest.mark.stores
@pytest.mark.parametrize("made", [million.journal, million.collected], ids=["journals", "collected"])
def test_one_account_among_a_million_records(made: Callable[[], Path], record_property: Callable[[str, object], None]) -> None:
    """Its history within two seconds of computing, from 1.7 GB; the newest twenty, and the failures of an hour, within ten."""
    store = opened(made())
    asked = Filters(subject=(million.ACCOUNT,))
    spent = []
    for _ in range(3):
        begun = time.process_time()
        assert len(list(store.records(asked))) == million.history(million.ACCOUNT)
        spent.append(time.process_time() - begun)
    record_property("seconds", min(spent))
    assert min(spent) <= 2
    begun = time.process_time()
    assert len(store.last(Filters(), 20)) == 20
    hour = replace(Filters(status=("failure",)), since=MIDNIGHT - 3600 * SECOND)
    assert sum(1 for _ in store.records(hour)) > 0
    assert time.process_time() - begun <= 10
