"""Answers to the questions that are asked every morning: what failed, who is attacked, who came from somewhere new."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, Final

from ..config import load
from ..query.filters import Filters
from ..query.reader import Record, Unreadable
from ..query.times import duration, moment, written
from ..reports.detect import Detection
from ..reports.page import as_page
from ..reports.report import Question, attacks, failures, inactive, new_clients, summary
from ..reports.rules import BruteForce, Spraying, Stuffing, Thresholds, brute_force, spraying, stuffing
from ..reports.sections import Report
from ..reports.words import as_words
from ..stores.store import Merged
from .main import BAD_ANSWER, CliError
from .places import tell_unreadable
from .progress import Counting
from .query import count
from .stores import add_store_flag, open_stores

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = """\
examples:
  authaudit report summary --since 24h                     everything at a glance
  authaudit report summary --since 7d --html week.html     as a page for a browser, with charts; it fetches and runs nothing
  authaudit report failures --since 24h --top 20           what failed, why, for whom, from where
  authaudit report bruteforce --since 1h || mail ...       exit code 1: attacks were found
  authaudit report spraying --users 10 --window 2h         other thresholds; `authaudit report spraying --help` has them all
  authaudit report new-client --since 24h                  sign-ins from where their subject had never signed in before
  authaudit report inactive --days 45 --format json
  authaudit report stuffing --store postgresql://reader@db/audit

Exit codes: 0 fine; 1 bruteforce, spraying or stuffing found an attack; 2 used wrongly; 3 could not finish.
"""

_DAYS: Final = 45  # CIS Controls 8, 5.3
_CHECKPOINT: Final = "audit.checkpoint"

Answer = Callable[[Iterator[Record], argparse.Namespace, Question], Report]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A report."""

    says: str
    answer: Answer
    thresholds: type[Thresholds] | None = None
    whole: bool = False
    """What happened before --since is needed too."""


def _attacks(title: str, thresholds: type[Any], detections: Callable[[Any], list[Detection]]) -> Answer:
    def answer(records: Iterator[Record], options: argparse.Namespace, _question: Question) -> Report:
        limits = thresholds(**{one.name: getattr(options, one.name) for one in fields(thresholds)})
        return attacks(records, detections(limits), options.report, title)

    return answer


_KINDS: Final[dict[str, _Kind]] = {
    "summary": _Kind("everything at a glance", lambda records, _, question: summary(records, question)),
    "failures": _Kind("what failed, why, for whom and from where", lambda records, _, question: failures(records, question)),
    "bruteforce": _Kind(
        "guesses at one account; MFA fatigue; a success after many failures",
        _attacks("Brute force", BruteForce, brute_force),
        BruteForce,
    ),
    "spraying": _Kind("few guesses on many accounts", _attacks("Password spraying", Spraying, spraying), Spraying),
    "stuffing": _Kind(
        "leaked names and passwords tried one by one", _attacks("Credential stuffing", Stuffing, stuffing), Stuffing
    ),
    "new-client": _Kind(
        "sign-ins from where their subject had never signed in",
        lambda records, _, question: new_clients(records, question),
        whole=True,
    ),
    "inactive": _Kind(
        "accounts that were not used for long",
        lambda records, options, question: inactive(records, question, options.days),
        whole=True,
    ),
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A report each has a parser of its own, with its thresholds."""
    kinds = parser.add_subparsers(dest="report", metavar="REPORT", required=True)
    for name, kind in _KINDS.items():
        sub = kinds.add_parser(
            name,
            help=kind.says,
            description=f"{kind.says[0].upper()}{kind.says[1:]}.",
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_common(sub)
        for one in fields(kind.thresholds) if kind.thresholds is not None else ():
            _add_threshold(sub, one)
        if name == "inactive":
            sub.add_argument("--days", type=count, default=_DAYS, metavar="N", help=f"not used for so many days ({_DAYS})")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", metavar="TIME", help="from this time on: 2026-11-24, 2026-11-24T10:00:00Z, or 15m, 2h, 7d ago")
    parser.add_argument("--until", metavar="TIME", help="up to this time; a date means its end")
    parser.add_argument("--service", action="append", default=[], metavar="NAME", help="service.name of the application")
    parser.add_argument("--tenant", action="append", default=[], metavar="NAME", help="tenant or organisation")
    parser.add_argument("--top", type=count, default=10, metavar="N", help="how many of the most frequent (10)")
    add_store_flag(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="words and bars, or one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page for a browser instead")


def _add_threshold(parser: argparse.ArgumentParser, one: Field[Any]) -> None:
    value: Any = one.default
    kind: Callable[[str], float] = count
    metavar, default = "N", str(value)
    if one.metadata["seconds"]:
        kind, metavar, default = _duration, "TIME", written(value)
    elif isinstance(value, float):
        kind, metavar = _share, "SHARE"
    says = f"{one.metadata['says']} ({default})"
    parser.add_argument(f"--{one.name.replace('_', '-')}", type=kind, default=value, metavar=metavar, help=says)


def run(options: argparse.Namespace) -> int:
    """Print or write the report that was asked for."""
    unreadable = Unreadable()
    kind, question = _KINDS[options.report], _question(options)
    with closing(open_stores(options.store, load(), unreadable)) as store:
        report = kind.answer(_records(store, kind, options, question), options, question)
    if options.html is not None:
        options.html.write_text(as_page(report, time.time_ns()), encoding="utf-8")
        print(f"{options.html}: {report.headline}", file=sys.stderr)
    elif options.format == "json":
        print(json.dumps(report.data()))
    else:
        blocks = (sys.stdout.encoding or "").lower().startswith("utf")
        for line in as_words(report, shutil.get_terminal_size((120, 24)).columns, ascii_only=not blocks):
            print(line)
    code = tell_unreadable(unreadable)
    return BAD_ANSWER if report.alarming and kind.thresholds is not None else code


def _question(options: argparse.Namespace) -> Question:
    try:
        return Question(
            since=0 if options.since is None else moment(options.since),
            until=time.time_ns() if options.until is None else moment(options.until, end=True),
            top=options.top,
        )
    except ValueError as error:
        raise CliError(str(error)) from None


def _records(store: Merged, kind: _Kind, options: argparse.Namespace, question: Question) -> Iterator[Record]:
    """What the report is over, counted on stderr for whoever looks on."""
    filters = Filters(
        since=0 if kind.whole else question.since,
        until=question.until,
        service=tuple(options.service),
        tenant=tuple(options.tenant),
        without=(_CHECKPOINT,),
    )
    progress = Counting("records read")
    for record in store.records(filters):
        progress(1)
        yield record
    progress.finish()


def _duration(text: str) -> int:
    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: write a number from 0 to 1")
    return share
