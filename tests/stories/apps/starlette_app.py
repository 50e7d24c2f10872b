"""Starlette applications as its documentation shows them: a backend that authenticates, and an application without one."""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
    UnauthenticatedUser,
    requires,
)
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

SECRET = "story-secret-of-thirty-two-bytes!"
HASHER = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
STORED = HASHER.hash("right")


class Member(BaseUser):
    """A user with an identity that is not the name shown."""

    def __init__(self, key: str) -> None:
        self.key = key

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return "Ann of Cleves"

    @property
    def identity(self) -> str:
        return self.key


class Credentials(AuthenticationBackend):
    """Basic, bearer token, or a key in a header of its own."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        scheme, _, credentials = conn.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            return self._basic(credentials)
        if scheme == "Bearer":
            return self._bearer(credentials)
        if "X-Key" in conn.headers:
            return self._key(conn.headers["X-Key"])
        return None

    def _basic(self, credentials: str) -> tuple[AuthCredentials, BaseUser]:
        try:
            name, _, password = b64decode(credentials).decode().partition(":")
        except (ValueError, UnicodeDecodeError, binascii.Error):
            raise AuthenticationError("Invalid basic auth credentials") from None
        if not HASHER.verify(password, STORED):
            raise AuthenticationError("Wrong")
        return AuthCredentials(["authenticated"]), SimpleUser(name)

    def _bearer(self, credentials: str) -> tuple[AuthCredentials, BaseUser] | None:
        if credentials == "crash":
            raise RuntimeError
        try:
            claims = jwt.decode(credentials, SECRET, algorithms=["HS256"])
        except jwt.PyJWTError:
            return None  # a lenient backend: whoever shows a bad token is nobody
        return AuthCredentials(["authenticated"]), Member(claims["sub"])

    def _key(self, key: str) -> tuple[AuthCredentials, BaseUser]:
        if key == "nobody":
            return AuthCredentials(), UnauthenticatedUser()
        if key != "right":
            raise AuthenticationError("Wrong")
        return AuthCredentials(["authenticated"]), Member("key-7")


class Renamed(Credentials):
    """Overrides and calls `super()`, with another name for the connection."""

    async def authenticate(self, request: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        return await super().authenticate(request)


class Timing(BaseHTTPMiddleware):
    """A middleware that runs what is inside in a task of its own."""

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["X-Seen"] = "yes"
        return response


class Opaque:
    """Middleware written by hand around an application that is mounted."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


async def whoami(request: Request) -> Response:
    return JSONResponse({"user": request.user.display_name})


@requires("authenticated")
async def inside(request: Request) -> Response:
    return PlainTextResponse("inside")


async def ws(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def create_app(backend: str = "Credentials") -> Starlette:
    """The application with a backend."""
    routes: list[BaseRoute] = [
        Route("/who/{name}", whoami),
        Route("/inside", inside),
        Route("/crash", crash),
        WebSocketRoute("/ws/{room}", ws),
        Mount("/teams/{team}", routes=[Route("/who/{name:path}", whoami)]),
    ]
    made: AuthenticationBackend = {"Credentials": Credentials, "Renamed": Renamed}[backend]()
    return Starlette(routes=routes, middleware=[Middleware(AuthenticationMiddleware, backend=made)])


def check(request: Request) -> Response:
    """A sync endpoint, in a thread of its own: checks every word of the query."""
    right = [HASHER.verify(word, STORED) for word in request.query_params["given"].split()]
    return PlainTextResponse(str(right[-1]))


async def read(request: Request) -> Response:
    HASHER.verify("wrong", STORED)
    request.app.state.reading.set()
    await request.body()
    return PlainTextResponse("read")


async def stream(request: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        await asyncio.sleep(0.01)  # the middleware's task passes the start of the response on
        yield f"{len(request.app.state.seen())} records"

    HASHER.verify("wrong", STORED)
    return StreamingResponse(parts(), background=BackgroundTask(HASHER.verify, "wrong", STORED))


async def crash(request: Request) -> Response:
    HASHER.verify("wrong", STORED)
    raise RuntimeError


def create_plain_app(state: Any = None) -> Starlette:
    """The application without a backend: only hashes are checked, in every place a route can be."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.alive = True
        HASHER.verify("wrong", STORED)  # nobody's request
        yield
        app.state.alive = False

    inner = Starlette(routes=[Route("/check/{id}", check)], middleware=[Middleware(Timing)])
    routes: list[BaseRoute] = [
        Route("/check", check),
        Route("/post", check, methods=["POST"]),
        Route("/post", check, methods=["PUT"]),
        Route("/read", read, methods=["POST"]),
        Route("/stream", stream),
        Mount("/mounted/{tenant}", app=inner),
        Mount("/opaque", app=Opaque(inner)),
        Mount("/router", app=Router(routes=[Mount("/deep", routes=[Route("/{id:int}", check)])])),
        Host("{sub}.example.org", app=Router(routes=[Route("/by-host", check)])),
        Route("/{rest:path}", check),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Timing)], lifespan=lifespan)
    app.state.reading = asyncio.Event()
    app.state.seen = state
    return app
