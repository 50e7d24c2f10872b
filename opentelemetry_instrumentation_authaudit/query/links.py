"""What a verifier looks at: records as links of a chain, and what it may find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ..journal.canonical import CanonicalRecord, digest, encode
from ..model import names
from .reader import Record

__all__ = ("SHA256_BYTES", "UNKNOWN", "Finding", "Kind", "Link", "Seal", "canonical", "link_of", "number")

SHA256_BYTES: Final = 32
UNKNOWN: Final = bytes(SHA256_BYTES)
"""The digest of what has no canonical form."""
_CHECKPOINTS: Final = frozenset({"audit.checkpoint", "audit.stop"})


class Kind(Enum):
    """What was found. Faults speak of tampering or loss; notes say what cannot be known from what is here."""

    MODIFIED = "modified"
    """A record's content is not what the next record names."""
    DELETED = "deleted"
    """Numbers are missing between two records."""
    INSERTED = "inserted"
    """A record that has no place in the chain, or another one with the same number."""
    REORDERED = "reordered"
    """Records of a journal file do not stand in the order in which they were written."""
    TRUNCATED = "truncated"
    """A stream is known to have been longer than it is here."""
    FORGED = "forged"
    """A signature does not fit: the chain was made anew without the key, or the checkpoint was changed."""
    MISSING = "missing"
    """A whole stream that is known to have been is not here."""
    OPEN = "open"
    """A stream without an end: its process lives, was killed, or its end was cut off."""
    EXPIRED = "expired"
    """A stream's beginning is older than everything that is kept here."""
    UNSIGNED = "unsigned"
    """Records that no checked signature covers."""
    LOST = "lost"
    """The process itself says that it could not keep records."""
    REFUSED = "refused"
    """Records that the receiver refused, as the evidence itself says: they are in the journal, not here."""

    @property
    def fault(self) -> bool:
        """Whether it makes the answer bad."""
        return self not in {Kind.OPEN, Kind.EXPIRED, Kind.UNSIGNED, Kind.LOST, Kind.REFUSED}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, or that cannot be known."""

    kind: Kind
    stream: str
    says: str
    number: int = 0
    id: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Seal:
    """What a checkpoint claims."""

    dropped: int
    value: str
    """`audit.integrity.value`, empty where it is not signed."""
    key_id: str


@dataclass(frozen=True, slots=True)
class Link:
    """A record as the chain sees it."""

    stream: str
    number: int
    previous_hash: str
    digest: bytes
    """SHA-256 of its canonical bytes."""
    id: str
    event: str
    time: int
    file: str
    """Where it stands: file and line."""
    seal: Seal | None = None
    end: int = 0
    """What `audit.stop` says is the number of the last record."""
    lost: int = 0
    """How many records `audit.records_lost` tells of."""


def canonical(record: Record) -> bytes:
    """The canonical bytes of *record*, made again from its values.

    ValueError for ids that are no hexadecimal numbers and for lone surrogates: nothing of ours.
    """
    attributes: dict[str, str | int] = dict(record.attributes)
    attributes[names.SEQUENCE_NUMBER] = record.number
    return encode(
        CanonicalRecord(
            event=record.event,
            time=record.time,
            attributes=attributes,
            severity=record.severity,
            trace_id=int(record.trace_id or "0", 16),
            span_id=int(record.span_id or "0", 16),
        )
    )


def link_of(record: Record, place: str) -> Link:
    """The link that *record* is."""
    try:
        hashed = bytes.fromhex(digest(canonical(record)))
    except ValueError:
        hashed = UNKNOWN
    found = record.attributes
    return Link(
        stream=found.get(names.STREAM_ID, ""),
        number=record.number,
        previous_hash=found.get(names.PREVIOUS_HASH, ""),
        digest=hashed,
        id=record.id,
        event=record.event,
        time=record.time,
        file=place,
        seal=_seal(found) if record.event in _CHECKPOINTS else None,
        end=number(found.get(names.SEQUENCE_END)) if record.event == "audit.stop" else 0,
        lost=number(found.get(names.RECORDS_LOST)) if record.event == "audit.records_lost" else 0,
    )


def _seal(found: Mapping[str, str]) -> Seal:
    return Seal(
        number(found.get(names.CHECKPOINT_DROPPED)), found.get(names.INTEGRITY_VALUE, ""), found.get(names.INTEGRITY_KEY_ID, "")
    )


def number(text: str | None) -> int:
    """The number that *text* is, 0 where it is none."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= len("9" * 18) else 0
