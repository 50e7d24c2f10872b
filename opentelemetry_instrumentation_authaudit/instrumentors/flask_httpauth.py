"""Flask-HTTPAuth: Basic and Digest credentials, bearer tokens and API keys that requests carry.

The application's own callback decides, and it is called without credentials too: those requests are no events.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from uuid import UUID

from ..hooks import SILENCE, Call, Facts, Flow, Hook, Reason, Status, Strategy

__all__ = ("BLIND", "HOOKS")

_NAMES_USER: Final = ("id", "pk", "uid", "user_id", "username", "name", "email", "sub")
"""Under what the application's user object, or a dictionary, says whose it is."""


def _password(call: Call) -> Flow:
    """Basic: one callback checks the password, or another one says what it is."""
    asked = call.instance.verify_password_callback is None
    return _with_name(call, unknown=asked and call.arg("stored_password") is None)


def _digest(call: Call) -> Flow:
    return _with_name(call, unknown=not call.arg("stored_password_or_ha1"))


def _with_name(call: Call, *, unknown: bool) -> Flow:
    name = getattr(_shown(call), "username", None)
    outcome = yield
    if not isinstance(name, str) or not name:
        return SILENCE
    fallback = Reason.UNKNOWN_IDENTITY if unknown else Reason.INVALID_CREDENTIALS
    return _verdict(outcome.result, outcome.error, fallback, identity=name, identity_known=False if unknown else None)


def _token(call: Call) -> Flow:
    shown, header = getattr(_shown(call), "token", None), call.instance.header
    outcome = yield
    if not shown:
        return SILENCE
    own_header = header is not None and header != "Authorization"
    facts: dict[str, Any] = {"event": "api_key.verify", "strategy": Strategy.API_KEY} if own_header else {}
    return _verdict(outcome.result, outcome.error, Reason.INVALID_CREDENTIALS, **facts)


def _verdict(result: Any, error: BaseException | None, fallback: Reason, **facts: Any) -> Facts:
    """What the callback decided, as the library reads it; an exception speaks for itself."""
    if error is not None:
        return Facts(**facts)
    if result is None or (isinstance(result, int) and not result):
        return Facts(status=Status.FAILURE, fallback=fallback, **facts)
    known = facts.pop("identity_known", None)
    own = not isinstance(result, (bool, int, str, Mapping))
    kind = type(result)
    resource = f"{kind.__module__}:{kind.__qualname__}" if own else None
    return Facts(subject=_named(result) or facts.get("identity"), identity_known=known, resource=resource, **facts)


def _named(user: Any) -> str | None:
    """Whom the callback's answer names, without evaluating an attribute that is not simply there: that could cost a query."""
    own = user if isinstance(user, Mapping) else getattr(user, "__dict__", None)
    value = user if own is None else next((own[name] for name in _NAMES_USER if own.get(name)), None)
    return str(value) if isinstance(value, (str, int, UUID)) and not isinstance(value, bool) and value != "" else None


def _shown(call: Call) -> Any:
    """The credentials; whoever overrides the method may call them otherwise."""
    return next(iter((*call.args, *call.kwargs.values())), None)


_HOOK = partial(
    Hook,
    event="auth.verify",
    errors={
        "Forbidden": Reason.PERMISSION_DENIED,
        "TooManyRequests": Reason.RATE_LIMITED,
        "Unauthorized": Reason.INVALID_CREDENTIALS,
    },
    overrides=True,
)

HOOKS: tuple[Hook, ...] = (
    _HOOK(target="flask_httpauth:HTTPBasicAuth.authenticate", extract=_password, strategy=Strategy.BASIC),
    _HOOK(target="flask_httpauth:HTTPDigestAuth.authenticate", extract=_digest, strategy=Strategy.DIGEST),
    _HOOK(target="flask_httpauth:HTTPTokenAuth.authenticate", extract=_token, strategy=Strategy.TOKEN),
)

BLIND = (
    "Why the application's callback said no is known only as far as a password hash or a token is checked in it, or where "
    "`get_password` finds no password.",
    "The subject is the `id` (or a similar attribute) of what the callback returns, else the user name of the credentials; that of a "
    "token is known only if the callback returns it.",
    "That a user has not the role a view asks for (`403`) is no event.",
)
