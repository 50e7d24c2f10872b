"""The streams of a folder, each read on from a cursor: what every delivery from journals does, whoever it is for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from . import cursor
from .canonical import digest, number_of
from .cursor import Position
from .follow import Found, follow, last_record
from .names import cursor_path, dead_path

__all__ = ("MAX_BYTES", "Batch", "Source", "Streams", "set_aside")

MAX_BYTES: Final = 2 << 20
"""Of records in a batch: a collector's gRPC receiver takes 4 MiB by default."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records under one resource and scope; from a journal they are of one stream and follow each other."""

    stream: str
    """Empty for records of several streams, as a collector's files hold them."""
    resource: bytes
    """OTLP/JSON `Resource` object, as written in the journal's lines."""
    scope: bytes
    """OTLP/JSON `InstrumentationScope` object, likewise."""
    schema_url: str
    """Belongs to the scope (`scopeLogs[].schemaUrl`)."""
    records: tuple[bytes, ...]
    """Canonical `logRecord` objects, oldest first, never none."""
    end: Position
    """Behind the last of them. Its file is empty for records that are only in memory (disk full)."""
    all_there_was: bool = False
    """Whether the stream is known to have had no more at that moment."""


class Source(Protocol):
    """Where a delivery takes records from. For one thread; `depth` may be asked from any.

    `next` does not move anything: until `acknowledge` or `bury` it begins at the same record, so a batch that a receiver
    refused is halved by asking for fewer.
    """

    def next(self, limit: int) -> Batch | None:
        """At most *limit* records (and about 2 MiB), None if everything is acknowledged."""

    def acknowledge(self, batch: Batch) -> None:
        """Remember durably that *batch*, the last one of `next`, has arrived.

        OSError if that cannot be written; it is remembered all the same while this process lives.
        """

    def bury(self, batch: Batch, why: str) -> None:
        """Set *batch* aside, with the reason, and go on behind it. OSError likewise."""

    def depth(self) -> int:
        """How many records are not acknowledged."""

    def adopt(self) -> int:
        """Look for more to deliver; how many streams, or files, of it were found."""

    def close(self) -> None:
        """Let go: another process may go on."""


class Streams:
    """The streams in *folder*. Their cursors and dead-letter files lie in *beside*."""

    def __init__(self, folder: Path, beside: Path) -> None:
        self.folder = folder
        self.beside = beside
        self._reached: dict[str, Position | None] = {}

    def next(self, stream: str, limit: int) -> Batch | None:
        """See `Source`, for one stream."""
        found, ended = _run(follow(self.folder, stream, self.position(stream)), limit)
        if not found:
            return None
        last, envelope = found[-1], found[0].envelope
        end = Position(last.file, last.end, number_of(last.record), digest(last.record))
        records = tuple(item.record for item in found)
        return Batch(stream, envelope.resource, envelope.scope, envelope.schema_url.decode(), records, end, ended)

    def acknowledge(self, batch: Batch) -> None:
        """See `Source`."""
        self._reached[batch.stream] = batch.end
        cursor.save(cursor_path(self.beside, batch.stream), batch.end)

    def bury(self, batch: Batch, why: str) -> None:
        """See `Source`: into the stream's dead-letter file."""
        set_aside(dead_path(self.beside, batch.stream), batch, why)

    def position(self, stream: str) -> Position | None:
        """How far *stream* is acknowledged."""
        if stream not in self._reached:
            self._reached[stream] = cursor.load(cursor_path(self.beside, stream))
        return self._reached[stream]

    def depth(self, stream: str) -> int:
        """How many records of *stream* are not acknowledged."""
        last, position = last_record(self.folder, stream), self.position(stream)
        return max(0, number_of(last) - (position.number if position is not None else 0)) if last is not None else 0


def set_aside(path: Path, batch: Batch, why: str) -> None:
    """Append *batch* to the dead-letter file *path*, with the reason; durably."""
    reason = json.dumps(why).encode()
    lines = b"".join(b'{"why":%b,"record":%b}\n' % (reason, record) for record in batch.records)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(file, "ab") as dead:
        dead.write(lines)
        dead.flush()
        os.fsync(dead.fileno())


def _run(records: Iterable[Found], limit: int) -> tuple[list[Found], bool]:
    """The first records that share one envelope, at most *limit*, and no more bytes than a receiver takes; whether they are all."""
    run: list[Found] = []
    size = 0
    for found in records:
        size += len(found.record)
        other = bool(run) and found.envelope is not run[0].envelope and found.envelope != run[0].envelope
        if other or (run and size > MAX_BYTES):
            return run, False
        run.append(found)
        if len(run) == limit:
            return run, False
    return run, True
