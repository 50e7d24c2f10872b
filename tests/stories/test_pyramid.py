"""Pyramid: `remember` and `forget` with tickets, sessions and policies of one's own, Basic credentials, and the request around."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import servers
from .doors import PASSWORD, WRONG, Doors
from .web import Record, record, told


class TestPyramid(Doors):
    """The request, on Waitress."""

    template = "{n}"
    reads_json = False

    @pytest.fixture
    async def address(self, audit_trail: AuditTrail) -> AsyncIterator[str]:
        """Where the application is served."""
        from .apps.pyramid_app import create_doors

        async with servers.waitress(create_doors(lambda: audit_trail.records)) as address:
            yield address

    test_websocket = None  # type: ignore[assignment]  # WSGI has none

    async def test_request_inside_a_request(self, address: str, audit_trail: AuditTrail) -> None:
        """What a view asks of its own application belongs to the request that the client sent."""
        assert (await self.get(address, "inside")).text == "500"
        assert told(audit_trail) == [self.refused("inside")]

    async def test_answer_of_a_tween(self, address: str, audit_trail: AuditTrail) -> None:
        """Before routing: the path is told."""
        assert (await self.get(address, "enter", params={"stop": "1"})).status_code == 403
        expected = {name: value for name, value in self.refused("crash").items() if name != "http.route"}
        assert told(audit_trail) == [{**expected, "url.path": "/enter/1"}]

    async def test_traversal(self, address: str, audit_trail: AuditTrail) -> None:
        """A view found by traversal has no template."""
        await self.get(address, "traversed")
        assert [one["url.path"] for one in told(audit_trail)] == ["/traversed/1"]


def client(kind: str, **options: Any) -> Any:
    """A browser of the application with a policy of that kind."""
    from webtest import TestApp

    from .apps.pyramid_app import create_app

    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "testserver"}
    return TestApp(create_app(kind, **options), extra_environ=environ)


def form(username: str = "ann", password: str = PASSWORD) -> dict[str, str]:
    """What is typed."""
    return {"username": username, "password": password}


def signed_in(user: str = "7", identity: str = "ann", strategy: str = "password", **more: str) -> Record:
    """A sign-in, won by a password."""
    facts = {"audit__action": f"sign_in_with_{strategy}", "audit__strategy": strategy, "audit__identity": identity}
    return record("pyramid", "auth.sign_in", at="/login", user__id=user, **{**facts, **more})


def signed_out(user: str = "7", **more: str) -> Record:
    """A sign-out."""
    facts = {"audit__action": "sign_out", "audit__strategy": "session", "user__id": user, "method": "GET"}
    return record("pyramid", "auth.sign_out", at="/logout", **{**facts, **more})


REFUSED = {
    "audit__action": "authenticate_with_password",
    "audit__strategy": "password",
    "audit__reason": "wrong_password",
    "audit__inferred": "true",
    "audit__identity": "ann",
}


@pytest.mark.parametrize("kind", ["ticket", "session"])
def test_sign_in_and_out(audit_trail: AuditTrail, kind: str) -> None:
    """Once each; signing out without being signed in is none, nor is a page in between."""
    browser = client(kind)
    browser.get("/logout")
    browser.post("/login", form())
    assert browser.get("/me").text == "7"
    assert told(audit_trail) == [signed_in()]
    browser.get("/logout")
    browser.get("/logout")
    assert told(audit_trail) == [signed_out()]
    audit_trail.assert_no_secret(PASSWORD)


@pytest.mark.parametrize(("name", "subject"), [("text", "ann@example.org"), ("bytes", "ann")])
def test_every_type_of_user_id(audit_trail: AuditTrail, name: str, subject: str) -> None:
    """The subject is the same at sign-in and sign-out, whatever stands in the ticket."""
    browser = client("ticket", include_ip=True, timeout=1000)
    browser.post("/login", form(name))
    browser.get("/logout")
    assert told(audit_trail) == [signed_in(subject, name), signed_out(subject, audit__flow__id="flow-2")]


@pytest.mark.filterwarnings("ignore:userid is of type:RuntimeWarning")
def test_user_id_of_a_type_of_ones_own(audit_trail: AuditTrail) -> None:
    """The library makes a text of it."""
    client("ticket").post("/login", form("uuid"))
    assert told(audit_trail) == [signed_in("00000000-0000-0000-0000-000000000009", "uuid")]


@pytest.mark.parametrize("kind", ["ticket", "session", "own cookie"])
def test_wrong_password(audit_trail: AuditTrail, kind: str) -> None:
    """Concluded from the hash, with the name from the form."""
    client(kind).post("/login", form(password=WRONG), status=401)
    assert told(audit_trail) == [record("bcrypt", "auth.authenticate", "failure", at="/login", **REFUSED)]


def test_policy_with_a_cookie_of_its_own(audit_trail: AuditTrail) -> None:
    """`remember` hands out headers: a sign-in."""
    client("own cookie").post("/login", form())
    assert told(audit_trail) == [signed_in()]
    audit_trail.assert_no_secret(PASSWORD)


def test_ticket_renewed_by_the_library(audit_trail: AuditTrail, monkeypatch: pytest.MonkeyPatch) -> None:
    """`reissue_time`: an old ticket is exchanged on the way, and that is no sign-in."""
    from pyramid.authentication import AuthTktCookieHelper

    browser = client("ticket", reissue_time=0)
    browser.post("/login", form())
    monkeypatch.setattr(AuthTktCookieHelper, "now", 2**31)  # the library's own door for tests
    assert "auth_tkt=" in browser.get("/me").headers["Set-Cookie"]
    assert told(audit_trail) == [signed_in()]


def test_ticket_renewed_by_the_application(audit_trail: AuditTrail) -> None:
    """A page that hands out a ticket to whom it belongs already renews the session."""
    browser = client("ticket")
    browser.post("/login", form())
    browser.get("/again")
    facts = {"audit__action": "renew_session", "audit__strategy": "session", "user__id": "7", "method": "GET"}
    assert told(audit_trail)[1:] == [record("pyramid", "session.renew", at="/again", audit__flow__id="flow-2", **facts)]


@pytest.mark.parametrize(
    ("options", "ticket", "reason"),
    [({"timeout": 1}, None, "session_expired"), ({}, "0" * 140 + "7!userid_type:int", "session_invalid")],
)
def test_refused_ticket(audit_trail: AuditTrail, options: dict[str, Any], ticket: str | None, reason: str) -> None:
    """An old one and a forged one: once for a request, however often it is looked at; forgetting it is no sign-out."""
    from pyramid.authentication import AuthTicket

    from .apps.pyramid_app import SECRET

    old = AuthTicket(SECRET, "7", "0.0.0.0", user_data="userid_type:int", time=1, hashalg="sha512").cookie_value()
    browser = client("ticket", **options)
    browser.set_cookie("auth_tkt", ticket or old)
    browser.get("/me", status=403)
    facts = {"audit__action": "reject_session", "audit__strategy": "session", "audit__reason": reason}
    assert told(audit_trail) == [record("pyramid", "session.reject", "failure", at="/me", method="GET", **facts)]
    browser.get("/logout")
    assert told(audit_trail) == []


def basic(name: str, password: str) -> dict[str, str]:
    """A header with Basic credentials."""
    return {"Authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}


def verified(outcome: str, **more: str) -> Record:
    """Basic credentials that a request carried."""
    facts = {"audit__action": "verify_with_basic", "audit__strategy": "basic", "method": "GET"}
    return record("pyramid", "auth.verify", outcome, at="/me", **{**facts, **more})


def test_basic(audit_trail: AuditTrail) -> None:
    """Pyramid's own policy: refused once a request, silent where it is right or nothing is shown, unknown where the check crashes."""
    browser = client("basic")
    browser.get("/me", headers=basic("ann", WRONG), status=403)
    assert told(audit_trail) == [verified("failure", audit__identity="ann", audit__reason="wrong_password")]
    browser.get("/me", status=403)
    browser.get("/me", headers=basic("ann", PASSWORD), status="*")
    browser.get("/logout")
    assert told(audit_trail) == []
    with pytest.raises(RuntimeError):
        browser.get("/me", headers=basic("crash", PASSWORD))
    crashed = {"audit__reason": "backend_error", "error__type": "RuntimeError", "audit__identity": "crash"}
    assert told(audit_trail) == [verified("unknown", **crashed)]


def test_basic_of_a_policy_of_ones_own(audit_trail: AuditTrail) -> None:
    """Taken apart by the library, checked by the application: concluded from the hash."""
    browser = client("own basic")
    browser.get("/me", headers=basic("ann", WRONG), status=403)
    more = {"audit__identity": "ann", "audit__reason": "wrong_password", "audit__inferred": "true", "audit__attempts": "2"}
    (one,) = told(audit_trail)
    assert {**one, "audit.attempts": "2"} == verified("failure", **more)
    browser.get("/me", headers=basic("ann", PASSWORD))
    browser.get("/me", headers={"Authorization": "Basic broken"}, status=403)
    assert told(audit_trail) == []
