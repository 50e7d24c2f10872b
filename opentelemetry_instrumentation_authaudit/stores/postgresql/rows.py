"""Records as rows, and back. What comes back is exactly what went in: a verifier makes the hashed bytes again from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from ...journal.backlog import Batch
from ...journal.canonical import CanonicalRecord, decode, encode
from ...model import names
from ...query.documents import Around, Record

__all__ = ("COLUMNS", "SELECTED", "Row", "Source", "moment", "record_of", "row_of", "storable")

COLUMNS: Final = ("logged_at", "event", "service", "severity", "trace_id", "span_id", "source", "attributes", "canonical")
"""What a writer gives; the other columns are worked out by the server."""
SELECTED: Final = (
    "(extract(epoch FROM r.logged_at) * 1000000)::bigint", "r.event", "r.service", "r.severity", "r.trace_id", "r.span_id",
    "r.attributes::text", "r.canonical", "r.tableoid::regclass::text", "r.source",
)  # fmt: skip
"""What `record_of` takes, in this order. Times as numbers: the calendar of Python ends before that of PostgreSQL."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_US: Final = 1000
_LAST: Final = 253_402_300_800 * 1_000_000
"""Microseconds until the end of the year 9999."""
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Source:
    """What stands around the records of a batch."""

    resource: str
    scope: str
    schema_url: str
    service: str
    digest: UUID

    @classmethod
    def of(cls, batch: Batch) -> Source:
        """ValueError, or what else a document raises that is none, if it is no OTLP/JSON."""
        return _source(batch.resource, batch.scope, batch.schema_url)


@dataclass(frozen=True, slots=True)
class Row:
    """A record as `COLUMNS` has it."""

    logged_at: datetime
    event: str
    service: str
    severity: int | None
    trace_id: str | None
    span_id: str | None
    source: UUID
    attributes: str
    canonical: bytes | None

    def values(self) -> tuple[Any, ...]:
        """In the order of `COLUMNS`."""
        return tuple(getattr(self, name) for name in COLUMNS)


def row_of(canonical: bytes, source: Source) -> Row:
    """The row of a record. KeyError, TypeError or ValueError for bytes that are none, and for a time that no calendar has.

    Its bytes are kept beside the attributes where these cannot hold them exactly.
    """
    record = decode(canonical)
    microseconds = record.time // _US
    if not 0 <= microseconds < _LAST:
        raise ValueError("a time of no calendar")
    attributes = _json(record.attributes)
    event = record.event
    exact = _is_exact(record, canonical, attributes)
    if not exact:
        attributes, event = _json({storable(name): _value(value) for name, value in record.attributes.items()}), storable(event)
    return Row(
        logged_at=moment(microseconds),
        event=event,
        service=source.service,
        severity=record.severity,
        trace_id=f"{record.trace_id:032x}" if record.trace_id else None,
        span_id=f"{record.span_id:016x}" if record.span_id else None,
        source=source.digest,
        attributes=attributes,
        canonical=None if exact else canonical,
    )


def record_of(row: tuple[Any, ...], around: Around | None = None) -> Record:
    """The record in a row of `SELECTED`, and what stood around it."""
    microseconds, event, service, severity, trace_id, span_id, attributes, canonical, file, _ = row
    found: Mapping[str, Any]
    time = microseconds * _US
    if canonical is not None:
        kept = decode(bytes(canonical))
        event, time, found = kept.event, kept.time, kept.attributes
    else:
        found = json.loads(attributes)
    texts = {name: value if type(value) is str else json.dumps(value) for name, value in found.items()}
    number = texts.get(names.SEQUENCE_NUMBER, "")
    return Record(
        event=event,
        time=time,
        attributes=texts,
        number=int(number) if number.isascii() and number.isdecimal() else 0,
        service=service,
        severity=severity,
        trace_id=trace_id or "",
        span_id=span_id or "",
        file=file,
        around=around,
    )


def moment(microseconds: int) -> datetime:
    """Microseconds since the epoch as a date, the nearest there is within the years 1970 to 9999."""
    return _EPOCH + timedelta(microseconds=min(max(microseconds, 0), _LAST - 1))


def storable(text: str) -> str:
    """*text* without the characters that PostgreSQL does not have: NUL, and halves of pairs."""
    return _SURROGATES.sub(_REPLACEMENT, text.replace("\0", _REPLACEMENT))


def _is_exact(record: CanonicalRecord, canonical: bytes, attributes: str) -> bool:
    """Whether jsonb and a timestamp of microseconds give the same bytes again."""
    if "\\u0000" in attributes or "\0" in record.event or record.time % _US:
        return False
    try:
        return encode(record) == canonical
    except UnicodeEncodeError:
        return False


def _json(attributes: Mapping[str, str | int]) -> str:
    return json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))


def _value(value: str | int) -> str | int:
    return storable(value) if isinstance(value, str) else value


@lru_cache(maxsize=64)
def _source(resource: bytes, scope: bytes, schema_url: str) -> Source:
    found = json.loads(resource)
    service = next(
        (one["value"].get("stringValue", "") for one in found.get("attributes", ()) if one.get("key") == "service.name"), ""
    )
    parts = [storable(part.decode("utf-8", "replace")) for part in (resource, scope)] + [storable(schema_url)]
    json.loads(scope)
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return Source(resource=parts[0], scope=parts[1], schema_url=parts[2], service=storable(service), digest=UUID(digest[:32]))
