"""One recorded day, the same in every run: canonical records in whole, chained, signed streams, as processes write them.

`recorded()` is an honest day with every attack of `happenings.ATTACKS`; `recorded("spraying")` has that one, `honest_day()` none.
Put it where it is to be asked: `journal(folder)`, `collected(folder)`, or `batches()` for the `Sender` of a store. What belongs
together is told by `ids(label)`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from opentelemetry_instrumentation_authaudit.config import load
from opentelemetry_instrumentation_authaudit.journal.backlog import Batch
from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, digest, encode, number_of
from opentelemetry_instrumentation_authaudit.journal.cursor import Position
from opentelemetry_instrumentation_authaudit.journal.line import Envelope
from opentelemetry_instrumentation_authaudit.journal.signing import SigningKey
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.catalog import severity_of
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Status, Strategy
from opentelemetry_instrumentation_authaudit.pipeline.record import attributes
from opentelemetry_instrumentation_authaudit.privacy.policy import Policy

from ..query.history import chained
from .happenings import ATTACKS, Happening, happenings

MIDNIGHT = 1_795_132_800_000_000_000
"""2026-11-20T00:00:00Z, a Friday."""
SECOND = 1_000_000_000
HASH_KEY = "recorded:a key of the recorded day"
"""With it `authaudit query --identity` finds who was typed."""
FIRST_SIGNING_KEY = "the first signing key of the recorded day"
GAP = 3
"""Records that `Recording.with_gap` lacks."""

_WORKERS = {"shop": 2, "admin": 1, "api": 1}
_CHECKPOINT_EVERY = 50


@dataclass(frozen=True)
class Stream:
    """What one process wrote."""

    id: str
    service: str
    records: tuple[bytes, ...]
    """Canonical, oldest first."""

    @property
    def envelope(self) -> Envelope:
        """What stands around its records."""
        return envelope(self.service)


@dataclass(frozen=True)
class Recording:
    """Everything that was recorded."""

    streams: tuple[Stream, ...]
    labels: Mapping[str, str]
    """The attack (or `new_client`) that a record belongs to, by its id."""

    def __len__(self) -> int:
        return sum(len(stream.records) for stream in self.streams)

    def ids(self, label: str) -> set[str]:
        """The ids of the records of an attack."""
        return {record for record, attack in self.labels.items() if attack == label}

    def journal(self, folder: Path) -> Path:
        """As journals in the folders of the services below *folder*."""
        for stream in self.streams:
            place = folder / stream.service
            place.mkdir(parents=True, exist_ok=True)
            around = stream.envelope
            text = b"".join(around.head + record + around.tail for record in stream.records)
            (place / f"2026-11-20.{stream.id}.0001.jsonl").write_bytes(text)
        return folder

    def collected(self, folder: Path, name: str = "audit.jsonl") -> Path:
        """As the file of a collector: requests of several records, one a line, the streams in turn."""
        path = folder / name
        with path.open("wb") as file:
            for batch in self.batches(40):
                around = envelope(_service_of(batch))
                file.write(around.head + b",".join(batch.records) + around.tail)
        return path

    def batches(self, size: int = 100) -> Iterator[Batch]:
        """As a sender takes them: the streams in turn."""
        waiting = [list(_batches(stream, size)) for stream in self.streams]
        for place in range(max(map(len, waiting))):
            yield from (batches[place] for batches in waiting if place < len(batches))

    def with_gap(self) -> Recording:
        """The same, but GAP records in the middle of the longest stream are missing: somebody took them out."""
        longest = max(self.streams, key=lambda stream: len(stream.records))
        middle = len(longest.records) // 2
        cut = replace(longest, records=longest.records[:middle] + longest.records[middle + GAP :])
        return replace(self, streams=tuple(cut if stream is longest else stream for stream in self.streams))


def honest_day(midnight: int = MIDNIGHT) -> Recording:
    """A day without an attack."""
    return _recording((), midnight)


def recorded(*attacks: str, midnight: int = MIDNIGHT) -> Recording:
    """A day with these attacks, with all if none is named; *midnight*, in nanoseconds, is its beginning."""
    return _recording(attacks or tuple(ATTACKS), midnight)


def envelope(service: str) -> Envelope:
    """What stands around every record of a service."""
    resource = b'{"attributes":[{"key":"service.name","value":{"stringValue":"%b"}}]}' % service.encode()
    return Envelope(resource, b'{"name":"opentelemetry.instrumentation.authaudit"}', names.SCHEMA_URL.encode())


@lru_cache(maxsize=32)
def _recording(attacks: tuple[str, ...], midnight: int) -> Recording:
    recorder, labels = Recorder(midnight), dict[str, str]()
    told: dict[tuple[str, int], list[CanonicalRecord]] = {}
    for number, one in enumerate(happenings(*attacks)):
        process = one.service, number % _WORKERS[one.service]
        record = recorder.record(one, number)
        told.setdefault(process, []).append(record)
        if one.attack:
            labels[str(record.attributes[names.RECORD_ID])] = one.attack
    key, streams = SigningKey.parse(FIRST_SIGNING_KEY), []
    for process in sorted(told):
        records = recorder.stream(process, told[process], key)
        streams.append(Stream(str(records[0].attributes[names.STREAM_ID]), process[0], tuple(map(encode, records))))
        key = key.next()
    return Recording(tuple(streams), labels)


class Recorder:
    """Records as the pipeline makes them: raw attributes, then the policy; ids and flows are counted, not random."""

    def __init__(self, midnight: int) -> None:
        self._midnight = midnight
        self._config = load({}, hash_key=HASH_KEY)
        self._policy = Policy.of(self._config)

    def record(self, one: Happening, number: int) -> CanonicalRecord:
        """The record of a happening, not yet in any stream."""
        time = self._midnight + int(one.second * 1_000_000) * 1000 + number % 1000 * 1000
        request = one.event.request and replace(one.event.request, flow_id=_digest("flow", number))
        return self._made(replace(one.event, time=time, request=request), number)

    def stream(self, process: tuple[str, int], told: list[CanonicalRecord], key: SigningKey) -> list[CanonicalRecord]:
        """The chained records of a process, which began a minute before its first and ends a minute after its last."""
        stream, records = _digest(*process)[:16], []
        for number, record in enumerate(told, 1):
            records.append(record)
            if number % _CHECKPOINT_EVERY == 0:
                records.append(self._own("audit.checkpoint", record.time + 1000, stream, number))
        begin, end = told[0].time - 60 * SECOND, told[-1].time + 60 * SECOND
        records = [self._own("audit.start", begin, stream, 0), *records, self._own("audit.stop", end, stream, -1)]
        start = {**records[0].attributes, names.RESOURCE_DIGEST: hashlib.sha256(envelope(process[0]).resource).hexdigest()}
        records[0] = replace(records[0], attributes=start)
        return chained((replace(one, attributes={**one.attributes, names.STREAM_ID: stream}) for one in records), key)

    def _own(self, event: str, time: int, stream: str, number: int) -> CanonicalRecord:
        own = AuditEvent(event=event, status=Status.SUCCESS, time=time, library="authaudit 1.0.0", strategy=Strategy.UNKNOWN)
        return self._made(own, int(_digest(stream, event, number)[:8], 16))

    def _made(self, event: AuditEvent, number: int) -> CanonicalRecord:
        raw = attributes(event, record_id=record_id(event.time, number), config=self._config)
        return CanonicalRecord(
            event=event.event, time=event.time, attributes=self._policy.apply(raw, event), severity=severity_of(event).value
        )


def record_id(time: int, number: int) -> str:
    """A UUID of version 7, always the same for the same arguments."""
    random = int(_digest("id", time, number)[:20], 16)
    bits = (time // 1_000_000) << 80 | 7 << 76 | (random & 0xFFF) << 64 | 2 << 62 | random >> 18 & (1 << 62) - 1
    return str(UUID(int=bits))


def batch_of(stream: str, service: str, records: tuple[bytes, ...]) -> Batch:
    """Records of a stream as a sender takes them."""
    around = envelope(service)
    end = Position(f"2026-11-20.{stream}.0001.jsonl", 0, number_of(records[-1]), digest(records[-1]))
    return Batch(stream, around.resource, around.scope, around.schema_url.decode(), records, end)


def _batches(stream: Stream, size: int) -> Iterator[Batch]:
    for begin in range(0, len(stream.records), size):
        yield batch_of(stream.id, stream.service, stream.records[begin : begin + size])


def _service_of(batch: Batch) -> str:
    service: str = json.loads(batch.resource)["attributes"][0]["value"]["stringValue"]
    return service


def _digest(*facts: object) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
