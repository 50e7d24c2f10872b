"""Retention of files: journals, and what a collector's file exporter writes.

Both go file by file, after it is told in a stream of records that lies beside them; what a legal hold concerns is kept as whole files.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from ..config import Config
from ..journal.canonical import decode
from ..journal.follow import first_in, last_in
from ..journal.holds import HoldsUnreadable, changing, in_force, read_holds
from ..journal.locks import HeldLock, described
from ..journal.names import JournalFile, files, lock_path, locked_streams
from ..journal.retention import Expired, Retention
from ..model import names
from ..model.lifetime import Hold, Plan
from .collected_retention import CollectedRetention, is_closed
from .errors import StoreError
from .recorder import recording
from .retained import OWN, Applied, Retained, Standing, Wish

__all__ = ("CollectorFolder", "FolderHolds", "JournalFolder", "apply_folder", "retained_at")


_Rule: TypeAlias = Retention | CollectedRetention


class _Folder(Retained):
    """Files that lie in one folder."""

    kind: str

    def __init__(self, folder: Path, config: Config, wish: Wish) -> None:
        self.folder, self.config, self.wish = folder, config, wish

    def __str__(self) -> str:
        return str(self.folder)

    @property
    @abstractmethod
    def journal(self) -> Path:
        """The folder of journals in which it is told."""

    @property
    def lifetime(self) -> int | None:
        """Days; None is infinity."""
        return self.wish.lifetime

    def archive(self, archive: Path | None, place: Path) -> Path | None:
        """Where in *archive* its files go, when *place* was named: services apart, as they are there."""
        return archive / self.folder.name if archive is not None and self.folder != place else archive

    def _standing(self, plan: Plan, ends: tuple[int | None, int | None], now: int, notes: Iterable[str]) -> Standing:
        unreadable = self._unreadable()
        return Standing(
            place=str(self),
            kind=self.kind,
            lifetime=self.lifetime,
            oldest=ends[0],
            newest=ends[1],
            size=sum(decision.unit.size for decision in plan.decisions),
            plan=plan,
            holds=() if unreadable else tuple(in_force(self.folder, now)),
            notes=(*notes, *unreadable),
        )

    def _unreadable(self) -> list[str]:
        """Why nothing can be deleted now, if the holds cannot be read."""
        try:
            in_force(self.folder, 0)
        except HoldsUnreadable as error:
            return [str(error)]
        return []

    def _applied(
        self, tidy: Callable[[Callable[[], bool]], Iterable[str]], rule: _Rule, now: int, archive: Path | None
    ) -> Applied:
        """Let *tidy* delete by *rule*, when what it notes there is told."""
        told = True

        def tell() -> bool:
            nonlocal told
            told = self._tell(rule.expired, now, archive)
            return told

        deleted = tuple(tidy(tell))
        failures = [*self._unreadable(), *rule.failures]
        if not told:
            failures.append(
                f"it cannot be recorded in {self.journal}, so nothing is deleted: run this as the owner of the journals"
            )
        return Applied(place=str(self), deleted=deleted, failure="; ".join(failures))

    def _tell(self, expired: list[Expired], now: int, archive: Path | None) -> bool:
        from ..pipeline.evidence import Evidence  # noqa: PLC0415 -- only who deletes something needs it

        more = {names.EXPIRED_ARCHIVE: str(archive)} if archive is not None else {}
        with recording(self.journal, self.config, self.lifetime, now) as recorder:
            return Evidence(expired).tell(lambda event, facts: recorder.report(event, {**facts, **more}))


class JournalFolder(_Folder):
    """The journals of one service."""

    kind = "journal"

    def archive(self, archive: Path | None, place: Path) -> Path | None:
        """See `_Folder`: in a folder of the service's name."""
        return archive / self.folder.absolute().name if archive is not None else None

    @property
    def journal(self) -> Path:
        """See `_Folder`."""
        return self.folder

    @property
    def lifetime(self) -> int | None:
        """What was asked for now, else the longest of the option and of what living processes keep: a shell may have another."""
        stated = [self.wish.lifetime, *self._stated().values()]
        return self.wish.lifetime if self.wish.explicit else None if None in stated else max(filter(None, stated))

    def standing(self, now: int) -> Standing:
        """See `Retained`."""
        plan = self._retention().plan(now)
        notes = [
            f"process {pid} keeps records {Wish(lifetime)}: it deletes by itself"
            for pid, lifetime in self._stated().items()
            if lifetime != self.lifetime
        ]
        return self._standing(plan, self._ends(), now, notes)

    def apply(self, now: int, *, archive_in: Path | None = None) -> Applied:
        """See `Retained`."""
        retention = self._retention()

        def tidy(tell: Callable[[], bool]) -> list[str]:
            return [file.name for file in retention.tidy(now, tell, archive_in=archive_in, wait=True)]

        return self._applied(tidy, retention, now, archive_in)

    def _retention(self) -> Retention:
        return Retention(self.folder, self.lifetime, None, delivering=None)

    def _stated(self) -> dict[int, int | None]:
        """How long living processes keep the records of this folder, by process."""
        stated = {}
        for stream in sorted(locked_streams(self.folder)):
            path = lock_path(self.folder, stream)
            taken = HeldLock.take(path)
            if taken is not None:
                taken.forget()
            elif "log_lifetime" in (facts := described(path)):
                stated[int(facts.get("pid", 0))] = facts["log_lifetime"]
        return stated

    def _ends(self) -> tuple[int | None, int | None]:
        """Times of the oldest and the newest record."""
        found = files(self.folder)
        days = sorted({file.day for file in found})
        first = [time for file in found if file.day in days[:1] and (time := _time(first_in(self.folder / file.name)))]
        last = [time for file in found if file.day in days[-1:] and (time := _time(last_in(self.folder / file.name)))]
        return min(first, default=None), max(last, default=None)


class CollectorFolder(_Folder):
    """The files of a collector."""

    kind = "collector's files"

    @property
    def journal(self) -> Path:
        """See `_Folder`."""
        return self.folder / OWN

    def standing(self, now: int) -> Standing:
        """See `Retained`."""
        retention = CollectedRetention(self.folder, self.lifetime)
        units = retention.units(now)
        oldest = [unit.oldest for unit in units if unit.oldest is not None]
        newest = [unit.newest for unit in units if unit.newest is not None]
        ends = min(oldest, default=None), max(newest, default=None)
        return self._standing(retention.plan(now, units), ends, now, retention.remarks(units, now))

    def apply(self, now: int, *, archive_in: Path | None = None) -> Applied:
        """See `Retained`."""
        retention = CollectedRetention(self.folder, self.lifetime)
        return self._applied(lambda tell: retention.tidy(now, tell, archive_in=archive_in), retention, now, archive_in)


def retained_at(place: Path, config: Config, wish: Wish) -> list[CollectorFolder | JournalFolder]:
    """What is kept at *place*: a folder of journals or of a collector's files, and one level down the folders of services."""
    folders = [place, *sorted(folder for folder in place.iterdir() if folder.is_dir())] if place.is_dir() else []
    found: list[CollectorFolder | JournalFolder] = []
    for folder in folders:
        names_there = [path.name for path in folder.glob("*.jsonl")]
        if any(map(JournalFile.parse, names_there)):
            found.append(JournalFolder(folder, config, wish))
        if any(map(is_closed, names_there)):
            found.append(CollectorFolder(folder, config, wish))
    return found


def journal_at(place: Path) -> Path:
    """Where it is told what is done to *place*: in it, if it is the folder of a service's journals, else in a folder of our own."""
    return place if files(place) else place / OWN


class FolderHolds:
    """The holds on everything at a place of files, and in the folders of its services."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.journal = journal_at(place)
        """Where it is told what is done to them."""

    def __str__(self) -> str:
        return str(self.place)

    def holds(self) -> list[Hold]:
        """See `Retained`."""
        return [hold for _, hold in self._found()]

    def hold(self, hold: Hold) -> None:
        """See `Retained`."""
        self._change(self.place, lambda holds: holds.append(hold))

    def release(self, hold: Hold) -> None:
        """See `Retained`."""
        for folder, found in self._found():
            if found == hold:
                self._change(folder, lambda holds: holds.remove(hold))

    def _found(self) -> list[tuple[Path, Hold]]:
        folders = [self.place, *sorted(folder for folder in self.place.iterdir() if folder.is_dir())]
        try:
            return [(folder, hold) for folder in folders for hold in read_holds(folder)]
        except HoldsUnreadable as error:
            raise StoreError(str(error)) from None

    def _change(self, folder: Path, change: Callable[[list[Hold]], None]) -> None:
        try:
            with changing(folder) as holds:
                change(holds)
        except HoldsUnreadable as error:
            raise StoreError(str(error)) from None
        except OSError as error:
            raise StoreError(f"holds cannot be written down in {folder}: {error.strerror}") from None


def apply_folder(place: Path, config: Config, lifetime: int | None, now: int, *, archive_in: Path | None = None) -> list[Applied]:
    """Apply *lifetime* (days; None is infinity) to everything at *place*. For launchers, at the start and once a day."""
    kept = retained_at(place, config, Wish(lifetime))
    return [folder.apply(now, archive_in=folder.archive(archive_in, place)) for folder in kept]


def _time(record: bytes | None) -> int | None:
    try:
        return decode(record).time if record is not None else None
    except (KeyError, TypeError, ValueError):
        return None
