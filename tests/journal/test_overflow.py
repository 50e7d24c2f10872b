from __future__ import annotations

import threading

from opentelemetry_instrumentation_authaudit.journal.overflow import Overflow


def filled(capacity: int, count: int) -> Overflow:
    """A queue with records 0, 1 and so on."""
    overflow = Overflow(capacity)
    for number in range(count):
        assert overflow.put(b"%d" % number)
    return overflow


def test_a_full_queue_refuses() -> None:
    """Memory is bounded: the third of two is not kept."""
    overflow = filled(2, 2)
    assert not overflow.room()
    assert not overflow.put(b"2")
    assert overflow.unsent(9) == ((b"0", b"1"), 2)


def test_what_was_delivered_makes_room() -> None:
    """Delivered records stay for the journal, but give way where a new one would be lost."""
    overflow = filled(2, 2)
    overflow.sent(1)
    assert (len(overflow), overflow.depth()) == (2, 1)
    assert overflow.put(b"2")
    assert overflow.unsent(9) == ((b"1", b"2"), 3)


def test_the_journal_takes_the_oldest() -> None:
    """When the disk has room again, records leave in the order they came."""
    overflow = filled(3, 3)
    taken = []
    while (oldest := overflow.oldest()) is not None:
        taken.append(oldest)
        overflow.journaled()
    assert taken == [b"0", b"1", b"2"]
    assert overflow.depth() == 0


def test_a_late_acknowledgement_does_not_reach_newer_records() -> None:
    """A batch is on its way, meanwhile the journal takes it and others come: the answer is about the batch alone."""
    overflow = filled(4, 2)
    _, place = overflow.unsent(9)
    overflow.journaled()
    overflow.journaled()
    assert overflow.put(b"new")
    overflow.sent(place)
    assert overflow.unsent(9)[0] == (b"new",)


def test_a_record_waits_for_a_place() -> None:
    """Option `on_full=block`: a place that comes free within the time is taken."""
    overflow = filled(1, 1)
    timer = threading.Timer(0.05, overflow.sent, [1])
    timer.start()
    assert overflow.put(b"1", timeout=5.0)
    timer.join()
