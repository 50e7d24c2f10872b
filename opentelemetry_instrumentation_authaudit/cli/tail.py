"""The newest records; with -f also those to come, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from ..config import load
from ..query.filters import Filters
from ..query.reader import Record, Unreadable, parse
from ..stores.errors import StoreError
from ..stores.files import FileStore
from ..stores.store import Store
from .places import files_of, tell_unreadable
from .query import add_filter_flags, count, filters_of, lines_of
from .stores import open_stores

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = """\
examples:
  authaudit tail                          the newest 20 records
  authaudit tail -f --status failure      watch failures
  authaudit tail -f --format json | jq .
  authaudit tail -f --store postgresql://reader@db/audit

A store that is no file is asked every second; what reaches it more than a minute after newer records is left to `authaudit query`.
"""

_PAUSE = 0.2  # seconds between looks into files
_EVERY = 1.0  # seconds between questions to a store
_EVERY_WHILE_AWAY = 5.0
_LATE = 60 * 1_000_000_000
"""How much later than others a record may arrive in a store and still be seen."""
_REMEMBERED = 10_000
"""Ids of what was shown: a collector's file brings a record a little later than the journal."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    add_filter_flags(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    parser.add_argument("-n", "--lines", type=count, default=20, metavar="N", help="how many of the newest to begin with (20)")


def run(options: argparse.Namespace) -> int:
    """Print the newest records, then follow."""
    config, unreadable = load(), Unreadable()
    store = open_stores(options.store, config, unreadable)
    filters = filters_of(options, store, config)
    ends = _Ends([place for one in store.stores if isinstance(one, FileStore) for place in one.places])
    asked = [_Asked(one, filters) for one in store.stores if options.follow and not isinstance(one, FileStore)]
    newest = store.last(filters, options.lines)
    code = tell_unreadable(unreadable)
    if not options.follow:
        for line in lines_of(newest, options.format):
            print(line)
        return code
    coming = _coming([ends, *asked], filters, {record.id: None for record in newest})
    for line in lines_of(chain(newest, coming), options.format, window=len(newest)):
        print(line, flush=True)
    return code


def _coming(sources: Sequence[_Ends | _Asked], filters: Filters, shown: dict[str, None]) -> Iterator[Record]:
    """The records that pass, as they arrive, for ever; those with an id in *shown* are not repeated."""
    tests, told = filters.tests(), set[str]()
    while True:
        unreadable = Unreadable()
        arrived = sorted((record for one in sources for record in one.arrived(unreadable)), key=lambda record: record.time)
        unreadable.files = {file: why for file, why in unreadable.files.items() if file not in told}
        told |= set(unreadable.files)
        tell_unreadable(unreadable)
        for record in arrived:
            if record.id not in shown and all(test(record) for test in tests):
                shown[record.id] = None
                yield record
        while len(shown) > _REMEMBERED:
            del shown[next(iter(shown))]
        if not arrived:
            time.sleep(_PAUSE)


class _Asked:
    """A store elsewhere, asked every second for what is not older than a minute before the newest that it had."""

    def __init__(self, store: Store, filters: Filters) -> None:
        self._store, self._filters, self._since = store, filters, filters.since
        self._move(record.time for record in store.last(filters, 1))
        self._seen = {record.id: record.time for record in self._records()}
        self._next, self._away = 0.0, False

    def arrived(self, _unreadable: Unreadable) -> list[Record]:
        """The records that came since the last look; none while the store cannot be reached, which is said once."""
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + _EVERY
        try:
            arrived = [record for record in self._records() if record.id not in self._seen]
        except StoreError as error:
            if not self._away:
                print(f"{error}; trying again", file=sys.stderr)
            self._away, self._next = True, time.monotonic() + _EVERY_WHILE_AWAY
            return []
        self._away = False
        self._seen |= {record.id: record.time for record in arrived}
        self._move(self._seen.values())
        self._seen = {one: at for one, at in self._seen.items() if at >= self._since}
        return arrived

    def _move(self, times: Iterable[int]) -> None:
        """Look from a minute before the newest on; a record of the future, from a clock that is wrong, does not hide the present."""
        now = time.time_ns()
        self._since = max(self._since, min(max(times, default=now), now) - _LATE)

    def _records(self) -> Iterator[Record]:
        return self._store.records(replace(self._filters, since=self._since))


class _Ends:
    """How far each file has been read. Files are known by what they are, not by name: a rotated one keeps its place."""

    def __init__(self, found: list[Path]) -> None:
        self._places = found
        self._offsets = {_identity(stat): stat.st_size for _, stat in self._files()}

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in files_of(self._places, Unreadable()):
            try:
                yield path, path.stat()
            except FileNotFoundError:  # retention was here
                continue

    def arrived(self, unreadable: Unreadable) -> Iterator[Record]:
        """The records of the whole lines that came since the last look."""
        for path, stat in self._files():
            if stat.st_size == self._offsets.get(_identity(stat), 0):
                continue
            try:
                with path.open("rb") as file:
                    yield from self._read_on(file.fileno(), path.name, unreadable)
            except OSError as error:
                unreadable.files[str(path)] = error.strerror or type(error).__name__

    def _read_on(self, descriptor: int, name: str, unreadable: Unreadable) -> Iterator[Record]:
        stat = os.fstat(descriptor)
        offset = self._offsets.get(_identity(stat), 0)
        if offset > stat.st_size:  # emptied, and written anew
            offset = 0
        whole, newline, _ = os.pread(descriptor, stat.st_size - offset, offset).rpartition(b"\n")
        self._offsets[_identity(stat)] = offset + len(whole) + len(newline)
        for line in whole.split(b"\n"):
            yield from parse(line, unreadable, name)


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino
