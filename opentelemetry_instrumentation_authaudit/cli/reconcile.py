"""Does a store hold everything that it should? Compares it with journals, or with what a collector has written; repairs it."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from ..config import Config, ConfigError, load
from ..model import names
from ..model.event import Status
from ..query.comparison import Comparison, Difference, Gap
from ..query.filters import Filters
from ..query.reader import Record, Unreadable
from ..query.times import moment
from ..stores.files import FileStore
from ..stores.store import Merged, Store
from .main import BAD_ANSWER, CliError
from .mending import deliver_own, mend
from .places import tell_unreadable
from .progress import Progress
from .ship_to import open_target
from .stores import open_stores
from .telling import Telling

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = """\
examples:
  authaudit reconcile --store postgresql://reader@db/audit                 does it have everything in this host's journals?
  authaudit reconcile --store victorialogs://host:9428 --against /var/lib/authaudit/audit.jsonl --since 24h
  authaudit reconcile --store victorialogs://host:9428 --repair            and what it lacks is shipped again, and looked for again
  authaudit reconcile --store postgresql://reader@db/audit --repair --writer postgresql://writer@db/audit

No acknowledgement is trusted: each record of the journals, or of the places that --against names, is looked for in the store by its
stream, its number and the hash of its content, id included. Gaps: missing, different (another content under the number), unknown (the
store has it, the sources lack it though they have the records around), disputed (the sources contradict each other). No gaps: doubled
(what sending again leaves; queries count it once), expired and elsewhere (what the sources do not have any more, or never had: other
hosts'), own (what this command recorded before, and nobody has delivered). Only missing records can be repaired; what differs is for
`authaudit verify`.

It is safe while applications write. Records younger than --grace seconds are not missed, and records older than the lifetime
(log_lifetime, --lifetime) are not looked for: the store may have let them go. After a repair the store is asked again until it shows
what it accepted, for at most --wait seconds; VictoriaLogs shows it after a second or so, and can lose it when it is killed within the
next ones, so there it is looked for once more after --settle seconds.

Each run is recorded: event audit.reconciled, in a stream of this command; --repair brings that stream into the store, too.
Exit codes: 0 nothing is missing, 1 there are gaps, or a repair has left some, 2 used wrongly, 3 could not finish.
"""

_EVENT: Final = "audit.reconciled"
_GRACE: Final = 60.0
_WAIT: Final = 60.0
_LISTED: Final = 1000
"""Ids of missing records that are told; all are counted."""
_NS: Final = 1_000_000_000


@dataclass(slots=True)
class _Lacking:
    """Records of the sources that the store lacks."""

    ids: dict[tuple[str, int], str] = field(default_factory=dict)
    """The first of them, by stream and number."""
    first: int = 0
    """Time of the earliest and of the latest, nanoseconds since the epoch."""
    last: int = 0


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument(
        "--store", required=True, metavar="STORE", help="postgresql://reader@db/audit, victorialogs://host:9428 ..., or a path"
    )
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="PLACE",
        help="a journal folder, a collector's file or folder, or another store; several (the journals of all default places)",
    )
    parser.add_argument("--since", metavar="TIME", help="compare from this time on")
    parser.add_argument("--until", metavar="TIME", help="up to this time; a date means its end")
    parser.add_argument("--lifetime", metavar="DAYS", help="days after which the store may have let records go (log_lifetime)")
    parser.add_argument("--repair", action="store_true", help="ship what is missing")
    parser.add_argument("--writer", metavar="STORE", help="the same store for --repair, where who may read may not write")
    seconds: dict[str, Any] = {"type": float, "metavar": "SECONDS"}
    parser.add_argument("--grace", default=_GRACE, help="younger records may still be on their way (60)", **seconds)
    parser.add_argument(
        "--wait", default=_WAIT, help="for the store to show what it accepted, and to be there again (60)", **seconds
    )
    parser.add_argument("--settle", help="after which to look once more (0; VictoriaLogs 15)", **seconds)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="for people, or one object a line")


def run(options: argparse.Namespace) -> int:
    """Compare, repair, tell."""
    config, unreadable = _config(options.lifetime), Unreadable()
    store = _store(options.store, config, unreadable)
    sources = open_stores(options.against, config, unreadable)
    if not any(one.files if isinstance(one, FileStore) else True for one in sources.stores):
        raise CliError("there is nothing to compare with; --against names a journal folder, a collector's file, or another store")
    try:
        with Telling(config, _EVENT) as telling:
            one = _Run(options, telling.stream, config, store, sources, unreadable)
            try:
                code = one()
            finally:
                telling.tell(one.status, str(store), one.facts)
        if options.repair:
            deliver_own(telling, _writer(options, store))
    finally:
        store.close()
        sources.close()
    return tell_unreadable(unreadable) or code


@dataclass(slots=True)
class _Run:
    """One comparison."""

    options: argparse.Namespace
    stream: str
    """Its own."""
    config: Config
    store: Store
    sources: Merged
    unreadable: Unreadable
    status: Status = Status.FAILURE
    """What is to be recorded of it, also where it cannot be finished."""
    facts: dict[str, str] = field(default_factory=dict)

    def __call__(self) -> int:
        filters = _filters(self.options, self.config)
        comparison = Comparison(settled=time.time_ns() - int(self.options.grace * _NS), without=self.stream)
        _each(self.sources.stores, filters, "reading what there should be", comparison.expect)
        _each([self.store], filters, "reading the store", comparison.find)
        missing = comparison.missing()
        lacking = _lacking(self.sources, filters, comparison) if missing else _Lacking()
        differences = list(comparison.differences())
        for line in _lines(differences, lacking, self.options.format):
            print(line)
        try:
            if self.options.repair and missing:
                self._mend(comparison, lacking, filters)
        finally:
            told = _counts(comparison, differences, missing, missing - comparison.missing())
            self.facts.update((name, str(count)) for name, count in told.items())
        left = sum(difference.count for difference in comparison.differences() if difference.gap is Gap.MISSING)
        print(_summary(comparison, told, left, self.options))
        faults = left > 0 or any(found.gap.fault for found in differences if found.gap is not Gap.MISSING)
        self.status = Status.FAILURE if faults else Status.SUCCESS
        return BAD_ANSWER if faults else 0

    def _mend(self, comparison: Comparison, lacking: _Lacking, filters: Filters) -> None:
        span = replace(filters, since=lacking.first, until=lacking.last)
        # Not `records`, which would remember every id: each is taken once anyway.
        records = (record for record in self.sources.copies(span) if comparison.take(record))
        mend(
            comparison,
            records,
            store=self.store,
            writer=_writer(self.options, self.store),
            span=span,
            unreadable=self.unreadable,
            options=self.options,
        )


def _config(lifetime: str | None) -> Config:
    try:
        return load(exporter="auto") if lifetime is None else load(raises=True, exporter="auto", log_lifetime=lifetime)
    except ConfigError as error:
        raise CliError(str(error)) from None


def _store(place: str, config: Config, unreadable: Unreadable) -> Store:
    (store,) = open_stores([place], config, unreadable).stores
    return store


def _writer(options: argparse.Namespace, store: Store) -> Store:
    return store if options.writer is None else open_target(options.writer)


def _filters(options: argparse.Namespace, config: Config) -> Filters:
    """What is compared: from the first whole day within the lifetime on. Raises CliError."""
    begin = 0
    if config.log_lifetime is not None:
        day = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        begin = int((day - timedelta(days=config.log_lifetime - 1)).timestamp()) * _NS
    try:
        since = moment(options.since) if options.since else 0
        until = moment(options.until, end=True) if options.until else None
    except ValueError as error:
        raise CliError(str(error)) from None
    return Filters(since=max(begin, since), until=until)


def _each(stores: Iterable[Store], filters: Filters, what: str, take: Callable[[Record], None]) -> None:
    """Hand every copy in *stores* to *take*."""
    progress = Progress(what, sum(store.size() for store in stores))
    for store in stores:
        for record in store.copies(filters, progress):
            take(record)
        while isinstance(store, FileStore) and (newcomers := store.newcomers()):
            for record in FileStore(store.places, newcomers, store.unreadable).copies(filters, progress):
                take(record)
    progress.finish()


def _lacking(sources: Merged, filters: Filters, comparison: Comparison) -> _Lacking:
    lacking = _Lacking()

    def look(record: Record) -> None:
        if comparison.lacks(record):
            lacking.first = min(lacking.first or record.time, record.time)
            lacking.last = max(lacking.last, record.time)
            if len(lacking.ids) < _LISTED:
                lacking.ids.setdefault((record.attributes[names.STREAM_ID], record.number), record.id)

    _each(sources.stores, filters, "looking up what is missing", look)
    return lacking


def _counts(comparison: Comparison, differences: list[Difference], missing: int, repaired: int) -> dict[str, int]:
    def of(gap: Gap) -> int:
        return sum(difference.count for difference in differences if difference.gap is gap)

    return {
        names.RECONCILED_RECORDS: comparison.expected,
        names.RECONCILED_MISSING: missing,
        names.RECONCILED_REPAIRED: repaired,
        names.RECONCILED_DIFFERENT: of(Gap.DIFFERENT) + of(Gap.DISPUTED),
        names.RECONCILED_UNKNOWN: of(Gap.UNKNOWN),
    }


def _lines(differences: list[Difference], lacking: _Lacking, form: str) -> Iterator[str]:
    for difference in sorted(differences, key=lambda found: not found.gap.fault):
        ids = _ids(difference, lacking)
        if form == "json":
            fields = {"gap": difference.gap.value, "fault": difference.gap.fault, "stream": difference.stream}
            span = {"first": difference.first, "last": difference.last, "count": difference.count}
            print_ids = {"ids": ids} if ids else {}
            yield json.dumps({**fields, **span, **print_ids, **({"where": difference.where} if difference.where else {})})
        else:
            yield _text(difference, ids)


def _text(difference: Difference, ids: list[str]) -> str:
    one = difference.first == difference.last
    which = f"record {difference.first}" if one else f"records {difference.first} to {difference.last} ({difference.count})"
    which = f"{difference.count} records" if difference.gap is Gap.ELSEWHERE else which
    head = f"{'GAP' if difference.gap.fault else 'note'} {difference.gap.value}: stream {difference.stream}, {which}"
    named = ids[0] if len(ids) == 1 else f"ids {ids[0]} to {ids[-1]}" if ids else ""
    return ", ".join(filter(None, (head, named, difference.where)))


def _ids(difference: Difference, lacking: _Lacking) -> list[str]:
    if difference.id:
        return [difference.id]
    if difference.gap not in {Gap.MISSING, Gap.OWN}:
        return []
    places = ((difference.stream, number) for number in range(difference.first, difference.last + 1))
    return [lacking.ids[place] for place in places if place in lacking.ids]


def _summary(comparison: Comparison, told: dict[str, int], left: int, options: argparse.Namespace) -> str:
    if options.format == "json":
        counts = {name.rpartition(".")[2]: count for name, count in told.items()}
        more = {"left": left, "young": comparison.young, "streams": comparison.streams, "unplaced": comparison.unplaced}
        return json.dumps({"store_copies": comparison.found, **counts, **more})
    young = f", {comparison.young} younger than {options.grace:g} s not looked for" if comparison.young else ""
    head = f"{comparison.expected} records in {comparison.streams} streams{young}; {comparison.found} copies in the store"
    if options.repair and told[names.RECONCILED_MISSING]:
        return f"{head}; {told[names.RECONCILED_MISSING]} were missing, {told[names.RECONCILED_REPAIRED]} repaired, {left} left"
    return f"{head}; {left} missing"
