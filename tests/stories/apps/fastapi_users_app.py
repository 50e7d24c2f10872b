"""An application on FastAPI Users as its documentation shows one: SQLAlchemy, bearer JWT, a cookie with tokens in the database, OAuth."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import fastapi_users.password
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.security import OAuth2PasswordRequestForm
from fastapi_users import BaseUserManager, FastAPIUsers, InvalidPasswordException, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, CookieTransport, JWTStrategy
from fastapi_users.authentication.strategy.db import AccessTokenDatabase, DatabaseStrategy
from fastapi_users.password import PasswordHelper
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseOAuthAccountTableUUID, SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyAccessTokenDatabase, SQLAlchemyBaseAccessTokenTableUUID
from httpx_oauth.exceptions import GetIdEmailError
from httpx_oauth.oauth2 import OAuth2
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, relationship
from sqlalchemy.pool import StaticPool

SECRET = "story-secret-of-thirty-two-bytes!"


class Base(DeclarativeBase):
    pass


class OAuthAccount(SQLAlchemyBaseOAuthAccountTableUUID, Base):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    oauth_accounts: Mapped[list[OAuthAccount]] = relationship("OAuthAccount", lazy="joined")


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    pass


class UserRead(schemas.BaseUser[uuid.UUID]):
    pass


class UserCreate(schemas.BaseUserCreate):
    pass


class UserUpdate(schemas.BaseUserUpdate):
    pass


class Provider(OAuth2):
    """A client of the small provider that the story serves, as httpx-oauth has one for GitHub."""

    async def get_id_email(self, token: str) -> tuple[str, str | None]:
        async with self.get_httpx_client() as client:
            response = await client.get(
                self.authorize_endpoint.replace("authorize", "me"), headers={"Authorization": f"Bearer {token}"}
            )
        if response.status_code != 200:
            raise GetIdEmailError(response.text)
        profile = response.json()
        return profile["id"], profile["email"]


class World:
    """What the stories see of the application besides its responses."""

    def __init__(self) -> None:
        self.engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.mailed: dict[str, str] = {}

    async def create(self) -> None:
        async with self.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

    async def change(self, email: str, **fields: Any) -> str:
        """Change a user behind the application's back; returns the id."""
        async with self.sessions() as session:
            database: Any = SQLAlchemyUserDatabase(session, User, OAuthAccount)
            user = await database.get_by_email(email)
            await database.update(user, fields)
            return str(user.id)


def create_app(world: World, provider: str = "http://127.0.0.1:1") -> FastAPI:
    """The application; its users are in *world*."""

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with world.sessions() as session:
            yield session

    async def get_users(session: AsyncSession = Depends(get_session)) -> Any:
        return SQLAlchemyUserDatabase(session, User, OAuthAccount)

    async def get_tokens(session: AsyncSession = Depends(get_session)) -> Any:
        return SQLAlchemyAccessTokenDatabase(session, AccessToken)

    class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
        reset_password_token_secret = SECRET
        verification_token_secret = SECRET

        async def validate_password(self, password: str, user: Any) -> None:
            if len(password) < 5:
                raise InvalidPasswordException(reason="too short")

        async def on_after_register(self, user: User, request: Request | None = None) -> None:
            if user.email == "welcome@example.org":
                await self.request_verify(user, request)

        async def on_after_login(self, user: User, request: Request | None = None, response: Any = None) -> None:
            if user.email == "crash@example.org":
                raise RuntimeError

        async def on_after_forgot_password(self, user: User, token: str, request: Request | None = None) -> None:
            world.mailed["reset"] = token

        async def on_after_request_verify(self, user: User, token: str, request: Request | None = None) -> None:
            world.mailed["verify"] = token

    helper = PasswordHelper(_cheap())

    async def get_manager(users: Any = Depends(get_users)) -> AsyncIterator[UserManager]:
        yield UserManager(users, helper)

    def by_jwt() -> Any:
        return JWTStrategy(secret=SECRET, lifetime_seconds=3600)

    def by_database(tokens: AccessTokenDatabase[Any] = Depends(get_tokens)) -> Any:
        return DatabaseStrategy(tokens, lifetime_seconds=3600)

    bearer = AuthenticationBackend("jwt", BearerTransport(tokenUrl="auth/login"), by_jwt)
    cookie = AuthenticationBackend("cookie", CookieTransport(cookie_secure=False), by_database)
    users: Any = FastAPIUsers[User, uuid.UUID](get_manager, [bearer, cookie])
    github = Provider("id", "client-hush-hush", f"{provider}/authorize", f"{provider}/token", name="github")

    app = FastAPI()
    for router, prefix in (
        (users.get_auth_router(bearer), "/auth"),
        (users.get_auth_router(bearer, requires_verification=True), "/strict"),
        (users.get_auth_router(cookie), "/cookie"),
        (users.get_register_router(UserRead, UserCreate), "/auth"),
        (users.get_reset_password_router(), "/auth"),
        (users.get_verify_router(UserRead), "/auth"),
        (users.get_users_router(UserRead, UserUpdate), "/users"),
        (users.get_oauth_router(github, bearer, SECRET), "/github"),
        (users.get_oauth_associate_router(github, UserRead, SECRET), "/associate"),
    ):
        app.include_router(router, prefix=prefix)
    app.include_router(_own(users, get_manager))
    return app


def _cheap() -> Any:
    """A hasher that does not take a story's time; before version 13 the library stood on passlib."""
    if not hasattr(fastapi_users.password, "PasswordHash"):
        from passlib.context import CryptContext

        return CryptContext(schemes=["pbkdf2_sha256"], pbkdf2_sha256__rounds=1000)
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    return PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))


def _own(users: Any, get_manager: Any) -> APIRouter:
    router = APIRouter()

    @router.get("/verified")
    async def verified(user: User = Depends(users.current_user(active=True, verified=True))) -> str:
        return user.email

    @router.get("/admin")
    async def admin(user: User = Depends(users.current_user(active=True, superuser=True))) -> str:
        return user.email

    @router.get("/optional")
    async def optional(user: User | None = Depends(users.current_user(active=True, optional=True))) -> str:
        return "nobody" if user is None else user.email

    @router.post("/check/{code}")
    async def check(code: int, form: OAuth2PasswordRequestForm = Depends(), manager: Any = Depends(get_manager)) -> str:
        """Checks a password and signs nobody in."""
        user = await manager.authenticate(form)
        await asyncio.sleep(0)
        if code >= 400:
            raise HTTPException(code)
        return "right" if user else "wrong"

    return router
