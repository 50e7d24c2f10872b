"""Verifying: what was done to the evidence is found and named, and nobody honest is accused."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.journal import cursor
from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, digest, encode
from opentelemetry_instrumentation_authaudit.journal.names import cursor_path
from opentelemetry_instrumentation_authaudit.journal.signing import SigningKey
from opentelemetry_instrumentation_authaudit.model import names

from .history import (
    FIRST_KEY,
    Process,
    chained,
    collected,
    faults,
    history,
    journals,
    kinds,
    printed,
    registry_of,
    stream,
    verification,
)

Streams = list[list[CanonicalRecord]]


@pytest.fixture
def streams() -> Streams:
    """Two processes: one that ended, one that was killed."""
    return history([Process(12), Process(7, stopped=False)])


def everything(streams: Streams) -> list[CanonicalRecord]:
    """All records, stream by stream."""
    return [record for records in streams for record in records]


def test_whole_history(tmp_path: Path, streams: Streams) -> None:
    """Nothing is wrong; what is open, and what no signature covers yet, is said."""
    found = verification([collected(tmp_path, everything(streams))])
    assert [f"{finding.kind.value} {finding.number}" for finding in found.findings()] == ["open 9", "unsigned 9"]
    assert (found.records, found.duplicates, found.sealed, len(found.streams)) == (25, 0, 4, 2)


def test_export_is_as_good_as_the_files(tmp_path: Path, streams: Streams) -> None:
    """The canonical bytes are made again from what `query --format json` prints."""
    found = verification([printed(tmp_path, everything(streams))])
    assert not [finding for finding in found.findings() if finding.kind.fault]
    assert (found.records, found.sealed) == (25, 4)


def changed(record: CanonicalRecord, name: str = names.OUTCOME, value: str = "failure") -> CanonicalRecord:
    """The record with another value."""
    return replace(record, attributes={**record.attributes, name: value})


@pytest.mark.parametrize(
    "change",
    [
        changed,
        lambda record: changed(record, "extra", "x"),
        lambda record: replace(record, time=record.time + 1000),
        lambda record: replace(record, event="auth.sign_out"),
        lambda record: replace(record, severity=13),
        lambda record: replace(record, trace_id=7),
        lambda record: replace(record, attributes={k: v for k, v in record.attributes.items() if k != names.SUBJECT}),
    ],
    ids=["value", "added", "time", "event", "severity", "trace", "removed"],
)
def test_modified(tmp_path: Path, streams: Streams, change: Callable[[CanonicalRecord], CanonicalRecord]) -> None:
    """Whatever part of a record was changed, the next one tells; the finding names record, file and line."""
    streams[0][4] = change(streams[0][4])
    (finding,) = faults([collected(tmp_path, everything(streams))])
    assert (finding.kind.value, finding.number, finding.id, finding.file) == ("modified", 5, "0001-0005", "collected.jsonl:5")


def test_deleted(tmp_path: Path, streams: Streams) -> None:
    """One record, several, and the first."""
    del streams[0][9], streams[0][5:7], streams[1][0]
    assert [(f.kind.value, f.number, f.says) for f in faults([collected(tmp_path, everything(streams))])] == [
        ("deleted", 8, "records 6 to 7 are missing"),
        ("deleted", 11, "record 10 is missing"),
        ("deleted", 2, "the beginning is missing: record 1"),
    ]


def test_inserted_beside_the_true_one(tmp_path: Path, streams: Streams) -> None:
    """A forged copy of a record, before or after the true one: the forged one is named, since the chain goes on from the other."""
    forged = changed(streams[0][4])
    for place in (4, 5, 11):
        records = everything(streams)
        records.insert(place, forged)
        (finding,) = faults([collected(tmp_path, records)])
        assert (finding.kind.value, finding.number, finding.file) == ("inserted", 5, f"collected.jsonl:{place + 1}")


def test_inserted_without_a_place(tmp_path: Path, streams: Streams) -> None:
    """A record that belongs to no stream, and one behind the end of a stream."""
    stray = CanonicalRecord(event="auth.sign_in", time=1, attributes={names.RECORD_ID: "stray"})
    behind = changed(streams[0][-2], names.SEQUENCE_NUMBER, 17)  # type: ignore[arg-type]
    found = faults([collected(tmp_path, [stray, *everything(streams), behind])])
    assert [(f.kind.value, f.id) for f in found if f.kind.value == "inserted"] == [
        ("inserted", "stray"),
        ("inserted", "0001-0015"),
    ]


def test_numbers_swapped(tmp_path: Path, streams: Streams) -> None:
    """The number is part of what is hashed."""
    first, second = streams[0][4:6]
    streams[0][4:6] = [
        replace(second, attributes={**second.attributes, names.SEQUENCE_NUMBER: 5}),
        replace(first, attributes={**first.attributes, names.SEQUENCE_NUMBER: 6}),
    ]
    assert [f.kind.value for f in faults([collected(tmp_path, everything(streams))])] == ["modified"] * 3


def test_journal_lines_in_another_order(tmp_path: Path, streams: Streams) -> None:
    """A collector may write in any order; a journal is only appended to."""
    streams[0][4:6] = reversed(streams[0][4:6])
    assert not faults([collected(tmp_path, everything(streams))])
    (folder := tmp_path / "journal").mkdir()
    journals(folder, streams)
    assert [(f.kind.value, f.number) for f in faults(sorted(folder.glob("*.jsonl")))] == [("reordered", 5)]


def test_record_in_the_file_of_another_stream(tmp_path: Path, streams: Streams) -> None:
    """Moved from one journal to another."""
    streams[1].append(streams[0].pop(3))
    found = faults(sorted(journals(tmp_path, streams).glob("*.jsonl")))
    assert [(f.kind.value, f.number) for f in found] == [("inserted", 4)]


def test_chain_made_anew(tmp_path: Path, streams: Streams) -> None:
    """Who changes a record and all hashes behind it cannot sign the checkpoints; without the key nobody sees it."""
    streams[0][4] = changed(streams[0][4])
    signatures = [record.attributes.get(names.INTEGRITY_VALUE) for record in streams[0]]
    again = chained(streams[0], SigningKey.parse("a key of the attacker's own"))
    for number, value in enumerate(signatures):
        if value is not None:
            again[number] = replace(again[number], attributes={**again[number].attributes, names.INTEGRITY_VALUE: value})
    assert [f.kind.value for f in faults([collected(tmp_path, chained(again, None))], key=False)] == []
    same_key = [changed(record, names.INTEGRITY_KEY_ID, f"{SigningKey.parse(FIRST_KEY).id}.0") for record in chained(again, None)]
    assert {f.kind.value for f in faults([collected(tmp_path, chained(same_key, None))])} == {"forged"}


def test_key_of_a_later_start_does_not_sign_the_past(tmp_path: Path) -> None:
    """Who reads the key file today has a later generation: what is signed with that under an earlier name is found."""
    later = SigningKey.parse(FIRST_KEY).next()
    pretended = SigningKey(later.id, 0, later.secret)
    assert [f.kind.value for f in faults([collected(tmp_path, stream(1, Process(9), key=pretended))])] == ["forged", "forged"]


def test_end_cut_off_behind_a_delivery(tmp_path: Path, streams: Streams) -> None:
    """The cursor remembers how far a stream was delivered."""
    folder = journals(tmp_path, [streams[0][:-3], streams[1]])
    identity = f"{1:016x}"
    cursor.save(cursor_path(folder, identity), cursor.Position("f", 1, 15, digest(encode(streams[0][-1]))))
    assert [(f.kind.value, f.number) for f in faults(sorted(folder.glob("*.jsonl")))] == [("truncated", 13)]


def test_registry_knows_what_is_gone(tmp_path: Path, streams: Streams) -> None:
    """A whole stream, an end, and a change to the last record of all."""
    registry = registry_of([collected(tmp_path, everything(streams))])
    kept, lost = streams
    assert [f.kind.value for f in faults([collected(tmp_path, kept)], registry=registry)] == ["missing"]
    assert [f.kind.value for f in faults([collected(tmp_path, [*kept, *lost[:-1]])], registry=registry)] == ["truncated"]
    last = [*kept, *lost[:-1], changed(lost[-1])]
    assert [f.kind.value for f in faults([collected(tmp_path, last)])] == []
    assert [f.kind.value for f in faults([collected(tmp_path, last)], registry=registry)] == ["modified"]


def test_beginning_older_than_the_lifetime(tmp_path: Path) -> None:
    """Retention took it; a younger one was taken by somebody else."""
    old = stream(1, Process(5), at=-91 * 86_400)
    new = stream(2, Process(5))
    files = [collected(tmp_path, [*old[2:], *new])]
    assert kinds(files, key=False, lifetime=90) == ["expired 3"]
    assert kinds(files, key=False, lifetime=100) == ["deleted 3"]
    assert kinds(files, key=False) == ["deleted 3"]


@st.composite
def histories(draw: st.DrawFn) -> Streams:
    """One to three processes."""
    process = st.builds(Process, st.integers(2, 14), st.integers(2, 6), st.booleans())
    return history(draw(st.lists(process, min_size=1, max_size=3)))


@given(histories(), st.randoms(use_true_random=False), st.integers(1, 9))
def test_nobody_honest_is_accused(streams: Streams, chance: random.Random, part: int) -> None:
    """Journals in parts, beside them a collector's file: in any order, with repetitions, and some records in one of them only."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        registry = registry_of([collected(folder, everything(streams))])
        records = everything(streams)
        copies = [*records, *chance.choices(records, k=len(records) // 2)]
        chance.shuffle(copies)
        files = [*sorted(journals(folder, streams, part=part).glob("2*.jsonl")), collected(folder, copies)]
        chance.shuffle(files)
        files.sort(key=lambda path: path.name.startswith("2"))  # parts of a journal in their order
        assert not faults(sorted(files), registry=registry)
        assert not faults([collected(folder, copies)], registry=registry)


def _replace_one(streams: Streams, chance: random.Random) -> None:
    records = chance.choice(streams)
    place = chance.randrange(len(records))
    changes = (
        changed,
        lambda record: replace(record, time=record.time + chance.choice([-1000, 1000])),
        lambda record: replace(record, event="auth.sign_out"),
        lambda record: changed(record, names.SUBJECT, "auth.user:999"),
        lambda record: changed(record, names.PREVIOUS_HASH, digest(b"x")),
    )
    records[place] = chance.choice(changes)(records[place])


def _remove_some(streams: Streams, chance: random.Random) -> None:
    records = chance.choice(streams)
    place = chance.randrange(len(records))
    del records[place : place + chance.randint(1, 3)]


def _remove_stream(streams: Streams, chance: random.Random) -> None:
    streams.remove(chance.choice(streams))


def _add_one(streams: Streams, chance: random.Random) -> None:
    records = chance.choice(streams)
    copy = changed(chance.choice(records), names.RECORD_ID, "forged")
    records.insert(chance.randrange(len(records) + 1), copy)


def _chain_anew(streams: Streams, chance: random.Random) -> None:
    records = chance.choice(streams)
    place = chance.randrange(len(records))
    records[place] = changed(records[place], names.SUBJECT, "auth.user:999")
    records[:] = chained(records, None)


def _exchange(streams: Streams, chance: random.Random) -> None:
    records = chance.choice(streams)
    first, second = chance.sample(range(len(records)), 2)
    for one, other in ((first, second), (second, first)):
        records[one] = replace(records[one], attributes={**records[one].attributes, names.SEQUENCE_NUMBER: other + 1})


@given(
    histories(),
    st.randoms(use_true_random=False),
    st.sampled_from([_replace_one, _remove_some, _remove_stream, _add_one, _chain_anew, _exchange]),
)
def test_tampering_is_found(streams: Streams, chance: random.Random, tamper: Callable[[Streams, random.Random], None]) -> None:
    """Whatever was done after the registry was written."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        registry = registry_of([collected(folder, everything(streams))])
        tamper(streams, chance)
        assert faults([collected(folder, everything(streams))], registry=registry)
