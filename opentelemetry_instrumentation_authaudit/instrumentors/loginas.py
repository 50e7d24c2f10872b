"""django-loginas: an administrator signs in as somebody else, by Django's `login`: without these rows the log says that the victim did.

The session keeps, signed, who it really is; to stop is to sign out, and to be signed in again as oneself.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from ..hooks import SKIP, Actor, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from . import django_facts as django

__all__ = ("BLIND", "HOOKS")

_FOUND, _FORBIDDEN = 302, 403


def _really(request: Any, user: Any) -> Actor | None:
    """Who is behind *user*, if somebody is: the name of the session's entry is the application's."""
    flag: Any = getattr(sys.modules.get("loginas.settings"), "USER_SESSION_FLAG", None)
    signed = django.text(django.in_session(request, flag))
    if signed is None or django.subject(user) is None:
        return None
    return Actor(django.keyed(user, signed.rsplit(":", 2)[0]))


def _acts(request: Any) -> Actor | None:
    """Who asks to be somebody else."""
    user = django.user_of(request)
    who = django.subject(user)
    return _really(request, user) or (None if who is None else Actor(who))


def _whom(user: Any) -> dict[str, Any]:
    user = django.loaded(user)
    return {"subject": django.subject(user), "resource": django.resource(user)}


def _started(call: Call) -> Flow:
    request, user = call.arg("request"), call.arg("user")
    _load(request)
    actor, why = _acts(request), django.text(call.arg("reason"))
    yield
    return Facts(actor=actor, params={"reason": why or None}, **_whom(user))


def _ended(call: Call) -> Flow:
    """Without an impersonation it is a plain sign-out."""
    request = call.arg("request")
    _load(request)
    user = django.user_of(request)
    actor = _really(request, user)
    yield
    return SKIP if actor is None else Facts(actor=actor, **_whom(user))


def _load(request: Any) -> None:
    """Both functions begin with whoever is signed in; so nobody is loaded who would not be."""
    getattr(getattr(request, "user", None), "pk", None)


def _refused(call: Call) -> Flow:
    """The view answers with a redirect either way; if it has not signed in, it has refused."""
    request, key = call.arg("request"), django.text(call.arg("user_id"))
    outcome = yield
    code = getattr(outcome.result, "status_code", None)
    if outcome.error is not None:
        return Facts(params={"user_id": key})  # `login_as` knows who it was, if it came to that
    if code == _FORBIDDEN:
        return Facts(status=Status.FAILURE, reason=Reason.CSRF_FAILED, params={"user_id": key}, actor=_acts(request))
    if code != _FOUND or _is(django.user_of(request), key):
        return SKIP
    whom = django.stored(key)  # the view had loaded them before it asked who may act as them
    return Facts(status=Status.FAILURE, fallback=_why(request), actor=_acts(request), **whom)


def _why(request: Any) -> Reason:
    required = getattr(sys.modules.get("loginas.settings"), "LOGIN_REASON_REQUIRED", False)
    missing = required and not (django.posted(request, "reason") or "").strip()
    return Reason.POLICY_DENIED if missing else Reason.PERMISSION_DENIED


def _is(user: Any, key: str | None) -> bool:
    """Whether the request's user is by now the one asked for."""
    return user is not None and str(getattr(user, "pk", None)) == key


def _impersonates(call: Call) -> Flow:
    """Each request of a session that somebody else is behind."""
    request = call.arg("request")
    outcome = yield
    actor = None if outcome.error is not None else _really(request, outcome.result)
    return SKIP if actor is None else Facts(actor=actor)


_IMPERSONATION = partial(Hook, event="impersonation.start", strategy=Strategy.IMPERSONATION)
_HINT = partial(Hook, extract=_impersonates, role=Role.HINT)

HOOKS: tuple[Hook, ...] = (
    _IMPERSONATION(
        target="loginas.utils:login_as",
        extract=_started,
        params={"reason": True},
        errors={"ImproperlyConfigured": Reason.BACKEND_ERROR},  # nobody was signed in: no backend has that user
        establishes_session=True,
    ),
    _IMPERSONATION(target="loginas.utils:restore_original_login", extract=_ended, event="impersonation.end"),
    _IMPERSONATION(
        target="loginas.views:user_login",
        extract=_refused,
        params={"user_id": False},
        errors={"DoesNotExist": Reason.UNKNOWN_IDENTITY},
    ),
    _HINT(target="django.contrib.auth:get_user"),
    _HINT(target="django.contrib.auth:aget_user", optional=True),
)

BLIND = (
    "Refusals are not seen where the URLs of django-loginas were loaded before it was watched.",
    "Where a reason must be given and is missing, a refusal is `policy_denied`: the library says no to either in the same way.",
    "An impersonation that ends because the session expires, or by a sign-out that is not the library's, has no record of its end.",
)
