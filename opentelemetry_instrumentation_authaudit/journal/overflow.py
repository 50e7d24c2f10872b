"""Records that the journal cannot take at the moment: kept in memory, bounded, until it can, or until they are delivered."""

from __future__ import annotations

import threading
from collections import deque
from itertools import islice
from typing import Final

__all__ = ("CAPACITY", "Overflow")

CAPACITY: Final = 2048
"""Records, about 2 MB."""


class Overflow:
    """A queue whose places are numbered from its beginning on, so that its two readers (journal, delivery) do not get mixed up.

    What was delivered stays while there is room, because the journal wants it too.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._records: deque[bytes] = deque()
        self._first = 0  # place of the oldest record here
        self._sent = 0  # place of the oldest that is not delivered
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: bytes, timeout: float = 0.0) -> bool:
        """Keep *record*, if need be after waiting *timeout* seconds for a place; False if there was none."""
        with self._changed:
            if not self._changed.wait_for(self._has_room, timeout):
                return False
            if len(self._records) >= self._capacity:
                self._drop_oldest()
            self._records.append(record)
            return True

    def room(self, timeout: float = 0.0) -> bool:
        """Whether there is a place for one more, now or within *timeout* seconds."""
        with self._changed:
            return self._changed.wait_for(self._has_room, timeout)

    def oldest(self) -> bytes | None:
        """The record that the journal is to take next."""
        with self._changed:
            return self._records[0] if self._records else None

    def journaled(self) -> None:
        """The journal has the oldest: it leaves."""
        with self._changed:
            self._drop_oldest()
            self._changed.notify()

    def unsent(self, limit: int) -> tuple[tuple[bytes, ...], int]:
        """At most *limit* records that are not delivered, oldest first, and the place behind them (for `sent`)."""
        with self._changed:
            start = max(self._sent, self._first)
            found = tuple(islice(self._records, start - self._first, start - self._first + limit))
            return found, start + len(found)

    def sent(self, place: int) -> None:
        """Everything before *place* is delivered."""
        with self._changed:
            self._sent = max(self._sent, place)
            self._changed.notify()

    def depth(self) -> int:
        """How many are not delivered."""
        with self._changed:
            return len(self._records) - max(0, self._sent - self._first)

    def _has_room(self) -> bool:
        return len(self._records) < self._capacity or self._first < self._sent

    def _drop_oldest(self) -> None:
        self._records.popleft()
        self._first += 1
