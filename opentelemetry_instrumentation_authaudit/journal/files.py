"""The names of a service's files, and the order of a stream's parts.

2026-11-24.4f1c9a0b2d3e5f60.0.jsonl    records of one stream: UTC day of the first, part
4f1c9a0b2d3e5f60.lock                  locked while its process lives
4f1c9a0b2d3e5f60.cursor                how far it was delivered
4f1c9a0b2d3e5f60.dead.jsonl            records that the collector refused for good
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ("JournalFile", "cursor_path", "dead_path", "journal_files", "lock_path", "make_folder", "streams_with_a_lock")

_NAME: Final = re.compile(r"(\d{4}-\d\d-\d\d)\.([0-9a-f]{16})\.(\d{1,9})\.jsonl")
_LOCK: Final = re.compile(r"([0-9a-f]{16})\.lock")


@dataclass(frozen=True, slots=True, order=True)
class JournalFile:
    """One part of one stream. Parts of a stream are numbered on, also over days: their order is that of the records."""

    stream: str
    part: int
    day: str

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.day}.{self.stream}.{self.part}.jsonl"

    @classmethod
    def parse(cls, name: str) -> JournalFile | None:
        """The file of that name; None if it is no journal."""
        found = _NAME.fullmatch(name)
        return None if found is None else cls(found[2], int(found[3]), found[1])


def journal_files(folder: Path, stream: str | None = None) -> list[JournalFile]:
    """The journals in *folder*, of one stream or all, in the order of their records within each stream."""
    found = [JournalFile.parse(name) for name in _names(folder)]
    return sorted(file for file in found if file is not None and stream in (None, file.stream))


def streams_with_a_lock(folder: Path) -> Iterator[str]:
    """Streams that live, or died without everything being delivered."""
    for name in _names(folder):
        found = _LOCK.fullmatch(name)
        if found:
            yield found[1]


def lock_path(folder: Path, stream: str) -> Path:
    """Locked while the stream's process lives."""
    return folder / f"{stream}.lock"


def cursor_path(folder: Path, stream: str) -> Path:
    """How far the stream was delivered."""
    return folder / f"{stream}.cursor"


def dead_path(folder: Path, stream: str) -> Path:
    """Records that the collector refused for good."""
    return folder / f"{stream}.dead.jsonl"


def make_folder(folder: Path) -> None:
    """Make *folder* for its owner only (0700); one that exists stays as it is."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(mode=0o700, exist_ok=True)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
