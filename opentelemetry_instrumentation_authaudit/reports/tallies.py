"""Counts over a trail of any length in bounded memory: how often, by whom, from where, when, and for the first or last time."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ..model import names
from ..model.event import Status
from ..query.reader import Record
from .attempts import SIGN_INS, account_of

__all__ = ("Clients", "LastSeen", "NewClient", "Seen", "Subjects", "Tally", "Timeline")

_MOST_KEYS: Final = 100_000
_MOST_ADDRESSES: Final = 256
HOUR: Final = 3600 * 1_000_000_000
_PRIVATE_BITS: Final = 64
"""Of an IPv6 address: a host changes them by itself (RFC 8981)."""


class Tally:
    """How often each text came. Of more than 100,000 different ones the rarer half is forgotten, and `rounded` says so."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self.rounded = False

    def add(self, text: str, times: int = 1) -> None:
        """Count *text*, unless it is empty."""
        if text:
            self._counts[text] += times
            if len(self._counts) > _MOST_KEYS:
                self._counts = Counter(dict(self._counts.most_common(_MOST_KEYS // 2)))
                self.rounded = True

    def top(self, most: int) -> list[tuple[str, int]]:
        """The most frequent ones, and how often; equals in the order of the alphabet."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:most]


class Timeline:
    """Records and failures by the hour."""

    def __init__(self) -> None:
        self._all: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()

    def add(self, record: Record) -> None:
        """Count it."""
        hour = record.time // HOUR
        self._all[hour] += 1
        if record.attributes.get(names.OUTCOME) == Status.FAILURE.value:
            self._failed[hour] += 1

    def buckets(self, most: int = 60) -> Iterator[tuple[int, int, int, int]]:
        """Begin and end (nanoseconds), records, failures: hours, or days where those would be more than *most*, without a gap."""
        if not self._all:
            return
        first, last = min(self._all), max(self._all)
        step = 1
        for step in (1, 24, 7 * 24, 28 * 24):
            if (last - first) // step < most:
                break
        for begin in range(first - first % step, last + 1, step):
            hours = range(begin, begin + step)
            yield (
                begin * HOUR,
                (begin + step) * HOUR,
                sum(self._all[hour] for hour in hours),
                sum(self._failed[hour] for hour in hours),
            )


class Subjects:
    """Whose account an identity is, as far as any record says."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, str] = OrderedDict()

    def learn(self, record: Record) -> None:
        """Remember what *record* says."""
        subject = record.attributes.get(names.SUBJECT)
        if subject and record.attributes.get(names.IDENTITY):
            account = account_of(record)
            self._known[account] = subject
            self._known.move_to_end(account)
            if len(self._known) > _MOST_KEYS:
                self._known.popitem(last=False)

    def of(self, account: str) -> str:
        """The subject behind *account*; empty if nobody knows."""
        return self._known.get(account, "")


@dataclass(frozen=True, slots=True)
class NewClient:
    """A sign-in from where its subject had never signed in before."""

    record: Record
    subject: str
    address: str
    known: int
    """From how many addresses it had."""


class Clients:
    """From where each subject signed in. The first sign-in of all is not news; memory grows with the subjects."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, None]] = {}

    def feed(self, record: Record) -> NewClient | None:
        """What is new about it, if anything is."""
        found = record.attributes
        if record.event not in SIGN_INS or found.get(names.OUTCOME) != Status.SUCCESS.value:
            return None
        subject, address = found.get(names.SUBJECT, "") or account_of(record), found.get(names.CLIENT_ADDRESS, "")
        if not subject or not address:
            return None
        known = self._known.setdefault(subject, {})
        place, before = _place(address), len(known)
        new = place not in known
        known.pop(place, None)
        known[place] = None
        if len(known) > _MOST_ADDRESSES:
            del known[next(iter(known))]
        return NewClient(record, subject, address, before) if new and before else None


@dataclass(slots=True)
class Seen:
    """An account, and when it was used last."""

    first: int
    last: int
    """Nanoseconds since the epoch."""
    signed_in: bool


@dataclass(slots=True)
class LastSeen:
    """When each subject did something last; what others did to it does not count. Memory grows with the subjects."""

    subjects: dict[str, Seen] = field(default_factory=dict)

    def feed(self, record: Record) -> None:
        """Take the next record."""
        found = record.attributes
        subject = found.get(names.SUBJECT)
        if not subject or found.get(names.ACTOR_ID) or found.get(names.OUTCOME) != Status.SUCCESS.value:
            return
        seen = self.subjects.setdefault(subject, Seen(record.time, record.time, signed_in=False))
        seen.last = max(seen.last, record.time)
        seen.signed_in = seen.signed_in or record.event in SIGN_INS

    def before(self, time: int) -> list[tuple[str, Seen]]:
        """Who was seen last before *time*, longest ago first."""
        return sorted((item for item in self.subjects.items() if item[1].last < time), key=lambda item: (item[1].last, item[0]))


def _place(address: str) -> str:
    """The part of an address that stays the same while its owner does."""
    if ":" not in address or "/" in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address}/{_PRIVATE_BITS}", strict=False))
    except ValueError:  # a hash
        return address
