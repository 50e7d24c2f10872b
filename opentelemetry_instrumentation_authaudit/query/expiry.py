"""What may honestly be gone: what the evidence says that retention deleted, and what is older than the lifetime."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from ..model import names
from .links import Link, number
from .reader import Record

__all__ = ("Expiry", "day_of")


@dataclass(slots=True)
class Expiry:
    """`hear` every record, then ask."""

    lifetime: int | None = None
    """Days after which records may be gone; None: never."""
    newest: int = 0
    """Time of the newest record that was heard."""
    _told: dict[str, dict[int, tuple[str, int]]] = field(default_factory=dict)
    """By stream, by the number of the last record of what was deleted: its hash, and the number of the first."""

    def hear(self, record: Record) -> None:
        """Take what *record* says of records that are not here."""
        self.newest = max(self.newest, record.time)
        found = record.attributes
        if record.event == "audit.records_expired" and names.EXPIRED_STREAM in found:
            known = self._told.setdefault(found[names.EXPIRED_STREAM], {})
            last, first = number(found.get(names.EXPIRED_NUMBER)), number(found.get(names.EXPIRED_FIRST)) or 1
            known[last] = (found.get(names.EXPIRED_HASH, ""), min(first, known[last][1] if last in known else first))

    @property
    def oldest_day(self) -> str:
        """The day from which on everything must be here; empty if nothing may be gone."""
        if self.lifetime is None or not self.newest:
            return ""
        return (
            (datetime.fromtimestamp(self.newest // 1_000_000_000, timezone.utc) - timedelta(days=self.lifetime))
            .date()
            .isoformat()
        )

    def told_from(self, behind: Link) -> int | None:
        """From which number on the evidence accounts for all that is missing directly before *behind*; None: for nothing.

        What is told may reach further than what is missing: copies of records may be in other files.
        """
        hashed, _ = self._told.get(behind.stream, {}).get(behind.number - 1, (behind.previous_hash, 0))
        first = self._told_with(behind.stream, behind.number - 1) if hashed == behind.previous_hash else None
        while first is not None and (before := self._told_with(behind.stream, first - 1)) is not None:
            first = before
        return first

    def _told_with(self, stream: str, number: int) -> int | None:
        """The first of what was deleted one after the other together with record *number*; None if that was not deleted."""
        known = self._told.get(stream, {}).items()
        return min((first for last, (_, first) in known if first <= number <= last), default=None)

    def tells(self, stream: str, last: int, head: str = "") -> bool:
        """Whether the evidence says that record *last* was deleted; with *head*, as the last one of those, and by its hash."""
        known = self._told.get(stream, {})
        return known.get(last, ("", 0))[0] == head if head else self._told_with(stream, last) is not None

    def over(self, link: Link) -> bool:
        """Whether what came before *link* may be gone by its age."""
        return day_of(link.time) <= self.oldest_day


def day_of(time: int) -> str:
    """The UTC date of *time* (nanoseconds since the epoch), `YYYY-MM-DD`."""
    return datetime.fromtimestamp(time // 1_000_000_000, timezone.utc).date().isoformat()
