"""Litestar: tokens, sessions and middlewares of one's own, and the request around everything that is checked inside."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import servers
from .doors import PASSWORD, WRONG, Doors, bearer
from .web import Record, browser, record, told


class TestLitestar(Doors):
    """Litestar on uvicorn."""

    template = "{n}"

    @pytest.fixture
    async def address(self, audit_trail: AuditTrail) -> AsyncIterator[str]:
        """Where the application is served."""
        from .apps.litestar_app import create_doors

        async with servers.uvicorn(create_doors(lambda: audit_trail.records)) as address:
            yield address

    async def test_route_template(self, address: str, audit_trail: AuditTrail) -> None:
        """Of a router below a path with a parameter, and of a foreign application that is mounted."""
        async with httpx.AsyncClient(base_url=address, headers={"Host": "testserver"}) as client:
            for path in ("/team/blue/check/4", "/mounted/deep/4"):
                assert (await client.get(path)).status_code == 200
        assert [one["http.route"] for one in told(audit_trail)] == ["/team/{team}/check/{n}", "/mounted"]


def verified(event: str, outcome: str, **more: str) -> Record:
    """What a request carried was looked at."""
    return record("litestar", event, outcome, at="/me/{n}", **{"method": "GET", **more})


def refused(reason: str, **more: str) -> Record:
    """A token was refused."""
    facts = {"audit__action": "verify_with_token", "audit__strategy": "token", "audit__reason": reason}
    return verified("auth.verify", "failure", **{"error__type": "NotAuthorizedException", **facts, **more})


def signed_in(*, at: str = "/login", strategy: str = "password", **more: str) -> Record:
    """A sign-in, won by a password."""
    facts = {"audit__action": f"sign_in_with_{strategy}", "audit__strategy": strategy, "user__id": "7"}
    return record("litestar", "auth.sign_in", at=at, **{**facts, **more})


WRONG_PASSWORD = {
    "audit__action": "authenticate_with_password",
    "audit__strategy": "password",
    "audit__reason": "wrong_password",
    "audit__inferred": "true",
    "audit__identity": "ann",
}


class TestTokens:
    """JWT, in each of the three ways in which a token travels."""

    @pytest.fixture(params=["header", "cookie", "oauth2"])
    def made(self, request: pytest.FixtureRequest, audit_trail: AuditTrail) -> tuple[Any, Any]:
        """The application and its tokens' object."""
        from .apps.litestar_app import create_jwt

        return create_jwt(request.param)

    @pytest.fixture
    def client(self, made: tuple[Any, Any]) -> httpx.AsyncClient:
        """A browser."""
        return browser(made[0])

    async def test_login(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """One sign-in: login, token, hash; with whatever carries the token, the next request is silent."""
        response = await client.post("/login", json={"username": "ann", "password": PASSWORD})
        assert response.status_code == 201
        assert told(audit_trail) == [signed_in(audit__token__id="token-1")]
        token = response.headers["Authorization"]
        assert (await client.get("/me/1", headers={"Authorization": token})).text == "ann"
        assert told(audit_trail) == []
        audit_trail.assert_no_secret(PASSWORD, token.split()[1], "a-token-id-of-its-own-1234")

    async def test_wrong_password(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """Concluded from the hash, with the name from the body."""
        assert (await client.post("/login", json={"username": "ann", "password": WRONG})).status_code == 401
        assert told(audit_trail) == [record("bcrypt", "auth.authenticate", "failure", at="/login", **WRONG_PASSWORD)]

    async def test_token_handed_out(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """Without a login around it."""
        await client.post("/key")
        facts = {"audit__action": "issue_token", "audit__strategy": "token", "user__id": "7"}
        assert told(audit_trail) == [record("litestar", "token.issue", at="/key", **facts)]

    @pytest.mark.parametrize(
        ("claims", "reason", "more"),
        [
            ({"exp": 1}, "token_expired", {}),
            ({"exp": "soon"}, "token_malformed", {}),
            ({"sub": "nobody"}, "rejected_after_verification", {"user__id": "nobody"}),
            ({"jti": "revoked"}, "rejected_after_verification", {"user__id": "7", "audit__token__id": "token-1"}),
        ],
    )
    async def test_refused(
        self, client: httpx.AsyncClient, audit_trail: AuditTrail, claims: dict[str, Any], reason: str, more: dict[str, str]
    ) -> None:
        """Every way to refuse a token, with the reason that the check below knows."""
        now = int(time.time())
        response = await client.get("/me/1", headers=bearer(**{"exp": now + 60, "iat": now, **claims}))
        assert response.status_code == 401
        assert told(audit_trail) == [refused(reason, **more)]

    async def test_garbage_and_forged(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """No token at all where one should be, and one with another key."""
        import jwt

        forged = jwt.encode({"sub": "7", "exp": 2**40, "iat": 1}, "another-secret-of-thirty-two-bytes", algorithm="HS256")
        for token in ("garbage", forged):
            await client.get("/me/1", headers={"Authorization": f"Bearer {token}"})
        assert [one["audit.reason"] for one in told(audit_trail)] == ["token_malformed", "token_bad_signature"]

    async def test_crash(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """The application's own function breaks off: nobody knows."""
        await client.get("/me/1", headers=bearer(sub="crash", exp=2**31, iat=1))
        facts = {"audit__action": "verify_with_token", "audit__strategy": "token", "user__id": "crash"}
        crashed = {"audit__reason": "backend_error", "error__type": "RuntimeError"}
        assert told(audit_trail) == [verified("auth.verify", "unknown", **facts, **crashed)]

    async def test_nothing_shown(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """A request without a token, also with another cookie, is refused and no event."""
        assert (await client.get("/me/1", headers={"Cookie": "theme=dark"})).status_code == 401
        assert told(audit_trail) == []

    async def test_cookie(self, audit_trail: AuditTrail) -> None:
        """A bad token in the cookie."""
        from .apps.litestar_app import create_jwt

        client = browser(create_jwt("cookie")[0])
        await client.get("/me/1", headers={"Cookie": "theme=dark; token=Bearer garbage"})
        assert told(audit_trail) == [refused("token_malformed")]


class TestSessions:
    """Session authentication."""

    @pytest.fixture
    def client(self, audit_trail: AuditTrail) -> httpx.AsyncClient:
        """A browser."""
        from .apps.litestar_app import create_session

        return browser(create_session())

    async def test_sign_in_and_out(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """A session that names its user begins and ends; other data in it is silent."""
        await client.post("/basket")
        await client.post("/login", json={"username": "ann", "password": PASSWORD})
        assert told(audit_trail) == [signed_in()]
        await client.post("/basket")
        assert (await client.get("/me/1")).text == "ann"
        assert told(audit_trail) == []
        await client.delete("/login")
        facts = {"audit__action": "sign_out", "audit__strategy": "session", "user__id": "7", "method": "DELETE"}
        assert told(audit_trail) == [record("litestar", "auth.sign_out", at="/login", **facts)]
        audit_trail.assert_no_secret(PASSWORD)

    async def test_user_is_gone(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """A session of nobody is refused, once: it is emptied with that."""
        await client.post("/login", json={"username": "gone", "password": PASSWORD})
        assert told(audit_trail) == [signed_in(user__id="8")]
        for _ in range(2):
            assert (await client.get("/me/1")).status_code == 401
        facts = {"audit__action": "reject_session", "audit__strategy": "session", "audit__reason": "session_invalid"}
        more = {"user__id": "8", "error__type": "NotAuthorizedException"}
        assert told(audit_trail) == [verified("session.reject", "failure", **facts, **more)]

    async def test_uuid(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """A user's key need not be a number."""
        await client.post("/login", json={"username": "uuid", "password": PASSWORD})
        assert told(audit_trail) == [signed_in(user__id="00000000-0000-0000-0000-000000000009")]

    async def test_wrong_password(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """Concluded from the hash."""
        await client.post("/login", json={"username": "ann", "password": WRONG})
        assert told(audit_trail) == [record("bcrypt", "auth.authenticate", "failure", at="/login", **WRONG_PASSWORD)]


class TestOwnMiddleware:
    """A subclass of `AbstractAuthenticationMiddleware`."""

    @pytest.fixture(params=["Own", "Renamed"])
    def client(self, request: pytest.FixtureRequest, audit_trail: AuditTrail) -> httpx.AsyncClient:
        """A browser of the application, and of one that overrides once more."""
        from .apps.litestar_app import create_own

        return browser(create_own(request.param))

    async def test_basic(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """A wrong password, and a right one that is not enough."""
        await client.get("/me/1", auth=("ann", WRONG))
        await client.get("/me/1", auth=("bob", PASSWORD))
        facts = {"audit__action": "verify_with_basic", "audit__strategy": "basic"}
        wrong = {"audit__reason": "wrong_password", "audit__identity": "ann", "error__type": "NotAuthorizedException"}
        denied = {"audit__reason": "permission_denied", "audit__identity": "bob", "error__type": "PermissionDeniedException"}
        expected = [verified("auth.verify", "failure", **facts, **more) for more in (wrong, denied)]
        assert told(audit_trail) == [expected[0], {**expected[1], "audit.flow.id": "flow-2"}]

    async def test_key(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """A bad key, and one on which the middleware crashes."""
        await client.get("/me/1", headers={"X-API-Key": "bad"})
        facts = {"audit__action": "sign_in_with_api_key", "audit__strategy": "api_key"}
        bad = {"audit__reason": "invalid_credentials", "error__type": "NotAuthorizedException"}
        assert told(audit_trail) == [verified("api_key.verify", "failure", **facts, **bad)]
        await client.get("/me/1", headers={"X-API-Key": "crash"})
        crashed = {"audit__reason": "backend_error", "error__type": "RuntimeError"}
        assert told(audit_trail) == [verified("api_key.verify", "unknown", **facts, **crashed)]

    async def test_silence(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """Good credentials, a guest, and nothing shown."""
        assert (await client.get("/me/1", auth=("ann", PASSWORD))).text == "ann"
        assert (await client.get("/me/1", headers={"X-API-Key": PASSWORD})).status_code == 200
        assert (await client.get("/me/1", headers={"X-API-Key": "guest"})).status_code == 200
        assert (await client.get("/me/1")).status_code == 401
        assert told(audit_trail) == []


class TestEverything:
    """With `request_auth=all` the good ones are told too."""

    @pytest.fixture
    def audit_trail_options(self, audit_trail_options: dict[str, Any]) -> dict[str, Any]:
        """All checks."""
        return {**audit_trail_options, "request_auth": "all"}

    async def test_success(self, audit_trail: AuditTrail) -> None:
        """Who it was, by token, session, Basic and key."""
        from .apps import litestar_app as apps

        own, session, (tokens, _) = browser(apps.create_own("Own")), browser(apps.create_session()), apps.create_jwt("header")
        await browser(tokens).get("/me/1", headers=bearer(exp=2**31, iat=1, jti="a-token-id-of-its-own-1234"))
        await session.post("/login", json={"username": "ann", "password": PASSWORD})
        await session.get("/me/1")
        await own.get("/me/1", auth=("ann", PASSWORD))
        await own.get("/me/1", headers={"X-API-Key": PASSWORD})
        found = [(one["audit.action"], one["user.id"], one["audit.outcome"]) for one in told(audit_trail)]
        assert found == [
            ("verify_with_token", "7", "success"),
            ("sign_in_with_password", "7", "success"),
            ("verify_with_session", "7", "success"),
            ("verify_with_basic", "ann", "success"),
            ("sign_in_with_api_key", "7", "success"),
        ]
