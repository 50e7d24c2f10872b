"""django-loginas: who acts as whom, who stops, and who is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .impersonation import BACKEND, CARL, NEW, add_people, impersonation, meanwhile, user

LIBRARY, START, STOP = "django-loginas", "/login/user/<str:user_id>/", "/logout/"


@pytest.fixture
def site(audit_trail: AuditTrail) -> Iterator[Any]:
    """The site. No story leaves a password in the trail."""
    from .apps.django_site import site as standing

    with standing("loginas_app", "loginas"):
        add_people()
        yield
        audit_trail.assert_no_secret(PASSWORD, NEW)


@pytest.fixture
def client(site: Any, audit_trail: AuditTrail) -> Any:
    """The administrator's browser."""
    return browser("root", audit_trail)


def browser(name: str, audit_trail: AuditTrail, **options: Any) -> Any:
    """Somebody's browser."""
    from django.test import Client

    client = Client(raise_request_exception=False, **options)
    client.force_login(user(name), BACKEND)
    audit_trail.story()
    return client


def start(client: Any, name: str = "ann", **more: str) -> Any:
    """Ask to be somebody else."""
    return client.post(f"/login/user/{user(name).pk}/", more)


def test_administrator_acts_as_ann_and_stops(client: Any, audit_trail: AuditTrail) -> None:
    """Two records, for a sign-in, a sign-out and another sign-in of Django's."""
    assert start(client).status_code == 302
    assert client.get("/").content == b"1"
    assert client.get(STOP).status_code == 302
    assert client.get("/").content == b"3"
    begun, ended = audit_trail.story()
    assert begun == impersonation(LIBRARY, "start", at=START)
    session = {"session__id": "session-1", "audit__flow__id": "flow-2"}
    assert ended == impersonation(LIBRARY, "end", at=STOP, method="GET", **session)


def test_what_is_done_meanwhile_has_an_actor(client: Any, audit_trail: AuditTrail) -> None:
    """A password of ann's, one of bob's, and a sign-out that is not the library's: root did it."""
    start(client)
    audit_trail.story()
    client.post("/new-password/", {"password": NEW, "whose": "bob"})
    client.post("/leave/")
    bob, out = audit_trail.story()
    at = "/new-password/"
    assert bob == meanwhile("password.set", "set_password", "password", at=at, user__id="auth.user:2")
    told = {"session__id": "session-1", "audit__flow__id": "flow-2", "at": "/leave/"}
    assert out == meanwhile("auth.sign_out", "sign_out", "session", **told)


def test_user_loaded_without_blocking(client: Any, audit_trail: AuditTrail) -> None:
    """Outside a request there is nobody to tell who impersonates whom."""
    auth = pytest.importorskip("django.contrib.auth")
    if not hasattr(auth, "aget_user"):
        pytest.skip("Django 5.0 made authentication asynchronous")
    from django.test import AsyncRequestFactory

    start(client)
    audit_trail.story()
    request: Any = AsyncRequestFactory().get("/")
    request.session = client.session

    async def ask() -> Any:
        return await auth.aget_user(request)

    assert asyncio.run(ask()).pk == 1
    assert audit_trail.story() == []


def test_sign_out_of_who_impersonates_nobody(client: Any, audit_trail: AuditTrail) -> None:
    """The library's view, and a plain sign-out."""
    client.get(STOP)
    (told,) = audit_trail.story()
    assert (told["event"], told["user.id"], told.get("audit.actor.id")) == ("auth.sign_out", "auth.user:3", None)


def test_impersonation_that_is_too_old_to_return_from(client: Any, audit_trail: AuditTrail) -> None:
    """It ends all the same; root must sign in again."""
    from django.core.signing import TimestampSigner

    start(client)
    session = client.session
    session["loginas_from_user"] = f"3:1tVb7Y:{TimestampSigner().signature('3:1tVb7Y')}"
    session.save()
    audit_trail.story()
    client.get(STOP)
    assert client.get("/").content == b"None"
    expected = impersonation(LIBRARY, "end", at=STOP, method="GET", session__id="session-1")
    assert audit_trail.story() == [expected]


def test_who_may_not(site: Any, audit_trail: AuditTrail) -> None:
    """Carl is no administrator."""
    assert start(browser("carl", audit_trail)).status_code == 302
    told = impersonation(LIBRARY, "start", "failure", at=START, audit__reason="permission_denied", **CARL)
    assert audit_trail.story() == [told]


def test_reason_is_missing(client: Any, audit_trail: AuditTrail) -> None:
    """The site wants to know why; what is said is recorded where it is asked for."""
    from loginas import settings

    if not hasattr(settings, "LOGIN_REASON_REQUIRED"):
        pytest.skip("this version asks for no reasons")
    settings.LOGIN_REASON_REQUIRED = True
    try:
        start(client)
        start(client, reason="she asked me to")
    finally:
        settings.LOGIN_REASON_REQUIRED = False
    refused, begun = audit_trail.story()
    assert refused == impersonation(LIBRARY, "start", "failure", at=START, audit__reason="policy_denied")
    assert begun == impersonation(LIBRARY, "start", at=START, audit__flow__id="flow-2")


def test_nobody_of_that_key(client: Any, audit_trail: AuditTrail) -> None:
    """There is no such account; the view breaks."""
    assert client.post("/login/user/4711/").status_code == 500
    told = {"audit__reason": "unknown_identity", "error__type": "User.DoesNotExist", "audit__params__user_id": "4711"}
    nobody = dict.fromkeys(("user__id", "audit__resource", "audit__actor__id", "audit__actor__type"), "")
    assert audit_trail.story() == [impersonation(LIBRARY, "start", "failure", at=START, **nobody, **told)]


def test_account_of_no_backend(client: Any, audit_trail: AuditTrail) -> None:
    """Bob is inactive, so that no backend hands him out; the library says so to the browser, and nobody is signed in."""
    start(client, "bob")
    told = {"audit__reason": "inactive_account", "error__type": "ImproperlyConfigured"}
    assert audit_trail.story() == [impersonation(LIBRARY, "start", "failure", at=START, user__id="auth.user:2", **told)]


def test_forged_form(site: Any, audit_trail: AuditTrail) -> None:
    """Another site sent the form."""
    assert start(browser("root", audit_trail, enforce_csrf_checks=True)).status_code == 403
    told = {"audit__reason": "csrf_failed", "audit__params__user_id": "1", "user__id": "", "audit__resource": ""}
    nobody = {"audit__actor__id": "", "audit__actor__type": ""}
    assert audit_trail.story() == [impersonation(LIBRARY, "start", "failure", at=START, **told, **nobody)]


def test_crash_on_the_way(client: Any, audit_trail: AuditTrail) -> None:
    """A receiver of the application breaks: nobody knows how far it came."""
    from django.contrib.auth.signals import user_logged_in

    def broken(**_named: Any) -> None:
        raise LookupError

    user_logged_in.connect(broken)
    try:
        assert start(client).status_code == 500
    finally:
        user_logged_in.disconnect(broken)
    (told,) = audit_trail.story()
    assert (told["event"], told["audit.outcome"], told["audit.actor.id"]) == ("impersonation.start", "unknown", "auth.user:3")


def test_look_at_the_form_is_no_attempt(client: Any, audit_trail: AuditTrail) -> None:
    """The view wants a POST."""
    client.get("/login/user/1/")
    client.get("/asks/")
    assert audit_trail.story() == []
