"""A recorded trail to ask: written with the journal's own encoding."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.journal.line import Envelope
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable, read

DAY = 1_764_000_000_000_000_000
"""2025-11-24T16:00:00Z."""
SECOND = 1_000_000_000


def envelope(service: str = "shop") -> Envelope:
    """What stands around every record of a service."""
    resource = b'{"attributes":[{"key":"service.name","value":{"stringValue":"%b"}}]}' % service.encode()
    return Envelope(resource, b'{"name":"story"}', names.SCHEMA_URL.encode())


def canonical(
    number: int, event: str = "auth.sign_in", *, at: int | None = None, stream: str = "a" * 16, **attributes: str
) -> bytes:
    """A record; `__` in a name stands for a dot."""
    found: dict[str, str | int] = {
        names.RECORD_ID: f"{stream[:4]}-{number:04d}",
        names.ACTION: "sign_in_with_password",
        names.OUTCOME: "success",
        names.STRATEGY: "password",
        names.LIBRARY: "story 1.0",
        names.STREAM_ID: stream,
        names.SEQUENCE_NUMBER: number,
        **{name.replace("__", "."): value for name, value in attributes.items()},
    }
    return encode(
        CanonicalRecord(event=event, time=DAY + (at if at is not None else number) * SECOND, attributes=found, severity=9)
    )


def line(record: bytes, service: str = "shop") -> bytes:
    """A journal line."""
    around = envelope(service)
    return around.head + record + around.tail


def write(
    folder: Path, records: Iterable[bytes], *, name: str = f"2025-11-24.{'a' * 16}.0001.jsonl", service: str = "shop"
) -> Path:
    """A journal file in the folder of a service."""
    path = folder / service / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line(record, service) for record in records))
    return path


def ids(files: Iterable[Path], unreadable: Unreadable | None = None) -> list[str]:
    """The ids of what is read."""
    return [record.id for record in read(files, Unreadable() if unreadable is None else unreadable)]


def all_of(folder: Path) -> list[Record]:
    """Every record below *folder*."""
    return list(read(sorted(folder.rglob("*.jsonl")), Unreadable()))
