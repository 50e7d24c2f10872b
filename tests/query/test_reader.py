"""Reading: journals and collector files, whole and torn, in the order of time, each record once."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.journal.archive import archive
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, every_record, files_in, read

from .trail import DAY, SECOND, canonical, ids, line, write


def collector_line(*records: bytes) -> bytes:
    """A line of the collector's file exporter: many records in one document."""
    documents = [json.loads(line(record)) for record in records]
    first = documents[0]
    first["resourceLogs"][0]["scopeLogs"][0]["logRecords"] = [
        found for document in documents for found in document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    ]
    return json.dumps(first).encode() + b"\n"


def test_record_is_flat_and_complete(tmp_path: Path) -> None:
    """Attribute names, and when, what and which service."""
    path = write(tmp_path, [canonical(1, user__id="auth.user:42")])
    (record,) = read([path], Unreadable())
    assert record.flat() == {
        "logged_at": "2025-11-24T16:00:01.000000Z",
        "event": "auth.sign_in",
        "service": "shop",
        "audit.record.id": "aaaa-0001",
        "audit.action": "sign_in_with_password",
        "audit.outcome": "success",
        "audit.strategy": "password",
        "audit.library": "story 1.0",
        "audit.sequence.stream_id": "a" * 16,
        "audit.sequence.number": "1",
        "user.id": "auth.user:42",
        "severity": "9",
    }


def test_streams_are_merged_by_time(tmp_path: Path) -> None:
    """Two processes at once: one order, that of time, although a parked record was written late."""
    first = write(tmp_path, [canonical(1, at=1), canonical(2, at=5), canonical(3, at=3)])
    other = "b" * 16
    second = write(
        tmp_path, [canonical(n, at=at, stream=other) for n, at in ((1, 2), (2, 4))], name=f"2025-11-24.{other}.0001.jsonl"
    )
    assert ids([second, first]) == ["aaaa-0001", "bbbb-0001", "aaaa-0003", "bbbb-0002", "aaaa-0002"]


def test_parts_follow_each_other(tmp_path: Path) -> None:
    """Parts are read by their number, whatever the clock did to the day in their names."""
    parts = [
        write(tmp_path, [canonical(n, at=1)], name=f"{day}.{'a' * 16}.{n:04d}.jsonl")
        for n, day in ((1, "2025-11-25"), (2, "2025-11-24"), (10, "2025-11-24"))
    ]
    random.Random(1).shuffle(parts)
    assert ids(parts) == ["aaaa-0001", "aaaa-0002", "aaaa-0010"]


def test_collector_file_and_journal_hold_the_same_record_once(tmp_path: Path) -> None:
    """Copies are recognised by their id: delivery is at least once."""
    journal = write(tmp_path, [canonical(1), canonical(2)])
    copied = tmp_path / "audit.json"
    copied.write_bytes(collector_line(canonical(1), canonical(2), canonical(3)) + collector_line(canonical(2)))
    assert ids([journal, copied]) == ["aaaa-0001", "aaaa-0002", "aaaa-0003"]


def test_torn_and_joined_lines(tmp_path: Path) -> None:
    """A torn line costs itself and is counted; a good document behind it on the same line is found."""
    path = tmp_path / "torn.jsonl"
    torn = line(canonical(1))[:150]
    path.write_bytes(torn + line(canonical(2)) + b"\n" + line(canonical(3)) + b"garbage\n" + line(canonical(4))[:-20])
    unreadable = Unreadable()
    assert ids([path], unreadable) == ["aaaa-0002", "aaaa-0003"]
    assert unreadable.lines == 3
    assert bool(unreadable)


def test_foreign_records_are_passed_over(tmp_path: Path) -> None:
    """A collector's file may hold other logs: what has no record id is not ours."""
    document = json.loads(line(canonical(1)))
    document["resourceLogs"][0]["scopeLogs"][0]["logRecords"].append({"timeUnixNano": "1", "body": {"stringValue": "hello"}})
    path = tmp_path / "mixed.jsonl"
    path.write_text(json.dumps(document) + "\n" + json.dumps({"resourceSpans": []}) + "\n[1]\n")
    assert ids([path]) == ["aaaa-0001"]


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The others are read."""
    unreadable = Unreadable()
    assert ids([tmp_path / "gone.jsonl", write(tmp_path, [canonical(1)])], unreadable) == ["aaaa-0001"]
    assert list(unreadable.files) == [str(tmp_path / "gone.jsonl")]


def test_old_files_are_left_closed(tmp_path: Path) -> None:
    """A journal of last month is not opened for a question about today."""
    old = write(tmp_path, [canonical(1)], name=f"2025-10-01.{'a' * 16}.0001.jsonl")
    new = write(tmp_path, [canonical(2)], name=f"2025-11-24.{'a' * 16}.0002.jsonl")
    assert [record.id for record in read([old, new], Unreadable(), since=DAY)] == ["aaaa-0002"]


def test_a_collectors_file_is_opened_for_every_time(tmp_path: Path) -> None:
    """Its name says nothing of when its records are from."""
    path = write(tmp_path, [canonical(1)], name="audit.jsonl")
    assert [record.id for record in read([path], Unreadable(), since=DAY)] == ["aaaa-0001"]


def test_place_is_a_file_a_service_or_all_services(tmp_path: Path) -> None:
    """Dead letters are no part of the trail."""
    path = write(tmp_path, [canonical(1)])
    (path.parent / f"{'a' * 16}.dead.jsonl").write_text("{}")
    assert files_in(path) == files_in(path.parent) == files_in(tmp_path) == [path]
    assert files_in(tmp_path / "nowhere") == []


def test_archived_files_are_read_as_the_files_they_were(tmp_path: Path) -> None:
    """Days in the archive, today's file beside it, one day in both: one trail, each record once, old archives left closed."""
    folder, safe = tmp_path / "journal", tmp_path / "archive"
    days = [write(folder, [canonical(n)], name=f"2025-11-2{n}.{'a' * 16}.000{n}.jsonl") for n in (1, 2, 3, 4)]
    dead = folder / "shop" / f"{'a' * 16}.dead.jsonl"
    dead.write_text("{}")
    for path in (*days[:3], dead):
        archive(path, safe / "shop")
    for path in days[:2]:
        path.unlink()
    assert [path.name for path in files_in(safe)] == [f"{path.name}.gz" for path in days[:3]]
    assert files_in(safe / "shop") == files_in(safe)
    expected = [f"aaaa-000{number}" for number in (1, 2, 3, 4)]
    assert ids([*files_in(safe), *files_in(folder)]) == expected
    assert [record.file for record, _ in every_record(files_in(safe)[:1], Unreadable())] == [f"{days[0].name}.gz:1"]
    assert [record.id for record in read(files_in(safe), Unreadable(), since=DAY + 5 * 86_400 * SECOND)] == []


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[:-9], lambda packed: packed[:40] + b"x" + packed[41:], lambda _: b"none"]
)
def test_a_damaged_archive_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Cut off, changed, no archive at all: said, not passed over."""
    path = archive(write(tmp_path, [canonical(number) for number in range(1, 90)]), tmp_path / "archive")
    path.write_bytes(damage(path.read_bytes()))
    for reading in (lambda unreadable: list(read([path], unreadable)), lambda unreadable: list(every_record([path], unreadable))):
        unreadable = Unreadable()
        reading(unreadable)
        assert list(unreadable.files) == [str(path)]


def test_far_out_of_order_within_the_window(tmp_path: Path) -> None:
    """A thousand records that waited for the end of their requests still come out in order."""
    times = list(range(1000))
    random.Random(2).shuffle(times)
    path = write(tmp_path, [canonical(n, at=at) for n, at in enumerate(times, 1)])
    read_times = [(record.time - DAY) // SECOND for record in read([path], Unreadable())]
    assert read_times == sorted(times)


def test_stream_is_opened_when_its_time_has_come(tmp_path: Path) -> None:
    """Months of streams: only those that live at once are open, so a year's trail is read in little memory."""
    days = [f"2025-11-{day:02d}" for day in (20, 22, 24, 26)]
    start = DAY // 86_400_000_000_000 * 86_400_000_000_000 - 4 * 86_400_000_000_000
    files = [
        write(
            tmp_path,
            [canonical(n, at=(start - DAY) // SECOND + index * 2 * 86_400 + n, stream=f"{index}" * 16) for n in (1, 2)],
            name=f"{day}.{str(index) * 16}.0001.jsonl",
        )
        for index, day in enumerate(days)
    ]
    looked_at: list[bytes] = []

    def look(lines: bytes | bytearray) -> bool:
        looked_at.append(bytes(lines))
        return True

    records = read(files, Unreadable(), may_match=look)
    assert next(records).id == "0000-0001"
    assert {b'"0000-' in seen for seen in looked_at} == {True}
    assert [record.id for record in records] == [
        "0000-0002",
        "1111-0001",
        "1111-0002",
        "2222-0001",
        "2222-0002",
        "3333-0001",
        "3333-0002",
    ]


@pytest.mark.parametrize(
    "foreign",
    [
        b'{"resourceLogs":null}',
        b'{"resourceLogs":[1,{"resource":null,"scopeLogs":[{"logRecords":"x"}]}]}',
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"value":{}},7]}]}]}]}',
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"a","value":null},{"key":[]}]}]}]}]}',
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":[],"attributes":{"a":1}}]}]}]}',
    ],
)
def test_records_of_others_may_have_any_shape(tmp_path: Path, foreign: bytes) -> None:
    """Somebody else's logs share the collector's file: they are none of ours, and no fault."""
    path, unreadable = tmp_path / "mixed.jsonl", Unreadable()
    path.write_bytes(foreign + b"\n" + line(canonical(1)))
    assert ids([path], unreadable) == ["aaaa-0001"]
    assert not unreadable


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b'"timeUnixNano":"', b'"timeUnixNano":"999999999'),
        (b'"timeUnixNano":"', b'"timeUnixNano":"x'),
        (b'"timeUnixNano":"', b'"timeUnixNano":"-'),
        (b'"intValue":"1"', b'"intValue":"one"'),
        (b'{"resourceLogs"', b"[" * 100_000 + b'{"resourceLogs"'),
    ],
)
def test_damaged_record_costs_itself(tmp_path: Path, good: bytes, bad: bytes) -> None:
    """A number that is none, a time of no calendar, a nesting without end: counted, and the next record is read."""
    path, unreadable = tmp_path / "damaged.jsonl", Unreadable()
    path.write_bytes(line(canonical(1)).replace(good, bad) + line(canonical(2)))
    assert ids([path], unreadable)[-1] == "aaaa-0002"
    assert unreadable.lines == 1


def test_values_that_are_no_text_are_read_as_json(tmp_path: Path) -> None:
    """A collector's processor added a flag and a list."""
    document = json.loads(line(canonical(1)))
    more = [{"key": "flag", "value": {"boolValue": True}}, {"key": "list", "value": {"arrayValue": {"values": []}}}]
    document["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"] += more
    path = tmp_path / "collected.jsonl"
    path.write_text(json.dumps(document))
    (record,) = read([path], Unreadable())
    assert (record.attributes["flag"], record.attributes["list"], record.number) == ("true", '{"values": []}', 1)


def test_torn_line_is_counted_whatever_is_asked(tmp_path: Path) -> None:
    """What was lost might have been an answer: the look at the raw line does not hide it."""
    path, unreadable = tmp_path / "torn.jsonl", Unreadable()
    path.write_bytes(line(canonical(1))[:200] + line(canonical(2)) + line(canonical(3))[:300] + b"\n" + line(canonical(4)))
    assert list(read([path], unreadable, may_match=lambda _whole: False)) != []
    assert unreadable.lines == 2
