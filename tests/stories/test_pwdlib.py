"""pwdlib: evidence of a sign-in; the hasher below it is watched too and is the same check."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .checks import FLASK_LOGIN, post, refused, signed_in, told

LIBRARY = f"pwdlib {version('pwdlib')}"
MISMATCH = {"error.type": "VerifyMismatchError"}


@pytest.fixture(params=["pwdlib.verify", "pwdlib.verify_and_update"])
def check(request: pytest.FixtureRequest) -> str:
    """Both ways to verify: a truth value, and a truth value with a newer hash."""
    chosen: str = request.param
    return chosen


def test_right_password_alone_is_silent(audit_trail: AuditTrail, check: str) -> None:
    """Nobody signed in."""
    assert "True" in post(check, "right")
    assert told(audit_trail) == []


def test_wrong_password_is_one_inferred_failure(audit_trail: AuditTrail, check: str) -> None:
    """What argon2 below says is the same check."""
    assert "False" in post(check, "wrong")
    assert told(audit_trail) == [{**record, **MISMATCH} for record in refused(LIBRARY)]


def test_older_hash(audit_trail: AuditTrail, check: str) -> None:
    """A hash of another hasher is one check as well."""
    assert "False True" in post(check, "older:wrong older:right").replace("(False, None)", "False").replace("(True,", "True")
    assert "False" in post(check, "older:wrong")
    assert told(audit_trail) == refused(LIBRARY)


def test_guesses_before_a_sign_in(audit_trail: AuditTrail, check: str) -> None:
    """The session was won by a password; the guess before it is counted."""
    post(check, "wrong right", then="login")
    assert told(audit_trail) == signed_in(FLASK_LOGIN, attempts=2)


def test_unknown_hash(audit_trail: AuditTrail, check: str) -> None:
    """A hash that no hasher knows raises in the application and concludes nothing."""
    assert post(check, "malformed") == "raised"
    assert told(audit_trail) == []
