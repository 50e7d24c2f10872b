"""One reader for our journals and for the files that a collector writes.

Lines are OTLP/JSON documents with one record or many, or what `authaudit query --format json` printed. A torn line costs what is
torn; a good document behind it on the same line (a collector after a full disk writes such) is still found. What cannot be read is
counted, never passed over in silence.
"""

from __future__ import annotations

import heapq
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, TypeAlias

from ..journal.names import JournalFile
from ..model import names

__all__ = ("Record", "Unreadable", "every_record", "files_in", "read")

_Key: TypeAlias = tuple[int, str, int]

_START: Final = b'{"resourceLogs"'
_END: Final = b"}]}]}"
_WINDOW: Final = 1024
"""Records of one stream may stand out of order by what waited for the end of a request; never by this many."""
_DAY: Final = 86_400 * 1_000_000_000
_LAST_MOMENT: Final = 253_402_300_800 * 1_000_000_000
"""The end of the year 9999, where calendars of most programs end."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was stored."""

    event: str
    time: int
    """Nanoseconds since the epoch."""
    attributes: dict[str, str]
    number: int = 0
    """Its place in its stream, 0 if it has none."""
    service: str = ""
    severity: int | None = None
    trace_id: str = ""
    span_id: str = ""
    file: str = ""

    @property
    def id(self) -> str:
        """The record's id, by which copies of it are recognised."""
        return self.attributes.get(names.RECORD_ID, "")

    @property
    def logged_at(self) -> str:
        """RFC 3339, UTC, microseconds."""
        seconds, rest = divmod(self.time, 1_000_000_000)
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"

    def flat(self) -> dict[str, str]:
        """Everything as one flat object: attribute names, and `logged_at`, `event`, `service`, `severity`, `trace_id`,
        `span_id`."""
        head = {"logged_at": self.logged_at, "event": self.event, "service": self.service}
        tail = {"severity": str(self.severity or ""), "trace_id": self.trace_id, "span_id": self.span_id}
        return {name: value for name, value in {**head, **self.attributes, **tail}.items() if value}


@dataclass(slots=True)
class Unreadable:
    """What could not be read."""

    lines: int = 0
    """Lines, or parts of lines, that are no whole document."""
    files: dict[str, str] = field(default_factory=dict)
    """Files that could not be opened, and why."""

    def __bool__(self) -> bool:
        return bool(self.lines or self.files)


def files_in(place: Path) -> list[Path]:
    """The files of records at *place*: itself, or those in it and, one level down, in the folders of its services."""
    if place.is_file():
        return [place]
    found = [path for pattern in ("*.jsonl", "*/*.jsonl", "*.json") for path in place.glob(pattern)]
    return sorted(path for path in found if not path.name.endswith(".dead.jsonl"))


def read(
    files: Iterable[Path],
    unreadable: Unreadable,
    *,
    may_match: Callable[[bytes], bool] = lambda _line: True,
    since: int = 0,
) -> Iterator[Record]:
    """The audit records of *files* in the order of their time, each once.

    *may_match* sees the bytes of a line before it is parsed and says whether it is worth it; *since* (nanoseconds) lets whole
    files of earlier days be left closed.
    """
    streams: dict[str, list[Path]] = {}
    for path in files:
        if not since or _first_moment(path) + 3 * _DAY > since:
            journal = JournalFile.parse(path.name)
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
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    for record in parse(line, unreadable, f"{path.name}:{number}"):
                        yield record, path
                    progress(len(line))
        except OSError as error:
            unreadable.files[str(path)] = error.strerror or type(error).__name__


def _merged(streams: Iterable[list[Path]], unreadable: Unreadable, may_match: Callable[[bytes], bool]) -> Iterator[Record]:
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
    journal = JournalFile.parse(path.name)
    if journal is None:
        return 0
    try:
        day = datetime.fromisoformat(journal.day).replace(tzinfo=timezone.utc)
    except ValueError:
        return 0
    return int(day.timestamp()) * 1_000_000_000 - _DAY


def _part(path: Path) -> tuple[int, str]:
    journal = JournalFile.parse(path.name)
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


def _records(paths: Iterable[Path], unreadable: Unreadable, may_match: Callable[[bytes], bool]) -> Iterator[Record]:
    for path in paths:
        try:
            with path.open("rb") as file:
                for line in file:
                    if may_match(line) or not _whole(line):
                        yield from parse(line, unreadable, path.name)
        except OSError as error:
            unreadable.files[str(path)] = error.strerror or type(error).__name__


def _whole(line: bytes) -> bool:
    """Whether the line looks like one document: what does not is parsed in any case, so that a torn one is counted."""
    return line.startswith(_START) and line.rstrip(b"\n").endswith(_END) and line.count(_START) == 1


def parse(line: bytes, unreadable: Unreadable, file: str = "") -> Iterator[Record]:
    """The audit records of one line. Records of others, in whatever shape, are passed over."""
    for document in _documents(line, unreadable):
        if names.RECORD_ID in document:
            try:
                yield _printed(document, file)
            except (TypeError, ValueError):
                unreadable.lines += 1
            continue
        for resource_logs in _objects(document.get("resourceLogs")):
            service = ""
            if isinstance(resource := resource_logs.get("resource"), dict):
                service = _attributes(resource.get("attributes")).get("service.name", "")
            for scope_logs in _objects(resource_logs.get("scopeLogs")):
                for found in _objects(scope_logs.get("logRecords")):
                    attributes = _attributes(found.get("attributes"))
                    if names.RECORD_ID not in attributes:
                        continue
                    try:
                        yield _record(found, attributes, service, file)
                    except (TypeError, ValueError):
                        unreadable.lines += 1


def _record(found: dict[str, Any], attributes: dict[str, str], service: str, file: str) -> Record:
    """TypeError or ValueError where a number is none."""
    time = int(found.get("timeUnixNano") or 0)
    if not 0 <= time < _LAST_MOMENT:
        raise ValueError("no time of a calendar")
    return Record(
        event=str(found.get("eventName") or ""),
        time=time,
        attributes=attributes,
        number=int(attributes.get(names.SEQUENCE_NUMBER) or 0),
        service=service,
        severity=int(found.get("severityNumber") or 0) or None,
        trace_id=str(found.get("traceId") or ""),
        span_id=str(found.get("spanId") or ""),
        file=file,
    )


_PRINTED: Final = frozenset({"logged_at", "event", "service", "severity", "trace_id", "span_id"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _printed(found: dict[str, Any], file: str) -> Record:
    """The record that `Record.flat` made this object of. TypeError or ValueError where a number or the time is none."""
    at = datetime.fromisoformat(str(found.get("logged_at")).replace("Z", "+00:00"))
    attributes = {name: value for name, value in found.items() if name not in _PRINTED and isinstance(value, str)}
    return Record(
        event=str(found.get("event") or ""),
        time=(at - _EPOCH) // timedelta(microseconds=1) * 1000,
        attributes=attributes,
        number=int(attributes.get(names.SEQUENCE_NUMBER) or 0),
        service=str(found.get("service") or ""),
        severity=int(found.get("severity") or 0) or None,
        trace_id=str(found.get("trace_id") or ""),
        span_id=str(found.get("span_id") or ""),
        file=file,
    )


def _objects(found: object) -> Iterator[dict[str, Any]]:
    """The JSON objects in a JSON array; none where it is something else."""
    return (item for item in found if isinstance(item, dict)) if isinstance(found, list) else iter(())


def _attributes(found: Any) -> dict[str, str]:
    try:  # the usual shape, which is read several times faster
        return {
            sys.intern(item["key"]): text if type(text := item["value"].get("stringValue")) is str else _text(item["value"])
            for item in found
        }
    except (AttributeError, KeyError, TypeError):
        items = ((item.get("key"), item.get("value")) for item in _objects(found))
        return {key: _text(value) for key, value in items if isinstance(key, str)}


def _text(value: object) -> str:
    """An OTLP `AnyValue` as text: a string as it is, everything else as JSON."""
    inner = next(iter(value.values()), "") if isinstance(value, dict) else ""
    return inner if isinstance(inner, str) else json.dumps(inner)


def _documents(line: bytes, unreadable: Unreadable) -> Iterator[dict[str, Any]]:
    """The whole documents in *line*; a torn one is given up where the next begins."""
    for number, part in enumerate(line.split(_START)):
        text = (_START if number else b"") + part
        if not text.strip():
            continue
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            unreadable.lines += 1
            continue
        if isinstance(document, dict):
            yield document
