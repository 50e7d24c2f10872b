"""The application of FastAPI's security tutorial, with the other credentials FastAPI knows beside it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import Any

import jwt
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
)
from fastapi.security.oauth2 import OAuth2PasswordRequestFormStrict
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from .fastapi_schemes import CookieToken, SchemedKey

SECRET = "story-secret-of-thirty-two-bytes!"
HASHER = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
USERS = {"ann": HASHER.hash("right"), "bob": HASHER.hash("right")}
DISABLED = {"bob"}

oauth2_scheme = OAuth2PasswordBearer(tokenUrl="token")
basic, lenient_basic = HTTPBasic(), HTTPBasic(auto_error=False)
bearer = HTTPBearer()
key_header = APIKeyHeader(name="X-Key", auto_error=False)
key_query = APIKeyQuery(name="key")
key_cookie = APIKeyCookie(name="session", auto_error=False)
schemed_key, cookie_token = SchemedKey(name="Authorization"), CookieToken(tokenUrl="token")


def token_for(name: str, *, secret: str = SECRET, lifetime: int = 60, **claims: Any) -> str:
    """A token as `/token` hands out."""
    expires = datetime.now(timezone.utc) + timedelta(seconds=lifetime)
    return jwt.encode({"sub": name, "exp": expires, **claims}, secret, algorithm="HS256")


def check(name: str, password: str) -> bool:
    """Whether the password is right; unknown users are not even hashed."""
    return name in USERS and HASHER.verify(password, USERS[name])


def get_current_user(token: str = Depends(oauth2_scheme)) -> str:
    """As the tutorial has it."""
    refused = HTTPException(401, "Could not validate credentials", headers={"WWW-Authenticate": "Bearer"})
    try:
        name = jwt.decode(token, SECRET, algorithms=["HS256"]).get("sub")
    except jwt.PyJWTError:
        raise refused from None
    if name not in USERS:
        raise refused
    return str(name)


def get_current_active_user(name: str = Depends(get_current_user)) -> str:
    """As the tutorial has it."""
    if name in DISABLED:
        raise HTTPException(400, "Inactive user")
    return name


members = APIRouter(prefix="/members/{team}")


@members.get("/me")
def me(name: str = Depends(get_current_active_user)) -> dict[str, str]:
    return {"name": name}


@members.get("/missing")
def missing(name: str = Depends(get_current_active_user)) -> None:
    raise HTTPException(404, name)


@members.get("/crash")
def crash(name: str = Depends(get_current_active_user)) -> None:
    raise RuntimeError(name)


@members.post("/password")
def change_password(old: str, name: str = Depends(get_current_active_user)) -> None:
    if not check(name, old):
        raise HTTPException(401, "Wrong password")


def create_app() -> FastAPI:
    """The application."""
    app = FastAPI()
    app.include_router(members)
    _sign_in(app)
    _carried(app)
    _long(app)
    inner = FastAPI()
    _sign_in(inner)
    app.mount("/tenants/{tenant}", inner)
    return app


def _sign_in(app: FastAPI) -> None:
    def login(form: OAuth2PasswordRequestForm) -> dict[str, str]:
        if not check(form.username, form.password):
            raise HTTPException(401, "Incorrect username or password")
        if form.username in DISABLED:
            raise HTTPException(403, "Inactive user")
        return {"access_token": token_for(form.username), "token_type": "bearer"}

    @app.post("/token")
    def token(form: OAuth2PasswordRequestForm = Depends()) -> dict[str, str]:
        return login(form)

    @app.post("/async-token")
    async def async_token(form: OAuth2PasswordRequestForm = Depends()) -> dict[str, str]:
        await asyncio.sleep(0)
        return login(form)

    @app.post("/strict-token")
    def strict_token(form: OAuth2PasswordRequestFormStrict = Depends()) -> dict[str, str]:
        return login(form)

    @app.post("/page")
    def page(form: OAuth2PasswordRequestForm = Depends()) -> str:
        return "welcome" if check(form.username, form.password) else "wrong password"

    @app.post("/broken/{code}")
    def broken(code: int, form: OAuth2PasswordRequestForm = Depends()) -> None:
        if code == 0:
            raise RuntimeError(form.username)
        raise HTTPException(code)


def _carried(app: FastAPI) -> None:
    @app.get("/basic")
    def with_basic(credentials: HTTPBasicCredentials = Depends(basic)) -> str:
        if not check(credentials.username, credentials.password):
            raise HTTPException(401, headers={"WWW-Authenticate": "Basic"})
        return credentials.username

    @app.get("/plain-basic")
    def plain_basic(credentials: HTTPBasicCredentials = Depends(basic)) -> str:
        if not secrets.compare_digest(credentials.password, "right"):
            raise HTTPException(401, headers={"WWW-Authenticate": "Basic"})
        return credentials.username

    @app.get("/opaque")
    def opaque(credentials: HTTPAuthorizationCredentials = Depends(bearer)) -> str:
        if credentials.credentials != "good":
            raise HTTPException(401)
        return "in"

    @app.get("/key")
    def key(header: str | None = Depends(key_header), code: int = 403) -> str:
        if header != "right":
            raise HTTPException(code)
        return "in"

    @app.get("/key-in-query")
    def query_key(given: str = Depends(key_query)) -> str:
        if given != "right":
            raise HTTPException(403)
        return "in"

    @app.get("/overridden")
    def overridden(given: str | None = Depends(schemed_key), token: str | None = Depends(cookie_token)) -> str:
        if (given or token) not in (None, "right"):
            raise HTTPException(401)
        return "in"

    @app.get("/cookie")
    def cookie(given: str | None = Depends(key_cookie)) -> str:
        return get_current_user(given) if given else "nobody"


def _long(app: FastAPI) -> None:
    @app.post("/stream")
    async def stream(request: Request, form: OAuth2PasswordRequestForm = Depends()) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            yield f"{len(request.app.state.seen())} records"
            HASHER.verify("wrong", USERS["ann"])

        if not check(form.username, form.password):
            raise HTTPException(401)
        return StreamingResponse(lines())

    @app.post("/later")
    async def later(tasks: BackgroundTasks) -> str:
        tasks.add_task(HASHER.verify, "wrong", USERS["ann"])
        return "accepted"

    @app.post("/wait")
    async def wait(request: Request, form: OAuth2PasswordRequestForm = Depends()) -> str:
        request.app.state.waiting.set()
        await asyncio.sleep(60)
        return form.username

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, key: str = "") -> None:
        try:
            jwt.decode(key, SECRET, algorithms=["HS256"])
        except jwt.PyJWTError:
            await websocket.close(1008)
            return
        await websocket.accept()
        await websocket.send_text(f"{len(websocket.app.state.seen())} records")
        await websocket.close()
