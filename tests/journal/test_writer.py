from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.config import Fsync
from opentelemetry_instrumentation_authaudit.journal.locks import HeldLock
from opentelemetry_instrumentation_authaudit.journal.names import files, lock_path
from opentelemetry_instrumentation_authaudit.journal.retention import Retention
from opentelemetry_instrumentation_authaudit.journal.writer import JournalUnavailable

from .helpers import DAY, OTHER, OWN, Clock, fill, journal, line_of, process, record, run, written


def only_file(folder: Path) -> Path:
    """The one journal file of *folder*."""
    (file,) = files(folder)
    return folder / file.name


def test_a_record_is_there_when_append_returns(tmp_path: Path) -> None:
    """One whole line, an OTLP document; the folder and the file are the owner's alone."""
    folder = tmp_path / "journal" / "svc"
    fill(folder, 1)
    line = only_file(folder).read_bytes()
    assert line.endswith(b"\n")
    assert json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"] == [json.loads(record(1))]
    assert only_file(folder).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700


def test_nothing_is_made_before_the_first_record(tmp_path: Path) -> None:
    """Every `python -c` inherits the instrumentation: it must not leave files behind."""
    journal(tmp_path / "svc").close(done=True)
    assert not (tmp_path / "svc").exists()


def test_kill_9_loses_nothing_that_append_returned_from(tmp_path: Path) -> None:
    """A process is killed in the midst of writing: every number it had reported is in its file."""
    code = """
        opened = journal(Path(sys.argv[1]))
        number = 0
        while True:
            number += 1
            opened.append(record(number))
            os.write(1, b"%d\\n" % number)
    """
    with process(code, tmp_path) as writer:
        reported = [int(line_of(writer)) for _ in range(500)]
        writer.send_signal(signal.SIGKILL)
        assert writer.stdout is not None
        reported += map(int, writer.stdout.read().split())
    assert written(tmp_path)[: len(reported)] == [record(number) for number in reported]


def test_a_new_day_begins_a_new_file(tmp_path: Path) -> None:
    """Files are named by the UTC day, and are read on in order."""
    clock = Clock()
    opened = fill(tmp_path, 2, now=clock)
    clock.now += DAY
    opened.append(record(3))
    assert [(file.part, file.day) for file in files(tmp_path)] == [(1, "2026-11-24"), (2, "2026-11-25")]
    assert written(tmp_path) == [record(1), record(2), record(3)]


def test_a_clock_that_jumps_back_confuses_nobody(tmp_path: Path) -> None:
    """Over midnight and back: the order of the records is that of their writing."""
    clock = Clock()
    opened = fill(tmp_path, 1, now=clock)
    for number, jump in enumerate((DAY, -3 * DAY, DAY, 0, 5 * DAY), 2):
        clock.now += jump
        opened.append(record(number))
    assert written(tmp_path) == [record(number) for number in range(1, 7)]


def test_a_large_file_is_left_for_a_new_one(tmp_path: Path) -> None:
    """Parts are bounded, so that retention by size has something to delete."""
    fill(tmp_path, 10, part_bytes=400)
    assert len(files(tmp_path)) == 10 // 2
    assert written(tmp_path) == [record(number) for number in range(1, 11)]


def test_eight_threads_write_whole_lines(tmp_path: Path) -> None:
    """No line is torn or joined, whoever writes."""
    opened = journal(tmp_path)

    def write(first: int) -> None:
        for number in range(first, first + 200):
            opened.append(record(number, "x" * (number % 97)))

    threads = [threading.Thread(target=write, args=(start * 200,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(written(tmp_path)) == sorted(record(number, "x" * (number % 97)) for number in range(1600))


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    """Each has its own stream; neither sees the other's."""
    code = "fill(Path(sys.argv[1]), 50, sys.argv[2]); print('done', flush=True); sys.stdin.read()"
    with process(code, tmp_path, OWN) as one, process(code, tmp_path, OTHER) as other:
        assert line_of(one) == line_of(other) == "done"
    assert written(tmp_path, OWN) == written(tmp_path, OTHER) == [record(number) for number in range(1, 51)]


def test_a_folder_deleted_underneath_is_made_again(tmp_path: Path) -> None:
    """What is appended is not written into the void, and what the open file held is there again; so is the lock."""
    folder = tmp_path / "svc"
    opened = fill(folder, 2)
    shutil.rmtree(folder)
    opened.append(record(3))
    assert written(folder) == [record(1), record(2), record(3)]
    assert HeldLock.take(lock_path(folder, OWN)) is None


def test_a_file_deleted_underneath_is_followed_by_a_new_one(tmp_path: Path) -> None:
    """Somebody cleans up by hand: the next record has a file again, with the next number, behind what was deleted."""
    opened = fill(tmp_path, 1)
    only_file(tmp_path).unlink()
    opened.append(record(2))
    assert [file.part for file in files(tmp_path)] == [2]
    assert written(tmp_path) == [record(1), record(2)]


FULL = """
    import resource
    from opentelemetry_instrumentation_authaudit.journal.writer import JournalUnavailable
    folder = Path(sys.argv[1])
    opened = fill(folder, 3)
    size = sum(path.stat().st_size for path in folder.glob("*.jsonl"))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    refused = 0
    for bytes_of_a_file in (size + 50, 50, 0):
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_of_a_file, limit))
        try:
            opened.append(record(4))
        except JournalUnavailable as error:
            refused += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    opened.append(record(4))
    print(refused)
"""


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    """The disk takes a part of a record, or nothing: the call says so, no half line stays, and later all is well again."""
    assert int(run(FULL, tmp_path)) == 3
    assert written(tmp_path) == [record(number) for number in range(1, 5)]
    for file in files(tmp_path):
        content = (tmp_path / file.name).read_bytes()
        assert content == b"" or content.endswith(b"\n")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB; the test is skipped where we may not mount one."""
    mount = shutil.which("mount")
    mounted = (
        mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "authaudit", tmp_path], check=False).returncode == 0
    )
    if not mounted:
        pytest.skip("needs the right to mount a tmpfs")
    yield tmp_path
    subprocess.run([shutil.which("umount") or "umount", "-l", tmp_path], check=True)


def test_a_full_disk_recovers_by_itself(tiny_disk: Path) -> None:
    """ENOSPC is reported with each record; once there is room the same journal goes on, and its lines are whole."""
    (tiny_disk / "ballast").write_bytes(b"x" * 40_000)
    opened, kept, refused = journal(tiny_disk), [], 0
    for number in range(1, 400):
        try:
            opened.append(record(number))
        except JournalUnavailable:
            refused += 1
        else:
            kept.append(record(number))
    assert refused > 100
    with pytest.raises(JournalUnavailable, match="No space left"):
        opened.probe()
    (tiny_disk / "ballast").unlink()
    opened.probe()
    opened.append(record(400))
    assert written(tiny_disk) == [*kept, record(400)]


def test_a_read_only_disk_recovers_by_itself(tiny_disk: Path) -> None:
    """The disk is mounted read-only and later writable again: no restart is needed."""
    mount = shutil.which("mount") or "mount"
    subprocess.run([mount, "-o", "remount,ro", tiny_disk], check=True)
    opened = journal(tiny_disk)
    with pytest.raises(JournalUnavailable, match="Read-only"):
        opened.append(record(1))
    with pytest.raises(JournalUnavailable, match="Read-only"):
        opened.probe()
    subprocess.run([mount, "-o", "remount,rw", tiny_disk], check=True)
    opened.append(record(1))
    assert written(tiny_disk) == [record(1)]
    opened.close(done=True)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """`journal_dir` lies under a file: refused with the system's own words, not with a crash."""
    (tmp_path / "file").touch()
    opened = journal(tmp_path / "file" / "svc")
    with pytest.raises(JournalUnavailable, match="Not a directory"):
        opened.append(record(1))


@pytest.fixture
def append_only(tmp_path: Path) -> Iterator[Path]:
    """A journal file with one record, which may only grow (`chattr +a`); the test is skipped where we may not say so."""
    fill(tmp_path, 1).forget()
    path, chattr = only_file(tmp_path), shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, "+a", path], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("needs the right to use chattr")
    yield path
    subprocess.run([chattr, "-a", path], check=True)


def test_a_torn_line_in_a_file_that_may_only_grow_is_ended(append_only: Path) -> None:
    """Where nothing can be cut off, what broke off is made unreadable for good, and the next line stands alone."""
    folder, before = append_only.parent, append_only.read_bytes()
    opened = journal(folder)
    opened.probe()  # opens the very file: it is the first part of this stream and this day
    with append_only.open("ab") as torn:
        torn.write(before.replace(record(1), record(2))[:-1])  # all of a line but its newline
    opened._torn = True
    opened.append(record(2))
    assert written(folder) == [record(1), record(2)]
    assert append_only.read_bytes().split(b"\n")[1].endswith(b"]}]}~")


def test_max_journal_bytes_without_anything_to_delete_is_full(tmp_path: Path) -> None:
    """The live file is never deleted, so the record is refused; nothing was written of it."""
    retention = Retention(tmp_path, None, 400, delivering=False)
    opened = fill(tmp_path, 1, retention=retention)
    with pytest.raises(JournalUnavailable, match="max_journal_bytes"):
        for number in range(2, 9):
            opened.append(record(number))
    assert retention.used() <= 400


def test_max_journal_bytes_makes_room_from_the_oldest(tmp_path: Path) -> None:
    """Without delivery, older parts give way and the journal goes on."""
    clock = Clock()
    opened = journal(tmp_path, retention=Retention(tmp_path, None, 2000, delivering=False), part_bytes=500, now=clock)
    for number in range(1, 50):
        clock.now += 2_000_000_000
        opened.append(record(number))
    assert written(tmp_path)[-1] == record(49)
    assert written(tmp_path)[0] != record(1)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) <= 2000


@pytest.mark.parametrize("policy", list(Fsync))
def test_every_fsync_policy_keeps_the_records(tmp_path: Path, policy: Fsync) -> None:
    """Never, each second, or always: what differs is a power cut, not the file."""
    opened = fill(tmp_path, 3, fsync=policy)
    opened.sync()
    opened.close(done=True)
    assert written(tmp_path) == [record(1), record(2), record(3)]


def test_the_end_of_a_stream(tmp_path: Path) -> None:
    """Closed as done it leaves its records only; closed with something to deliver it leaves its lock for an heir."""
    fill(tmp_path, 1, OWN).close(done=True)
    fill(tmp_path, 1, OTHER).close(done=False)
    assert not lock_path(tmp_path, OWN).exists()
    assert HeldLock.take(lock_path(tmp_path, OTHER)) is not None


def test_a_forked_child_writes_nothing_into_its_parents_files(tmp_path: Path) -> None:
    """The child lets go; the parent's stream and lock are as they were."""
    opened = fill(tmp_path, 1)
    child = os.fork()
    if not child:
        opened.forget()
        os._exit(0)
    os.waitpid(child, 0)
    opened.append(record(2))
    assert written(tmp_path) == [record(1), record(2)]
    assert HeldLock.take(lock_path(tmp_path, OWN)) is None
