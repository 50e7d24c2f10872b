"""What has not been acknowledged yet, oldest first: of our own stream, then of the streams of processes that are gone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import cursor
from .canonical import digest, number_of
from .cursor import Position
from .follow import Found, follow, last_record
from .line import Envelope
from .locks import HeldLock
from .names import cursor_path, dead_path, files, lock_path, locked_streams
from .overflow import Overflow

__all__ = ("Backlog", "Batch")

_MAX_BYTES: Final = 2 << 20  # a collector's gRPC receiver takes 4 MiB by default


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
    end: Position
    """Behind the last of them. Its file is empty for records that are only in memory (disk full)."""


class Backlog:
    """All unacknowledged records of a service's folder. For one thread; `depth` may be asked from any.

    `next` does not move anything: until `acknowledge` or `bury` it begins at the same record, so a batch that a receiver
    refused is halved by asking for fewer.
    """

    def __init__(
        self,
        folder: Path,
        own: str | None = None,
        *,
        overflow: Overflow | None = None,
        envelope: Envelope | None = None,
        shipping: bool = False,
    ) -> None:
        """*own* is the stream of this process, if it writes one; *overflow* and *envelope* are what it keeps in memory.

        With *shipping*, also the streams of processes that deliver nothing themselves are taken over, ended or alive.
        """
        self.folder = folder
        self._own = own
        self._memory = (overflow, envelope) if overflow is not None and envelope is not None else None
        self._shipping = shipping
        self._adopted: dict[str, HeldLock | None] = {}
        self._reached: dict[str, Position | None] = {}
        self._others_turn = False

    def next(self, limit: int) -> Batch | None:
        """At most *limit* records (and about 2 MiB), None if everything is acknowledged.

        Our own stream and adopted ones take turns: neither a constant inflow nor an old backlog keeps the other waiting.
        """
        if self._others_turn:
            return self._next_adopted(limit) or self._next_own(limit)
        return self._next_own(limit) or self._next_adopted(limit)

    def acknowledge(self, batch: Batch) -> None:
        """Remember durably that *batch*, the last one of `next`, has arrived.

        OSError if that cannot be written; it is remembered all the same while this process lives.
        """
        self._others_turn = batch.stream == self._own
        if not batch.end.file:
            if self._memory is not None:
                self._memory[0].sent(batch.end.offset)
            return
        self._reached[batch.stream] = batch.end
        cursor.save(cursor_path(self.folder, batch.stream), batch.end)

    def bury(self, batch: Batch, why: str) -> None:
        """Set *batch* aside in the stream's dead-letter file, with the reason, and go on behind it. OSError likewise."""
        reason = json.dumps(why).encode()
        lines = b"".join(b'{"why":%b,"record":%b}\n' % (reason, record) for record in batch.records)
        file = os.open(dead_path(self.folder, batch.stream), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(file, "ab") as dead:
            dead.write(lines)
            dead.flush()
            os.fsync(dead.fileno())
        self.acknowledge(batch)

    def depth(self) -> int:
        """How many records are not acknowledged."""
        waiting = self._memory[0].depth() if self._memory is not None else 0
        own = [self._own] if self._own is not None else []
        return waiting + sum(map(self._depth, own + list(self._adopted)))

    def adopt(self) -> int:
        """Take over the streams of dead processes that may still have something to deliver; how many."""
        before = len(self._adopted)
        locked = locked_streams(self.folder)
        for stream in sorted(locked - {self._own, *self._adopted}):
            lock = HeldLock.take(lock_path(self.folder, stream))
            if lock is not None or (self._shipping and self._delivered_by_nobody(stream)):
                self._adopted[stream] = lock
        if self._shipping:
            ended = {file.stream for file in files(self.folder)} - locked
            self._adopted |= {stream: None for stream in sorted(ended - self._adopted.keys()) if self._depth(stream)}
        return len(self._adopted) - before

    def close(self) -> None:
        """Let go of adopted streams: another process may go on with them."""
        for stream in list(self._adopted):
            self._let_go(stream, done=False)

    def forget(self) -> None:
        """In a forked child: close our copies of what the parent holds."""
        for lock in self._adopted.values():
            if lock is not None:
                lock.forget()
        self._adopted.clear()

    def _next_own(self, limit: int) -> Batch | None:
        return None if self._own is None else self._from_files(self._own, limit) or self._from_memory(self._own, limit)

    def _next_adopted(self, limit: int) -> Batch | None:
        for stream in list(self._adopted):
            batch = self._from_files(stream, limit)
            if batch is not None:
                return batch
            self._let_go(stream, done=True)
        return None

    def _let_go(self, stream: str, *, done: bool) -> None:
        lock = self._adopted.pop(stream)
        if lock is not None:
            lock.release(done=done)

    def _delivered_by_nobody(self, stream: str) -> bool:
        """Whether the living process that writes *stream* says that it delivers nothing, and something is to be delivered."""
        try:
            facts = json.loads(lock_path(self.folder, stream).read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(facts, dict) and facts.get("delivering") is False and self._depth(stream) > 0

    def _from_files(self, stream: str, limit: int) -> Batch | None:
        found = _run(follow(self.folder, stream, self._position(stream)), limit)
        if not found:
            return None
        last, envelope = found[-1], found[0].envelope
        end = Position(last.file, last.end, number_of(last.record), digest(last.record))
        return _batch(stream, envelope, tuple(item.record for item in found), end)

    def _from_memory(self, stream: str, limit: int) -> Batch | None:
        if self._memory is None:
            return None
        overflow, envelope = self._memory
        records, place = overflow.unsent(limit)
        if not records:
            return None
        return _batch(stream, envelope, records, Position("", place, number_of(records[-1]), digest(records[-1])))

    def _position(self, stream: str) -> Position | None:
        if stream not in self._reached:
            self._reached[stream] = cursor.load(cursor_path(self.folder, stream))
        return self._reached[stream]

    def _depth(self, stream: str) -> int:
        last, position = last_record(self.folder, stream), self._position(stream)
        return max(0, number_of(last) - (position.number if position is not None else 0)) if last is not None else 0


def _batch(stream: str, envelope: Envelope, records: tuple[bytes, ...], end: Position) -> Batch:
    return Batch(stream, envelope.resource, envelope.scope, envelope.schema_url.decode(), records, end)


def _run(records: Iterable[Found], limit: int) -> list[Found]:
    """The first records that share one envelope, at most *limit*, and no more bytes than a receiver takes."""
    run: list[Found] = []
    size = 0
    for found in records:
        size += len(found.record)
        other = bool(run) and found.envelope is not run[0].envelope and found.envelope != run[0].envelope
        if other or (run and size > _MAX_BYTES):
            break
        run.append(found)
        if len(run) == limit:
            break
    return run
