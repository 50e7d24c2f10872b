"""OTLP/JSON documents taken apart: the lines of our journals, of a collector's files, and what `authaudit query --format json` prints.

A torn line costs what is torn; a good document behind it on the same line (a collector after a full disk writes such) is still
found. What cannot be read is counted, never passed over in silence.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import IO, Any, Final, TypeAlias

from ..journal.line import Envelope
from ..model import names

__all__ = ("COMPACT", "Around", "MayMatch", "Record", "Unreadable", "parse", "texts", "worth_parsing")

MayMatch: TypeAlias = Callable[["bytes | bytearray"], bool]
"""Whether in these bytes, of a line or of many, may be a record that matches."""

_START: Final = b'{"resourceLogs"'
_END: Final = b"}]}]}"
COMPACT: Final = _START + b':[{"resource":{"attributes":[{"key":"'
"""How our documents and a collector's begin, both without white space anywhere: the longer it is, the faster it is counted. Others are
looked at line by line."""
_LINE_END: Final = _END + b"\n"
_BETWEEN: Final = _LINE_END + COMPACT
_BLOCK: Final = 1 << 20
_LAST_MOMENT: Final = 253_402_300_800 * 1_000_000_000
"""The end of the year 9999, where calendars of most programs end."""


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around records in their document."""

    resource: dict[str, Any]
    """OTLP/JSON `Resource` object."""
    scope: dict[str, Any]
    """OTLP/JSON `InstrumentationScope` object."""
    schema_url: str
    """Of the scope."""

    @property
    def service(self) -> str:
        """The resource's `service.name`, empty if it has none."""
        return texts(self.resource.get("attributes")).get("service.name", "")

    def envelope(self) -> Envelope:
        """The same as bytes, to write records with."""
        return Envelope(_json(self.resource), _json(self.scope), self.schema_url.encode("utf-8", "replace"))


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
    around: Around | None = field(default=None, compare=False, repr=False)
    """What stood around it, where that is known."""

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


def _looks_whole(line: bytes) -> bool:
    """Whether the line looks like one document: what does not is parsed in any case, so that a torn one is counted."""
    return line.startswith(_START) and line.rstrip(b"\n").endswith(_END) and line.count(_START) == 1 and b"\0" not in line


def worth_parsing(file: IO[bytes], may_match: MayMatch, size: int = _BLOCK) -> Iterator[bytes]:
    """The lines of *file* in which a record may match, and those that do not look whole, so that they are counted.

    A block of *size* bytes is looked at as one, in place: searching a mebibyte costs little more than searching a line, copying more.
    """
    block, kept = bytearray(size), 0
    while read := file.readinto(memoryview(block)[kept:]):  # type: ignore[attr-defined] # every binary file has it
        filled = kept + read
        end = block.rfind(b"\n", 0, filled) + 1
        if end:
            yield from _of_block(block, end, may_match)
        rest = block[end:filled]
        kept = len(rest)
        block[:kept] = rest
        if kept == len(block):
            block.extend(bytes(kept))
    if kept:
        yield from _of_block(block[:kept], kept, may_match)


def _of_block(block: bytearray, end: int, may_match: MayMatch) -> Iterator[bytes]:
    """The lines up to *end*; what is behind it may only make a block look as if something in it matched."""
    whole = (
        block.startswith(COMPACT)
        and block.endswith(_LINE_END, 0, end)
        and block.count(COMPACT, 0, end) == block.count(_BETWEEN, 0, end) + 1  # none begins but where another has ended
        and block.find(b"\0", 0, end) < 0  # what a crash of the machine leaves in place of a beginning
    )
    if whole and not may_match(block):
        return
    for line in bytes(block[:end]).split(b"\n"):
        if line and (may_match(line) or not (whole or _looks_whole(line))):
            yield line


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
            resource = _object(resource_logs.get("resource"))
            for scope_logs in _objects(resource_logs.get("scopeLogs")):
                around = Around(resource, _object(scope_logs.get("scope")), str(scope_logs.get("schemaUrl") or ""))
                yield from _of_scope(scope_logs, around, unreadable, file)


def _of_scope(scope_logs: dict[str, Any], around: Around, unreadable: Unreadable, file: str) -> Iterator[Record]:
    service = around.service
    for found in _objects(scope_logs.get("logRecords")):
        attributes = texts(found.get("attributes"))
        if names.RECORD_ID in attributes:
            try:
                yield _record(found, attributes, service, file, around)
            except (TypeError, ValueError):
                unreadable.lines += 1


def _record(found: dict[str, Any], attributes: dict[str, str], service: str, file: str, around: Around) -> Record:
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
        around=around,
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


def _object(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def texts(found: Any) -> dict[str, str]:
    """OTLP/JSON attributes as names and texts; a value that is no string as JSON."""
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
