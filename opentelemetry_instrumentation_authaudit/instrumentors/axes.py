"""django-axes: who is locked out, when the lock falls, and who lifts it.

The sign-in that a lock refuses is Django's (`authenticate`); axes adds why. It tells of the lock by a signal, which it sends again
for each try against a lock that stands: only the first is an event.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakSet

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Role, Status
from . import django_facts as django

__all__ = ("BLIND", "HOOKS")

_locked: Final[WeakSet[Any]] = WeakSet()
"""Requests whose credentials were refused unseen, because a lock stands."""


def _refused(call: Call) -> Flow:
    request = call.arg("request", next(iter(call.args), None))  # axes hides the names of its arguments
    outcome = yield
    if type(outcome.error).__name__ != "AxesBackendPermissionDenied":
        return None
    _locked.add(request)
    return Facts(reason=Reason.LOCKED_ACCOUNT)


def _closed(call: Call) -> Flow:
    """A view that axes guards is not even entered: whatever was sent to sign in, nobody looks at it."""
    request = call.arg("request")
    if call.arg("credentials") is not None or getattr(request, "method", None) != "POST":
        return None
    outcome = yield
    if outcome.result is not False:
        return SKIP
    return Facts(status=Status.FAILURE, reason=Reason.LOCKED_ACCOUNT, identity=_sent_name(request))


def _sent_name(request: Any) -> str | None:
    """The name in the form, where axes has read it."""
    from axes.conf import settings  # noqa: PLC0415 -- the application has imported it

    return django.posted(request, settings.AXES_USERNAME_FORM_FIELD)


def _locks(call: Call) -> Flow:
    request, username = call.arg("request"), django.text(call.arg("username"))
    yield
    return SKIP if request in _locked else Facts(identity=username)


def _lifted(call: Call) -> Flow:
    username = django.text(call.arg("username"))
    given = [name for name in ("username", "ip_address") if call.arg(name)]
    outcome = yield
    if outcome.result == 0:
        return SKIP  # there was nothing to lift
    return Facts(identity=username, actor=django.actor(None), params={"by": ",".join(given) or "all"})


HOOKS: tuple[Hook, ...] = (
    Hook(target="axes.backends:AxesStandaloneBackend.authenticate", extract=_refused, role=Role.NOTE, overrides=True),
    Hook(target="axes.handlers.proxy:AxesProxyHandler.is_allowed", extract=_closed, role=Role.HINT, event="auth.sign_in"),
    Hook(target="axes.signals:user_locked_out", extract=_locks, role=Role.SIGNAL, event="account.lock"),
    Hook(
        target="axes.handlers.proxy:AxesProxyHandler.reset_attempts",
        extract=_lifted,
        event="account.unlock",
        params={"by": False},
    ),
)

BLIND = (
    "A lock that ends by time, by a successful sign-in, or because its rows are deleted (admin, SQL) is not seen to end.",
    "axes locks names and addresses, not accounts: the records of locks have an identity and no subject.",
    "A locked request other than POST is no attempt; a view that only asks whether a lock stands may look like one.",
)
