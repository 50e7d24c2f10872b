"""The request scope on the bare protocols: when it closes, and what is read of hostile requests."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.hooks import Call, Closing, Flow, Hook, Opening, Role
from opentelemetry_instrumentation_authaudit.hooks.request import asgi_application, from_asgi, from_wsgi

from .conftest import Bench
from .rows import AUTHENTICATE, LOGIN

SOURCE = '''
import fakelib

class App:
    """An ASGI application: what it does is in the path."""

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            return
        user = scope.get("user", "ann")
        if scope["path"] == "/crash":
            fakelib.authenticate(user, "ok")
            raise RuntimeError
        if scope["path"] == "/nested":
            return await App()({**scope, "path": "/login", "root_path": "/mounted"}, receive, send=send)
        if scope["type"] == "websocket":
            await receive()
            fakelib.authenticate(user, "ok")
            await send({"type": "websocket.accept" if scope["path"] == "/open" else "websocket.close"})
            scope["seen"].append("after the handshake")
            fakelib.authenticate("later", "no")
            return
        fakelib.authenticate(user, "ok")
        if scope["path"] == "/login":
            fakelib.login(user)
        await send({"type": "http.response.start", "status": scope.get("status", 200), "headers": []})
        scope["seen"].append("response started")
        await send({"type": "http.response.body", "body": b""})

class Redirect(Exception):
    status_code = 302

class Framework:
    """A framework whose entry point returns the response, raises it, or writes it on the way."""

    def dispatch(self, path):
        fakelib.authenticate("ann", "ok")
        if path == "/crash":
            raise RuntimeError
        if path == "/redirect":
            raise Redirect
        if path == "/stream":
            self.seen = []
            self.start(403)
            self.start(200)
            return 200
        return int(path.strip("/"))

    def start(self, code):
        self.seen.append(code)
'''


def dispatch(call: Call) -> Flow:
    """A request row for `Framework`."""
    path = call.arg("path")
    outcome = yield Opening(lambda flow_id: from_wsgi({"PATH_INFO": path}, flow_id))
    return Closing(getattr(outcome.error, "status_code", outcome.result))


def response(call: Call) -> Flow:
    """The row that sees its response start."""
    assert call.instance.seen in ([], [403])  # before the library's own code
    yield Closing(call.arg("code"))
    return None


@pytest.fixture
def web(fakelib: Any, bench: Bench) -> Iterator[ModuleType]:
    """The module of both, watched."""
    module = ModuleType("fakeweb")
    sys.modules["fakeweb"] = module
    exec(SOURCE, module.__dict__)
    bench.install(
        AUTHENTICATE,
        LOGIN,
        Hook(target="fakeweb:App.__call__", extract=asgi_application, role=Role.REQUEST),
        Hook(target="fakeweb:Framework.dispatch", extract=dispatch, role=Role.REQUEST),
        Hook(target="fakeweb:Framework.start", extract=response, role=Role.RESPONSE),
    )
    assert fakelib
    yield module
    del sys.modules["fakeweb"]


def serve(web: ModuleType, bench: Bench, path: str, **scope: Any) -> list[Any]:
    """Send one request; the order of what happened: records by their status, and the application's own marks."""
    order: list[Any] = scope.setdefault("seen", [])
    told = bench.events.append
    bench.events.append = lambda event: (told(event), order.append(f"{event.event} {event.status.value}"))  # type: ignore[method-assign,assignment,func-returns-value]

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        order.append(message["type"])

    full = {"type": "http", "path": path, "method": "POST", "headers": [], "client": ("192.0.2.7", 4711), **scope}
    try:
        asyncio.run(web.App()(full, receive, send))
    except RuntimeError:
        order.append("crashed")
    return order


def test_record_is_there_before_the_response_starts(web: ModuleType, bench: Bench) -> None:
    """A stream may take hours: what waited for the response is told when it starts, before the client sees it."""
    assert serve(web, bench, "/me") == [
        "auth.authenticate success",
        "http.response.start",
        "response started",
        "http.response.body",
    ]


def test_refused_response_turns_the_parked_success(web: ModuleType, bench: Bench) -> None:
    """Right password, 403."""
    assert serve(web, bench, "/me", status=403)[0] == "auth.sign_in failure"


def test_crash_before_the_response(web: ModuleType, bench: Bench) -> None:
    """The application's exception goes on to the server; the outcome is unknown."""
    assert serve(web, bench, "/crash") == ["auth.sign_in unknown", "crashed"]


@pytest.mark.parametrize(("path", "first"), [("/open", "auth.authenticate success"), ("/closed", "auth.sign_in failure")])
def test_websocket_is_told_at_the_handshake(web: ModuleType, bench: Bench, path: str, first: str) -> None:
    """Accepted or refused; what comes later on the open connection is told at once, with its client."""
    order = serve(web, bench, path, type="websocket")
    assert order[0] == first
    assert order[2:] == ["after the handshake", "auth.authenticate failure"]
    assert {event.request.peer for event in bench.events if event.request} == {"192.0.2.7"}


def test_nested_application_is_one_request_with_the_inner_route(web: ModuleType, bench: Bench) -> None:
    """An application mounted in another, called with keywords: one record, the inner path."""
    serve(web, bench, "/nested")
    (event,) = bench.events
    assert (event.event, event.request and event.request.path) == ("auth.sign_in", "/login")


@pytest.mark.parametrize("arguments", [(), ({"type": "http", "path": "/"},)])
def test_wrong_arguments_raise_at_the_call(web: ModuleType, bench: Bench, arguments: tuple[Any, ...]) -> None:
    """A server calls what it serves without arguments, to learn from the exception that it is no factory of applications."""
    with pytest.raises(TypeError):
        web.App()(*arguments)


def test_lifespan_is_no_request(web: ModuleType, bench: Bench) -> None:
    """Start-up and shutdown messages pass untouched."""
    assert serve(web, bench, "/", type="lifespan") == ["lifespan.startup.complete"]
    assert bench.events.begun == 0


@pytest.mark.parametrize(("path", "status"), [("/200", "success"), ("/401", "failure"), ("/503", "unknown")])
def test_framework_that_returns_its_response(web: ModuleType, bench: Bench, path: str, status: str) -> None:
    """The extractor reads the status code from the result."""
    web.Framework().dispatch(path)
    assert [event.status.value for event in bench.events] == [status]


def test_framework_that_crashes(web: ModuleType, bench: Bench) -> None:
    """The exception is the framework's own."""
    with pytest.raises(RuntimeError):
        web.Framework().dispatch("/crash")
    assert [event.status.value for event in bench.events] == ["unknown"]


def test_exception_that_stands_for_a_response(web: ModuleType, bench: Bench) -> None:
    """A redirect that is raised: the request did not break off."""
    with pytest.raises(web.Redirect):
        web.Framework().dispatch("/redirect")
    assert [event.status.value for event in bench.events] == ["success"]


def test_response_that_starts_inside_the_entry_point(web: ModuleType, bench: Bench) -> None:
    """Its first status code counts, and the request is told then; without a request nothing happens."""
    framework = web.Framework()
    assert framework.dispatch("/stream") == 200
    assert (framework.seen, [event.status.value for event in bench.events]) == ([403, 200], ["failure"])
    framework.seen.clear()
    framework.start(500)
    assert framework.seen == [500]


HEADERS = st.lists(st.tuples(st.sampled_from([b"host", b"forwarded", b"X-Forwarded-For", b"user-agent"]), st.binary(max_size=40)))


@given(headers=HEADERS, client=st.one_of(st.none(), st.tuples(st.text(), st.integers())))
def test_hostile_asgi_request_is_read(headers: list[tuple[bytes, bytes]], client: Any) -> None:
    """Any bytes in any header, any client: read as they are, never an exception."""
    read = from_asgi({"type": "http", "headers": headers, "client": client, "path": "/"}, "f")
    assert len(read.x_forwarded_for) == sum(name == b"X-Forwarded-For" for name, _ in headers)
    assert read.peer == (client[0] if client else None)


@given(
    environ=st.dictionaries(
        st.sampled_from(["REMOTE_ADDR", "REMOTE_PORT", "HTTP_FORWARDED", "HTTP_HOST", "PATH_INFO"]), st.text()
    )
)
def test_hostile_wsgi_request_is_read(environ: dict[str, str]) -> None:
    """Any text in the environ."""
    read = from_wsgi(environ, "f")
    assert read.peer == environ.get("REMOTE_ADDR")
    assert read.forwarded == ((environ["HTTP_FORWARDED"],) if "HTTP_FORWARDED" in environ else ())
