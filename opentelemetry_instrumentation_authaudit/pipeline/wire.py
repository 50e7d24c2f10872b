"""Records in Protobuf's wire format (protobuf.dev, "Encoding"), as `opentelemetry.proto.logs.v1.LogRecord` describes them.

The Protobuf library would need fifty objects for a record, and several times as long for the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from ..journal.canonical import CanonicalRecord, decode

__all__ = ("encoded", "log_record", "sized")

_WORD: Final = 1 << 64
_DIGITS: Final = 19
"""Fewer fit into 63 bits."""
_INT64: Final = (-(1 << 63), (1 << 63) - 1)
_ENUM: Final = (0, (1 << 31) - 1)

# A tag is the number of a field, shifted by three bits, and the kind of its encoding: 0 a varint, 1 eight bytes, 2 a length and bytes.
_KEY, _VALUE = b"\x0a", b"\x12"  # of a KeyValue
_STRING, _INT = b"\x0a", b"\x18"  # of an AnyValue
_TIME, _SEVERITY, _BODY, _ATTRIBUTE, _TRACE, _SPAN, _EVENT = b"\x09", b"\x10", b"\x2a", b"\x32", b"\x4a", b"\x52", b"\x62"

_BEFORE, _BETWEEN, _BEHIND = b'{"attributes":[{"key":"', b'"}},{"key":"', b'"}}],"eventName":"'
_QUOTES: Final = 6
_REST: Final = re.compile(
    rb'"\}\}\],"eventName":"([^"]*)"(?:,"severityNumber":(\d{1,2}))?'
    rb'(?:,"spanId":"([0-9a-f]{16})")?,"timeUnixNano":"(\d{1,19})"(?:,"traceId":"([0-9a-f]{32})")?\}'
)
_ESCAPED: Final = bytes(range(32)) + b"\\"
"""What a text of JSON holds only behind a backslash, and that."""


def encoded(canonical: bytes, *, titled: bool = False) -> bytes:
    """The message of a *canonical* record: read off the bytes where nothing is escaped, which spares a hundred objects.

    KeyError, OverflowError, TypeError or ValueError for what is none: a damaged line of the journal.
    """
    end = canonical.rfind(_BEHIND)
    rest = _REST.fullmatch(canonical, max(end, 0))
    plain = canonical.startswith(_BEFORE) and canonical.isascii() and len(canonical.translate(None, _ESCAPED)) == len(canonical)
    attributes = _pairs(canonical[len(_BEFORE) : end]) if plain and rest is not None else None
    if rest is None or attributes is None:
        return log_record(decode(canonical), titled=titled)
    event, severity, span, time, trace = rest.groups(b"")
    return _message(
        attributes,
        event=event,
        severity=int(severity or 0),
        span=bytes.fromhex(span.decode()),
        time=int(time),
        trace=bytes.fromhex(trace.decode()),
        titled=titled,
    )


def _pairs(attributes: bytes) -> list[bytes] | None:
    """The fields of plain *attributes*, given from behind the first quote to before the last; None for what is not quite that."""
    found = []
    for pair in attributes.split(_BETWEEN):
        name, _, given = pair.partition(b'","value":{"')
        kind, _, text = given.partition(b'":"')
        if kind == b"stringValue" and pair.count(b'"') == _QUOTES and len(pair) < len(_SHORT):
            # In place, not by functions: there are twenty of them in every record.
            head, value = _head(name), b"\x0a%b%b" % (_SHORT[len(text)], text)
            size = _SHORT[len(value)]
            found.append(b"\x32%b%b%b%b" % (_SHORT[len(head) + len(size) + len(value)], head, size, value))
        elif kind == b"intValue" and text.isdigit() and len(text) < _DIGITS:
            found.append(_ATTRIBUTE + sized(_head(name) + sized(_INT + _varint(int(text)))))
        else:
            return None
    return found


def log_record(record: CanonicalRecord, *, titled: bool = False) -> bytes:
    """The message of *record*, its fields in the order of their numbers; with *titled* the event is the body, too.

    OverflowError, TypeError or ValueError for what cannot be said in one.
    """
    return _message(
        (_ATTRIBUTE + sized(_head(name.encode()) + sized(_any_value(value))) for name, value in record.attributes.items()),
        event=record.event.encode(),
        severity=_within(_ENUM, record.severity or 0),
        span=record.span_id.to_bytes(8, "big") if record.span_id else b"",
        time=record.time,
        trace=record.trace_id.to_bytes(16, "big") if record.trace_id else b"",
        titled=titled,
    )


def sized(data: bytes) -> bytes:
    """*data* behind its length."""
    return (_SHORT[length] if (length := len(data)) < len(_SHORT) else _varint(length)) + data


def _message(
    attributes: Iterable[bytes], *, event: bytes, severity: int, span: bytes, time: int, trace: bytes, titled: bool
) -> bytes:
    parts = [_TIME, time.to_bytes(8, "little")] if time else []
    if severity:
        parts += _SEVERITY, _varint(severity)
    if titled:
        parts += _BODY, sized(_STRING + sized(event))
    parts += attributes
    for tag, data in ((_TRACE, trace), (_SPAN, span), (_EVENT, event)):
        if data:
            parts += tag, sized(data)
    return b"".join(parts)


def _any_value(value: str | int) -> bytes:
    if isinstance(value, str):
        return _STRING + sized(value.encode())
    return _INT + _varint(_within(_INT64, value) % _WORD)


@lru_cache(maxsize=1024)
def _head(name: bytes) -> bytes:
    """A KeyValue up to its value; the same few dozen names come again and again."""
    return (_KEY + sized(name) if name else b"") + _VALUE


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while number >= 0x80:  # noqa: PLR2004 -- the bit that says that more follows
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


def _within(limits: tuple[int, int], number: int) -> int:
    if not limits[0] <= number <= limits[1]:
        raise ValueError(f"no number of this kind: {number!r:.40}")
    return number


_SHORT: Final = tuple(map(_varint, range(1100)))
"""Nearly every length there is: a value has 1024 characters at most."""
