"""django-axes: the sign-in that a lock refuses says so, the lock itself is told once, and so is who lifts it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .web import Record, label, record

WRONG = "wrong-horse-77-staple"
ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
LIMIT = 3


@pytest.fixture(params=["database", "cache"])
def site(audit_trail: AuditTrail, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The site; axes counts in the database or in a cache, and locks names. No story leaves a password in the trail."""
    from .apps import django_auth_app

    django_auth_app.start()
    from django.conf import settings

    if not hasattr(settings, "AXES_ENABLED"):  # its receivers stay; in other stories they must sleep
        settings.AXES_ENABLED = False
        importlib.import_module("axes.conf")
    from .apps.django_site import site as standing

    with standing(
        "axes_app",
        "axes",
        middleware=["axes.middleware.AxesMiddleware"],
        AUTHENTICATION_BACKENDS=["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"],
        AXES_ENABLED=True,
        AXES_HANDLER=f"axes.handlers.{request.param}.Axes{request.param.title()}Handler",
        AXES_FAILURE_LIMIT=LIMIT,
        AXES_LOCKOUT_PARAMETERS=["username"],
        AXES_VERBOSE=False,
    ):
        from django.core.cache import cache

        cache.clear()
        audit_trail.story()
        yield
        audit_trail.assert_no_secret(PASSWORD, WRONG)


@pytest.fixture
def client(site: Any) -> Any:
    """A browser that nobody is signed in with."""
    from django.test import Client

    return Client(raise_request_exception=False)


@pytest.fixture
def locked(client: Any, audit_trail: AuditTrail) -> Any:
    """A browser that has guessed ann's password three times."""
    for _ in range(LIMIT):
        sign_in(client)
    audit_trail.story()
    return client


def sign_in(client: Any, secret: str = WRONG, at: str = "/login/", name: str = "ann") -> Any:
    """Send a login form."""
    return client.post(at, {"username": name, "password": secret})


def refused(reason: str, *, at: str = "/login/", **more: str) -> Record:
    """A sign-in of ann's that was refused."""
    facts = {"audit__action": "sign_in_with_password", "audit__strategy": "password", "audit__identity": "ann"}
    return record(
        "Django", "auth.sign_in", "failure", at=at, **{**facts, "audit__reason": reason, "error__type": "invalid_login", **more}
    )


def lock(event: str, outcome: str = "success", **more: str) -> Record:
    """Something about a lock."""
    facts = {"audit__action": event.partition(".")[2], "audit__strategy": "unknown", "audit__identity": "ann"}
    return record("django-axes", event, outcome, **{"at": "/login/", **facts, **more})


def test_lock_falls(client: Any, audit_trail: AuditTrail) -> None:
    """Three wrong passwords: three failures and one lock."""
    for _ in range(LIMIT):
        sign_in(client)
    told = audit_trail.story()
    wrong = refused("wrong_password", **ANN)
    assert told == [
        wrong,
        {**wrong, "audit.flow.id": "flow-2"},
        lock("account.lock", audit__flow__id="flow-3"),
        {**wrong, "audit.flow.id": "flow-3"},
    ]


@pytest.mark.parametrize("secret", [PASSWORD, WRONG])
def test_lock_stands(locked: Any, audit_trail: AuditTrail, secret: str) -> None:
    """Also the right password is refused, unseen, and says why; the lock is not told again."""
    assert sign_in(locked, secret).status_code == 429
    assert audit_trail.story() == [refused("locked_account")]


def test_lock_that_each_try_renews(locked: Any, audit_trail: AuditTrail) -> None:
    """With the setting that counts tries against a lock, the lock is told once all the same."""
    from django.test import override_settings

    with override_settings(AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT=True):
        sign_in(locked, PASSWORD)
    assert audit_trail.story() == [refused("locked_account")]


def test_somebody_else_is_not_locked(locked: Any, audit_trail: AuditTrail) -> None:
    """The lock is on ann's name."""
    assert sign_in(locked, PASSWORD, name="root").status_code == 302
    (told,) = audit_trail.story()
    assert (told["event"], told["audit.outcome"], told["user.id"]) == ("auth.sign_in", "success", "auth.user:3")


def test_view_that_asks_first(locked: Any, audit_trail: AuditTrail) -> None:
    """Nobody looks at the credentials; a look at the empty form is no attempt."""
    assert sign_in(locked, PASSWORD, "/guarded/").status_code == 429
    facts = {"audit__action": "sign_in_with_unknown", "audit__strategy": "unknown", "audit__identity": "ann"}
    told = record(
        "django-axes", "auth.sign_in", "failure", at="/guarded/", audit__reason="locked_account", audit__inferred="true", **facts
    )
    assert audit_trail.story() == [told]
    locked.get("/guarded/?username=ann")
    assert audit_trail.story() == []


def test_view_that_asks_afterwards(locked: Any, audit_trail: AuditTrail) -> None:
    """The form was refused already: one failure."""
    assert sign_in(locked, PASSWORD, "/asking/").status_code == 429
    assert audit_trail.story() == [refused("locked_account", at="/asking/")]


def test_guarded_view_lets_in(client: Any, audit_trail: AuditTrail) -> None:
    """Who is not locked out signs in as ever."""
    assert sign_in(client, PASSWORD, "/guarded/").status_code == 302
    assert [one["audit.outcome"] for one in audit_trail.story()] == ["success"]


def test_receiver_that_forbids(client: Any, audit_trail: AuditTrail) -> None:
    """The application's own receiver breaks `authenticate` off: refused, not unknown."""
    from axes.signals import user_locked_out

    from .apps.axes_app import forbid

    sign_in(client, at="/api/")
    sign_in(client, at="/api/")
    audit_trail.story()
    user_locked_out.connect(forbid)
    try:
        assert sign_in(client, at="/api/").status_code == 429
        assert sign_in(client, PASSWORD, at="/api/").status_code == 429
    finally:
        user_locked_out.disconnect(forbid)
    told = audit_trail.story()
    assert [(one["event"], one["audit.outcome"], one.get("audit.reason")) for one in told] == [
        ("account.lock", "success", None),
        ("auth.sign_in", "failure", "wrong_password"),
        ("auth.sign_in", "failure", "locked_account"),
    ]


@pytest.mark.parametrize(("given", "by"), [({"username": "ann"}, "username"), ({"ip": "127.0.0.1"}, "ip_address"), ({}, "all")])
def test_administrator_lifts(locked: Any, audit_trail: AuditTrail, given: dict[str, str], by: str) -> None:
    """What was lifted, and by whom; once it is lifted there is nothing to lift."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import override_settings

    with override_settings(AXES_LOCKOUT_PARAMETERS=["ip_address"] if by == "ip_address" else ["username"]):
        for _ in range(LIMIT if by == "ip_address" else 0):
            sign_in(locked)
        locked.force_login(get_user_model().objects.get(username="root"), "django.contrib.auth.backends.ModelBackend")
        audit_trail.story()
        locked.post("/lift/", given)
        locked.post("/lift/", given)
    told = {"at": "/lift/", "audit__params__by": by, "audit__actor__id": "auth.user:3", "audit__actor__type": "user"}
    expected = lock("account.unlock", **told)
    if "username" not in given:
        del expected["audit.identity"]
    if by == "all" and settings.AXES_HANDLER.endswith("AxesCacheHandler"):  # which it cannot, and says so
        unknown = {"audit.outcome": "unknown", "audit.reason": "backend_error", "error.type": "NotImplementedError"}
        assert audit_trail.story() == [{**expected, **unknown}, {**expected, **unknown, "audit.flow.id": "flow-2"}]
    else:
        assert audit_trail.story() == [expected]


def test_lifted_by_command(locked: Any, audit_trail: AuditTrail, capsys: pytest.CaptureFixture[str]) -> None:
    """From a shell: no request, no actor."""
    from django.core.management import call_command

    call_command("axes_reset_username", "ann")
    constant = {"event": "account.unlock", "audit.action": "unlock", "audit.strategy": "unknown", "audit.outcome": "success"}
    told = {"audit.identity": "ann", "audit.params.by": "username", "audit.library": label("django-axes")}
    assert audit_trail.story() == [{**constant, **told}]


def test_lifted_by_request(locked: Any, audit_trail: AuditTrail) -> None:
    """The locks of the name in the query."""
    locked.get("/lift-mine/?username=ann")
    assert audit_trail.story() == [lock("account.unlock", at="/lift-mine/", method="GET", audit__params__by="username")]
