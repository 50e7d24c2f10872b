"""One watched call, running or just ended, and how it learns from the calls inside it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..model.catalog import EVENTS, Family, lookup
from ..model.event import Actor, Param, Reason, Status, Strategy
from .hook import Facts, Hook, Outcome, Role

__all__ = ("ABSORBED", "Attempt")

ABSORBED: Final[Mapping[Family, frozenset[Family]]] = {
    Family.SIGN_IN: frozenset({Family.TOKEN, Family.REQUEST_AUTH}),
    Family.REQUEST_AUTH: frozenset({Family.SIGN_IN}),
    Family.TOKEN: frozenset({Family.SIGN_OUT, Family.REQUEST_AUTH, Family.SIGN_IN}),
    Family.SIGN_OUT: frozenset({Family.REQUEST_AUTH}),
    Family.REGISTER: frozenset({Family.PASSWORD}),
    Family.IMPERSONATE: frozenset({Family.SIGN_IN, Family.SIGN_OUT}),
}
"""Which families an outer attempt takes in besides its own. Different families otherwise stay separate events."""

_APART: Final = frozenset({Family.ACCOUNT, Family.MFA_MANAGE})
"""Families whose events are different things."""
_SEVERAL: Final = frozenset({Family.MFA_MANAGE, Family.API_KEY, Family.LINK, Family.ACCOUNT, Family.SESSION})
"""An account has several of what these families speak of: factors, keys, addresses, sessions."""
_TELLING: Final = ("event", "action", "strategy", "provider", "token_id", "session_key", "params")
"""What tells one of several from another."""

_SAID: Final = (
    "event",
    "action",
    "provider",
    "status",
    "reason",
    "fallback",
    "error_type",
    "subject",
    "identity",
    "identity_known",
)
_SAID_TOO: Final = ("actor", "tenant", "resource", "token_id", "session_key", "via")
_LEARNT: Final = ("provider", "subject", "identity", "identity_known", "actor", "tenant", "resource", "token_id", "session_key")
_ELSEWHERE: Final = frozenset({Strategy.OAUTH2, Strategy.OIDC, Strategy.SAML})
_CANCELLED: Final = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


@dataclass(slots=True, eq=False, repr=False)
class Attempt:
    """The facts gathered so far. Precedence of a reason: the extractor's word, a note, the first failure inside, the exception's
    meaning, the extractor's fallback."""

    hook: Hook
    library: str
    parent: Attempt | None = None
    event: str = ""
    strategy: Strategy = Strategy.UNKNOWN
    status: Status | None = None
    action: str | None = None
    provider: str | None = None
    reason: Reason | None = None
    noted: Reason | None = None
    learnt: Reason | None = None
    fallback: Reason | None = None
    error_type: str | None = None
    subject: str | None = None
    identity: str | None = None
    identity_known: bool | None = None
    actor: Actor | None = None
    tenant: str | None = None
    resource: str | None = None
    token_id: str | None = None
    session_key: str | None = None
    via: str | None = None
    params: dict[str, Param] = field(default_factory=dict)
    inside: list[Attempt] = field(default_factory=list)
    attempts: int = 1
    inferred: bool = False
    closed: bool = False
    time: int = 0
    trace_id: int = 0
    span_id: int = 0

    def __post_init__(self) -> None:
        self.event = self.event or self.hook.event or "auth.authenticate"
        if self.hook.strategy is not None:
            self.strategy = self.hook.strategy

    @property
    def family(self) -> Family:
        """The family of what this attempt is, as known by now."""
        return (lookup(self.event) or EVENTS["custom"]).family

    def absorbs(self, other: Attempt) -> bool:
        """Whether *other*, which ended inside this attempt, is the same thing seen from a lower height."""
        if self.closed:  # a task spawned inside may outlive us
            return False
        family = other.family
        return (
            other.hook.role is Role.EVIDENCE
            or self.same_as(other)
            or family in ABSORBED.get(self.family, ())
            or family in self.hook.absorbs
        )

    def same_as(self, other: Attempt) -> bool:
        """Whether both are of one family; an account may be disabled and renamed at once, recovery codes come with a factor, and
        custom events stand for themselves."""
        family = self.family
        return family is other.family and family is not Family.CUSTOM and (family not in _APART or self.event == other.event)

    def repeats(self, earlier: Attempt) -> bool:
        """Whether *earlier*, of the same subject, was the same thing: one of several factors is not another of them."""
        if self.family in _SEVERAL:
            return all(getattr(self, name) == getattr(earlier, name) for name in _TELLING)
        return self.same_as(earlier)

    def absorb(self, other: Attempt) -> None:
        """Keep our own action and outcome; learn from *other* what we lack. A provider's token names the provider's own user."""
        theirs = other.hook.role is Role.EVIDENCE and other.strategy is Strategy.TOKEN and self.strategy in _ELSEWHERE
        for name in _LEARNT:
            if getattr(self, name) is None and not (theirs and name == "subject"):
                setattr(self, name, getattr(other, name))
        lost = self.status is Status.SUCCESS and other.status is Status.FAILURE  # a success is not won by what failed
        if self.strategy is Strategy.UNKNOWN or (self.strategy.carrier and not other.strategy.carrier and not lost):
            self.strategy = other.strategy
        if other.status is Status.FAILURE:
            self.learnt = self.learnt or other.why
            self.error_type = self.error_type or other.error_type
        self.noted = self.noted or other.noted
        for name, param in other.params.items():
            self.params.setdefault(name, param)

    def note(self, facts: Facts, hook: Hook) -> None:
        """A row of role NOTE ended inside us and says something about us."""
        self.noted = self.noted or facts.reason
        for name in _LEARNT:
            if getattr(self, name) is None:
                setattr(self, name, getattr(facts, name))
        self._take_params(facts, hook)

    def end(self, outcome: Outcome) -> None:
        """Set what the outcome alone tells: success without an exception, failure for one the row knows, unknown otherwise."""
        if outcome.error is None:
            self.status = Status.SUCCESS
        else:
            self.end_by(outcome.error)

    def end_by(self, error: BaseException) -> None:
        """The attempt, or the request that it was waiting for, ended in *error*."""
        meaning = next(
            (self.hook.errors[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in self.hook.errors), None
        )
        self.error_type = type(error).__qualname__
        self.status = Status.UNKNOWN if meaning is None else Status.FAILURE
        self.fallback = meaning or (Reason.CANCELLED if isinstance(error, _CANCELLED) else Reason.BACKEND_ERROR)

    def say(self, facts: Facts) -> None:
        """Take the extractor's word, which wins over everything learnt inside, but for the name of a foreign directory."""
        named = self.subject if self.hook.foreign else None
        for name in (*_SAID, *_SAID_TOO):
            value = getattr(facts, name)
            if value is not None:
                setattr(self, name, value)
        self.subject = named or self.subject
        if facts.strategy is not None and (self.strategy.carrier or not facts.strategy.carrier):
            self.strategy = facts.strategy
        self._take_params(facts, self.hook)

    def _take_params(self, facts: Facts, hook: Hook) -> None:
        if facts.identity is not None:
            self.params[facts.identity_field] = Param(facts.identity, sensitive=True)
        for name, value in facts.params.items():
            if value is not None:
                self.params[name] = Param(value, sensitive=hook.params[name])

    @property
    def why(self) -> Reason | None:
        """The reason a record prints; None for a success."""
        if self.status is Status.SUCCESS:
            return None
        found = self.noted or self.learnt
        if self.status is Status.UNKNOWN:  # it broke off: what had failed before is not why
            return self.reason or self.fallback or found
        return self.reason or found or self.fallback or Reason.UNKNOWN
