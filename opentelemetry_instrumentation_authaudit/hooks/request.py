"""The request scope: rows of role REQUEST, and reading WSGI and ASGI requests.

For ASGI the scope closes when the response starts or a WebSocket is accepted, before the message is passed on: what streams
afterwards may take hours, and the evidence should be there before the client sees the effect.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from ..model.event import Request
from .engine import Engine, current_scope
from .hook import Call, Closing, Flow, Opening, Outcome
from .scope import RequestScope
from .watch import Driver, Watch, finish, start

__all__ = ("asgi_application", "from_asgi", "from_wsgi", "request_driver_of")

_SWITCHING_PROTOCOLS, _FORBIDDEN = 101, 403
_HEADERS = (b"forwarded", b"host", b"user-agent", b"x-forwarded-for", b"x-real-ip")


def request_driver_of(function: Any) -> Driver:
    """The driver of a framework's entry point."""
    return _async_request if inspect.iscoroutinefunction(function) else _request


def _request(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    flow, opening = _start(watch, args, kwargs)
    scope = None if opening is None else watch.engine.open_scope(opening.read)
    if flow is None or scope is None:
        return watch.invoke(args, kwargs)
    token = current_scope.set(scope)
    outcome = Outcome()
    try:
        result = watch.invoke(args, kwargs)
        outcome = Outcome(result)
    except BaseException as error:
        outcome = Outcome(error=error)
        del args, kwargs
        raise
    finally:
        current_scope.reset(token)
        _close(watch, scope, flow, outcome)
    return result


def _async_request(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Make the coroutine at once: uvicorn calls an application without arguments to learn from the TypeError that it is one."""
    flow, opening = _start(watch, args, kwargs)
    if flow is None or opening is None:
        return watch.invoke(args, kwargs)
    send = None
    if opening.asgi:
        send, args, kwargs = _watch_send(watch, args, kwargs)
    return _await_request(watch, flow, opening, send, watch.invoke(args, kwargs))


async def _await_request(watch: Watch, flow: Flow, opening: Opening, send: _Send | None, coroutine: Any) -> Any:
    scope = watch.engine.open_scope(opening.read)
    if scope is None:
        return await coroutine
    if send is not None:
        send.scope = scope
    token = current_scope.set(scope)
    outcome = Outcome()
    try:
        result = await coroutine
        outcome = Outcome(result)
    except BaseException as error:
        outcome = Outcome(error=error)
        del coroutine
        raise
    finally:
        current_scope.reset(token)
        _close(watch, scope, flow, outcome)
    return result


def _start(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Flow | None, Opening | None]:
    return start(watch.hook, watch.site, watch.call(args, kwargs)) if watch.engine.active else (None, None)


def _close(watch: Watch, scope: RequestScope, flow: Flow, outcome: Outcome) -> None:
    verdict = finish(flow, watch.site, outcome)
    code = verdict.status_code if isinstance(verdict, Closing) else None
    watch.engine.close_scope(scope, code, outcome.error if code is None else None)


def _watch_send(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_Send, tuple[Any, ...], dict[str, Any]]:
    """Replace the `send` callable among the arguments of an ASGI application, wherever it was passed."""
    if "send" in kwargs:
        send = _Send(watch.engine, kwargs["send"])
        return send, args, {**kwargs, "send": send}
    send = _Send(watch.engine, args[-1])
    return send, (*args[:-1], send), kwargs


class _Send:
    """The server's `send`, which tells us when the response starts. `scope` is None where the request is not ours."""

    __slots__ = ("_engine", "_send", "scope")

    def __init__(self, engine: Engine, send: Callable[[Any], Awaitable[None]]) -> None:
        self._engine = engine
        self._send = send
        self.scope: RequestScope | None = None

    def __call__(self, message: Any) -> Awaitable[None]:
        if self.scope is not None and not self.scope.closed:
            code = _status_code(message)
            if code is not None:
                self._engine.close_scope(self.scope, code)
        return self._send(message)


def _status_code(message: Mapping[str, Any]) -> int | None:
    """The HTTP status code that *message* settles, None if it settles nothing (ASGI HTTP and WebSocket, 2.x)."""
    kind = message.get("type")
    if kind in ("http.response.start", "websocket.http.response.start"):
        return int(message["status"])
    return {"websocket.accept": _SWITCHING_PROTOCOLS, "websocket.close": _FORBIDDEN}.get(str(kind))


def asgi_application(call: Call) -> Flow:
    """The extractor for any ASGI application's `__call__(scope, receive, send)`."""
    scope = call.arg("scope")
    if scope is None or scope["type"] not in ("http", "websocket"):
        return None
    yield Opening(lambda flow_id: from_asgi(scope, flow_id), asgi=True)
    return None


def from_asgi(scope: Mapping[str, Any], flow_id: str, *, route: str | None = None, path: str | None = None) -> Request:
    """Read the connection scope of an ASGI request (ASGI HTTP and WebSocket connection scope, 2.x).

    *route* is the framework's template; *path* is the path as it arrived, where the framework shortens the scope's.
    """
    peer, port = (*(scope.get("client") or ()), None, None)[:2]
    headers: dict[bytes, list[str]] = {name: [] for name in _HEADERS}
    for name, value in scope.get("headers") or ():
        lines = headers.get(name.lower())
        if lines is not None:
            lines.append(value.decode("latin-1"))
    return Request(
        flow_id=flow_id,
        peer=peer,
        peer_port=port,
        forwarded=tuple(headers[b"forwarded"]),
        x_forwarded_for=tuple(headers[b"x-forwarded-for"]),
        x_real_ip=tuple(headers[b"x-real-ip"]),
        user_agent=_first(headers[b"user-agent"]),
        method=scope.get("method", "GET" if scope.get("type") == "websocket" else None),
        host=_first(headers[b"host"]),
        route=route,
        path=path or scope.get("path"),
    )


def from_wsgi(environ: Mapping[str, Any], flow_id: str, *, route: str | None = None) -> Request:
    """Read a WSGI environ (PEP 3333; headers of one name arrive joined by commas); *route* is the framework's template."""
    port = str(environ.get("REMOTE_PORT"))
    return Request(
        flow_id=flow_id,
        peer=environ.get("REMOTE_ADDR"),
        peer_port=int(port) if port.isdecimal() else None,
        forwarded=_present(environ.get("HTTP_FORWARDED")),
        x_forwarded_for=_present(environ.get("HTTP_X_FORWARDED_FOR")),
        x_real_ip=_present(environ.get("HTTP_X_REAL_IP")),
        user_agent=environ.get("HTTP_USER_AGENT"),
        method=environ.get("REQUEST_METHOD"),
        host=environ.get("HTTP_HOST") or environ.get("SERVER_NAME"),
        route=route,
        path=f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}" or None,
    )


def _present(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


def _first(values: Iterable[str]) -> str | None:
    return next(iter(values), None)
