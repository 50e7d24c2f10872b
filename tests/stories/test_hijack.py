"""django-hijack: who acts as whom, and never the other way round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .impersonation import BACKEND, CARL, NEW, add_people, impersonation, meanwhile, user

LIBRARY, ACQUIRE, RELEASE = "django-hijack", "/hijack/acquire/", "/hijack/release/"


@pytest.fixture
def site(audit_trail: AuditTrail) -> Iterator[Any]:
    """The site. No story leaves a password in the trail."""
    from .apps.django_site import site as standing

    with standing("hijack_app", "hijack", middleware=["hijack.middleware.HijackUserMiddleware"]):
        add_people()
        yield
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


def acquire(client: Any, name: str = "ann") -> Any:
    """Ask to be somebody else."""
    return client.post(ACQUIRE, {"user_pk": str(user(name).pk)})


def test_administrator_acts_as_ann_and_stops(client: Any, audit_trail: AuditTrail) -> None:
    """Two records. Nobody signed in, least of all ann."""
    assert acquire(client).status_code == 302
    assert client.get("/").content == b"1"
    assert client.post(RELEASE).status_code == 302
    assert client.get("/").content == b"3"
    start, end = audit_trail.story()
    login = {"audit__params__backend": BACKEND}
    assert start == impersonation(LIBRARY, "start", at=ACQUIRE, **login)
    assert end == impersonation(LIBRARY, "end", at=RELEASE, audit__flow__id="flow-2", **login)


def test_what_is_done_meanwhile_has_an_actor(client: Any, audit_trail: AuditTrail) -> None:
    """A password of ann's, one of bob's, and the sign-out: root did it."""
    acquire(client)
    audit_trail.story()
    client.post("/new-password/", {"password": NEW, "whose": "bob"})
    client.post("/new-password/", {"password": NEW})
    bob, ann = audit_trail.story()
    changed = {"audit__flow__id": "flow-2", "at": "/new-password/"}
    assert ann == meanwhile("password.change", "change_password", "password", **changed)
    assert bob == meanwhile("password.set", "set_password", "password", at="/new-password/", user__id="auth.user:2")


def test_sign_out_meanwhile(client: Any, audit_trail: AuditTrail) -> None:
    """Ann's session ends; root ended it."""
    acquire(client)
    audit_trail.story()
    client.post("/leave/")
    (told,) = audit_trail.story()
    assert told == meanwhile("auth.sign_out", "sign_out", "session", at="/leave/", session__id="session-1")


def test_who_may_not(client: Any, audit_trail: AuditTrail) -> None:
    """Carl is no administrator; neither is ann, whoever she really is."""
    carl = browser("carl", audit_trail)
    assert acquire(carl).status_code == 403
    refused = {"audit__reason": "permission_denied", "error__type": "PermissionDenied", "audit__params__user_pk": "1"}
    assert audit_trail.story() == [impersonation(LIBRARY, "start", "failure", at=ACQUIRE, **CARL, **refused)]


def test_nobody_of_that_key(client: Any, audit_trail: AuditTrail) -> None:
    """There is no such account."""
    assert client.post(ACQUIRE, {"user_pk": "4711"}).status_code == 404
    told = {"audit__reason": "unknown_identity", "error__type": "Http404", "audit__params__user_pk": "4711"}
    nobody = {"user__id": "", "audit__resource": ""}
    assert audit_trail.story() == [impersonation(LIBRARY, "start", "failure", at=ACQUIRE, **told, **nobody)]


def test_crash_on_the_way(client: Any, audit_trail: AuditTrail) -> None:
    """A receiver of the application breaks: nobody knows how far it came; ann's session may stand."""
    from hijack.signals import hijack_started

    def broken(**_named: Any) -> None:
        raise LookupError

    hijack_started.connect(broken)
    try:
        assert acquire(client).status_code == 500
    finally:
        hijack_started.disconnect(broken)
    (told,) = audit_trail.story()
    broke = {"audit__reason": "backend_error", "error__type": "LookupError", "audit__params__user_pk": "1"}
    assert told == impersonation(LIBRARY, "start", "unknown", at=ACQUIRE, audit__params__backend=BACKEND, **broke)


def test_forged_form(client: Any, audit_trail: AuditTrail) -> None:
    """Another site sent the form: no start, and no end, and the record says why."""
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert acquire(strict).status_code == 403
    acquire(client)
    assert strict.post(RELEASE).status_code == 403
    start, _, end = audit_trail.story()
    nobody = {"user__id": "", "audit__resource": ""}
    assert start == impersonation(LIBRARY, "start", "failure", at=ACQUIRE, audit__reason="csrf_failed", **nobody)
    told = {"audit__reason": "csrf_failed", "audit__flow__id": "flow-3"}
    assert end == impersonation(LIBRARY, "end", "failure", at=RELEASE, **told)


def test_one_after_the_other(client: Any, audit_trail: AuditTrail) -> None:
    """Root acts as sam, who acts as ann: it is root all the time."""
    acquire(client, "sam")
    acquire(client)
    client.post(RELEASE)
    client.post(RELEASE)
    told = [(one["event"], one["user.id"], one["audit.actor.id"]) for one in audit_trail.story()]
    assert told == [
        ("impersonation.start", "auth.user:5", "auth.user:3"),
        ("impersonation.start", "auth.user:1", "auth.user:3"),
        ("impersonation.end", "auth.user:1", "auth.user:3"),
        ("impersonation.end", "auth.user:5", "auth.user:3"),
    ]


def test_silence(client: Any, audit_trail: AuditTrail) -> None:
    """Half a form, somebody who is not signed in, an end without a start."""
    from django.test import Client

    client.post(ACQUIRE)
    acquire(Client())
    client.post(RELEASE)
    assert audit_trail.story() == []
