"""Histories to verify: streams of processes as they are written, and what somebody may do to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from opentelemetry_instrumentation_authaudit.journal.canonical import GENESIS, CanonicalRecord, digest, encode
from opentelemetry_instrumentation_authaudit.journal.signing import ALGORITHM, SigningKey
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.query.links import Finding
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, every_record
from opentelemetry_instrumentation_authaudit.query.registry import Registry
from opentelemetry_instrumentation_authaudit.query.verify import Keys, Verification

from .trail import DAY, SECOND, line

FIRST_KEY = "a long random text that was put aside"


@dataclass(frozen=True)
class Process:
    """What one process did."""

    events: int
    checkpoint_every: int = 5
    stopped: bool = True
    """False: it was killed."""


def stream(number: int, process: Process, *, key: SigningKey | None = None, at: int = 0) -> list[CanonicalRecord]:
    """The records of one process, chained, its checkpoints signed; *at*: seconds after the first of all."""
    planned = ["audit.start"]
    for count in range(1, process.events + 1):
        planned.append("auth.sign_in")
        if count % process.checkpoint_every == 0:
            planned.append("audit.checkpoint")
    planned += ["audit.stop"] if process.stopped else []
    records = [
        CanonicalRecord(
            event=event,
            time=DAY + (at + place) * SECOND,
            severity=9,
            attributes={
                names.RECORD_ID: f"{number:04d}-{place:04d}",
                names.OUTCOME: "success",
                names.SUBJECT: f"auth.user:{place}",
                names.STREAM_ID: f"{number:016x}",
                names.SEQUENCE_NUMBER: place,
            },
        )
        for place, event in enumerate(planned, 1)
    ]
    return chained(records, key)


def chained(records: Iterable[CanonicalRecord], key: SigningKey | None) -> list[CanonicalRecord]:
    """The same records with the links, and with *key* the signatures, of a stream that they alone make up."""
    made: list[CanonicalRecord] = []
    previous = GENESIS
    for number, record in enumerate(records, 1):
        own: dict[str, str | int] = {names.SEQUENCE_NUMBER: number, names.PREVIOUS_HASH: previous}
        if record.event in {"audit.checkpoint", "audit.stop"}:
            own[names.CHECKPOINT_DROPPED] = "0"
            if record.event == "audit.stop":
                own[names.SEQUENCE_END] = str(number)
            if key is not None:
                own[names.INTEGRITY_VALUE] = key.sign(str(record.attributes[names.STREAM_ID]), number, previous, 0)
                own |= {names.INTEGRITY_KEY_ID: key.name, names.INTEGRITY_ALGORITHM: ALGORITHM}
        made.append(replace(record, attributes={**record.attributes, **own}))
        previous = digest(encode(made[-1]))
    return made


def history(processes: Sequence[Process]) -> list[list[CanonicalRecord]]:
    """The streams of several processes, one after the other; each took its own generation of the key."""
    key = SigningKey.parse(FIRST_KEY)
    made = []
    for number, process in enumerate(processes, 1):
        made.append(stream(number, process, key=key, at=number * 10_000))
        key = key.next()
    return made


def collected(folder: Path, records: Iterable[CanonicalRecord], name: str = "collected.jsonl") -> Path:
    """A collector's file with these records in this order."""
    path = folder / name
    path.write_bytes(b"".join(line(encode(record)) for record in records))
    return path


def journals(folder: Path, streams: Iterable[Sequence[CanonicalRecord]], *, part: int = 1000) -> Path:
    """A service's journal folder; *part* records a file."""
    for records in streams:
        for number, begin in enumerate(range(0, len(records), part), 1):
            name = f"2025-11-24.{records[0].attributes[names.STREAM_ID]}.{number:04d}.jsonl"
            collected(folder, records[begin : begin + part], name)
    return folder


def verification(files: Iterable[Path], *, key: bool = True, registry: str = "", lifetime: int | None = None) -> Verification:
    """The verifier after it has read *files*."""
    found = Verification(Keys([FIRST_KEY] if key else []), lifetime, Registry.parse(registry) if registry else None)
    for record, path in every_record(files, Unreadable()):
        found.feed(record, path)
    return found


def registry_of(files: Iterable[Path]) -> str:
    """What `authaudit digest` would have written about *files*."""
    made = Registry().line(verification(files).streams, "2025-11-25T00:00:00Z", None)
    assert made is not None
    return f"{made}\n"


def faults(files: Iterable[Path], **options: object) -> list[Finding]:
    """The findings that accuse."""
    return [finding for finding in verification(files, **options).findings() if finding.kind.fault]  # type: ignore[arg-type]


def kinds(files: Iterable[Path], **options: object) -> list[str]:
    """Kind and number of every finding, notes too."""
    found = verification(files, **options).findings()  # type: ignore[arg-type]
    return [f"{finding.kind.value} {finding.number}" for finding in found]


def printed(folder: Path, records: Iterable[CanonicalRecord]) -> Path:
    """What `authaudit query --format json` prints of these records."""
    plain = collected(folder, records, "plain.jsonl")
    path = folder / "export.jsonl"
    rows = [json.dumps(record.flat()) for record, _ in every_record([plain], Unreadable())]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path
