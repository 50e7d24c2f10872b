"""What `authaudit report` says: the answers to the questions that are asked every morning, as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from ..model import names
from ..model.event import Status
from ..query.formats import brief
from ..query.reader import Record
from ..query.times import written
from .attempts import SIGN_INS, account_of
from .detect import ALL, Detection, Finding, detect
from .rules import every
from .sections import Bar, Bars, Cell, Report, Table, moment, spoken
from .tallies import Clients, LastSeen, NewClient, Subjects, Tally, Timeline

__all__ = ("Question", "attacks", "failures", "inactive", "new_clients", "summary")

_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
_FEW: Final = 3
"""Of addresses or accounts: what fits a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What of the trail is asked for."""

    since: int = 0
    until: int
    """Nanoseconds since the epoch."""
    top: int = 10
    """How many of the most frequent."""


def attacks(records: Iterable[Record], detections: list[Detection], name: str, title: str) -> Report:
    """What these detections find."""
    report, subjects, timeline = Report(name, title), Subjects(), Timeline()
    for record in detect(report.over(records), detections):
        subjects.learn(record)
        timeline.add(record)
    table = _findings(report, detections, subjects)
    count = len(table.rows)
    report.headline = f"{_number(count, 'attack')} found" if count else "no attack found"
    report.sections = [table, _over_time(timeline)]
    return report


def failures(records: Iterable[Record], question: Question) -> Report:
    """What failed, why, for whom and from where."""
    report, subjects, timeline = Report("failures", "Failures"), Subjects(), Timeline()
    by: dict[str, Tally] = {title: Tally() for title in _GROUPS}
    for record in report.over(records):
        subjects.learn(record)
        timeline.add(record)
        if record.attributes.get(names.OUTCOME) == Status.FAILURE.value:
            for title, group in _GROUPS.items():
                by[title].add(group(record))
    failed = sum(count for *_, count in timeline.buckets())
    report.headline = f"{failed:,} of {report.records:,} events failed ({_share(failed, report.records)})"
    report.sections = [_over_time(timeline), *(_most(title, tally, question.top, subjects) for title, tally in by.items())]
    return report


def new_clients(records: Iterable[Record], question: Question) -> Report:
    """Who signed in from where they never had before. *records* must begin before the time that is asked about."""
    report, clients = Report("new-client", "Sign-ins from new clients"), Clients()
    found: list[NewClient] = []
    for record in report.over(records):
        new = clients.feed(record)
        if new is not None and question.since <= record.time <= question.until:
            found.append(new)
    header = ("time", "subject", "new address", "addresses before", "with", "user agent")
    rows = tuple(
        (
            spoken(new.record.time),
            new.subject,
            new.address,
            new.known,
            new.record.attributes.get(names.ACTION, ""),
            new.record.attributes.get(names.USER_AGENT, ""),
        )
        for new in found
    )
    report.headline = f"{_number(len(rows), 'sign-in')} from a client that was new for its subject"
    report.sections = [Table("New clients", header, rows)]
    return report


def inactive(records: Iterable[Record], question: Question, days: int) -> Report:
    """Which accounts were not used for so many days before the end of the time that is asked about."""
    report, seen = Report("inactive", "Inactive accounts"), LastSeen()
    for record in report.over(records):
        seen.feed(record)
    rows = tuple(
        (subject, spoken(one.last), (question.until - one.last) // _DAY, "yes" if one.signed_in else "never")
        for subject, one in seen.before(question.until - days * _DAY)
    )
    of = f"of {_number(len(seen.subjects), 'account')}"
    report.headline = f"{len(rows):,} {of} not used for {_number(days, 'day')} or more"
    report.sections = [Table("Accounts, longest unused first", ("subject", "last used", "days ago", "signed in"), rows)]
    return report


def summary(records: Iterable[Record], question: Question) -> Report:
    """Everything at a glance."""
    report, subjects, timeline = Report("summary", "Summary"), Subjects(), Timeline()
    outcomes: Counter[tuple[str, str]] = Counter()
    by: dict[str, Tally] = {title: Tally() for title in _GROUPS}
    people, strategies, detections = Tally(), Tally(), every()
    for record in detect(report.over(records), detections):
        subjects.learn(record)
        timeline.add(record)
        found = record.attributes
        outcomes[record.event, found.get(names.OUTCOME, "")] += 1
        people.add(found.get(names.SUBJECT, ""))
        if record.event in SIGN_INS:
            strategies.add(found.get(names.PROVIDER) or found.get(names.STRATEGY, ""))
        if found.get(names.OUTCOME) == Status.FAILURE.value:
            for title, group in _GROUPS.items():
                by[title].add(group(record))
    findings = _findings(report, detections, subjects)
    report.headline = _at_a_glance(report.records, outcomes, len(people.top(_MANY)), len(findings.rows))
    report.sections = [
        findings,
        _over_time(timeline),
        *(_most(title, by[title], question.top, subjects) for title in (_WHOM, _WHERE, _WHY)),
        _most("Sign-ins by mechanism", strategies, question.top, subjects, failed=False),
        _events(outcomes),
    ]
    return report


_MANY: Final = 1_000_000
_WHY, _WHOM, _WHERE = "Reasons of failures", "Accounts with the most failures", "Clients with the most failures"
_GROUPS: Final[dict[str, Callable[[Record], str]]] = {
    _WHY: lambda record: record.attributes.get(names.REASON, "not known"),
    _WHOM: account_of,
    _WHERE: lambda record: record.attributes.get(names.CLIENT_ADDRESS, ""),
    "Actions that failed": lambda record: record.attributes.get(names.ACTION, record.event),
}


def _at_a_glance(records: int, outcomes: Counter[tuple[str, str]], people: int, found: int) -> str:
    failed = sum(count for (_, outcome), count in outcomes.items() if outcome == Status.FAILURE.value)
    attacked = f"{_number(found, 'attack')} found" if found else "no attack found"
    return (
        f"{_number(records, 'event')} of {_number(people, 'account')}, {failed:,} failed ({_share(failed, records)}); {attacked}"
    )


def _events(outcomes: Counter[tuple[str, str]]) -> Table:
    events = sorted({event for event, _ in outcomes})
    kinds = [status.value for status in Status]
    rows: list[tuple[Cell, ...]] = [(event, *(outcomes[event, kind] for kind in kinds)) for event in events]
    return Table("Events", ("event", *kinds), tuple(rows))


def _findings(report: Report, detections: list[Detection], subjects: Subjects) -> Table:
    found = sorted(
        ((finding, detection.rule.says) for detection in detections for finding in detection.findings()),
        key=lambda item: item[0].first,
    )
    report.alarming = bool(found)
    report.attacks = [_in_full(finding, subjects) for finding, _ in found]
    header = ("from", "lasted", "what", "whom", "failures", "where from", "got in")
    return Table("Attacks", header, tuple(_in_brief(finding, says, subjects) for finding, says in found), "none found")


def _in_full(finding: Finding, subjects: Subjects) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "key": finding.key,
        "subject": subjects.of(finding.key),
        "first": moment(finding.first),
        "last": moment(finding.last),
        "failures": finding.failures,
        "accounts": finding.accounts,
        "addresses": finding.addresses,
        "sources": list(finding.sources),
        "got_in": [
            {
                "account": who,
                "time": moment(entry.time),
                "address": entry.address,
                "from_attacking_address": entry.address in finding.sources,
            }
            for who, entry in finding.entered.items()
        ],
    }


def _in_brief(finding: Finding, says: str, subjects: Subjects) -> tuple[Cell, ...]:
    whom = _named(finding.key, subjects) if finding.accounts <= 1 and finding.key != ALL else f"{finding.accounts} accounts"
    sources = [brief(address) for address in finding.sources]
    where = ", ".join(sources) if len(sources) <= _FEW else f"{sources[0]} and {len(sources) - 1} more"
    entered = [
        f"{brief(who)} {moment(entry.time)[11:16]}"
        + ("" if entry.address in finding.sources else f" (from elsewhere: {brief(entry.address) or 'not known'})")
        for who, entry in finding.entered.items()
    ]
    got_in = ", ".join([*entered[:_FEW], *([f"{len(entered) - _FEW} more"] if len(entered) > _FEW else [])])
    lasted = written((finding.last - finding.first) // _SECOND)
    return (spoken(finding.first), lasted, says, whom, finding.failures, where, got_in)


def _named(account: str, subjects: Subjects) -> str:
    """An account for people: whose it is, where that is known, else the beginning of a hash."""
    return subjects.of(account) or brief(account)


def _most(title: str, tally: Tally, top: int, subjects: Subjects, *, failed: bool = True) -> Bars:
    """The most frequent; what was typed and what the library calls the same account are one."""
    counts: Counter[str] = Counter()
    for text, count in tally.top(_MANY):
        counts[_named(text, subjects)] += count
    bars = tuple(Bar(text, count, count if failed else 0) for text, count in counts.most_common(top))
    return Bars(f"{title}{' (about)' if tally.rounded else ''}", bars)


def _over_time(timeline: Timeline) -> Bars:
    bars = [
        Bar(moment(begin)[: 10 if end - begin >= _DAY else 16].replace("T", " "), count, failed, begin)
        for begin, end, count, failed in timeline.buckets()
    ]
    by = "day" if bars and len(bars[0].label) == len("2026-11-24") else "hour"
    return Bars(f"Events by {by} (UTC), and those that failed", tuple(bars), timeline=True)


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0%"
