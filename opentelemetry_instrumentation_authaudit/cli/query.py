"""Find records. Flags are joined by AND; a flag given several times, or with commas, means any of its values."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from ..privacy.pseudonyms import Keyring
from ..query.filters import Filters
from ..query.formats import as_csv, as_json, as_table
from ..query.reader import Record, Unreadable, files_in, read
from ..query.times import moment
from .main import UNFINISHED, CliError
from .places import looked_in, places, quiet_config

__all__ = ("EPILOG", "add_filter_flags", "add_flags", "filters_of", "lines_of", "run")

EPILOG = """\
examples:
  authaudit query                                        everything
  authaudit query --subject auth.user:42                 one account
  authaudit query --identity ann@example.org             what was typed, also where it is stored as a hash
  authaudit query --action sign_in_with_password         one action; patterns work: 'sign_in_with_*'
  authaudit query --status failure --since 24h           failures since yesterday
  authaudit query --ip 203.0.113.0/24 --format csv       from a network, for a spreadsheet

Times: 2026-11-24, 2026-11-24T10:00:00Z, or 15m, 2h, 7d ago. Records come oldest first; --last N keeps the newest N.
"""

_UNLIMITED = 100_000  # columns, where no terminal says how wide it is: a pipe
_LISTS = ("subject", "identity", "action", "event", "status", "strategy", "provider", "tenant", "service", "ip")
_HELP = {
    "subject": "the authenticated identity, as the library names it: auth.user:42",
    "identity": "what was submitted as the identity",
    "action": "sign_in_with_password; patterns with *",
    "event": "auth.sign_in; patterns with *",
    "status": "success, failure or unknown",
    "strategy": "password, totp, oauth2 ...",
    "provider": "github, google ...",
    "tenant": "tenant or organisation",
    "service": "service.name of the application",
    "ip": "client or peer: an address or a network",
}


def add_filter_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say which records."""
    for name in _LISTS:
        parser.add_argument(f"--{name}", action="append", default=[], metavar="VALUE", help=_HELP[name])
    parser.add_argument("--since", metavar="TIME", help="from this time on")
    parser.add_argument("--until", metavar="TIME", help="up to this time; a date means its end")
    parser.add_argument("--store", type=Path, metavar="PATH", help="a journal folder or file (all default places, if not given)")
    parser.add_argument(
        "--format", choices=("text", "json", "csv"), default="text", help="text: a table; json: one object a line"
    )


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    add_filter_flags(parser)
    parser.add_argument("--last", type=int, metavar="N", help="only the newest N")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after the first N")


def run(options: argparse.Namespace) -> int:
    """Print what was asked for."""
    if options.store is not None and not options.store.exists():
        raise CliError(f"there is no {options.store}; --store names a journal folder or file")
    config = quiet_config()
    filters = filters_of(options)
    found = places(options.store, config)
    files = [file for place in found for file in files_in(place)]
    if options.store is None or not files:
        looked_in(found, len(files))
    unreadable = Unreadable()
    records = _chosen(read(files, unreadable, may_match=filters.needles(), since=filters.since), filters)
    if options.limit is not None:
        records = islice(records, max(options.limit, 0))
    if options.last is not None:
        records = iter(deque(records, maxlen=max(options.last, 0)))
    count = 0
    for count, line in enumerate(lines_of(records, options.format), 1):  # noqa: B007 -- the count is told below
        print(line)
    if not count:
        print("no records match" if files else _nothing_there(), file=sys.stderr)
    return _tell_unreadable(unreadable)


def filters_of(options: argparse.Namespace) -> Filters:
    """The filters that the flags describe. Raises CliError."""
    lists = {name: tuple(item.strip() for value in getattr(options, name) for item in value.split(",")) for name in _LISTS}
    wrong = set(lists["status"]) - {"success", "failure", "unknown"}
    if wrong:
        raise CliError(f"--status {', '.join(sorted(wrong))}: a status is success, failure or unknown")
    keys = _keys() if lists["identity"] or lists["ip"] else None
    try:
        filters = Filters(
            **lists,
            since=moment(options.since) if options.since else 0,
            until=moment(options.until, end=True) if options.until else None,
            keys=keys,
        )
        filters.tests()
    except ValueError as error:
        raise CliError(str(error)) from None
    return filters


def lines_of(records: Iterable[Record], form: str, window: int | None = None) -> Iterator[str]:
    """The records as text of that format; *window* is for a table that never ends."""
    if form == "text":
        return as_table(records, shutil.get_terminal_size((_UNLIMITED, 24)).columns, window)
    return as_json(records) if form == "json" else as_csv(records)


def _chosen(records: Iterable[Record], filters: Filters) -> Iterator[Record]:
    tests = filters.tests()
    return (record for record in records if all(test(record) for test in tests))


def _keys() -> Keyring | None:
    """The hash keys of this environment: none are made by asking."""
    from ..privacy.pseudonyms import key_folder  # noqa: PLC0415

    config = quiet_config()
    usable = config.hash_key or config.hash_key_file or any(key_folder(config).glob("*.key"))
    return Keyring.of(config) if usable else None


def _nothing_there() -> str:
    return (
        "there are no records yet. Run the application under opentelemetry-instrument with this package installed, "
        "or name the folder with --store; `authaudit doctor` tells what is missing."
    )


def _tell_unreadable(unreadable: Unreadable) -> int:
    for file, why in unreadable.files.items():
        print(f"could not read {file}: {why}", file=sys.stderr)
    if unreadable.lines:
        print(f"{unreadable.lines} torn or foreign lines were passed over", file=sys.stderr)
    return UNFINISHED if unreadable.files else 0
