"""Appending to the journal: one whole line, one `write`, so that a killed process loses nothing that was appended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from .files import JournalFile, journal_files, make_folder

__all__ = ("Journal", "JournalUnavailableError")

PART_BYTES: Final = 64 << 20
"""Size from which a new part is begun."""


class JournalUnavailableError(Exception):
    """A record could not be appended: disk full, read-only, no permission, or `max_journal_bytes` reached. Later ones may be."""


class Journal:
    """The files of one stream. Not thread-safe: the caller holds a lock anyway, to keep the chain in order."""

    def __init__(
        self,
        folder: Path,
        stream: str,
        *,
        max_bytes: int | None = None,
        part_bytes: int = PART_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """*max_bytes* bounds all journals of *folder*; *clock* gives seconds since the epoch."""
        self.folder = folder
        self.stream = stream
        self.dirty = False
        """Whether something was written since the last `sync`."""
        self._clock = clock
        self._max_bytes = max_bytes
        self._part_bytes = part_bytes
        self._descriptor = -1
        self._file = JournalFile(stream, -1, "")
        self._size = 0
        self._torn = False
        self._others = _size_of(folder) if max_bytes is not None else 0

    def append(self, line: bytes) -> None:
        """Append a whole line. Raises JournalUnavailableError; the line is then not in the journal, and the next may work again."""
        try:
            self._open_for(len(line))
            if self._torn:  # a line that broke off must not swallow this one
                line = b"\n" + line
            written = os.write(self._descriptor, line)
        except OSError as error:
            self._close()
            raise JournalUnavailableError(os.strerror(error.errno or 0)) from error
        self._size += written
        self._torn = written < len(line)
        self.dirty = True
        if self._torn:
            raise JournalUnavailableError("the disk took only a part of a record")

    def sync(self) -> None:
        """Force what was written to the disk. Raises OSError."""
        if self.dirty and self._descriptor >= 0:
            self.dirty = False
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Force to the disk and close."""
        try:
            self.sync()
        except OSError:
            pass
        self._close()

    def forget(self) -> None:
        """Close without a word: in a forked child the file is the parent's."""
        self._close()

    def _open_for(self, length: int) -> None:
        day = datetime.fromtimestamp(self._clock(), timezone.utc).strftime("%Y-%m-%d")
        if self._max_bytes is not None and self._others + self._size + length > self._max_bytes:
            self._others = _size_of(self.folder) - self._size  # retention may have made room
            if self._others + self._size + length > self._max_bytes:
                raise JournalUnavailableError("max_journal_bytes is reached")
        gone = self._descriptor >= 0 and not os.fstat(self._descriptor).st_nlink
        if self._descriptor >= 0 and not gone and day == self._file.day and self._size < self._part_bytes:
            return
        self._close()
        make_folder(self.folder)
        self._others += self._size if not gone else 0
        self._file = JournalFile(self.stream, self._file.part + 1, day)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self.folder / self._file.name, flags, 0o600)
        self._size, self._torn = os.fstat(self._descriptor).st_size, False

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _size_of(folder: Path) -> int:
    total = 0
    for file in journal_files(folder):
        try:
            total += (folder / file.name).stat().st_size
        except OSError:
            continue
    return total
