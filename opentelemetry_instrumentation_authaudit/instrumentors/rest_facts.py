"""What Django REST framework's requests, exceptions and token models tell: shared by the rows of every library built on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Reason, Skip, Status
from . import django_facts as django

__all__ = (
    "ERRORS",
    "answered",
    "authorization",
    "complaint",
    "first",
    "is_a",
    "key_of",
    "owner",
    "throttled",
    "user_of",
    "verdict",
    "who",
)

ERRORS: Final = {"PermissionDenied": Reason.PERMISSION_DENIED}
"""Django's own refusal; those of the framework have a status code, which says why."""
_BY_STATUS_CODE: Final = {401: Reason.INVALID_CREDENTIALS, 403: Reason.PERMISSION_DENIED, 429: Reason.RATE_LIMITED}
_NOTHING: Final = frozenset({"blank", "null", "parse_error", "required", "unsupported_media_type"})
"""Codes of a request that submits nothing."""
_BY_CODE: Final = {
    "authorization": Reason.INVALID_CREDENTIALS,
    "bad_authorization_header": Reason.TOKEN_MALFORMED,
    "cannot_create_user": Reason.IDENTITY_IN_USE,
    "email_not_found": Reason.UNKNOWN_IDENTITY,
    "invalid_credentials": Reason.INVALID_CREDENTIALS,
    "invalid_password": Reason.WRONG_PASSWORD,
    "invalid_token": Reason.INVALID_CODE,
    "invalid_uid": Reason.INVALID_CODE,
    "no_active_account": Reason.INACTIVE_ACCOUNT,
    "password_changed": Reason.TOKEN_REVOKED,
    "password_mismatch": Reason.PASSWORD_MISMATCH,
    "unique": Reason.IDENTITY_IN_USE,
    "user_inactive": Reason.INACTIVE_ACCOUNT,
    "user_not_found": Reason.UNKNOWN_IDENTITY,
}
_BY_TEXT: Final = {
    "User inactive or deleted.": Reason.INACTIVE_ACCOUNT,
    "Invalid basic header. No credentials provided.": Reason.TOKEN_MALFORMED,
    "Invalid basic header. Credentials string should not contain spaces.": Reason.TOKEN_MALFORMED,
    "Invalid basic header. Credentials not correctly base64 encoded.": Reason.TOKEN_MALFORMED,
    "Invalid token header. No credentials provided.": Reason.TOKEN_MALFORMED,
    "Invalid token header. Token string should not contain spaces.": Reason.TOKEN_MALFORMED,
    "Invalid token header. Token string should not contain invalid characters.": Reason.TOKEN_MALFORMED,
}
"""What the framework's own authenticators say, all under one code; it is compared in the language of the request."""
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


def who(user: Any) -> dict[str, Any]:
    """Facts about *user*, without loading a lazy one."""
    loaded = django.loaded(user)
    return {"subject": django.subject(loaded), "resource": django.resource(loaded)}


def user_of(request: Any) -> Any:
    """The user of a request that has been authenticated, None before that."""
    return _attributes(request).get("_user")


def first(call: Call, name: str) -> Any:
    """The first argument, whatever an overriding method calls it."""
    return next(iter(call.args), call.kwargs.get(name))


def authorization(request: Any) -> str | None:
    """The header `Authorization` of a request, the framework's or Django's."""
    meta = getattr(request, "META", None)
    return django.text(meta.get("HTTP_AUTHORIZATION")) if isinstance(meta, Mapping) else None


def owner(token: Any) -> dict[str, Any]:
    """Facts about the user to whom a stored token belongs, without loading either."""
    field = token._meta.get_field("user")  # noqa: SLF001 -- Django's documented name
    model, key = field.related_model._meta, vars(token).get(field.attname)  # noqa: SLF001
    subject = None if key is None else f"{model.concrete_model._meta.label_lower}:{key}"  # noqa: SLF001
    return {"subject": subject, "resource": model.label}


def key_of(token: Any) -> str | None:
    """The primary key of a stored token, which may be the token itself: it is only ever recorded as a keyed hash."""
    meta = getattr(token, "_meta", None)
    key = None if meta is None else _attributes(token).get(meta.concrete_model._meta.pk.attname)  # noqa: SLF001
    return None if key is None else str(key)


def complaint(error: BaseException) -> dict[str, Any]:
    """Facts about how a request was refused; nothing for an exception that is no refusal."""
    code = getattr(error, "status_code", None)
    if not isinstance(code, int) or not _CLIENT_ERROR <= code < _SERVER_ERROR:
        return {}
    codes = list(_codes(getattr(error, "detail", None)))
    reason = _by_text(error) or next(filter(None, (_reason(*pair) for pair in codes)), None)
    fallback = reason or _BY_STATUS_CODE.get(code, Reason.INVALID_INPUT)
    return {"status": Status.FAILURE, "fallback": fallback, "error_type": codes[0][1] if codes else None}


def answered(response: Any, **facts: Any) -> Facts:
    """What a view's response says that nothing was raised for."""
    code = getattr(response, "status_code", None)
    if not isinstance(code, int) or code < _CLIENT_ERROR:
        return Facts(**facts)
    if code >= _SERVER_ERROR:
        return Facts(**{**facts, "status": Status.UNKNOWN, "fallback": Reason.BACKEND_ERROR})
    return Facts(**{**facts, "status": Status.FAILURE, "fallback": _BY_STATUS_CODE.get(code, Reason.INVALID_CREDENTIALS)})


def is_a(error: Any, name: str) -> bool:
    """Whether *error* is an exception called *name*, or derives from one."""
    return any(kind.__name__ == name for kind in type(error).__mro__)


def verdict(error: BaseException | None, **facts: Any) -> Facts | Skip:
    """What became of a request that submits credentials: no attempt where it submits none."""
    if error is None:
        return Facts(**facts)
    codes = {code for _, code in _codes(getattr(error, "detail", None))}
    return SKIP if codes and codes <= _NOTHING else Facts(**{**facts, **complaint(error)})


def throttled(call: Call) -> Flow:
    """`handle_exception` of a view that signs in: the framework's throttles answer in its place."""
    error = first(call, "exc")
    if not is_a(error, "Throttled"):
        return None
    yield
    return Facts(status=Status.FAILURE, reason=Reason.RATE_LIMITED, error_type="throttled")


def _codes(detail: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Field and code of every complaint in what an exception says. Simple JWT has a code of its own beside the text."""
    if isinstance(detail, Mapping):
        if isinstance(detail.get("code"), str):
            yield field, str(detail["code"])
            return
        for name, inner in detail.items():
            yield from _codes(inner, str(name))
    elif isinstance(detail, (list, tuple)):
        for inner in detail:
            yield from _codes(inner, field)
    elif isinstance(getattr(detail, "code", None), str):
        yield field, detail.code


def _reason(field: str, code: str) -> Reason | None:
    if code.startswith("password_") and code not in _BY_CODE:
        return Reason.WEAK_PASSWORD
    if code == "invalid" and "password" in field:
        return Reason.WEAK_PASSWORD
    return _BY_CODE.get(code)


def _by_text(error: BaseException) -> Reason | None:
    from django.utils.translation import gettext  # noqa: PLC0415 -- the application has imported it, else this would not run

    text = django.text(getattr(error, "detail", None))
    return None if text is None else next((reason for said, reason in _BY_TEXT.items() if gettext(said) == text), None)


def _attributes(value: Any) -> Mapping[str, Any]:
    """What *value* holds itself, without asking it."""
    return getattr(value, "__dict__", {})
