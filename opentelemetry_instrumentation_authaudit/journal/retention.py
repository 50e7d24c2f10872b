"""How long records are kept (`log_lifetime`) and how much room they take (`max_journal_bytes`): whole files go, oldest first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from . import cursor
from .canonical import digest, number_of
from .follow import last_in
from .locks import HeldLock
from .names import JournalFile, cursor_path, dead_path, files, lock_path

__all__ = ("Expired", "Held", "Retention", "doomed")


@dataclass(frozen=True, slots=True)
class Held:
    """A file that is kept so far."""

    file: JournalFile
    size: int
    """Bytes."""
    needed: bool
    """It is being written, or holds records that are still to be delivered."""


@dataclass(frozen=True, slots=True)
class Expired:
    """What was deleted of a stream: everything up to a record. It is told in the evidence, else a verifier would suspect it."""

    stream: str
    number: int
    """Of that record."""
    hash: str
    """Hex SHA-256 of that record."""
    for_room: bool
    """By `max_journal_bytes`, before its time was over."""
    whole: bool
    """Nothing is left of the stream."""


def doomed(held: Iterable[Held], *, oldest_day: str | None, max_bytes: int | None) -> list[JournalFile]:
    """The files to delete: from before *oldest_day* (`YYYY-MM-DD`), then the oldest until the rest fits; never a needed one.

    A file is as old as the day in its name: it was begun on that day and left at its end.
    """
    by_age = sorted(held, key=lambda item: (item.file.day, item.file.stream, item.file.part))
    gone = [item for item in by_age if not item.needed and oldest_day is not None and item.file.day < oldest_day]
    excess = sum(item.size for item in by_age) - sum(item.size for item in gone) - (max_bytes or 0)
    for item in by_age:
        if max_bytes is None or excess <= 0:
            break
        if not item.needed and item not in gone:
            gone.append(item)
            excess -= item.size
    return [item.file for item in gone]


@dataclass(frozen=True, slots=True)
class Retention:
    """The rules for one service's folder."""

    folder: Path
    lifetime: int | None
    """Days; None keeps everything."""
    max_bytes: int | None
    delivering: bool
    """Whether what is not acknowledged must stay; without delivery nothing counts as unacknowledged."""
    expired: list[Expired] = field(default_factory=list)
    """What was deleted and not told yet."""

    def apply(self, now: int, *, room: int = 0) -> list[JournalFile]:
        """Delete what the rules allow at *now* (nanoseconds since the epoch), so that *room* more bytes fit; what was deleted."""
        day = datetime.fromtimestamp(now // 1_000_000_000, timezone.utc).date()
        oldest = None if self.lifetime is None else (day - timedelta(days=self.lifetime)).isoformat()
        limit = None if self.max_bytes is None else self.max_bytes - room
        going = doomed(self._held(), oldest_day=oldest, max_bytes=limit)
        last = {file.stream: (file, last_in(self.folder / file.name)) for file in sorted(going)}
        gone = [file for file in going if self._delete(file)]
        left = {file.stream for file in files(self.folder)}
        for stream in sorted({file.stream for file in gone}):
            file, record = last[stream]
            if record is not None and file in gone:
                for_room = oldest is None or file.day >= oldest
                self.expired.append(Expired(stream, number_of(record), digest(record), for_room, stream not in left))
            if stream not in left:
                self._bury(stream)
        return gone

    def used(self) -> int:
        """Bytes of all journal files of the folder."""
        return sum(size for _, size in self._sizes())

    def _sizes(self) -> list[tuple[JournalFile, int]]:
        found = []
        for file in files(self.folder):
            with contextlib.suppress(OSError):  # another process applies its retention too
                found.append((file, (self.folder / file.name).stat().st_size))
        return found

    def _held(self) -> list[Held]:
        sizes = self._sizes()
        last = {file.stream: file.part for file, _ in sizes}  # they are sorted
        keep_from = {stream: self._needed_from(stream, part) for stream, part in last.items()}
        return [Held(file, size, needed=file.part >= keep_from[file.stream]) for file, size in sizes]

    def _needed_from(self, stream: str, last: int) -> int:
        """The first part of *stream* that may not be deleted."""
        path = lock_path(self.folder, stream)
        if not path.exists():
            return last + 1
        taken = HeldLock.take(path)
        if taken is not None:
            taken.forget()
        written = last + 1 if taken is not None else last
        if not self.delivering:
            return written
        position = cursor.load(cursor_path(self.folder, stream))
        reached = JournalFile.parse(position.file) if position is not None else None
        return min(written, reached.part if reached is not None else 0)

    def _delete(self, file: JournalFile) -> bool:
        try:
            (self.folder / file.name).unlink()
        except OSError:
            return False
        return True

    def _bury(self, stream: str) -> None:
        """Remove what lay beside the last file of a stream."""
        lock = HeldLock.take(lock_path(self.folder, stream))
        if lock is not None:
            lock.release(done=True)
        if lock is not None or not lock_path(self.folder, stream).exists():
            beside = (cursor_path(self.folder, stream), dead_path(self.folder, stream))
            half_written = self.folder.glob(f".{stream}.*")  # by a process that was killed
            for path in (*beside, *half_written):
                path.unlink(missing_ok=True)
