"""django-sesame: sign-in links. A link is made by `create_token`; who follows it goes through Django's `authenticate`.

The library answers None to every token it does not take; whether it was too old, its own steps tell.
"""

from __future__ import annotations

from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Final

from ..hooks import Call, Facts, Flow, Hook, Reason, Role, Strategy
from . import django_facts as django

__all__ = ("BLIND", "HOOKS")

_longest: Final[ContextVar[float | None]] = ContextVar("authaudit_sesame_longest", default=None)
"""The greatest age, in seconds, of the token that is being read."""


def _made(call: Call) -> Flow:
    user, scope = call.arg("user"), call.arg("scope")
    yield
    subject = django.subject(user)
    return Facts(subject=subject, resource=django.resource(user), actor=django.actor(subject), params={"scope": scope or None})


def _read(call: Call) -> Flow:
    """Tried by `authenticate`, which tells who it was."""
    from sesame import settings  # noqa: PLC0415 -- the application has imported it

    scope, longest = call.arg("scope"), call.arg("max_age")
    if settings.MAX_AGE is None or longest is None:
        longest = settings.MAX_AGE
    token = _longest.set(longest.total_seconds() if isinstance(longest, timedelta) else longest)
    try:
        outcome = yield
    finally:
        _longest.reset(token)
    refused = outcome.error is None and outcome.result is None
    return Facts(reason=Reason.INVALID_CODE if refused else None, params={"scope": scope or None})


def _aged(_call: Call) -> Flow:
    outcome = yield
    age, longest = outcome.result[0] if outcome.error is None else None, _longest.get()
    return Facts(reason=Reason.CODE_EXPIRED) if age is not None and longest is not None and age >= longest else None


def _unsigned(_call: Call) -> Flow:
    outcome = yield
    return Facts(reason=Reason.CODE_EXPIRED) if type(outcome.error).__name__ == "SignatureExpired" else None


_SCOPE: Final[dict[str, Any]] = {"params": {"scope": False}}

HOOKS: tuple[Hook, ...] = (
    Hook(
        target="sesame.tokens:create_token",
        extract=_made,
        event="auth.magic_link.request",
        strategy=Strategy.MAGIC_LINK,
        **_SCOPE,
    ),
    Hook(target="sesame.tokens:parse_token", extract=_read, role=Role.NOTE, **_SCOPE),
    Hook(target="sesame.tokens_v2:unpack_timestamp", extract=_aged, role=Role.NOTE),
    Hook(target="sesame.tokens_v1:unsign", extract=_unsigned, role=Role.NOTE),
)

BLIND = (
    "A link asked for by somebody without an account makes no token, and leaves no record.",
    "A link that was used up, revoked by a new password, forged or cut off is refused for one reason, `invalid_code`: the library "
    "cannot tell either; nor whose it was.",
    "A request that carries no token is no attempt.",
)
