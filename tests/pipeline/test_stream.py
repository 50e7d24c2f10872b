from __future__ import annotations

import threading
from pathlib import Path

from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord
from opentelemetry_instrumentation_authaudit.journal.line import Envelope
from opentelemetry_instrumentation_authaudit.journal.overflow import Overflow
from opentelemetry_instrumentation_authaudit.journal.writer import Journal
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.pipeline.stream import LOST, STOP, Stream, end, losses
from tests.chain import chain, events

SIGN_IN = CanonicalRecord(event="auth.sign_in", time=1)


def stream(folder: Path, capacity: int = 2, wait: float = 0.0) -> tuple[Stream, Overflow]:
    """A stream whose folder is *folder*, and the memory it falls back on."""
    overflow = Overflow(capacity)
    journal = Journal(folder, "00000000000000aa", Envelope(b"{}", b"{}", b""))
    return Stream(journal, overflow, wait=wait), overflow


def blocked(folder: Path) -> Path:
    """A folder that cannot be made until the file in its way is removed."""
    (folder / "svc").touch()
    return folder / "svc"


def test_a_record_without_a_place_takes_no_number(tmp_path: Path) -> None:
    """Two wait in memory, the third is lost; when there is room the chain has no gap, and says what is missing."""
    folder = blocked(tmp_path)
    ours, _ = stream(folder)
    assert [ours.add(SIGN_IN) is not None for _ in range(3)] == [True, True, False]
    assert (ours.number, ours.lost, ours.dropped, ours.waiting) == (2, 1, 1, True)
    assert not ours.recover()
    folder.unlink()
    assert ours.recover()
    assert ours.add(CanonicalRecord(event=LOST, time=2), losses) is not None
    assert not ours.waiting
    records = chain(folder)
    assert events(records) == ["auth.sign_in", "auth.sign_in", LOST]
    assert records[-1].attributes[names.RECORDS_LOST] == "1"


def test_a_loss_is_told_once(tmp_path: Path) -> None:
    """Another thread told it in the meantime: there is nothing to say any more."""
    ours, _ = stream(tmp_path)
    ours.add(SIGN_IN)
    assert ours.add(CanonicalRecord(event=LOST, time=2), losses) is None
    assert events(chain(tmp_path)) == ["auth.sign_in"]


def test_a_record_of_the_streams_own_is_never_counted_as_lost(tmp_path: Path) -> None:
    """It is made again when there is room."""
    ours, _ = stream(blocked(tmp_path), capacity=0)
    assert ours.add(CanonicalRecord(event=STOP, time=2), end) is None
    assert ours.lost == 0


def test_a_record_waits_for_a_place(tmp_path: Path) -> None:
    """`on_full=block`: delivery makes room in time, and nothing is lost."""
    ours, overflow = stream(blocked(tmp_path), capacity=1, wait=5.0)
    ours.add(SIGN_IN)
    timer = threading.Timer(0.05, overflow.sent, [1])
    timer.start()
    assert ours.add(SIGN_IN) is not None
    timer.join()
    assert ours.dropped == 0


def test_nothing_follows_the_end(tmp_path: Path) -> None:
    """After `audit.stop` the stream takes no record: the caller begins another one."""
    ours, _ = stream(tmp_path)
    ours.add(SIGN_IN)
    assert ours.add(CanonicalRecord(event=STOP, time=2), end) is not None
    assert ours.ended
    assert ours.add(SIGN_IN) is None
    assert (ours.lost, chain(tmp_path)[-1].attributes[names.SEQUENCE_END]) == (0, "2")
