"""One reader for our journals and for the files that a collector writes.

Lines are OTLP/JSON documents with one record or many. A torn line costs what is torn; a good document behind it on the same line (a
collector after a full disk writes such) is still found. What cannot be read is counted, never passed over in silence.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from ..journal.names import JournalFile
from ..model import names

__all__ = ("Record", "Unreadable", "files_in", "read")

_START: Final = b'{"resourceLogs"'
_WINDOW: Final = 4096
"""Records of one stream may stand out of order by what waited for the end of a request; never by this many."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was stored."""

    event: str
    time: int
    """Nanoseconds since the epoch."""
    attributes: dict[str, str]
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

    *may_match* sees the bytes of a line before it is parsed and says whether it is worth it; *since* (nanoseconds) lets whole files
    of earlier days be left closed.
    """
    streams: dict[str, list[Path]] = {}
    for path in files:
        journal = JournalFile.parse(path.name)
        if journal is None or not since or _ends_after(journal, since):
            streams.setdefault(f"{path.parent}/{journal.stream if journal else path.name}", []).append(path)
    seen: set[str] = set()
    ordered = [_nearly_sorted(_records(sorted(parts, key=_part), unreadable, may_match)) for parts in streams.values()]
    for record in heapq.merge(*ordered, key=_order):
        if record.id not in seen:
            seen.add(record.id)
            yield record


def _part(path: Path) -> tuple[int, str]:
    journal = JournalFile.parse(path.name)
    return (journal.part if journal else 0), path.name


def _ends_after(journal: JournalFile, since: int) -> bool:
    """A journal file ends with its UTC day, give or take what a clock that was set back may do."""
    day = datetime.strptime(journal.day, "%Y-%m-%d").replace(tzinfo=timezone.utc)
    return day.timestamp() + 2 * 86_400 > since / 1_000_000_000


def _order(record: Record) -> tuple[int, str, int]:
    return record.time, record.attributes.get(names.STREAM_ID, ""), int(record.attributes.get(names.SEQUENCE_NUMBER) or 0)


def _nearly_sorted(records: Iterator[Record]) -> Iterator[Record]:
    heap: list[tuple[tuple[int, str, int], int, Record]] = []
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
                    if may_match(line):
                        yield from parse(line, unreadable, path.name)
        except OSError as error:
            unreadable.files[str(path)] = error.strerror or type(error).__name__


def parse(line: bytes, unreadable: Unreadable, file: str = "") -> Iterator[Record]:
    """The audit records of one line."""
    for document in _documents(line, unreadable):
        for resource_logs in document.get("resourceLogs", ()):
            service = _attributes(resource_logs.get("resource", {}).get("attributes", ())).get("service.name", "")
            for scope_logs in resource_logs.get("scopeLogs", ()):
                for found in scope_logs.get("logRecords", ()):
                    attributes = _attributes(found.get("attributes", ()))
                    if names.RECORD_ID in attributes:
                        yield _record(found, attributes, service, file)


def _record(found: dict[str, Any], attributes: dict[str, str], service: str, file: str) -> Record:
    return Record(
        event=found.get("eventName", ""),
        time=int(found.get("timeUnixNano") or 0),
        attributes=attributes,
        service=service,
        severity=found.get("severityNumber"),
        trace_id=found.get("traceId", ""),
        span_id=found.get("spanId", ""),
        file=file,
    )


def _attributes(found: Iterable[dict[str, Any]]) -> dict[str, str]:
    return {item["key"]: str(next(iter(item.get("value", {}).values()), "")) for item in found}


def _documents(line: bytes, unreadable: Unreadable) -> Iterator[dict[str, Any]]:
    """The whole documents in *line*; a torn one is given up where the next begins."""
    if not line.strip():
        return
    for number, part in enumerate(line.split(_START)):
        text = (_START if number else b"") + part
        if not text.strip():
            continue
        try:
            document = json.loads(text)
        except ValueError:
            unreadable.lines += 1
            continue
        if isinstance(document, dict):
            yield document
