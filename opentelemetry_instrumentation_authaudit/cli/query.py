"""Find records. Flags are joined by AND; a flag given several times means any of its values."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from ..config import Config, load
from ..config.converters import strategies
from ..config.vocabulary import Vocabulary
from ..model.event import Status
from ..query.filters import Filters
from ..query.formats import as_csv, as_json, as_rows, as_table
from ..query.reader import Record, Unreadable
from ..query.sql import MissingDuckDB, SqlError, asked
from ..query.times import moment
from ..stores.files import FileStore
from ..stores.store import Merged
from .main import CliError
from .places import tell_unreadable
from .stores import add_store_flag, keys_for, open_stores

__all__ = ("EPILOG", "add_filter_flags", "add_flags", "count", "filters_of", "lines_of", "run")

EPILOG = """\
examples:
  authaudit query                                        everything
  authaudit query --subject auth.user:42                 one account
  authaudit query --identity ann@example.org             what was typed, also where it is stored as a hash
  authaudit query --action sign_in_with_password         one action; patterns work: 'sign_in_with_*'
  authaudit query --status failure --since 24h           failures since yesterday
  authaudit query --ip 203.0.113.0/24 --format csv       from a network, for a spreadsheet
  authaudit query --store audit.jsonl --last 20          the newest in a file that a collector wrote
  authaudit query --store postgresql://reader@db/audit   a database; also victorialogs://host:9428, clickhouse://host:8123/audit

  authaudit query --since 7d --sql 'SELECT subject, count(*) FROM audit.auth_audit GROUP BY subject ORDER BY 2 DESC'

--sql asks the records that the other flags let pass, from whatever store, as the table audit.auth_audit in an embedded DuckDB
(pip install 'opentelemetry-instrumentation-authaudit[query]'); it can change nothing. docs/queries.md is its cookbook.
Times: 2026-11-24, 2026-11-24T10:00:00Z, or 15m, 2h, 7d ago. Records come oldest first; --last N keeps the newest N.
The table leaves checkpoints of the chain out unless --event asks for them; the other formats have every record.
"""

_UNLIMITED = 100_000  # columns, where no terminal says how wide it is: a pipe
_CHECKPOINT = "audit.checkpoint"
_HELP = {
    "subject": "the authenticated identity, as the library names it: auth.user:42",
    "identity": "what was submitted as the identity",
    "action": "sign_in_with_password; patterns with *",
    "event": "auth.sign_in; patterns with *",
    "status": "success, failure or unknown",
    "strategy": "password, totp, oauth2 ..., or a provider; oauth is oauth2 and oidc",
    "provider": "github, google ...",
    "tenant": "tenant or organisation",
    "service": "service.name of the application",
    "ip": "client or peer: an address or a network",
}
_FREE_TEXT = frozenset({"subject", "identity", "tenant"})
"""May hold commas (an LDAP name); the others may be given as a list with commas."""


def add_filter_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say which records, from where, and how they are printed."""
    which = parser.add_argument_group("which records")
    for name, meaning in _HELP.items():
        which.add_argument(f"--{name}", action="append", default=[], metavar="VALUE", help=meaning)
    which.add_argument("--since", metavar="TIME", help="from this time on")
    which.add_argument("--until", metavar="TIME", help="up to this time; a date means its end")
    add_store_flag(parser)
    parser.add_argument("--format", choices=("text", "json", "csv"), default="text", help="a table, one object a line, or CSV")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    add_filter_flags(parser)
    parser.add_argument("--last", type=count, metavar="N", help="only the newest N")
    parser.add_argument("--limit", type=count, metavar="N", help="stop after the first N")
    parser.add_argument("--sql", metavar="SELECT", help="ask the records in SQL, as the table audit.auth_audit")


def run(options: argparse.Namespace) -> int:
    """Print what was asked for."""
    config, unreadable = load(), Unreadable()
    store = open_stores(options.store, config, unreadable)
    filters = filters_of(options, store, config)
    newest = options.last is not None and options.limit is None
    records: Iterable[Record] = store.last(filters, options.last) if newest else store.records(filters)
    if options.limit is not None:
        records = islice(records, options.limit)
        records = deque(records, maxlen=options.last) if options.last is not None else records
    if options.sql is not None:
        _print_sql(records, options)
        return tell_unreadable(unreadable)
    lines = iter(lines_of(records, options.format))
    first = next(lines, None)
    if first is None:
        _explain_nothing(store, filters)
    else:
        print(first)
        for line in lines:
            print(line)
    return tell_unreadable(unreadable)


def filters_of(options: argparse.Namespace, store: Merged, config: Config) -> Filters:
    """The filters that the flags describe; the keys of hashes may lie beside *store*. Raises CliError."""
    lists = {name: _values(getattr(options, name), split=name not in _FREE_TEXT) for name in _HELP}
    lists["status"] = tuple(map(str.lower, lists["status"]))
    lists["strategy"] = tuple(sorted(strategies(lists["strategy"])))
    wrong = set(lists["status"]) - {status.value for status in Status}
    if wrong:
        raise CliError(f"--status {', '.join(sorted(wrong))}: a status is success, failure or unknown")
    try:
        filters = Filters(
            **lists,
            since=0 if options.since is None else moment(options.since),
            until=None if options.until is None else moment(options.until, end=True),
            keys=keys_for(store, config) if lists["identity"] or lists["ip"] else None,
            without=(_CHECKPOINT,)
            if options.format == "text" and not lists["event"] and not getattr(options, "sql", None)
            else (),
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


def _print_sql(records: Iterable[Record], options: argparse.Namespace) -> None:
    try:
        header, rows = asked(records, options.sql)
    except (MissingDuckDB, SqlError) as error:
        raise CliError(str(error)) from None
    for line in as_rows(header, rows, options.format, shutil.get_terminal_size((_UNLIMITED, 24)).columns):
        print(line)


def count(text: str) -> int:
    """A flag's value: 0 or more. Raises what argparse explains."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records: write 0 or more")
    return int(text[:18])


def _values(given: Iterable[str], *, split: bool) -> tuple[str, ...]:
    return tuple(item.strip() for value in given for item in (value.split(",") if split else (value,)))


def _explain_nothing(store: Merged, filters: Filters) -> None:
    if not any(one.files if isinstance(one, FileStore) else True for one in store.stores):
        says = (
            "there are no records yet. Run the application under opentelemetry-instrument with this package installed, "
            "or name the folder with --store; `authaudit doctor` tells what is missing."
        )
        print(says, file=sys.stderr)
        return
    print("no records match", file=sys.stderr)
    asked = {"strategies": filters.strategy, "actions": filters.action, "events": filters.event}
    complaints = (Vocabulary().complaint(kind, word) for kind, words in asked.items() for word in words)
    for complaint in filter(None, complaints):
        print(complaint, file=sys.stderr)
    if (filters.identity or filters.ip) and filters.keys is None:
        says = "what is stored as a hash was not found, because its key is not here: set OTEL_PYTHON_AUTHAUDIT_HASH_KEY or _HASH_KEY_FILE"
        print(says, file=sys.stderr)
