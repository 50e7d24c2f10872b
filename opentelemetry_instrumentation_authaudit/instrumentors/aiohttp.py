"""aiohttp's server: the request scope. Who signs in is the business of the libraries on top of it.

Applications raise their redirects and refusals; a stream or a WebSocket is prepared, and its head sent, inside the handler.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..hooks import Call, Closing, Facts, Flow, Hook, Opening, Request, Role
from .submitted import claimed

__all__ = ("BLIND", "HOOKS")


def _handle(call: Call) -> Flow:
    from aiohttp.web_exceptions import HTTPException  # noqa: PLC0415 -- the application has imported it

    outcome = yield Opening(partial(_read, call.arg("request")))
    response = outcome.error if isinstance(outcome.error, HTTPException) else outcome.result
    return Closing(getattr(response, "status", None))


def _read(request: Any, flow_id: str) -> Request:
    peer = request.get_extra_info("peername") or request.remote  # the transport is gone with the client
    resource = getattr(getattr(request.match_info, "route", None), "resource", None)
    headers = request.headers
    return Request(
        flow_id=flow_id,
        peer=peer[0] if isinstance(peer, (tuple, list)) else peer or None,
        peer_port=peer[1] if isinstance(peer, (tuple, list)) else None,
        forwarded=tuple(headers.getall("Forwarded", ())),
        x_forwarded_for=tuple(headers.getall("X-Forwarded-For", ())),
        x_real_ip=tuple(headers.getall("X-Real-IP", ())),
        user_agent=headers.get("User-Agent"),
        method=request.method,
        host=headers.get("Host"),
        route=None if resource is None else resource.canonical,
        path=request.path,
    )


def _head(call: Call) -> Flow:
    yield Closing(call.instance.status)
    return None


def _submitted(_call: Call) -> Flow:
    outcome = yield
    return Facts(**claimed(outcome.result))


HOOKS = (
    Hook(target="aiohttp.web_app:Application._handle", extract=_handle, role=Role.REQUEST),
    Hook(target="aiohttp.web_response:StreamResponse._write_headers", extract=_head, role=Role.RESPONSE),
    Hook(target="aiohttp.web_request:BaseRequest.post", extract=_submitted, role=Role.HINT),
    Hook(target="aiohttp.web_request:BaseRequest.json", extract=_submitted, role=Role.HINT),
)

BLIND = (
    "aiohttp knows no sign-in of its own: what a login handler does is seen only as far as a library below it is watched, and a "
    "right password alone is no event.",
    "Passwords that are checked after a WebSocket was accepted, or after a stream has begun, are not seen.",
    "A server without an `Application` (`web.Server`) has no requests that we see.",
)
