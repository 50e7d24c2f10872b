"""One reader for our journals and a collector's files, archived ones too: which files there are, and their records in order."""

from __future__ import annotations

import gzip
import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Final, TypeAlias

from ..journal.names import JournalFile
from ..model import names
from .documents import MayMatch, Record, Unreadable, parse, worth_parsing

__all__ = ("Record", "Unreadable", "every_record", "files_in", "journal_of", "opened", "parse", "read")

_Key: TypeAlias = tuple[int, str, int]

_WINDOW: Final = 1024
"""Records of one stream may stand out of order by what waited for the end of a request; never by this many."""
_DAY: Final = 86_400 * 1_000_000_000
_PATTERNS: Final = ("*.jsonl", "*/*.jsonl", "*.json", "*.jsonl.gz", "*/*.jsonl.gz")
_PACKED: Final = ".gz"
_UNREADABLE: Final = (OSError, EOFError, zlib.error)
"""What reading a file raises; the last two where an archive is damaged."""


def files_in(place: Path) -> list[Path]:
    """The files of records at *place*: itself, or those in it and, one level down, in the folders of its services."""
    if place.is_file():
        return [place]
    found = [path for pattern in _PATTERNS for path in place.glob(pattern)]
    return sorted(path for path in found if not path.name.removesuffix(_PACKED).endswith(".dead.jsonl"))


def journal_of(path: Path) -> JournalFile | None:
    """What the name of *path* says of a journal, also of an archived one; None if it is none."""
    return JournalFile.parse(path.name.removesuffix(_PACKED))


def opened(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked if it is an archived one (`.gz`). OSError; reading may also raise EOFError and zlib.error."""
    return gzip.GzipFile(path) if path.name.endswith(_PACKED) else path.open("rb")  # type: ignore[return-value] # it reads alike


def read(
    files: Iterable[Path],
    unreadable: Unreadable,
    *,
    may_match: MayMatch = lambda _line: True,
    since: int = 0,
) -> Iterator[Record]:
    """The audit records of *files* in the order of their time, each once.

    *may_match* sees the bytes of a line before it is parsed and says whether it is worth it; *since* (nanoseconds) lets whole
    files of earlier days be left closed.
    """
    streams: dict[str, list[Path]] = {}
    for path in files:
        first = _first_moment(path)
        if not first or first + 3 * _DAY > since:
            journal = journal_of(path)
            streams.setdefault(f"{path.parent}/{journal.stream if journal else path.name}", []).append(path)
    seen: set[str] = set()
    for record in _merged(streams.values(), unreadable, may_match):
        if record.id not in seen:
            seen.add(record.id)
            yield record


def every_record(
    files: Iterable[Path], unreadable: Unreadable, progress: Callable[[int], None] = lambda _bytes: None
) -> Iterator[tuple[Record, Path]]:
    """Every copy of every audit record of *files*, as they stand there; `Record.file` is the file's name and the line.

    *progress* is told how many bytes were read since it was told last.
    """
    for path in files:
        try:
            with opened(path) as file:
                for number, line in enumerate(file, 1):
                    for record in parse(line, unreadable, f"{path.name}:{number}"):
                        yield record, path
                    progress(len(line))
        except _UNREADABLE as error:
            unreadable.files[str(path)] = getattr(error, "strerror", None) or type(error).__name__


def _merged(streams: Iterable[list[Path]], unreadable: Unreadable, may_match: MayMatch) -> Iterator[Record]:
    """The records of all streams in order. A stream is opened when its time has come: of months, few live at once."""
    waiting = sorted((min(map(_first_moment, parts)), number, parts) for number, parts in enumerate(streams))
    waiting.reverse()
    heads: list[tuple[_Key, int, Record, Iterator[Record]]] = []
    while waiting or heads:
        if waiting and (not heads or waiting[-1][0] <= heads[0][0][0]):
            _, number, parts = waiting.pop()
            records = _nearly_sorted(_records(sorted(parts, key=_part), unreadable, may_match))
        else:
            _, number, record, records = heapq.heappop(heads)
            yield record
        following = next(records, None)
        if following is not None:
            heapq.heappush(heads, (_order(following), number, following, records))


def _first_moment(path: Path) -> int:
    """Before any record of the file: the day before its own, for clocks that were set back; 0 if it is no journal."""
    journal = journal_of(path)
    if journal is None:
        return 0
    try:
        day = datetime.fromisoformat(journal.day).replace(tzinfo=timezone.utc)
    except ValueError:
        return 0
    return int(day.timestamp()) * 1_000_000_000 - _DAY


def _part(path: Path) -> tuple[int, str]:
    journal = journal_of(path)
    return (journal.part if journal else 0), path.name


def _order(record: Record) -> _Key:
    return record.time, record.attributes.get(names.STREAM_ID, ""), record.number


def _nearly_sorted(records: Iterator[Record]) -> Iterator[Record]:
    heap: list[tuple[_Key, int, Record]] = []
    for count, record in enumerate(records):
        item = (_order(record), count, record)
        if len(heap) < _WINDOW:
            heapq.heappush(heap, item)
        else:
            yield heapq.heappushpop(heap, item)[2]
    while heap:
        yield heapq.heappop(heap)[2]


def _records(paths: Iterable[Path], unreadable: Unreadable, may_match: MayMatch) -> Iterator[Record]:
    for path in paths:
        try:
            with opened(path) as file:
                for line in worth_parsing(file, may_match):
                    yield from parse(line, unreadable, path.name)
        except _UNREADABLE as error:
            unreadable.files[str(path)] = getattr(error, "strerror", None) or type(error).__name__
