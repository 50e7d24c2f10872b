"""What OAuth servers of every kind have in common: the codes of an error and what they mean, and users and clients of any database.

Nothing here asks a database: attributes that an ORM would have to load are left alone. Nothing here fails on a mock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from ..hooks import Actor, Reason, Status
from . import django_facts as django

__all__ = (
    "REASONS",
    "WAITING",
    "answer",
    "caller",
    "client",
    "granted",
    "mapping",
    "owner",
    "redirection",
    "refused",
    "scope",
    "stored",
    "text",
    "whose",
)

_KEYS: Final = ("id", "pk", "user_id", "uid", "sub")
_ERROR, _SERVER_ERROR = 400, 500
_BROKEN: Final = frozenset({"server_error", "temporarily_unavailable"})
WAITING: Final = frozenset({"authorization_pending", "slow_down"})
"""A device asks again while its user has not decided (RFC 8628, 3.5): nothing has failed."""
_SAID: Final = frozenset({"access_token", "code", "error", "id_token"})
REASONS: Final[Mapping[str, Reason]] = {
    "access_denied": Reason.PROVIDER_DENIED,
    "consent_required": Reason.PERMISSION_DENIED,
    "expired_token": Reason.CODE_EXPIRED,
    "insufficient_scope": Reason.INSUFFICIENT_SCOPE,
    "interaction_required": Reason.PERMISSION_DENIED,
    "invalid_client": Reason.INVALID_CREDENTIALS,
    "invalid_grant": Reason.INVALID_CREDENTIALS,
    "invalid_request": Reason.INVALID_INPUT,
    "invalid_scope": Reason.INSUFFICIENT_SCOPE,
    "invalid_target": Reason.INVALID_INPUT,
    "invalid_token": Reason.INVALID_CREDENTIALS,
    "login_required": Reason.SESSION_MISSING,
    "unauthorized_client": Reason.POLICY_DENIED,
    "unsupported_grant_type": Reason.INVALID_INPUT,
    "unsupported_response_type": Reason.INVALID_INPUT,
    "unsupported_token_type": Reason.INVALID_INPUT,
}
"""Error codes of RFC 6749 (4.1.2.1, 5.2), 6750, 7009, 8628, 8707 and OpenID Connect Core (3.1.2.6)."""


def refused(code: str | None, **better: Reason) -> dict[str, Any]:
    """Facts of an attempt that an OAuth error *code* ended; *better* says what a code means here if nothing deeper knows."""
    if code in _BROKEN:
        return {"status": Status.UNKNOWN, "fallback": Reason.BACKEND_ERROR, "error_type": code}
    if code == "invalid_client":  # the check of its secret may look like one of somebody's password
        return {"status": Status.FAILURE, "reason": Reason.INVALID_CREDENTIALS, "error_type": code}
    reason = better.get(code or "") or REASONS.get(code or "")
    return {"status": Status.FAILURE, "fallback": reason, "error_type": code}


def answer(status: object, body: object) -> tuple[str | None, Mapping[str, Any]]:
    """Error code, None for a good answer, and content of a JSON response."""
    content = mapping(body)
    if isinstance(status, int) and status >= _ERROR:
        usual = "server_error" if status >= _SERVER_ERROR else "invalid_request"
        return text(content.get("error")) or usual, content
    return text(content.get("error")), content


def mapping(body: object) -> Mapping[str, Any]:
    """The JSON object in *body*, empty if it is none."""
    if isinstance(body, (str, bytes)):
        try:
            body = json.loads(body)
        except ValueError:
            return {}
    return body if isinstance(body, Mapping) else {}


def redirection(location: object) -> list[tuple[str, str]]:
    """The parameters that a redirection hands to a client, in query and fragment; what the server has added comes last."""
    if not isinstance(location, str):
        return []
    try:
        parts = urlsplit(location)
    except ValueError:
        return []
    return [*parse_qsl(parts.query), *parse_qsl(parts.fragment)]


def granted(location: object) -> tuple[str, str | None]:
    """Event and error code of an authorization response: a client may have put parameters of these names into its address."""
    said = [pair for pair in redirection(location) if pair[0] in _SAID]
    if said and said[-1][0] == "error":
        return "oauth.authorize", said[-1][1]
    return ("token.issue" if any(name.endswith("token") for name, _ in said) else "consent.grant"), None


def owner(user: Any) -> dict[str, Any]:
    """Subject and resource of a user of any kind: a Django model, a row of SQLAlchemy, a plain object, or a bare key."""
    user = getattr(user, "_wrapped", user) if type(user).__name__ == "SimpleLazyObject" else user
    if user is None or isinstance(user, bool):
        return {}
    if isinstance(user, (str, int)):
        return {"subject": str(user) or None}
    if hasattr(type(user), "_meta"):
        return {"subject": django.subject(user), "resource": django.resource(user)}
    key = _key(user)
    return {} if key is None else {"subject": key, "resource": f"{type(user).__module__}:{type(user).__qualname__}"}


def _key(user: Any) -> str | None:
    identity = getattr(stored(user, "_sa_instance_state"), "identity", None)
    if isinstance(identity, tuple) and identity:
        return str(identity[0])
    known: Any = user if isinstance(user, Mapping) else None
    found = (stored(user, name) if known is None else known.get(name) for name in _KEYS)
    return next((str(value) for value in found if value is not None and not isinstance(value, bool)), None)


def whose(token: Any) -> dict[str, Any]:
    """Whose a stored token is, by the key in its row: the user is not loaded for that."""
    key = token.get("sub") if isinstance(token, Mapping) else stored(token, "user_id")
    if key is None or isinstance(key, bool):
        return {}
    meta = getattr(type(token), "_meta", None)
    links = (field.remote_field for field in getattr(meta, "fields", ()) if field.attname == "user_id")
    model = next((link.model for link in links if link is not None), None)
    if model is None:
        return {"subject": str(key)}
    return {"subject": f"{model._meta.concrete_model._meta.label_lower}:{key}", "resource": django.resource(model)}  # noqa: SLF001


def stored(thing: Any, name: str) -> Any:
    """An attribute that *thing* holds by itself, None where it would have to be computed or loaded."""
    return getattr(thing, "__dict__", {}).get(name)


def client(client_id: object) -> str | None:
    """A client as a subject."""
    return f"client:{client_id}" if isinstance(client_id, str) and client_id else None


def caller(client_id: object) -> Actor | None:
    """A client as the one who acts."""
    name = client(client_id)
    return None if name is None else Actor(name, "service")


def scope(value: object) -> str | None:
    """A scope as it is written: words with blanks between them (RFC 6749, 3.3)."""
    if isinstance(value, (list, tuple, set, frozenset)):
        value = " ".join(sorted(word for word in value if isinstance(word, str)))
    return text(value)


def text(value: object) -> str | None:
    """*value* if it is a string that is not empty."""
    return value if isinstance(value, str) and value else None
