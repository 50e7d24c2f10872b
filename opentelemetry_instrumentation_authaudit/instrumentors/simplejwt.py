"""Simple JWT: what its serializers decide, whatever view they serve, the tokens made for users and the ones taken back.

Its authenticators are Django REST framework's; PyJWT says why a token is refused, and `Token.verify` whose it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from ..hooks import SILENCE, SKIP, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from . import django_facts as django
from . import rest_facts as rest

__all__ = ("BLIND", "HOOKS")

_ERRORS: Final = rest.ERRORS | {
    "DoesNotExist": Reason.UNKNOWN_IDENTITY,
    "ExpiredTokenError": Reason.TOKEN_EXPIRED,
    "TokenError": Reason.INVALID_CREDENTIALS,
}
_TOO_LATE: Final = _ERRORS | {"TokenError": Reason.TOKEN_EXPIRED}
"""A sliding token that is good may be too old to be renewed."""
_BY_SERIALIZER: Final = {"TokenObtain": "auth.sign_in", "TokenRefresh": "token.refresh"}


def _obtain(call: Call) -> Flow:
    serializer, name = call.instance, call.instance.username_field
    facts: dict[str, Any] = {
        "identity": django.text(rest.first(call, "attrs").get(name)),
        "identity_field": "email" if name == "email" else "username",
    }
    outcome = yield
    user = vars(serializer).get("user")
    facts |= rest.who(user)
    if outcome.error is None and not outcome.result:
        facts["event"] = "auth.authenticate"  # no token, so far
    verdict = rest.verdict(outcome.error, **facts)
    if not isinstance(verdict, Facts) or verdict.status is not Status.FAILURE:
        return verdict
    return Facts(**facts, status=Status.FAILURE, fallback=_why(user), error_type=verdict.error_type)


def _why(user: Any) -> Reason:
    """Why nobody gets a token, who may have had the right password."""
    if user is None:
        return Reason.INVALID_CREDENTIALS
    return Reason.INACTIVE_ACCOUNT if getattr(user, "is_active", None) is False else Reason.REJECTED_AFTER_VERIFICATION


def _check(_call: Call) -> Flow:
    outcome = yield
    return rest.verdict(outcome.error)


def _verify(_call: Call) -> Flow:
    """A token that is good and blacklisted is refused in the words of a form."""
    outcome = yield
    blacklisted = rest.is_a(outcome.error, "ValidationError")
    return Facts(status=Status.FAILURE, reason=Reason.TOKEN_REVOKED, error_type="invalid") if blacklisted else Facts()


def _blacklist(_call: Call) -> Flow:
    """Only that the token was no good: that it is blacklisted is told by what stores it, where that is installed at all."""
    outcome = yield
    return SILENCE if outcome.error is None else rest.verdict(outcome.error)


def _authenticate(_call: Call) -> Flow:
    outcome = yield
    if outcome.error is not None:
        return Facts(**rest.complaint(outcome.error))
    if not isinstance(outcome.result, tuple):
        return SKIP
    user, token = outcome.result
    claims = _payload(token)
    facts = _whose(claims)
    return Facts(**(facts if django.resource(user) is None else {**facts, **rest.who(user)}), claims=claims)


def _verified(call: Call) -> Flow:
    """The signature was right, so that the token says whose it is even where it is refused."""
    token = call.instance
    outcome = yield
    claims = _payload(token)
    reason = None if outcome.error is None else _fault(token, claims)
    return Facts(reason=reason, **_whose(claims))


def _blacklisted(call: Call) -> Flow:
    outcome = yield
    claims = _payload(call.instance)
    reason = Reason.TOKEN_REVOKED if type(outcome.error).__name__ == "TokenError" else None
    return Facts(reason=reason, **_whose(claims))


def _issued(call: Call) -> Flow:
    user = rest.first(call, "user")
    outcome = yield
    facts = rest.who(user)
    claims = _payload(outcome.result)
    return Facts(token_id=_jti(claims), actor=django.actor(facts["subject"]), **facts)


def _revoked(call: Call) -> Flow:
    entry = call.instance
    if not entry._state.adding:  # noqa: SLF001 -- Django's documented name
        return None
    token = entry._state.fields_cache.get("token")  # noqa: SLF001 -- loaded, or left alone
    yield
    if token is None:
        return Facts()
    facts = rest.owner(token)
    return Facts(token_id=django.text(vars(token).get("jti")), actor=django.actor(facts["subject"]), **facts)


def _throttled(call: Call) -> Flow:
    """A throttle answers in the place of a view, whose serializer says what was asked for."""
    view = call.instance
    kind = getattr(view, "serializer_class", None)
    names = [base.__name__ for base in kind.__mro__] if isinstance(kind, type) else [getattr(view, "_serializer_class", "")]
    event = next((event for part, event in _BY_SERIALIZER.items() if any(part in name for name in names)), None)
    if event is None or not rest.is_a(rest.first(call, "exc"), "Throttled"):
        return None
    yield
    return Facts(event=event, status=Status.FAILURE, reason=Reason.RATE_LIMITED, error_type="throttled")


def _payload(token: Any) -> Mapping[str, Any]:
    payload = getattr(token, "__dict__", {}).get("payload")
    return payload if isinstance(payload, Mapping) else {}


def _jti(claims: Mapping[str, Any]) -> str | None:
    from rest_framework_simplejwt.settings import api_settings  # noqa: PLC0415 -- it is imported, else this would not run

    return django.text(claims.get(api_settings.JTI_CLAIM))


def _whose(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Which token it is and whose: the key of a user, or another field that the application has chosen to name users by."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415
    from rest_framework_simplejwt.settings import api_settings  # noqa: PLC0415

    key, field = claims.get(api_settings.USER_ID_CLAIM), api_settings.USER_ID_FIELD
    if not isinstance(key, (str, int)):
        return {"token_id": _jti(claims)}
    model: Any = get_user_model()
    meta = model._meta.concrete_model._meta  # noqa: SLF001 -- Django's documented name
    named = f":{key}" if field in ("pk", meta.pk.name) else f"?{field}={key}"
    return {"subject": f"{meta.label_lower}{named}", "resource": meta.label, "token_id": _jti(claims)}


def _fault(token: Any, claims: Mapping[str, Any]) -> Reason | None:
    from rest_framework_simplejwt.settings import api_settings  # noqa: PLC0415

    expected, kind = getattr(token, "token_type", None), claims.get(api_settings.TOKEN_TYPE_CLAIM)
    if expected in ("untyped", kind):
        return None if _jti(claims) is not None else Reason.TOKEN_MALFORMED
    return Reason.TOKEN_MALFORMED if kind is None else Reason.TOKEN_WRONG_TYPE


def _row(target: str, extract: Callable[[Call], Flow], event: str | None = None, **more: Any) -> Hook:
    target = f"rest_framework_simplejwt.{target}"
    return Hook(
        target=target, extract=extract, event=event, overrides=True, strategy=Strategy.TOKEN, **{"errors": _ERRORS, **more}
    )


_note = partial(_row, role=Role.NOTE)

HOOKS = (
    _row("serializers:TokenObtainSerializer.validate", _obtain, "auth.sign_in", defer=True),
    _row("serializers:TokenRefreshSerializer.validate", _check, "token.refresh"),
    _row("serializers:TokenRefreshSlidingSerializer.validate", _check, "token.refresh", errors=_TOO_LATE),
    _row("serializers:TokenVerifySerializer.validate", _verify, "auth.verify"),
    _row("serializers:TokenBlacklistSerializer.validate", _blacklist, "token.revoke"),
    _row("views:TokenViewBase.handle_exception", _throttled, "auth.sign_in"),
    _row("authentication:JWTAuthentication.authenticate", _authenticate, "auth.verify"),
    _note("tokens:Token.verify", _verified),
    _note("tokens:BlacklistMixin.check_blacklist", _blacklisted, optional=True),  # defined where the blacklist is installed
    _row("tokens:Token.for_user", _issued, "token.issue", establishes_session=True),
    _row("token_blacklist.models:BlacklistedToken.save", _revoked, "token.revoke"),
)

BLIND = (
    "A token that is put together without `for_user` is not seen, nor one that `bulk_create` or SQL blacklists.",
    "A refresh token that was used up by rotation and one that was revoked look the same (`token_revoked`).",
    "Of a token with a wrong signature nothing is believed: whose it claims to be is not recorded.",
    "Before version 5.4 the user of a token that is renewed is not looked up: a disabled one is not refused.",
)
