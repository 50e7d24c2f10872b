"""Retention as every store offers it: what is kept for how long, what would go, let it go, keep what is held."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from ..config import Config
from ..model import names
from ..model.event import Param
from ..model.lifetime import Fate, Hold, Plan, Unit, cutoff
from .errors import StoreError
from .recorder import Recorder, recording
from .store import SCHEMES, Address

__all__ = ("OWN", "Applied", "Database", "Holding", "Retained", "Standing", "Wish", "open_holding", "open_retained")

OWN: Final = "authaudit"
"""The folder of journals in which it is told what was done to a store that is no journal."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How long records are to be kept."""

    lifetime: int | None
    """Days; None is infinity."""
    explicit: bool = False
    """Somebody asked for just this now; else it is what the option log_lifetime says."""

    def __str__(self) -> str:
        return "for ever" if self.lifetime is None else f"{self.lifetime} day{'s' if self.lifetime != 1 else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a store stands at a moment."""

    place: str
    """Never with a password."""
    kind: str
    """For people: `journal`, `collector's files`, `PostgreSQL` ..."""
    lifetime: int | None
    """In force, in days; None is infinity."""
    oldest: int | None = None
    """Time of the oldest record (nanoseconds since the epoch); None where there is none, or it is not known."""
    newest: int | None = None
    size: int | None = None
    """Bytes; None: not known."""
    plan: Plan = field(default_factory=lambda: Plan(()))
    """What the next application does with every unit."""
    holds: tuple[Hold, ...] = ()
    """In force."""
    notes: tuple[str, ...] = ()
    """What else the operator should know."""

    def waiting(self, now: int) -> list[Unit]:
        """Units that are over at *now*, and needed all the same; see `Unit.needed`."""
        limit = cutoff(self.lifetime, now)
        needed = (decision.unit for decision in self.plan.decisions if decision.fate is Fate.NEEDED)
        return [unit for unit in needed if limit is not None and unit.newest is not None and unit.newest < limit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an application did."""

    place: str
    deleted: tuple[str, ...] = ()
    """Units."""
    changed: str = ""
    """What it changed beside that, for people: the store's own rule."""
    failure: str = ""
    """Why it did not do all of it."""


class Retained(ABC):
    """A store whose retention can be looked at and applied. *now* is nanoseconds since the epoch. Methods raise StoreError."""

    waits_to_be_asked = False
    """It deletes nothing by itself, so whoever writes into it applies its rule."""

    @abstractmethod
    def __str__(self) -> str:
        """Where it is, for people; never with a password."""

    @abstractmethod
    def standing(self, now: int) -> Standing:
        """How it stands. Changes nothing."""

    @abstractmethod
    def apply(self, now: int, *, archive_in: Path | None = None) -> Applied:
        """Delete what is over, or see to it that the store does. What is deleted by us is archived before, told before."""


class Database(Retained):
    """A store elsewhere: what is done to it is recorded in a journal of this machine."""

    def __init__(self, address: Address, config: Config, wish: Wish) -> None:
        self.address, self.config, self.wish = address, config, wish

    def __str__(self) -> str:
        return str(self.address)

    @contextmanager
    def recorder(self, now: int) -> Iterator[Recorder]:
        """Records what is about to be done; see `tell`."""
        with recording(self.config.journal_dir / OWN, self.config, self.config.log_lifetime, now) as recorder:
            yield recorder

    def tell_lifetime(self, recorder: Recorder, lifetime: int | None) -> None:
        """Record that the store is told another lifetime. StoreError."""
        days = "infinity" if lifetime is None else str(lifetime)
        self._kept(recorder.change("change_audit_config", resource=str(self), params={"log_lifetime": Param(days)}))

    def tell_expired(self, recorder: Recorder, now: int, lifetime: int | None, count: int) -> None:
        """Record that *count* records are deleted. StoreError."""
        limit = cutoff(lifetime, now)
        facts = {names.RESOURCE: str(self), names.EXPIRED_CAUSE: "log_lifetime", names.EXPIRED_COUNT: str(count)}
        before = (
            {} if limit is None else {names.EXPIRED_BEFORE: f"{datetime.fromtimestamp(limit // 10**9, timezone.utc):%Y-%m-%d}"}
        )
        self._kept(recorder.report("audit.records_expired", {**facts, **before}))

    def _kept(self, kept: bool) -> None:  # noqa: FBT001 -- whatever told it says so
        if not kept:
            raise StoreError(
                f"it cannot be recorded in {self.config.journal_dir / OWN}, so it is not done: run this as its owner"
            )


@runtime_checkable
class Holding(Protocol):
    """Where legal holds are written down. Methods raise StoreError."""

    def holds(self) -> list[Hold]:
        """Every hold that was set here and not released, ended ones too."""

    def hold(self, hold: Hold) -> None:
        """Keep the records that *hold* concerns."""

    def release(self, hold: Hold) -> None:
        """Keep them no longer."""


def open_retained(url: str, config: Config, wish: Wish) -> Retained:
    """The retention of the store at *url*; it connects to nothing before it is asked. StoreError."""
    address = Address.parse(url)
    if address.scheme not in SCHEMES:
        raise StoreError(f"{address.scheme}:// is no store; there are {', '.join(sorted(SCHEMES))}, and paths")
    module = import_module(f".{SCHEMES[address.scheme]}.retention", __package__)
    found: Retained = module.retained(address, config, wish)
    return found


def open_holding(url: str, config: Config) -> Holding:
    """Where the holds on the store at *url* are written down. StoreError, also for a store that knows none."""
    found = open_retained(url, config, Wish(None))
    if not isinstance(found, Holding):
        says = "deletes by age alone and knows no holds: hold the records in PostgreSQL, or in the files of the collector"
        raise StoreError(f"{found} {says}")
    return found
