"""What the request that Flask is answering says, as far as the application has read it, and whose account a user object is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from .submitted import claimed

__all__ = ("account", "current_request", "current_user", "fields", "resource", "said", "whose")


def current_request() -> Any:
    """The request itself, None outside of any: the proxy is empty once it is over."""
    import flask  # noqa: PLC0415 -- the application has imported it, else this would not run

    return flask.request._get_current_object() if flask.has_request_context() else None  # type: ignore[attr-defined]  # noqa: SLF001


def said(request: Any) -> dict[str, Any]:
    """Who somebody claims to be: the field that names the account in a form or JSON body that was read; one that was left alone
    stays unread."""
    return {} if request is None else claimed(vars(request).get("form"), *getattr(request, "_cached_json", ()))


def current_user() -> Any:
    """The user that Flask-Login has loaded for this request already, None if it has not."""
    import flask  # noqa: PLC0415

    return flask.g.get("_login_user") if flask.has_request_context() else None


def resource(user: Any) -> str | None:
    """The class of a user, as `module:Class`."""
    kind = type(_itself(user))
    return None if user is None else f"{kind.__module__}:{kind.__qualname__}"


def fields(user: Any) -> dict[str, Any]:
    """What a user object holds, without evaluating an attribute that is not simply there: that could cost a query."""
    own = getattr(_itself(user), "__dict__", None)
    found = dict(own) if isinstance(own, Mapping) else {}
    for holder in (found.get("__data__"), found.get("_data")):  # Peewee, MongoEngine
        found.update(holder if isinstance(holder, Mapping) else {})
    return found


def account(user: Any) -> str | None:
    """The primary key of a user. SQLAlchemy forgets the attributes of a row that was committed, but not its key."""
    found = fields(user)
    identity = getattr(found.get("_sa_instance_state"), "identity", None)
    if isinstance(identity, tuple) and identity:
        return ",".join(map(str, identity))
    key = found.get("id", found.get("pk"))
    known = isinstance(key, (str, int, UUID)) or type(key).__name__ == "ObjectId"
    return str(key) if known and key != "" else None


def whose(user: Any, named: str) -> str:
    """Whose session it is that names its user *named*: an alternative id, which changes with the password, stands for the account."""
    alternative = any(isinstance(value, str) and value == named for value in fields(user).values())
    return (account(user) or named) if alternative else named


def _itself(user: Any) -> Any:
    return user._get_current_object() if type(user).__name__ == "LocalProxy" else user  # noqa: SLF001 -- werkzeug's documented name
