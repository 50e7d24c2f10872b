from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.journal.backlog import Backlog, Batch
from opentelemetry_instrumentation_authaudit.journal.canonical import digest
from opentelemetry_instrumentation_authaudit.journal.cursor import load
from opentelemetry_instrumentation_authaudit.journal.line import Envelope
from opentelemetry_instrumentation_authaudit.journal.names import cursor_path, dead_path, files, lock_path
from opentelemetry_instrumentation_authaudit.journal.overflow import Overflow
from opentelemetry_instrumentation_authaudit.journal.writer import Journal

from .helpers import DAY, ENVELOPE, OTHER, OWN, Clock, fill, journal, line_of, process, record


def numbers(first: int, last: int) -> tuple[bytes, ...]:
    """Records *first* to *last*."""
    return tuple(map(record, range(first, last + 1)))


def taken(backlog: Backlog, limit: int) -> Batch:
    """The next batch, which must be there."""
    batch = backlog.next(limit)
    assert batch is not None
    return batch


def all_of(backlog: Backlog, limit: int = 100) -> list[bytes]:
    """Everything, acknowledged batch by batch."""
    found: list[bytes] = []
    while (batch := backlog.next(limit)) is not None:
        found += batch.records
        backlog.acknowledge(batch)
    return found


def test_records_come_oldest_first_and_only_once_acknowledged(tmp_path: Path) -> None:
    """Asked again without an acknowledgement the same come again; a smaller number halves the batch."""
    fill(tmp_path, 5)
    backlog = Backlog(tmp_path, OWN)
    assert taken(backlog, 4).records == numbers(1, 4)
    assert taken(backlog, 2).records == numbers(1, 2)
    backlog.acknowledge(taken(backlog, 2))
    assert taken(backlog, 4).records == numbers(3, 5)
    assert backlog.depth() == 3
    backlog.acknowledge(taken(backlog, 4))
    assert backlog.next(4) is None
    assert backlog.depth() == 0


def test_a_batch_says_where_its_records_come_from(tmp_path: Path) -> None:
    """Resource, scope and schema as they stand in the lines: a request is put together from bytes."""
    fill(tmp_path, 1)
    batch = taken(Backlog(tmp_path, OWN), 1)
    assert (batch.stream, batch.resource, batch.scope) == (OWN, ENVELOPE.resource, ENVELOPE.scope)
    assert batch.schema_url == "https://schema.example/1"


def test_an_acknowledgement_outlives_the_process(tmp_path: Path) -> None:
    """Another process goes on where the cursor stands; the cursor names number and hash of the last record that arrived."""
    fill(tmp_path, 5).close(done=False)
    backlog = Backlog(tmp_path, OWN)
    backlog.acknowledge(taken(backlog, 3))
    heir = Backlog(tmp_path)
    assert heir.adopt() == 1
    assert all_of(heir) == list(numbers(4, 5))
    position = load(cursor_path(tmp_path, OWN))
    assert position is not None
    assert (position.number, position.hash) == (5, digest(record(5)))


def test_reading_goes_on_over_parts_and_days(tmp_path: Path) -> None:
    """Batches cross files; what is appended while somebody reads is found, also in a file that was just left."""
    clock = Clock()
    opened = fill(tmp_path, 3, now=clock)
    backlog = Backlog(tmp_path, OWN)
    assert all_of(backlog) == list(numbers(1, 3))
    opened.append(record(4))
    clock.now += DAY
    opened.append(record(5))
    clock.now -= 2 * DAY
    opened.append(record(6))
    assert taken(backlog, 9).records == numbers(4, 6)
    assert all_of(backlog, 1) == list(numbers(4, 6))


def test_a_line_that_is_not_finished_waits(tmp_path: Path) -> None:
    """A reader comes in the midst of a write: the record is delivered when it is whole."""
    fill(tmp_path, 2)
    path = tmp_path / files(tmp_path)[0].name
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:50])
    backlog = Backlog(tmp_path, OWN)
    assert all_of(backlog) == [record(1)]
    path.write_bytes(first + second)
    assert all_of(backlog) == [record(2)]


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    """What broke off on a full disk and was ended is no record, and holds up nothing."""
    fill(tmp_path, 2)
    path = tmp_path / files(tmp_path)[0].name
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:50] + b"~\n" + second)
    assert all_of(Backlog(tmp_path, OWN)) == list(numbers(1, 2))


def test_a_file_deleted_under_the_reader_comes_again(tmp_path: Path) -> None:
    """Retention by hand: the writer makes the file again, and the whole of it is delivered; receivers know records by their id."""
    clock = Clock()
    opened = fill(tmp_path, 2, now=clock)
    backlog = Backlog(tmp_path, OWN)
    backlog.acknowledge(taken(backlog, 1))
    (tmp_path / files(tmp_path)[0].name).unlink()
    opened.append(record(3))
    assert all_of(backlog) == list(numbers(1, 3))


def test_a_large_record_travels_alone(tmp_path: Path) -> None:
    """A request stays below what a collector takes by default, however large the records are."""
    opened = journal(tmp_path)
    for number in range(1, 4):
        opened.append(record(number, "x" * 1_500_000))
    assert [len(taken(Backlog(tmp_path, OWN), limit).records) for limit in (1, 3)] == [1, 1]
    assert len(all_of(Backlog(tmp_path, OWN))) == 3


def test_a_batch_never_mixes_resources(tmp_path: Path) -> None:
    """Lines of another resource in the same stream are the next batch."""
    fill(tmp_path, 2).forget()
    other = Journal(tmp_path, OWN, Envelope(b'{"attributes":[{}]}', ENVELOPE.scope, ENVELOPE.schema_url))
    other.append(record(3))
    backlog = Backlog(tmp_path, OWN)
    assert taken(backlog, 9).records == numbers(1, 2)
    backlog.acknowledge(taken(backlog, 9))
    assert taken(backlog, 9).resource == b'{"attributes":[{}]}'


def test_records_in_memory_come_after_those_on_disk(tmp_path: Path) -> None:
    """The disk is full: what waits in memory is delivered too, and its acknowledgement touches no file."""
    fill(tmp_path, 2)
    overflow = Overflow()
    for number in (3, 4):
        overflow.put(record(number))
    backlog = Backlog(tmp_path, OWN, overflow=overflow, envelope=ENVELOPE)
    assert backlog.depth() == 4
    backlog.acknowledge(taken(backlog, 9))
    batch = taken(backlog, 1)
    assert (batch.records, batch.resource, batch.end.file) == ((record(3),), ENVELOPE.resource, "")
    assert all_of(backlog) == list(numbers(3, 4))
    assert backlog.depth() == 0


def test_a_dead_process_is_adopted(tmp_path: Path) -> None:
    """Killed with a line half-written: its whole records are delivered, its lock goes, and nobody adopts it again."""
    code = "fill(Path(sys.argv[1]), 20, sys.argv[2]); print('done', flush=True); sys.stdin.read()"
    with process(code, tmp_path, OTHER) as other:
        assert line_of(other) == "done"
        backlog = Backlog(tmp_path, OWN)
        assert backlog.adopt() == 0  # it lives
        other.send_signal(signal.SIGKILL)
        other.wait()
    with (tmp_path / files(tmp_path, OTHER)[0].name).open("ab") as torn:
        torn.write(ENVELOPE.head + record(21)[:30])
    fill(tmp_path, 1, OWN)
    assert backlog.adopt() == 1
    assert backlog.depth() == 21
    assert all_of(backlog, 7) == [record(1), *numbers(1, 20)]
    assert not lock_path(tmp_path, OTHER).exists()
    assert backlog.adopt() == 0


def test_an_heir_that_stops_leaves_the_rest_to_the_next(tmp_path: Path) -> None:
    """Closed half way, the stream can be adopted again, from where it was left."""
    fill(tmp_path, 4, OTHER).close(done=False)
    first = Backlog(tmp_path, OWN)
    assert first.adopt() == 1
    first.acknowledge(taken(first, 3))
    second = Backlog(tmp_path)
    assert second.adopt() == 0
    first.close()
    assert second.adopt() == 1
    assert all_of(second) == [record(4)]


def test_own_and_adopted_streams_take_turns(tmp_path: Path) -> None:
    """A process that tells without a pause still delivers what a dead one left; asked again, the same batch comes."""
    fill(tmp_path, 4, OTHER).close(done=False)
    fill(tmp_path, 6)
    backlog = Backlog(tmp_path, OWN)
    assert backlog.adopt() == 1
    turns = []
    while (batch := backlog.next(2)) is not None:
        assert taken(backlog, 2) == batch
        turns.append(batch.stream)
        backlog.acknowledge(batch)
    assert turns == [OWN, OTHER, OWN, OTHER, OWN]


def test_what_nobody_wants_is_buried_with_its_reason(tmp_path: Path) -> None:
    """A poison record is set aside, readable, and the stream goes on behind it."""
    fill(tmp_path, 3)
    backlog = Backlog(tmp_path, OWN)
    backlog.bury(taken(backlog, 1), 'HTTP 400: "bad"')
    assert all_of(backlog) == list(numbers(2, 3))
    (grave,) = dead_path(tmp_path, OWN).read_bytes().splitlines()
    assert json.loads(grave) == {"why": 'HTTP 400: "bad"', "record": json.loads(record(1))}
    assert dead_path(tmp_path, OWN).stat().st_mode & 0o777 == 0o600


def test_a_cursor_that_cannot_be_written_is_told_and_remembered(tmp_path: Path) -> None:
    """The disk is full: the acknowledgement fails, but this process does not send the same records for ever."""
    folder = tmp_path / "svc"
    fill(folder, 2)
    backlog = Backlog(folder, OWN)
    batch = taken(backlog, 1)
    cursor_path(folder, OWN).mkdir()
    with pytest.raises(OSError, match="cursor"):
        backlog.acknowledge(batch)
    assert taken(backlog, 9).records == (record(2),)
