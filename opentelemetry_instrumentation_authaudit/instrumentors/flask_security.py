"""Flask-Security: sign-in of every kind, second factors, passwords, tokens, and what administrators do to accounts.

What a user types goes through a form (`flask_security_forms.py`), what becomes of an account through the datastore
(`flask_security_accounts.py`); here is the rest: sessions, links of mails, codes, tokens. Flask-Login underneath tells the same
sign-ins once more, and they are one event.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ..hooks import SILENCE, SKIP, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from .credentials import carried
from .flask_facts import current_request, current_user
from .flask_security_accounts import ROWS as ACCOUNTS
from .flask_security_accounts import of_user
from .flask_security_forms import ROWS as FORMS
from .flask_security_forms import about, by_method

__all__ = ("BLIND", "HOOKS")

_VIA: Final = {
    "authenticator": Strategy.TOTP,
    "confirm": Strategy.MAGIC_LINK,
    "oauth": Strategy.OAUTH2,
    "password": Strategy.PASSWORD,
    "reset": Strategy.MAGIC_LINK,
    "sms": Strategy.OTP,
    "token": Strategy.MAGIC_LINK,
    "webauthn": Strategy.WEBAUTHN,
}
"""What the library says it signs a user in for; a registration, or what was proved before, is no proof of its own."""
_FAILED: Final = {"passkey": Strategy.WEBAUTHN, "password": Strategy.PASSWORD}
_SENDS: Final = {"SMTPException": Reason.SEND_FAILED, "OSError": Reason.SEND_FAILED}


def _login_user(call: Call) -> Flow:
    user, via = call.arg("user"), call.arg("authn_via")
    method = via[0] if isinstance(via, (list, tuple)) and via else None
    strategy = _VIA.get(method) if isinstance(method, str) else None
    request = current_request()
    if method == "email":
        strategy = Strategy.MAGIC_LINK if request.method == "GET" else Strategy.OTP
    provider = request.view_args.get("name") if method == "oauth" and request.view_args else None
    outcome = yield
    facts = {**about(user), "strategy": strategy, "provider": provider}
    if outcome.error is None and outcome.result is False:
        facts |= {"status": Status.FAILURE, "fallback": Reason.INACTIVE_ACCOUNT}
    return Facts(**facts)


def _link(_call: Call) -> Flow:
    """A link of a mail is opened: (expired, invalid, whose it is ...). A good one is told by what it is good for."""
    outcome = yield
    if outcome.error is not None:
        return SILENCE
    expired, invalid, user = outcome.result[:3]
    if user is not None and not expired and not invalid:
        return SILENCE  # hashes in it were compared, but of no password
    reason = Reason.CODE_EXPIRED if expired and not invalid else Reason.INVALID_CODE
    return Facts(status=Status.FAILURE, reason=reason, **about(user))


def _code_sent(call: Call) -> Flow:
    user, method = call.arg("user"), call.arg("method")
    if method in ("authenticator", "google_authenticator", "password"):
        return None  # nothing is sent
    facts: dict[str, Any] = {**about(user), "params": {"method": method}}
    if call.arg("send_magic_link", default=False):
        facts |= {"event": "auth.magic_link.request", "strategy": Strategy.MAGIC_LINK}
    yield
    return Facts(**facts)


def _profile(call: Call) -> Flow:
    method, user = call.arg("method") or call.arg("methods"), call.arg("user")
    names = [name for name in (method if isinstance(method, (list, tuple)) else [method]) if isinstance(name, str)]
    removed = call.arg("delete", default=False) is True
    yield
    strategy = by_method(names[0]) if names else Strategy.OTP
    return Facts(
        event="mfa.remove" if removed else None, strategy=strategy, params={"method": ",".join(names) or None}, **about(user)
    )


def _key_removed(call: Call) -> Flow:
    user = call.arg("user")
    yield
    return Facts(action="delete_webauthn_credential", **about(user))


def _failed(call: Call) -> Flow:
    user, method, second = call.arg("user"), call.arg("auth_type"), call.arg("tfa")
    yield
    fallback = Reason.MFA_INVALID if second else Reason.INVALID_CREDENTIALS
    request = current_request()
    by_link = method == "passcode" and request is not None and request.method == "GET"
    strategy = Strategy.MAGIC_LINK if by_link else _FAILED.get(method, Strategy.UNKNOWN)
    return Facts(
        status=Status.FAILURE, event="mfa.verify" if second else None, fallback=fallback, strategy=strategy, **about(user)
    )


def _token_checked(_call: Call) -> Flow:
    """A good token is told by Flask-Login, which loads its user."""
    import flask  # noqa: PLC0415 -- the application has imported it, else this would not run

    request, config = current_request(), flask.current_app.config
    header = config.get("SECURITY_TOKEN_AUTHENTICATION_HEADER")
    shown = request.headers.get(header) or request.args.get(config.get("SECURITY_TOKEN_AUTHENTICATION_KEY"))
    outcome = yield
    if outcome.error is not None or outcome.result or not shown:
        return SKIP
    return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS)


def _token_parsed(_call: Call) -> Flow:
    outcome = yield
    if outcome.error is None:
        return None
    kinds = {kind.__name__ for kind in type(outcome.error).__mro__}
    if "SignatureExpired" in kinds:
        return Facts(reason=Reason.TOKEN_EXPIRED)
    return Facts(reason=Reason.TOKEN_BAD_SIGNATURE if "BadSignature" in kinds else Reason.TOKEN_MALFORMED)


def _basic_checked(_call: Call) -> Flow:
    shown = carried(current_request().environ.get("HTTP_AUTHORIZATION"))
    outcome = yield
    if shown["identity"] is None:
        return SKIP
    if outcome.error is not None or outcome.result:
        return Facts(identity=shown["identity"], **about(current_user() if outcome.result else None))
    return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS, identity=shown["identity"])


def _nobody(_call: Call) -> Flow:
    outcome = yield
    return (
        Facts(reason=Reason.UNKNOWN_IDENTITY, identity_known=False) if outcome.error is None and outcome.result is None else None
    )


def _locked(_call: Call) -> Flow:
    outcome = yield
    return Facts(reason=Reason.LOCKED_ACCOUNT) if outcome.result else None


def _token_made(call: Call) -> Flow:
    user = call.instance
    outcome = yield
    if outcome.error is not None:
        return SKIP
    return Facts(event="token.refresh" if _view().startswith("refresh") else None, **about(user))


def _revoked(call: Call) -> Flow:
    """A refresh token that is given back at sign-out is no event beside that."""
    user, error = call.arg("user"), getattr(call.arg("refresh_errors"), "name", None)
    yield
    return SKIP if _view() == "logout" else Facts(error_type=error, **about(user))


def _view() -> str:
    """Which of the library's views answers, if one does."""
    request = current_request()
    return "" if request is None else str(request.endpoint).rpartition(".")[2]


_FUNCTION = partial(Hook, extract=of_user)
_SIGNAL = partial(Hook, extract=of_user, role=Role.SIGNAL)
_S: Final = "flask_security.signals:"

HOOKS: tuple[Hook, ...] = (
    *FORMS,
    *ACCOUNTS,
    _FUNCTION(
        target="flask_security.utils:login_user",
        extract=_login_user,
        event="auth.sign_in",
        strategy=Strategy.SESSION,
        establishes_session=True,
    ),
    _FUNCTION(target="flask_security.recoverable:update_password", event="password.reset", strategy=Strategy.PASSWORD),
    _FUNCTION(target="flask_security.confirmable:confirm_user", event="account.verify", strategy=Strategy.MAGIC_LINK),
    _FUNCTION(
        target="flask_security.confirmable:confirm_email_token_status",
        extract=_link,
        event="account.verify",
        strategy=Strategy.MAGIC_LINK,
    ),
    _FUNCTION(
        target="flask_security.recoverable:reset_password_token_status",
        extract=_link,
        event="password.reset",
        strategy=Strategy.PASSWORD,
    ),
    _FUNCTION(
        target="flask_security.passwordless:login_token_status",
        extract=_link,
        event="auth.authenticate",
        strategy=Strategy.MAGIC_LINK,
    ),
    _FUNCTION(
        target="flask_security.change_email:_verify_token_status",
        extract=_link,
        event="account.identity.change",
        strategy=Strategy.MAGIC_LINK,
        optional=True,
    ),
    *(
        _FUNCTION(
            target=f"flask_security.{function}",
            extract=_code_sent,
            event="mfa.code.send",
            strategy=Strategy.OTP,
            params={"method": False},
            errors=_SENDS,
        )
        for function in ("twofactor:tf_send_security_token", "unified_signin:us_send_security_token")
    ),
    _FUNCTION(
        target="flask_security.recovery_codes:MfRecoveryCodesUtil.create_recovery_codes",
        event="mfa.recovery_codes.generate",
        strategy=Strategy.RECOVERY_CODE,
    ),
    _FUNCTION(
        target="flask_security.decorators:_check_token", extract=_token_checked, event="auth.verify", strategy=Strategy.TOKEN
    ),
    _FUNCTION(
        target="flask_security.decorators:_check_http_auth", extract=_basic_checked, event="auth.verify", strategy=Strategy.BASIC
    ),
    _FUNCTION(
        target="flask_security.core:UserMixin.get_auth_token", extract=_token_made, event="token.issue", strategy=Strategy.TOKEN
    ),
    _FUNCTION(target="flask_security.utils:parse_auth_token", extract=_token_parsed, role=Role.NOTE, optional=True),
    _FUNCTION(target="flask_security.utils:lookup_identity", extract=_nobody, role=Role.NOTE),
    Hook(target="flask_security.core:UserMixin.is_locked", extract=_locked, role=Role.NOTE, overrides=True, optional=True),
    _SIGNAL(target=f"{_S}user_failed_authn", extract=_failed, event="auth.authenticate", optional=True),
    _SIGNAL(target=f"{_S}reset_password_instructions_sent", event="password.reset_request", strategy=Strategy.PASSWORD),
    _SIGNAL(target=f"{_S}login_instructions_sent", event="auth.magic_link.request", strategy=Strategy.MAGIC_LINK),
    _SIGNAL(target=f"{_S}confirm_instructions_sent", event="account.verify_request"),
    _SIGNAL(target=f"{_S}change_email_instructions_sent", event="account.verify_request", optional=True),
    _SIGNAL(target=f"{_S}tf_profile_changed", extract=_profile, event="mfa.enroll", params={"method": False}),
    _SIGNAL(target=f"{_S}us_profile_changed", extract=_profile, event="mfa.enroll", params={"method": False}),
    _SIGNAL(target=f"{_S}tf_disabled", event="mfa.remove", strategy=Strategy.OTP),
    _SIGNAL(target=f"{_S}wan_deleted", extract=_key_removed, event="mfa.remove", strategy=Strategy.WEBAUTHN),
    _SIGNAL(
        target=f"{_S}refresh_tracker_revoked", extract=_revoked, event="token.revoke", strategy=Strategy.TOKEN, optional=True
    ),
)

BLIND = (
    "A user's sign-in right after the registration in the same request is recorded with the library's id for sessions "
    "(`fs_uniquifier`) where the datastore gives the primary key only later.",
    "Whether a wrong `passcode` of a unified sign-in was meant as a password or as a code nobody knows: it is a password where the "
    "user has one.",
    "A link of a unified sign-in that is wrong (before version 5.8) or of an unknown or inactive user, and a request for help where "
    "a second factor is lost, are not seen.",
    "A refused token is seen where a view asks for one, in its header or query; one in a JSON body is not.",
    "What changes a user object without the datastore's methods for it is not seen.",
)
