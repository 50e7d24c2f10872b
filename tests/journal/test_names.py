from __future__ import annotations

from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.journal.names import JournalFile, files, locked_streams

STREAM, OTHER = "00000000000000aa", "00000000000000bb"


def test_a_name_reads_back() -> None:
    """What a file is called tells its day, its stream and its place in the stream."""
    file = JournalFile(STREAM, 12, "2026-11-24")
    assert file.name == "2026-11-24.00000000000000aa.0012.jsonl"
    assert JournalFile.parse(file.name) == file


@pytest.mark.parametrize(
    "name",
    [
        "2026-11-24.00000000000000aa.0012.jsonl.gz",
        "2026-11-24.00000000000000AA.0012.jsonl",
        "2026-11-24.0000.0012.jsonl",
        "00000000000000aa.dead.jsonl",
        "00000000000000aa.cursor",
        "../2026-11-24.00000000000000aa.0012.jsonl",
    ],
)
def test_other_files_are_left_alone(name: str) -> None:
    """Retention deletes by name, so it must never take somebody else's file for ours."""
    assert JournalFile.parse(name) is None


def test_files_come_in_the_order_they_were_written(tmp_path: Path) -> None:
    """Parts decide, not days: the clock may have gone back, and part 10000 comes after part 9999."""
    written = [(1, "2026-11-25"), (2, "2026-11-24"), (9999, "2026-11-24"), (10000, "2026-11-24")]
    for part, day in reversed(written):
        (tmp_path / JournalFile(STREAM, part, day).name).touch()
    (tmp_path / JournalFile(OTHER, 1, "2020-01-01").name).touch()
    assert [(file.part, file.day) for file in files(tmp_path, STREAM)] == written
    assert [file.stream for file in files(tmp_path)] == [STREAM] * 4 + [OTHER]


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """Before the first record there is nothing, and that is no error."""
    assert files(tmp_path / "none") == []
    assert locked_streams(tmp_path / "none") == set()


def test_streams_with_a_lock(tmp_path: Path) -> None:
    """A lock still being made lies under another name and is not seen."""
    for name in (f"{STREAM}.lock", f".{OTHER}.lock.1f", f"{OTHER}.cursor"):
        (tmp_path / name).touch()
    assert locked_streams(tmp_path) == {STREAM}
