"""Providers of django-allauth: sign-up and sign-in through them, accounts linked and unlinked, and what goes wrong there."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Role, Status
from . import django_facts as django
from .allauth_account import registered
from .allauth_facts import NO, code_of, me, owner, provided, refusal, who

__all__ = ("HOOKS",)

_PROVIDER_SAID_NO: Final = frozenset({"cancelled", "denied"})


def provider_failed(call: Call) -> Flow:
    provider, error, exception = call.arg("provider"), call.arg("error"), call.arg("exception")
    context = call.arg("extra_context") or {}
    yield
    reason = Reason.PROVIDER_DENIED if error in _PROVIDER_SAID_NO else Reason.PROVIDER_ERROR
    if exception is None and "callback_view" in context and "state" not in context:
        reason = Reason.STATE_MISMATCH
    whoever = me()
    facts = {
        **provided(provider),
        **whoever,
        "event": "account.link" if whoever else None,
    }  # who is signed in is not about to sign in
    return Facts(status=Status.FAILURE, reason=reason, error_type=type(exception).__name__ if exception else None, **facts)


def signup_closed(call: Call) -> Flow:
    social = call.arg("sociallogin")
    outcome = yield
    return Facts(**provided(social.provider)) if type(outcome.error).__name__ == "SignupClosedException" else SKIP


def not_linked(call: Call) -> Flow:
    social = call.arg("sociallogin")
    outcome = yield
    if outcome.error is None or type(outcome.error).__name__ == "ReauthenticationRequired":
        return SKIP  # told by a signal; or asked to come again
    return Facts(error_type=code_of(outcome.error), **me(), **provided(social.provider))


def linked(call: Call) -> Flow:
    social = call.arg("sociallogin")
    yield
    return Facts(**provided(social.provider), **who(social.user))


def unlinked(call: Call) -> Flow:
    account = call.arg("socialaccount")
    yield
    return Facts(**provided(account.provider), **owner(account))


def not_unlinked(call: Call) -> Flow:
    form = call.instance
    verdict = yield from refusal(call)
    if not isinstance(verdict, Facts):
        return verdict
    asked = form.cleaned_data.get("account")
    provider = getattr(asked, "provider", None) or django.text(form.data.get("provider"))
    return replace(verdict, **provided(provider), **me(), identity=None)


_ADAPTER_PATH = "allauth.socialaccount.adapter:DefaultSocialAccountAdapter."
_ADAPTER = partial(Hook, overrides=True)
_REFUSAL = partial(Hook, errors=NO, overrides=True)
_SIGNAL = partial(Hook, role=Role.SIGNAL)

HOOKS: tuple[Hook, ...] = (
    _ADAPTER(target=f"{_ADAPTER_PATH}save_user", extract=registered, event="auth.register", errors=NO),
    _ADAPTER(target=f"{_ADAPTER_PATH}on_authentication_error", extract=provider_failed, event="auth.sign_in"),
    Hook(
        target="allauth.socialaccount.internal.flows.signup:process_signup",
        extract=signup_closed,
        event="auth.register",
        errors={"SignupClosedException": Reason.POLICY_DENIED},
        nest=False,
    ),
    Hook(
        target="allauth.socialaccount.internal.flows.connect:do_connect",
        extract=not_linked,
        event="account.link",
        errors={"ValidationError": Reason.IDENTITY_IN_USE, "PermissionDenied": Reason.PERMISSION_DENIED},
    ),
    _REFUSAL(target="allauth.socialaccount.forms:DisconnectForm.full_clean", extract=not_unlinked, event="account.unlink"),
    _SIGNAL(target="allauth.socialaccount.signals:social_account_added", extract=linked, event="account.link"),
    _SIGNAL(target="allauth.socialaccount.signals:social_account_removed", extract=unlinked, event="account.unlink"),
)
