"""Does a store hold what its sources hold? Compared by stream, sequence number and the hash of the canonical record, id included.

Of each record 17 bytes are kept, so a million fit into some 25 MB, whatever order they come in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ..model import names
from .documents import Record
from .links import canonical, number

__all__ = ("Comparison", "Difference", "Gap")

_KNOWN, _YOUNG, _SEEN, _AGAIN, _OTHER, _SENT = 1, 2, 4, 8, 16, 32
_DIGEST: Final = 16
_WIDTH: Final = 1 + _DIGEST
_CHUNK: Final = 64
"""Numbers whose cells lie together."""
_LISTED: Final = 1000
"""So many contradictions of a kind are named one by one; all are counted."""


class Gap(Enum):
    """How a store and its sources differ."""

    MISSING = "missing"
    """The sources have it, the store has not."""
    DIFFERENT = "different"
    """The store has another content under this number."""
    UNKNOWN = "unknown"
    """The store has it, and the sources lack it, though they have the records around."""
    DISPUTED = "disputed"
    """The sources themselves have two contents under this number."""
    OWN = "own"
    """The store lacks what earlier runs of `authaudit reconcile` recorded: nobody has delivered it yet."""
    DOUBLED = "doubled"
    """The store has several copies, which is what sending again leaves; who asks gets one."""
    EXPIRED = "expired"
    """The store has it, and the sources do not any more: they begin later."""
    ELSEWHERE = "elsewhere"
    """The store has a stream of which the sources have nothing: another host's, or one whose time is over there."""

    @property
    def fault(self) -> bool:
        """Whether it makes the answer bad."""
        return self in {Gap.MISSING, Gap.DIFFERENT, Gap.UNKNOWN, Gap.DISPUTED}


@dataclass(frozen=True, slots=True)
class Difference:
    """Records of a stream that follow each other, and what is wrong with them."""

    gap: Gap
    stream: str
    first: int
    last: int
    id: str = ""
    """Of the first, where it is known."""
    where: str = ""
    """File and line of what differs, where there is one."""

    @property
    def count(self) -> int:
        """How many records."""
        return self.last - self.first + 1


class _Cells:
    """The cells of one stream: a byte of flags and half a hash for each number."""

    __slots__ = ("_chunks",)

    def __init__(self) -> None:
        self._chunks: dict[int, bytearray] = {}

    def at(self, number: int) -> tuple[bytearray, int]:
        """The chunk and the place in it of *number*."""
        chunk, place = divmod(number, _CHUNK)
        cells = self._chunks.get(chunk)
        if cells is None:
            cells = self._chunks[chunk] = bytearray(_CHUNK * _WIDTH)
        return cells, place * _WIDTH

    def flags(self) -> Iterator[tuple[int, int]]:
        """Every number with flags, in order, and its flags."""
        for chunk in sorted(self._chunks):
            for place, found in enumerate(self._chunks[chunk][::_WIDTH]):
                if found:
                    yield chunk * _CHUNK + place, found

    def clear(self, wanted: int, flags: int) -> None:
        """Take *flags* away wherever *wanted* is set."""
        for cells in self._chunks.values():
            for at in range(0, len(cells), _WIDTH):
                if cells[at] & wanted:
                    cells[at] &= ~flags


@dataclass(slots=True)
class Comparison:
    """First `expect` every copy of the sources, then `find` every copy in the store, then ask for `differences`."""

    settled: int
    """Nanoseconds since the epoch: what is younger may still be on its way, and is no gap."""
    without: str = ""
    """A stream that is not compared: of the comparison itself, which is being written."""
    expected: int = 0
    """Different records of the sources."""
    found: int = 0
    """Copies in the store."""
    young: int = 0
    """Records of the sources that are younger than `settled`."""
    unplaced: int = 0
    """Records without a place in any stream, on either side: `authaudit verify` names them."""
    contradictions: int = 0
    """Copies with another content than the one that was known first, on either side."""
    _streams: dict[str, _Cells] = field(default_factory=dict)
    _elsewhere: dict[str, int] = field(default_factory=dict)
    _named: list[Difference] = field(default_factory=list)
    _variants: dict[tuple[str, int], set[bytes]] = field(default_factory=dict)
    _expired: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _own: set[str] = field(default_factory=set)
    """Streams of earlier comparisons."""

    def expect(self, record: Record) -> None:
        """The sources have *record*."""
        place = self._place(record)
        if place is None:
            return
        stream, digest = place
        self._hear(record, stream)
        cells, at = self._streams.setdefault(stream, _Cells()).at(record.number)
        if not cells[at]:
            young = record.time > self.settled
            self.expected += 1
            self.young += young
            cells[at] = _KNOWN | (_YOUNG if young else 0)
            cells[at + 1 : at + _WIDTH] = digest
        elif cells[at + 1 : at + _WIDTH] != digest:
            variants = self._variants.setdefault((stream, record.number), set())
            if digest not in variants:
                variants.add(digest)
                self._name(Gap.DISPUTED, record)

    def find(self, record: Record) -> None:
        """The store has *record*."""
        place = self._place(record)
        if place is None:
            return
        stream, digest = place
        self.found += 1
        if stream not in self._streams:
            self._elsewhere[stream] = self._elsewhere.get(stream, 0) + 1
            return
        cells, at = self._streams[stream].at(record.number)
        if not cells[at] & _KNOWN:
            cells[at] = _SEEN | (_YOUNG if record.time > self.settled else 0)
        elif cells[at + 1 : at + _WIDTH] == digest or digest in self._variants.get((stream, record.number), ()):
            cells[at] |= _AGAIN if cells[at] & _SEEN else _SEEN
        else:
            cells[at] |= _OTHER
            self._name(Gap.DIFFERENT, record)

    def lacks(self, record: Record) -> bool:
        """Whether *record*, one of the sources', is missing in the store."""
        stream = record.attributes.get(names.STREAM_ID, "")
        if stream not in self._streams or record.number < 1:
            return False
        cells, at = self._streams[stream].at(record.number)
        return _missing(cells[at])

    def take(self, record: Record) -> bool:
        """Whether *record* is missing, and is taken now to be sent: each once."""
        if not self.lacks(record):
            return False
        cells, at = self._streams[record.attributes[names.STREAM_ID]].at(record.number)
        taken = not cells[at] & _SENT
        cells[at] |= _SENT
        return taken

    def doubt(self) -> None:
        """What was taken to be sent counts as missing until it is found again."""
        for cells in self._streams.values():
            cells.clear(_SENT, _SEEN)

    def recheck(self, record: Record) -> None:
        """The store, asked once more, has *record*: it is not missing any more, and not doubled by being seen again."""
        place = self._place(record)
        if place is not None and place[0] in self._streams:
            cells, at = self._streams[place[0]].at(record.number)
            if _missing(cells[at]) and cells[at + 1 : at + _WIDTH] == place[1]:
                cells[at] |= _SEEN

    def missing(self, *, taken: bool = False) -> int:
        """How many records are missing now; with *taken* of those that were sent."""
        wanted = _SENT if taken else 0
        return sum(_missing(flags) and flags & wanted == wanted for cells in self._streams.values() for _, flags in cells.flags())

    def differences(self) -> Iterator[Difference]:
        """What is wrong, stream by stream, and what is worth a note."""
        for stream in sorted(self._streams):
            yield from self._of_stream(stream, self._streams[stream])
        yield from sorted(self._named, key=lambda named: (named.stream, named.first))
        for stream, count in sorted(self._elsewhere.items()):
            yield Difference(Gap.ELSEWHERE, stream, 1, count)

    @property
    def streams(self) -> int:
        """How many streams the sources have."""
        return len(self._streams)

    def _of_stream(self, stream: str, cells: _Cells) -> Iterator[Difference]:
        begin = next((place for place, flags in cells.flags() if flags & _KNOWN), 0)
        found: dict[Gap, list[int]] = {}
        for place, flags in cells.flags():
            gap = self._gap(stream, place, flags, begin)
            if gap is not None:
                found.setdefault(gap, []).append(place)
        for gap, places in found.items():
            yield from (Difference(gap, stream, first, last) for first, last in _runs(places))

    def _gap(self, stream: str, place: int, flags: int, begin: int) -> Gap | None:
        if _missing(flags):
            return Gap.OWN if stream in self._own else Gap.MISSING
        if not flags & (_KNOWN | _YOUNG):
            expired = place < begin or any(first <= place <= last for first, last in self._expired.get(stream, ()))
            return Gap.EXPIRED if expired else Gap.UNKNOWN
        return Gap.DOUBLED if flags & _AGAIN else None

    def _place(self, record: Record) -> tuple[str, bytes] | None:
        """Its stream and half the hash of its canonical bytes; None if it has no place in any stream."""
        stream = record.attributes.get(names.STREAM_ID, "")
        if stream and stream == self.without:
            return None
        try:
            if stream and record.number > 0:
                return stream, hashlib.sha256(canonical(record)).digest()[:_DIGEST]
        except ValueError:
            pass
        self.unplaced += 1
        return None

    def _hear(self, record: Record, stream: str) -> None:
        """The sources say themselves which records they do not have any more, and which are of this command."""
        found = record.attributes
        if record.event == "audit.records_expired" and names.EXPIRED_STREAM in found:
            span = (number(found.get(names.EXPIRED_FIRST)) or 1, number(found.get(names.EXPIRED_NUMBER)))
            self._expired.setdefault(found[names.EXPIRED_STREAM], []).append(span)
        elif record.event == "audit.reconciled":
            self._own.add(stream)

    def _name(self, gap: Gap, record: Record) -> None:
        self.contradictions += 1
        if len(self._named) < _LISTED:
            stream = record.attributes.get(names.STREAM_ID, "")
            self._named.append(Difference(gap, stream, record.number, record.number, record.id, record.file))


def _missing(flags: int) -> bool:
    """Known, not young, and the store has nothing under this number."""
    return flags & (_KNOWN | _YOUNG | _SEEN | _OTHER) == _KNOWN


def _runs(places: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of the runs of *places*, which are sorted."""
    run: tuple[int, int] | None = None
    for place in places:
        if run is not None and place == run[1] + 1:
            run = (run[0], place)
            continue
        if run is not None:
            yield run
        run = (place, place)
    if run is not None:
        yield run
