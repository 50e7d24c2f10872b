"""How long records are kept: show it, apply it, archive before, and keep what is under legal hold."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ..config import Config, ConfigError, load
from ..stores.errors import StoreError
from ..stores.retained import Applied, Retained, Standing, Wish, open_retained
from ..stores.retained_files import retained_at
from ..stores.store import is_url
from . import holds
from .main import UNFINISHED, CliError
from .places import looked_in, places

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = """\
examples:
  authaudit retention show                                   every journal of this machine: what is kept, what would go next
  authaudit retention apply --dry-run                        the same as an answer to: what would happen now?
  authaudit retention apply --archive /mnt/archive           compress what is over into /mnt/archive, check it, then delete it
  authaudit retention apply --store /var/lib/authaudit --lifetime 365
  authaudit retention show --store postgresql://keeper@db/audit
  authaudit retention hold --subject auth.user:42 --reason 'case 2026-117'
  authaudit retention hold --tenant acme --until 2027-12-31
  authaudit retention list
  authaudit retention release 3fa2c1d0

Whoever writes records applies OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME (days, or infinity; 90) by itself, at its start and once a day: this
command is for looking, for archives and for holds. A record is kept for all of its days, and goes within one day more (UTC). In files
what goes are whole files whose newest record is over; the open one never goes, and what waits for a delivery stays. Every deletion
is told first (event audit.records_expired, in a stream beside the records), so that `authaudit verify` accuses nobody honest.

Without --lifetime, apply takes the longest of the option and of what living processes say that they keep; a database has its own.
A hold keeps every file with a record about its subject (or done by it) or tenant, whole, so that the chain still proves it. Run this
as the owner of the journals. Exit codes: 0 done, 2 used wrongly, 3 not everything could be done; what could not stays as it was.
"""

_WHAT: Final = ("show", "apply", "hold", "release", "list")
_NAMED: Final = 4
"""Units that are named one by one before the rest is counted."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("what", choices=_WHAT, help="show, list: change nothing; apply; hold, release: legal holds")
    parser.add_argument("id", nargs="?", help="of the hold to release, as `list` shows it")
    help_ = "a folder of journals or of a collector, or the URL of a database; several (all default places, if not given)"
    parser.add_argument("--store", action="append", default=[], metavar="PLACE", help=help_)
    parser.add_argument("--lifetime", metavar="DAYS", help="days, or infinity, instead of what is set")
    parser.add_argument("--dry-run", action="store_true", help="apply: only say what would go")
    parser.add_argument(
        "--archive", type=Path, metavar="DIR", help="apply: put what goes into this folder before (gzip, SHA-256 beside)"
    )
    parser.add_argument("--subject", metavar="SUBJECT", help="hold: whose records, as `query` shows it")
    parser.add_argument("--tenant", metavar="TENANT", help="hold: of which tenant")
    parser.add_argument("--reason", default="", metavar="TEXT", help="hold, release: why; it is recorded")
    parser.add_argument("--until", metavar="TIME", help="hold: ends by itself then (2027-12-31, or RFC 3339)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="for people, or one object a line")
    parser.add_argument("--now", metavar="TIME", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    _check(options)
    now = holds.moment_of(options.now, "--now") if options.now else time.time_ns()
    config = load()
    if options.what in holds.COMMANDS:
        return holds.COMMANDS[options.what](options, config, now)
    kept = list(_retained(options, config))
    if not kept:
        looked_in(places([], config), 0)
    if options.what == "apply" and not options.dry_run:
        return _apply(kept, now, options.format)
    for one, _ in kept:
        _show(one.standing(now), now, options.format)
    return 0


def _check(options: argparse.Namespace) -> None:
    what, given = options.what, vars(options)
    allowed = {
        "show": {"lifetime"},
        "apply": {"lifetime", "dry_run", "archive"},
        "hold": {"subject", "tenant", "reason", "until"},
        "release": {"id", "reason"},
        "list": set(),
    }
    for name in ("id", "lifetime", "dry_run", "archive", "subject", "tenant", "reason", "until"):
        if given[name] and name not in allowed[what]:
            raise CliError(f"{what} takes no {'id' if name == 'id' else '--' + name.replace('_', '-')}")
    if what == "hold" and bool(options.subject) == bool(options.tenant):
        raise CliError("hold needs either --subject or --tenant")
    if what == "release" and not options.id:
        raise CliError("release needs the id of a hold; `authaudit retention list` shows them")


def _retained(options: argparse.Namespace, config: Config) -> Iterator[tuple[Retained, Path | None]]:
    """Everything that was named, and where it is archived. CliError."""
    wish = _wish(options.lifetime, config)
    urls = [place for place in options.store if is_url(place)]
    named = [Path(place.removeprefix("file:")) for place in options.store if not is_url(place)]
    for place in places(named, config) if named or not urls else []:
        folders = retained_at(place, config, wish)
        if named and not folders:
            raise CliError(f"{place} has neither journals nor closed files of a collector (audit-<time>-size.jsonl)")
        yield from ((folder, folder.archive(options.archive and options.archive.absolute(), place)) for folder in folders)
    for url in urls:
        if options.archive:
            raise CliError("--archive is for files; a database: authaudit query --format json > FILE, or its own backup")
        yield _opened(url, config, wish), None


def _opened(url: str, config: Config, wish: Wish) -> Retained:
    try:
        return open_retained(url, config, wish)
    except StoreError as error:
        raise CliError(str(error)) from None


def _wish(lifetime: str | None, config: Config) -> Wish:
    if not lifetime:
        return Wish(config.log_lifetime)
    try:
        return Wish(load(raises=True, log_lifetime=lifetime).log_lifetime, explicit=True)
    except ConfigError as error:
        raise CliError(f"--lifetime: {error}") from None


def _apply(kept: Iterable[tuple[Retained, Path | None]], now: int, form: str) -> int:
    code = 0
    for one, archive in kept:
        try:
            done = one.apply(now, archive_in=archive)
        except StoreError as error:
            done = Applied(place=str(one), failure=str(error))
        if form == "json":
            print(json.dumps({name: value for name, value in asdict(done).items() if value or name in {"place", "deleted"}}))
        else:
            print(_applied(done, archive))
        code = UNFINISHED if done.failure else code
    return code


def _applied(done: Applied, archive: Path | None) -> str:
    where = f", archived in {archive}" if archive is not None and done.deleted else ""
    what = f"{_names(done.deleted)} deleted{where}" if done.deleted else "nothing was over"
    parts = [done.changed or what, *([f"NOT DONE: {done.failure}"] if done.failure else [])]
    return f"{done.place}: {'; '.join(parts)}"


def _show(standing: Standing, now: int, form: str) -> None:
    if form == "json":
        print(json.dumps(_facts(standing, now)))
        return
    going = standing.plan.going
    records = (
        f"{holds.when(standing.oldest)} to {holds.when(standing.newest)}" if standing.oldest is not None else "none, or not known"
    )
    size = f", {standing.size:,} bytes" if standing.size is not None else ""
    print(f"{standing.place} ({standing.kind})")
    print(f"  kept     {Wish(standing.lifetime)}")
    print(f"  records  {records}{size}")
    if going or standing.plan.decisions:
        print(f"  next     {f'{_names([unit.name for unit in going])} would go' if going else 'nothing would go'}")
    for unit in standing.waiting(now):
        print(f"  waits    {unit.name} is over, and {unit.needed}")
    for hold in standing.holds:
        keeps = sum(hold in decision.holds for decision in standing.plan.decisions)
        keeping = f"; keeps {keeps} of what would go" if keeps else ""
        print(f"  hold     {holds.line(hold)}{keeping}")
    for note in standing.notes:
        print(f"  note     {note}")


def _facts(standing: Standing, now: int) -> dict[str, Any]:
    return {
        "place": standing.place,
        "kind": standing.kind,
        "lifetime": standing.lifetime if standing.lifetime is not None else "infinity",
        "oldest": holds.when(standing.oldest),
        "newest": holds.when(standing.newest),
        "bytes": standing.size,
        "would_go": [unit.name for unit in standing.plan.going],
        "would_go_bytes": sum(unit.size for unit in standing.plan.going),
        "waits": {unit.name: unit.needed for unit in standing.waiting(now)},
        "held": [decision.unit.name for decision in standing.plan.decisions if decision.holds],
        "holds": [holds.facts(hold) for hold in standing.holds],
        "notes": standing.notes,
    }


def _names(units: Sequence[str]) -> str:
    """The first few, and how many there are."""
    more = f", and {len(units) - _NAMED} more" if len(units) > _NAMED else ""
    return f"{len(units)} ({', '.join(units[:_NAMED])}{more})"
