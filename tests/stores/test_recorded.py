"""The recorded day itself: what others test on is what it says it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, every_record, files_in, read
from opentelemetry_instrumentation_authaudit.query.verify import Keys, Verification

from . import million
from .happenings import ATTACKS
from .recorded import FIRST_SIGNING_KEY, GAP, MIDNIGHT, Recording, honest_day, recorded


def findings(place: Path, *, signed: bool = True) -> list[str]:
    """What the verifier accuses."""
    found = Verification(Keys([FIRST_SIGNING_KEY] if signed else []))
    for record, path in every_record(files_in(place), Unreadable()):
        found.feed(record, path)
    return [finding.kind.value for finding in found.findings() if finding.kind.fault]


@pytest.mark.parametrize("recording", [honest_day(), recorded()], ids=["honest", "attacked"])
def test_the_evidence_is_whole(tmp_path: Path, recording: Recording) -> None:
    """As journals and as a collector's file, signatures included."""
    assert findings(recording.journal(tmp_path / "journal")) == []
    (tmp_path / "collector").mkdir()
    assert findings(recording.collected(tmp_path / "collector")) == []


def test_a_gap_is_one(tmp_path: Path) -> None:
    """Three records are taken out of the longest stream, and the verifier says so."""
    gapped = recorded().with_gap()
    assert len(gapped) == len(recorded()) - GAP
    assert findings(gapped.journal(tmp_path)) == ["deleted"]


def test_every_writer_writes_the_same(tmp_path: Path) -> None:
    """Journal, collector's file and batches hold the same records."""
    everything = {record.id for record in read(files_in(recorded().journal(tmp_path / "journal")), Unreadable())}
    assert len(everything) == len(recorded())
    assert {record.id for record in read([recorded().collected(tmp_path)], Unreadable())} == everything
    assert sum(len(batch.records) for batch in recorded().batches()) == len(everything)


def test_the_day_is_the_same_in_every_run() -> None:
    """Others compare answers with what they saw before: the last link of the first chain stands for all before it."""
    again = recorded(*ATTACKS, midnight=MIDNIGHT)
    assert again.streams[0].records[-1] == recorded().streams[0].records[-1]
    assert set(recorded().labels.values()) == {*ATTACKS, "new_client"}
    assert len(recorded().ids("brute_force")) == 40


def test_the_many_are_whole_too() -> None:
    """Records from templates are what the pipeline would have written, byte for byte: rebuilt, their chains hold."""
    assert findings(million.journal(2_000), signed=False) == []
    assert findings(million.collected(4_000), signed=False) == []


def test_the_many_hold_what_is_said_of_one_account() -> None:
    """A store is asked for one account's history, and the number of its records is known beforehand."""
    everything = read(files_in(million.collected(4_000)), Unreadable())
    asked = Filters(subject=("auth.user:16760",)).tests()
    assert sum(all(test(record) for test in asked) for record in everything) == million.history("auth.user:16760", 4_000) == 1
