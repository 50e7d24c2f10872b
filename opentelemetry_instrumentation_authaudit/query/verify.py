"""Is the evidence whole? All streams of a store together: chains, signatures, what deliveries and registries remember."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Final

from ..journal import cursor
from ..journal.names import JournalFile, cursor_path
from ..journal.signing import SigningKey
from ..model import names
from .chain import StreamCheck, missing
from .expiry import Expiry
from .links import Finding, Kind, Link, link_of, number
from .reader import Record, journal_of
from .registry import Registry

__all__ = ("CANNOT_BE_SEEN", "Keys", "Verification")

CANNOT_BE_SEEN: Final = (
    "a stream that was deleted as a whole before any registry (`authaudit digest`) named it",
    "an end cut off, or a change to the last record of a stream, before anything remembered it: a later record, a delivery, a registry",
    "a stream invented as a whole, or a chain made anew from its beginning, where checkpoints are not signed or --key is not given",
    "what whoever held the key of a running process changed in the stream of that process, since its start",
    "what the application did not tell, or told wrongly, before the record was made",
)
"""Said plainly in every report."""
_MAX_GENERATION: Final = 1_000_000


class Keys:
    """The first keys that a verifier kept offline; every generation follows from them."""

    def __init__(self, texts: Iterable[str]) -> None:
        """*texts*: what stood in each key file at first. ValueError for an empty one."""
        self._newest: dict[str, SigningKey] = {}
        self._known: dict[tuple[str, int], SigningKey] = {}
        for text in texts:
            key = SigningKey.parse(text)
            self._newest[key.id] = self._known[key.id, key.generation] = key

    def __bool__(self) -> bool:
        return bool(self._newest)

    def named(self, name: str) -> SigningKey | None:
        """The key that a checkpoint names (`<id>.<generation>`); None if it does not follow from a first key that is here."""
        key_id, _, text = name.partition(".")
        if key_id not in self._newest or not text.isdecimal() or len(text) > len(str(_MAX_GENERATION)):
            return None
        generation = int(text)
        while self._newest[key_id].generation < min(generation, _MAX_GENERATION):
            key = self._newest[key_id].next()
            self._newest[key_id] = self._known[key_id, key.generation] = key
        return self._known.get((key_id, generation))


@dataclass(slots=True)
class Verification:
    """`feed` it every record of a store, then ask for `findings`."""

    keys: Keys
    lifetime: InitVar[int | None] = None
    """Days after which records may be gone; None: never."""
    registry: Registry | None = None
    streams: dict[str, StreamCheck] = field(default_factory=dict)
    sealed: int = 0
    """Signatures that were checked and fit."""
    _first: list[Finding] = field(default_factory=list)
    _places: dict[Path, int] = field(default_factory=dict)
    """How far each journal file was read: number of its last record."""
    _expiry: Expiry = field(default_factory=Expiry)
    _refused: dict[str, set[int]] = field(default_factory=dict)
    """By stream: numbers of records that a receiver refused, as the evidence says."""

    def __post_init__(self, lifetime: int | None) -> None:
        """A dataclass's own."""
        self._expiry.lifetime = lifetime

    @property
    def records(self) -> int:
        """Different records."""
        return sum(check.records for check in self.streams.values())

    @property
    def duplicates(self) -> int:
        """Copies that are the same."""
        return sum(check.duplicates for check in self.streams.values())

    def feed(self, record: Record, path: Path | None) -> None:
        """Take *record*, found in the file *path*, or in no file."""
        link = link_of(record, record.file)
        if not link.stream or link.number < 1:
            self._first.append(_of(Kind.INSERTED, link, "a record without a place in any stream: nothing of ours writes such"))
            return
        journal = journal_of(path) if path is not None else None
        if path is not None and journal is not None:
            self._in_its_place(link, journal, path)
        self._expiry.hear(record)
        if record.event == "audit.records_refused":
            refused = self._refused.setdefault(record.attributes.get(names.REFUSED_STREAM, ""), set())
            refused.add(number(record.attributes.get(names.REFUSED_NUMBER)))
        self.streams.setdefault(link.stream, StreamCheck(link.stream)).feed(link)

    def findings(self) -> Iterator[Finding]:
        """Everything that was found: faults and notes."""
        yield from self._first
        for _, check in sorted(self.streams.items()):
            yield from check.findings(self._refused.get(check.stream, ()), self._expiry)
            yield from self._beginning(check)
            yield from self._signatures(check)
        yield from self._remembered_by_cursors()
        if self.registry is not None:
            yield from self.registry.compare(self.streams, self.keys, self._expiry)

    def _in_its_place(self, link: Link, journal: JournalFile, path: Path) -> None:
        before = self._places.get(path, 0)
        if link.stream != journal.stream:
            self._first.append(_of(Kind.INSERTED, link, f"it stands in the file of another stream, {journal.stream}"))
        elif link.number <= before:
            self._first.append(_of(Kind.REORDERED, link, f"it stands behind record {before}, and a journal is only appended to"))
        self._places[path] = max(before, link.number)

    def _beginning(self, check: StreamCheck) -> Iterator[Finding]:
        first = check.first
        if first.number > 1:
            yield missing(1, None, first, self._expiry)

    def _signatures(self, check: StreamCheck) -> Iterator[Finding]:
        covered = 0
        for seal in sorted(check.seals, key=lambda link: link.number):
            verdict = self._verdict(seal)
            if verdict is True:
                covered = max(covered, seal.number)
                self.sealed += 1
            elif verdict is False:
                says = "its signature does not fit: the chain before it was made anew without the key, or it was changed"
                yield _of(Kind.FORGED, seal, says)
        if self.keys and covered < check.last.number:
            which = f"records {covered + 1} to {check.last.number} are covered by no signature"
            yield _of(Kind.UNSIGNED, check.last, f"{which}: no checkpoint behind them is signed by a key that follows from --key")

    def _verdict(self, link: Link) -> bool | None:
        """Whether the signature of a checkpoint fits; None if there is none, or no key to check it."""
        seal = link.seal
        key = self.keys.named(seal.key_id) if seal is not None and seal.value else None
        if seal is None or key is None:
            return None
        wanted = key.sign(link.stream, link.number, link.previous_hash, seal.dropped)
        return hmac.compare_digest(wanted.encode(), seal.value.encode())

    def _remembered_by_cursors(self) -> Iterator[Finding]:
        """What deliveries acknowledged must still be here, and be the same."""
        streams = {(path.parent, journal.stream) for path in self._places if (journal := journal_of(path))}
        for folder, stream in sorted(streams):
            place = cursor_path(folder, stream)
            position = cursor.load(place) if place.exists() else None
            check = self.streams.get(stream)
            if position is None or check is None or not position.number:
                continue
            if position.number > check.last.number:
                says = (
                    f"record {position.number} was delivered ({place.name} says so), and the last one here is {check.last.number}"
                )
                reached = JournalFile.parse(position.file)
                over = reached is not None and reached.day < self._expiry.oldest_day
                gone = over or self._expiry.tells(stream, position.number)
                yield _of(Kind.EXPIRED if gone else Kind.TRUNCATED, check.last, says)
            elif check.digest_at(position.number) not in {"", position.hash}:
                says = f"record {position.number} is not the one that was delivered ({place.name})"
                yield Finding(Kind.MODIFIED, stream, says, position.number, "", place.name)


def _of(kind: Kind, link: Link, says: str) -> Finding:
    return Finding(kind, link.stream, says, link.number, link.id, link.file)
