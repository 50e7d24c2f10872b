"""dj-rest-auth: views that sign in, out and up through an API, with Django REST framework, Simple JWT and allauth below.

Those tell what they do; the views stand around them, because only they know what it is all for: a token, a session and a provider
are one sign-in, and setting a new password is a change or a reset. Second factors are told by the library's own audit log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Family, Flow, Hook, Reason, Role, Skip, Status, Strategy
from . import django_facts as django
from . import rest_facts as rest
from .allauth_facts import reason_of
from .submitted import claimed

__all__ = ("BLIND", "HOOKS")

_FEED: Final = {
    "totp_verified": ("mfa.verify", Strategy.TOTP),
    "recovery_code_used": ("mfa.recovery_code.use", Strategy.RECOVERY_CODE),
    "verify_failed": ("mfa.verify", Strategy.TOTP),
    "activated": ("mfa.enroll", Strategy.TOTP),
    "activation_failed": ("mfa.enroll", Strategy.TOTP),
    "deactivated": ("mfa.remove", Strategy.TOTP),
    "deactivation_failed": ("mfa.remove", Strategy.TOTP),
}
"""What the library's audit log calls it -> event and mechanism. New recovery codes are seen where they are made."""
_REASONS: Final = {
    "invalid_code": Reason.MFA_INVALID,
    "invalid_totp_code": Reason.MFA_INVALID,
    "user_inactive": Reason.INACTIVE_ACCOUNT,
    "invalid_or_expired_token": Reason.CODE_EXPIRED,
    "invalid_or_expired_activation_token": Reason.CODE_EXPIRED,
    "activation_token_user_mismatch": Reason.PERMISSION_DENIED,
    "already_enabled": Reason.POLICY_DENIED,
    "not_enabled": Reason.POLICY_DENIED,
}
_LINKS: Final = frozenset({"uid", "token"})


def _login(call: Call) -> Flow:
    view = call.instance
    outcome = yield
    user = vars(view).get("user")
    facts = {**claimed(getattr(vars(view).get("serializer"), "initial_data", None)), **rest.who(user), **_provider(view)}
    if outcome.error is None and "ephemeral_token" in vars(view):  # of the view that asks for a second factor next
        return Facts(event="auth.authenticate", params={"stage": "mfa_verify"}, **facts)
    return _ended(outcome.error, outcome.result, facts)


def _connect(call: Call) -> Flow:
    view, request = call.instance, rest.first(call, "request")
    outcome = yield
    return _ended(outcome.error, outcome.result, {**rest.who(rest.user_of(request)), **_provider(view)})


def _second_step(_call: Call) -> Flow:
    outcome = yield
    verdict = _ended(outcome.error, outcome.result, {})
    if not isinstance(verdict, Facts) or verdict.status is not Status.FAILURE:
        return verdict
    return replace(verdict, event="mfa.verify", fallback=Reason.MFA_INVALID)


def _logout(call: Call) -> Flow:
    facts = rest.who(rest.user_of(rest.first(call, "request")))  # before it is nobody
    outcome = yield
    return SKIP if facts["subject"] is None else _ended(outcome.error, outcome.result, facts)


def _of_my_own(call: Call) -> Flow:
    """A view for who is signed in: a password, a factor."""
    facts = rest.who(rest.user_of(rest.first(call, "request")))
    outcome = yield
    return _ended(outcome.error, outcome.result, facts)


def _reset_checked(call: Call) -> Flow:
    serializer = call.instance
    outcome = yield
    if outcome.error is None:
        return SKIP
    fields = getattr(outcome.error, "detail", None)
    forged = isinstance(fields, dict) and not _LINKS.isdisjoint(fields)
    facts = rest.who(vars(serializer).get("user")) | ({"reason": Reason.INVALID_CODE} if forged else {})
    return rest.verdict(outcome.error, **facts)


def _reset(call: Call) -> Flow:
    user = vars(call.instance).get("user")
    yield
    return Facts(**rest.who(user))


def _registered(call: Call) -> Flow:
    """The account is told by allauth; here it is whether a session or a token came with it, or why there is none."""
    view, request = call.instance, rest.first(call, "request")
    outcome = yield
    if outcome.error is None:
        handed_out = isinstance(vars(view).get("access_token"), str)
        return Facts() if handed_out or django.actor(None) is not None else SKIP
    typed = claimed(getattr(request, "__dict__", {}).get("_full_data"))
    verdict = rest.verdict(outcome.error, event="auth.register", strategy=Strategy.PASSWORD, **typed)
    if not isinstance(verdict, Facts) or verdict.status is not Status.FAILURE:
        return SKIP
    return replace(verdict, fallback=reason_of(verdict.error_type) or verdict.fallback)


def _noted(reason: Reason) -> Callable[[Call], Flow]:
    """An extractor of a check whose complaint has no code of its own."""

    def extract(_call: Call) -> Flow:
        outcome = yield
        return Facts(reason=reason) if rest.is_a(outcome.error, "ValidationError") else None

    return extract


def _fed(call: Call) -> Flow:
    name = call.arg("event")
    if name not in _FEED:
        return None
    event, strategy = _FEED[name]
    yield
    facts = {"event": event, "strategy": strategy, **rest.who(call.arg("user"))}
    if not name.endswith("_failed"):
        return Facts(**facts)
    code = django.text(call.arg("reason"))
    return Facts(status=Status.FAILURE, fallback=_REASONS.get(code or "", Reason.UNKNOWN), error_type=code, **facts)


def _codes_made(call: Call) -> Flow:
    user = rest.first(call, "user")
    yield
    return Facts(**rest.who(user))


def _ended(error: BaseException | None, response: Any, facts: dict[str, Any]) -> Facts | Skip:
    """What became of a view's work: it raises, or its response says so."""
    return rest.answered(response, **facts) if error is None else rest.verdict(error, **facts)


def _provider(view: Any) -> dict[str, Any]:
    """The provider that a view for social sign-in is made for."""
    name = django.text(getattr(getattr(view, "adapter_class", None), "provider_id", None))
    return {} if name is None else {"provider": name, "strategy": Strategy.OAUTH2}


_VIEWS, _SIGN_UP, _MFA = "dj_rest_auth.views:", "dj_rest_auth.registration.", "dj_rest_auth.mfa."
_SERIALIZERS = "dj_rest_auth.serializers:"
_VIEW = partial(Hook, errors=rest.ERRORS, overrides=True)
_NOTE = partial(Hook, role=Role.NOTE, overrides=True)
_PASSWORD = partial(_VIEW, strategy=Strategy.PASSWORD)

HOOKS: tuple[Hook, ...] = (
    _VIEW(
        target=f"{_VIEWS}LoginView.post", extract=_login, event="auth.sign_in", strategy=Strategy.SESSION, params={"stage": False}
    ),
    _VIEW(target=f"{_VIEWS}LoginView.handle_exception", extract=rest.throttled, event="auth.sign_in", strategy=Strategy.SESSION),
    _NOTE(target=f"{_SERIALIZERS}LoginSerializer.validate_auth_user_status", extract=_noted(Reason.INACTIVE_ACCOUNT)),
    _NOTE(target=f"{_SERIALIZERS}LoginSerializer.validate_email_verification_status", extract=_noted(Reason.UNVERIFIED_ACCOUNT)),
    _VIEW(target=f"{_VIEWS}LogoutView.logout", extract=_logout, event="auth.sign_out", strategy=Strategy.SESSION),
    _PASSWORD(target=f"{_VIEWS}PasswordChangeView.post", extract=_of_my_own, event="password.change"),
    _PASSWORD(target=f"{_SERIALIZERS}PasswordResetConfirmSerializer.validate", extract=_reset_checked, event="password.reset"),
    _PASSWORD(target=f"{_SERIALIZERS}PasswordResetConfirmSerializer.save", extract=_reset, event="password.reset"),
    _VIEW(target=f"{_SIGN_UP}views:RegisterView.create", extract=_registered, event="auth.sign_in", strategy=Strategy.SESSION),
    _NOTE(target=f"{_SIGN_UP}serializers:RegisterSerializer.validate_email", extract=_noted(Reason.IDENTITY_IN_USE)),
    _NOTE(target=f"{_SIGN_UP}serializers:RegisterSerializer.validate", extract=_noted(Reason.PASSWORD_MISMATCH)),
    _VIEW(
        target=f"{_SIGN_UP}views:SocialConnectView.post",
        extract=_connect,
        event="account.link",
        absorbs=frozenset({Family.SIGN_IN}),
    ),
    _VIEW(
        target=f"{_MFA}views:MFAVerifyView.post",
        extract=_second_step,
        event="auth.sign_in",
        strategy=Strategy.SESSION,
        optional=True,
    ),
    *(
        _VIEW(
            target=f"{_MFA}views:TOTP{view}View.post",
            extract=_of_my_own,
            event=event,
            strategy=Strategy.TOTP,
            optional=True,
        )
        for view, event in (("Activate", "mfa.enroll"), ("Deactivate", "mfa.remove"))
    ),
    Hook(target=f"{_MFA}audit:log_mfa_event", extract=_fed, event="mfa.verify", defer=True, optional=True),
    Hook(
        target=f"{_MFA}recovery_codes:RecoveryCodes.activate",
        extract=_codes_made,
        event="mfa.recovery_codes.generate",
        strategy=Strategy.RECOVERY_CODE,
        optional=True,
    ),
)

BLIND = (
    "A request with a field missing is no attempt.",
    "A reset that is asked for an address without an account is told where allauth is installed; Django's own form does not say.",
    "A sign-up that is refused for its address may be for one that is taken or for one that the site does not accept: both are "
    "told as `identity_in_use`.",
    "A forged token for the second step does not say whose it was.",
)
