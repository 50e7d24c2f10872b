"""Records written into a folder: OTLP/JSON lines in files of their own, on the disk before they count as accepted.

The files are named like those that a collector has closed, so `authaudit retention` deletes them in their time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from ..journal.streams import Batch
from ..pipeline.answers import ACCEPTED, Answer, Verdict
from ..pipeline.otlp import json_request

__all__ = ("FileSender",)


_FULL: Final = 64 << 20
"""Bytes from which on another file is begun; another day begins one, too."""


class FileSender:
    """A `pipeline.otlp.Sender` into `reconciled-<time>.jsonl` in *folder*, which is made with the first records."""

    def __init__(self, folder: Path, made: Callable[[Path], None] = lambda _path: None, full: int = _FULL) -> None:
        """*made* hears of each file."""
        self._folder, self._made, self._full = folder, made, full
        self._descriptor, self._day = -1, ""

    def send(self, batch: Batch | None, timeout: float | None = None) -> Answer:
        """See `Sender`. A full disk is a reason to try again, a folder that may not be written is one to mend it."""
        try:
            if batch is not None:
                self._write(json_request(batch) + b"\n")
            elif not os.access(self._folder, os.W_OK | os.X_OK):
                return Answer(Verdict.MISCONFIGURED, f"the folder {self._folder} cannot be written")
        except PermissionError:
            return Answer(Verdict.MISCONFIGURED, f"the folder {self._folder} cannot be written")
        except OSError as error:
            return Answer(Verdict.RETRY, f"{self._folder}: {error.strerror}")
        return ACCEPTED

    def close(self) -> None:
        """See `Sender`."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write(self, line: bytes) -> None:
        now = datetime.now(timezone.utc)
        if self._descriptor < 0 or self._done_with(now):
            self.close()
            self._open(now)
        end = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):  # the second call says why
                written += os.write(self._descriptor, line[written:])
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, end)  # it comes again
            raise

    def _done_with(self, now: datetime) -> bool:
        """Whether the file is full, of another day, or was deleted."""
        stat = os.fstat(self._descriptor)
        return stat.st_size >= self._full or not stat.st_nlink or f"{now:%F}" != self._day

    def _open(self, now: datetime) -> None:
        path = self._folder / f"reconciled-{now:%Y-%m-%dT%H-%M-%S}.{now.microsecond // 1000:03}.jsonl"
        self._day = f"{now:%F}"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o640)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._made(path)
