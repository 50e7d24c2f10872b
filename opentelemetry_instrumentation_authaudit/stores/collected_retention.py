"""How long a collector's files are kept: closed ones go when their newest record is too old, the open one never.

The file exporter renames `audit.jsonl` to `audit-<time>-size.jsonl` when it is full, and never touches it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Final

from ..guard import warn
from ..journal.archive import ArchiveError, archive
from ..journal.holds import HoldsUnreadable, in_force
from ..journal.names import JournalFile
from ..journal.retention import Expired, alone
from ..model import names
from ..model.lifetime import Decision, Fate, Hold, Plan, Unit, plan
from ..query.links import link_of
from ..query.reader import Record, Unreadable, every_record
from .collected import waits_for_target

__all__ = ("CollectedRetention", "is_closed")

_CLOSED: Final = re.compile(r".+-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3})(?:-[a-z]+)?\.jsonl", re.ASCII)
_TIME: Final = re.compile(rb'"timeUnixNano"\s*:\s*"?(\d{1,20})[^\d]')
_CHUNK: Final = 1 << 20
_REACH: Final = 64
"""Bytes that a time with its name takes at most."""


@dataclass(slots=True)
class CollectedRetention:
    """The rule for one folder of a collector's files."""

    folder: Path
    lifetime: int | None
    """Days; None keeps everything."""
    expired: list[Expired] = field(default_factory=list)
    """What is about to be deleted, and not told yet."""
    failures: list[str] = field(default_factory=list)
    """Why files could not be archived, and so are kept."""

    def units(self, now: int) -> list[Unit]:
        """Every file, by name: closed ones, and those that the collector may still write."""
        found = sorted(path for path in self.folder.glob("*.jsonl") if JournalFile.parse(path.name) is None)
        return [unit for path in found if not path.name.endswith(".dead.jsonl") and (unit := _unit(path, now)) is not None]

    def plan(self, now: int, units: Iterable[Unit]) -> Plan:
        """What becomes of *units*. While holds cannot be read everything is kept, and the operator told."""
        try:
            held = in_force(self.folder, now)
        except HoldsUnreadable as error:
            warn("journal.holds", "%s", error)
            return Plan(tuple(Decision(unit, Fate.UNKNOWN) for unit in units))
        return plan(units, lifetime=self.lifetime, now=now, holds=lambda unit: self._touched(unit, held))

    def remarks(self, units: Iterable[Unit], now: int) -> Iterator[str]:
        """What the operator should know of *units*."""
        for unit in units:
            if unit.newest is not None and unit.newest > now:
                yield f"{unit.name}: its newest record comes from the future; a clock is wrong, or was"

    def tidy(self, now: int, tell: Callable[[], bool], *, archive_in: Path | None = None) -> list[str]:
        """Delete what is over, once it is noted in `expired` and *tell* has told it; the names of what was deleted.

        With *archive_in* every file is archived before; those that cannot be are kept, and `failures` says why.
        """
        with alone(self.folder, wait=True):
            going = [self.folder / unit.name for unit in self.plan(now, self.units(now)).going]
            safe = [path for path in going if archive_in is None or self._archived(path, archive_in)]
            self.expired.extend(_expired(safe))
            return [path.name for path in safe if _unlinked(path)] if safe and tell() else []

    def _archived(self, path: Path, folder: Path) -> bool:
        try:
            archive(path, folder)
        except ArchiveError as error:
            self.failures.append(str(error))
            return False
        return True

    def _touched(self, unit: Unit, held: list[Hold]) -> list[Hold]:
        """Those that concern a record of the file; read in full, since a collector may write a text in another way than we do."""
        left = dict.fromkeys(held)
        if left:
            for record, _ in every_record([self.folder / unit.name], unreadable := Unreadable()):
                for hold in [hold for hold in left if _concerns(hold, record)]:
                    del left[hold]
            if unreadable.files:  # what is in it is not known
                return held
        return [hold for hold in held if hold not in left]


def is_closed(name: str) -> bool:
    """Whether the collector has done with the file of that name."""
    return _CLOSED.fullmatch(name) is not None


def _unit(path: Path, now: int) -> Unit | None:
    """None for a file that is gone, or cannot be read."""
    try:
        size = path.stat().st_size
        times = sorted(_times(path))
        needed = "" if is_closed(path.name) else "it is being written"
        if not needed and waits_for_target(path, now):
            needed = "a target of `authaudit ship --to` lacks records of it"
    except OSError:
        return None
    oldest, newest = (times[0], _newest(times, path, now)) if times else (None, None if size else _closed_at(path))
    return Unit(name=path.name, oldest=oldest, newest=newest, size=size, needed=needed)


def _times(path: Path) -> set[int]:
    """The times of all records of the file, also in torn and joined lines."""
    found: set[int] = set()
    kept = b""
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            text = kept + piece
            found.update(map(int, _TIME.findall(text[:-_REACH])))
            kept = text[-2 * _REACH :]
        found.update(map(int, _TIME.findall(kept)))
    return found


def _newest(times: list[int], path: Path, now: int) -> int:
    """The time of the newest record. A record from the future is as old as the file: it was there when the file was closed."""
    if times[-1] <= now:
        return times[-1]
    closed = _closed_at(path)
    past = [time for time in times if time <= now]
    return times[-1] if closed is None or closed > now else max([*past[-1:], closed])


def _closed_at(path: Path) -> int | None:
    """When the collector closed the file, by its name (UTC); None if the name does not say."""
    match = _CLOSED.fullmatch(path.name)
    try:
        at = datetime.strptime(match[1], "%Y-%m-%dT%H-%M-%S.%f") if match else None  # noqa: DTZ007 -- said to be UTC below
    except ValueError:
        return None
    return int(at.replace(tzinfo=timezone.utc).timestamp() * 1000) * 1_000_000 if at else None


def _concerns(hold: Hold, record: Record) -> bool:
    found = record.attributes
    if hold.subject is not None:
        return hold.subject in {found.get(names.SUBJECT), found.get(names.ACTOR_ID)}
    return found.get(names.TENANT) == hold.tenant


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


@dataclass(slots=True)
class _Stream:
    """What goes of one stream."""

    runs: list[tuple[int, int, str]] = field(default_factory=list)
    """First number, last number, hash of the last."""
    ended: bool = False
    """Its end is among it."""


def _expired(paths: Iterable[Path]) -> Iterator[Expired]:
    """What is to be told of *paths*: the runs of each stream; of a stream whose end goes, nothing younger is left."""
    streams: dict[str, _Stream] = {}
    for path in paths:
        ends: dict[str, dict[int, Record | None]] = {}
        for record, _ in every_record([path], Unreadable()):
            stream = record.attributes.get(names.STREAM_ID, "")
            _note(ends.setdefault(stream, {}), record)
            streams.setdefault(stream, _Stream()).ended |= record.event == "audit.stop"
        for stream, found in ends.items():
            streams[stream].runs += _runs(found)
    for stream, known in sorted(streams.items()):
        runs = _joined(known.runs)
        for first, last, digest in runs:
            whole = known.ended and len(runs) == 1 and first == 1
            yield Expired(stream, last, digest, for_room=False, whole=whole, first=first)


def _note(ends: dict[int, Record | None], record: Record) -> None:
    """Remember the numbers of a file, and only those records that no other follows so far: a file has many."""
    ends[record.number] = record if record.number + 1 not in ends else None
    if record.number - 1 in ends:
        ends[record.number - 1] = None


def _runs(ends: dict[int, Record | None]) -> Iterator[tuple[int, int, str]]:
    """First number, last number, and hash of the last, of those that follow each other."""
    numbers = sorted(number for number in ends if number > 0)
    for _, group in groupby(enumerate(numbers), lambda item: item[1] - item[0]):
        run = [number for _, number in group]
        last = ends[run[-1]]
        if last is not None:
            yield run[0], run[-1], link_of(last, "").digest.hex()


def _joined(runs: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """The same, with those that follow each other or overlap as one."""
    joined: list[tuple[int, int, str]] = []
    for first, last, digest in sorted(runs):
        if joined and first <= joined[-1][1] + 1:
            begin, end, known = joined[-1]
            joined[-1] = (begin, last, digest) if last > end else (begin, end, known)
        else:
            joined.append((first, last, digest))
    return joined
