"""Where attempts meet: the open attempt and the open request of this context, and the way out to the sink."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry import trace

from ..guard import guard
from ..model.event import Actor, AuditEvent, Request, Sink, Status
from .attempt import Attempt
from .hook import Closing, Emit, Role
from .scope import RequestScope

__all__ = (
    "Ambient",
    "Engine",
    "activate",
    "active_engine",
    "ambient",
    "current_attempt",
    "current_scope",
    "deactivate",
    "surroundings",
)

current_attempt: ContextVar[Attempt | None] = ContextVar("authaudit_attempt", default=None)
current_scope: ContextVar[RequestScope | None] = ContextVar("authaudit_scope", default=None)


@dataclass(frozen=True, slots=True)
class Ambient:
    """What only the application knows about everything that happens inside a block."""

    tenant: str | None = None
    actor: Actor | None = None


ambient: ContextVar[Ambient] = ContextVar("authaudit_ambient", default=Ambient())  # noqa: B039 -- frozen


@contextmanager
def surroundings(tenant: str | None = None, actor: Actor | None = None) -> Iterator[None]:
    """Every record told inside takes over *tenant* and *actor*, unless a library knows its own; nested blocks inherit."""
    outer = ambient.get()
    token = ambient.set(Ambient(tenant or outer.tenant, actor or outer.actor))
    try:
        yield
    finally:
        ambient.reset(token)


class Engine:
    """Routes attempts: into an outer attempt, into the request, or out to the sink as one event. *clock* gives ns since
    the epoch."""

    __slots__ = ("_begun", "active", "clock", "sink", "tenant_claim")

    def __init__(self, sink: Sink, clock: Callable[[], int] = time.time_ns, tenant_claim: str | None = None) -> None:
        """*tenant_claim* is the name of the token claim that holds the tenant."""
        self.tenant_claim = tenant_claim
        self.sink = sink
        self.clock = clock
        self.active = True
        self._begun = False

    def open_scope(self, read: Callable[[str], Request]) -> RequestScope | None:
        """A request came in: its scope, or None if it runs inside one that is open already."""
        if not self._begun:
            self._begun = True
            with guard("sink.begin"):
                self.sink.begin()
        outer = current_scope.get()
        if outer is not None and not outer.closed:
            outer.nest(read)
            return None
        return RequestScope(read)

    def close_scope(self, scope: RequestScope, status_code: int | None, error: BaseException | None = None) -> None:
        """The response is known, or the request broke off."""
        with guard("request.close"):
            self._tell(scope.close(status_code, error), scope)

    def respond(self, closing: Closing) -> None:
        """The response of the request that is being served starts now."""
        scope = current_scope.get()
        if scope is not None:
            self.close_scope(scope, closing.status_code)

    def stamp(self, attempt: Attempt) -> None:
        """An attempt ended now."""
        attempt.closed = True
        attempt.time = self.clock()
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            attempt.trace_id, attempt.span_id = span.trace_id, span.span_id

    def route(self, attempt: Attempt) -> str | None:
        """Send an ended attempt where it belongs; the record id if it was told at once."""
        outer = attempt.parent
        while outer is not None:
            if outer.absorbs(attempt):
                outer.inside.append(attempt)
                return None
            outer = outer.parent
        scope = current_scope.get()
        if scope is not None and not scope.closed:
            return self._tell(scope.add(attempt), scope)
        if attempt.hook.role is Role.EVIDENCE:  # a check outside any request and attempt is nobody's sign-in
            return None
        return self._tell((attempt,), scope)

    def reroute(self, attempt: Attempt, *, evidence: bool = True) -> None:
        """The attempt was none: what happened inside it must not vanish with it, but for *evidence* that is none."""
        for inner in attempt.inside:
            if inner.hook.role is Role.EVIDENCE and not evidence:
                continue
            inner.parent = attempt.parent
            self.route(inner)

    def _tell(self, attempts: Iterable[Attempt], scope: RequestScope | None) -> str | None:
        record_id = None
        for attempt in attempts:
            if attempt.hook.emit is Emit.OFF or (attempt.hook.emit is Emit.FAILURES and attempt.status is Status.SUCCESS):
                continue
            status = attempt.status or Status.UNKNOWN
            if not self.sink.wants(attempt.event, status):
                continue
            record_id = self.sink(event_of(attempt, scope))
        return record_id


_standing: list[Engine] = []


def activate(engine: Engine) -> None:
    """Make *engine* the one that the application's own events (`audit.record`) go through."""
    _standing.append(engine)


def deactivate(engine: Engine) -> None:
    """Undo `activate`."""
    if engine in _standing:
        _standing.remove(engine)


def active_engine() -> Engine | None:
    """The engine activated last, None if nothing records."""
    return _standing[-1] if _standing else None


def event_of(attempt: Attempt, scope: RequestScope | None) -> AuditEvent:
    """The attempt as an event, with what surrounds it."""
    around = ambient.get()
    actor = attempt.actor if scope is None else scope.actor_of(attempt)
    failed = attempt.status is not Status.SUCCESS
    return AuditEvent(
        event=attempt.event,
        status=attempt.status or Status.UNKNOWN,
        time=attempt.time,
        library=attempt.library,
        action=attempt.action,
        strategy=attempt.strategy,
        provider=attempt.provider,
        reason=attempt.why,
        error_type=attempt.error_type if failed else None,
        inferred=attempt.inferred,
        subject=attempt.subject,
        identity=attempt.identity,
        identity_known=True if attempt.subject is not None else attempt.identity_known,
        actor=actor or around.actor,
        tenant=attempt.tenant or around.tenant,
        resource=attempt.resource,
        token_id=attempt.token_id,
        session_key=attempt.session_key,
        attempts=attempt.attempts,
        params=attempt.params,
        request=None if scope is None else scope.request(),
        trace_id=attempt.trace_id,
        span_id=attempt.span_id,
    )
