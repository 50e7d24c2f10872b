"""Records read ahead: handed out under what stands around them, in order, and only once they are done with gone."""

from __future__ import annotations

from dataclasses import replace

from opentelemetry_instrumentation_authaudit.journal.streams import MAX_BYTES
from opentelemetry_instrumentation_authaudit.journal.window import Window

from .helpers import ENVELOPE, record

OTHER = replace(ENVELOPE, resource=b'{"attributes":[{"key":"service.name","value":{"stringValue":"blog"}}]}')


def test_one_envelope_a_batch() -> None:
    """Of two services in turns, each batch holds one's records, in the order in which they came."""
    window = Window()
    window.fill([(ENVELOPE, record(1)), (OTHER, record(2)), (ENVELOPE, record(3)), (OTHER, record(4))])
    assert len(window) == 4
    found = []
    while (batch := window.next(10)) is not None:
        found.append((batch.resource, batch.records))
        window.passed(batch)
    assert found == [(ENVELOPE.resource, (record(1), record(3))), (OTHER.resource, (record(2), record(4)))]
    assert not window


def test_it_begins_at_the_same_record_until_it_is_passed() -> None:
    """A receiver that refuses is asked with fewer."""
    window = Window()
    window.fill((ENVELOPE, record(number)) for number in (1, 2, 3))
    for limit in (3, 2, 1):
        batch = window.next(limit)
        assert batch is not None
        assert batch.records == tuple(record(number) for number in range(1, limit + 1))
    assert batch is not None
    window.passed(batch)
    assert len(window) == 2


def test_no_more_bytes_than_a_receiver_takes() -> None:
    """Large records go in smaller batches, one that is too large for any goes alone."""
    window = Window()
    huge = record(1, "x" * (MAX_BYTES + 1))
    window.fill([(ENVELOPE, record(2, "y" * (MAX_BYTES // 2))), (ENVELOPE, huge), (ENVELOPE, record(3))])
    sizes = []
    while (batch := window.next(10)) is not None:
        sizes.append(len(batch.records))
        window.passed(batch)
    assert sizes == [1, 1, 1]
