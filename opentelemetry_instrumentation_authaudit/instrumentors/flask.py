"""Flask: the request scope, what was typed, and credentials that the response refuses.

Who signs in is the business of the libraries on top of it. An application that checks Basic or bearer credentials itself tells the
client so: the answer to a request that carried them is a 401 that asks for credentials of that very scheme.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Call, Closing, Emit, Facts, Flow, Hook, Opening, Request, Role
from ..hooks.request import from_wsgi
from .credentials import carried
from .flask_facts import current_request, said

__all__ = ("BLIND", "HOOKS")

_UNAUTHORIZED: Final = 401
_SCHEMES: Final = ("basic", "bearer")
"""Schemes whose credentials are right or wrong at once: for others (Negotiate, a stale Digest) a 401 may be a step of the exchange."""


def _dispatch(_call: Call) -> Flow:
    request = current_request()
    outcome = yield Opening(partial(_read, request))
    return Closing(getattr(outcome.result, "status_code", None))


def _read(request: Any, flow_id: str) -> Request:
    rule = request.url_rule
    return from_wsgi(request.environ, flow_id, route=None if rule is None else rule.rule)


def _submitted(_call: Call) -> Flow:
    request = current_request()
    yield
    authorization = request.environ.get("HTTP_AUTHORIZATION")
    facts = said(request) or {"identity": carried(authorization)["identity"]}
    return Facts(**facts) if facts["identity"] else SKIP


def _refused(_call: Call) -> Flow:
    """RFC 9110, 15.5.2: a 401 refuses the credentials that the request carried. One of another scheme speaks of others."""
    authorization = current_request().environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, credentials = authorization.partition(" ")
    outcome = yield
    response = outcome.result
    if response is None or response.status_code != _UNAUTHORIZED or scheme.lower() not in _SCHEMES or not credentials.strip():
        return SKIP
    asked = re.split(r"[\s,]+", ",".join(response.headers.getlist("WWW-Authenticate")).lower())
    return Facts(**carried(authorization)) if scheme.lower() in asked else SKIP


_APP: Final = "flask.app:Flask."

HOOKS = (
    Hook(target=f"{_APP}full_dispatch_request", extract=_dispatch, role=Role.REQUEST),
    Hook(target=f"{_APP}dispatch_request", extract=_submitted, role=Role.HINT),
    Hook(target=f"{_APP}finalize_request", extract=_refused, role=Role.HINT, event="auth.verify", emit=Emit.FAILURES),
)

BLIND = (
    "Flask knows no sign-in of its own: what a login view does is seen only as far as a library below it is watched, and a right "
    "password alone is no event.",
    "Basic and bearer credentials that an application checks itself are seen where it refuses them, by a `401` whose "
    "`WWW-Authenticate` asks for the same scheme: recorded as a failure with `audit.inferred`.",
)
