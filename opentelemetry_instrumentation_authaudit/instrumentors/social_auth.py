"""social-auth-core, on every framework: sign-ins at a provider, accounts linked and unlinked, new accounts.

The credentials are checked in one call and the session is made in another, by the framework; `do_complete` encloses both, and only
it knows that an account is disabled. Whoever is signed in already comes to link an account, or to prove who it is once more.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Outcome, Reason, Role, Status, Strategy
from . import django_facts as django

__all__ = ("BLIND", "HOOKS")

_CODES: Final = {
    "missing_parameter": Reason.INVALID_INPUT,
    "invalid_parameter": Reason.INVALID_INPUT,
    "session_context_missing": Reason.STATE_MISMATCH,
    "state_mismatch": Reason.STATE_MISMATCH,
    "user_mismatch": Reason.STATE_MISMATCH,
    "invalid_signature": Reason.TOKEN_BAD_SIGNATURE,
    "nonce_mismatch": Reason.NONCE_MISMATCH,
    "response_expired": Reason.TOKEN_EXPIRED,
    "response_not_yet_valid": Reason.TOKEN_NOT_YET_VALID,
    "authorization_code_rejected": Reason.INVALID_CODE,
    "credential_rejected": Reason.INVALID_CREDENTIALS,
    "token_revoked": Reason.TOKEN_REVOKED,
    "email_verification_rejected": Reason.INVALID_CODE,
    "identity_in_use": Reason.IDENTITY_IN_USE,
    "email_in_use": Reason.IDENTITY_IN_USE,
    "rate_limited": Reason.RATE_LIMITED,
    "authorization_declined": Reason.PROVIDER_DENIED,
}
"""Codes that newer versions give every exception, where they say more than its class."""

_ERRORS: Final = {
    "AuthException": Reason.PROVIDER_ERROR,  # the base of nearly all
    "AuthAlreadyAssociated": Reason.IDENTITY_IN_USE,
    "AuthAssociationError": Reason.IDENTITY_IN_USE,
    "AuthCanceled": Reason.PROVIDER_DENIED,
    "AuthCredentialError": Reason.INVALID_CREDENTIALS,
    "AuthForbidden": Reason.POLICY_DENIED,
    "AuthInputError": Reason.INVALID_INPUT,
    "AuthMissingParameter": Reason.INVALID_INPUT,
    "AuthPolicyError": Reason.POLICY_DENIED,
    "AuthSessionError": Reason.STATE_MISMATCH,
    "AuthStateForbidden": Reason.STATE_MISMATCH,
    "AuthStateMissing": Reason.STATE_MISMATCH,
    "AuthTokenRevoked": Reason.TOKEN_REVOKED,
    "InvalidEmail": Reason.INVALID_CODE,
    "NotAllowedToDisconnect": Reason.POLICY_DENIED,
}

_KINDS: Final = {"OpenIdConnectAuth": Strategy.OIDC, "SAMLAuth": Strategy.SAML, "OAuthAuth": Strategy.OAUTH2}


@dataclass(slots=True)
class _Visit:
    """A browser that came back from a provider."""

    user: Any
    """Who was there before; a lazy one is looked up by the library on the way."""
    signed_in: bool = False
    checking: bool = False
    linked: bool = False
    inactive: bool = False


_visit: ContextVar[_Visit | None] = ContextVar("authaudit_social_visit", default=None)


def _completed(call: Call) -> Flow:
    """Tells only that the account is disabled; else what happened inside speaks for itself."""
    backend = call.arg("backend")
    visit = _Visit(call.arg("user"))
    token = _visit.set(visit)
    try:
        outcome = yield
    finally:
        _visit.reset(token)
    refused = visit.inactive and outcome.error is None and not backend.setting("INACTIVE_USER_LOGIN")
    return Facts(status=Status.FAILURE, reason=Reason.INACTIVE_ACCOUNT, **_at(backend)) if refused else SKIP


def _active(_call: Call) -> Flow:
    outcome = yield
    visit = _visit.get()
    if visit is not None and outcome.result is False:
        visit.inactive = True
    return None


def _checked(call: Call) -> Flow:
    """`complete`, the way on from where a pipeline paused, or a token that the application was given itself; one calls the other."""
    backend = call.arg("backend", call.instance)
    visit = _visit.get() or _Visit(call.kwargs.get("user"))
    inside = visit.checking
    visit.signed_in = visit.signed_in if inside else _signed_in(visit.user)
    visit.checking = True
    token = _visit.set(visit)
    try:
        outcome = yield
    finally:
        visit.checking = inside
        _visit.reset(token)
    return Facts(reason=_reason(outcome), **_at(backend)) if inside else _told(backend, outcome, visit)


def _told(backend: Any, outcome: Outcome, visit: _Visit) -> Facts:
    at = _at(backend)
    if outcome.error is not None or outcome.result is None:
        event = "account.link" if visit.signed_in else None
        failed = Status.FAILURE if outcome.error is None else None
        fallback = Reason.REJECTED_AFTER_VERIFICATION if failed else None
        return Facts(event=event, status=failed, reason=_reason(outcome), fallback=fallback, **at)
    if not isinstance(outcome.result, backend.strategy.storage.user.user_model()):
        return Facts(event="oauth.callback", **at)  # a page that asks for more: the pipeline goes on later
    event = ("account.link" if visit.linked else "auth.reauthenticate") if visit.signed_in else None
    return Facts(event=event, **at, **_who(outcome.result))


def _linked(call: Call) -> Flow:
    """An account that is new anyway is registered, not linked."""
    backend, new = call.arg("backend"), call.kwargs.get("is_new")
    outcome = yield
    made = outcome.error is None and isinstance(outcome.result, Mapping) and outcome.result.get("new_association")
    visit = _visit.get()
    if made and visit is not None and visit.signed_in:
        visit.linked = True
    if not made or new or (visit is not None and visit.signed_in):
        return SKIP
    return Facts(**_at(backend), **_who(outcome.result.get("user")))


def _created(call: Call) -> Flow:
    backend = call.arg("backend")
    outcome = yield
    if outcome.error is not None:
        return Facts(**_at(backend))
    made = isinstance(outcome.result, Mapping) and outcome.result.get("is_new")
    return Facts(**_at(backend), **_who(outcome.result.get("user"))) if made else SKIP


def _unlinked(call: Call) -> Flow:
    backend, user = call.instance, _loaded(call.kwargs.get("user"))
    outcome = yield
    if outcome.error is None and not isinstance(outcome.result, Mapping):
        return SKIP  # a page that asks for more
    entries = (outcome.result or {}).get("entries")
    if outcome.error is None and getattr(entries, "_result_cache", entries) == []:
        return SKIP  # there was nothing to unlink
    return Facts(reason=_reason(outcome), **_at(backend), **_who(user))


def _begun(call: Call) -> Flow:
    backend = call.arg("backend")
    yield
    return Facts(**_at(backend))


def _at(backend: Any) -> dict[str, Any]:
    kinds = {kind.__name__ for kind in type(backend).__mro__}
    strategy = next((found for name, found in _KINDS.items() if name in kinds), Strategy.CUSTOM)
    return {"strategy": strategy, "provider": django.text(getattr(backend, "name", None))}


def _who(user: Any) -> dict[str, Any]:
    """Elsewhere than in Django the login library on top knows the name of the account."""
    known = getattr(user, "_meta", None) is not None
    return {"subject": django.subject(user), "resource": django.resource(user)} if known else {}


def _loaded(user: Any) -> Any:
    return django.loaded(user) if "django" in sys.modules else user


def _signed_in(user: Any) -> bool:
    """A lazy user that nobody has looked at yet is told for nobody."""
    found = _loaded(user)
    return found is not None and type(found) is not object and getattr(found, "is_authenticated", True) is not False


def _reason(outcome: Outcome) -> Reason | None:
    code = getattr(outcome.error, "code", None)
    if getattr(outcome.error, "response", None) is not None and type(outcome.error).__name__ == "AuthCanceled":
        return Reason.INVALID_CODE  # older versions call every answer with 400 canceled
    return _CODES.get(code) if isinstance(code, str) else None


_BASE = "social_core.backends.base:BaseAuth."
_CHECK = partial(
    Hook, extract=_checked, event="auth.authenticate", strategy=Strategy.OAUTH2, errors=_ERRORS, defer=True, overrides=True
)

HOOKS = (
    Hook(target="social_core.actions:do_complete", extract=_completed, event="auth.sign_in", strategy=Strategy.OAUTH2),
    Hook(target="social_core.utils:user_is_active", extract=_active, role=Role.NOTE),
    _CHECK(target=f"{_BASE}complete"),
    _CHECK(target=f"{_BASE}continue_pipeline"),
    _CHECK(target="social_core.strategy:BaseStrategy.authenticate"),
    Hook(target="social_core.pipeline.user:create_user", extract=_created, event="auth.register", errors=_ERRORS),
    Hook(target="social_core.pipeline.social_auth:associate_user", extract=_linked, event="account.link", errors=_ERRORS),
    Hook(target=f"{_BASE}disconnect", extract=_unlinked, event="account.unlink", errors=_ERRORS, overrides=True),
    Hook(target="social_core.actions:do_auth", extract=_begun, event="oauth.authorize", errors=_ERRORS),
)

BLIND = (
    "Without `do_complete` (an application that calls `complete` or `do_auth` itself) an account that is disabled is told only as "
    "far as the response refuses it.",
    "Elsewhere than in Django the subject is left to the login library, since the user of a pipeline may have another name there.",
    "A pipeline that pauses for more input is no event until it goes on; one that is given up there leaves none.",
    "Pipeline steps of an application's own that replace `create_user` or `associate_user` are not seen as what they replace.",
)
