"""django-impersonate: an administrator acts as somebody else, without any sign-in: a middleware swaps the user of each request.

The library's signals tell who acts as whom. What it refuses, it refuses by a redirect; only its checks know.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..hooks import SKIP, Actor, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from . import django_facts as django

__all__ = ("BLIND", "HOOKS")


def _actor(user: Any) -> Actor | None:
    who = django.subject(django.loaded(user))
    return None if who is None else Actor(who)


def _whom(user: Any) -> dict[str, Any]:
    user = django.loaded(user)
    return {"subject": django.subject(user), "resource": django.resource(user)}


def _told(call: Call) -> Flow:
    request = call.arg("request")
    impersonator = call.arg("impersonator") or django.user_of(request)  # 1.9.1 forgets it where the time is up
    facts = {**_whom(call.arg("impersonating")), "actor": _actor(impersonator)}
    yield
    return Facts(session_key=django.session_key(request), **facts)


def _asked(call: Call) -> Flow:
    """A check that says no in the view that starts an impersonation; elsewhere it only asks."""
    request, user = call.arg("request"), call.arg("end_user")
    match = getattr(request, "resolver_match", None)
    if match is None or match.url_name != "impersonate-start":
        return None
    outcome = yield
    if outcome.result is not False:
        return SKIP
    facts = {"params": {"uid": django.text(match.kwargs.get("uid"))}} if user is None else _whom(user)
    return Facts(status=Status.FAILURE, reason=Reason.PERMISSION_DENIED, actor=_actor(django.user_of(request)), **facts)


def _swapped(call: Call) -> Flow:
    request = call.arg("request")
    yield
    actor = _actor(vars(request).get("impersonator"))
    return SKIP if actor is None else Facts(actor=actor)


_IMPERSONATION = partial(Hook, event="impersonation.start", strategy=Strategy.IMPERSONATION)

HOOKS: tuple[Hook, ...] = (
    _IMPERSONATION(target="impersonate.signals:session_begin", extract=_told, role=Role.SIGNAL),
    _IMPERSONATION(target="impersonate.signals:session_end", extract=_told, role=Role.SIGNAL, event="impersonation.end"),
    _IMPERSONATION(target="impersonate.helpers:check_allow_impersonate", extract=_asked, params={"uid": False}),
    _IMPERSONATION(target="impersonate.helpers:check_allow_for_user", extract=_asked),
    Hook(
        target="impersonate.middleware:ImpersonateMiddleware.process_request",
        extract=_swapped,
        role=Role.HINT,
        overrides=True,
    ),
)

BLIND = (
    "A refusal is seen only where the view that starts is named `impersonate-start`, as the library's own URLs have it.",
    "Somebody who impersonates already and asks for a further person is sent away without any check: not seen.",
    "An impersonation that ends because the session ends (sign-out, expiry) has no record of its end but the sign-out; one that "
    "lasts too long ends when the browser follows the redirect to the view that stops it.",
)
