"""Litestar applications: one with the doors of `stories/doors.py`, and one for each way of authentication that Litestar has."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Litestar, MediaType, Request, Response, Router, WebSocket, asgi, delete, get, post, websocket
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.middleware import DefineMiddleware
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.middleware.session.server_side import ServerSideSessionBackend, ServerSideSessionConfig
from litestar.params import Body
from litestar.response import Redirect, Stream
from litestar.security.jwt import JWTAuth, JWTCookieAuth, OAuth2PasswordBearerAuth, Token
from litestar.security.session_auth import SessionAuth

from ..doors import PASSWORD, SECRET, WRONG, check, subject_of

Form = Annotated[dict[str, str], Body(media_type="application/x-www-form-urlencoded")]
Json = Annotated[dict[str, str], Body(media_type="application/json")]


def answer(*, right: bool) -> Response[Any]:
    """A redirect, or 401."""
    return Redirect("/", status_code=302) if right else Response("wrong", status_code=401)


def create_doors(seen: Callable[[], list[Any]]) -> Litestar:
    """The application; *seen* are the records so far."""

    @post("/enter/{n:str}")
    async def enter(data: Form) -> Response[Any]:
        return answer(right=check(data["password"]))

    @post("/json/{n:str}", sync_to_thread=True)
    def json(data: Json) -> Response[Any]:
        return answer(right=check(data["password"]))

    @get("/stream/{n:str}")
    async def stream() -> Stream:
        async def parts() -> AsyncIterator[str]:
            yield f"{len(seen())} records"

        check(WRONG)
        return Stream(parts())

    @get("/crash/{n:str}")
    async def crash() -> None:
        check(WRONG)
        raise RuntimeError

    @get("/token/{n:str}", media_type=MediaType.TEXT)
    async def token(request: Request[Any, Any, State]) -> str:
        if subject_of(request.headers["Authorization"]) is None:
            raise NotAuthorizedException
        return "good"

    @websocket("/ws/{n:str}")
    async def ws(socket: WebSocket[Any, Any, State]) -> None:
        check(socket.query_params["given"])
        await socket.accept()
        await socket.close()

    @get("/check/{n:int}")
    async def below() -> str:
        return str(check(WRONG))

    @asgi("/mounted", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        check(WRONG)
        await Response("mounted").to_asgi_response(app=None, request=Request(scope))(scope, receive, send)

    team = Router("/team/{team:str}", route_handlers=[below])
    return Litestar([enter, json, stream, crash, token, ws, team, mounted], logging_config=None)


@dataclass
class User:
    """Somebody with an account."""

    id: int
    name: str


USERS = {"7": User(7, "ann")}


async def by_token(token: Token, connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
    if token.sub == "crash":
        raise RuntimeError
    if await revoked(token, connection) and "revoked_token_handler" not in JWTAuth.__dataclass_fields__:  # before 2.15
        return None
    return USERS.get(token.sub)


async def revoked(token: Token, connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    return token.jti == "revoked"


KINDS: dict[str, Any] = {"header": JWTAuth, "cookie": JWTCookieAuth, "oauth2": OAuth2PasswordBearerAuth}


def create_jwt(kind: str) -> tuple[Litestar, Any]:
    """An application with tokens; the tokens' own object too."""
    options: dict[str, Any] = {"token_url": "/login"} if kind == "oauth2" else {}
    if "revoked_token_handler" in JWTAuth.__dataclass_fields__:
        options["revoked_token_handler"] = revoked
    auth = KINDS[kind][User](
        retrieve_user_handler=by_token,
        token_secret=SECRET,
        exclude=["/login", "/key", "/schema"],
        **options,
    )

    @post("/login")
    async def login(data: Json) -> Response[Any]:
        if not check(data["password"]):
            raise NotAuthorizedException
        made: Response[Any] = auth.login(identifier="7", token_unique_jwt_id="a-token-id-of-its-own-1234")
        return made

    @post("/key")
    async def key() -> str:
        made: str = auth.create_token(identifier="7", token_expiration=timedelta(days=1))
        return made

    @get("/me/{n:int}")
    async def me(request: Request[User, Token, State]) -> str:
        return request.user.name

    return Litestar([login, key, me], on_app_init=[auth.on_app_init], logging_config=None), auth


async def by_session(session: dict[str, Any], connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
    return USERS.get(str(session.get("user_id")))


def create_session() -> Litestar:
    """An application with sessions."""
    auth = SessionAuth[User, ServerSideSessionBackend](
        retrieve_user_handler=by_session,
        session_backend_config=ServerSideSessionConfig(),
        exclude=["/login", "/basket", "/schema"],
    )

    @post("/login")
    async def login(data: Json, request: Request[Any, Any, State]) -> str:
        if not check(data["password"]):
            raise NotAuthorizedException
        request.set_session({"user_id": {"ann": 7, "gone": 8, "uuid": UUID(int=9)}[data["username"]], "theme": "dark"})
        return "in"

    @post("/basket")
    async def basket(request: Request[Any, Any, State]) -> str:
        request.set_session({**request.session, "basket": ["book"]})
        return "put"

    @delete("/login")
    async def logout(request: Request[Any, Any, State]) -> None:
        request.clear_session()
        request.clear_session()

    @get("/me/{n:int}")
    async def me(request: Request[User, Any, State]) -> str:
        return request.user.name

    return Litestar([login, basket, logout, me], on_app_init=[auth.on_app_init], logging_config=None)


class Own(AbstractAuthenticationMiddleware):
    """A middleware as an application writes it: Basic, or a key in a header of its own."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        scheme, _, credentials = connection.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            name, _, password = b64decode(credentials).decode().partition(":")
            if not check(password):
                raise NotAuthorizedException
            if name == "bob":
                raise PermissionDeniedException
            return AuthenticationResult(user=name, auth=None)
        key = connection.headers.get("X-API-Key")
        if key == "crash":
            raise RuntimeError
        if key == "guest":
            return AuthenticationResult(user=None, auth=None)
        if key != PASSWORD:
            raise NotAuthorizedException
        return AuthenticationResult(user={"id": 7}, auth=None)


class Renamed(Own):
    """Overrides and calls `super()`, with another name for the connection."""

    async def authenticate_request(self, request: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        return await super().authenticate_request(connection=request)


def create_own(kind: str) -> Litestar:
    """An application with a middleware of its own."""

    @get("/me/{n:int}")
    async def me(request: Request[Any, Any, State]) -> str:
        return str(request.user)

    made: type[Own] = {"Own": Own, "Renamed": Renamed}[kind]
    return Litestar([me], middleware=[DefineMiddleware(made)], logging_config=None)
