"""Deliveries beside the usual one: a store of records (`authaudit ship --to URL`) gets everything in a folder, by cursors of its own.

What is remembered of a target lies in `targets/<its name>` beside the files: how far each stream has come, and `target.json`, which is
touched while somebody serves the target. As long as that is so, retention keeps what the target lacks; after `GIVEN_UP_DAYS` in
which nobody has served it, it is taken for given up.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import cursor
from .canonical import number_of
from .follow import last_in
from .locks import HeldLock
from .names import JournalFile, cursor_path, files
from .streams import Batch, Streams

__all__ = ("GIVEN_UP_DAYS", "JournalsForTarget", "Registered", "Target", "known_targets", "lacking_from", "targets_of")

GIVEN_UP_DAYS: Final = 30
_DAY: Final = 86_400
_HOUR: Final = 3600
_FOLDER: Final = "targets"
_REGISTERED: Final = "target.json"


@dataclass(frozen=True, slots=True)
class Registered:
    """A target that is known in a folder."""

    place: Path
    """What is remembered of it."""
    described: str
    """Its address, without a password."""
    served: float
    """When somebody served it last, within an hour; seconds since the epoch."""


class Target:
    """What is remembered of a target in one folder of files."""

    def __init__(self, folder: Path, name: str) -> None:
        """*folder* holds the files; *name* is a file name that stands for the target."""
        self.place = folder / _FOLDER / name
        self._lock: HeldLock | None = None

    def hold(self, described: str) -> bool:
        """Register the target and serve it alone; False if another process does. *described*: its address, without a password."""
        self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_file = self.place / "ship.lock"
        lock_file.touch(mode=0o600)
        self._lock = HeldLock.take(lock_file)
        if self._lock is None:
            return False
        registered = self.place / _REGISTERED
        registered.write_text(json.dumps({"target": described}), encoding="utf-8")
        return True

    def served(self) -> None:
        """Note that somebody still serves it."""
        registered = self.place / _REGISTERED
        if not registered.exists() or time.time() - registered.stat().st_mtime > _HOUR:
            registered.touch(mode=0o600)

    def release(self) -> None:
        """Let another process serve it."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release(done=True)

    def forget(self) -> bool:
        """Remove everything that is remembered; False if a process serves it now, or there is nothing."""
        if not self.place.is_dir():
            return False
        lock_file = self.place / "ship.lock"
        lock_file.touch(mode=0o600)
        lock = HeldLock.take(lock_file)
        if lock is None:
            return False
        shutil.rmtree(self.place)
        lock.forget()
        return True


class JournalsForTarget:
    """Everything in a journal folder that a target has not got, whoever wrote it and whoever else delivers it: a `streams.Source`.

    Streams take turns, so that a busy one keeps nobody waiting.
    """

    def __init__(self, folder: Path, target: Target) -> None:
        self.folder = folder
        self._target = target
        self._streams = Streams(folder, beside=target.place)
        self._waiting: dict[str, None] = {}
        self._seen: dict[str, tuple[str, int]] = {}

    def next(self, limit: int) -> Batch | None:
        """See `Source`."""
        for stream in list(self._waiting):
            batch = self._streams.next(stream, limit)
            if batch is not None:
                return batch
            del self._waiting[stream]
        return None

    def acknowledge(self, batch: Batch) -> None:
        """See `Source`."""
        self._waiting.pop(batch.stream, None)
        self._waiting[batch.stream] = None  # at the end of the row
        self._streams.acknowledge(batch)

    def bury(self, batch: Batch, why: str) -> None:
        """See `Source`."""
        self._streams.bury(batch, why)
        self.acknowledge(batch)

    def depth(self) -> int:
        """See `Source`."""
        return sum(map(self._streams.depth, list(self._waiting)))

    def adopt(self) -> int:
        """See `Source`."""
        self._target.served()
        before = len(self._waiting)
        for stream, end in _ends(self.folder).items():
            position = self._streams.position(stream)
            reached = (position.file, position.offset) if position is not None else None
            if end not in (self._seen.get(stream), reached):
                self._waiting[stream] = None
            self._seen[stream] = end
        return len(self._waiting) - before

    def close(self) -> None:
        """Let go of the target, too."""
        self._target.release()


def known_targets(folder: Path) -> Iterator[Registered]:
    """The targets of *folder*, whether somebody serves them or not."""
    for registered in sorted(folder.glob(f"{_FOLDER}/*/{_REGISTERED}")):
        try:
            served = registered.stat().st_mtime
            described = str(json.loads(registered.read_bytes())["target"])
        except FileNotFoundError:  # forgotten in this moment
            continue
        except (OSError, ValueError, KeyError, TypeError):
            described = registered.parent.name
        yield Registered(registered.parent, described, served)


def targets_of(folder: Path, now: int) -> Iterator[Path]:
    """The places of the targets of *folder* that are not given up at *now* (nanoseconds since the epoch)."""
    return (target.place for target in known_targets(folder) if now / 1e9 - target.served < GIVEN_UP_DAYS * _DAY)


def lacking_from(folder: Path, stream: str, last: int, now: int) -> int:
    """The first part of *stream*, whose last part is *last*, that some target has not got whole; *last* + 1: they have all of it."""
    return min((_lacking_from(folder, stream, last, place) for place in targets_of(folder, now)), default=last + 1)


def _lacking_from(folder: Path, stream: str, last: int, place: Path) -> int:
    position = cursor.load(cursor_path(place, stream))
    reached = JournalFile.parse(position.file) if position is not None else None
    if position is None or reached is None:
        return 0
    newest = last_in(folder / reached.name)
    whole = newest is None or number_of(newest) <= position.number
    return min(reached.part + whole, last + 1)


def _ends(folder: Path) -> dict[str, tuple[str, int]]:
    """The name and size of the last file of each stream."""
    ends: dict[str, tuple[str, int]] = {}
    for file in files(folder):
        try:
            ends[file.stream] = (file.name, (folder / file.name).stat().st_size)
        except OSError:  # retention was here
            continue
    return ends
