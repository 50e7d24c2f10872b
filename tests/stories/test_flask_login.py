"""Flask-Login: who signs in, how, and who fails to, from an application that does not know it is watched."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

# Flask-Login 0.6.3 calls it when it sets the remember-me cookie.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

Record = dict[str, str]
LIBRARY = f"flask-login {version('Flask-Login')}"
USER = "tests.stories.apps.flask_login_app:User"


def record(event: str, outcome: str = "success", *, at: str = "/login", method: str = "POST", **more: str) -> Record:
    """A whole record of this application: what is constant, and *more* with `__` for dots."""
    constant = {
        "event": event,
        "audit.outcome": outcome,
        "audit.library": LIBRARY,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "http.request.method": method,
        "server.address": "localhost",
        "http.route": at,
        "audit.flow.id": "flow-1",
    }
    return {**constant, **{name.replace("__", "."): value for name, value in more.items()}}


SIGNED_IN = {
    "audit__action": "sign_in_with_password",
    "audit__strategy": "password",
    "user__id": "1",
    "audit__resource": USER,
}
ANN = {"audit__identity": "ann"}


def refused(reason: str, **more: str) -> Record:
    """A sign-in that was concluded to have failed."""
    facts = {"audit__action": "sign_in_with_password", "audit__strategy": "password", "audit__inferred": "true"}
    return record("auth.sign_in", "failure", audit__reason=reason, **facts, **more)


@pytest.fixture
def app(audit_trail: AuditTrail) -> Any:
    """The application; imported here, so that the order of import and instrumentation is the run's."""
    from .apps.flask_login_app import create_app

    assert audit_trail.records == []
    return create_app()


@pytest.fixture
def client(app: Any) -> Iterator[Any]:
    """A browser without a name."""
    with app.test_client() as made:
        yield made


def sign_in(client: Any, **more: str) -> Any:
    """Post the login form."""
    return client.post("/login", data={"username": "ann", "password": "right", **more})


def without_agent(told: list[Record]) -> list[Record]:
    """The test client's own user agent differs between versions of Werkzeug."""
    return [{name: value for name, value in one.items() if name != "user_agent.original"} for one in told]


def test_sign_in(client: Any, audit_trail: AuditTrail) -> None:
    """A right password: hash, `login_user` and the signal are one record."""
    assert sign_in(client).status_code == 302
    assert without_agent(audit_trail.story()) == [record("auth.sign_in", **SIGNED_IN, **ANN)]


def test_sign_in_remembered(client: Any, audit_trail: AuditTrail) -> None:
    """That the user asked to be remembered is on the record; the cookie alone signs in again, once."""
    sign_in(client, remember="1")
    assert without_agent(audit_trail.story()) == [record("auth.sign_in", **SIGNED_IN, **ANN, audit__params__remember="true")]
    client.delete_cookie("session")
    assert client.get("/").json == {"user": "1"}
    assert client.get("/").json == {"user": "1"}
    assert without_agent(audit_trail.story()) == [
        record(
            "session.renew",
            at="/",
            method="GET",
            audit__action="sign_in_with_remember_me",
            audit__strategy="remember_me",
            user__id="1",
            audit__resource=USER,
        )
    ]


def test_wrong_password(client: Any, audit_trail: AuditTrail) -> None:
    """Flask-Login never hears of it: concluded from the login view and the hash, with what was typed."""
    client.post("/login", data={"username": "ann", "password": "wrong"})
    assert without_agent(audit_trail.story()) == [refused("wrong_password", audit__identity="ann")]


def test_unknown_user(client: Any, audit_trail: AuditTrail) -> None:
    """No library is called at all: concluded from the login view alone."""
    client.post("/login", data={"username": "zed", "password": "wrong"})
    assert without_agent(audit_trail.story()) == [refused("invalid_credentials", audit__identity="zed")]


class TestIncludedFields:
    """The seed's own example: `include_fields=email,username`."""

    @pytest.fixture
    def audit_trail_options(self) -> dict[str, Any]:
        """As an installation would be configured."""
        return {"include_fields": "email,username", "hash_key": "k:secret"}

    def test_named_field_is_recorded_in_clear(self, client: Any, audit_trail: AuditTrail) -> None:
        """The field itself, and the identity that it carried."""
        client.post("/login", data={"username": "zed", "password": "wrong"})
        told = refused("invalid_credentials", audit__identity="zed", audit__params__username="zed")
        assert without_agent(audit_trail.story()) == [told]

    def test_field_that_is_not_named_stays_out(self, client: Any, audit_trail: AuditTrail) -> None:
        """Another field carried the identity: it is hashed, and there is no parameter."""
        client.post("/login", data={"login": "zed", "password": "wrong"})
        (told,) = audit_trail.story()
        assert told["audit.identity"].startswith("hashed:k:")
        assert not [name for name in told if name.startswith("audit.params.")]


def test_wrong_password_as_json(client: Any, audit_trail: AuditTrail) -> None:
    """A JSON body that the view has read names the account."""
    client.post("/login", json={"username": "ann", "password": "wrong"})
    assert without_agent(audit_trail.story()) == [refused("wrong_password", audit__identity="ann")]


def test_inactive_account(client: Any, audit_trail: AuditTrail) -> None:
    """The one failure that the library knows: right password, account disabled."""
    client.post("/login", data={"username": "bob", "password": "right"})
    facts = {**SIGNED_IN, "user__id": "2", "audit__identity": "bob"}
    assert without_agent(audit_trail.story()) == [record("auth.sign_in", "failure", audit__reason="inactive_account", **facts)]


@pytest.mark.parametrize(
    ("code", "reason"),
    [(401, "invalid_credentials"), (403, "permission_denied"), (422, "invalid_input"), (429, "rate_limited")],
)
def test_login_view_that_aborts(client: Any, audit_trail: AuditTrail, code: int, reason: str) -> None:
    """The status says why; the body was never read and stays so."""
    assert client.post(f"/login?abort={code}", data={"username": "ann"}).status_code == code
    assert without_agent(audit_trail.story()) == [refused(reason)]


@pytest.mark.parametrize(("code", "told"), [(429, ["rate_limited"]), (403, ["permission_denied"]), (400, []), (503, [])])
def test_request_refused_before_the_view(app: Any, client: Any, audit_trail: AuditTrail, code: int, told: list[str]) -> None:
    """A rate limiter answers for the login view; a missing CSRF token or a closed site is not about who signs in."""
    from flask import abort, request

    app.before_request(lambda: abort(code) if request.method == "POST" else None)
    assert sign_in(client).status_code == code
    assert client.get("/").status_code == 200
    assert without_agent(audit_trail.story()) == [refused(reason) for reason in told]


def test_login_view_that_refuses_a_right_password(app: Any, client: Any, audit_trail: AuditTrail) -> None:
    """An account that is not activated yet: the hash said yes, and nobody is signed in."""
    from flask import request
    from werkzeug.security import check_password_hash, generate_password_hash

    def login() -> str:
        assert check_password_hash(generate_password_hash("right", "pbkdf2:sha256:1000"), request.form["password"])
        return "activate your account first"

    app.view_functions["login"] = login
    sign_in(client)
    assert without_agent(audit_trail.story()) == [refused("rejected_after_verification", **ANN)]


def test_login_view_that_breaks(client: Any, audit_trail: AuditTrail) -> None:
    """Nobody knows what became of it."""
    client.post("/login?abort=503", data={"username": "ann"})
    facts = {"audit__action": "sign_in_with_password", "audit__strategy": "password", "audit__inferred": "true"}
    assert without_agent(audit_trail.story()) == [record("auth.sign_in", "unknown", audit__reason="backend_error", **facts)]


def test_crash_after_sign_in(client: Any, audit_trail: AuditTrail) -> None:
    """The sign-in happened, whatever the view did next, and the exception is the view's own."""
    assert client.post("/login?crash=1", data={"username": "ann", "password": "right"}).status_code == 500
    assert without_agent(audit_trail.story()) == [record("auth.sign_in", **SIGNED_IN, **ANN)]


def test_sign_out(client: Any, audit_trail: AuditTrail) -> None:
    """Who signed out is on the record; signing out as nobody is none."""
    sign_in(client)
    audit_trail.story()
    client.post("/logout")
    client.post("/logout")
    assert without_agent(audit_trail.story()) == [
        record(
            "auth.sign_out",
            at="/logout",
            audit__action="sign_out",
            audit__strategy="session",
            user__id="1",
            audit__resource=USER,
        )
    ]


def test_browsing_is_silent(client: Any, audit_trail: AuditTrail) -> None:
    """Pages, the login form, a refusal for want of a session, an unrelated crash: no events."""
    for path in ("/", "/login", "/inside", "/nowhere"):
        client.get(path)
    assert client.post("/crash").status_code == 500
    sign_in(client)
    audit_trail.story()
    client.get("/inside")
    assert audit_trail.story() == []


def test_confirmed_sign_in(client: Any, audit_trail: AuditTrail) -> None:
    """A signed-in user proves identity again."""
    sign_in(client)
    audit_trail.story()
    client.post("/confirm", data={"password": "right"})
    assert without_agent(audit_trail.story()) == [
        record(
            "auth.reauthenticate",
            at="/confirm",
            audit__action="reauthenticate_with_password",
            audit__strategy="password",
            user__id="1",
            audit__resource=USER,
        )
    ]


def test_refused_confirmation(client: Any, audit_trail: AuditTrail) -> None:
    """A wrong password outside the login view: only the hash speaks, concluded."""
    sign_in(client)
    audit_trail.story()
    client.post("/confirm", data={"password": "wrong"})
    assert without_agent(audit_trail.story()) == [
        record(
            "auth.authenticate",
            "failure",
            at="/confirm",
            audit__action="authenticate_with_password",
            audit__strategy="password",
            audit__reason="wrong_password",
            audit__inferred="true",
            audit__library=f"werkzeug {version('Werkzeug')}",
        )
    ]


@pytest.mark.parametrize(("mode", "known"), [("basic", {"user__id": "1"}), ("strong", {})])
def test_session_in_foreign_hands(app: Any, client: Any, audit_trail: AuditTrail, mode: str, known: Record) -> None:
    """A session cookie shown by another browser: the library protects it, and we tell; strong mode has forgotten whose it was."""
    app.login_manager.session_protection = mode
    sign_in(client)
    audit_trail.story()
    client.get("/", headers={"User-Agent": "another browser"})
    facts = {"audit__action": "reject_session", "audit__strategy": "session", "audit__reason": "session_invalid"}
    assert without_agent(audit_trail.story()) == [record("session.reject", "failure", at="/", method="GET", **facts, **known)]


def test_request_loader_is_silent_by_default(client: Any, audit_trail: AuditTrail) -> None:
    """A credential carried by every request: its successes are recorded only where `request_auth` asks for all."""
    assert client.get("/", headers={"X-Key": "open sesame"}).json == {"user": "1"}
    assert audit_trail.story() == []


def test_blueprint_with_its_own_login_view(client: Any, audit_trail: AuditTrail) -> None:
    """Each blueprint's login view counts; the route template stands in the record, not the path."""
    client.post("/team/enter/ann")
    assert without_agent(audit_trail.story()) == [refused("invalid_credentials", at="/team/enter/<name>")]


def test_async_view(client: Any, audit_trail: AuditTrail) -> None:
    """A view that is a coroutine runs in another context and is still one record."""
    client.post("/async-login", data={"username": "ann", "password": "right"})
    assert without_agent(audit_trail.story()) == [record("auth.sign_in", at="/async-login", **SIGNED_IN)]


def test_streaming_response(client: Any, audit_trail: AuditTrail) -> None:
    """The record is there before the stream is read."""
    response = client.post("/stream")
    facts = {**SIGNED_IN, "audit__action": "sign_in_with_session", "audit__strategy": "session"}
    assert without_agent(audit_trail.story()) == [record("auth.sign_in", at="/stream", **facts)]
    assert response.data == b"ab"


def test_application_mounted_in_another(app: Any, audit_trail: AuditTrail) -> None:
    """Two Flask applications in one WSGI tree: one request, one record, the whole path known."""
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.test import Client

    tree = Client(DispatcherMiddleware(Flask("outer").wsgi_app, {"/app": app.wsgi_app}))
    tree.post("/app/login", data={"username": "ann", "password": "right"}, environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert without_agent(audit_trail.story()) == [record("auth.sign_in", **SIGNED_IN, **ANN)]


def test_two_hundred_sign_ins_in_four_threads(app: Any, audit_trail: AuditTrail) -> None:
    """As many records as attempts, each with its own outcome."""

    def one(number: int) -> None:
        app.test_client().post("/login", data={"username": "ann", "password": "right" if number % 2 else "wrong"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(200)))
    outcomes = [told["audit.outcome"] for told in audit_trail.records]
    assert (outcomes.count("success"), outcomes.count("failure")) == (100, 100)


def test_hash_check_outside_a_request_is_silent(app: Any, audit_trail: AuditTrail) -> None:
    """A script that checks a hash signs nobody in."""
    from werkzeug.security import check_password_hash

    from .apps import flask_login_app

    assert app
    assert not check_password_hash(flask_login_app.User("9", "x").hash, "wrong")
    assert audit_trail.story() == []


class TestStrict:
    """`strict=auth.sign_in`, and a journal that cannot be written: no record, no sign-in."""

    @pytest.fixture
    def audit_trail_options(self) -> dict[str, Any]:
        """A folder that nobody can make."""
        return {"strict": "auth.sign_in", "journal_dir": "/proc/authaudit"}

    def test_sign_in_that_cannot_be_recorded_is_refused(self, client: Any) -> None:
        """Before the session exists: no cookie comes out, and the next request is nobody's."""
        response = sign_in(client)
        assert response.status_code == 500
        assert "Set-Cookie" not in response.headers
        assert client.get("/").json == {"user": None}
