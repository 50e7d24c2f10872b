"""What django-allauth's objects tell, beside what Django's do: who proved what by which means, and why a form said no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Reason, Status, Strategy
from . import django_facts as django
from .submitted import claimed

__all__ = (
    "MAIL",
    "NO",
    "code_of",
    "complaint",
    "factor",
    "federated",
    "looking",
    "me",
    "owner",
    "proof",
    "provided",
    "reason_of",
    "refusal",
    "typed",
    "waiting",
    "who",
)

NO: Final = {"ValidationError": Reason.POLICY_DENIED, "PermissionDenied": Reason.PERMISSION_DENIED}
"""Exceptions by which adapters and forms say no."""
MAIL: Final = {"SMTPException": Reason.SEND_FAILED, "OSError": Reason.SEND_FAILED}
_BY_METHOD: Final = {"password": Strategy.PASSWORD, "code": Strategy.OTP}
_FACTORS: Final = {"totp": Strategy.TOTP, "recovery_codes": Strategy.RECOVERY_CODE, "webauthn": Strategy.WEBAUTHN}
_FEDERATIONS: Final = {"openid_connect": Strategy.OIDC, "saml": Strategy.SAML}
"""Provider of many: its applications have names of their own."""
_BY_CODE: Final = {
    "too_many_login_attempts": Reason.RATE_LIMITED,
    "rate_limited": Reason.RATE_LIMITED,
    "account_inactive": Reason.INACTIVE_ACCOUNT,
    "incorrect_password": Reason.WRONG_PASSWORD,
    "enter_current_password": Reason.WRONG_PASSWORD,
    "email_password_mismatch": Reason.INVALID_CREDENTIALS,
    "phone_password_mismatch": Reason.INVALID_CREDENTIALS,
    "username_password_mismatch": Reason.INVALID_CREDENTIALS,
    "username_taken": Reason.IDENTITY_IN_USE,
    "email_taken": Reason.IDENTITY_IN_USE,
    "phone_taken": Reason.IDENTITY_IN_USE,
    "duplicate_email": Reason.IDENTITY_IN_USE,
    "connected_other": Reason.IDENTITY_IN_USE,
    "unknown_email": Reason.UNKNOWN_IDENTITY,
    "unknown_phone": Reason.UNKNOWN_IDENTITY,
    "incorrect_code": Reason.INVALID_CODE,
    "invalid_password_reset": Reason.INVALID_CODE,
    "invalid_or_expired_key": Reason.INVALID_CODE,
    "invalid_token": Reason.TOKEN_MALFORMED,
    "unverified_email": Reason.UNVERIFIED_ACCOUNT,
    "unverified_primary_email": Reason.UNVERIFIED_ACCOUNT,
    "max_email_addresses": Reason.POLICY_DENIED,
    "add_email_blocked": Reason.POLICY_DENIED,
    "cannot_remove_primary_email": Reason.POLICY_DENIED,
    "cannot_delete_authenticator": Reason.POLICY_DENIED,
    "cannot_generate_recovery_codes": Reason.POLICY_DENIED,
    "disconnect_last": Reason.POLICY_DENIED,
    "no_password": Reason.POLICY_DENIED,
    "no_verified_email": Reason.POLICY_DENIED,
    "username_blacklisted": Reason.POLICY_DENIED,
}
"""Code of the library's errors -> reason, the weightiest first."""

_NOTHING: Final = frozenset({"required", "invalid_login"})
"""Codes of a form in which nothing was tried."""


def who(user: Any) -> dict[str, Any]:
    """Facts about an account."""
    return {"subject": django.subject(user), "resource": django.resource(user)}


def owner(row: Any) -> dict[str, Any]:
    """Facts about whose row this is, by its foreign key `user`: nothing is loaded."""
    meta, key = getattr(row, "_meta", None), getattr(row, "user_id", None)
    if meta is None or key is None:
        return {}
    model = meta.get_field("user").related_model._meta  # noqa: SLF001 -- Django's documented name
    return {"subject": f"{model.concrete_model._meta.label_lower}:{key}", "resource": model.label}  # noqa: SLF001


def typed(*bodies: Any) -> dict[str, Any]:
    """Facts about what was typed as the identity; a phone number is one here."""
    found = claimed(*bodies)
    phone = next((django.text(body.get("phone")) for body in bodies if isinstance(body, Mapping)), None)
    return found or ({"identity": phone, "identity_field": "identifier"} if phone else {})


def proof(request: Any, user: Any) -> dict[str, Any]:
    """Facts about how *user* proved identity last, as the library keeps it in the session from the first step to the last.

    Nothing if there is no such proof; a session that is not loaded yet has none.
    """
    session = getattr(getattr(request, "session", None), "_session_cache", None)
    if not isinstance(session, dict) or session.get("account_authentication_methods_user", str(user.pk)) != str(user.pk):
        return {}
    kept = session.get("account_authentication_methods")
    steps = [step for step in kept if not step.get("reauthenticated")] if isinstance(kept, list) else []
    if not steps:
        return {}
    method, provider = steps[-1].get("method"), steps[-1].get("provider")
    if method == "socialaccount":
        return {"strategy": federated(provider), "provider": provider}
    first = next((typed(step) for step in reversed(steps) if typed(step)), {})
    return {"strategy": factor(steps[-1].get("type")) if method == "mfa" else _BY_METHOD.get(method, Strategy.SESSION), **first}


def factor(kind: Any) -> Strategy:
    """The mechanism of an authenticator of type *kind*."""
    return _FACTORS.get(str(kind), Strategy.OTP)


def federated(provider: Any) -> Strategy:
    """The mechanism of a provider, as an object or by name. Its name tells, unless it is an application's own."""
    from allauth.socialaccount.providers import registry  # noqa: PLC0415 -- the application has imported it

    name = getattr(provider, "id", provider)
    if name in _FEDERATIONS or registry.get_class(name) is not None:
        return _FEDERATIONS.get(name, Strategy.OAUTH2)
    installed = [strategy for known, strategy in _FEDERATIONS.items() if registry.get_class(known) is not None]
    return installed[0] if len(installed) == 1 else Strategy.OAUTH2


def reason_of(code: str | None) -> Reason | None:
    """What a code of the library's errors means; None if it says nothing of its own."""
    return _BY_CODE.get(code or "")


def complaint(form: Any) -> tuple[str | None, Reason | None]:
    """Code and reason why a form refused what it was given; nothing if all it misses is a field."""
    faults = vars(form).get("_errors")
    found = [(field, django.text(e.code)) for field, errors in (faults.as_data() if faults else {}).items() for e in errors]
    codes = {code for _, code in found}
    if codes <= _NOTHING:
        return None, None
    for code, reason in _BY_CODE.items():
        if code in codes:
            return code, reason
    if any(code is None and field in {"password2", "email2"} for field, code in found):
        mismatch = any(field == "password2" for field, _ in found)
        return None, Reason.PASSWORD_MISMATCH if mismatch else Reason.INVALID_INPUT
    return django.complaint(form)


def refusal(call: Call, but: str | None = None, action: str | None = None) -> Flow:
    """A form, when it has checked everything: told as *action* if it refuses, unless by the code *but*, which somebody else tells."""
    form = call.instance
    if not form.is_bound:
        return None
    outcome = yield
    facts = {**who(getattr(form, "reset_user", None) or getattr(form, "user", None)), **typed(form.data)}
    if outcome.error is not None:
        return Facts(**facts)
    code, reason = complaint(form)
    if reason is None or (but is not None and code == but) or django.again(form):
        return SKIP
    return Facts(status=Status.FAILURE, fallback=reason, error_type=code, action=action, **facts)


def code_of(error: BaseException | None) -> str | None:
    """The library's code of an error, else the name of its class."""
    return None if error is None else django.text(getattr(error, "code", None)) or type(error).__name__


def looking() -> bool:
    """Whether the request only looks at a page: nothing is tried."""
    return getattr(django.current.get(), "method", None) in {"GET", "HEAD"}


def me() -> dict[str, Any]:
    """Facts about who is signed in."""
    actor = django.actor(None)
    return {} if actor is None else {"subject": actor.id}


def provided(provider: Any) -> dict[str, Any]:
    """Facts about a provider, an object or a name: its application's own name if it has one."""
    names = (getattr(provider, "sub_id", None), getattr(provider, "id", None), provider)
    return {"strategy": federated(provider), "provider": next((name for name in names if isinstance(name, str)), None)}


def waiting(process: Any) -> dict[str, Any]:
    """Facts about who is to send a code: the user where the library has looked it up, else the key that it keeps."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 -- the application has imported it

    facts, key = {**typed(process.state), **who(vars(process).get("_user"))}, process.state.get("user_id")
    if facts["subject"] is None and key is not None:
        model: Any = get_user_model()
        facts["subject"] = f"{model._meta.concrete_model._meta.label_lower}:{key}"  # noqa: SLF001 -- Django's documented name
        facts["resource"] = model._meta.label  # noqa: SLF001
    return facts
