"""Flask: the request around what an application tells itself, without any login library."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit import audit
from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import web
from .web import told

PASSWORD = "correct-horse-42-battery"
WRONG = "wrong-mule-17-accumulator"


@pytest.fixture
def client(audit_trail: AuditTrail) -> Any:
    """An application with authentication code of its own."""
    from flask import Flask, abort

    assert audit_trail.records == []
    app = Flask(__name__)

    @app.post("/door/<name>")
    def door(name: str) -> str:
        with audit.attempt("auth.sign_in", strategy="custom", identity=name) as attempt:
            if name == "crash":
                raise RuntimeError
            if name != "ann":
                attempt.fail("unknown_identity")
                abort(401)
            attempt.succeed(subject="17")
        return "in"

    return app.test_client()


def record(outcome: str, identity: str, **more: str) -> dict[str, str]:
    """A whole record of the door."""
    constant = {
        "event": "auth.sign_in",
        "audit.action": "sign_in_with_custom",
        "audit.strategy": "custom",
        "audit.outcome": outcome,
        "audit.identity": identity,
        "audit.library": "application",
        "audit.flow.id": "flow-1",
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "http.request.method": "POST",
        "http.route": "/door/<name>",
        "server.address": "localhost",
    }
    return {**constant, **{name.replace("__", "."): value for name, value in more.items()}}


@pytest.mark.parametrize(
    ("name", "code", "recorded"),
    [
        ("ann", 200, record("success", "ann", user__id="17")),
        ("bob", 401, record("failure", "bob", audit__reason="unknown_identity", error__type="Unauthorized")),
        ("crash", 500, record("unknown", "crash", audit__reason="backend_error", error__type="RuntimeError")),
    ],
)
def test_request_stands_around_the_applications_own_record(
    client: Any, audit_trail: AuditTrail, *, name: str, code: int, recorded: dict[str, str]
) -> None:
    """Client, method and route template, whether the view returns, aborts or crashes; the path with the name in it stays out."""
    assert client.post(f"/door/{name}", headers={"User-Agent": ""}).status_code == code
    assert audit_trail.story() == [recorded]


def test_browsing_is_silent(client: Any, audit_trail: AuditTrail) -> None:
    """Requests in which nobody signs in leave nothing."""
    client.get("/nowhere")
    client.get("/door/ann")
    assert audit_trail.story() == []


class TestCredentialsCheckedByTheApplication:
    """Basic and bearer credentials that the application compares itself, and refuses by 401."""

    @pytest.fixture
    def api(self, audit_trail: AuditTrail) -> Any:
        """An API that knows ann; `?say` is the challenge of its refusals, `?code` their status."""
        from flask import Flask, request
        from werkzeug.security import check_password_hash, generate_password_hash

        assert audit_trail.records == []
        app = Flask(__name__)
        users = {"ann": generate_password_hash(PASSWORD, method="pbkdf2:sha256:1000")}

        @app.get("/api")
        def api() -> Any:
            shown = request.authorization
            if shown and shown.type == "basic" and shown.username in users:
                if check_password_hash(users[shown.username], shown.password or ""):
                    return "in"
            elif shown and shown.token == PASSWORD:
                return "in"
            challenge = {"WWW-Authenticate": request.args["say"]} if "say" in request.args else {}
            return "who are you?", int(request.args.get("code", "401")), challenge

        @app.post("/form")
        def form() -> Any:
            right = check_password_hash(users["ann"], request.form["password"])
            return "in" if right else "wrong"

        return app.test_client()

    @staticmethod
    def basic(name: str, password: str) -> dict[str, str]:
        """The header of Basic credentials."""
        return {"Authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}

    @staticmethod
    def refused(library: str, strategy: str, reason: str, **more: str) -> web.Record:
        """A failure that was concluded."""
        facts = {"audit__action": f"verify_with_{strategy}", "audit__strategy": strategy, "audit__reason": reason}
        where = {"at": "/api", "method": "GET", "server__address": "localhost", "audit__inferred": "true"}
        return web.record(library, "auth.verify", "failure", **where, **facts, **more)

    def test_unknown_user(self, api: Any, audit_trail: AuditTrail) -> None:
        """Nothing is called that could tell: the answer does."""
        api.get("/api?say=Basic realm=story", headers=self.basic("zed", WRONG))
        assert told(audit_trail) == [self.refused("Flask", "basic", "invalid_credentials", audit__identity="zed")]
        audit_trail.assert_no_secret(WRONG)

    def test_wrong_password(self, api: Any, audit_trail: AuditTrail) -> None:
        """The hash knows why."""
        api.get("/api?say=Basic realm=story", headers=self.basic("ann", WRONG))
        assert told(audit_trail) == [self.refused("Flask", "basic", "wrong_password", audit__identity="ann")]

    def test_wrong_token(self, api: Any, audit_trail: AuditTrail) -> None:
        """A bearer token that is no JWT; one of several challenges asks for it."""
        api.get('/api?say=Basic realm="a", bearer error="invalid_token"', headers={"Authorization": f"Bearer {WRONG}"})
        assert told(audit_trail) == [self.refused("Flask", "token", "invalid_credentials")]
        audit_trail.assert_no_secret(WRONG)

    @pytest.mark.parametrize(
        ("query", "headers"),
        [
            ("", ("ann", PASSWORD)),  # right
            ("?say=Basic", None),  # none were shown: browsers ask so before they show any
            ("?say=Basic", {"Authorization": "Basic"}),
            ("?say=Bearer", ("zed", WRONG)),  # other credentials are asked for
            ("", ("zed", WRONG)),  # a 401 that asks for none: perhaps for a session
            ("?say=Negotiate", {"Authorization": "Negotiate TlRMTVNTUAAB"}),  # a step of the exchange
            ("?say=Basic&code=403", ("zed", WRONG)),  # not about who it is
        ],
    )
    def test_silence(self, api: Any, audit_trail: AuditTrail, query: str, headers: Any) -> None:
        """Nothing was refused, or not this."""
        api.get(f"/api{query}", headers=self.basic(*headers) if isinstance(headers, tuple) else headers)
        assert told(audit_trail) == []

    def test_wrong_password_of_a_form(self, api: Any, audit_trail: AuditTrail) -> None:
        """The name that the view has read goes with the check of the hash."""
        api.post("/form", data={"username": "ann", "password": WRONG})
        facts = {"audit__action": "authenticate_with_password", "audit__strategy": "password", "audit__inferred": "true"}
        more = {"audit__reason": "wrong_password", "audit__identity": "ann", "server__address": "localhost"}
        assert told(audit_trail) == [web.record("Werkzeug", "auth.authenticate", "failure", at="/form", **facts, **more)]
        audit_trail.assert_no_secret(WRONG)

    class TestEverythingRecorded:
        """Option `request_auth=all`."""

        @pytest.fixture
        def audit_trail_options(self) -> dict[str, Any]:
            """Successes of requests too."""
            return {"request_auth": "all"}

        def test_success_is_not_concluded(self, audit_trail: AuditTrail) -> None:
            """That an application answers a request with a header does not mean that it has looked at it."""
            from flask import Flask

            app = Flask(__name__)
            app.add_url_rule("/", view_func=lambda: "hello")
            outer = TestCredentialsCheckedByTheApplication
            app.test_client().get("/", headers=outer.basic("ann", PASSWORD))
            assert told(audit_trail) == []
