"""Records read ahead, put together by what stands around them, and handed out batch by batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .cursor import Position
from .line import Envelope
from .streams import MAX_BYTES, Batch

__all__ = ("Window",)

_NOWHERE = Position("", 0, 0, "")


class Window:
    """`next` begins at the same record until `passed` says that its batch is done with."""

    def __init__(self) -> None:
        self._groups: deque[tuple[Envelope, deque[bytes]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._groups)

    def __len__(self) -> int:
        return sum(len(records) for _, records in self._groups)

    def fill(self, records: Iterable[tuple[Envelope, bytes]]) -> None:
        """Put canonical *records* in."""
        groups: dict[Envelope, deque[bytes]] = {}
        for envelope, record in records:
            groups.setdefault(envelope, deque()).append(record)
        self._groups.extend(groups.items())

    def next(self, limit: int) -> Batch | None:
        """At most *limit* records under one envelope, and about 2 MiB; None if it is empty."""
        if not self._groups:
            return None
        envelope, records = self._groups[0]
        taken: list[bytes] = []
        size = 0
        for record in records:
            size += len(record)
            if len(taken) == limit or (taken and size > MAX_BYTES):
                break
            taken.append(record)
        return Batch("", envelope.resource, envelope.scope, envelope.schema_url.decode(), tuple(taken), _NOWHERE)

    def passed(self, batch: Batch) -> None:
        """The batch that came last from `next` is done with."""
        _, records = self._groups[0]
        for _ in batch.records:
            records.popleft()
        if not records:
            self._groups.popleft()
