"""Flask: the request around what an application tells itself, without any login library."""

from __future__ import annotations

from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit import audit
from opentelemetry_instrumentation_authaudit.testing import AuditTrail


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
    ("name", "code", "told"),
    [
        ("ann", 200, record("success", "ann", user__id="17")),
        ("bob", 401, record("failure", "bob", audit__reason="unknown_identity", error__type="Unauthorized")),
        ("crash", 500, record("unknown", "crash", audit__reason="backend_error", error__type="RuntimeError")),
    ],
)
def test_request_stands_around_the_applications_own_record(
    client: Any, audit_trail: AuditTrail, *, name: str, code: int, told: dict[str, str]
) -> None:
    """Client, method and route template, whether the view returns, aborts or crashes; the path with the name in it stays out."""
    assert client.post(f"/door/{name}", headers={"User-Agent": ""}).status_code == code
    assert audit_trail.story() == [told]


def test_browsing_is_silent(client: Any, audit_trail: AuditTrail) -> None:
    """Requests in which nobody signs in leave nothing."""
    client.get("/nowhere")
    client.get("/door/ann")
    assert audit_trail.story() == []
