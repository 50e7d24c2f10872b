"""What a verifier does, as tests need it: read the files of a folder back, and insist that every stream in it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from opentelemetry_instrumentation_authaudit.journal.canonical import GENESIS, CanonicalRecord, decode, digest, encode
from opentelemetry_instrumentation_authaudit.journal.follow import follow
from opentelemetry_instrumentation_authaudit.journal.names import files
from opentelemetry_instrumentation_authaudit.model import names


def chains(folder: Path) -> dict[str, list[CanonicalRecord]]:
    """Every stream of *folder*, whole: numbers from 1 without a gap, each record naming the hash of the one before."""
    streams = sorted({file.stream for file in files(folder)})
    return {stream: list(_whole(folder, stream)) for stream in streams}


def chain(folder: Path) -> list[CanonicalRecord]:
    """The only stream of *folder*, whole."""
    (records,) = chains(folder).values()
    return records


def events(records: list[CanonicalRecord]) -> list[str]:
    """Their event names."""
    return [record.event for record in records]


def _whole(folder: Path, stream: str) -> Iterator[CanonicalRecord]:
    previous = GENESIS
    for number, found in enumerate(follow(folder, stream, None), 1):
        record = decode(found.record)
        assert encode(record) == found.record
        assert record.attributes[names.STREAM_ID] == stream
        assert record.attributes[names.SEQUENCE_NUMBER] == number
        assert record.attributes[names.PREVIOUS_HASH] == previous
        previous = digest(found.record)
        yield record
