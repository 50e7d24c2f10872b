"""Django REST framework: authenticators, its own and those that applications write, and the tokens it stores.

Each authenticator is asked in turn; the request stands around them and takes in what was refused on the way to one that accepts.
What an authenticator is called tells its mechanism, else the header does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Role, Skip, Status, Strategy
from . import django_facts as django
from . import rest_facts as rest
from .credentials import carried

__all__ = ("BLIND", "HOOKS")

_KINDS: Final = (
    ("apikey", Strategy.API_KEY),
    ("keyauth", Strategy.API_KEY),
    ("remoteuser", Strategy.CUSTOM),
    ("session", Strategy.SESSION),
    ("basic", Strategy.BASIC),
    ("digest", Strategy.DIGEST),
    ("jwt", Strategy.TOKEN),
    ("jsonwebtoken", Strategy.TOKEN),
    ("token", Strategy.TOKEN),
    ("bearer", Strategy.TOKEN),
    ("oauth", Strategy.TOKEN),
    ("saml", Strategy.SAML),
    ("ldap", Strategy.LDAP),
)
"""Word in the name of an authenticator, or of a class that it derives from -> its mechanism; the first one counts."""


def _request(call: Call) -> Flow:
    """The request asks its authenticators: only that one of them accepts is told here, each tells of its refusal itself."""
    request = call.instance
    outcome = yield
    authenticator = vars(request).get("_authenticator")
    if outcome.error is not None or authenticator is None or type(authenticator).__name__ == "ForcedAuthentication":
        return SKIP
    if any(kind.__name__ == "BaseAuthentication" for kind in type(authenticator).__mro__):
        return Facts(**_mechanism(authenticator, request))  # it has said whom it accepts
    return _accepted(authenticator, request, (vars(request).get("_user"), vars(request).get("_auth")))


def _authenticate(call: Call) -> Flow:
    authenticator, request = call.instance, rest.first(call, "request")
    outcome = yield
    if outcome.error is not None:
        return _refused(authenticator, request, outcome.error)
    if isinstance(outcome.result, tuple) and len(outcome.result) == 2:  # noqa: PLR2004 -- user and token
        return _accepted(authenticator, request, outcome.result)
    name = _remote_user(authenticator, request)
    if outcome.result is None and name is not None:
        facts = _mechanism(authenticator, request) | {"identity": name}
        return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS, **facts)
    return SKIP  # no credentials that this one knows


def _accepted(authenticator: Any, request: Any, found: tuple[Any, Any]) -> Facts:
    user, token = found
    facts = _mechanism(authenticator, request)
    return Facts(token_id=rest.key_of(token), **rest.who(user), **facts)


def _refused(authenticator: Any, request: Any, error: BaseException) -> Facts | Skip:
    if rest.is_a(error, "NotAuthenticated"):
        return SKIP  # nothing was shown
    facts = {**_mechanism(authenticator, request), **rest.complaint(error)}
    if facts["strategy"] is Strategy.SESSION:
        facts |= rest.who(getattr(getattr(request, "_request", request), "user", None))
        facts["reason"] = Reason.CSRF_FAILED if rest.is_a(error, "PermissionDenied") else None
    return Facts(**facts)


def _mechanism(authenticator: Any, request: Any) -> dict[str, Any]:
    """Event, mechanism, the authenticator by name, and what the request shows besides."""
    kind = type(authenticator)
    shown = carried(rest.authorization(request))
    strategy = next(filter(None, map(_by_name, kind.__mro__)), shown["strategy"])
    return {
        "event": "api_key.verify" if strategy is Strategy.API_KEY else "auth.verify",
        "strategy": strategy,
        "identity": shown["identity"] if strategy is Strategy.BASIC else None,
        "provider": "remote_user" if _remote_user(authenticator, request) is not None else None,
        "session_key": django.session_key(request) if strategy is Strategy.SESSION else None,
        "params": {"authenticator": f"{kind.__module__}.{kind.__qualname__}"},
    }


def _by_name(kind: type) -> Strategy | None:
    name = kind.__name__.lower().replace("_", "")
    return next((strategy for word, strategy in _KINDS if word in name), None)


def _remote_user(authenticator: Any, request: Any) -> str | None:
    """Who the web server says it is, for the authenticator that asks it."""
    if not any(kind.__name__ == "RemoteUserAuthentication" for kind in type(authenticator).__mro__):
        return None
    return django.text(getattr(request, "META", {}).get(authenticator.header))


def _unrecognised(call: Call) -> Flow:
    """A view that answers 401 to a request with credentials which no authenticator took for its own."""
    request = vars(call.instance).get("request")
    if not rest.is_a(rest.first(call, "exc"), "NotAuthenticated") or rest.authorization(request) is None:
        return None
    yield
    facts = carried(rest.authorization(request))
    return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS, error_type="not_authenticated", **facts)


def _denied(call: Call) -> Flow:
    """Somebody known, who may not. A request without an authenticator that accepted it has been told of, or is anonymous."""
    request, error = vars(call.instance).get("request"), rest.first(call, "exc")
    if not rest.is_a(error, "PermissionDenied") or getattr(request, "__dict__", {}).get("_authenticator") is None:
        return None
    yield
    facts = rest.complaint(error) | rest.who(rest.user_of(request))
    return Facts(**{**facts, "status": Status.FAILURE, "reason": Reason.PERMISSION_DENIED})


def _obtain(_call: Call) -> Flow:
    outcome = yield
    return rest.answered(outcome.result) if outcome.error is None else rest.verdict(outcome.error)


def _token_saved(call: Call) -> Flow:
    token = call.instance
    if not token._state.adding:  # noqa: SLF001 -- Django's documented name
        return None
    yield
    facts = rest.owner(token)
    return Facts(token_id=rest.key_of(token), actor=django.actor(facts["subject"]), **facts)


def _token_deleted(call: Call) -> Flow:
    token = call.instance
    facts = rest.owner(token) | {"token_id": rest.key_of(token)}
    yield
    return Facts(actor=django.actor(facts["subject"]), **facts)


def _view(target: str, extract: Callable[[Call], Flow], event: str, **more: Any) -> Hook:
    return Hook(target=f"rest_framework.{target}", extract=extract, event=event, overrides=True, **more)


_CHECK = partial(_view, event="auth.verify", params={"authenticator": False}, errors=rest.ERRORS)
_HANDLER = "views:APIView.handle_exception"
_TOKEN = "authtoken.models:Token"
_OBTAIN = "authtoken.views:ObtainAuthToken"

HOOKS = (
    _CHECK("request:Request._authenticate", _request),
    _CHECK("authentication:BaseAuthentication.authenticate", _authenticate),
    _view(_HANDLER, _unrecognised, "auth.verify", role=Role.HINT),
    _view(_HANDLER, _denied, "authz.deny"),
    _view(f"{_OBTAIN}.post", _obtain, "auth.sign_in", strategy=Strategy.TOKEN, errors=rest.ERRORS),
    _view(f"{_OBTAIN}.handle_exception", rest.throttled, "auth.sign_in", strategy=Strategy.TOKEN),
    _view(f"{_TOKEN}.save", _token_saved, "token.issue", strategy=Strategy.TOKEN, establishes_session=True),
    _view(f"{_TOKEN}.delete", _token_deleted, "token.delete", strategy=Strategy.TOKEN),
)

BLIND = (
    "An authenticator that returns None for a wrong credential says the same as for none at all; one that does not derive from "
    "`BaseAuthentication` is seen only where it accepts.",
    "A token that is unknown and one that was deleted look the same, and a refused token does not say whose it was.",
    "A second login that hands out the token which the user has already stores nothing: outside `ObtainAuthToken` it is told as "
    "credentials that were right (`auth.authenticate`).",
    "Tokens that `QuerySet.delete`, `bulk_create` or a deleted user take along are not seen, nor token models of the "
    "application's own that do not derive from the framework's.",
    "What a request is refused for lack of rights (`authz.deny`) is recorded only when asked for, and only for known users.",
)
