"""Quart: the request scope, for HTTP and WebSockets. Who signs in is the business of the libraries on top of it.

A request is watched from outside, as the server calls the application, since only there its response starts; the route is known
further in.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..hooks import Call, Closing, Facts, Flow, Hook, Opening, Request, Role
from ..hooks.request import asgi_application, from_asgi
from .submitted import claimed

__all__ = ("BLIND", "HOOKS")


def _dispatch(kind: str, _call: Call) -> Flow:
    outcome = yield Opening(partial(_read, _current(kind)))
    return Closing(getattr(outcome.result, "status_code", None))


def _submitted(_call: Call) -> Flow:
    yield
    request = vars(_current("request"))
    return Facts(**claimed(request.get("_form"), *request.get("_cached_json", {}).values()))


def _current(kind: str) -> Any:
    """The request or WebSocket itself: the proxy is empty once it is over."""
    import quart  # noqa: PLC0415 -- the application has imported it, else this would not run

    return getattr(quart, kind)._get_current_object()  # noqa: SLF001 -- werkzeug's documented name


def _read(connection: Any, flow_id: str) -> Request:
    rule, root, path = connection.url_rule, connection.root_path, connection.scope.get("path", "")
    return from_asgi(
        connection.scope,
        flow_id,
        route=None if rule is None else f"{root}{rule.rule}",
        path=path if path.startswith(root) else f"{root}{path}",
    )


_APP = "quart.app:Quart."

HOOKS = (
    Hook(target=f"{_APP}__call__", extract=asgi_application, role=Role.REQUEST),
    Hook(target=f"{_APP}full_dispatch_request", extract=partial(_dispatch, "request"), role=Role.REQUEST),
    Hook(target=f"{_APP}full_dispatch_websocket", extract=partial(_dispatch, "websocket"), role=Role.REQUEST),
    Hook(target=f"{_APP}dispatch_request", extract=_submitted, role=Role.HINT),
)

BLIND = (
    "Quart knows no sign-in of its own: what a login view does is seen only as far as a library below it is watched, and a right "
    "password alone is no event.",
    "Passwords that are checked after a WebSocket was accepted are not seen.",
)
