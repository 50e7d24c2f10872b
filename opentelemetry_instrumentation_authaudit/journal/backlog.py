"""What has not been acknowledged yet, oldest first: of our own stream, then of the streams of processes that are gone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .cursor import Position
from .line import Envelope

__all__ = ("Backlog", "Batch")


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one stream that follow each other, under one resource and scope."""

    stream: str
    resource: bytes
    """OTLP/JSON `Resource` object, as written in the journal's lines."""
    scope: bytes
    """OTLP/JSON `InstrumentationScope` object, likewise."""
    schema_url: str
    """Belongs to the scope (`scopeLogs[].schemaUrl`)."""
    records: tuple[bytes, ...]
    """Canonical `logRecord` objects, oldest first, never none."""
    end: Position | None
    """Behind the last of them; None for records that are only in memory (disk full)."""


class Backlog:
    """All unacknowledged records of a service's folder. For one thread; `depth` may be asked from any.

    `next` does not move anything: until `acknowledge` or `bury` it begins at the same record, so a batch that a receiver
    refused is halved by asking for fewer.
    """

    def next(self, limit: int) -> Batch | None:
        """At most *limit* records (and about 2 MiB), None if everything is acknowledged."""
        raise NotImplementedError

    def acknowledge(self, batch: Batch) -> None:
        """Remember durably that *batch*, the last one of `next`, has arrived. OSError if the cursor cannot be written."""
        raise NotImplementedError

    def bury(self, batch: Batch, why: str) -> None:
        """Set *batch* aside in the stream's dead-letter file, with the reason, and go on behind it. OSError likewise."""
        raise NotImplementedError

    def depth(self) -> int:
        """How many records are not acknowledged."""
        raise NotImplementedError

    def adopt(self) -> int:
        """Take over the streams of dead processes that still have something to deliver; how many."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of adopted streams."""
