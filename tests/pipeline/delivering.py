"""Deliveries as the tests need them: a real journal, a real connection, and a pace that suits a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from opentelemetry_instrumentation_authaudit.journal.backlog import Backlog, Batch
from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.journal.cursor import Position
from opentelemetry_instrumentation_authaudit.journal.line import Envelope
from opentelemetry_instrumentation_authaudit.journal.names import dead_path
from opentelemetry_instrumentation_authaudit.journal.writer import Journal
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.pipeline.delivery import Delivery
from opentelemetry_instrumentation_authaudit.pipeline.otlp import open_sender
from opentelemetry_instrumentation_authaudit.pipeline.pace import Pace

__all__ = ("ENVELOPE", "OWN", "QUICK", "Post", "batch", "ids", "posting", "record")

OWN: Final = "00000000000000aa"
ENVELOPE: Final = Envelope(
    b'{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"workers","value":{"intValue":"4"}}]}',
    b'{"name":"authaudit","version":"1"}',
    b"https://schema.example/1",
)
QUICK: Final = Pace(first=0.02, longest=0.1, slow=0.2)


def record(number: int, **fields: Any) -> bytes:
    """Record *number* of a stream; its id is `id-<number>`."""
    attributes: dict[str, str | int] = {
        names.RECORD_ID: f"id-{number}",
        names.SEQUENCE_NUMBER: number,
        names.IDENTITY: 'Zoë "Z" \\ 猫',
    }
    return encode(CanonicalRecord(event="auth.sign_in", time=1_795_521_600_000_000_000 + number, attributes=attributes, **fields))


def ids(first: int, last: int) -> list[str]:
    """The ids of records *first* to *last*."""
    return [f"id-{number}" for number in range(first, last + 1)]


def batch(*records: bytes) -> Batch:
    """A batch of a stream, as a backlog gives it."""
    return Batch(OWN, ENVELOPE.resource, ENVELOPE.scope, ENVELOPE.schema_url.decode(), records, Position("", 0, 0, ""))


class Post:
    """A stream with its delivery."""

    def __init__(self, folder: Path, protocol: str, stream: str = OWN, **options: Any) -> None:
        self.folder, self.stream = folder, stream
        self.journal = Journal(folder, stream, ENVELOPE)
        self.backlog = Backlog(folder, stream)
        self.delivery = Delivery(self.backlog, open_sender(protocol), **{"pace": QUICK, **options})
        self.written = 0

    def write(self, count: int = 1) -> None:
        """Append so many records, and tell nobody."""
        for _ in range(count):
            self.written += 1
            self.journal.append(record(self.written))

    def tell(self, count: int = 1) -> None:
        """Append so many records and ring."""
        self.write(count)
        self.delivery.ring()

    def dead(self) -> bytes:
        """The dead-letter file."""
        path = dead_path(self.folder, self.stream)
        return path.read_bytes() if path.exists() else b""


@contextmanager
def posting(folder: Path, protocol: str = "http/protobuf", stream: str = OWN, **options: Any) -> Iterator[Post]:
    """A stream with its delivery, ended in the end."""
    post = Post(folder, protocol, stream, **options)
    try:
        yield post
    finally:
        post.delivery.shutdown(0.2)
        post.journal.close(done=False)
