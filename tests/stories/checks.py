"""What the stories of all low-level checks have in common: they drive `apps/checks_app.py` and expect records of it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

FLASK_LOGIN = f"flask-login {version('Flask-Login')}"


def post(library: str, given: str, **more: str) -> str:
    """Send *given* to the check of *library*; what the application answered."""
    from .apps.checks_app import create_app

    answer: str = create_app().test_client().post(f"/check/{library}", data={"given": given, **more}).text
    return answer


def told(audit_trail: Any) -> list[dict[str, str]]:
    """The story, without what is the same for every request of this application and what the test client chooses."""
    constant = {
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "http.request.method": "POST",
        "server.address": "localhost",
        "http.route": "/check/<library>",
        "audit.flow.id": "flow-1",
    }
    shortened = []
    for record in audit_trail.story():
        agent = record.pop("user_agent.original")
        assert agent.lower().startswith("werkzeug/")
        assert {name: record.pop(name) for name in constant} == constant
        shortened.append(record)
    return shortened


def refused(library: str, *, attempts: int = 1) -> list[dict[str, str]]:
    """One failure, concluded from a password check alone."""
    record = {
        "event": "auth.authenticate",
        "audit.action": "authenticate_with_password",
        "audit.strategy": "password",
        "audit.outcome": "failure",
        "audit.reason": "wrong_password",
        "audit.inferred": "true",
        "audit.library": library,
    }
    return [record if attempts == 1 else {**record, "audit.attempts": str(attempts)}]


def signed_in(library: str, *, strategy: str = "password", attempts: int = 1) -> list[dict[str, str]]:
    """One sign-in of Flask-Login, won by a check of this request."""
    record = {
        "event": "auth.sign_in",
        "audit.action": f"sign_in_with_{strategy}",
        "audit.strategy": strategy,
        "audit.outcome": "success",
        "user.id": "7",
        "audit.resource": "tests.stories.apps.checks_app:User",
        "audit.library": library,
    }
    return [record if attempts == 1 else {**record, "audit.attempts": str(attempts)}]
