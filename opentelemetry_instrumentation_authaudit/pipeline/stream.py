"""The stream of one process: what is recorded gets its number, its link to the record before it, and its place in the journal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeAlias

from ..guard import warn
from ..journal.canonical import GENESIS, CanonicalRecord, digest, encode
from ..journal.overflow import Overflow
from ..journal.signing import ALGORITHM, SigningKey
from ..journal.writer import Journal, JournalUnavailable
from ..model import names

__all__ = ("CHECKPOINT", "EXPIRED", "LOST", "REFUSED", "START", "STOP", "Facts", "Stream", "checkpoint", "end", "losses")

START, STOP, CHECKPOINT, LOST = "audit.start", "audit.stop", "audit.checkpoint", "audit.records_lost"
EXPIRED, REFUSED = "audit.records_expired", "audit.records_refused"


class Stream:
    """Numbers, chains and keeps records, one after the other. Any thread may call it."""

    def __init__(
        self,
        journal: Journal,
        overflow: Overflow,
        *,
        key: SigningKey | None = None,
        wait: float = 0.0,
    ) -> None:
        """*key* signs checkpoints; *wait* is how many seconds a record may wait for a place (option `on_full`: block)."""
        self.id = journal.stream
        self.number = 0
        """Of the last record."""
        self.previous_hash = GENESIS
        self.lost = 0
        """Records that found no place, and that no record of the stream has told of yet."""
        self.dropped = 0
        """Records that found no place, since the stream began."""
        self.unchecked = 0
        """Records since the last checkpoint."""
        self.ended = False
        self.key = key
        self._journal = journal
        self._overflow = overflow
        self._wait = wait
        self._mutex = threading.Lock()

    def add(self, record: CanonicalRecord, facts: Facts | None = None) -> CanonicalRecord | None:
        """Keep *record* as the next of the stream and return it as kept; None if there is no place, or the stream has ended.

        *facts* are attributes that depend on the place in the stream. A record that is not kept takes no number, so that the
        chain has no gap.
        """
        with self._mutex:
            if self.ended:
                return None
            own = facts(self) if facts is not None else {}
            if own is None:
                return None
            chained = _chained(record, {**record.attributes, **own, **self._place()})
            canonical = encode(chained)
            if not self._keep(canonical):
                if facts is None:  # a record of the stream's own is made again
                    self.lost += 1
                    self.dropped += 1
                return None
            self.number += 1
            self.previous_hash = digest(canonical)
            self._note(record.event)
            return chained

    def recover(self) -> bool:
        """Write what waits in memory into the journal; whether nothing waits any more."""
        with self._mutex:
            try:
                self._drain()
            except JournalUnavailable:
                return False
            return True

    @property
    def waiting(self) -> bool:
        """Whether something waits for the journal: records, or the news that some were lost."""
        return bool(self.lost or len(self._overflow))

    def _place(self) -> dict[str, str | int]:
        return {
            names.STREAM_ID: self.id,
            names.SEQUENCE_NUMBER: self.number + 1,
            names.PREVIOUS_HASH: self.previous_hash,
        }

    def _keep(self, canonical: bytes) -> bool:
        try:
            if len(self._overflow):
                self._drain()
            self._journal.append(canonical)
        except JournalUnavailable as error:
            warn(
                "journal.unavailable",
                "The audit journal %s cannot be written (%s). Records wait in memory; what finds no place there is counted and "
                "lost. Make room, or point journal_dir to a folder this process can write; no restart is needed.",
                self._journal.folder,
                error,
            )
            return self._overflow.put(canonical, self._wait)
        return True

    def _drain(self) -> None:
        while (waiting := self._overflow.oldest()) is not None:
            self._journal.append(waiting)
            self._overflow.journaled()

    def _note(self, event: str) -> None:
        self.unchecked = 0 if event == CHECKPOINT else self.unchecked + 1
        if event == LOST:
            self.lost = 0
        self.ended = event == STOP


def _chained(record: CanonicalRecord, attributes: Mapping[str, str | int]) -> CanonicalRecord:
    """*record* with other attributes; by hand, because `dataclasses.replace` costs thrice as much."""
    return CanonicalRecord(
        event=record.event,
        time=record.time,
        attributes=attributes,
        severity=record.severity,
        trace_id=record.trace_id,
        span_id=record.span_id,
    )


Facts: TypeAlias = "Callable[[Stream], Mapping[str, str] | None]"
"""What a record of the stream's own says of the stream; None if there is nothing to say any more."""


def losses(stream: Stream) -> Mapping[str, str] | None:
    """Facts of `audit.records_lost`; another thread may have told them."""
    return {names.RECORDS_LOST: str(stream.lost)} if stream.lost else None


def end(stream: Stream) -> Mapping[str, str]:
    """Facts of `audit.stop`: the number of the stream's last record, which is this one; signed like a checkpoint."""
    return {names.SEQUENCE_END: str(stream.number + 1), **checkpoint(stream)}


def checkpoint(stream: Stream) -> Mapping[str, str]:
    """Facts of `audit.checkpoint`: where the chain stands and what was lost, signed where there is a key."""
    facts = {names.CHECKPOINT_DROPPED: str(stream.dropped)}
    if stream.key is None:
        return facts
    value = stream.key.sign(stream.id, stream.number + 1, stream.previous_hash, stream.dropped)
    return {
        **facts,
        names.INTEGRITY_VALUE: value,
        names.INTEGRITY_KEY_ID: stream.key.name,
        names.INTEGRITY_ALGORITHM: ALGORITHM,
    }
