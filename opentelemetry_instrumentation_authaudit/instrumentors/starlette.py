"""Starlette: the request scope, for FastAPI too, and `AuthenticationBackend`, which applications write themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Opening, Reason, Request, Role
from ..hooks.request import from_asgi
from .credentials import carried

__all__ = ("BLIND", "HOOKS")

_FULL: Final = 2
"""`starlette.routing.Match.FULL`; PARTIAL, below it, is the right path with the wrong method."""


def _application(call: Call) -> Flow:
    scope = call.arg("scope")
    if scope is None or scope["type"] not in ("http", "websocket"):
        return None
    # Routing rewrites the scope on the way in: a mount moves its part of the path to the root path.
    arrived = {"path": scope.get("path", ""), "root_path": scope.get("root_path", "")}
    yield Opening(partial(_read, call.instance, scope, arrived), asgi=True)
    return None


def _read(app: Any, scope: Mapping[str, Any], arrived: dict[str, str], flow_id: str) -> Request:
    root, path = arrived["root_path"], arrived["path"]
    known = {name: value for name, value in scope.items() if name not in ("fastapi", "path_params")}  # what routers write to
    template = _template(app.routes, {**known, **arrived})
    return from_asgi(
        scope,
        flow_id,
        route=None if template is None else f"{root}{template}",
        path=path if path.startswith(root) else f"{root}{path}",
    )


def _template(routes: Iterable[Any], scope: dict[str, Any]) -> str | None:
    """The template of the route that serves *scope*, found as the router finds it: no version keeps it with its mounts."""
    second_best = None
    for route in routes:
        match, child = route.matches(scope)
        if match.value == _FULL:
            return _template_of(route, {**scope, **child})
        if match.value:
            second_best = second_best or _template_of(route, {**scope, **child})
    return second_best


def _template_of(route: Any, scope: dict[str, Any]) -> str | None:
    included = getattr(route, "effective_route_contexts", None)  # a router included in an application, FastAPI's newest way
    if included is not None:
        return _template([context.starlette_route or context for context in included()], scope)
    inner = getattr(route, "routes", None)  # a mount or a host; one that hides what is inside is left to what is inside
    path: str = getattr(route, "path", "")
    if inner is None:
        return path
    below = _template(inner, scope)
    return None if below is None else f"{path}{below}"


def _authenticate(call: Call) -> Flow:
    facts = carried(call.args[0].headers.get("authorization") if call.args else None)
    outcome = yield
    if outcome.error is not None:
        return Facts(**facts)
    if outcome.result is None or not outcome.result[1].is_authenticated:
        return SKIP  # anonymous
    return Facts(subject=_subject(outcome.result[1]), **facts)


def _subject(user: Any) -> str | None:
    try:
        return str(user.identity) or None
    except NotImplementedError:  # `BaseUser` leaves it to subclasses; `SimpleUser` had none before Starlette 0.47
        name = getattr(user, "username", None)
        return None if name is None else str(name)


HOOKS = (
    Hook(target="starlette.applications:Starlette.__call__", extract=_application, role=Role.REQUEST),
    Hook(
        target="starlette.authentication:AuthenticationBackend.authenticate",
        extract=_authenticate,
        event="auth.verify",
        errors={"AuthenticationError": Reason.INVALID_CREDENTIALS},
        overrides=True,
    ),
)

BLIND = (
    "Starlette knows no sign-in of its own: what a login page does is seen only as far as a library below it is watched.",
    "An `AuthenticationBackend` that returns None for a wrong credential says the same as for none at all.",
    "A refusal by `requires` (`403`, or a redirect to the login page) is no event.",
)
