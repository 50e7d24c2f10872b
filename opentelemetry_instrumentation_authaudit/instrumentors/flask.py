"""Flask: the request scope. Who signs in is the business of the libraries on top of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..hooks import Call, Closing, Flow, Hook, Opening, Request, Role
from ..hooks.request import from_wsgi

__all__ = ("BLIND", "HOOKS")


def _dispatch(_call: Call) -> Flow:
    import flask  # noqa: PLC0415 -- the application has imported it, else this would not run

    request = flask.request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 -- the proxy is empty once the request is over
    outcome = yield Opening(partial(_read, request))
    return Closing(getattr(outcome.result, "status_code", None))


def _read(request: Any, flow_id: str) -> Request:
    rule = request.url_rule
    return from_wsgi(request.environ, flow_id, route=None if rule is None else rule.rule)


HOOKS = (Hook(target="flask.app:Flask.full_dispatch_request", extract=_dispatch, role=Role.REQUEST),)

BLIND = ("Flask knows no sign-in of its own; without a login library a request is seen but nothing is recorded in it.",)
