"""Writing into a folder: a whole line or none, on the disk before it counts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.pipeline.answers import ACCEPTED, Verdict
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable
from opentelemetry_instrumentation_authaudit.stores.collected_retention import is_closed
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.file_sender import FileSender
from opentelemetry_instrumentation_authaudit.stores.files import FileStore
from tests.pipeline.telling import run

from .exporter import FileExporter, request
from .recorded import honest_day


def test_what_was_written_is_in_the_store(tmp_path: Path) -> None:
    """A file of its own, readable for its group; the store that gave the sender sees it at once."""
    day = honest_day()
    store = FileStore([tmp_path], [], Unreadable())
    sender = store.sender()
    assert sender.send(None) == ACCEPTED
    assert not list(tmp_path.iterdir())
    assert {sender.send(batch) for batch in day.batches()} == {ACCEPTED}
    sender.close()
    (path,) = tmp_path.glob("reconciled-*.jsonl")
    assert path.stat().st_mode & 0o777 == 0o640
    assert sum(1 for _ in store.copies(Filters())) == len(day)


def test_files_that_come_while_it_is_read(tmp_path: Path) -> None:
    """A store of files is listed once; renamed and new files are found when it is asked for them, each once."""
    exporter = FileExporter(tmp_path)
    exporter.write(request(1))
    for place in (tmp_path, exporter.path):
        store = FileStore([place], [exporter.path], Unreadable())
        aside = exporter.rotate()
        exporter.write(request(2))
        assert aside in store.newcomers()
        assert store.newcomers() == []
        aside.unlink()
        store.unreadable.files[str(aside)] = "No such file or directory"
        assert store.newcomers() == []
        assert not store.unreadable


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """The answer is to try again; what was written of the line is cut off."""
    code = """
    from tests.stores.recorded import honest_day
    from opentelemetry_instrumentation_authaudit.stores.file_sender import FileSender
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    sender = FileSender(Path(sys.argv[1]))
    answers = [sender.send(batch) for batch in honest_day().batches()]
    print(answers[0].verdict.value, answers[-1].verdict.value, answers[-1].detail.partition(": ")[2])
    """
    assert run(code, tmp_path) == "accepted retry File too large"
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().endswith(b"}\n")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """Waiting mends nothing: the answer says which folder."""
    answer = FileSender(tmp_path / "nowhere").send(None)
    assert (answer.verdict, str(tmp_path) in answer.detail) == (Verdict.MISCONFIGURED, True)


def test_files_are_left_for_retention(tmp_path: Path) -> None:
    """A full file is followed by another, one that was deleted is not written any more; each is closed for the retention."""
    batch = next(honest_day().batches(1))
    sender = FileSender(tmp_path, full=1)
    for _ in range(2):
        assert sender.send(batch) == ACCEPTED
        time.sleep(0.002)  # another name
    first, second = sorted(tmp_path.iterdir())
    second.unlink()
    first.unlink()
    sender = FileSender(tmp_path)
    assert sender.send(batch) == ACCEPTED
    (deleted,) = tmp_path.iterdir()
    deleted.unlink()
    time.sleep(0.002)
    assert sender.send(batch) == ACCEPTED
    (path,) = tmp_path.iterdir()
    assert is_closed(path.name)
    assert path.name != deleted.name


def test_one_folder(tmp_path: Path) -> None:
    """Two places are no place to write into."""
    with pytest.raises(StoreError, match="one folder only"):
        FileStore([tmp_path, tmp_path / "other"], [], Unreadable()).sender()
