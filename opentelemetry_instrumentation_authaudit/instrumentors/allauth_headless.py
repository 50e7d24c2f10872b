"""The headless API of django-allauth, its sessions and tokens: what differs from its pages."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Final

from ..hooks import SILENCE, SKIP, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from . import django_facts as django
from .allauth_facts import NO, me, owner, provided, refusal, who
from .allauth_social import not_unlinked

__all__ = ("HOOKS",)

_FORBIDDEN: Final = 403


def forbidden(_call: Call) -> Flow:
    outcome = yield
    if getattr(outcome.result, "status_code", None) != _FORBIDDEN:
        return SKIP
    return Facts(status=Status.FAILURE, reason=Reason.POLICY_DENIED)


def provider_token(call: Call) -> Flow:
    """The API takes a token that the application got from the provider; to sign in, or to link an account."""
    form = call.instance
    verdict = yield from refusal(call)
    if not isinstance(verdict, Facts):
        return verdict
    whoever = me()
    event = "account.link" if whoever else None
    return replace(verdict, event=event, **provided(django.text(form.data.get("provider"))), **whoever)


def session_ended(call: Call) -> Flow:
    session = call.instance
    facts = owner(session)
    yield
    return Facts(session_key=django.text(session.session_key), actor=django.actor(facts.get("subject")), **facts)


def session_rejected(call: Call) -> Flow:
    key = django.text(call.arg("session_token"))
    outcome = yield
    if outcome.error is not None or outcome.result is not None:
        return SKIP
    return Facts(status=Status.FAILURE, reason=Reason.SESSION_INVALID, session_key=key)


def token_refreshed(_call: Call) -> Flow:
    outcome = yield
    return None if outcome.error is not None or outcome.result else Facts(status=Status.FAILURE, fallback=Reason.TOKEN_REVOKED)


def token_noted(_call: Call) -> Flow:
    outcome = yield
    if not isinstance(outcome.result, tuple):
        return None
    user, _, claims = outcome.result
    return Facts(token_id=django.text(claims.get("jti")), **who(user))


def token_verified(call: Call) -> Flow:
    """The library checks the token of a request for each part of its answer anew."""
    token = call.arg("token")
    outcome = yield
    if outcome.error is not None:
        return None
    if _again(token):
        return SILENCE
    if outcome.result is None:
        return Facts(status=Status.FAILURE, fallback=Reason.TOKEN_REVOKED)
    claims = outcome.result[1]
    return Facts(token_id=django.text(claims.get("jti")), claims=claims, subject=_subject_of(claims))


def _again(token: Any) -> bool:
    """Whether this token was checked in this request before."""
    known, key = django.refused.get(), (str, hash(token))
    if known is None or key in known:
        return known is not None
    known[key] = None
    return False


def _subject_of(claims: Any) -> str | None:
    """The subject in an access token: the user is loaded only if the application asks for it."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 -- the application has imported it

    key = django.text(claims.get("sub"))
    model: Any = get_user_model()
    return None if key is None else f"{model._meta.concrete_model._meta.label_lower}:{key}"  # noqa: SLF001


_API = "allauth.headless."
_ADAPTER = partial(Hook, overrides=True)
_REFUSAL = partial(Hook, extract=refusal, errors=NO, overrides=True)
_PASSWORD = partial(_REFUSAL, strategy=Strategy.PASSWORD)
_KEYED = partial(_REFUSAL, extract=partial(refusal, but="incorrect_code"))

HOOKS: tuple[Hook, ...] = (
    _PASSWORD(target=f"{_API}account.inputs:LoginInput.full_clean", event="auth.sign_in"),
    Hook(target=f"{_API}account.views:SignupView.post", extract=forbidden, event="auth.register", nest=False),
    _PASSWORD(target=f"{_API}account.inputs:ChangePasswordInput.full_clean", event="password.change"),
    _KEYED(target=f"{_API}account.inputs:ResetPasswordKeyInput.full_clean", event="password.reset", strategy=Strategy.PASSWORD),
    _REFUSAL(
        target=f"{_API}account.inputs:DeleteEmailInput.full_clean",
        extract=partial(refusal, action="remove_email"),
        event="account.identity.change",
    ),
    _REFUSAL(target=f"{_API}account.inputs:MarkAsPrimaryEmailInput.full_clean", event="account.identity.change"),
    _KEYED(target=f"{_API}account.inputs:VerifyEmailInput.full_clean", event="account.verify"),
    _REFUSAL(
        target=f"{_API}socialaccount.inputs:DeleteProviderAccountInput.full_clean",
        extract=not_unlinked,
        event="account.unlink",
    ),
    _REFUSAL(target=f"{_API}socialaccount.inputs:ProviderTokenInput.full_clean", extract=provider_token, event="auth.sign_in"),
    Hook(
        target="allauth.usersessions.models:UserSession.end",
        extract=session_ended,
        event="session.revoke",
        strategy=Strategy.SESSION,
    ),
    *(
        _ADAPTER(
            target=f"{_API}tokens.{module}:AbstractTokenStrategy.lookup_session",
            extract=session_rejected,
            event="session.reject",
            strategy=Strategy.SESSION,
            versions=versions,
            optional=True,
        )
        for module, versions in (("strategies.base", ">=65.13"), ("base", "<65.13"))
    ),
    _ADAPTER(
        target=f"{_API}tokens.strategies.base:AbstractTokenStrategy.refresh_token",
        extract=token_refreshed,
        event="token.refresh",
        strategy=Strategy.TOKEN,
        versions=">=65.13",
        optional=True,
    ),
    Hook(
        target=f"{_API}tokens.strategies.jwt.internal:validate_refresh_token",
        extract=token_noted,
        role=Role.NOTE,
        versions=">=65.13",
        optional=True,
    ),
    Hook(
        target=f"{_API}tokens.strategies.jwt.internal:validate_access_token",
        extract=token_verified,
        event="auth.verify",
        strategy=Strategy.TOKEN,
        versions=">=65.13",
        optional=True,
    ),
)
