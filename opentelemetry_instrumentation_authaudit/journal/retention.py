"""How long records are kept (`log_lifetime`) and how much room they take (`max_journal_bytes`): whole files go, oldest first."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path

from ..guard import warn
from ..model.lifetime import DAY, Decision, Fate, Hold, Plan, Unit, plan
from . import cursor
from .archive import ArchiveError, archive
from .canonical import digest, number_of
from .follow import first_in, last_in
from .holds import HoldsUnreadable, in_force, touched
from .locks import HeldLock, described
from .names import JournalFile, cursor_path, dead_path, files, lock_path
from .targets import lacking_from

__all__ = ("Expired", "Retention", "alone")


_FOR_A_TARGET = "a target of `authaudit ship --to` lacks it"


@dataclass(frozen=True, slots=True)
class Expired:
    """Records of a stream that are deleted, one after the other. It is told in the evidence, else a verifier would suspect it."""

    stream: str
    number: int
    """Of the last of them."""
    hash: str
    """Hex SHA-256 of that record."""
    for_room: bool
    """By `max_journal_bytes`, before its time was over."""
    whole: bool
    """Nothing is left of the stream."""
    first: int = 1
    """Number of the first of them; 1 as well where nothing older is kept."""


@dataclass(frozen=True, slots=True)
class _Going:
    """A file that goes, and what will be missing then."""

    file: JournalFile
    for_room: bool
    first: bytes | None
    """Its first and last record; None if it has none."""
    last: bytes | None


@dataclass(frozen=True, slots=True)
class Retention:
    """The rules for one service's folder."""

    folder: Path
    lifetime: int | None
    """Days; None keeps everything."""
    max_bytes: int | None
    delivering: bool | None
    """Whether what is not acknowledged must stay; without delivery nothing counts as unacknowledged. None: as each process says
    that it does, in its lock file."""
    expired: list[Expired] = field(default_factory=list)
    """What was deleted, or is about to be, and not told yet."""
    failures: list[str] = field(default_factory=list)
    """Why files could not be archived, and so are kept."""

    def plan(self, now: int, *, room: int = 0) -> Plan:
        """What becomes of every file at *now* (nanoseconds since the epoch), so that *room* more bytes fit.

        While holds cannot be read everything is kept, and the operator told.
        """
        units = list(self._units(now))
        excess = 0 if self.max_bytes is None else sum(unit.size for unit in units) + room - self.max_bytes
        try:
            held = in_force(self.folder, now)
        except HoldsUnreadable as error:
            warn("journal.holds", "%s", error)
            return Plan(tuple(Decision(unit, Fate.UNKNOWN) for unit in units))
        return plan(units, lifetime=self.lifetime, now=now, excess=excess, holds=lambda unit: self._touched(unit, held))

    def apply(self, now: int, *, room: int = 0) -> list[JournalFile]:
        """Delete at once what the rules allow, so that *room* more bytes fit, and note it in `expired`; what was deleted."""
        going = self._going(self.plan(now, room=room))
        gone = self._delete(item.file for item in going)
        self.expired.extend(self._expired([item for item in going if item.file in gone]))
        return gone

    def tidy(
        self, now: int, tell: Callable[[], bool], *, archive_in: Path | None = None, wait: bool = False
    ) -> list[JournalFile]:
        """Delete what the rules allow, once it is noted in `expired` and *tell* has put that into the evidence; what was deleted.

        If *tell* says that it could not, nothing is. With *archive_in* every file is archived before; those that cannot be are
        kept, and `failures` says why. While another process does the same nothing is done, or with *wait* it is waited for.
        """
        if self.lifetime is None and self.max_bytes is None:
            return []
        with alone(self.folder, wait=wait) as only:
            going = self._going(self.plan(now)) if only else []
            safe = going if archive_in is None else [item for item in going if self._archived(item.file, archive_in)]
            self.expired.extend(self._expired(safe))
            return self._delete(item.file for item in safe) if safe and tell() else []

    def used(self) -> int:
        """Bytes of all journal files of the folder."""
        return sum(size for _, size in self._sizes())

    def _units(self, now: int) -> Iterator[Unit]:
        """A file is as old as the day in its name: it was begun on that day and left at its end."""
        sizes = self._sizes()
        last = {file.stream: file.part for file, _ in sizes}  # they are sorted
        needs = {stream: self._needs(stream, part) for stream, part in last.items()}
        for stream, part in last.items():
            needs[stream].append((lacking_from(self.folder, stream, part, now), _FOR_A_TARGET))
        for file, size in sizes:
            begin = _midnight(file.day)
            needed = next((why for part, why in needs[file.stream] if file.part >= part), "")
            newest = None if begin is None else begin + DAY - 1
            yield Unit(name=file.name, oldest=begin, newest=newest, size=size, needed=needed)

    def _sizes(self) -> list[tuple[JournalFile, int]]:
        found = []
        for file in files(self.folder):
            with contextlib.suppress(OSError):  # another process applies its retention too
                found.append((file, (self.folder / file.name).stat().st_size))
        return found

    def _needs(self, stream: str, last: int) -> list[tuple[int, str]]:
        """From which part on files of *stream* may not be deleted, and why."""
        path = lock_path(self.folder, stream)
        if not path.exists():
            return []
        taken = HeldLock.take(path)
        if taken is not None:
            taken.forget()
        needs = [(last, "it is being written")] if taken is None else []
        if self.delivering is None and described(path).get("delivering") is False:
            return needs
        if self.delivering is not False:
            position = cursor.load(cursor_path(self.folder, stream))
            reached = JournalFile.parse(position.file) if position is not None else None
            needs.append((reached.part if reached is not None else 0, "it waits for delivery"))
        return needs

    def _touched(self, unit: Unit, held: list[Hold]) -> list[Hold]:
        try:
            return touched(self.folder / unit.name, held)
        except FileNotFoundError:
            return []
        except OSError:  # what is in it is not known
            return held

    def _going(self, planned: Plan) -> list[_Going]:
        """By stream, in the order in which they were written."""
        chosen = [(JournalFile.parse(unit.name), planned.of(unit.name).fate is Fate.ROOM) for unit in planned.going]
        found = (self._looked_at(file, for_room) for file, for_room in chosen if file is not None)
        return sorted((item for item in found if item is not None), key=lambda item: item.file)

    def _looked_at(self, file: JournalFile, for_room: bool) -> _Going | None:  # noqa: FBT001 -- internal
        """None for a file that cannot be read: what would be missing is not known, so it stays."""
        path = self.folder / file.name
        try:
            return _Going(file, for_room, first_in(path), last_in(path))
        except OSError:
            return None

    def _archived(self, file: JournalFile, folder: Path) -> bool:
        try:
            archive(self.folder / file.name, folder)
            if (dead := dead_path(self.folder, file.stream)).exists():  # it goes with the last file of the stream
                archive(dead, folder)
        except ArchiveError as error:
            self.failures.append(str(error))
            return False
        return True

    def _expired(self, going: Iterable[_Going]) -> Iterator[Expired]:
        """What is to be told of *going*: for each stream the runs of files between which nothing is left."""
        gone = list(going)
        names = {item.file.name for item in gone}
        for stream, group in groupby(gone, lambda item: item.file.stream):
            items = list(group)
            left = [file.part for file in files(self.folder, stream) if file.name not in names]
            for _, run in groupby(items, lambda item: sum(part < item.file.part for part in left)):  # noqa: B023 -- at once
                yield from _told(list(run), left)

    def _delete(self, going: Iterable[JournalFile]) -> list[JournalFile]:
        gone = [file for file in going if _unlinked(self.folder / file.name)]
        for stream in sorted({file.stream for file in gone} - {file.stream for file in files(self.folder)}):
            self._bury(stream)
        return gone

    def _bury(self, stream: str) -> None:
        """Remove what lay beside the last file of a stream."""
        lock = HeldLock.take(lock_path(self.folder, stream))
        if lock is not None:
            lock.release(done=True)
        if lock is not None or not lock_path(self.folder, stream).exists():
            beside = (cursor_path(self.folder, stream), dead_path(self.folder, stream))
            half_written = self.folder.glob(f".{stream}.*")  # by a process that was killed
            of_targets = self.folder.glob(f"targets/*/{stream}.*")
            for path in (*beside, *half_written, *of_targets):
                path.unlink(missing_ok=True)


def _told(run: list[_Going], left: list[int]) -> Iterator[Expired]:
    last = next((item.last for item in reversed(run) if item.last is not None), None)
    first = next((item.first for item in run if item.first is not None), None)
    if last is None or first is None:
        return
    behind = run[0].file
    begin = number_of(first) if left and left[0] < behind.part else 1
    yield Expired(behind.stream, number_of(last), digest(last), run[-1].for_room, not left, begin)


@contextlib.contextmanager
def alone(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Nobody else deletes in *folder* meanwhile, and no hold on it is set; False if somebody does, and we do not *wait*.

    Ended by an explicit unlock, which also counts for the copies that a forked child may have. OSError.
    """
    with (
        _locked(folder.absolute().parent, fcntl.LOCK_SH),
        _locked(folder, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)) as only,
    ):
        yield only


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[bool]:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder above us that is closed for us, or there is nothing to delete
        yield True
        return
    try:
        only = True
        try:
            fcntl.flock(descriptor, how)
        except BlockingIOError:
            only = False
        except OSError:  # a network file system on which folders cannot be locked: twice told is no harm
            pass
        yield only
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _midnight(day: str) -> int | None:
    """The beginning of the UTC *day* in nanoseconds since the epoch; None if it is none."""
    try:
        return int(datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp()) * 1_000_000_000
    except ValueError:
        return None
