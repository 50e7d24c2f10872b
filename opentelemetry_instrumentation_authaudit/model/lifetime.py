"""How long records are kept: the one rule, for every store. Nothing here touches a file or a clock.

A store keeps its records in *units* that come and go as a whole: a file, a partition. A unit's time is over when its newest record's
UTC day lies more than the lifetime's days before today's. So no record goes before its time, each goes within a day of it, and the
answer is the same from midnight to midnight, whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ("DAY", "Decision", "Fate", "Hold", "Plan", "Unit", "cutoff", "plan")

DAY: Final = 86_400 * 1_000_000_000
"""Nanoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A legal hold: records of a subject, or of a tenant, are kept whatever their age until it is released."""

    id: str
    subject: str | None = None
    tenant: str | None = None
    """One of the two."""
    since: int = 0
    """When it was set, nanoseconds since the epoch."""
    until: int | None = None
    """It ends by itself at this moment; None: when it is released."""
    reason: str = ""
    by: str = ""
    """Who set it."""

    def active(self, now: int) -> bool:
        """Whether it holds at *now*."""
        return self.until is None or now < self.until

    def __str__(self) -> str:
        return f"{self.id} ({f'subject {self.subject}' if self.subject is not None else f'tenant {self.tenant}'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is kept or deleted as a whole."""

    name: str
    newest: int | None
    """Time of its newest record, nanoseconds since the epoch; None: not known, so it is kept."""
    oldest: int | None = None
    size: int = 0
    """Bytes."""
    needed: str = ""
    """Why it must stay whatever its age: it is being written, it waits for delivery. Empty: it need not."""


class Fate(Enum):
    """What becomes of a unit, and why."""

    LIFETIME = "its lifetime is over"
    ROOM = "room is needed"
    YOUNG = "within its lifetime"
    FOREVER = "records are kept for ever"
    NEEDED = "needed"
    HELD = "under legal hold"
    UNKNOWN = "its age is not known"

    @property
    def goes(self) -> bool:
        """Whether the unit is deleted."""
        return self in {Fate.LIFETIME, Fate.ROOM}


@dataclass(frozen=True, slots=True)
class Decision:
    """A unit and what becomes of it."""

    unit: Unit
    fate: Fate
    holds: tuple[Hold, ...] = ()
    """Those that keep it."""

    @property
    def why(self) -> str:
        """For people."""
        if self.fate is Fate.NEEDED:
            return self.unit.needed
        return f"{self.fate.value} {', '.join(map(str, self.holds))}".rstrip()


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of every unit, in the order in which they were given."""

    decisions: tuple[Decision, ...]

    @property
    def going(self) -> list[Unit]:
        """What is to be deleted, oldest first."""
        return sorted((found.unit for found in self.decisions if found.fate.goes), key=_age)

    def of(self, name: str) -> Decision:
        """The decision on the unit of that name; KeyError if there is none."""
        try:
            return next(found for found in self.decisions if found.unit.name == name)
        except StopIteration:
            raise KeyError(name) from None


def cutoff(lifetime: int | None, now: int) -> int | None:
    """The moment (nanoseconds since the epoch) from which on records are kept; None: all are.

    *lifetime* in days, None is infinity.
    """
    return None if lifetime is None else now // DAY * DAY - lifetime * DAY


def plan(
    units: Iterable[Unit],
    *,
    lifetime: int | None,
    now: int,
    excess: int = 0,
    holds: Callable[[Unit], Collection[Hold]] = lambda _unit: (),
) -> Plan:
    """What becomes of *units* at *now* (nanoseconds since the epoch).

    *lifetime* in days, None keeps everything; *excess*: so many bytes must go, oldest units first, whatever their age. *holds* says
    which holds concern records of a unit; it is asked only about units that would go, and what is held stays.
    """
    limit = cutoff(lifetime, now)
    given = list(units)
    decided: dict[int, Decision] = {}
    for place, unit in sorted(enumerate(given), key=lambda item: _age(item[1])):
        decision = Decision(unit, _fate(unit, limit, room=excess > 0))
        if decision.fate.goes and (held := tuple(holds(unit))):
            decision = Decision(unit, Fate.HELD, held)
        if decision.fate.goes:
            excess -= unit.size
        decided[place] = decision
    return Plan(tuple(decided[place] for place in range(len(given))))


def _fate(unit: Unit, limit: int | None, *, room: bool) -> Fate:
    if unit.needed:
        return Fate.NEEDED
    if unit.newest is None:
        return Fate.UNKNOWN
    if limit is not None and unit.newest < limit:
        return Fate.LIFETIME
    if room:
        return Fate.ROOM
    return Fate.FOREVER if limit is None else Fate.YOUNG


def _age(unit: Unit) -> int:
    return unit.newest if unit.newest is not None else 1 << 63
