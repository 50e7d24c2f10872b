"""Litestar: the request scope, its authentication middlewares (JWT, session, an application's own), JWT logins, sessions.

A middleware raises the same exception for no credential as for a bad one: only a request that carried one is an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from uuid import UUID

from ..hooks import SKIP, Call, Facts, Flow, Hook, Opening, Reason, Request, Role, Strategy
from ..hooks.request import from_asgi
from .credentials import carried
from .submitted import claimed

__all__ = ("BLIND", "HOOKS")

_KEY_HEADERS: Final = ("x-api-key", "api-key", "x-auth-token")
_PARSED: Final = ("_form", "_json", "form", "json")
_NAMES_USER: Final = ("user_id", "userid", "user", "uid", "id", "sub", "username", "email")
"""Under what a session, or a user in one, names whose it is."""


def _application(call: Call) -> Flow:
    scope = call.arg("scope")
    if scope is None or scope["type"] not in ("http", "websocket"):
        return None
    yield Opening(partial(_read, scope, scope.get("path", "")), asgi=True)  # a mount shortens the path
    return None


def _read(scope: Mapping[str, Any], arrived: str, flow_id: str) -> Request:
    root, template = scope.get("root_path", ""), scope.get("path_template")
    path = arrived if arrived.startswith(root) else f"{root}{arrived}"
    route = f"{root}{template}" if template else None
    if getattr(scope.get("route_handler"), "is_mount", False):  # all that Litestar knows is what it took off the path
        route = path.removesuffix(scope["path"].rstrip("/")) or None
    return from_asgi(scope, flow_id, route=route, path=path)


def _submitted(call: Call) -> Flow:
    request = call.arg("request")
    yield
    state = getattr(request, "_connection_state", None)  # where Litestar keeps what it has parsed; the scope, before 2.14
    parsed = [request.scope.get("_form"), *(getattr(holder, name, None) for holder in (request, state) for name in _PARSED)]
    return Facts(**claimed(*parsed))


def _authenticate(call: Call) -> Flow:
    facts = _credential(call.instance, next(iter((*call.args, *call.kwargs.values()))).scope)
    outcome = yield
    if facts is None:
        return SKIP  # none was shown
    if outcome.error is not None:
        return Facts(**_refusal(call.instance, outcome.error), **facts)
    user, token = getattr(outcome.result, "user", None), getattr(outcome.result, "auth", None)
    if user is None:
        return SKIP  # anonymous
    facts["subject"] = _text(getattr(token, "sub", None)) or _named(user) or facts.get("subject")
    return Facts(token_id=_text(getattr(token, "jti", None)), **facts)


def _credential(middleware: Any, scope: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the request carries of the kind that *middleware* looks at; None for nothing."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    if _is(middleware, "JWTAuthenticationMiddleware"):
        cookie = f"{getattr(middleware, 'auth_cookie_key', None)}=" in headers.get("cookie", "")
        return {"strategy": Strategy.TOKEN} if cookie or headers.get(middleware.auth_header.lower()) else None
    if _is(middleware, "SessionAuthMiddleware"):
        session = scope.get("session")
        return {"strategy": Strategy.SESSION, "subject": _named(session)} if isinstance(session, Mapping) and session else None
    if "authorization" in headers:
        return carried(headers["authorization"])
    return {"strategy": Strategy.API_KEY, "event": "api_key.verify"} if any(name in headers for name in _KEY_HEADERS) else None


def _refusal(middleware: Any, error: BaseException) -> dict[str, Any]:
    if _is(middleware, "SessionAuthMiddleware"):
        return {"event": "session.reject", "fallback": Reason.SESSION_INVALID}
    refused = _is(middleware, "JWTAuthenticationMiddleware") and _is(error, "NotAuthorizedException") and error.__cause__ is None
    return {"fallback": Reason.REJECTED_AFTER_VERIFICATION} if refused else {}  # a good token: revoked, or of nobody


def _is(thing: Any, name: str) -> bool:
    return any(kind.__name__ == name for kind in type(thing).__mro__)


def _issued(call: Call) -> Flow:
    subject, token_id = _text(call.arg("identifier")), _text(call.arg("token_unique_jwt_id"))
    yield
    return Facts(subject=subject, token_id=token_id)


def _session_set(call: Call) -> Flow:
    """A session that names a user it did not name before is a sign-in; any other data in it is the application's business."""
    before, now = _named(call.instance.scope.get("session")), _named(call.arg("value"))
    yield
    return SKIP if now is None or now == before else Facts(subject=now)


def _session_cleared(call: Call) -> Flow:
    subject = _named(call.instance.scope.get("session"))
    yield
    return SKIP if subject is None else Facts(subject=subject)


def _named(holder: Any) -> str | None:
    """Whom a session or user object names, without evaluating any attribute that is not simply there."""
    own = holder if isinstance(holder, Mapping) else getattr(holder, "__dict__", None)
    if not isinstance(own, Mapping):
        return _text(holder)
    value = next((own[name] for name in _NAMES_USER if own.get(name) is not None), None)
    return _named(value) if isinstance(value, Mapping) else _text(value)


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int, UUID)) and value != "" else None


_AUTH, _CONNECTION = "litestar.security.jwt.auth:BaseJWTAuth.", "litestar.connection.base:ASGIConnection."

HOOKS = (
    Hook(target="litestar.app:Litestar.__call__", extract=_application, role=Role.REQUEST),
    Hook(target="litestar.routes.http:HTTPRoute._call_handler_function", extract=_submitted, role=Role.HINT, optional=True),
    Hook(
        target="litestar.middleware.authentication:AbstractAuthenticationMiddleware.authenticate_request",
        extract=_authenticate,
        event="auth.verify",
        errors={
            "NotAuthorizedException": Reason.INVALID_CREDENTIALS,
            "PermissionDeniedException": Reason.PERMISSION_DENIED,
        },
        overrides=True,
    ),
    Hook(
        target=f"{_AUTH}login",
        extract=_issued,
        event="auth.sign_in",
        strategy=Strategy.TOKEN,
        overrides=True,
        establishes_session=True,
    ),
    Hook(target=f"{_AUTH}create_token", extract=_issued, event="token.issue", strategy=Strategy.TOKEN, overrides=True),
    Hook(target=f"{_CONNECTION}set_session", extract=_session_set, event="auth.sign_in", strategy=Strategy.SESSION),
    Hook(target=f"{_CONNECTION}clear_session", extract=_session_cleared, event="auth.sign_out", strategy=Strategy.SESSION),
)

BLIND = (
    "A wrong password never reaches Litestar: it is concluded from the hash that was checked, and right credentials without a "
    "JWT login or a session of Litestar are no event.",
    "A session is recognised as a sign-in where `set_session` is given a mapping with a key such as `user_id`; data assigned to "
    "`request.session` directly, or set as a model, is not seen.",
    "For an authentication middleware of one's own, a request counts as carrying a credential if it has the header "
    "`Authorization` or one of the usual headers for API keys: others, and cookies, are seen only as far as libraries below are.",
    "A signed-in user that `exclude` or a guard turns away is no event, nor is a session cookie whose session has expired.",
)
