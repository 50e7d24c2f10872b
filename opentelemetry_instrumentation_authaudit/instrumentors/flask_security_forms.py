"""Flask-Security's forms: every door of the library is one, its `validate` decides, and its errors and user say why it refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Status, Strategy
from .flask_facts import account, current_user, fields, resource
from .submitted import claimed

__all__ = ("ROWS", "about", "by_method")

_METHODS: Final = {
    "authenticator": Strategy.TOTP,
    "google_authenticator": Strategy.TOTP,
    "password": Strategy.PASSWORD,
    "webauthn": Strategy.WEBAUTHN,
}
_SENDS_LINK: Final = {"event": "auth.magic_link.request", "strategy": Strategy.MAGIC_LINK}
_REFRESH: Final = {
    "EXPIRED": Reason.TOKEN_EXPIRED,
    "GEN_MISMATCH": Reason.TOKEN_REUSED,
    "NOT_FOUND": Reason.TOKEN_REVOKED,
    "REVOKED": Reason.TOKEN_REVOKED,
}


def by_method(method: object) -> Strategy:
    """What a method proves: those that send a code by mail or phone are one-time codes."""
    return _METHODS.get(str(method), Strategy.OTP)


def about(user: Any) -> dict[str, Any]:
    """Whose account it is. One that is not stored yet has no key but the id that the library gives to sessions."""
    named = fields(user).get("fs_uniquifier")
    return {"subject": account(user) or (named if isinstance(named, str) else None), "resource": resource(user)}


def _typed(form: Any) -> dict[str, Any]:
    """Who somebody claims to be."""
    for theirs, ours in (("email", "email"), ("username", "username"), ("identity", "identifier")):
        found = claimed({ours: getattr(getattr(form, theirs, None), "data", None)})
        if found:
            return found
    return {}


def _bad(form: Any) -> set[Any]:
    """Fields that the form complains about."""
    return set(form.errors)


def _why(form: Any) -> Reason:
    """Why nobody is signed in, if what was checked inside does not tell."""
    user, bad = getattr(form, "user", None), _bad(form)
    if "csrf_token" in bad:
        return Reason.CSRF_FAILED
    if user is None:
        looked_up = (
            getattr(form, "ifield", True) is not None and "identity" in _typed(form) and bad <= {"email", "username", "identity"}
        )
        return Reason.UNKNOWN_IDENTITY if looked_up else Reason.INVALID_INPUT
    if fields(user).get("active") is False:
        return Reason.INACTIVE_ACCOUNT
    if getattr(form, "requires_confirmation", False) is True:
        return Reason.UNVERIFIED_ACCOUNT
    return (
        Reason.REJECTED_AFTER_VERIFICATION if getattr(form, "user_authenticated", False) is True else Reason.INVALID_CREDENTIALS
    )


def _facts(form: Any) -> dict[str, Any]:
    return {**about(getattr(form, "user", None)), **_typed(form)}


def _refused(form: Any, fallback: Reason, **more: Any) -> Facts:
    unknown = {"identity_known": False} if fallback is Reason.UNKNOWN_IDENTITY else {}
    return Facts(status=Status.FAILURE, fallback=fallback, **{**_facts(form), **unknown, **more})


def _sign_in(call: Call) -> Flow:
    form = call.instance
    outcome = yield
    if outcome.error is not None or outcome.result:
        return Facts(**_facts(form))
    return _refused(form, _why(form))


def _unified(call: Call) -> Flow:
    """One form takes a password or a code, and also sends codes: that one was sent is told where it is."""
    form = call.instance
    sends = bool(form.submit_send_code.data)
    outcome = yield
    if sends:
        return SKIP if outcome.error is not None or outcome.result else _refused(form, _why(form), **_SENDS_LINK)
    if outcome.error is not None:
        return Facts(**_facts(form))
    if outcome.result:
        return Facts(strategy=by_method(getattr(form, "authn_via", None)), **_facts(form))
    return _refused(form, _why(form))


def _reauthenticate(call: Call) -> Flow:
    form = call.instance
    if getattr(getattr(form, "submit_send_code", None), "data", False):
        return None
    outcome = yield
    method = getattr(form, "authn_via", None)
    facts = {**about(getattr(form, "user", None)), "strategy": None if method is None else by_method(method)}
    if outcome.error is not None or outcome.result:
        return Facts(**facts)
    return Facts(
        status=Status.FAILURE, fallback=Reason.CSRF_FAILED if "csrf_token" in _bad(form) else Reason.INVALID_CREDENTIALS, **facts
    )


def _code(call: Call) -> Flow:
    """A code of the second factor, or one that completes its set-up."""
    import flask  # noqa: PLC0415 -- the application has imported it, else this would not run

    form = call.instance
    facts = {**about(form.user), "strategy": by_method(form.primary_method)}
    if getattr(form, "is_setup", False) or flask.session.get("tf_state") == "validating_profile":
        facts |= {"event": "mfa.enroll", "action": f"confirm_setup_with_{facts['strategy'].value}"}
    outcome = yield
    if outcome.error is None and not outcome.result:
        facts |= {"status": Status.FAILURE, "reason": Reason.MFA_INVALID}
    return Facts(**facts)


def _confirms(call: Call) -> Flow:
    """A code that completes the set-up of a way to sign in; that it did is told by a signal."""
    form = call.instance
    outcome = yield
    refused = outcome.error is None and not outcome.result
    return Facts(status=Status.FAILURE, reason=Reason.MFA_INVALID, **about(getattr(form, "user", None))) if refused else SKIP


def _recovery(call: Call) -> Flow:
    form = call.instance
    outcome = yield
    facts = about(form.user)
    refused = outcome.error is None and not outcome.result
    return Facts(status=Status.FAILURE, reason=Reason.MFA_INVALID, **facts) if refused else Facts(**facts)


def _passkey(call: Call) -> Flow:
    form = call.instance
    event = "mfa.verify" if form.is_secondary else "auth.reauthenticate" if form.is_verify else None
    outcome = yield
    facts = {**about(form.user), "event": event}
    if outcome.error is None and not outcome.result:
        fallback = Reason.UNKNOWN_IDENTITY if form.cred is None else _why(form)
        return Facts(status=Status.FAILURE, fallback=fallback, **facts)
    mine = about(current_user())["subject"]
    if form.is_verify and None not in {mine, facts["subject"]} and mine != facts["subject"]:
        return Facts(status=Status.FAILURE, reason=Reason.INVALID_CREDENTIALS, **{**facts, "subject": mine})  # another user's key
    return Facts(**facts)


def _key_stored(call: Call) -> Flow:
    form = call.instance
    outcome = yield
    facts = {**about(current_user()), "action": "store_webauthn_credential", "params": {"usage": form.usage}}
    if outcome.error is None and not outcome.result:
        return Facts(status=Status.FAILURE, fallback=Reason.INVALID_INPUT, **facts)
    return Facts(**facts)


def _asks(call: Call) -> Flow:
    """A form that asks for a mail: that it was sent is told where it is, unless nobody is to know."""
    form = call.instance
    if type(form).__name__ == "UsernameRecoveryForm":
        return None
    outcome = yield
    return SKIP if outcome.error is not None or outcome.result else _refused(form, _why(form))


def _new_password(form: Any) -> Reason:
    bad = _bad(form)
    if "csrf_token" in bad:
        return Reason.CSRF_FAILED
    if bad & {"password_confirm", "new_password_confirm"}:
        return Reason.PASSWORD_MISMATCH
    return (
        Reason.WEAK_PASSWORD
        if "new_password" in bad or (bad == {"password"} and not hasattr(form, "new_password"))
        else Reason.INVALID_INPUT
    )


def _changes(call: Call) -> Flow:
    """A new password that was not set; a wrong old one is known from its hash."""
    form = call.instance
    outcome = yield
    if outcome.error is not None or outcome.result:
        return SKIP
    user = getattr(form, "user", None) or current_user()
    return Facts(status=Status.FAILURE, fallback=_new_password(form), **about(user))


def _registers(call: Call) -> Flow:
    form = call.instance
    outcome = yield
    if outcome.error is not None or outcome.result:
        return SKIP
    taken = any(getattr(form, name, None) is not None for name in ("existing_email_user", "existing_username_user"))
    fallback = Reason.IDENTITY_IN_USE if taken and "csrf_token" not in _bad(form) else _new_password(form)
    return Facts(status=Status.FAILURE, fallback=fallback, **_typed(form))


def _refresh(call: Call) -> Flow:
    form = call.instance
    outcome = yield
    facts = about(getattr(form, "user", None))
    if outcome.error is not None or outcome.result:
        return Facts(**facts)
    error = getattr(getattr(form, "refresh_errors", None), "name", None)
    event = "token.reuse" if error == "GEN_MISMATCH" else None
    reason = _REFRESH.get(str(error), Reason.TOKEN_MALFORMED if getattr(form, "user", None) is None else Reason.UNKNOWN)
    return Facts(status=Status.FAILURE, event=event, reason=reason, error_type=error, **facts)


_ROW = partial(Hook, overrides=True)


def _form(name: str, extract: Callable[[Call], Flow], event: str, strategy: Strategy | None = None, **more: Any) -> Hook:
    return _ROW(target=f"flask_security.{name}.validate", extract=extract, event=event, strategy=strategy, **more)


ROWS: Final = (
    _form("forms:LoginForm", _sign_in, "auth.authenticate", Strategy.PASSWORD, defer=True),
    _form("unified_signin:UnifiedSigninForm", _unified, "auth.authenticate", defer=True),
    _form("webauthn:WebAuthnSigninResponseForm", _passkey, "auth.authenticate", Strategy.WEBAUTHN, defer=True),
    _form("forms:VerifyForm", _reauthenticate, "auth.reauthenticate", Strategy.PASSWORD),
    _form("unified_signin:UnifiedVerifyForm", _reauthenticate, "auth.reauthenticate"),
    _form("forms:TwoFactorVerifyCodeForm", _code, "mfa.verify", Strategy.OTP, defer=True),
    _form("recovery_codes:MfRecoveryForm", _recovery, "mfa.recovery_code.use", Strategy.RECOVERY_CODE, defer=True),
    _form("unified_signin:UnifiedSigninSetupValidateForm", _confirms, "mfa.enroll", Strategy.OTP),
    _form(
        "webauthn:WebAuthnRegisterResponseForm",
        _key_stored,
        "mfa.enroll",
        Strategy.WEBAUTHN,
        params={"usage": False},
        defer=True,
    ),
    _form("forms:ForgotPasswordForm", _asks, "password.reset_request", Strategy.PASSWORD),
    _form("forms:PasswordlessLoginForm", _asks, "auth.magic_link.request", Strategy.MAGIC_LINK),
    _form("forms:SendConfirmationForm", _asks, "account.verify_request"),
    _form("forms:ResetPasswordForm", _changes, "password.reset", Strategy.PASSWORD),
    _form("forms:ChangePasswordForm", _changes, "password.change", Strategy.PASSWORD),
    _form("forms:ConfirmRegisterForm", _registers, "auth.register", Strategy.PASSWORD),
    _form("forms:RegisterFormV2", _registers, "auth.register", Strategy.PASSWORD, optional=True),
    _form("tokens:RefreshTokenForm", _refresh, "token.refresh", Strategy.TOKEN, optional=True),
)
