"""Retention of journals: whole files go, told before; held, needed and unarchived ones stay."""

from __future__ import annotations

import gzip
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from opentelemetry_instrumentation_authaudit.journal.backlog import Backlog
from opentelemetry_instrumentation_authaudit.journal.canonical import GENESIS, CanonicalRecord, digest, encode
from opentelemetry_instrumentation_authaudit.journal.holds import HOLDS_FILE, changing
from opentelemetry_instrumentation_authaudit.journal.names import cursor_path, dead_path, files, lock_path
from opentelemetry_instrumentation_authaudit.journal.retention import Retention
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.lifetime import Hold

from .helpers import DAY, MORNING, OTHER, OWN, Clock, fill, journal, record, run, written


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


def month(folder: Path, stream: str = OWN, *, days: int = 30) -> None:
    """A process that recorded three times a day through the days before this morning, chained; it has ended."""
    clock = Clock()
    opened = journal(folder, stream, now=clock)
    previous = GENESIS
    for number in range(1, 3 * days + 1):
        clock.now = MORNING - (days - (number - 1) // 3) * DAY
        made = CanonicalRecord(
            event="e",
            time=clock.now,
            attributes={
                names.RECORD_ID: f"{stream[-2:]}-{number}",
                names.STREAM_ID: stream,
                names.SEQUENCE_NUMBER: number,
                names.PREVIOUS_HASH: previous,
                names.SUBJECT: f"user:{number}",
            },
        )
        opened.append(encode(made))
        previous = digest(encode(made))
    opened.close(done=True)


def names_of(folder: Path) -> list[str]:
    """The days of the files that are there."""
    return [file.day for file in files(folder)]


def test_evidence_comes_before_the_deletion(tmp_path: Path) -> None:
    """When it is told, everything is still there; what cannot be told is not done."""
    month(tmp_path)
    retention = Retention(tmp_path, 10, None, delivering=False)
    assert retention.tidy(MORNING, lambda: False) == []
    assert len(names_of(tmp_path)) == 30
    retention.expired.clear()
    seen: list[int] = []

    def tell() -> bool:
        seen.append(len(names_of(tmp_path)))
        return True

    assert len(retention.tidy(MORNING, tell)) == 20
    assert seen == [30]
    (told,) = retention.expired
    assert (told.first, told.number, told.whole) == (1, 60, False)
    assert retention.tidy(MORNING, tell) == []
    assert len(retention.expired) == 1


def test_nothing_to_delete_is_nothing_to_tell(tmp_path: Path) -> None:
    """A young journal, and a folder that is not there."""
    month(tmp_path, days=5)
    for folder in (tmp_path, tmp_path / "nobody"):
        retention = Retention(folder, 10, None, delivering=False)
        assert retention.tidy(MORNING, lambda: pytest.fail("told of nothing")) == []
    assert not (tmp_path / "nobody").exists()


def test_held_files_stay_and_what_goes_between_them_is_told_exactly(tmp_path: Path) -> None:
    """A hold on the subject of record 16 (the sixth day): its file stays, the five days before and the rest after it go."""
    month(tmp_path)
    with changing(tmp_path) as holds:
        holds.append(Hold(id="h", subject="user:16"))
    retention = Retention(tmp_path, 10, None, delivering=False)
    assert len(retention.tidy(MORNING, lambda: True)) == 19
    assert len(names_of(tmp_path)) == 11
    assert [(found.first, found.number) for found in retention.expired] == [(1, 15), (19, 60)]
    with changing(tmp_path) as holds:
        holds.clear()
    retention.expired.clear()
    assert len(retention.tidy(MORNING, lambda: True)) == 1
    assert [(found.first, found.number) for found in retention.expired] == [(1, 18)]


def test_unreadable_holds_keep_everything(tmp_path: Path) -> None:
    """Age and room do not matter while nobody knows what is held."""
    month(tmp_path)
    (tmp_path / HOLDS_FILE).write_text("{")
    retention = Retention(tmp_path, 1, 1, delivering=False)
    assert retention.tidy(MORNING, lambda: True) == []
    assert retention.apply(MORNING) == []
    assert len(names_of(tmp_path)) == 30


def test_archived_files_go_and_the_others_stay(tmp_path: Path) -> None:
    """One of twenty has another file of its name in the archive: nineteen go, it stays, and the failure names it."""
    folder, safe = tmp_path / "shop", tmp_path / "archive"
    month(folder)
    safe.mkdir()
    stubborn = files(folder)[3].name
    (safe / f"{stubborn}.gz").write_bytes(gzip.compress(b"another"))
    retention = Retention(folder, 10, None, delivering=False)
    retention.tidy(MORNING, lambda: True, archive_in=safe)
    (failure,) = retention.failures
    assert stubborn in failure
    assert len(names_of(folder)) == 11
    assert (folder / stubborn).exists()
    assert len(list(safe.glob("*.gz"))) == len(list(safe.glob("*.sha256"))) + 1 == 20
    assert [(found.first, found.number) for found in retention.expired] == [(1, 9), (13, 60)]


def test_dead_letters_are_archived_with_their_stream(tmp_path: Path) -> None:
    """What the receiver refused goes with the stream's last file, so it is put aside too."""
    folder = tmp_path / "shop"
    month(folder)
    dead_path(folder, OWN).write_text('{"why":"x"}\n')
    Retention(folder, 1, None, delivering=False).tidy(MORNING + 40 * DAY, lambda: True, archive_in=tmp_path / "a")
    assert not list(folder.iterdir())
    assert (tmp_path / "a" / f"{dead_path(folder, OWN).name}.gz").exists()


def test_killed_between_archive_and_deletion(tmp_path: Path) -> None:
    """`kill -9` when everything is archived and told: the next application finishes, the archive is as it was."""
    folder, safe = tmp_path / "shop", tmp_path / "archive"
    month(folder)
    code = """
        from opentelemetry_instrumentation_authaudit.journal.retention import Retention
        if not (child := os.fork()):
            Retention(Path(sys.argv[1]), 10, None, delivering=False).tidy(
                MORNING, lambda: os.kill(os.getpid(), signal.SIGKILL), archive_in=Path(sys.argv[2])
            )
        print(os.WTERMSIG(os.waitpid(child, 0)[1]))
    """
    assert run(code, folder, safe) == "9"
    assert len(names_of(folder)) == 30
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in safe.iterdir()}
    assert len(before) == 40
    assert len(Retention(folder, 10, None, delivering=False).tidy(MORNING, lambda: True, archive_in=safe)) == 20
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in safe.iterdir()} == before


def test_two_appliers_at_once_tell_once(tmp_path: Path) -> None:
    """Eight workers start in the same second: one deletes and tells, the others go on with their work."""
    month(tmp_path)
    told: list[int] = []

    def apply() -> None:
        retention = Retention(tmp_path, 10, None, delivering=False)

        def tell() -> bool:
            told.append(len(retention.expired))
            time.sleep(0.1)  # the others come meanwhile
            return True

        retention.tidy(MORNING, tell)

    threads = [threading.Thread(target=apply) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [1]
    assert len(names_of(tmp_path)) == 10


def test_who_sets_a_hold_waits_for_a_deletion(tmp_path: Path) -> None:
    """When the hold is set, nothing of what it holds is about to go: the deletion was before, or knows it."""
    folder = tmp_path / "shop"
    month(folder)
    order: list[str] = []

    def hold() -> None:
        with changing(tmp_path) as holds:
            order.append("hold")
            holds.append(Hold(id="h", subject="user:1"))

    setting = threading.Thread(target=hold)

    def tell() -> bool:
        setting.start()
        time.sleep(0.1)  # it would be set now if nobody waited
        order.append("told")
        return True

    assert len(Retention(folder, 10, None, delivering=False).tidy(MORNING, tell)) == 20
    setting.join()
    assert order == ["told", "hold"]


def test_files_that_may_not_be_deleted_do_no_harm(tmp_path: Path) -> None:
    """A file that is a folder stands for what the system refuses to delete: the rest goes, nothing raises."""
    month(tmp_path, days=3)
    first = tmp_path / files(tmp_path)[0].name
    first.unlink()
    (first / "x").mkdir(parents=True)
    gone = Retention(tmp_path, 1, None, delivering=False).tidy(MORNING + 40 * DAY, lambda: True)
    assert len(gone) == 2


def test_a_writer_goes_on_meanwhile(tmp_path: Path) -> None:
    """A process appends while its old files are deleted ten times over: no record of today is lost."""
    clock = Clock(MORNING - 40 * DAY)
    opened = journal(tmp_path, OTHER, now=clock)
    opened.append(record(1))
    clock.now = MORNING
    for number in range(2, 202):
        opened.append(record(number))
        if number % 20 == 0:
            Retention(tmp_path, 10, None, delivering=False).tidy(MORNING, lambda: True)
    opened.close(done=True)
    assert written(tmp_path, OTHER) == [record(number) for number in range(2, 202)]


def test_a_folder_that_may_only_be_read() -> None:
    """Somebody else's journals: nothing goes, nothing raises (root steps down to nobody for it)."""
    code = """
        from opentelemetry_instrumentation_authaudit.journal.retention import Retention
        retention = Retention(Path(sys.argv[1]), 10, None, delivering=False)
        if os.geteuid() == 0:
            os.setuid(65534)
        print(len(retention.plan(MORNING).going), len(retention.tidy(MORNING, lambda: True)))
    """
    with TemporaryDirectory() as place:  # where nobody may look, which the folders of pytest are not
        folder = Path(place) / "shop"
        month(folder)
        for path in (*folder.iterdir(), folder, Path(place)):
            path.chmod(0o555)
        assert run(code, folder) == "20 0"
        assert len(names_of(folder)) == 30
        for path in (Path(place), folder):
            path.chmod(0o755)
