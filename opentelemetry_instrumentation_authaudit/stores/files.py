"""Files as a store: our journals, and what a collector's file exporter writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..journal.names import JournalFile
from ..query.filters import Filters
from ..query.reader import Record, Unreadable, every_record, files_in, read
from .collected import collected_in
from .errors import StoreError
from .store import Progress, Store

if TYPE_CHECKING:
    from ..pipeline.otlp import Sender

__all__ = ("FileStore",)

_EVERYTHING: Final = Filters()
_HOUR: Final = 3600 * 1_000_000_000
_BACK: Final = (_HOUR, 24 * _HOUR, 8 * 24 * _HOUR)
_TAIL: Final = 1 << 18
_TIME: Final = re.compile(rb'"timeUnixNano":\s*"?([0-9]{1,19})')


class FileStore(Store):
    """The records in *files*; what cannot be read is noted in *unreadable*."""

    def __init__(self, places: Iterable[Path], files: Iterable[Path], unreadable: Unreadable) -> None:
        self.places, self.files, self.unreadable = list(places), list(files), unreadable

    def __str__(self) -> str:
        return ", ".join(map(str, self.places))

    def records(self, filters: Filters, since: int | None = None) -> Iterator[Record]:
        """See `Store`. Files from before *since* (nanoseconds; the filters' own, if None) are left closed."""
        since = filters.since if since is None else since
        found = read(self.files, self.unreadable, may_match=filters.needles(), since=since)
        return _passing(found, filters)

    def last(self, filters: Filters, count: int) -> list[Record]:
        """See `Store`. What is older is looked at only where the newest hour, day, week have too little."""
        newest = max(map(_newest_in, self.files), default=0) if count else 0
        for back in _BACK:
            if newest - back <= filters.since:
                break
            found = super().last(replace(filters, since=newest - back), count)
            if len(found) == count:
                return found
            self.unreadable.lines = 0  # they are counted anew
        return super().last(filters, count)

    def copies(self, filters: Filters, progress: Progress = lambda _done: None) -> Iterator[Record]:
        """See `Store`; progress in bytes."""
        found = every_record(self.files, self.unreadable, progress)
        return _passing((record for record, _ in found), filters) if filters != _EVERYTHING else (record for record, _ in found)

    def newcomers(self) -> list[Path]:
        """Files that are new since they were listed, renamed ones too; they belong to the store from now on.

        Of a collector's file that was named alone, those are its rotated ones.
        """
        alone = [place for place in self.places if not place.is_dir() and JournalFile.parse(place.name) is None]
        there = dict.fromkeys([path for place in self.places for path in files_in(place)])
        there |= dict.fromkeys(path for place in alone for path in collected_in(place))
        for path in set(self.files) - set(there):  # retention was here
            self.unreadable.files.pop(str(path), None)
        found = [path for path in there if path not in self.files]
        self.files = [path for path in self.files if path in there] + found
        return found

    def size(self) -> int:
        """Bytes."""
        return sum(path.stat().st_size for path in self.files)

    def sender(self) -> Sender:
        """Writes a file of its own, which belongs to this store from then on. StoreError for several places."""
        from .file_sender import FileSender  # noqa: PLC0415 -- who only asks need not load Protobuf

        if len(self.places) != 1:
            raise StoreError(f"records can be written into one folder only, not into {self}")
        (place,) = self.places
        return FileSender(place if place.is_dir() else place.parent, self.files.append)


def _newest_in(path: Path) -> int:
    """About the time of the newest record, read off the file's end; 0 if none is seen there."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return max(map(int, _TIME.findall(file.read())), default=0)
    except OSError:  # said by whoever reads the whole of it
        return 0


def _passing(records: Iterable[Record], filters: Filters) -> Iterator[Record]:
    tests: list[Callable[[Record], bool]] = filters.tests()
    return (record for record in records if all(test(record) for test in tests))
