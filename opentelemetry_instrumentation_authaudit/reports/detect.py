"""Attacks in the trail: attempts in the order of time go in, findings come out.

Memory depends on what happens within the spans of the rules, and is bounded, not on how many records there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ..query.reader import Record
from .attempts import Attempt, attempt_of
from .windows import Window, Windows

__all__ = ("ALL", "Detection", "Entry", "Finding", "Rule", "detect")

ALL: Final = "*"
"""The key of rules that look at everything together."""
_SECOND: Final = 1_000_000_000
_MOST_FINDINGS: Final = 10_000
_MOST_NOTED: Final = 100


def _failed(attempt: Attempt) -> bool:
    return attempt.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What makes attempts an attack."""

    name: str
    says: str
    events: frozenset[str]
    span: int
    """Seconds."""
    key: Callable[[Attempt], str]
    fires: Callable[[Window], bool]
    on: Callable[[Attempt], bool] = _failed
    """After which attempts it is asked."""
    shares: bool = False
    """It asks how many of all attempts failed, so those that did not begin a window too."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody got in."""

    time: int
    address: str


@dataclass(slots=True)
class Finding:
    """An attack, from its first attempt to the last that was seen."""

    rule: str
    key: str
    """The account or the address that it is about; `*` where many addresses work together."""
    first: int
    last: int
    """Nanoseconds since the epoch."""
    failures: int
    """The most failed tries that were in one window."""
    accounts: int
    addresses: int
    """Likewise."""
    sources: dict[str, None] = field(default_factory=dict)
    """The busiest addresses."""
    entered: dict[str, Entry] = field(default_factory=dict)
    """Who got in, during it or soon after: by subject, else account."""


class Detection:
    """One rule, fed with attempts in the order of time."""

    def __init__(self, rule: Rule, then: int) -> None:
        """*then*: seconds after an attack in which a success still belongs to it."""
        self.rule = rule
        self._then = then * _SECOND
        self._windows = Windows(rule.span * _SECOND)
        self._open: OrderedDict[str, Finding] = OrderedDict()
        self._closed: list[Finding] = []

    def feed(self, attempt: Attempt) -> None:
        """Take the next attempt."""
        if attempt.event not in self.rule.events:
            return
        key = self.rule.key(attempt)
        self._close(attempt.time)
        if attempt.succeeded and self._open:
            self._enter(key, attempt)
        window = self._windows.add(key, attempt, begins=attempt.failed or self.rule.shares) if key else None
        if window is not None and self.rule.on(attempt) and self.rule.fires(window):
            self._fire(key, window, attempt)

    def findings(self) -> list[Finding]:
        """What was found, in the order of time."""
        return sorted([*self._closed, *self._open.values()], key=lambda finding: finding.first)

    def _fire(self, key: str, window: Window, attempt: Attempt) -> None:
        first = window.attempts[0].time
        finding = self._open.get(key)
        if finding is None or first > finding.last:
            if finding is not None:
                self._keep(self._open.pop(key))
            finding = self._open[key] = Finding(self.rule.name, key, first, attempt.time, 0, 0, 0)
            for success in window.successes() if key != ALL else ():
                _enter(finding, success)
        self._open.move_to_end(key)
        finding.last = attempt.time
        finding.failures = max(finding.failures, window.failures or window.tries)
        finding.accounts = max(finding.accounts, len(window.accounts))
        finding.addresses = max(finding.addresses, len(window.addresses))
        if len(finding.sources) < _MOST_NOTED:
            finding.sources |= dict.fromkeys([attempt.address] if attempt.address else [])

    def _enter(self, key: str, attempt: Attempt) -> None:
        """A success belongs to an attack that goes on, or was over not long ago."""
        finding = self._open.get(key)
        if finding is not None and (key != ALL or attempt.address in finding.sources):
            _enter(finding, attempt)

    def _close(self, now: int) -> None:
        while self._open:
            oldest = next(iter(self._open.values()))
            if oldest.last + max(self._then, self.rule.span * _SECOND) >= now:
                return
            self._keep(self._open.pop(oldest.key))

    def _keep(self, finding: Finding) -> None:
        if len(self._closed) < _MOST_FINDINGS:
            self._closed.append(finding)


def _enter(finding: Finding, attempt: Attempt) -> None:
    if len(finding.entered) < _MOST_NOTED:
        finding.entered.setdefault(attempt.subject or attempt.account, Entry(attempt.time, attempt.address))


def detect(records: Iterable[Record], detections: list[Detection]) -> Iterator[Record]:
    """Feed *detections* with records, which are passed on."""
    for record in records:
        attempt = attempt_of(record)
        for detection in detections:
            detection.feed(attempt)
        yield record
