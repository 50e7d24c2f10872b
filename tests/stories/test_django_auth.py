"""Django: who signs in, how, who fails to, and what becomes of accounts and passwords, on a site that does not know it is watched."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD

Record = dict[str, str]
LIBRARY = f"django {version('Django')}"
DJANGO = tuple(int(part) for part in version("Django").split(".")[:2])
BACKEND = {"audit__params__backend": "django.contrib.auth.backends.ModelBackend"}
NEW = "kT4!-pWq9"
ROOT = {"audit__actor__id": "auth.user:3", "audit__actor__type": "user"}
ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
BOB = {"user__id": "auth.user:2", "audit__resource": "auth.User"}
BY_PASSWORD = {"audit__strategy": "password"}

asynchronous = pytest.mark.skipif(DJANGO < (5, 0), reason="Django 5.0 made authentication asynchronous")


def offline(event: str, outcome: str = "success", **more: str) -> Record:
    """A record outside any request."""
    constant = {"event": event, "audit.outcome": outcome, "audit.library": LIBRARY}
    return {**constant, **{name.replace("__", "."): value for name, value in more.items()}}


def record(event: str, outcome: str = "success", *, at: str = "/login/", method: str = "POST", **more: str) -> Record:
    """A record of the first request."""
    request = {
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "http.request.method": method,
        "server.address": "testserver",
        "http.route": at,
        "audit.flow.id": "flow-1",
    }
    return {**offline(event, outcome), **request, **{name.replace("__", "."): value for name, value in more.items()}}


def signed_in(**more: str) -> Record:
    """A sign-in by password."""
    facts = {
        "audit__action": "sign_in_with_password",
        **BY_PASSWORD,
        **BACKEND,
        "session__id": "session-1",
        "audit__identity": "ann",
    }
    return record("auth.sign_in", **{**facts, **ANN, **more})


def refused(reason: str, **more: str) -> Record:
    """A sign-in that was refused."""
    facts = {"audit__action": "sign_in_with_password", **BY_PASSWORD, "audit__reason": reason}
    return record("auth.sign_in", "failure", **{**facts, **more})


def password(event: str, outcome: str = "success", **more: str) -> Record:
    """Something about a password."""
    actions = {
        "password.change": "change_password",
        "password.set": "set_password",
        "password.reset": "password_reset_with_password",
        "password.reset_request": "request_password_reset_with_password",
    }
    return record(event, outcome, **{"audit__action": actions[event], **BY_PASSWORD, **more})


@pytest.fixture
def app(audit_trail: AuditTrail) -> Iterator[Any]:
    """The site with ann, bob (inactive) and root; set up here, so that the order of import and instrumentation is the run's.

    No story leaves a password in the trail.
    """
    from .apps import django_auth_app

    assert audit_trail.records == []
    django_auth_app.start()
    django_auth_app.populate()
    audit_trail.story()
    yield django_auth_app
    audit_trail.assert_no_secret(PASSWORD, NEW)


@pytest.fixture
def client(app: Any) -> Any:
    """A browser that nobody is signed in with; a view's exception becomes a response of 500, as on a real server."""
    from django.test import Client

    return Client(raise_request_exception=False)


@pytest.fixture
def ann(client: Any, audit_trail: AuditTrail) -> Any:
    """Ann's browser."""
    return enter(client, audit_trail, "ann")


@pytest.fixture
def root(client: Any, audit_trail: AuditTrail) -> Any:
    """The administrator's browser."""
    return enter(client, audit_trail, "root")


def enter(client: Any, audit_trail: AuditTrail, name: str) -> Any:
    """Sign *name* in, and forget it."""
    assert sign_in(client, name).status_code == 302
    audit_trail.story()
    return client


def sign_in(client: Any, name: str = "ann", secret: str = PASSWORD) -> Any:
    """Send the login form."""
    return client.post("/login/", {"username": name, "password": secret})


def user(name: str) -> Any:
    """The stored user."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username=name)


def secret_link(page: str, name: str = "ann") -> str:
    """A link that Django would mail."""
    from django.contrib.auth.tokens import default_token_generator
    from django.utils.http import urlsafe_base64_encode

    whose = user(name)
    return f"/{page}/{urlsafe_base64_encode(str(whose.pk).encode())}/{default_token_generator.make_token(whose)}/"


@pytest.fixture
def setting() -> Iterator[Any]:
    """Changes settings until the test is over."""
    from django.test import override_settings

    changed: list[Any] = []

    def change(**settings: Any) -> None:
        changed.append(override_settings(**settings))
        changed[-1].enable()

    yield change
    for one in reversed(changed):
        one.disable()


# Signing in


def test_sign_in(client: Any, audit_trail: AuditTrail) -> None:
    """Form, `authenticate`, hash, `login` and its signal are one record."""
    assert sign_in(client).status_code == 302
    assert audit_trail.story() == [signed_in()]


def test_wrong_password(client: Any, audit_trail: AuditTrail) -> None:
    """Form, `authenticate`, its signal and the hash are one failure; the hash knows the reason."""
    assert sign_in(client, secret="wrong").status_code == 200
    expected = refused("wrong_password", audit__identity="ann", error__type="invalid_login", **ANN)
    assert audit_trail.story() == [expected]


def test_unknown_user(client: Any, audit_trail: AuditTrail) -> None:
    """Django does not say that there is no such user, and neither do we."""
    sign_in(client, "zed")
    assert audit_trail.story() == [refused("invalid_credentials", audit__identity="zed", error__type="invalid_login")]


def test_inactive_account(client: Any, audit_trail: AuditTrail) -> None:
    """A right password: that the account is inactive, only the backend knows."""
    sign_in(client, "bob")
    assert audit_trail.story() == [refused("inactive_account", audit__identity="bob", error__type="invalid_login", **BOB)]


def test_inactive_account_refused_by_the_form(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """With a backend that lets everybody pass, the form refuses."""
    backend = "django.contrib.auth.backends.AllowAllUsersModelBackend"
    setting(AUTHENTICATION_BACKENDS=[backend])
    sign_in(client, "bob")
    expected = refused("inactive_account", audit__identity="bob", error__type="inactive", audit__params__backend=backend, **BOB)
    assert audit_trail.story() == [expected]


def test_admin_refuses_who_is_no_staff(client: Any, audit_trail: AuditTrail) -> None:
    """A right password, HTTP 200, and no session: the form of the admin says no."""
    response = client.post("/admin/login/", {"username": "ann", "password": PASSWORD})
    assert response.status_code == 200
    told = {"error__type": "invalid_login", "audit__identity": "ann", "at": "/admin/login/"}
    assert audit_trail.story() == [refused("rejected_after_verification", **told, **BACKEND, **ANN)]


def test_admin_lets_staff_in(client: Any, audit_trail: AuditTrail) -> None:
    """The admin's own form and the stock one are the same sign-in."""
    client.post("/admin/login/?next=/admin/", {"username": "root", "password": PASSWORD})
    assert audit_trail.story() == [signed_in(at="/admin/login/", audit__identity="root", user__id="auth.user:3")]


def test_half_a_form_is_no_attempt(client: Any, audit_trail: AuditTrail) -> None:
    """Nothing was tried; looking at the form and being sent on because one is signed in are nothing either."""
    client.post("/login/", {"username": "ann"})
    client.get("/login/")
    assert audit_trail.story() == []
    sign_in(client)
    audit_trail.story()
    assert client.get("/login/").status_code == 302
    assert sign_in(client).status_code == 302
    assert audit_trail.story() == []


def test_crash_after_sign_in(client: Any, audit_trail: AuditTrail) -> None:
    """The sign-in happened, whatever the view did next."""
    assert client.post("/crash/", {"username": "ann", "password": PASSWORD}).status_code == 500
    assert audit_trail.story() == [signed_in(at="/crash/")]


def test_backend_that_breaks(client: Any, audit_trail: AuditTrail) -> None:
    """Nobody knows whether the credentials were right; the exception's message, which quotes the password, stays away."""
    assert sign_in(client, "crash").status_code == 500
    facts = {"audit__action": "sign_in_with_password", **BY_PASSWORD, "audit__reason": "backend_error"}
    facts |= {"error__type": "ConnectionError", "audit__identity": "crash"}
    assert audit_trail.story() == [record("auth.sign_in", "unknown", **facts)]


def test_backend_that_forbids(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """A backend may stop in its tracks; Django swallows why, the record has it."""
    setting(AUTHENTICATION_BACKENDS=[forbidding_backend(), "django.contrib.auth.backends.ModelBackend"])
    sign_in(client)
    assert audit_trail.story() == [refused("permission_denied", audit__identity="ann", error__type="invalid_login")]


def forbidding_backend() -> str:
    """Path of a backend that refuses everybody."""
    import sys
    from types import ModuleType

    from django.contrib.auth.backends import BaseBackend
    from django.core.exceptions import PermissionDenied

    class Forbidding(BaseBackend):
        def authenticate(self, request: Any, **credentials: Any) -> Any:
            raise PermissionDenied

    module = ModuleType("forbidding")
    module.Forbidding = Forbidding  # type: ignore[attr-defined]
    sys.modules["forbidding"] = module
    return "forbidding.Forbidding"


@pytest.mark.parametrize("answer", ["200", "403", "500"])
def test_credentials_without_a_session(client: Any, audit_trail: AuditTrail, answer: str) -> None:
    """A view that hands out its own token: the response tells what became of it."""
    client.post("/token/", {"username": "ann", "password": PASSWORD, "answer": answer})
    event, outcome, told = {
        "200": ("authenticate", "success", {}),
        "403": ("sign_in", "failure", {"audit__reason": "rejected_after_verification"}),
        "500": ("sign_in", "unknown", {"audit__reason": "backend_error"}),
    }[answer]
    facts = {"audit__action": f"{event}_with_password", **BY_PASSWORD, **BACKEND, "audit__identity": "ann", **ANN, **told}
    assert audit_trail.story() == [record(f"auth.{event}", outcome, at="/token/", **facts)]


def test_view_that_crashes_after_the_check(client: Any, audit_trail: AuditTrail) -> None:
    """Right credentials, but the view broke before anything came of it."""
    client.post("/token/", {"username": "ann", "password": PASSWORD, "crash": "1"})
    facts = {"audit__action": "sign_in_with_password", **BY_PASSWORD, **BACKEND, "audit__identity": "ann", **ANN}
    assert audit_trail.story() == [record("auth.sign_in", "unknown", at="/token/", audit__reason="backend_error", **facts)]


def test_two_tries_in_two_requests(client: Any, audit_trail: AuditTrail) -> None:
    """A failure and then a success: two records, two flows."""
    sign_in(client, secret="wrong")
    sign_in(client)
    first, second = audit_trail.story()
    assert first == refused("wrong_password", audit__identity="ann", error__type="invalid_login", **ANN)
    assert second == signed_in(audit__flow__id="flow-2")


def test_sign_in_that_breaks(app: Any, audit_trail: AuditTrail) -> None:
    """Two backends and no word which of them it was: Django gives up half way, and nobody knows what the session is worth."""
    from django.contrib.auth import login
    from django.contrib.sessions.backends.db import SessionStore
    from django.test import RequestFactory

    request: Any = RequestFactory().get("/")
    request.session = SessionStore()
    with pytest.raises(ValueError, match="multiple authentication backends"):
        login(request, user("ann"))
    facts = {"audit__action": "sign_in_with_session", "audit__strategy": "session", "session__id": "session-1"}
    facts |= {"audit__reason": "backend_error", "error__type": "ValueError"}
    assert audit_trail.story() == [offline("auth.sign_in", "unknown", **facts, **ANN)]


def test_sign_in_in_place_of_somebody_else(ann: Any, audit_trail: AuditTrail) -> None:
    """The session of the first is thrown away; the second's has no key before the response is made."""
    ann.post("/crash/", {"username": "root", "password": PASSWORD})
    expected = signed_in(at="/crash/", user__id="auth.user:3", audit__identity="root")
    del expected["session.id"]
    assert audit_trail.story() == [expected]


def test_session_in_a_cookie_has_no_key(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """What Django calls its key is the whole session: it is not recorded."""
    setting(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")
    sign_in(client)
    expected = signed_in()
    del expected["session.id"]
    assert audit_trail.story() == [expected]


def test_web_server_that_has_checked(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """`REMOTE_USER`: the first request makes the account and signs in, before any view; those that follow are silent."""
    backend = "django.contrib.auth.backends.RemoteUserBackend"
    setting(AUTHENTICATION_BACKENDS=[backend], MIDDLEWARE=middleware("django.contrib.auth.middleware.RemoteUserMiddleware"))
    for _ in range(2):
        assert client.get("/", REMOTE_USER="eve").content != b"None"
    made, entered = audit_trail.story()
    who = {"user__id": made["user.id"], "audit__resource": "auth.User", "audit__identity": "eve"}
    facts = {"audit__action": "register", "audit__strategy": "unknown"}
    early = {"url__path": "/", "method": "GET"}
    assert made == without_route(record("auth.register", **facts, **who, **early))
    facts = {"audit__action": "sign_in_with_custom", "audit__strategy": "custom", "audit__provider": "remote_user"}
    facts |= {"audit__params__backend": backend, "session__id": "session-1"}
    assert entered == without_route(record("auth.sign_in", **facts, **who, **early))


def middleware(*more: str) -> list[str]:
    """The site's middleware, and *more* in the end."""
    from django.conf import settings

    return [*settings.MIDDLEWARE, *more]


def without_route(told: Record) -> Record:
    """A record from before the view was found."""
    return {name: value for name, value in told.items() if name != "http.route"}


def test_libraries_that_send_the_signals_themselves(app: Any, audit_trail: AuditTrail) -> None:
    """Token libraries start no session and call none of Django's functions; they send its signals."""
    from django.contrib.auth import signals

    ann = user("ann")
    signals.user_login_failed.send("library", credentials={"username": "ann", "password": "***"}, request=None)
    signals.user_logged_in.send("library", request=None, user=ann)
    signals.user_logged_out.send("library", request=None, user=ann)
    signals.user_logged_out.send("library", request=None, user=None)
    failed = {"audit__action": "authenticate_with_password", **BY_PASSWORD, "audit__reason": "invalid_credentials"}
    in_session = {"audit__strategy": "session", **ANN}
    assert audit_trail.story() == [
        offline("auth.authenticate", "failure", audit__identity="ann", **failed),
        offline("auth.sign_in", audit__action="sign_in_with_session", **in_session),
        offline("auth.sign_out", audit__action="sign_out", **in_session),
    ]


def test_authenticate_in_a_shell(app: Any, audit_trail: AuditTrail) -> None:
    """No request: told at once, without a client. A bare hash check is nobody's sign-in."""
    from django.contrib.auth import authenticate

    assert authenticate(username="ann", password=PASSWORD) == user("ann")
    assert authenticate(username="ann", password="wrong") is None
    assert not user("ann").check_password("wrong")
    action = {"audit__action": "authenticate_with_password", **BY_PASSWORD, "audit__identity": "ann", **ANN}
    assert audit_trail.story() == [
        offline("auth.authenticate", **action, **BACKEND),
        offline("auth.authenticate", "failure", audit__reason="wrong_password", **action),
    ]


@pytest.mark.parametrize(("secret", "count"), [("wrong", 1), (PASSWORD, 0)])
def test_view_that_checks_a_password_itself(ann: Any, audit_trail: AuditTrail, secret: str, count: int) -> None:
    """Only the hash speaks: a wrong one is concluded to be a failure, a right one alone is nothing."""
    ann.post("/confirm/", {"password": secret})
    facts = {"audit__action": "authenticate_with_password", **BY_PASSWORD, "audit__reason": "wrong_password", **ANN}
    concluded = record("auth.authenticate", "failure", at="/confirm/", audit__inferred="true", **facts)
    assert audit_trail.story() == [concluded] * count


# Signing out


def test_sign_out(client: Any, audit_trail: AuditTrail) -> None:
    """It names the user and the session of the sign-in; a second time there is nobody to sign out."""
    sign_in(client)
    client.post("/logout/")
    client.post("/logout/")
    first, second = audit_trail.story()
    assert first == signed_in()
    facts = {"audit__action": "sign_out", "audit__strategy": "session", "session__id": "session-1", "audit__flow__id": "flow-2"}
    assert second == record("auth.sign_out", at="/logout/", **facts, **ANN)


def test_sign_out_that_breaks(ann: Any, audit_trail: AuditTrail) -> None:
    """The session could not be ended: whether she is signed out, nobody knows."""
    assert ann.post("/leave/").status_code == 500
    facts = {"audit__action": "sign_out", "audit__strategy": "session", "session__id": "session-1"}
    facts |= {"audit__reason": "backend_error", "error__type": "ConnectionError"}
    assert audit_trail.story() == [record("auth.sign_out", "unknown", at="/leave/", **facts, **ANN)]


# Asynchronous views


@asynchronous
def test_async_views(app: Any, audit_trail: AuditTrail) -> None:
    """Sign-in, refusal and sign-out by coroutines, over ASGI."""
    from django.test import AsyncClient

    async def scenario() -> None:
        client = AsyncClient()
        await client.post("/async/in/", {"username": "ann", "password": "wrong"})
        await client.post("/async/in/", {"username": "ann", "password": PASSWORD})
        await client.post("/async/out/")
        await client.post("/async/out/")

    asyncio.run(scenario())
    action = {"audit__identity": "ann", "at": "/async/in/"}
    out = {"audit__action": "sign_out", "audit__strategy": "session", "session__id": "session-1", "at": "/async/out/"}
    assert audit_trail.story() == [
        refused("wrong_password", **action, **ANN),
        signed_in(at="/async/in/", audit__flow__id="flow-2"),
        record("auth.sign_out", audit__flow__id="flow-3", **out, **ANN),
    ]


def test_stock_view_over_asgi(app: Any, audit_trail: AuditTrail) -> None:
    """A plain view runs in a thread of its own and is still one record."""
    from django.test import AsyncClient

    asyncio.run(AsyncClient().post("/login/", {"username": "ann", "password": PASSWORD}))
    assert audit_trail.story() == [signed_in()]


@asynchronous
def test_client_that_went_away(app: Any, audit_trail: AuditTrail) -> None:
    """A request cancelled while its credentials are checked: nobody knows what they were worth."""
    from django.test import AsyncClient

    async def scenario() -> None:
        task = asyncio.create_task(AsyncClient().post("/async/in/", {"username": "slow", "password": "any"}))
        await app.slow_check_began()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    facts = {"audit__action": "sign_in_with_password", **BY_PASSWORD, "audit__identity": "slow", "at": "/async/in/"}
    facts |= {"audit__reason": "cancelled", "error__type": "CancelledError"}
    assert audit_trail.story() == [record("auth.sign_in", "unknown", **facts)]


@asynchronous
def test_forty_at_once(app: Any, audit_trail: AuditTrail) -> None:
    """Concurrent requests stay apart: forty failures with forty names."""
    from django.test import AsyncClient

    async def scenario() -> None:
        tries = [AsyncClient().post("/async/in/", {"username": f"user{n}", "password": "wrong"}) for n in range(40)]
        await asyncio.gather(*tries)

    asyncio.run(scenario())
    told = audit_trail.story()
    assert {one["audit.identity"] for one in told} == {f"user{n}" for n in range(40)}
    assert len(told) == 40


# Changing a password


def change_password(browser: Any, old: str = PASSWORD, new: str = NEW, again: str | None = None) -> Any:
    """Send the stock form."""
    return browser.post(
        "/password/", {"old_password": old, "new_password1": new, "new_password2": new if again is None else again}
    )


def test_password_change(ann: Any, audit_trail: AuditTrail) -> None:
    """Form, model and the check of the old password are one record; the renewed session is no sign-in."""
    assert change_password(ann).status_code == 302
    assert audit_trail.story() == [password("password.change", at="/password/", **ANN)]
    assert ann.get("/").content == b"1"


@pytest.mark.parametrize(
    ("given", "reason", "code"),
    [
        ({"old": "wrong"}, "wrong_password", "password_incorrect"),
        ({"again": "other-9fX!"}, "password_mismatch", "password_mismatch"),
        ({"new": "short"}, "weak_password", "password_too_short"),
        ({"old": "wrong", "new": "short"}, "wrong_password", "password_incorrect"),
    ],
)
def test_refused_password_change(ann: Any, audit_trail: AuditTrail, given: dict[str, str], reason: str, code: str) -> None:
    """The form says why, and the weightiest reason is recorded."""
    change_password(ann, **given)
    facts = {"audit__reason": reason, "error__type": code, "at": "/password/", **ANN}
    assert audit_trail.story() == [password("password.change", "failure", **facts)]


def test_refusal_that_is_shown_is_one(ann: Any, audit_trail: AuditTrail) -> None:
    """The view makes the form anew to show what was wrong; but two guesses in one request are two."""
    form = {"old_password": "wrong", "new_password1": NEW, "new_password2": NEW}
    facts = {"audit__reason": "wrong_password", "error__type": "password_incorrect", "at": "/settings/", **ANN}
    assert ann.post("/settings/", form).content == b"[False, False]"
    assert audit_trail.story() == [password("password.change", "failure", **facts)]
    assert ann.post("/settings/", {**form, "guess": ["one", "two"]}).content == b"[False, False]"
    assert audit_trail.story() == [password("password.change", "failure", **facts)] * 2


def test_half_a_password_change_is_none(ann: Any, audit_trail: AuditTrail) -> None:
    """A field was left empty, or the page only looked at."""
    ann.post("/password/", {"old_password": PASSWORD})
    ann.get("/password/")
    assert audit_trail.story() == []


def test_first_password(ann: Any, audit_trail: AuditTrail) -> None:
    """The form of the reset page, used by somebody who is signed in."""
    ann.post("/first-password/", {"new_password1": NEW, "new_password2": NEW})
    assert audit_trail.story() == [password("password.change", at="/first-password/", **ANN)]


@pytest.mark.parametrize(
    ("who", "event", "by"),
    [
        ("ann", "password.change", {}),
        ("root", "password.set", ROOT),
        (None, "password.reset", {}),
    ],
)
def test_password_set_without_a_form(
    client: Any, audit_trail: AuditTrail, who: str | None, event: str, by: dict[str, str]
) -> None:
    """Who is signed in tells what it is: one's own, somebody else's, or a way back in."""
    if who:
        enter(client, audit_trail, who)
    client.post("/new-password/", {"pk": "1", "password": NEW})
    assert audit_trail.story() == [password(event, at="/new-password/", **ANN, **by)]


def test_password_set_in_a_shell(app: Any, audit_trail: AuditTrail) -> None:
    """An administrator at a command line; what is set and not saved, or made unusable, is nothing we see."""
    ann = user("ann")
    ann.set_password(NEW)
    assert audit_trail.story() == []
    ann.save()
    ann.save()
    ann.set_unusable_password()
    ann.save()
    assert audit_trail.story() == [offline("password.set", audit__action="set_password", **BY_PASSWORD, **ANN)]


def test_upgraded_hash_is_no_change(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """Django stores a stronger hash when it sees the password: the sign-in is all there is."""
    hashers = "django.contrib.auth.hashers."
    setting(PASSWORD_HASHERS=[f"{hashers}PBKDF2SHA1PasswordHasher", f"{hashers}MD5PasswordHasher"])
    sign_in(client)
    assert audit_trail.story() == [signed_in()]
    assert user("ann").password.startswith("pbkdf2_sha1$")


# The administrator


def test_admin_sets_a_password(root: Any, audit_trail: AuditTrail) -> None:
    """Whose it is and who did it are different people."""
    form = {"password1": NEW, "password2": NEW, "usable_password": "true", "set-password": "1"}
    assert root.post("/admin/auth/user/1/password/", form).status_code == 302
    assert audit_trail.story() == [password("password.set", at="/admin/auth/user/<id>/password/", **ANN, **ROOT)]


def test_admin_sets_a_weak_password(root: Any, audit_trail: AuditTrail) -> None:
    """Refused by the form."""
    root.post("/admin/auth/user/1/password/", {"password1": "short", "password2": "short", "usable_password": "true"})
    facts = {"audit__reason": "weak_password", "error__type": "password_too_short", **ANN, **ROOT}
    assert audit_trail.story() == [password("password.set", "failure", at="/admin/auth/user/<id>/password/", **facts)]


@pytest.mark.skipif(DJANGO < (5, 1), reason="Django 5.1 brought it")
def test_admin_takes_the_password_away(root: Any, audit_trail: AuditTrail) -> None:
    """Signing in by password is switched off for one user."""
    root.post("/admin/auth/user/1/password/", {"usable_password": "false", "unset-password": "1"})
    facts = {"audit__params__usable_password": "false", **ANN, **ROOT}
    assert audit_trail.story() == [password("password.set", at="/admin/auth/user/<id>/password/", **facts)]


def test_admin_changes_their_own_password(root: Any, audit_trail: AuditTrail) -> None:
    """The admin's page for one's own password has a form of the same name as that for others."""
    root.post("/admin/password_change/", {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW})
    facts = {"user__id": "auth.user:3", "audit__resource": "auth.User"}
    assert audit_trail.story() == [password("password.change", at="/admin/password_change/", **facts)]


def test_admin_adds_a_user(root: Any, audit_trail: AuditTrail) -> None:
    """An account with an actor."""
    form = {"username": "eve", "password1": NEW, "password2": NEW, "usable_password": "true"}
    assert root.post("/admin/auth/user/add/", form).status_code == 302
    assert audit_trail.story() == [registered("eve", at="/admin/auth/user/add/", **ROOT)]


def test_staff_creates_an_account_through_an_api(root: Any, audit_trail: AuditTrail) -> None:
    """The same without any form."""
    root.post("/create/", {"username": "eve", "password": NEW})
    assert audit_trail.story() == [registered("eve", at="/create/", **ROOT)]


# Forgotten passwords


def test_reset_asked_for_a_known_address(client: Any, audit_trail: AuditTrail) -> None:
    """A mail goes out, so it is known whose account it is."""
    client.post("/reset/", {"email": "Ann@example.org"})
    facts = {"audit__identity": "Ann@example.org", **ANN}
    assert audit_trail.story() == [password("password.reset_request", at="/reset/", **facts)]


def test_reset_asked_for_an_address_that_may_not_exist(client: Any, audit_trail: AuditTrail) -> None:
    """The page answers the same, nobody is mailed, and nobody can know: status unknown."""
    client.post("/reset/", {"email": "zed@example.org"})
    facts = {"audit__identity": "zed@example.org", "audit__inferred": "true"}
    assert audit_trail.story() == [password("password.reset_request", "unknown", at="/reset/", **facts)]


def test_reset_for_two_accounts_of_one_address(client: Any, audit_trail: AuditTrail) -> None:
    """Each account is mailed a link of its own."""
    from django.contrib.auth import get_user_model

    get_user_model().objects.filter(username="root").update(email="ann@example.org")
    client.post("/reset/", {"email": "ann@example.org"})
    assert [told["user.id"] for told in audit_trail.story()] == ["auth.user:1", "auth.user:3"]


def test_reset_that_cannot_be_mailed(client: Any, audit_trail: AuditTrail) -> None:
    """A form that hands the mail to a queue, and the queue is away."""
    client.post("/queued-reset/", {"email": "ann@example.org"})
    facts = {"audit__identity": "ann@example.org", "audit__reason": "send_failed", "error__type": "ConnectionRefusedError"}
    assert audit_trail.story() == [password("password.reset_request", "failure", at="/queued-reset/", **facts, **ANN)]


def test_reset_without_an_address_is_no_request(client: Any, audit_trail: AuditTrail) -> None:
    """The form was refused, or only looked at."""
    client.post("/reset/", {"email": "nonsense"})
    client.get("/reset/")
    assert audit_trail.story() == []


def test_forged_link(client: Any, audit_trail: AuditTrail) -> None:
    """The link names an account and does not fit; the record has the route and never the token."""
    assert client.get("/reset/MQ/forged-token/").status_code == 200
    facts = {"audit__reason": "invalid_code", "at": "/reset/<uidb64>/<token>/", "method": "GET", **ANN}
    assert audit_trail.story() == [password("password.reset", "failure", **facts)]


def test_link_of_nobody(client: Any, audit_trail: AuditTrail) -> None:
    """Not even the account exists."""
    client.get("/reset/OTk/forged-token/")
    facts = {"audit__reason": "invalid_code", "at": "/reset/<uidb64>/<token>/", "method": "GET"}
    assert audit_trail.story() == [password("password.reset", "failure", **facts)]


def test_reset(client: Any, audit_trail: AuditTrail) -> None:
    """Following the link is silent, a refused password and a good one are not, and the link works once."""
    link = secret_link("reset")
    token = link.split("/")[-2]
    page = client.get(link)["Location"]
    assert client.get(page).status_code == 200
    assert audit_trail.story() == []
    where = {"at": "/reset/<uidb64>/<token>/", **ANN}
    client.post(page, {"new_password1": NEW, "new_password2": "other"})
    facts = {"audit__reason": "password_mismatch", "error__type": "password_mismatch"}
    assert audit_trail.story() == [password("password.reset", "failure", **facts, **where)]
    client.post(page, {"new_password1": NEW, "new_password2": NEW})
    assert audit_trail.story() == [password("password.reset", **where)]
    client.get(link)
    assert audit_trail.story() == [password("password.reset", "failure", audit__reason="invalid_code", method="GET", **where)]
    audit_trail.assert_no_secret(token)


def test_reset_that_signs_in(client: Any, audit_trail: AuditTrail) -> None:
    """Two facts of one request: a new password, and a session that no password was given for."""
    page = client.get(secret_link("enter"))["Location"]
    client.post(page, {"new_password1": NEW, "new_password2": NEW})
    where = {"at": "/enter/<uidb64>/<token>/", **ANN}
    entered = {"audit__action": "sign_in_with_session", "audit__strategy": "session", **BACKEND, "session__id": "session-1"}
    assert audit_trail.story() == [password("password.reset", **where), record("auth.sign_in", **entered, **where)]


def test_reset_by_somebody_signed_in(root: Any, audit_trail: AuditTrail) -> None:
    """A link followed in a browser where somebody else is signed in is still a reset."""
    page = root.get(secret_link("reset"))["Location"]
    root.post(page, {"new_password1": NEW, "new_password2": NEW})
    assert audit_trail.story() == [password("password.reset", at="/reset/<uidb64>/<token>/", **ANN)]


# New accounts


def registered(name: str, *, at: str = "/sign-up/", **more: str) -> Record:
    """An account that was made with a password."""
    facts = {"audit__action": "register_with_password", **BY_PASSWORD, "audit__identity": name}
    facts |= {"user__id": f"auth.user:{user(name).pk}", "audit__resource": "auth.User"}
    return record("auth.register", at=at, **facts, **more)


def test_sign_up(client: Any, audit_trail: AuditTrail) -> None:
    """An account and a session: two facts."""
    client.post("/sign-up/", {"username": "eve", "password1": NEW, "password2": NEW})
    facts = {"audit__action": "sign_in_with_session", "audit__strategy": "session", **BACKEND, "session__id": "session-1"}
    who = {"user__id": f"auth.user:{user('eve').pk}", "audit__resource": "auth.User"}
    assert audit_trail.story() == [registered("eve"), record("auth.sign_in", at="/sign-up/", **facts, **who)]


@pytest.mark.parametrize(
    ("given", "reason", "code"),
    [
        ({"username": "Ann"}, "identity_in_use", "unique"),
        ({"password2": "other"}, "password_mismatch", "password_mismatch"),
        ({"password1": "short", "password2": "short"}, "weak_password", "password_too_short"),
        ({"username": "no spaces"}, "invalid_input", "invalid"),
    ],
)
def test_refused_sign_up(client: Any, audit_trail: AuditTrail, given: dict[str, str], reason: str, code: str) -> None:
    """The form says why."""
    form = {"username": "eve", "password1": NEW, "password2": NEW, **given}
    client.post("/sign-up/", form)
    facts = {"audit__action": "register_with_password", **BY_PASSWORD, "audit__identity": form["username"]}
    facts |= {"audit__reason": reason, "error__type": code, "audit__resource": "auth.User"}
    assert audit_trail.story() == [record("auth.register", "failure", at="/sign-up/", **facts)]


def test_name_that_is_taken(client: Any, audit_trail: AuditTrail) -> None:
    """Without a form only the database says no."""
    assert client.post("/create/", {"username": "ann", "password": NEW}).status_code == 500
    facts = {"audit__action": "register_with_password", **BY_PASSWORD, "audit__identity": "ann", "audit__resource": "auth.User"}
    facts |= {"audit__reason": "identity_in_use", "error__type": "IntegrityError"}
    assert audit_trail.story() == [record("auth.register", "failure", at="/create/", **facts)]


def test_accounts_made_in_a_shell(app: Any, audit_trail: AuditTrail) -> None:
    """With a password, with rights, without a password; a form that does not save is silent until the user is saved."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.forms import UserCreationForm

    users: Any = get_user_model().objects
    users.create_superuser("sue", password=NEW)
    users.create_user("tim")
    form: Any = UserCreationForm({"username": "eve", "password1": NEW, "password2": NEW})
    eve = form.save(commit=False)
    made = {"audit__action": "register_with_password", **BY_PASSWORD, "audit__resource": "auth.User"}
    rights = {"audit__params__is_staff": "true", "audit__params__is_superuser": "true"}
    plain = {**made, "audit__action": "register", "audit__strategy": "unknown"}
    assert audit_trail.story() == [
        offline("auth.register", audit__identity="sue", user__id=f"auth.user:{user('sue').pk}", **made, **rights),
        offline("auth.register", audit__identity="tim", user__id=f"auth.user:{user('tim').pk}", **plain),
    ]
    eve.save()
    assert audit_trail.story() == [
        offline("auth.register", audit__identity="eve", user__id=f"auth.user:{eve.pk}", **made),
    ]


def test_user_model_of_ones_own(client: Any, audit_trail: AuditTrail, app: Any, setting: Any) -> None:
    """A UUID as the key, an e-mail address as the name, a manager, `save` and `check_password` overridden."""
    member_model = app.member_model()
    setting(AUTH_USER_MODEL="auth.Member")
    member = member_model.objects.create_user("Mia@example.org", PASSWORD)
    who = {"user__id": f"auth.member:{member.pk}", "audit__resource": "auth.Member"}
    made = {"audit__action": "register_with_password", **BY_PASSWORD, "audit__identity": "mia@example.org"}
    assert audit_trail.story() == [offline("auth.register", **made, **who)]
    sign_in(client, "mia@example.org", "wrong")
    facts = {"audit__identity": "mia@example.org", **who}
    assert audit_trail.story() == [refused("wrong_password", error__type="invalid_login", **facts)]
    sign_in(client, "mia@example.org")
    assert audit_trail.story() == [signed_in(**facts)]


# Where it happened


def test_route_of_a_pattern_below_a_prefix(client: Any, audit_trail: AuditTrail) -> None:
    """Included patterns and regular expressions make one template; a site below a path of the server has it in front."""
    client.post("/api/v1/token/", {"username": "ann", "password": "wrong"}, SCRIPT_NAME="/site/")
    at = r"/site/api/v(?P<version>\d)/token/$"
    assert audit_trail.story() == [refused("wrong_password", at=at, audit__identity="ann", **ANN)]


def test_client_by_its_headers(client: Any, audit_trail: AuditTrail) -> None:
    """The user agent is on the record, and never the query string."""
    client.post(
        "/login/?next=/secret", {"username": "ann", "password": PASSWORD}, HTTP_USER_AGENT="browser", REMOTE_ADDR="192.0.2.7"
    )
    there = {"client__address": "192.0.2.7", "network__peer__address": "192.0.2.7", "user_agent.original": "browser"}
    assert audit_trail.story() == [signed_in(**there)]


def test_no_query_is_ours(client: Any, audit_trail: AuditTrail) -> None:
    """Whatever is recorded was in memory: not one query starts in code of ours."""
    from django.db import connection

    ours: list[str] = []

    def watch(execute: Any, sql: str, *more: Any) -> Any:
        callers = traceback.walk_stack(None)
        ours.extend(sql for frame, _ in callers if "instrumentors" in frame.f_code.co_filename)
        return execute(sql, *more)

    with connection.execute_wrapper(watch):
        client.post("/reset/", {"email": "ann@example.org"})
        client.post(client.get(secret_link("reset"))["Location"], {"new_password1": PASSWORD, "new_password2": PASSWORD})
        client.post("/sign-up/", {"username": "eve", "password1": NEW, "password2": NEW})
        client.post("/logout/")
        sign_in(client)
        change_password(client)
    assert len(audit_trail.story()) == 7
    assert ours == []


def test_browsing_is_silent(ann: Any, audit_trail: AuditTrail) -> None:
    """Pages, missing pages, looking at the admin: no events."""
    for path in ("/", "/nowhere/", "/admin/", "/login/"):
        ann.get(path)
    assert audit_trail.story() == []


class TestStrict:
    """`strict=auth.sign_in`, and a journal that cannot be written: no record, no sign-in."""

    @pytest.fixture
    def audit_trail_options(self) -> dict[str, Any]:
        """A folder that nobody can make."""
        return {"strict": "auth.sign_in", "journal_dir": "/proc/authaudit"}

    def test_sign_in_that_cannot_be_recorded_is_refused(self, client: Any) -> None:
        """Before the session exists: no cookie comes out, and the next request is nobody's."""
        client.raise_request_exception = False
        response = sign_in(client)
        assert response.status_code == 500
        assert "sessionid" not in response.cookies
        assert "sessionid" not in client.cookies
