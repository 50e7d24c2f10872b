"""Starlette: its authentication backends, and the request around everything that is checked inside."""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .web import Record, browser, told
from .web import record as whole

REFUSED = {"audit__reason": "invalid_credentials", "error__type": "AuthenticationError"}


def refused(strategy: str, *, at: str = "/who/{name}", **more: str) -> Record:
    """A backend refused what a request carried."""
    facts = {"audit__action": f"verify_with_{strategy}", "audit__strategy": strategy, **REFUSED, **more}
    return whole("starlette", "auth.verify", "failure", at=at, **{"method": "GET", **facts})


def checked(*, at: str, **more: str) -> Record:
    """A wrong password, concluded from the hash alone."""
    facts = {
        "audit__action": "authenticate_with_password",
        "audit__strategy": "password",
        "audit__reason": "wrong_password",
        "audit__inferred": "true",
        "error__type": "VerifyMismatchError",
    }
    return whole("pwdlib", "auth.authenticate", "failure", at=at, **{"method": "GET", **facts, **more})


@pytest.fixture(params=["Credentials", "Renamed"])
def client(request: pytest.FixtureRequest, audit_trail: AuditTrail) -> httpx.AsyncClient:
    """A browser of the application with a backend, and one whose backend overrides it once more."""
    from .apps.starlette_app import create_app

    return browser(create_app(request.param))


@pytest.fixture
def plain(audit_trail: AuditTrail) -> Any:
    """The application without a backend."""
    from .apps.starlette_app import create_plain_app

    return create_plain_app(lambda: audit_trail.records)


def token(**claims: Any) -> dict[str, str]:
    """A header with a token."""
    import jwt

    from .apps.starlette_app import SECRET

    return {"Authorization": f"Bearer {jwt.encode({'sub': '7', **claims}, SECRET, algorithm='HS256')}"}


async def test_refused_basic(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """The backend says no: the typed name, and the reason that the hash knows. Middleware runs before routing, the route is told."""
    await client.get("/who/ann", auth=("ann", "wrong"))
    facts = {"audit__identity": "ann", "audit__reason": "wrong_password"}
    assert told(audit_trail) == [refused("basic", **facts)]


@pytest.mark.parametrize("shown", ["a", b64encode(b"\xff").decode()])
async def test_malformed_basic(client: httpx.AsyncClient, audit_trail: AuditTrail, shown: str) -> None:
    """What cannot be read names nobody."""
    await client.get("/who/ann", headers={"Authorization": f"Basic {shown}"})
    assert told(audit_trail) == [refused("basic")]


async def test_refused_key(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """A credential of the application's own kind, below a mount."""
    await client.get("/teams/blue/who/a/b", headers={"X-Key": "bad"})
    assert told(audit_trail) == [refused("custom", at="/teams/{team}/who/{name:path}")]


async def test_bad_token_of_a_lenient_backend(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """The backend calls it anonymous; the check below does not vanish with it."""
    await client.get("/who/ann", headers=token(exp=1))
    facts = {"audit__action": "verify_with_token", "audit__strategy": "token", "audit__reason": "token_expired"}
    more = {"audit__inferred": "true", "error__type": "ExpiredSignatureError"}
    assert told(audit_trail) == [whole("pyjwt", "auth.verify", "failure", at="/who/{name}", method="GET", **facts, **more)]


async def test_backend_that_crashes(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """Nobody knows what would have become of it."""
    assert (await client.get("/who/ann", headers={"Authorization": "Bearer crash"})).status_code == 500
    facts = {"audit__action": "verify_with_token", "audit__strategy": "token", "audit__reason": "backend_error"}
    record = whole("starlette", "auth.verify", "unknown", at="/who/{name}", method="GET", error__type="RuntimeError", **facts)
    assert told(audit_trail) == [record]


async def test_silence(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """Nobody, a good credential of every kind, a page that wants somebody: no events by default."""
    for headers in ({}, token(), {"X-Key": "right"}, {"X-Key": "nobody"}):
        assert (await client.get("/who/ann", headers=headers)).status_code == 200
    assert (await client.get("/who/ann", auth=("ann", "right"))).json() == {"user": "ann"}
    assert (await client.get("/inside")).status_code == 403
    assert told(audit_trail) == []


@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")
def test_websocket(audit_trail: AuditTrail) -> None:
    """The handshake is a request: refused before it is accepted, silent if it is."""
    from starlette.testclient import TestClient
    from starlette.websockets import WebSocketDisconnect

    from .apps.starlette_app import create_app

    client = TestClient(create_app())
    with client.websocket_connect("/ws/1", headers={"X-Key": "right"}):
        pass
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws/1", headers={"X-Key": "bad"}):
        pytest.fail("accepted")
    constant = {"client__address": "testclient", "network__peer__address": "testclient"}
    assert told(audit_trail) == [refused("custom", at="/ws/{room}", **constant)]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/check", "/check"),
        ("/mounted/acme/check/4", "/mounted/{tenant}/check/{id}"),
        ("/opaque/check/4", "/opaque/check/{id}"),
        ("/router/deep/4", "/router/deep/{id:int}"),
        ("/any/thing", "/{rest:path}"),
    ],
)
async def test_route_template(plain: Any, audit_trail: AuditTrail, path: str, route: str) -> None:
    """Wherever a route is: the template of all of it, never a value. Sync endpoints run in threads, all below two middlewares."""
    response = await browser(plain).get(path, params={"given": "wrong"})
    assert (response.text, response.headers["X-Seen"]) == ("False", "yes")
    assert told(audit_trail) == [checked(at=route)]


async def test_route_by_host(plain: Any, audit_trail: AuditTrail) -> None:
    """A host is no part of the template."""
    await browser(plain).get("/by-host", params={"given": "wrong"}, headers={"Host": "a.example.org"})
    assert told(audit_trail) == [checked(at="/by-host", server__address="a.example.org")]


async def test_root_path(plain: Any, audit_trail: AuditTrail) -> None:
    """Behind a proxy that strips a prefix, the template has it."""
    transport = httpx.ASGITransport(app=plain, root_path="/app", client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        await client.get("/app/check", params={"given": "wrong"})
    (record,) = told(audit_trail)
    assert record["http.route"].startswith("/app/")


async def test_guesses_in_one_request(plain: Any, audit_trail: AuditTrail) -> None:
    """One record with their number; a right password alone is silent."""
    await browser(plain).get("/check", params={"given": "one two three"})
    await browser(plain).get("/check", params={"given": "right"})
    assert told(audit_trail) == [checked(at="/check", audit__attempts="3")]


async def test_streaming_response(plain: Any, audit_trail: AuditTrail) -> None:
    """Told when the response starts; the background task after it is nobody's."""
    response = await browser(plain).get("/stream")
    assert response.text == "1 records"
    assert told(audit_trail) == [checked(at="/stream")]


async def test_endpoint_that_crashes(audit_trail: AuditTrail) -> None:
    """The exception is the application's own; what was checked before it is told."""
    from .apps.starlette_app import create_app

    transport = httpx.ASGITransport(app=create_app(), client=("127.0.0.1", 4711))
    with pytest.raises(RuntimeError):
        await httpx.AsyncClient(transport=transport, base_url="http://testserver").get("/crash")
    assert told(audit_trail) == [checked(at="/crash")]


async def test_forty_interleaved_requests(plain: Any, audit_trail: AuditTrail) -> None:
    """Forty at once in threads: a flow for each."""
    await asyncio.gather(*(browser(plain).get("/check", params={"given": "wrong"}) for _ in range(40)))
    assert len({record["audit.flow.id"] for record in told(audit_trail)}) == 40


@contextlib.asynccontextmanager
async def served(app: Any, **options: Any) -> AsyncIterator[str]:
    """The application behind a real server on loopback; its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="on", **options))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    yield f"http://{host}:{port}"
    server.should_exit = True
    await running


async def test_real_server(plain: Any, audit_trail: AuditTrail) -> None:
    """Over a real socket: the client is the peer, with its port; what a header claims is noted and not believed.

    The lifespan runs as ever and is no request."""
    async with served(plain, proxy_headers=False) as address:
        assert plain.state.alive
        response = await ask(address, "/check?given=wrong", "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.1")
        assert response.startswith(b"HTTP/1.1 200")
    assert not plain.state.alive
    assert audit_trail.records[0]["client.port"] == str(PORTS[-1])
    seen = {"server__address": "testserver", "audit__request__x_forwarded_for": "203.0.113.9, 198.51.100.1"}
    assert told(audit_trail) == [checked(at="/check", **seen)]


async def test_server_that_believes_its_proxy(plain: Any, audit_trail: AuditTrail) -> None:
    """By default uvicorn takes the client from the header of a proxy on the same machine: then that is the peer we see."""
    async with served(plain) as address:
        await ask(address, "/check?given=wrong", "X-Forwarded-For: 203.0.113.9")
    (record,) = told(audit_trail)
    assert record["client.address"] == record["network.peer.address"] == "203.0.113.9"


PORTS: list[int] = []


async def ask(address: str, path: str, headers: str) -> bytes:
    """A GET request byte by byte; remembers the port that it came from."""
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    PORTS.append(writer.get_extra_info("sockname")[1])
    writer.write(f"GET {path} HTTP/1.1\r\nHost: testserver\r\nConnection: close\r\n{headers}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_client_that_goes_away(plain: Any, audit_trail: AuditTrail) -> None:
    """The client closes the connection before its body is there: what was checked by then is told."""
    async with served(plain) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /read HTTP/1.1\r\nHost: testserver\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        await plain.state.reading.wait()
        writer.close()
        await writer.wait_closed()
        while not audit_trail.records:  # noqa: ASYNC110 -- the server notices in its own time
            await asyncio.sleep(0.01)
    assert told(audit_trail) == [checked(at="/read", method="POST")]
