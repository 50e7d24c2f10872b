"""django-hijack: an administrator signs in as somebody else, by Django's `login`: without these rows the log says that the victim did.

While it lasts, the session knows who it really is: the first of those who acquired one another.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..hooks import SKIP, Actor, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from . import django_facts as django

__all__ = ("BLIND", "HOOKS")

_FOUND, _FORBIDDEN = 302, 403


def _really(request: Any, user: Any) -> Actor | None:
    """Who hijacks in the name of *user*."""
    history = django.in_session(request, "hijack_history")
    who = django.keyed(user, history[0]) if history and user is not None else django.subject(user)
    return None if who is None else Actor(who)


def _hijacks(call: Call) -> Flow:
    """Each request of a session that was taken over."""
    request, user = call.arg("request"), call.arg("user")
    yield
    return Facts(actor=_really(request, django.loaded(user))) if django.in_session(request, "hijack_history") else SKIP


def _whom(call: Call) -> Flow:
    request = getattr(call.instance, "request", None)
    actor = _really(request, django.user_of(request))
    outcome = yield
    user = outcome.result
    return Facts(subject=django.subject(user), resource=django.resource(user), actor=actor)


def _refused(call: Call) -> Flow:
    """The view's own gates, before it comes to `post`."""
    request = call.arg("request")
    outcome = yield
    if outcome.error is None:
        return SKIP
    params = {"user_pk": django.posted(request, "user_pk")}
    return Facts(params=params, actor=_really(request, django.user_of(request)))


def _acquired(call: Call) -> Flow:
    request = call.arg("request")
    actor = _really(request, django.user_of(request))
    outcome = yield
    return _answered(outcome.result, actor=actor)


def _released(call: Call) -> Flow:
    request = call.arg("request")
    user = django.user_of(request)
    who = {"subject": django.subject(user), "resource": django.resource(user), "actor": _really(request, user)}
    outcome = yield
    return _answered(outcome.result, **who)


def _answered(response: Any, **facts: Any) -> Facts:
    if getattr(response, "status_code", _FOUND) == _FORBIDDEN:
        return Facts(status=Status.FAILURE, reason=Reason.CSRF_FAILED, **facts)
    return Facts(**facts)


_VIEW = partial(
    Hook,
    event="impersonation.start",
    strategy=Strategy.IMPERSONATION,
    errors={"PermissionDenied": Reason.PERMISSION_DENIED, "Http404": Reason.UNKNOWN_IDENTITY},
    overrides=True,
)

HOOKS: tuple[Hook, ...] = (
    _VIEW(target="hijack.views:AcquireUserView.dispatch", extract=_refused, params={"user_pk": False}),
    _VIEW(target="hijack.views:AcquireUserView.post", extract=_acquired, establishes_session=True),
    Hook(target="hijack.views:AcquireUserView.get_object", extract=_whom, role=Role.NOTE, overrides=True),
    _VIEW(target="hijack.views:ReleaseUserView.post", extract=_released, event="impersonation.end"),
    Hook(target="hijack.middleware:HijackUserMiddleware.setup_user", extract=_hijacks, role=Role.HINT),
)

BLIND = (
    "An impersonation that ends because the session ends (sign-out, expiry) has no record of its end but the sign-out.",
    "Records made while somebody is impersonated name the impersonator as their actor only where the request's user was loaded, "
    "and `HijackUserMiddleware` is installed.",
)
