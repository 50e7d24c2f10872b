"""For an application's own authentication code: the same pipeline, the same exactly-once folding.

    from opentelemetry_instrumentation_authaudit import audit

    with audit.attempt("auth.sign_in", strategy="password", identity=name) as attempt:
        user = check(name, password)          # what libraries report in here is part of this attempt
        if user is None:
            attempt.fail("invalid_credentials")
        else:
            attempt.succeed(subject=str(user.id))

`attempt` encloses what libraries report inside it. `record` tells something that happened just now; what libraries told
at once before it in the same request cannot be taken back, so prefer `attempt` around code that calls them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, TypeVar

from .guard import guard, warn
from .hooks.attempt import Attempt
from .hooks.engine import Engine, active_engine, current_attempt, surroundings
from .hooks.hook import Call, Facts, Flow, Hook, Outcome
from .model.catalog import EVENTS, lookup
from .model.event import Actor, Reason, Status, Strategy

__all__ = ("AttemptHandle", "attempt", "context", "record")

_LIBRARY = "application"
_E = TypeVar("_E", bound=Enum)


def record(
    event: str,
    *,
    status: str = "success",
    action: str | None = None,
    strategy: str | None = None,
    provider: str | None = None,
    subject: str | None = None,
    identity: str | None = None,
    reason: str | None = None,
    error_type: str | None = None,
    actor: str | Actor | None = None,
    tenant: str | None = None,
    resource: str | None = None,
    params: Mapping[str, Any] | None = None,
    time: int | None = None,
) -> str | None:
    """Record something that happened now, or at *time* (nanoseconds since the epoch).

    *event* is a name of the catalogue (`authaudit schema`) or `custom.<name>`; *subject* is the authenticated identity, *identity*
    what was typed as one; a *reason* outside the closed list becomes `unknown` and stands in `error.type`. *params* go through
    the same redaction as those of libraries.

    Returns the record id; None where the record waits for the end of the request, is folded into an enclosing attempt, excluded by
    an option, or where nothing records. Raises ValueError for an unknown event, status or strategy, naming the nearest right one.
    """
    given = _facts(
        event, status=status, action=action, strategy=strategy, provider=provider, subject=subject, identity=identity, reason=reason,
        error_type=error_type, actor=actor, tenant=tenant, resource=resource, params=params,
    )  # fmt: skip
    engine = _engine()
    if engine is None:
        return None
    with guard("audit.record"):
        made = _make(event, given)
        engine.stamp(made)
        made.time = time or made.time
        return engine.route(made)
    return None


class AttemptHandle:
    """An attempt in progress: say how it ended. Saying nothing means success, unless an exception leaves the block."""

    __slots__ = ("_facts", "_made")

    def __init__(self, made: Attempt | None) -> None:
        self._made = made
        self._facts: dict[str, Any] = {}

    def succeed(self, subject: str | None = None, **facts: Any) -> None:
        """It succeeded, for *subject*; further facts as in `record`."""
        self._facts = {**facts, "status": "success", "subject": subject}

    def fail(self, reason: str | Reason | None = None, **facts: Any) -> None:
        """It failed; *reason* from the closed list, further facts as in `record`."""
        self._facts = {**facts, "status": "failure", "reason": reason}


@contextmanager
def attempt(event: str, **facts: Any) -> Iterator[AttemptHandle]:
    """Enclose authentication code: one record at the end, which takes in what libraries report inside. Facts as in `record`.

    An exception that leaves the block sets `error.type`, makes the status `unknown` (unless `succeed` or `fail` was called)
    and goes on. Raises `RecordingRefused` where the `strict` option forbids going on unrecorded.
    """
    first = _facts(event, **facts)
    engine = _engine()
    if engine is None:
        yield AttemptHandle(None)
        return
    engine.sink.admit(event)
    made = _make(event, first)
    made.parent = current_attempt.get()
    handle = AttemptHandle(made)
    token = current_attempt.set(made)
    outcome = Outcome()
    try:
        yield handle
    except BaseException as error:
        outcome = Outcome(error=error)
        raise
    finally:
        current_attempt.reset(token)
        with guard("audit.attempt"):
            engine.stamp(made)
            made.end(outcome)
            for inner in made.inside:
                made.absorb(inner)
            made.say(first)
            if handle._facts:  # noqa: SLF001 -- the handle is the other half of this function
                made.say(_facts(event, **handle._facts))  # noqa: SLF001
            engine.route(made)


def context(tenant: str | None = None, actor: str | Actor | None = None) -> Any:
    """A context manager: every record inside takes over *tenant* and *actor*, unless a library knows its own."""
    return surroundings(tenant, Actor(actor) if isinstance(actor, str) else actor)


def _engine() -> Engine | None:
    engine = active_engine()
    if engine is None:
        warn(
            "audit.inactive",
            "authaudit: an application called audit.record or audit.attempt, but nothing records: run it under opentelemetry-instrument "
            "or call AuthAuditInstrumentor().instrument() first.",
        )
    return engine


def _make(event: str, facts: Facts) -> Attempt:
    hook = Hook(target="application:audit", extract=_never, event=event, params=dict.fromkeys(facts.params, False))
    made = Attempt(hook, _LIBRARY)
    made.say(facts)
    return made


def _never(_call: Call) -> Flow:
    yield
    return None


def _facts(event: str, **given: Any) -> Facts:
    if lookup(event) is None:
        raise ValueError(_unknown("event", event, EVENTS) + " An event of your own is named custom.<name>.")
    known = {**given, "event": event, "params": _params(given.get("params"))}
    for name, kind in (("status", Status), ("strategy", Strategy)):
        if known.get(name) is not None:
            known[name] = _member(kind, name, known[name])
    reason = known.get("reason")
    if reason is not None and not (isinstance(reason, str) and reason in list(Reason)):
        known["error_type"] = known.get("error_type") or (reason if isinstance(reason, str) else type(reason).__name__)
        known["reason"] = Reason.UNKNOWN
    elif reason is not None:
        known["reason"] = Reason(reason)
    if isinstance(known.get("actor"), str):
        known["actor"] = Actor(known["actor"])
    return Facts(**known)


def _params(given: Any) -> dict[str, Any]:
    """The parameters; none of a mapping that raises."""
    with guard("audit.params"):
        return {} if given is None else dict(given)
    return {}


def _member(kind: type[_E], name: str, value: object) -> _E:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(_unknown(name, str(value), [member.value for member in kind])) from None


def _unknown(what: str, given: str, known: Any) -> str:
    near = difflib.get_close_matches(given, list(known), n=1)
    return f"unknown {what} {given!r}" + (f": did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}.")
