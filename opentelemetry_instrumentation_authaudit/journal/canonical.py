"""The canonical record: one encoding for journal, hash chain and JSON wire.

An OTLP/JSON `logRecord` object (opentelemetry-proto, JSON Protobuf encoding) in the form of RFC 8785: no blanks, keys sorted, strings
escaped in one way. Every attribute is a string but `audit.sequence.number`. No observed time and no flags: stores drop them,
and a verifier must be able to rebuild these bytes from what a store kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Final

from ..model import names

__all__ = ("GENESIS", "CanonicalRecord", "decode", "digest", "encode", "line", "split_line")

GENESIS: Final = hashlib.sha256(b"").hexdigest()
"""What the first record of a stream has as the hash of its predecessor."""

_RECORDS: Final = b'"logRecords":['
_LINE_END: Final = f'],"schemaUrl":"{names.SCHEMA_URL}"}}]}}]}}\n'.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalRecord:
    """What a stored record says. *time* is in nanoseconds since the epoch, whole microseconds."""

    event: str
    time: int
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    severity: int | None = None
    trace_id: int = 0
    span_id: int = 0


@lru_cache(maxsize=1024)
def _key(name: str) -> str:
    return f'{{"key":{encode_basestring(name)},"value":{{"'


def _attribute(name: str, value: str | int) -> str:
    if isinstance(value, int):  # 64-bit integers are decimal strings in Protobuf's JSON
        return f'{_key(name)}intValue":"{value}"}}}}'
    return f'{_key(name)}stringValue":{encode_basestring(value)}}}}}'


def encode(record: CanonicalRecord) -> bytes:
    """The canonical bytes. Raises UnicodeEncodeError for a lone surrogate, which sanitising has replaced before."""
    attributes = ",".join([_attribute(name, value) for name, value in sorted(record.attributes.items())])
    severity = f',"severityNumber":{record.severity}' if record.severity else ""
    span = f',"spanId":"{record.span_id:016x}"' if record.span_id else ""
    trace = f',"traceId":"{record.trace_id:032x}"' if record.trace_id else ""
    text = f'{{"attributes":[{attributes}],"eventName":{encode_basestring(record.event)}{severity}{span},"timeUnixNano":"{record.time}"{trace}}}'
    return text.encode()


def decode(canonical: bytes | Mapping[str, Any]) -> CanonicalRecord:
    """The record that *canonical* bytes, or the object parsed from them, stand for. Raises ValueError or KeyError if they are none."""
    found = json.loads(canonical) if isinstance(canonical, bytes) else canonical
    attributes: dict[str, str | int] = {}
    for item in found.get("attributes", ()):
        kind, value = next(iter(item["value"].items()), ("stringValue", ""))
        attributes[item["key"]] = int(value) if kind == "intValue" else str(value)
    return CanonicalRecord(
        event=found.get("eventName", ""),
        time=int(found["timeUnixNano"]),
        attributes=attributes,
        severity=found.get("severityNumber") or None,
        trace_id=int(found.get("traceId") or "0", 16),
        span_id=int(found.get("spanId") or "0", 16),
    )


def digest(canonical: bytes) -> str:
    """The hash by which the next record of the stream names this one: SHA-256, hexadecimal."""
    return hashlib.sha256(canonical).hexdigest()


def line(resource: bytes, scope: bytes, canonical: bytes) -> bytes:
    """A journal line: a complete OTLP/JSON document with one record, so that any OTLP tool can read the file."""
    return b'{"resourceLogs":[{"resource":%b,"scopeLogs":[{"scope":%b,%b%b%b' % (resource, scope, _RECORDS, canonical, _LINE_END)


def split_line(whole: bytes) -> tuple[bytes, bytes, bytes] | None:
    """(resource, scope, record) of a line made by `line`; None for a torn or foreign one."""
    start = whole.find(_RECORDS)  # an unescaped quote cannot stand inside a JSON string, so the first is the real one
    head, middle = b'{"resourceLogs":[{"resource":', b',"scopeLogs":[{"scope":'
    if start < 0 or not whole.endswith(_LINE_END) or not whole.startswith(head):
        return None
    resource, found, scope = whole[len(head) : start].partition(middle)
    return (resource, scope.removesuffix(b","), whole[start + len(_RECORDS) : -len(_LINE_END)]) if found else None
