"""`authaudit ship --to`: into a store, from journals and from a collector's files."""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..config import Config
from ..guard import warn
from ..journal.names import JournalFile
from ..journal.streams import Source
from ..journal.targets import JournalsForTarget, Target
from ..pipeline.answers import Verdict
from ..pipeline.delivery import Delivery
from ..pipeline.words import Words
from ..query.reader import Unreadable
from ..stores.collected import Collected, collected_in
from ..stores.errors import StoreError
from ..stores.files import FileStore
from ..stores.retained import Wish, open_retained
from ..stores.shipping import Outspoken, Several, described, target_name
from ..stores.store import Store, is_url, open_store
from .delivering import LOOK, ended, follow, once
from .main import UNFINISHED, CliError
from .places import places, tell_unreadable

__all__ = ("open_target", "ship_to")


@dataclass(slots=True)
class _Sources:
    """Finds what is to be shipped; asked again and again, it gives what is new."""

    places: list[Path]
    target: str
    state: Path | None
    unreadable: Unreadable
    started: bool = False
    """What cannot be taken over later is told, and costs nothing else."""
    _open: set[tuple[Path, bool]] = field(default_factory=set)
    _targets: dict[Path, Target] = field(default_factory=dict)

    def __call__(self) -> Iterator[Source]:
        for place in self.places:
            for where in (place, *_folders(place)):
                try:
                    yield from self._in(where)
                except CliError as error:
                    if not self.started:
                        raise
                    warn(f"ship.{where}", "%s", error)

    def __len__(self) -> int:
        return len(self._open)

    def folders(self) -> set[Path]:
        """Where files may be."""
        found = (where for place in self.places for where in (place, *_folders(place)))
        return {(where if where.is_dir() else where.parent).resolve() for where in found}

    def forget(self) -> int:
        """Forget the target everywhere; in how many folders it was known. CliError while it is served."""
        known = [target for target in map(self._target, sorted(self.folders())) if target.place.is_dir()]
        for target in known:
            if not target.forget():
                raise CliError(f"`authaudit ship --to {described(self.target)}` is at work there: end it first", UNFINISHED)
        return len(known)

    def _in(self, where: Path) -> Iterator[Source]:
        if where.is_dir() and any(JournalFile.parse(path.name) for path in where.glob("*.jsonl")):
            yield from self._journals(where)
        if collected_in(where):
            yield from self._collected(where)

    def _journals(self, folder: Path) -> Iterator[Source]:
        if (folder, True) not in self._open:
            yield JournalsForTarget(folder, self._held(folder))
            self._open.add((folder, True))

    def _collected(self, where: Path) -> Iterator[Source]:
        if (where, False) not in self._open:
            target = self._held(where if where.is_dir() else where.parent)
            yield Collected(lambda: collected_in(where), target, self.unreadable)
            self._open.add((where, False))

    def _held(self, folder: Path) -> Target:
        if folder not in self._targets:
            target = self._target(folder)
            try:
                free = target.hold(described(self.target))
            except OSError as error:
                says = f"{target.place} cannot be written ({error.strerror}), where what is shipped is remembered"
                raise CliError(f"{says}; for a collector's files --state names another folder", UNFINISHED) from None
            if not free:
                raise CliError(f"another `authaudit ship` to {described(self.target)} is at work in {folder}", UNFINISHED)
            self._targets[folder] = target
        return self._targets[folder]

    def _target(self, folder: Path) -> Target:
        journals = any(JournalFile.parse(path.name) for path in folder.glob("*.jsonl"))
        if self.state is not None and not journals:
            folder = self.state / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        return Target(folder, target_name(self.target))


def ship_to(options: argparse.Namespace, config: Config, patience: float) -> int:
    """Ship into the store that `--to` names."""
    unreadable = Unreadable()
    sources = _Sources(places(options.store, config), options.to, options.state, unreadable)
    if options.forget:
        count = sources.forget()
        print(f"{described(options.to)} was forgotten in {count} folder{'s' if count != 1 else ''}")
        return 0
    store = open_target(options.to)
    if isinstance(store, FileStore) and any(one.resolve() in sources.folders() for one in store.places):
        raise CliError(f"{described(options.to)} is among what is shipped: it would be shipped into itself")
    try:
        code = _ship(options, config, patience, sources, store)
    finally:
        store.close()
    return tell_unreadable(unreadable) or code


def open_target(target: str) -> Store:
    """The store that *target*, a URL or a folder, names. StoreError or CliError."""
    if is_url(target):
        return open_store(target)
    path = Path(target.removeprefix("file:"))
    if "://" in target or not path.is_dir():
        raise CliError(f"there is no folder {path}; --to names one, or a store by its URL: postgresql://writer@db/audit")
    return FileStore([path], [], Unreadable())


def _ship(options: argparse.Namespace, config: Config, patience: float, sources: _Sources, store: Store) -> int:
    sender = Outspoken(store.sender())
    answer = sender.send(None)
    if answer.verdict is Verdict.MISCONFIGURED:
        raise StoreError(answer.detail)
    several = Several(sources)
    several.adopt()
    sources.started = True
    if not len(sources) and not options.follow:
        found = ", ".join(map(str, sources.places))
        raise CliError(f"there are no journals and no collector's files in {found}; --store names a folder or a file")
    delivery = Delivery(
        several, sender, max_size=config.write_batching_max_size, interval=LOOK, words=Words.to_store(described(options.to))
    )
    retain = _retaining(options.to, config)
    retain()
    if options.follow:
        follow([delivery], f"{', '.join(map(str, sources.places))}, into {described(options.to)}", retain)
    left = None if options.follow else once([(several, delivery)], patience)
    return ended([(several, delivery)], "below `targets`, beside what was shipped", left)


def _retaining(target: str, config: Config) -> Callable[[], None]:
    """Applies the lifetime that stands in the target, where nobody else does: in a database that does not delete by itself."""
    retained = open_retained(target, config, Wish(config.log_lifetime)) if is_url(target) else None

    def apply() -> None:
        if retained is not None and retained.waits_to_be_asked:
            try:
                retained.apply(time.time_ns())
            except StoreError as error:  # no reason not to ship
                print(f"authaudit ship: retention could not be applied: {error}", file=sys.stderr)

    return apply


def _folders(place: Path) -> list[Path]:
    return sorted(filter(Path.is_dir, place.iterdir())) if place.is_dir() else []
