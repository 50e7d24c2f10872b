"""A store against its sources: what is missing, different, unknown, and what is no gap."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from dataclasses import replace

from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.query.comparison import Comparison, Gap
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable, parse

from .history import Process, stream
from .trail import DAY, SECOND, line

LATER = DAY + 1_000_000 * SECOND
EXPIRED = {names.EXPIRED_STREAM: f"{1:016x}", names.EXPIRED_FIRST: "3", names.EXPIRED_NUMBER: "4"}


def records(number: int = 1, events: int = 8) -> list[Record]:
    """What a reader gives of the stream of one process: its start, events and a checkpoint, its end."""
    return [read(record) for record in stream(number, Process(events))]


def read(record: CanonicalRecord) -> Record:
    """The record, read back."""
    (found,) = parse(line(encode(record)), Unreadable(), "audit.jsonl:1")
    return found


def compared(sources: Iterable[Record], store: Iterable[Record], settled: int = LATER) -> list[str]:
    """Every difference: gap, stream's last digit, first and last number."""
    comparison = Comparison(settled)
    for record in sources:
        comparison.expect(record)
    for record in store:
        comparison.find(record)
    return [f"{found.gap.value} {found.stream[-1]}: {found.first}-{found.last}" for found in comparison.differences()]


def changed(record: Record, **attributes: str) -> Record:
    """The same place with another content."""
    return replace(
        record, attributes={**record.attributes, **{name.replace("__", "."): text for name, text in attributes.items()}}
    )


def test_equal_in_any_order() -> None:
    """What both have is no difference, however it is sorted, and however often the sources have it."""
    first, second = records(1), records(2)
    assert compared([*first, *second, *first], [*reversed(second), *first]) == []


def test_missing_records_are_told_as_runs() -> None:
    """A stretch in the middle, one at the end, a whole stream."""
    first, second = records(1), records(2)
    assert compared([*first, *second], [*first[:2], *first[4:9]]) == ["missing 1: 3-4", "missing 1: 10-11", "missing 2: 1-11"]


def test_another_content_under_a_number_is_different() -> None:
    """Also where only the id was changed, or an attribute was added; the true copy beside it does not excuse it."""
    found = records()
    altered = changed(found[2], user__id="auth.user:mallory")
    assert compared(found, [*found[:2], altered, *found[3:]]) == ["different 1: 3-3"]
    assert compared(found, [*found, altered]) == ["different 1: 3-3"]
    assert compared(found, [*found[:2], changed(found[2], **{names.RECORD_ID: "other"}), *found[3:]]) == ["different 1: 3-3"]
    assert compared(found, [*found[:2], changed(found[2], more="x"), *found[3:]]) == ["different 1: 3-3"]


def test_sources_that_contradict_each_other() -> None:
    """A collector changed a record on its way: the store may have either, and the contradiction is told once."""
    found = records()
    altered = changed(found[2], user__id="[redacted]")
    for store in (found, [*found[:2], altered, *found[3:]]):
        assert compared([*found, altered, altered], store) == ["disputed 1: 3-3"]


def test_copies_are_a_note() -> None:
    """Sent again after a lost answer."""
    found = records()
    assert compared(found, [*found, *found[3:5], found[3]]) == ["doubled 1: 4-5"]
    assert not Gap.DOUBLED.fault


def test_what_only_the_store_has() -> None:
    """Behind and between the sources' records it is a gap in the sources; before them, or told by the evidence, it expired."""
    found = records()
    assert compared(found[:4], found) == ["unknown 1: 5-11"]
    assert compared([*found[:4], *found[6:]], found) == ["unknown 1: 5-6"]
    assert compared(found[4:], found) == ["expired 1: 1-4"]
    told = replace(records(2)[0], event="audit.records_expired")
    told = replace(told, attributes={**told.attributes, **EXPIRED})
    assert compared([*found[:2], *found[4:], told], [*found, told]) == ["expired 1: 3-4"]
    assert compared(found, [*found, *records(2)]) == ["elsewhere 2: 1-11"]


def test_young_records_may_be_on_their_way() -> None:
    """Neither the newest of the sources nor the newest of the store is a gap: somebody is writing."""
    found = records()
    settled = found[5].time
    assert compared(found, found[:6], settled) == []
    assert compared(found[:6], found, settled) == []
    assert compared(found, [*found[:5], *found[6:]], settled) == ["missing 1: 6-6"]


def test_records_of_this_command_that_nobody_delivered() -> None:
    """A comparison does not accuse the store of lacking the comparison before."""
    found = records()
    own = [record if record.number != 2 else replace(record, event="audit.reconciled") for record in records(2)]
    assert compared([*found, *own], found) == ["own 2: 1-11"]


def test_the_comparison_leaves_itself_out() -> None:
    """Its own stream is being written while it compares."""
    found = records()
    comparison = Comparison(LATER, without=f"{1:016x}")
    comparison.expect(found[0])
    comparison.find(found[1])
    assert (list(comparison.differences()), comparison.expected, comparison.unplaced) == ([], 0, 0)


def test_records_without_a_place_are_counted() -> None:
    """No stream or no number, on either side: the verifier names them."""
    comparison = Comparison(LATER)
    comparison.expect(replace(records()[0], number=0))
    comparison.find(replace(records()[0], attributes={names.RECORD_ID: "x"}))
    comparison.find(replace(records()[0], trace_id="no hexadecimal number"))
    assert (comparison.unplaced, comparison.expected, comparison.found) == (3, 0, 0)


def test_repair_takes_each_record_once() -> None:
    """From whichever copy it comes first; then it counts as missing until the store shows it, and again once it is doubted."""
    found = records()
    comparison = Comparison(LATER)
    for record in [*found, *found]:
        comparison.expect(record)
    for record in found[:8]:
        comparison.find(record)
    assert comparison.missing() == 3
    assert [record.number for record in [*found, *found] if comparison.take(record)] == [9, 10, 11]
    assert comparison.missing(taken=True) == 3
    for record in found[:10]:
        comparison.recheck(record)
    assert [found.first for found in comparison.differences()] == [11]  # and nothing is doubled by being seen again
    comparison.doubt()
    assert comparison.missing(taken=True) == 3
    comparison.recheck(changed(found[9], user__id="other"))
    assert comparison.missing() == 3


def test_a_million_records_fit() -> None:
    """Of a record 17 bytes are kept, and little around them; here 10,000 in two streams."""
    template = records()[0]
    comparison = Comparison(LATER)
    tracemalloc.start()
    for name in ("a" * 16, "b" * 16):
        attributes = {**template.attributes, names.STREAM_ID: name}
        for number in range(1, 5_001):
            comparison.expect(replace(template, attributes=attributes, number=number))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert comparison.expected == 10_000
    assert kept / 10_000 < 25


def test_numbers_out_of_thin_air_take_no_memory() -> None:
    """A forger's record with a huge number costs a chunk, not everything up to it."""
    found = records()
    forged = replace(found[0], number=10**15)
    assert compared(found, [*found, forged]) == [f"unknown 1: {10**15}-{10**15}"]
