"""A fake library, fresh for each test, and an engine whose events end in a list."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.hooks import Hook, Request
from opentelemetry_instrumentation_authaudit.hooks.engine import Engine, current_scope
from opentelemetry_instrumentation_authaudit.hooks.install import Installation
from opentelemetry_instrumentation_authaudit.hooks.scope import RequestScope
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, RecordingRefused, Status

SOURCE = Path(__file__).with_name("fakelib_source.py").read_text()


class Events(list[AuditEvent]):
    """A sink that keeps what it is given."""

    refuse = False
    unwanted = False
    begun = 0

    def begin(self) -> None:
        """Count how often we were told that a first request came in."""
        self.begun += 1

    def wants(self, event: str, status: Status) -> bool:
        """Everything may be recorded, unless told otherwise."""
        return not self.unwanted

    def admit(self, event: str) -> None:
        """Refuse everything when told to."""
        if self.refuse:
            raise RecordingRefused(event)

    def __call__(self, event: AuditEvent) -> str | None:
        self.append(event)
        return str(len(self))

    def told(self) -> list[tuple[Any, ...]]:
        """(event, strategy, status, subject, reason) of each, and forget them."""
        short = [(e.event, e.strategy.value, e.status.value, e.subject, e.reason.value if e.reason else None) for e in self]
        self.clear()
        return short


class Bench:
    """An engine with its installation on the fake library."""

    def __init__(self) -> None:
        self.events = Events()
        self.engine = Engine(self.events, clock=itertools.count(1).__next__)
        self.installation = Installation(self.engine)

    def install(self, *hooks: Hook) -> None:
        """Put rows in place."""
        self.installation.add(hooks, library=lambda: "fakelib 1.0", trigger="fakelib")

    def request(self, status_code: int | None = 200, error: BaseException | None = None) -> _Request:
        """A request around a block: `with bench.request(403): ...`."""
        return _Request(self.engine, status_code, error)


class _Request:
    def __init__(self, engine: Engine, status_code: int | None, error: BaseException | None) -> None:
        self.engine, self.status_code, self.error = engine, status_code, error

    def __enter__(self) -> RequestScope:
        scope = self.engine.open_scope(lambda flow_id: Request(flow_id=flow_id, peer="192.0.2.1"))
        assert scope is not None
        self.scope = scope
        self.token = current_scope.set(scope)
        return scope

    def __exit__(self, *_: object) -> None:
        current_scope.reset(self.token)
        self.engine.close_scope(self.scope, self.status_code, self.error)


def load(name: str = "fakelib") -> ModuleType:
    """Import the fake library under *name*, anew."""
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(SOURCE, f"{name}.py", "exec"), module.__dict__)
    return module


@pytest.fixture
def fakelib() -> Iterator[ModuleType]:
    """The fake library, imported before any row is installed."""
    yield load()
    _forget(["fakelib"])


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An engine; whatever a test installed is taken out at its end."""
    made = Bench()
    yield made
    made.installation.remove()


def _forget(names: Iterable[str]) -> None:
    for name in names:
        sys.modules.pop(name, None)
