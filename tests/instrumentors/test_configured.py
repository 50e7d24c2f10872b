"""The option `hooks`: an application's own functions by dotted path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest

from opentelemetry_instrumentation_authaudit.hooks import Reason, Status, Strategy
from opentelemetry_instrumentation_authaudit.instrumentors.configured import HookSyntaxError, parse, rows

from ..hooks.conftest import Bench


@pytest.fixture
def application() -> Iterator[ModuleType]:
    """A module with a check of its own."""
    module = ModuleType("storyapp")
    exec(
        "def check_login(request, username, password):\n"
        "    if password == 'crash': raise RuntimeError\n"
        "    return make(username) if password == 'ok' else None\n",
        module.__dict__,
    )
    module.__dict__["make"] = lambda name: SimpleNamespace(id=7, name=name)
    sys.modules["storyapp"] = module
    yield module
    del sys.modules["storyapp"]


def test_function_is_audited_without_code(application: ModuleType) -> None:
    """True is a success of whoever is returned, false a failure, an exception an unknown outcome."""
    bench = Bench()
    bench.installation.add(rows(["storyapp:check_login -> sign_in password"]), library=lambda: "application", trigger="storyapp")
    application.check_login(None, "ann", "ok")
    application.check_login(None, username="ann", password="no")
    with pytest.raises(RuntimeError):
        application.check_login(None, "ann", "crash")
    assert [(e.event, e.strategy, e.status, e.identity, e.subject, e.reason) for e in bench.events] == [
        ("auth.sign_in", Strategy.PASSWORD, Status.SUCCESS, "ann", "7", None),
        ("auth.sign_in", Strategy.PASSWORD, Status.FAILURE, "ann", None, Reason.INVALID_CREDENTIALS),
        ("auth.sign_in", Strategy.PASSWORD, Status.UNKNOWN, "ann", None, Reason.BACKEND_ERROR),
    ]
    bench.installation.remove()


def test_events_may_be_written_in_full_or_short() -> None:
    """`sign_in` is `auth.sign_in`; other events are written as the catalogue has them; the strategy may be left out."""
    assert parse("a:b -> sign_in").event == "auth.sign_in"
    assert parse("a.b:C.d -> password.change").event == "password.change"
    assert parse("a:b->custom.door_opened api_key").strategy is Strategy.API_KEY
    assert parse("a:b -> sign_in").strategy is Strategy.CUSTOM


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("check_login", "is not of the form"),
        ("a:b -> sign_on", "no event is called 'sign_on'"),
        ("a:b -> sign_in pasword", "no strategy is called 'pasword'"),
    ],
)
def test_mistake_is_explained(spec: str, says: str) -> None:
    """The message shows the mistake and what is right."""
    with pytest.raises(HookSyntaxError, match=says):
        parse(spec)
