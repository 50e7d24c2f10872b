"""Sign-in of django-allauth: credentials, codes, the stages between proof and session, and limits.

The library checks everything in forms, for pages and for its API alike, so a form that refuses is a failure; what succeeds is told by
adapters and signals. The session keeps how somebody proved identity: the sign-in that completes pages later takes it from there.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Status, Strategy
from . import django_facts as django
from .allauth_facts import MAIL, NO, code_of, looking, proof, refusal, typed, waiting, who

__all__ = ("HOOKS",)

_LIMITS: Final = {
    "login": ("auth.sign_in", Strategy.PASSWORD),
    "login_failed": ("auth.sign_in", Strategy.PASSWORD),
    "webauthn_login": ("auth.sign_in", Strategy.WEBAUTHN),
    "reauthenticate": ("auth.reauthenticate", Strategy.PASSWORD),
    "request_login_code": ("auth.magic_link.request", Strategy.OTP),
    "signup": ("auth.register", Strategy.PASSWORD),
    "change_password": ("password.change", Strategy.PASSWORD),
    "reset_password": ("password.reset_request", Strategy.PASSWORD),
    "reset_password_from_key": ("password.reset", Strategy.PASSWORD),
    "confirm_email": ("account.verify_request", None),
    "verify_phone": ("account.verify_request", None),
    "manage_email": ("account.identity.change", None),
    "change_phone": ("account.identity.change", None),
}
"""Action that the library limits -> what was tried."""
_VERIFICATIONS: Final = frozenset({"verify_email", "verify_phone"})
_KEYED_BY_IDENTITY: Final = frozenset({"password.reset_request", "auth.magic_link.request", "account.verify_request"})


def authenticated(call: Call) -> Flow:
    identity = typed(call.kwargs)
    outcome = yield
    if outcome.error is not None:
        return Facts(error_type=code_of(outcome.error), **identity)
    if outcome.result is None:
        return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS, **identity)
    return Facts(**identity, **who(outcome.result))


def reauthenticated(call: Call) -> Flow:
    facts = who(call.arg("user"))
    outcome = yield
    if outcome.error is not None:
        return Facts(error_type=code_of(outcome.error), **facts)
    return Facts(**facts) if outcome.result else Facts(status=Status.FAILURE, fallback=Reason.WRONG_PASSWORD, **facts)


def inactive(call: Call) -> Flow:
    """The library signs nobody in whose account is inactive; the password may have been right."""
    user, request = call.arg("user"), call.arg("request")
    facts = proof(request, user)  # forgotten when the user is turned away
    outcome = yield
    if outcome.result is None or getattr(user, "is_active", None) is not False:
        return SKIP
    return Facts(status=Status.FAILURE, reason=Reason.INACTIVE_ACCOUNT, **facts, **who(user))


def signed_in(call: Call) -> Flow:
    user = call.arg("user")
    facts = proof(call.arg("request"), user)
    yield
    return Facts(**facts, **who(user))


def staged(call: Call) -> Flow:
    """A stage stands between the proof and the sign-in: a second factor, a code, an address to confirm."""
    login, request = call.instance.login, call.instance.request
    outcome = yield
    if outcome.error is not None or not outcome.result or login.user is None:
        return SKIP
    facts = proof(request, login.user)
    if login.signup and not facts:
        return SKIP  # who has just signed up has proved nothing yet
    stage = django.text(call.instance.state.get("current"))
    facts |= {"params": {"stage": stage}, **who(login.user)}
    if stage in _VERIFICATIONS and not login.signup:
        return Facts(status=Status.FAILURE, reason=Reason.UNVERIFIED_ACCOUNT, **facts)
    return Facts(**facts)


def wrong_code(call: Call) -> Flow:
    process = call.instance
    yield
    return Facts(status=Status.FAILURE, reason=Reason.INVALID_CODE, **waiting(process))


def expired(call: Call) -> Flow:
    process = call.instance
    outcome = yield
    if outcome.error is not None or outcome.result is not None or looking():
        return SKIP
    return Facts(status=Status.FAILURE, reason=Reason.CODE_EXPIRED, **waiting(process))


def code_sent(call: Call) -> Flow:
    process = call.instance
    outcome = yield
    event = "auth.magic_link.request" if process.state.get("initiated_by_user", True) else "mfa.code.send"
    facts = {"event": event, "action": "request_otp", **waiting(process)}
    if outcome.error is None and facts["subject"] is None:
        facts |= {"status": Status.FAILURE, "reason": Reason.UNKNOWN_IDENTITY, "identity_known": False}
    return Facts(**facts)


def limited(call: Call) -> Flow:
    known = _LIMITS.get(call.arg("action"))
    if known is None or call.arg("dry_run"):
        return None
    event, strategy = known
    facts = {"event": event, "strategy": strategy, **who(call.arg("user"))}
    key = django.text(call.arg("key"))
    if key is not None and event in _KEYED_BY_IDENTITY:
        facts |= {"identity": key, "identity_field": "email" if "@" in key else "identifier"}
    outcome = yield
    if outcome.error is None and outcome.result:
        return SKIP
    return Facts(status=Status.FAILURE, reason=Reason.RATE_LIMITED, **facts)


_A, _F, _FLOWS = "allauth.account.adapter:DefaultAccountAdapter.", "allauth.account.forms:", "allauth.account.internal.flows."
_ADAPTER = partial(Hook, overrides=True)
_REFUSAL = partial(Hook, extract=refusal, errors=NO, overrides=True)
_LIMIT = partial(Hook, extract=limited, errors={"RateLimited": Reason.RATE_LIMITED})
_CODES = {
    f"{_FLOWS}login_by_code:LoginCodeVerificationProcess": ("auth.sign_in", Strategy.OTP),
    f"{_FLOWS}password_reset_by_code:PasswordResetVerificationProcess": ("password.reset", Strategy.PASSWORD),
    f"{_FLOWS}email_verification_by_code:EmailVerificationProcess": ("account.verify", Strategy.OTP),
    f"{_FLOWS}phone_verification:PhoneVerificationProcess": ("account.verify", Strategy.OTP),
}
"""Class of a process that waits for a code -> what the code is for."""

HOOKS: tuple[Hook, ...] = (
    _ADAPTER(
        target=f"{_A}authenticate",
        extract=authenticated,
        event="auth.authenticate",
        strategy=Strategy.PASSWORD,
        errors=NO,
        defer=True,
    ),
    _ADAPTER(
        target=f"{_A}reauthenticate",
        extract=reauthenticated,
        event="auth.reauthenticate",
        strategy=Strategy.PASSWORD,
        errors=NO,
    ),
    _ADAPTER(target=f"{_A}pre_login", extract=inactive, event="auth.sign_in", strategy=Strategy.SESSION),
    _ADAPTER(target=f"{_A}login", extract=signed_in, event="auth.sign_in", strategy=Strategy.SESSION),
    Hook(
        target="allauth.account.stages:LoginStageController.handle",
        extract=staged,
        event="auth.authenticate",
        strategy=Strategy.SESSION,
        params={"stage": False},
        nest=False,
    ),
    _REFUSAL(strategy=Strategy.PASSWORD, target=f"{_F}LoginForm.full_clean", event="auth.sign_in"),
    *(
        Hook(target=f"{process}.record_invalid_attempt", extract=wrong_code, event=event, strategy=strategy, overrides=True)
        for process, (event, strategy) in _CODES.items()
    ),
    *(
        Hook(target=f"{process}.abort_if_invalid", extract=expired, event=event, strategy=strategy)
        for process, (event, strategy) in _CODES.items()
    ),
    _REFUSAL(target=f"{_F}RequestLoginCodeForm.full_clean", event="auth.magic_link.request", strategy=Strategy.OTP),
    Hook(
        errors=MAIL,
        target=f"{_FLOWS}login_by_code:LoginCodeVerificationProcess.send",
        extract=code_sent,
        event="auth.magic_link.request",
        strategy=Strategy.OTP,
    ),
    _LIMIT(target="allauth.core.internal.ratelimit:consume", versions=">=65.8.1", optional=True),
    _LIMIT(target="allauth.core.ratelimit:consume", versions="<65.8.1"),
)
