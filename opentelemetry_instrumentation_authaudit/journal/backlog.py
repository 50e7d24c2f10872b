"""What has not been acknowledged yet, oldest first: of our own stream, then of the streams of processes that are gone."""

from __future__ import annotations

import json
from pathlib import Path

from .canonical import digest, number_of
from .cursor import Position
from .line import Envelope
from .locks import HeldLock
from .names import files, lock_path, locked_streams
from .overflow import Overflow
from .streams import Batch, Streams

__all__ = ("Backlog", "Batch")


class Backlog:
    """All unacknowledged records of a service's folder: a `streams.Source`."""

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
        self._streams = Streams(folder, beside=folder)
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
        self._streams.acknowledge(batch)

    def bury(self, batch: Batch, why: str) -> None:
        """Set *batch* aside in the stream's dead-letter file, with the reason, and go on behind it. OSError likewise."""
        self._streams.bury(batch, why)
        self.acknowledge(batch)

    def depth(self) -> int:
        """How many records are not acknowledged."""
        waiting = self._memory[0].depth() if self._memory is not None else 0
        own = [self._own] if self._own is not None else []
        return waiting + sum(map(self._streams.depth, own + list(self._adopted)))

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
            self._adopted |= {stream: None for stream in sorted(ended - self._adopted.keys()) if self._streams.depth(stream)}
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
        return None if self._own is None else self._streams.next(self._own, limit) or self._from_memory(self._own, limit)

    def _next_adopted(self, limit: int) -> Batch | None:
        for stream in list(self._adopted):
            batch = self._streams.next(stream, limit)
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
        return isinstance(facts, dict) and facts.get("delivering") is False and self._streams.depth(stream) > 0

    def _from_memory(self, stream: str, limit: int) -> Batch | None:
        if self._memory is None:
            return None
        overflow, envelope = self._memory
        records, place = overflow.unsent(limit)
        if not records:
            return None
        end = Position("", place, number_of(records[-1]), digest(records[-1]))
        return Batch(stream, envelope.resource, envelope.scope, envelope.schema_url.decode(), records, end)
