"""Is a stream whole? It is followed from record to record, each naming the hash of the one before it.

Records may come in any order, several times and from several places (journals, a collector's files, exports): a copy that is the same
is no finding. What is kept in memory of a record that has its place is 32 bytes.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from ..journal.canonical import GENESIS
from .expiry import Expiry
from .links import SHA256_BYTES, UNKNOWN, Finding, Kind, Link

__all__ = ("StreamCheck", "missing")

_STOP = "audit.stop"


class Run:
    """Records that follow each other without a gap."""

    __slots__ = ("breaks", "digests", "first", "last")

    def __init__(self, link: Link) -> None:
        self.first = self.last = link
        self.digests = bytearray(link.digest)
        self.breaks: list[tuple[Link, Link]] = []
        """A record, and the next one, which names another content."""

    def append(self, link: Link) -> None:
        """Take the record behind the last."""
        self._join(link)
        self.digests += link.digest
        self.last = link

    def absorb(self, other: Run) -> None:
        """Take the run behind this one."""
        self._join(other.first)
        self.digests += other.digests
        self.breaks += other.breaks
        self.last = other.last

    def digest_at(self, number: int) -> bytes:
        """The digest of the record of that number, which is in here."""
        at = (number - self.first.number) * SHA256_BYTES
        return bytes(self.digests[at : at + SHA256_BYTES])

    def _join(self, link: Link) -> None:
        if link.previous_hash != self.last.digest.hex():
            self.breaks.append((self.last, link))


@dataclass(slots=True)
class StreamCheck:
    """Follows one stream: `feed` it every record, then ask for `findings`."""

    stream: str
    records: int = 0
    """Different ones."""
    duplicates: int = 0
    """Copies that are the same."""
    seals: list[Link] = field(default_factory=list)
    """Its checkpoints, and its end."""
    losses: list[Link] = field(default_factory=list)
    """What it says itself that it lost."""
    _runs: dict[int, Run] = field(default_factory=dict)
    """By the number of their first record."""
    _starts: list[int] = field(default_factory=list)
    """Those numbers, sorted."""
    _rivals: dict[int, list[Link]] = field(default_factory=dict)
    """By number: others than the record that was taken."""

    @property
    def first(self) -> Link:
        """The first record that is here."""
        return self._runs[self._starts[0]].first

    @property
    def last(self) -> Link:
        """The last record that is here."""
        return self._runs[self._starts[-1]].last

    def digest_at(self, number: int) -> str:
        """Hex digest of the record of that *number*, empty if it is not here."""
        run = self._run_before(number)
        return run.digest_at(number).hex() if run is not None and number <= run.last.number else ""

    def feed(self, link: Link) -> None:
        """Take a record, in whatever order they come."""
        run = self._run_before(link.number)
        if run is not None and link.number <= run.last.number:
            self._again(link, run)
            return
        if run is not None and link.number == run.last.number + 1:
            run.append(link)
        else:
            run = self._runs[link.number] = Run(link)
            insort(self._starts, link.number)
        if (behind := self._runs.pop(link.number + 1, None)) is not None:
            self._starts.remove(link.number + 1)
            run.absorb(behind)
        self.records += 1
        if link.seal is not None:
            self.seals.append(link)
        if link.lost:
            self.losses.append(link)

    def findings(self, refused: Collection[int], expiry: Expiry) -> Iterator[Finding]:
        """What is wrong with the chain, and what cannot be known about it; what is missing before `first` is not looked at.

        *refused* are the numbers of records that the receiver did not take, as the evidence itself says.
        """
        runs = [self._runs[start] for start in self._starts]
        for run in runs:
            for link, following in run.breaks:
                yield self._broken(link, following)
        for run, behind in pairwise(runs):
            yield missing(run.last.number + 1, run.last, behind.first, expiry, refused)
        for number in sorted(self._rivals):
            for rival in self._rivals[number]:
                yield _found(Kind.INSERTED, rival, f"there is another record with the number {number}; one at most can be true")
        yield from self._ends()
        for link in self.losses:
            yield _found(
                Kind.LOST, link, f"the process could not keep {link.lost} record{'s' if link.lost != 1 else ''}, and says so"
            )

    def _run_before(self, number: int) -> Run | None:
        at = bisect_right(self._starts, number)
        return self._runs[self._starts[at - 1]] if at else None

    def _again(self, link: Link, run: Run) -> None:
        if link.digest == run.digest_at(link.number) != UNKNOWN:
            self.duplicates += 1
            return
        known = self._rivals.setdefault(link.number, [])
        if all(other.digest != link.digest for other in known):
            known.append(link)

    def _broken(self, link: Link, following: Link) -> Finding:
        rivals = self._rivals.get(link.number, [])
        true = next((rival for rival in rivals if rival.digest.hex() == following.previous_hash), None)
        if true is None:
            says = f"its content is not what record {following.number} ({following.id}, {following.file}) was chained to"
            return _found(Kind.MODIFIED, link, says)
        rivals.remove(true)
        return _found(Kind.INSERTED, link, f"the record of this number that the chain goes on from is {true.id}, {true.file}")

    def _ends(self) -> Iterator[Finding]:
        first, last = self.first, self.last
        if first.number == 1 and first.previous_hash != GENESIS:
            yield _found(Kind.MODIFIED, first, "the first record of a stream follows nothing, and this one names a predecessor")
        for stop in (seal for seal in self.seals if seal.event == _STOP):
            if stop.number != last.number:
                yield _found(Kind.INSERTED, last, f"the stream ended with record {stop.number}, so nothing can come behind it")
            if stop.end != stop.number:
                yield _found(
                    Kind.MODIFIED, stop, f"it says that the stream ends with record {stop.end}, and is number {stop.number}"
                )
        if last.event != _STOP:
            says = "there is no audit.stop: its process lives, was killed, or the end was cut off"
            yield _found(Kind.OPEN, last, f"the last record here is number {last.number}, and {says}")


def missing(number: int, before: Link | None, behind: Link, expiry: Expiry, refused: Collection[int] = ()) -> Finding:
    """The finding for what is missing from *number* on, up to *behind*; *before*: the record before it, None at the beginning.

    Retention deletes whole files: what is missing within one was not deleted by it, whatever its age. A database, which has no
    lines, deletes rows.
    """
    last = behind.number - 1
    if sum(number <= other <= last for other in refused) == last - number + 1:
        says = f"{_which(number, last)} missing: the receiver refused what is not here, and the evidence says so"
        return _found(Kind.REFUSED, behind, says)
    told = expiry.told_from(behind)
    if told is not None and told <= number:
        return _found(Kind.EXPIRED, behind, f"{_which(number, last)} gone: retention deleted them, and the evidence says so")
    if expiry.over(behind) and (before is None or not _in_one_file(before, behind)):
        says = f"{_which(number, last)} gone: older than the lifetime of {expiry.lifetime} days"
        return _found(Kind.EXPIRED, behind, says)
    says = _which(number, last if told is None else told - 1)
    return _found(
        Kind.DELETED, behind, f"the beginning is missing: {says.rpartition(' ')[0]}" if before is None else f"{says} missing"
    )


def _which(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"


def _in_one_file(link: Link, other: Link) -> bool:
    (file, colon, _), (others, _, _) = link.file.rpartition(":"), other.file.rpartition(":")
    return bool(colon) and file == others


def _found(kind: Kind, link: Link, says: str) -> Finding:
    return Finding(kind, link.stream, says, link.number, link.id, link.file)
