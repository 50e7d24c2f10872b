from __future__ import annotations

from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.journal.backlog import Backlog
from opentelemetry_instrumentation_authaudit.journal.names import JournalFile, cursor_path, files, lock_path
from opentelemetry_instrumentation_authaudit.journal.retention import Held, Retention, doomed

from .helpers import DAY, MORNING, OTHER, OWN, Clock, fill, journal, record, written


def held(day: str, size: int = 100, *, needed: bool = False, part: int = 1) -> Held:
    """A file of that day."""
    return Held(JournalFile(OWN, part, day), size, needed)


def days(gone: list[JournalFile]) -> list[str]:
    """The days of the files to delete."""
    return [file.day for file in gone]


def test_a_file_is_kept_through_its_last_day() -> None:
    """90 days from 24 November reach back to 26 August: what was begun on that day stays, the day before goes."""
    kept = [held("2026-08-25"), held("2026-08-26"), held("2026-11-24")]
    assert days(doomed(kept, oldest_day="2026-08-26", max_bytes=None)) == ["2026-08-25"]


def test_without_limits_nothing_goes() -> None:
    """`log_lifetime=infinity`."""
    assert doomed([held("1970-01-01", 10**12)], oldest_day=None, max_bytes=None) == []


def test_the_oldest_make_room() -> None:
    """250 bytes for 400: two files of 100 go, the oldest two, whatever order they are found in."""
    kept = [held("2026-11-03"), held("2026-11-01"), held("2026-11-04"), held("2026-11-02")]
    assert days(doomed(kept, oldest_day=None, max_bytes=250)) == ["2026-11-01", "2026-11-02"]


def test_what_age_frees_is_not_freed_again() -> None:
    """An expired file counts as room already."""
    kept = [held("2026-01-01", 300), held("2026-11-01"), held("2026-11-02")]
    assert days(doomed(kept, oldest_day="2026-10-01", max_bytes=200)) == ["2026-01-01"]


def test_a_needed_file_stays_at_any_age_and_size() -> None:
    """What is being written, or not delivered yet, is never deleted."""
    kept = [held("2020-01-01", 10**9, needed=True), held("2020-01-02")]
    assert days(doomed(kept, oldest_day="2026-01-01", max_bytes=1)) == ["2020-01-02"]


def old_and_new(folder: Path, *, delivering: bool = False) -> Retention:
    """A stream with records of 1 August and of 24 November, not closed; kept for 90 days."""
    clock = Clock(MORNING - 115 * DAY)
    opened = fill(folder, 2, now=clock)
    clock.now = MORNING
    opened.append(record(3))
    opened.close(done=False)
    return Retention(folder, 90, None, delivering=delivering)


def test_old_records_go_by_themselves(tmp_path: Path) -> None:
    """After 115 days of 90 the file is gone; the younger one is not."""
    retention = old_and_new(tmp_path, delivering=False)
    assert [file.day for file in retention.apply(MORNING)] == ["2026-08-01"]
    assert written(tmp_path) == [record(3)]
    assert retention.apply(MORNING) == []


def test_what_is_not_acknowledged_stays(tmp_path: Path) -> None:
    """The collector was away for months: the records wait, and go once it has them."""
    retention = old_and_new(tmp_path, delivering=True)
    assert retention.apply(MORNING) == []
    backlog = Backlog(tmp_path)
    assert backlog.adopt() == 1
    batch = backlog.next(2)
    assert batch is not None
    backlog.acknowledge(batch)
    assert retention.apply(MORNING) == []  # the cursor still stands in that file
    batch = backlog.next(2)
    assert batch is not None
    backlog.acknowledge(batch)
    assert [file.day for file in retention.apply(MORNING)] == ["2026-08-01"]


@pytest.mark.parametrize("delivering", [False, True])
def test_the_file_that_is_being_written_stays(tmp_path: Path, *, delivering: bool) -> None:
    """A process that had nothing to tell for years still has its file open."""
    opened = fill(tmp_path, 1, now=Clock(MORNING - 1000 * DAY))
    assert Retention(tmp_path, 90, 1, delivering=delivering).apply(MORNING) == []
    opened.close(done=True)


def test_with_the_last_file_of_a_stream_go_cursor_and_lock(tmp_path: Path) -> None:
    """A dead stream leaves nothing behind; another one's files are untouched."""
    fill(tmp_path, 1, now=Clock(MORNING - 100 * DAY)).close(done=False)
    alive = fill(tmp_path, 1, OTHER, now=Clock())
    cursor_path(tmp_path, OWN).touch()
    (tmp_path / f".{OWN}.cursor.4711").touch()  # killed while it wrote its cursor
    Retention(tmp_path, 90, None, delivering=False).apply(MORNING)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [files(tmp_path, OTHER)[0].name, lock_path(tmp_path, OTHER).name]
    )
    alive.close(done=True)


def test_foreign_files_are_never_touched(tmp_path: Path) -> None:
    """Whoever keeps notes in the folder finds them again."""
    (tmp_path / "2020-01-01.notes.jsonl").write_text("mine", encoding="utf-8")
    journal(tmp_path)
    assert Retention(tmp_path, 1, 1, delivering=False).apply(MORNING) == []
    assert (tmp_path / "2020-01-01.notes.jsonl").exists()
