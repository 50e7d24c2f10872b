"""What a store lacks, as a source of records to ship."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ..journal.streams import Batch
from ..journal.window import Window
from ..query.documents import Record, Unreadable
from .collected import enclosed

__all__ = ("Repair",)

_AT_ONCE = 1000


class Repair:
    """The *records*, of which there are *count*: a `streams.Source` that remembers nothing."""

    def __init__(self, records: Iterator[Record], count: int, unreadable: Unreadable) -> None:
        self.left = count
        self.refused = 0
        """Records that the store refused for good."""
        self._records, self._unreadable = records, unreadable
        self._window = Window()

    def next(self, limit: int) -> Batch | None:
        """See `Source`."""
        if not self._window:
            taken = list(islice(self._records, _AT_ONCE))
            self._window.fill(enclosed(taken, self._unreadable))
            if not self._window:
                self.left = 0  # what is left is in no source any more
        return self._window.next(limit)

    def acknowledge(self, batch: Batch) -> None:
        """See `Source`."""
        self._window.passed(batch)
        self.left = max(0, self.left - len(batch.records))

    def bury(self, batch: Batch, why: str) -> None:
        """See `Source`: the record stays where it is."""
        self.refused += len(batch.records)
        self.acknowledge(batch)

    def depth(self) -> int:
        """See `Source`."""
        return self.left

    def adopt(self) -> int:
        """See `Source`: nothing comes."""
        return 0

    def close(self) -> None:
        """See `Source`: nothing is held."""
