"""The rules by which attacks are found, and their thresholds.

The thresholds are those of published rules (Elastic's detection rules for identity providers, 2026). The share of failures is ours:
it keeps an office behind one address apart from an attacker behind one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from .attempts import LOCKS, SECOND_FACTORS, SIGN_INS, Attempt
from .detect import ALL, Detection, Rule
from .windows import Window

__all__ = ("BruteForce", "Spraying", "Stuffing", "Thresholds", "brute_force", "every", "spraying", "stuffing", "threshold")

_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60
_HOUR: Final = 3600


def threshold(default: float, says: str, *, seconds: bool = False) -> Any:
    """A field of `Thresholds`; *says* is its help."""
    return field(default=default, metadata={"says": says, "seconds": seconds})


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What several reports share."""

    then: int = threshold(6 * _HOUR, "a sign-in up to so much later counts as its success", seconds=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class BruteForce(Thresholds):
    """Guesses at one account."""

    failures: int = threshold(10, "failures of one account ...")
    window: int = threshold(5 * _MINUTE, "... within this time", seconds=True)
    sources: int = threshold(5, "or that many failures from this many addresses ...")
    sources_window: int = threshold(30 * _MINUTE, "... within this time", seconds=True)
    lockouts: int = threshold(3, "or lock-outs of one account ...")
    lockouts_window: int = threshold(3 * _HOUR, "... within this time", seconds=True)
    before_success: int = threshold(5, "or failures before a success ...")
    before_success_window: int = threshold(5 * _MINUTE, "... within this time", seconds=True)
    denials: int = threshold(5, "or refused second factors of one account (MFA fatigue) ...")
    denials_window: int = threshold(10 * _MINUTE, "... within this time", seconds=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spraying(Thresholds):
    """A few common passwords tried on many accounts."""

    users: int = threshold(5, "accounts tried from one address")
    tries: int = threshold(15, "failures in all, at least two an account on average")
    window: int = threshold(_HOUR, "within this time", seconds=True)
    spread: int = threshold(5 * _MINUTE, "at least so long from the first failure to the last", seconds=True)
    few: float = threshold(0.6, "share of the accounts that were tried two to six times")
    sources: int = threshold(5, "or: addresses that failures came from,")
    sources_users: int = threshold(8, "with so many accounts,")
    sources_tries: int = threshold(25, "and so many failures")
    failed: float = threshold(0.5, "share of the sign-ins in the window that failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuffing(Thresholds):
    """Pairs of names and passwords that leaked elsewhere, each tried once."""

    users: int = threshold(15, "accounts tried from one address")
    tries: int = threshold(25, "failures in all")
    window: int = threshold(15 * _MINUTE, "within this time", seconds=True)
    few: float = threshold(0.8, "share of the accounts that were tried once or twice")
    failed: float = threshold(0.5, "share of the sign-ins in the window that failed")


def brute_force(limits: BruteForce) -> list[Detection]:
    """Guesses at one account, from anywhere; its second factor; and guesses that seem to have been right."""
    return [
        *_guesses(limits),
        *_detections(
            limits,
            Rule(
                name="success_after_failures",
                says="a sign-in straight after many failures",
                events=SIGN_INS,
                span=limits.before_success_window,
                key=_account,
                fires=lambda window: window.failures >= limits.before_success,
                on=_succeeded,
            ),
            Rule(
                name="mfa_fatigue",
                says="the second factor refused again and again",
                events=SECOND_FACTORS,
                span=limits.denials_window,
                key=_account,
                fires=lambda window: window.failures >= limits.denials,
            ),
        ),
    ]


def _guesses(limits: BruteForce) -> list[Detection]:
    return _detections(
        limits,
        Rule(
            name="brute_force",
            says="many failures of one account",
            events=SIGN_INS,
            span=limits.window,
            key=_account,
            fires=lambda window: window.failures >= limits.failures,
        ),
        Rule(
            name="brute_force_many_sources",
            says="failures of one account from many addresses",
            events=SIGN_INS,
            span=limits.sources_window,
            key=_account,
            fires=lambda window: window.failures >= limits.failures and len(window.addresses) >= limits.sources,
        ),
        Rule(
            name="lockouts",
            says="one account locked again and again",
            events=LOCKS,
            span=limits.lockouts_window,
            key=_account,
            fires=lambda window: window.tries >= limits.lockouts,
            on=lambda _: True,
            shares=True,
        ),
    )


def spraying(limits: Spraying) -> list[Detection]:
    """Few guesses on many accounts, from one address or from many."""

    def one_source(window: Window) -> bool:
        return (
            len(window.accounts) >= limits.users
            and window.failures >= max(limits.tries, 2 * len(window.accounts))
            and window.failed_share >= limits.failed
            and window.share_with(2, 6) >= limits.few
            and window.spread() >= limits.spread * _SECOND
        )

    def many_sources(window: Window) -> bool:
        return (
            len(window.addresses) >= limits.sources
            and len(window.accounts) >= limits.sources_users
            and window.failures >= limits.sources_tries
            and window.failed_share >= limits.failed
        )

    says = "few guesses on many accounts, from {} address{}"
    common: dict[str, Any] = {"events": SIGN_INS, "span": limits.window, "shares": True}
    return _detections(
        limits,
        Rule(name="spraying", says=says.format("one", ""), key=_address, fires=one_source, **common),
        Rule(name="spraying_many_sources", says=says.format("many", "es"), key=lambda _: ALL, fires=many_sources, **common),
    )


def stuffing(limits: Stuffing) -> list[Detection]:
    """Very many accounts, each tried once or twice, from one address."""

    def fires(window: Window) -> bool:
        return (
            len(window.accounts) >= limits.users
            and window.failures >= limits.tries
            and window.failed_share >= limits.failed
            and window.share_with(1, 2) >= limits.few
        )

    says = "leaked names and passwords tried, each once or twice, from one address"
    rule = Rule(name="stuffing", says=says, events=SIGN_INS, span=limits.window, key=_address, fires=fires, shares=True)
    return _detections(limits, rule)


def every() -> list[Detection]:
    """All detections, with the default thresholds."""
    return [*brute_force(BruteForce()), *spraying(Spraying()), *stuffing(Stuffing())]


def _detections(limits: Thresholds, *rules: Rule) -> list[Detection]:
    return [Detection(rule, limits.then) for rule in rules]


def _account(attempt: Attempt) -> str:
    return attempt.account


def _address(attempt: Attempt) -> str:
    return attempt.address


def _succeeded(attempt: Attempt) -> bool:
    return attempt.succeeded
