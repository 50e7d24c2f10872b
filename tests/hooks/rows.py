"""Rows for the fake library, as an instrumentor file would write them."""

from __future__ import annotations

from typing import Any

from opentelemetry_instrumentation_authaudit.hooks import (
    SILENCE,
    SKIP,
    Call,
    Facts,
    Flow,
    Hook,
    Reason,
    Role,
    Status,
    Strategy,
)


def user_or_none(call: Call) -> Flow:
    """The library returns the user, or None for a failure."""
    user = call.arg("user")
    outcome = yield
    if outcome.error is None and outcome.result is None:
        return Facts(status=Status.FAILURE, subject=user, fallback=Reason.INVALID_CREDENTIALS)
    return Facts(subject=user)


def subject(call: Call) -> Flow:
    """Only the subject."""
    yield
    return Facts(subject=call.arg("user"))


def right_or_wrong(_call: Call) -> Flow:
    """A low-level check."""
    outcome = yield
    if outcome.result:
        return Facts()
    return Facts(status=Status.FAILURE, reason=Reason.WRONG_PASSWORD)


def inactive(_call: Call) -> Flow:
    """A note: False means that the account is not active."""
    outcome = yield
    return Facts(reason=Reason.INACTIVE_ACCOUNT) if outcome.result is False else None


def not_an_event(_call: Call) -> Flow:
    """A verdict of SKIP."""
    yield
    return SKIP


def nothing_shown(_call: Call) -> Flow:
    """A verdict of SILENCE."""
    yield
    return SILENCE


def broken(_call: Call) -> Flow:
    """An extractor with a fault."""
    yield
    raise LookupError("fault of ours")


def row(path: str, extract: Any = subject, *, event: str | None = "auth.sign_in", **more: Any) -> Hook:
    """A row on the fake library."""
    return Hook(target=f"fakelib:{path}", extract=extract, event=event, **more)


CHECK = row("check", right_or_wrong, event=None, role=Role.EVIDENCE, strategy=Strategy.PASSWORD)
AUTHENTICATE = row("authenticate", user_or_none, event="auth.authenticate", defer=True)
AAUTHENTICATE = row("aauthenticate", user_or_none, event="auth.authenticate", defer=True)
LOGIN = row("login", strategy=Strategy.SESSION)
LOGOUT = row("logout", event="auth.sign_out", strategy=Strategy.SESSION)
REGISTER = row("register", event="auth.register", strategy=Strategy.PASSWORD)
NOTE = row("note", inactive, event=None, role=Role.NOTE)
