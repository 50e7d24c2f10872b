"""Names of the files in a service's journal folder, made and read back in one place.

`<YYYY-MM-DD>.<stream>.<part>.jsonl` holds records; the part counts up over the whole life of a stream, so the order of a stream's
files is right whatever the clock did. Beside them lie `<stream>.lock`, `<stream>.cursor` and `<stream>.dead.jsonl`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ("JournalFile", "cursor_path", "dead_path", "files", "lock_path", "locked_streams")

_RECORDS = re.compile(r"(\d{4}-\d{2}-\d{2})\.([0-9a-f]{16})\.(\d{4,12})\.jsonl")
_LOCK = re.compile(r"([0-9a-f]{16})\.lock")


@dataclass(frozen=True, slots=True, order=True)
class JournalFile:
    """A file of records; sorted, the files of a stream are in the order they were written."""

    stream: str
    """16 hex digits."""
    part: int
    """From 1."""
    day: str
    """UTC date of its first record, `YYYY-MM-DD`."""

    @property
    def name(self) -> str:
        """Its name within the folder."""
        return f"{self.day}.{self.stream}.{self.part:04d}.jsonl"

    @classmethod
    def parse(cls, name: str) -> JournalFile | None:
        """The file of that name, None if it is not a file of records."""
        match = _RECORDS.fullmatch(name)
        return cls(match[2], int(match[3]), match[1]) if match else None


def files(folder: Path, stream: str | None = None) -> list[JournalFile]:
    """The files of records in *folder* (of one stream, if named), sorted; none if there is no such folder."""
    wanted = f".{stream}." if stream is not None else ""
    found = (JournalFile.parse(name) for name in _names(folder) if wanted in name)  # parsing costs more than looking
    return sorted(file for file in found if file is not None and stream in (None, file.stream))


def locked_streams(folder: Path) -> set[str]:
    """The streams that have a lock file: their process lives, or died before everything was delivered."""
    return {match[1] for match in map(_LOCK.fullmatch, _names(folder)) if match}


def lock_path(folder: Path, stream: str) -> Path:
    """Held locked by the process that writes the stream, or by the one that has adopted it."""
    return folder / f"{stream}.lock"


def cursor_path(folder: Path, stream: str) -> Path:
    """How far the stream is acknowledged."""
    return folder / f"{stream}.cursor"


def dead_path(folder: Path, stream: str) -> Path:
    """Records that the receiver refused for good, with the reason."""
    return folder / f"{stream}.dead.jsonl"


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 -- a folder of a thousand streams is listed for each: a Path for each name is too much
    except (FileNotFoundError, NotADirectoryError):
        return []
