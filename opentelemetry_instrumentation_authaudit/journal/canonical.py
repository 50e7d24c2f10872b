"""The canonical record: one encoding for journal, hash chain and JSON wire.

An OTLP/JSON `logRecord` object (opentelemetry-proto, "JSON Protobuf Encoding") in the form of RFC 8785: no blanks, keys sorted,
strings escaped in one way. Attributes are sorted by key and strings, only `audit.sequence.number` is an integer. No observed time
and no flags: stores drop them, and a verifier must be able to rebuild these bytes from what a store kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Final

from ..model import names

__all__ = ("GENESIS", "CanonicalRecord", "attribute", "decode", "digest", "encode", "number_of")

GENESIS: Final = hashlib.sha256(b"").hexdigest()
"""What the first record of a stream has as the hash of its predecessor."""

_NUMBER: Final = re.compile(rb'"%b","value":\{"intValue":"(\d+)"' % re.escape(names.SEQUENCE_NUMBER).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalRecord:
    """What a stored record says."""

    event: str
    time: int
    """Nanoseconds since the epoch, whole microseconds."""
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    severity: int | None = None
    trace_id: int = 0
    span_id: int = 0


def encode(record: CanonicalRecord) -> bytes:
    """The canonical bytes. UnicodeEncodeError for a lone surrogate, which sanitising has replaced before."""
    found = record.attributes
    # A text is written in place, not by a function: there are twenty of them in every record.
    attributes = "}},".join(
        [
            text + encode_basestring(value) if type(value := found[name]) is str else f'{number}"{value}"'
            for name, text, number in _heads(tuple(found))
        ]
    )
    parts = [f'{{"attributes":[{attributes}{"}}" if found else ""}],"eventName":{encode_basestring(record.event)}']
    if record.severity:
        parts.append(f',"severityNumber":{record.severity}')
    if record.span_id:
        parts.append(f',"spanId":"{record.span_id:016x}"')
    parts.append(f',"timeUnixNano":"{record.time}"')
    if record.trace_id:
        parts.append(f',"traceId":"{record.trace_id:032x}"')
    parts.append("}")
    return "".join(parts).encode()


def decode(canonical: bytes) -> CanonicalRecord:
    """The record that *canonical* bytes stand for; KeyError, TypeError or ValueError if they are none."""
    found: dict[str, Any] = json.loads(canonical)
    return CanonicalRecord(
        event=found["eventName"],
        time=int(found["timeUnixNano"]),
        attributes=dict(map(_named_value, found["attributes"])),
        severity=found.get("severityNumber"),
        trace_id=int(found.get("traceId", "0"), 16),
        span_id=int(found.get("spanId", "0"), 16),
    )


def digest(canonical: bytes) -> str:
    """The hash by which the next record of the stream names this one: SHA-256, 64 hex digits."""
    return hashlib.sha256(canonical).hexdigest()


def number_of(canonical: bytes) -> int:
    """The record's sequence number, 0 if it has none; without parsing the whole of it."""
    match = _NUMBER.search(canonical)
    return int(match[1]) if match else 0


def attribute(name: str, value: str) -> bytes:
    """How a text attribute stands in the canonical bytes."""
    ((_, text, _),) = _heads((name,))
    return f"{text}{encode_basestring(value)}}}}}".encode("utf-8", "replace")


@lru_cache(maxsize=1024)
def _heads(names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """The *names* in their order, each with what stands before a text and before a number; a process has few sets of names.

    Protobuf's JSON writes 64-bit integers as decimal strings.
    """
    begun = [(name, f'{{"key":{encode_basestring(name)},"value":{{') for name in sorted(names)]
    return [(name, f'{begin}"stringValue":', f'{begin}"intValue":') for name, begin in begun]


def _named_value(attribute: Mapping[str, Any]) -> tuple[str, str | int]:
    value = attribute["value"]
    return attribute["key"], int(value["intValue"]) if "intValue" in value else value["stringValue"]
