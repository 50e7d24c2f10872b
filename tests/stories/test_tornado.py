"""Tornado: signed cookies, sign-ins at other sites, and the request around everything that is checked inside."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import servers
from .doors import PASSWORD, WRONG, Doors
from .servers import shake_hands
from .web import Record, record, told


@pytest.fixture
def app(audit_trail: AuditTrail, caplog: pytest.LogCaptureFixture) -> Any:
    """The application."""
    from .apps.tornado_app import create_app

    caplog.set_level(logging.CRITICAL, "tornado")
    return create_app(lambda: audit_trail.records)


@pytest.fixture
async def address(app: Any) -> AsyncIterator[str]:
    """Where it is served."""
    async with servers.tornado(app) as address:
        yield address


@pytest.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that keeps cookies."""
    async with httpx.AsyncClient(base_url=address) as client:
        yield client


class TestTornado(Doors):
    """The request, on Tornado's own server, with coroutines of both kinds and plain functions."""

    template = "([^/]+)"
    reads_json = False

    async def test_refused_websocket(self, address: str, audit_trail: AuditTrail) -> None:
        """A handshake that `prepare` refuses."""
        assert await shake_hands(address, f"/ws/2?given={WRONG}") == 403
        assert told(audit_trail) == [self.refused("ws")]

    async def test_route_of_another_host(self, address: str, audit_trail: AuditTrail) -> None:
        """Rules below a host; the pattern stands for the template."""
        async with httpx.AsyncClient(base_url=address, headers={"Host": "team.example"}) as client:
            assert (await client.get("/of/4/crash/1")).status_code == 200
        more = {"http__route": r"/of/(?P<n>\d+)/crash/1", "server__address": "team.example"}
        assert told(audit_trail) == [self.refused("crash", **more)]

    async def test_server_that_believes_headers(self, app: Any, audit_trail: AuditTrail) -> None:
        """With `xheaders` Tornado takes the client from a header of anybody; the peer stays the peer."""
        async with servers.tornado(app, xheaders=True) as address:
            await self.get(address, "crash", headers={"X-Real-IP": "203.0.113.9"})
        (record,) = told(audit_trail)
        assert record["client.address"] == record["network.peer.address"] == "127.0.0.1"


def at_login(event: str = "auth.sign_in", **more: str) -> Record:
    """A record of the login page."""
    facts = {"audit__action": "sign_in_with_password", "audit__strategy": "password", "server__address": "127.0.0.1"}
    return record("tornado", event, **{"at": "/login", **facts, **more})


FORM = {"username": "ann", "password": PASSWORD}


class TestSignedCookie:
    """The cookie that `get_current_user` names is the session."""

    @pytest.mark.parametrize("method", ["set_signed_cookie", "set_secure_cookie"])
    @pytest.mark.parametrize(
        ("kind", "known"),
        [("name", {"session__id": "session-1"}), ("number", {"user__id": "7"}), ("key", {"session__id": "session-1"})],
    )
    async def test_sign_in_and_out(
        self, client: httpx.AsyncClient, audit_trail: AuditTrail, kind: str, known: dict[str, str], method: str
    ) -> None:
        """What is in the cookie is the subject only where it cannot be the key of a session."""
        typed = {"user__id": "ann"} if kind == "name" else {}
        response = await client.post("/login", params={"kind": kind, "method": method}, data=FORM)
        assert response.status_code == 302
        await client.post("/logout")
        await client.post("/logout")
        out = {"audit__action": "sign_out", "audit__strategy": "session", "audit__flow__id": "flow-2"}
        assert told(audit_trail) == [
            at_login(audit__identity="ann", **known, **typed),
            at_login("auth.sign_out", at="/logout", **out, **known),
        ]
        audit_trail.assert_no_secret(PASSWORD, "random-session-key-of-forty-characters-x")

    async def test_other_cookies(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """A signed cookie of another name, and a forged one, are nobody's session."""
        await client.post("/login", params={"kind": "other"}, data=FORM)
        await client.post("/logout")
        client.cookies.set("user", "2|1:0|10:1|4:user|4:YW5u|" + "0" * 64)
        await client.post("/logout")
        assert told(audit_trail) == []

    async def test_wrong_password(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """Concluded from the hash, with the name from the form."""
        await client.post("/login", params={"kind": "name"}, data={**FORM, "password": WRONG})
        (one,) = told(audit_trail)
        assert (one["event"], one["audit.identity"], one["audit.reason"]) == ("auth.authenticate", "ann", "wrong_password")


def elsewhere(provider: str, event: str, outcome: str, **more: str) -> Record:
    """What came of a sign-in at another site."""
    verb = {"auth.sign_in": "sign_in", "auth.authenticate": "authenticate"}[event]
    word = provider or "oauth2"
    facts = {"audit__action": f"{verb}_with_{word}", "audit__strategy": "oauth2", "server__address": "127.0.0.1"}
    named = {"audit__provider": provider} if provider else {}
    return record("tornado", event, outcome, at=f"/{provider or 'oauth1'}", **{"method": "GET", **facts, **named, **more})


KNOWN = {"google": {}, "facebook": {"user__id": "4711"}, "": {"user__id": "12"}}
BEGUN = {"Cookie": f"_oauth_request_token={b64encode(b'one').decode()}|{b64encode(b'two').decode()}"}


class TestElsewhere:
    """`get_authenticated_user` against sites on loopback."""

    @pytest.fixture(params=["google", "facebook", ""], ids=["google", "facebook", "oauth1"])
    def provider(self, request: pytest.FixtureRequest) -> str:
        """Each of the mixins."""
        name: str = request.param
        return name

    async def come_back(self, client: httpx.AsyncClient, provider: str, **query: str) -> int:
        """The browser comes back from the other site."""
        query = {"code": "good-code", "oauth_token": "one", **query}
        return (await client.get(f"/{provider or 'oauth1'}", params=query, headers=BEGUN)).status_code

    async def test_success(self, client: httpx.AsyncClient, audit_trail: AuditTrail, provider: str) -> None:
        """With no session of ours, and with one."""
        assert await self.come_back(client, provider) == 200
        assert told(audit_trail) == [elsewhere(provider, "auth.authenticate", "success", **KNOWN[provider])]
        assert await self.come_back(client, provider, keep="1") == 200
        known = {**KNOWN[provider], "session__id": "session-1"}
        assert told(audit_trail) == [elsewhere(provider, "auth.sign_in", "success", **known)]
        audit_trail.assert_no_secret(PASSWORD, "good-code")

    async def test_refused_afterwards(self, client: httpx.AsyncClient, audit_trail: AuditTrail, provider: str) -> None:
        """The application does not want this user."""
        assert await self.come_back(client, provider, refuse="1") == 403
        more = {"audit__reason": "rejected_after_verification", **KNOWN[provider]}
        assert told(audit_trail) == [elsewhere(provider, "auth.sign_in", "failure", **more)]

    @pytest.mark.parametrize(("code", "reason"), [("bad", "invalid_code"), ("down", "provider_error")])
    async def test_site_says_no(self, client: httpx.AsyncClient, audit_trail: AuditTrail, code: str, reason: str) -> None:
        """It does not accept the code, or has its own troubles."""
        for provider in ("google", "facebook"):
            assert await self.come_back(client, provider, code=code) == 500
            more = {"audit__reason": reason, "error__type": "HTTPClientError"}
            assert told(audit_trail) == [elsewhere(provider, "auth.sign_in", "failure", **more)]

    async def test_nobody_went_there(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """A browser comes back that was not sent."""
        assert (await client.get("/oauth1", params={"oauth_token": "one"})).status_code == 500
        more = {"audit__reason": "state_mismatch", "error__type": "AuthError"}
        assert told(audit_trail) == [elsewhere("", "auth.sign_in", "failure", **more)]
