"""One inbound request: it parks what may turn out to be part of something bigger, and tells it when the response is known.

In most frameworks the credential check and the login are siblings in a request, not parent and child, so nesting alone would
count one sign-in twice; and most have no word for a wrong password at all, so failures are concluded from evidence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Lock
from typing import Final

from ..guard import guard
from ..model.catalog import Family
from ..model.event import Actor, Reason, Request, Status, Strategy
from .attempt import ABSORBED, Attempt
from .hook import Role
from .relay import Relay, stands_for

__all__ = ("RequestScope",)

_TAKES_EVIDENCE: Final = frozenset({Family.SIGN_IN, Family.PASSWORD, Family.REGISTER})
_BETTER_THAN_EVIDENCE: Final = _TAKES_EVIDENCE | {Family.TOKEN}
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_OPPOSITE: Final = {Family.SIGN_IN: Family.SIGN_OUT, Family.SIGN_OUT: Family.SIGN_IN}
_REFUSALS: Final = {"auth.verify": (401,), "api_key.verify": (401, 403)}
"""Status codes that refuse the credential a request carried; any other refuses what was asked for with it."""
_BY_STATUS_CODE: Final = {
    400: Reason.INVALID_CREDENTIALS,
    401: Reason.INVALID_CREDENTIALS,
    403: Reason.PERMISSION_DENIED,
    422: Reason.INVALID_INPUT,
    429: Reason.RATE_LIMITED,
}


class RequestScope:
    """The attempts of one request. Methods return the attempts to tell now; a closed scope takes nothing any more."""

    __slots__ = ("_flow_id", "_inner", "_lock", "_read", "_relay", "closed", "done", "evidence", "hints", "parked")

    def __init__(self, read: Callable[[str], Request]) -> None:
        self._read = read
        self._inner: Callable[[str], Request] | None = None
        self._flow_id = ""
        self._lock = Lock()
        self._relay = Relay()
        self.parked: list[Attempt] = []
        self.evidence: list[Attempt] = []
        self.done: list[Attempt] = []
        self.hints: list[Attempt] = []
        self.closed = False

    def nest(self, read: Callable[[str], Request]) -> None:
        """An application mounted inside was entered: it knows the route where the one outside does not."""
        self._inner = read

    def request(self) -> Request | None:
        """The request as known by now; read anew each time, since the route is known late."""
        self._flow_id = self._flow_id or os.urandom(16).hex()
        found = None
        with guard("request.read"):
            found = self._read(self._flow_id)
        if self._inner is not None and found is not None:
            with guard("request.read"):
                inner = self._inner(self._flow_id)
                found = replace(found, route=found.route or inner.route, path=inner.path or found.path)
        return found or Request(flow_id=self._flow_id)

    def add(self, attempt: Attempt) -> tuple[Attempt, ...]:
        """Take an attempt that no outer attempt absorbed."""
        with self._lock:
            if attempt.hook.role is Role.EVIDENCE:
                self.evidence.append(attempt)
                return ()
            if self._told(attempt) or self._relay.takes(attempt, self.parked):
                return ()
            carried = attempt.family is Family.REQUEST_AUTH  # what is refused to it is another matter
            if attempt.hook.defer and attempt.status is Status.SUCCESS and not carried:
                self.parked.append(attempt)
                return ()
            self._gather(attempt)
            _name(attempt)
            self.done.append(attempt)
            return (attempt,)

    def hint(self, attempt: Attempt) -> None:
        """Take facts about the request; they matter only when it closes."""
        with self._lock:
            self.hints.append(attempt)

    def actor_of(self, attempt: Attempt) -> Actor | None:
        """Who does it, where that is not the subject: a hint may know that somebody impersonates the user who seems to act."""
        real = next((hint.actor for hint in self.hints if hint.actor is not None), None)
        return attempt.actor if real is None else None if real.id == attempt.subject else real

    def close(self, status_code: int | None, error: BaseException | None) -> list[Attempt]:
        """The response is known: tell what was parked, then what can only be concluded. Closing again tells nothing."""
        with self._lock:
            if self.closed:
                return []
            self.closed = True
            before = len(self.done)
            lookups = self._lookups()
            for attempt in (p for p in self.parked if p not in lookups):
                self._judge(attempt, status_code, error)
                _name(attempt)
                self.done.append(attempt)
            for hint in self.hints:
                if hint.hook.event is not None and not self._seen({hint.family}):
                    self.done.extend(self._infer(hint, status_code, error))
            self.done.extend(self._found_nobody(lookups, status_code))
            self.done.extend(self._leftovers())
            return self.done[before:]

    def _told(self, attempt: Attempt) -> bool:
        """The same success told twice: djoser and knox send Django's signals again, JWT-Extended mints two tokens."""
        if attempt.status is not Status.SUCCESS or attempt.subject is None:
            return False
        for earlier in reversed(self.done):
            if earlier.status is not Status.SUCCESS or not _one_person(earlier, attempt):
                continue
            if attempt.repeats(earlier):
                return True
            if earlier.family is _OPPOSITE.get(attempt.family):
                return False
        return False

    def _gather(self, attempt: Attempt) -> None:
        """Absorb the siblings that were steps of this attempt."""
        steps = [p for p in self.parked if _closes(attempt, p) and _same_subject(p, attempt)]
        for step in steps:
            self.parked.remove(step)
            attempt.absorb(step)
        if attempt.family is Family.SIGN_IN and attempt.strategy.carrier and attempt.status is Status.SUCCESS:
            self._adopt_strategy(attempt)
        if attempt.family in _TAKES_EVIDENCE:
            mine = self._take_evidence(attempt)
            failures = sum(e.status is Status.FAILURE for e in mine)
            if attempt.status is Status.SUCCESS:
                attempt.attempts += failures
                proven = len(mine) > failures or any(step.event == "auth.authenticate" for step in steps)
                if attempt.event == "token.issue" and proven:
                    attempt.event = "auth.sign_in"  # a token handed out for a password is a sign-in

    def _take_evidence(self, attempt: Attempt) -> list[Attempt]:
        """The checks that speak of *attempt* are its own from now on; it learns from those that agree with it."""
        mine = [e for e in self.evidence if _speaks_of(e, attempt)]
        self.evidence = [e for e in self.evidence if e not in mine]
        for evidence in mine:
            if attempt.status in (evidence.status, Status.FAILURE):
                attempt.absorb(evidence)
        return mine

    def _adopt_strategy(self, attempt: Attempt) -> None:
        """A token issued to a request that proved itself another way (Basic) was won by that way."""
        for proof in self.done:
            same = proof.family is Family.REQUEST_AUTH and proof.subject == attempt.subject
            if same and proof.status is Status.SUCCESS and not proof.strategy.carrier:
                attempt.absorb(proof)

    def _lookups(self) -> list[Attempt]:
        """Binds that cannot be those of the person who typed a name: a service account looked that one up, and found nobody."""
        typed = self._typed()
        return [step for step in self.parked if step.hook.relay and typed is not None and not stands_for(step, typed)]

    def _found_nobody(self, lookups: list[Attempt], status_code: int | None) -> Iterator[Attempt]:
        """A name was looked up, no password was checked after it, and the response refuses: that is the failure of whoever typed it."""
        for step in lookups[:1]:
            if status_code in _BY_STATUS_CODE and not self._seen({Family.SIGN_IN}):
                step.status, step.fallback, step.inferred = Status.FAILURE, _BY_STATUS_CODE[status_code], True
                step.subject, step.identity, step.params = None, self._typed(), {}
                _name(step)
                yield step

    def _typed(self) -> str | None:
        return next((hint.identity for hint in self.hints if hint.identity), None)

    @staticmethod
    def _judge(attempt: Attempt, status_code: int | None, error: BaseException | None) -> None:
        """Right credentials, no session: the request may have been refused after all, or have broken off."""
        attempt.noted = attempt.learnt = attempt.error_type = None  # what failed on the way to a success is not why
        if error is not None:
            attempt.end_by(error)
        elif status_code is not None and status_code >= _SERVER_ERROR:
            attempt.status, attempt.fallback = Status.UNKNOWN, Reason.BACKEND_ERROR
        elif status_code is not None and status_code >= _CLIENT_ERROR:
            attempt.status, attempt.fallback = Status.FAILURE, attempt.fallback or Reason.REJECTED_AFTER_VERIFICATION

    def _infer(self, hint: Attempt, status_code: int | None, error: BaseException | None) -> Iterator[Attempt]:
        """Nobody said what became of the attempt that a hint announced: conclude it from the evidence and the response."""
        hint.inferred = True
        if hint.status is None:
            self._conclude(hint, status_code, error)
        elif hint.status is Status.FAILURE and self._checks(hint)[-1:] == [Status.SUCCESS]:
            hint.fallback = Reason.REJECTED_AFTER_VERIFICATION
        if hint.status is not None:
            mine = self._take_evidence(hint)
            hint.attempts = max(sum(e.status is Status.FAILURE for e in mine), 1)
            yield hint

    def _conclude(self, hint: Attempt, status_code: int | None, error: BaseException | None) -> None:
        """A check that failed last has the last word, whatever the page that tells so; then the response speaks.

        A response is silent about a credential that the request only carried, unless it refuses just that.
        """
        checks = self._checks(hint)
        broken = error is not None or status_code is None or status_code >= _SERVER_ERROR
        if checks and checks[-1] is Status.FAILURE:
            hint.status, hint.fallback = Status.FAILURE, Reason.INVALID_CREDENTIALS
        elif not broken and self._refuses(hint, status_code or 0):
            hint.status = Status.FAILURE
            hint.fallback = Reason.REJECTED_AFTER_VERIFICATION if checks else _BY_STATUS_CODE.get(status_code or 0)
        elif not broken or (checks and hint.family is Family.REQUEST_AUTH):
            hint.status = Status.SUCCESS
        elif error is not None and hint.family is not Family.REQUEST_AUTH:
            hint.end_by(error)
        elif hint.family is not Family.REQUEST_AUTH:
            hint.status, hint.fallback = Status.UNKNOWN, Reason.BACKEND_ERROR

    def _checks(self, hint: Attempt) -> list[Status | None]:
        """How the checks that speak of *hint* ended, in their order."""
        return [e.status for e in self.evidence if _speaks_of(e, hint) and e.status is not Status.UNKNOWN]

    def _refuses(self, hint: Attempt, status_code: int) -> bool:
        """Whether *status_code* refuses what *hint* announced, and not something else that failed in this request."""
        if hint.family is not Family.REQUEST_AUTH:
            return status_code >= _CLIENT_ERROR
        others = [*self.done, *(e for e in self.evidence if not _speaks_of(e, hint))]
        return status_code in _REFUSALS.get(hint.event, (401,)) and all(o.status is not Status.FAILURE for o in others)

    def _leftovers(self) -> Iterator[Attempt]:
        """Checks that nothing better speaks of: one inferred event for each kind of check.

        A good one is told only by rows with an event of their own (a second factor): a right password alone is no sign-in.
        """
        seen = {attempt.family for attempt in self.done}
        for event in dict.fromkeys(e.event for e in self.evidence):
            kind = [e for e in self.evidence if e.event == event and e.status is not Status.UNKNOWN]
            good = [e for e in kind if e.status is Status.SUCCESS]  # after a bad one: an older key or hash was tried first
            if not kind or seen & {*_BETTER_THAN_EVIDENCE, kind[0].family} or (good and good[-1].hook.event is None):
                continue
            last = (good or kind)[-1]
            last.inferred, last.attempts = True, len(kind) - len(good) + bool(good)
            typed = next((hint for hint in self.hints if hint.identity is not None), None)
            if last.identity is None and typed is not None and last.family is not Family.REQUEST_AUTH:  # a token names its own
                last.identity = typed.identity
                last.params |= typed.params
            yield last

    def _seen(self, families: frozenset[Family] | set[Family]) -> bool:
        return any(attempt.family in families for attempt in self.done)


def _name(attempt: Attempt) -> None:
    """Credentials that a request shows and that are not accepted are a sign-in that failed: one question finds them all.

    `auth.authenticate` is left to what no sign-in follows although it succeeded, and to checks outside any request.
    """
    if attempt.event == "auth.authenticate" and attempt.status is not Status.SUCCESS:
        attempt.event = "auth.sign_in"


def _closes(attempt: Attempt, step: Attempt) -> bool:
    """Whether *step* may have been one of *attempt*: what a sign-in takes in beside it, it also takes in from inside."""
    return step.family is attempt.family or (attempt.family is Family.SIGN_IN and step.family in ABSORBED[Family.SIGN_IN])


def _one_person(one: Attempt, other: Attempt) -> bool:
    """Whether both may speak of one person: a directory has names of its own for the application's users."""
    return one.hook.foreign is not other.hook.foreign or one.subject == other.subject


def _same_subject(step: Attempt, attempt: Attempt) -> bool:
    """A success may close a step of nobody in particular; a failure only takes a step that certainly was its own: a session that is
    refused was asked for with what had been checked elsewhere, and so is an account that a provider's word does not find."""
    if step.hook.foreign is not attempt.hook.foreign:
        return attempt.status is Status.SUCCESS or attempt.strategy in {Strategy.SESSION, step.strategy}
    if attempt.status is Status.SUCCESS:
        return step.subject is None or attempt.subject is None or step.subject == attempt.subject
    return step.subject is not None and step.subject == attempt.subject


def _speaks_of(evidence: Attempt, attempt: Attempt) -> bool:
    """The check of a token speaks of a token that the request carries, and any other check of anything but that."""
    carried = attempt.family is Family.REQUEST_AUTH and attempt.strategy.carrier
    return (evidence.family is Family.REQUEST_AUTH) is carried
