"""What every web framework without a sign-in of its own must show: the request around checks that libraries make inside.

A framework's story is a class that derives from `Doors` and gives it an application on a real server (fixture `address`), which has
the doors below; `{n}` in a path is a parameter of the route.

    POST /enter/{n}   form, checks `password`: 401 where it is wrong, else a redirect
    POST /json/{n}    the same with a JSON body
    GET  /stream/{n}  checks a wrong password, then streams how many records there are
    GET  /crash/{n}   checks a wrong password and crashes
    GET  /token/{n}   decodes the bearer token: 401 where it is not good
    GET  /ws/{n}      checks `?given`, then accepts a WebSocket
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

import httpx

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .servers import shake_hands
from .web import Record, record, told

PASSWORD = "correct-horse-42-battery"
WRONG = "wrong-mule-17-accumulator"
SECRET = "story-secret-of-thirty-two-bytes!"


def check(given: str) -> bool:
    """Whether *given* is the password, asked of bcrypt."""
    import bcrypt

    global _stored  # noqa: PLW0603 -- made at first use, so that bcrypt is not imported before
    _stored = _stored or bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4))
    return bcrypt.checkpw(given.encode(), _stored)


_stored = b""


def subject_of(authorization: str) -> str | None:
    """Whose token the header has; None where it is not good."""
    import jwt

    try:
        claims = jwt.decode(authorization.removeprefix("Bearer "), SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        return None
    return str(claims["sub"])


def bearer(**claims: Any) -> dict[str, str]:
    """A header with a token."""
    import jwt

    return {"Authorization": f"Bearer {jwt.encode({'sub': '7', **claims}, SECRET, algorithm='HS256')}"}


class Doors:
    """The stories. `template` is how the framework writes the parameter of a route."""

    template: ClassVar[str]
    reads_json: ClassVar[bool] = True
    """Whether the name in a JSON body is found."""

    def at(self, door: str, more: str = "") -> str:
        """The route template of *door*."""
        return f"/{door}/{self.template}{more}"

    def refused(self, door: str, **more: str) -> Record:
        """A wrong password, concluded from the hash alone."""
        facts = {
            "audit__action": "authenticate_with_password",
            "audit__strategy": "password",
            "audit__reason": "wrong_password",
            "audit__inferred": "true",
        }
        method = "POST" if door in {"enter", "json"} else "GET"
        return record("bcrypt", "auth.authenticate", "failure", at=self.at(door), method=method, **{**facts, **more})

    async def post(self, address: str, door: str, **request: Any) -> int:
        """Send a form or body to *door*; the status code."""
        async with httpx.AsyncClient(base_url=address, headers={"Host": "testserver"}) as client:
            return (await client.post(f"/{door}/1", **request)).status_code

    async def get(self, address: str, door: str, **request: Any) -> httpx.Response:
        """The answer of *door*."""
        async with httpx.AsyncClient(base_url=address, headers={"Host": "testserver"}) as client:
            return await client.get(f"/{door}/1", **request)

    async def test_wrong_password(self, address: str, audit_trail: AuditTrail) -> None:
        """The reason that the hash knows, the name that the form had, the route's template."""
        assert await self.post(address, "enter", data={"username": "ann", "password": WRONG}) == 401
        assert told(audit_trail) == [self.refused("enter", audit__identity="ann")]
        audit_trail.assert_no_secret(WRONG)

    async def test_wrong_password_in_json(self, address: str, audit_trail: AuditTrail) -> None:
        """The same in a JSON body, with the name where the framework hands the parsed body over."""
        assert await self.post(address, "json", json={"email": "ann@example.org", "password": WRONG}) == 401
        assert told(audit_trail) == [self.refused("json", **({"audit__identity": "ann@example.org"} if self.reads_json else {}))]

    async def test_right_password_alone_is_silent(self, address: str, audit_trail: AuditTrail) -> None:
        """Nobody says what it was for; the redirect goes on, whether it is returned or raised."""
        assert await self.post(address, "enter", data={"username": "ann", "password": PASSWORD}) == 302
        assert told(audit_trail) == []

    async def test_streaming_response(self, address: str, audit_trail: AuditTrail) -> None:
        """Told when the response starts."""
        assert (await self.get(address, "stream")).text == "1 records"
        assert told(audit_trail) == [self.refused("stream")]

    async def test_crash(self, address: str, audit_trail: AuditTrail) -> None:
        """What was checked before the exception is told; the framework makes its own answer of it."""
        assert (await self.get(address, "crash")).status_code == 500
        assert told(audit_trail) == [self.refused("crash")]

    async def test_token(self, address: str, audit_trail: AuditTrail) -> None:
        """A good bearer token is silent, an expired one is not."""
        good, old = bearer(), bearer(exp=int(time.time()) - 60)
        assert (await self.get(address, "token", headers=good)).status_code == 200
        assert told(audit_trail) == []
        assert (await self.get(address, "token", headers=old)).status_code == 401
        facts = {"audit__action": "verify_with_token", "audit__strategy": "token", "audit__reason": "token_expired"}
        more = {"audit__inferred": "true", "error__type": "ExpiredSignatureError"}
        assert told(audit_trail) == [
            record("pyjwt", "auth.verify", "failure", at=self.at("token"), method="GET", **facts, **more)
        ]

    async def test_websocket(self, address: str, audit_trail: AuditTrail) -> None:
        """The handshake is a request: told before it is accepted."""
        assert await shake_hands(address, f"/ws/1?given={PASSWORD}") == 101
        assert told(audit_trail) == []
        assert await shake_hands(address, f"/ws/1?given={WRONG}") == 101
        assert told(audit_trail) == [self.refused("ws")]
        audit_trail.assert_no_secret(WRONG, PASSWORD)

    async def test_client_and_headers(self, address: str, audit_trail: AuditTrail) -> None:
        """The client is the peer, with its port; what headers claim is noted and not believed."""
        claims = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "198.51.100.1"), ("Forwarded", "for=203.0.113.7")]
        await self.get(address, "crash", headers=[*claims, ("X-Real-IP", "203.0.113.8")])
        (record,) = audit_trail.records
        assert int(record["client.port"]) > 0
        noted = {"audit__request__forwarded": "for=203.0.113.7", "audit__request__x_forwarded_for": "203.0.113.9, 198.51.100.1"}
        assert told(audit_trail) == [self.refused("crash", **noted)]

    async def test_interleaved_requests(self, address: str, audit_trail: AuditTrail) -> None:
        """Forty at once: a flow and a name for each."""
        names = [f"user{n}" for n in range(40)]
        posts = (self.post(address, "enter", data={"username": name, "password": f"{WRONG}-{name}"}) for name in names)
        assert set(await asyncio.gather(*posts)) == {401}
        records = told(audit_trail)
        assert len({record["audit.flow.id"] for record in records}) == 40
        assert sorted(record["audit.identity"] for record in records) == sorted(names)
