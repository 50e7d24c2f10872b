"""Records in Protobuf's wire format (protobuf.dev, "Encoding"), as `opentelemetry.proto.logs.v1.LogRecord` describes them.

The Protobuf library would need fifty objects for a record and five times as long, for the same bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ..journal.canonical import CanonicalRecord

__all__ = ("log_record", "sized")

_WORD: Final = 1 << 64
_INT64: Final = (-(1 << 63), (1 << 63) - 1)
_ENUM: Final = (0, (1 << 31) - 1)

# A tag is the number of a field, shifted by three bits, and the kind of its encoding: 0 a varint, 1 eight bytes, 2 a length and bytes.
_KEY, _VALUE = b"\x0a", b"\x12"  # of a KeyValue
_STRING, _INT = b"\x0a", b"\x18"  # of an AnyValue
_TIME, _SEVERITY, _BODY, _ATTRIBUTE, _TRACE, _SPAN, _EVENT = b"\x09", b"\x10", b"\x2a", b"\x32", b"\x4a", b"\x52", b"\x62"


def log_record(record: CanonicalRecord, *, titled: bool = False) -> bytes:
    """The message, its fields in the order of their numbers; with *titled* the event is the body, too.

    OverflowError, TypeError or ValueError for what cannot be said in one: a damaged line of the journal.
    """
    parts = [_TIME, record.time.to_bytes(8, "little")] if record.time else []
    if record.severity:
        parts += _SEVERITY, _varint(_within(_ENUM, record.severity))
    if titled:
        parts += _BODY, sized(_any_value(record.event))
    for name, value in record.attributes.items():
        parts += _ATTRIBUTE, sized(_head(name) + sized(_any_value(value)))
    if record.trace_id:
        parts += _TRACE, sized(record.trace_id.to_bytes(16, "big"))
    if record.span_id:
        parts += _SPAN, sized(record.span_id.to_bytes(8, "big"))
    if record.event:
        parts += _EVENT, sized(record.event.encode())
    return b"".join(parts)


def sized(data: bytes) -> bytes:
    """*data* behind its length."""
    return (_SHORT[length] if (length := len(data)) < len(_SHORT) else _varint(length)) + data


def _any_value(value: str | int) -> bytes:
    if isinstance(value, str):
        return _STRING + sized(value.encode())
    return _INT + _varint(_within(_INT64, value) % _WORD)


@lru_cache(maxsize=1024)
def _head(name: str) -> bytes:
    """A KeyValue up to its value; the same few dozen names come again and again."""
    return (_KEY + sized(name.encode()) if name else b"") + _VALUE


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
