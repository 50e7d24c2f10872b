"""Security classes as applications write them, which read the request themselves.

Annotations here are no strings: FastAPI before it evaluated them (0.100 does not) takes those of an object's `__call__` for names
of query parameters.
"""

from fastapi import Request
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer


class SchemedKey(APIKeyHeader):
    """A key in the Authorization header, read by the application itself (as Tiled does)."""

    async def __call__(self, request: Request) -> str | None:  # type: ignore[override]  # as applications write it
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return key if scheme == "Apikey" else None


class CookieToken(OAuth2PasswordBearer):
    """A token in a cookie, as many tutorials have it."""

    async def __call__(self, request: Request) -> str | None:  # type: ignore[override]  # as applications write it
        return request.cookies.get("access")
