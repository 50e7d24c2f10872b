"""Running one watched call: the extractor before it, the library's own function, the extractor after it.

Whatever happens here, the application gets its own result or exception. When an exception passes, our frames let go of the
arguments first: traceback pages, error mails and crash reporters print the locals of every frame, and arguments are passwords.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import Token
from types import FunctionType
from typing import Any

from ..guard import guard
from ..model.event import Status
from .attempt import Attempt
from .engine import Engine, current_attempt, current_scope
from .hook import SKIP, Call, Closing, Facts, Flow, Hook, Outcome, Role, Skip
from .relay import Relay

__all__ = ("Run", "Watch", "finish", "settle", "start")


class Watch:
    """A row at work on one function."""

    __slots__ = ("bound", "engine", "function", "hook", "library", "site")

    def __init__(self, engine: Engine, hook: Hook, library: str, function: Any, *, bound: bool) -> None:
        self.engine = engine
        self.hook = hook
        self.library = library
        self.function = function
        self.bound = bound
        """Whether the first argument is the instance or class."""
        self.site = f"{library.partition(' ')[0]}:{hook.target.partition(':')[2]}"

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """The call as extractors see it."""
        if self.bound and args:
            return Call(self.function, args[0], args[1:], kwargs)
        return Call(self.function, None, args, kwargs)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run | None:
        """Start the extractor; None where there is nothing to watch. Raises `RecordingRefused` in strict mode only."""
        if not self.engine.active or (self.hook.role is Role.NOTE and current_attempt.get() is None):  # nobody to tell it
            return None
        flow, said = start(self.hook, self.site, self.call(args, kwargs))
        if flow is None:
            return None
        if self.hook.role is Role.RESPONSE:
            self.engine.respond(said)
            return None
        run = Run(self, flow)
        if self.hook.establishes_session:
            self.engine.sink.admit(run.attempt.event)
        return run

    def invoke(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call what we replaced as the library would have: another agent's wrapper on a method must be bound first."""
        try:
            if not self.bound or not args or type(self.function) is FunctionType:
                return self.function(*args, **kwargs)
            return self.function.__get__(args[0], type(args[0]))(*args[1:], **kwargs)
        except BaseException:
            del self, args, kwargs
            raise


class Run:
    """One call being watched."""

    __slots__ = ("attempt", "flow", "token", "watch")

    def __init__(self, watch: Watch, flow: Flow) -> None:
        self.watch = watch
        self.flow = flow
        self.attempt = Attempt(watch.hook, watch.library, current_attempt.get())
        self.token: Token[Attempt | None] | None = None

    def enter(self) -> None:
        """The library's code runs now: what happens inside belongs to this attempt."""
        if self.watch.hook.nest and self.watch.hook.role not in (Role.NOTE, Role.HINT):
            self.token = current_attempt.set(self.attempt)

    def leave(self) -> None:
        """The library's code paused or ended."""
        if self.token is not None:
            current_attempt.reset(self.token)
            self.token = None

    def end(self, outcome: Outcome) -> None:
        """The library is done: hear the extractor and send the attempt on its way."""
        engine, hook, attempt = self.watch.engine, self.watch.hook, self.attempt
        engine.stamp(attempt)
        verdict = finish(self.flow, self.watch.site, outcome)
        with guard(self.watch.site):
            if hook.role is Role.NOTE:
                _note(verdict, hook)
            elif isinstance(verdict, Skip):
                engine.reroute(attempt, evidence=verdict is SKIP)
            else:
                settle(attempt, verdict, outcome, engine.tenant_claim)
                _send(engine, attempt)


def settle(attempt: Attempt, verdict: Facts | Closing | Skip | None, outcome: Outcome, tenant_claim: str | None) -> None:
    """Learn from inside first (the deepest reason, the mechanism), then hear the row's own word, which wins."""
    if attempt.hook.role is not Role.HINT:
        attempt.end(outcome)
        attempt.status = (verdict.status if isinstance(verdict, Facts) else None) or attempt.status
    for inner in _steps(attempt, failed=isinstance(verdict, Facts) and verdict.status is Status.FAILURE):
        attempt.absorb(inner)
    if isinstance(verdict, Facts):
        attempt.say(verdict)
        if verdict.claims is not None and tenant_claim is not None and attempt.tenant is None:
            tenant = verdict.claims.get(tenant_claim)
            attempt.tenant = str(tenant) if isinstance(tenant, (str, int)) else None


def _steps(attempt: Attempt, *, failed: bool) -> list[Attempt]:
    """What *attempt* learns from: not from a service account, nor, where it failed, from the success of who may be one."""
    relay, steps = Relay(), list[Attempt]()
    for inner in attempt.inside:
        if not relay.takes(inner, steps):
            steps.append(inner)
    failed = failed or attempt.status is not Status.SUCCESS
    return [step for step in steps if not (failed and step.hook.relay and step.status is Status.SUCCESS)]


def _send(engine: Engine, attempt: Attempt) -> None:
    if attempt.hook.role is not Role.HINT:
        engine.route(attempt)
        return
    scope = current_scope.get()
    if scope is not None and not scope.closed:
        scope.hint(attempt)


def _note(verdict: Facts | Closing | Skip | None, hook: Hook) -> None:
    innermost = current_attempt.get()
    if innermost is not None and isinstance(verdict, Facts):
        innermost.note(verdict, hook)


def start(hook: Hook, site: str, call: Call) -> tuple[Flow | None, Any]:
    """Run an extractor up to its `yield`, and what that says. No flow if it returned before that (nothing to watch) or failed."""
    flow, said = None, None
    with guard(site) as caught:
        flow = hook.extract(call)
        try:
            said = next(flow)
        except StopIteration:
            flow = None
    return (None, None) if caught.failed else (flow, said)


def finish(flow: Flow, site: str, outcome: Outcome) -> Facts | Closing | Skip | None:
    """Give an extractor the outcome and take its verdict; one that fails says SKIP."""
    verdict: Facts | Closing | Skip | None = SKIP
    with guard(site):
        try:
            flow.send(outcome)
        except StopIteration as stop:
            verdict = stop.value
    return verdict


Driver = Callable[[Watch, tuple[Any, ...], dict[str, Any]], Any]
"""What runs in the place of a watched function."""


def drive_function(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a plain function, or one that hands out a coroutine."""
    run = watch.begin(args, kwargs)
    if run is None:
        return watch.invoke(args, kwargs)
    run.enter()
    try:
        result = watch.invoke(args, kwargs)
    except BaseException as error:
        run.leave()
        run.end(Outcome(error=error))
        del watch, args, kwargs, run
        raise
    run.leave()
    if inspect.iscoroutine(result):
        return await_run(run, result)
    run.end(Outcome(result))
    return result


async def await_run(run: Run, coroutine: Any) -> Any:
    """Await *coroutine* inside the attempt of *run*, and end it with its outcome."""
    run.enter()
    try:
        result = await coroutine
    except BaseException as error:
        run.leave()
        run.end(Outcome(error=error))
        del coroutine, run
        raise
    run.leave()
    run.end(Outcome(result))
    return result
