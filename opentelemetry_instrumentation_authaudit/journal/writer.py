"""Appending to the journal: a whole line by one `write`, so that a killed process loses nothing that was appended."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from ..config import Fsync
from .line import Envelope
from .locks import HeldLock
from .names import JournalFile, lock_path
from .retention import Retention

__all__ = ("PART_BYTES", "Journal", "JournalUnavailable")

PART_BYTES: Final = 64 << 20
"""Bytes from which on a new part is begun."""

_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
_TORN_END: Final = b"~\n"
"""Ends a torn line where it could not be cut off, such that nobody takes it for a whole one."""


class JournalUnavailable(Exception):  # noqa: N818 -- a state of the disk, which may pass
    """The journal cannot take a record: the disk is full or read-only, access is denied, or `max_journal_bytes` is reached."""


class Journal:
    """The files of one stream, and its lock. Any thread may call it."""

    def __init__(
        self,
        folder: Path,
        stream: str,
        envelope: Envelope,
        *,
        fsync: Fsync = Fsync.INTERVAL,
        retention: Retention | None = None,
        part_bytes: int = PART_BYTES,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        """Touches no file yet. *retention* knows `max_journal_bytes`; *now* gives nanoseconds since the epoch."""
        self.folder = folder
        self.stream = stream
        self._head, self._tail = envelope.head, envelope.tail
        self._fsync = fsync
        self._retention = retention if retention is not None and retention.max_bytes is not None else None
        self._part_bytes = part_bytes
        self._now = now
        self._mutex = threading.Lock()
        self._lock: HeldLock | None = None
        self._facts: Mapping[str, Any] = {}
        self._descriptor = -1
        self._part = 0
        self._day = -1
        self._size = 0
        self._torn = False
        self._dirty = False
        self._used = 0
        self._counted_at = 0

    def append(self, canonical: bytes) -> None:
        """Append a record. JournalUnavailable if that is impossible now: it is not in the journal then; a later one may be."""
        line = b"".join((self._head, canonical, self._tail))
        with self._mutex:
            try:
                self._make_ready(len(line))
                self._write(line)
            except OSError as error:
                raise JournalUnavailable(os.strerror(error.errno or 0)) from error
            self._size += len(line)
            self._used += len(line)
            self._dirty = True

    def probe(self) -> None:
        """JournalUnavailable if a record could not be appended now, as far as can be told without appending one."""
        with self._mutex:
            try:
                self._make_ready(1)
                free = os.fstatvfs(self._descriptor)
            except OSError as error:
                raise JournalUnavailable(os.strerror(error.errno or 0)) from error
        if not free.f_bavail or free.f_flag & os.ST_RDONLY:
            raise JournalUnavailable(os.strerror(errno.ENOSPC))

    def describe(self, facts: Mapping[str, Any]) -> None:
        """What the lock file says of this process, for `authaudit doctor`."""
        with self._mutex:
            self._facts = facts
            if self._lock is not None:
                with contextlib.suppress(OSError):
                    self._lock.describe(facts)

    def sync(self) -> None:
        """Force what was appended onto the disk, unless `fsync` is `never`; OSError if it fails. Appending goes on meanwhile."""
        with self._mutex:
            if not self._dirty or self._fsync is Fsync.NEVER or self._descriptor < 0:
                return
            self._dirty = False
            copy = os.dup(self._descriptor)
        try:
            os.fdatasync(copy)
        finally:
            os.close(copy)

    def close(self, *, done: bool) -> None:
        """End the stream. *done*: nothing of it is left to deliver."""
        with contextlib.suppress(OSError):
            self.sync()
        with self._mutex:
            self._close_part()
            lock, self._lock = self._lock, None
        if lock is not None:
            lock.release(done=done)

    def forget(self) -> None:
        """In a forked child: close our copies. The files are the parent's, and the mutex may be held for ever."""
        self._close_part()
        if self._lock is not None:
            self._lock.forget()

    def _make_ready(self, length: int) -> None:
        """Have a file open that may take *length* bytes: of today, not full, not deleted."""
        now = self._now()
        if self._retention is not None:
            self._make_room(self._retention, now, length)
        deleted = self._descriptor >= 0 and not os.fstat(self._descriptor).st_nlink
        if self._descriptor < 0 or deleted or now // _DAY != self._day or self._size >= self._part_bytes:
            self._begin_part(now, salvage=deleted)

    def _make_room(self, retention: Retention, now: int, length: int) -> None:
        limit = retention.max_bytes or 0
        if not self._counted_at or (self._used + length > limit and now - self._counted_at >= _SECOND):
            self._counted_at = now
            self._used = retention.used()
            if self._used + length > limit and retention.apply(now, room=length):
                self._used = retention.used()
        if self._used + length > limit:
            raise JournalUnavailable("max_journal_bytes is reached")

    def _begin_part(self, now: int, *, salvage: bool) -> None:
        """*salvage*: the file was deleted by somebody, and what it holds is still there while we have it open."""
        if self._descriptor >= 0 and self._fsync is not Fsync.NEVER:
            os.fdatasync(self._descriptor)
        self._make_folder()
        day = datetime.fromtimestamp(now // _SECOND, timezone.utc).date().isoformat()
        path = self.folder / JournalFile(self.stream, self._part + 1, day).name
        begun = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        if salvage:
            try:
                _copy(self._descriptor, begun)
            except OSError:  # no room for it: nothing goes on before there is
                os.ftruncate(begun, 0)
                os.close(begun)
                raise
        self._close_part()
        self._descriptor, self._part, self._day = begun, self._part + 1, now // _DAY
        self._size, self._torn = os.fstat(begun).st_size, False
        if self._fsync is not Fsync.NEVER:
            _sync_folder(self.folder)

    def _make_folder(self) -> None:
        """See to it that folder and lock exist, also after somebody deleted them."""
        for missing in reversed([path for path in (self.folder, *self.folder.parents) if not path.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        if self._lock is None or self._lock.lost():
            if self._lock is not None:
                self._lock.forget()
            self._lock = None
            self._lock = HeldLock.create(lock_path(self.folder, self.stream))
            with contextlib.suppress(OSError):
                self._lock.describe(self._facts)

    def _write(self, line: bytes) -> None:
        if self._torn:
            self._heal()
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):  # the second call says why
                written += os.write(self._descriptor, line[written:])
            if self._fsync is Fsync.ALWAYS:
                os.fdatasync(self._descriptor)
        except OSError as error:
            self._torn = True
            with contextlib.suppress(OSError):
                self._heal()
            if error.errno == errno.EFBIG and self._size:
                self._size = self._part_bytes  # this file takes no more, another one may
            raise

    def _heal(self) -> None:
        """Cut off what was written of a line that did not fit; where files may only grow (`chattr +a`), end the line instead."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            os.write(self._descriptor, _TORN_END)
            self._size = os.fstat(self._descriptor).st_size
        self._torn = False

    def _close_part(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _copy(source: int, target: int) -> None:
    """Append everything in *source* to *target*."""
    offset = 0
    while piece := os.pread(source, 1 << 20, offset):
        offset += os.write(target, piece)


def _sync_folder(folder: Path) -> None:
    """Force a new file's name onto the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
