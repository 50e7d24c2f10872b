"""django-rest-knox: many tokens for a user, each with an end, stored as hashes.

Its login view trusts the credentials that the request carries (Basic, mostly), which Django REST framework has checked before; it
sends Django's signals without a session. Expired tokens are deleted while another one is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..hooks import SKIP, Call, Facts, Family, Flow, Hook, Reason, Role, Status, Strategy
from . import django_facts as django
from . import rest_facts as rest

__all__ = ("BLIND", "HOOKS")


def _login(call: Call) -> Flow:
    """The only refusal of the view's own is that the user has as many tokens as allowed."""
    request = rest.first(call, "request")
    outcome = yield
    facts = rest.who(rest.user_of(request))
    if outcome.error is not None:
        return rest.verdict(outcome.error, **facts)
    verdict = rest.answered(outcome.result, **facts)
    too_many = verdict.fallback is Reason.PERMISSION_DENIED
    return Facts(**facts, status=Status.FAILURE, reason=Reason.POLICY_DENIED) if too_many else verdict


def _logout(call: Call, action: str | None = None) -> Flow:
    request = rest.first(call, "request")
    facts = rest.who(rest.user_of(request)) | {"token_id": rest.key_of(vars(request).get("_auth"))}
    outcome = yield
    return rest.verdict(outcome.error, action=action, **facts)


def _created(call: Call) -> Flow:
    facts = rest.who(rest.first(call, "user"))
    outcome = yield
    token = outcome.result[0] if isinstance(outcome.result, tuple) else None
    return Facts(token_id=rest.key_of(token), actor=django.actor(facts["subject"]), **facts)


def _deleted(call: Call) -> Flow:
    token = call.instance
    facts = rest.owner(token) | {"token_id": rest.key_of(token)}
    yield
    return Facts(actor=django.actor(facts["subject"]), **facts)


def _checked(_call: Call) -> Flow:
    outcome = yield
    if outcome.error is not None:
        return Facts(**rest.complaint(outcome.error))
    if not isinstance(outcome.result, tuple):
        return SKIP
    user, token = outcome.result
    return Facts(token_id=rest.key_of(token), **rest.who(user))


def _expired(call: Call) -> Flow:
    token = rest.first(call, "auth_token")
    facts = rest.owner(token) | {"token_id": rest.key_of(token)}
    outcome = yield
    return Facts(reason=Reason.TOKEN_EXPIRED, **facts) if outcome.result is True else None


def _inactive(call: Call) -> Flow:
    token = rest.first(call, "auth_token")
    facts = rest.owner(token) | {"token_id": rest.key_of(token)}
    outcome = yield
    return None if outcome.error is None else Facts(reason=Reason.INACTIVE_ACCOUNT, **facts)


def _row(target: str, extract: Callable[[Call], Flow], event: str | None = None, **more: Any) -> Hook:
    more = {"errors": rest.ERRORS, "overrides": True, **more}
    return Hook(target=f"knox.{target}", extract=extract, event=event, strategy=Strategy.TOKEN, **more)


_ENDED = frozenset({Family.SIGN_OUT})
_everywhere = partial(_logout, action="log_out_everywhere")

HOOKS = (
    _row("views:LoginView.post", _login, "auth.sign_in"),
    _row("views:LoginView.handle_exception", rest.throttled, "auth.sign_in"),
    _row("views:LogoutView.post", _logout, "auth.sign_out"),
    _row("views:LogoutAllView.post", _everywhere, "auth.sign_out"),
    _row("models:AuthTokenManager.create", _created, "token.issue", establishes_session=True),
    _row("models:AbstractAuthToken.delete", _deleted, "token.delete", versions=">=5.0"),
    _row("models:AuthToken.delete", _deleted, "token.delete", versions="<5.0"),
    _row("auth:TokenAuthentication.authenticate_credentials", _checked, "auth.verify", absorbs=_ENDED),
    _row("auth:TokenAuthentication._cleanup_token", _expired, role=Role.NOTE),
    _row("auth:TokenAuthentication.validate_user", _inactive, role=Role.NOTE),
)

BLIND = (
    "A token that has expired is seen when it is shown; that it is deleted because another one is shown is no event.",
    "An expired token that another one's check has deleted is afterwards unknown, like one that never was.",
    "Tokens that `QuerySet.delete` or a deleted user takes along are not seen, but for `LogoutAllView`.",
    "A view that refuses nothing and answers with 403 is taken for the limit of tokens (`policy_denied`).",
)
