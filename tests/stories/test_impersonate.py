"""django-impersonate: nobody signs in, and yet somebody acts as somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .impersonation import BACKEND, CARL, NEW, add_people, impersonation, meanwhile, user

LIBRARY, START, STOP = "django-impersonate", "/impersonate/<path:uid>/", "/impersonate/stop/"
GET = {"method": "GET", "session__id": "session-1"}


@pytest.fixture
def site(audit_trail: AuditTrail) -> Iterator[Any]:
    """The site, and how to change its settings. No story leaves a password in the trail."""
    from .apps.django_site import site as standing

    with standing("impersonate_app", "impersonate", middleware=["impersonate.middleware.ImpersonateMiddleware"]):
        from django.test import override_settings

        add_people()
        yield override_settings
        audit_trail.assert_no_secret(PASSWORD, NEW)


@pytest.fixture
def client(site: Any, audit_trail: AuditTrail) -> Any:
    """The administrator's browser."""
    return browser("root", audit_trail)


def browser(name: str, audit_trail: AuditTrail) -> Any:
    """Somebody's browser."""
    from django.test import Client

    client = Client(raise_request_exception=False)
    client.force_login(user(name), BACKEND)
    audit_trail.story()
    return client


def start(client: Any, name: str = "ann") -> Any:
    """Ask to be somebody else."""
    return client.get(f"/impersonate/{user(name).pk}/")


def test_administrator_acts_as_ann_and_stops(client: Any, audit_trail: AuditTrail) -> None:
    """Two records, of one session: root's."""
    start(client)
    assert client.get("/").content == b"1"
    client.get(STOP)
    assert client.get("/").content == b"3"
    assert audit_trail.story() == [
        impersonation(LIBRARY, "start", at=START, **GET),
        impersonation(LIBRARY, "end", at=STOP, audit__flow__id="flow-2", **GET),
    ]


def test_what_is_done_meanwhile_has_an_actor(client: Any, audit_trail: AuditTrail) -> None:
    """A password of ann's, one of bob's: root did it."""
    start(client)
    audit_trail.story()
    client.post("/new-password/", {"password": NEW})
    client.post("/new-password/", {"password": NEW, "whose": "bob"})
    ann, bob = audit_trail.story()
    at = "/new-password/"
    assert ann == meanwhile("password.change", "change_password", "password", at=at)
    other = {"user__id": "auth.user:2", "audit__flow__id": "flow-2"}
    assert bob == meanwhile("password.set", "set_password", "password", at=at, **other)


def test_sign_out_meanwhile(client: Any, audit_trail: AuditTrail) -> None:
    """The session is root's, ann seems to leave it."""
    start(client)
    audit_trail.story()
    client.post("/leave/")
    told = audit_trail.story()
    assert told == [meanwhile("auth.sign_out", "sign_out", "session", at="/leave/", session__id="session-1")]


def test_too_long(client: Any, site: Any, audit_trail: AuditTrail) -> None:
    """After a while the browser is sent to the view that stops it."""
    start(client)
    audit_trail.story()
    with site(IMPERSONATE={"MAX_DURATION": 1e-9}):
        assert client.get("/", follow=True).redirect_chain[0] == (STOP, 302)
    assert audit_trail.story() == [impersonation(LIBRARY, "end", at=STOP, **GET)]


def test_who_may_not(site: Any, audit_trail: AuditTrail) -> None:
    """Carl is no administrator."""
    start(browser("carl", audit_trail))
    told = {
        "audit__reason": "permission_denied",
        "audit__params__uid": "1",
        "user__id": "",
        "audit__resource": "",
        "method": "GET",
    }
    assert audit_trail.story() == [impersonation(LIBRARY, "start", "failure", at=START, **CARL, **told)]


def test_whom_nobody_may(client: Any, audit_trail: AuditTrail) -> None:
    """Nobody acts as another administrator."""
    start(client, "sam")
    told = {"audit__reason": "permission_denied", "user__id": "auth.user:5", "method": "GET"}
    assert audit_trail.story() == [impersonation(LIBRARY, "start", "failure", at=START, **told)]


def test_silence(client: Any, audit_trail: AuditTrail) -> None:
    """A look at the list, a question, somebody who is not signed in or not there, a stop without a start."""
    from django.test import Client

    carl = browser("carl", audit_trail)
    carl.get("/impersonate/list/")
    assert carl.get("/asks/").content == b"False"
    start(Client())
    client.get("/impersonate/4711/")
    client.get(STOP)
    assert audit_trail.story() == []
