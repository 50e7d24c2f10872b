"""Accounts of django-allauth: sign-up, passwords, addresses and phones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from . import django_facts as django
from .allauth_facts import MAIL, NO, looking, owner, provided, refusal, typed, waiting, who

__all__ = ("HOOKS",)


def registered(call: Call) -> Flow:
    """Both adapters save a new user; the one for providers has a `sociallogin` instead of the user."""
    social, form = call.arg("sociallogin"), call.arg("form")
    user = call.arg("user") if social is None else social.user
    facts = typed(getattr(form, "cleaned_data", None)) if social is None else provided(social.provider)
    outcome = yield
    if outcome.error is None and django.subject(user) is None:
        return SKIP  # commit=False: somebody else will save it
    if social is None:
        password = bool(getattr(user, "password", None)) and user.has_usable_password()
        facts |= {"strategy": Strategy.PASSWORD} if password else {"action": "register"}
    return Facts(**facts, **who(user if outcome.error is None else None))


def turned_away(call: Call) -> Flow:
    """The library does not say that an account exists already, or that only a machine fills that field: the page is the same."""
    form = call.instance
    outcome = yield
    if outcome.error is not None or not isinstance(outcome.result, tuple) or outcome.result[0] is not None:
        return SKIP
    reason = Reason.ACCOUNT_EXISTS if form.account_already_exists else Reason.POLICY_DENIED
    return Facts(status=Status.FAILURE, reason=reason, **typed(form.data))


def closed(_call: Call) -> Flow:
    yield
    return SKIP if looking() else Facts(status=Status.FAILURE, reason=Reason.POLICY_DENIED)


def password_new(call: Call) -> Flow:
    facts = who(call.arg("user"))
    yield
    return Facts(actor=django.actor(facts["subject"]), **facts)


def reset_requested(call: Call) -> Flow:
    """The answer is the same whether there is an account or not; the form knows."""
    form = call.instance
    outcome = yield
    users = getattr(form, "users", None)
    facts: dict[str, Any] = typed(form.data)
    if isinstance(users, list) and len(users) == 1:
        facts |= who(users[0])
    elif outcome.error is None and users == []:
        facts |= {"status": Status.FAILURE, "reason": Reason.UNKNOWN_IDENTITY, "identity_known": False}
    return Facts(**facts)


def unconfirmed(call: Call) -> Flow:
    """The link was right, and the address is somebody else's by now. What succeeds is told by a signal."""
    address = call.arg("email_address")
    outcome = yield
    if outcome.result is not False:
        return SKIP
    return Facts(status=Status.FAILURE, reason=Reason.IDENTITY_IN_USE, **_address(address))


def no_such_link(_call: Call) -> Flow:
    outcome = yield
    return SKIP if outcome.error is None else Facts()


def confirmation_sent(call: Call) -> Flow:
    confirmation = call.arg("emailconfirmation")
    yield
    return Facts(**_address(confirmation.email_address))


def email_confirmed(call: Call) -> Flow:
    address = call.arg("email_address")
    yield
    return Facts(**_address(address))


def email_of(action: str) -> Callable[[Call], Flow]:
    """An extractor of the signals about addresses, under the name of the action."""

    def changed(call: Call) -> Flow:
        address = call.arg("to_email_address") or call.arg("email_address")
        yield
        facts = _address(address)
        return Facts(action=action, actor=django.actor(facts.get("subject")), **facts)

    return changed


def phone_asked(call: Call) -> Flow:
    process = call.instance
    yield
    facts = waiting(process)
    return SKIP if facts["subject"] is None else Facts(**facts)


def phone_verified(call: Call) -> Flow:
    process = call.instance
    yield
    changed = type(process).__name__ == "ChangePhoneVerificationProcess"
    return Facts(
        event="account.identity.change" if changed else "account.verify",
        action="change_phone" if changed else None,
        **waiting(process),
    )


def _address(address: Any) -> dict[str, Any]:
    """Facts about an e-mail address and whose it is."""
    return {"identity": django.text(address.email), "identity_field": "email", **owner(address)}


_A, _F, _FLOWS = "allauth.account.adapter:DefaultAccountAdapter.", "allauth.account.forms:", "allauth.account.internal.flows."
_SIGNALS = "allauth.account.signals:"
_ADAPTER = partial(Hook, overrides=True)
_REFUSAL = partial(Hook, extract=refusal, errors=NO, overrides=True)
_PASSWORD = partial(_REFUSAL, strategy=Strategy.PASSWORD)
_SIGNAL = partial(Hook, role=Role.SIGNAL)
_MAILED = partial(Hook, errors=MAIL, overrides=True)

HOOKS: tuple[Hook, ...] = (
    _ADAPTER(
        target=f"{_A}save_user",
        extract=registered,
        event="auth.register",
        errors={"IntegrityError": Reason.IDENTITY_IN_USE, **NO},
    ),
    _REFUSAL(target=f"{_F}BaseSignupForm.full_clean", event="auth.register", strategy=Strategy.PASSWORD),
    _REFUSAL(target=f"{_F}BaseSignupForm.try_save", extract=turned_away, event="auth.register", strategy=Strategy.PASSWORD),
    _REFUSAL(target="allauth.account.mixins:CloseableSignupMixin.closed", extract=closed, event="auth.register"),
    _PASSWORD(target=f"{_F}ChangePasswordForm.full_clean", event="password.change"),
    _PASSWORD(target=f"{_F}SetPasswordForm.full_clean", event="password.change"),
    _PASSWORD(target=f"{_F}UserTokenForm.full_clean", event="password.reset"),
    _PASSWORD(target=f"{_F}ResetPasswordKeyForm.full_clean", event="password.reset"),
    Hook(
        target=f"{_FLOWS}password_change:change_password",
        extract=password_new,
        event="password.change",
        strategy=Strategy.PASSWORD,
    ),
    Hook(
        target=f"{_FLOWS}password_reset:reset_password",
        extract=password_new,
        event="password.reset",
        strategy=Strategy.PASSWORD,
    ),
    _PASSWORD(target=f"{_F}ResetPasswordForm.full_clean", event="password.reset_request"),
    _MAILED(
        target=f"{_F}ResetPasswordForm.save",
        extract=reset_requested,
        event="password.reset_request",
        strategy=Strategy.PASSWORD,
    ),
    _REFUSAL(
        target=f"{_F}AddEmailForm.full_clean", extract=partial(refusal, action="add_email"), event="account.identity.change"
    ),
    _ADAPTER(target=f"{_A}confirm_email", extract=unconfirmed, event="account.verify"),
    _ADAPTER(
        target="allauth.account.views:ConfirmEmailView.get_object",
        extract=no_such_link,
        event="account.verify",
        errors={"Http404": Reason.INVALID_CODE},
    ),
    _MAILED(target=f"{_A}send_confirmation_mail", extract=confirmation_sent, event="account.verify_request"),
    _MAILED(
        target=f"{_FLOWS}phone_verification:PhoneVerificationProcess.send",
        extract=phone_asked,
        event="account.verify_request",
        errors={"RateLimited": Reason.RATE_LIMITED},
    ),
    Hook(target=f"{_FLOWS}phone_verification:PhoneVerificationProcess.finish", extract=phone_verified, event="account.verify"),
    _SIGNAL(target=f"{_SIGNALS}email_confirmed", extract=email_confirmed, event="account.verify"),
    _SIGNAL(target=f"{_SIGNALS}email_added", extract=email_of("add_email"), event="account.identity.change"),
    _SIGNAL(target=f"{_SIGNALS}email_removed", extract=email_of("remove_email"), event="account.identity.change"),
    _SIGNAL(target=f"{_SIGNALS}email_changed", extract=email_of("change_email"), event="account.identity.change"),
)
