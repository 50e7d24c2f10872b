"""Werkzeug's password hashes: evidence of a sign-in, and of nothing else."""

from __future__ import annotations

from importlib.metadata import version

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .checks import FLASK_LOGIN, post, refused, signed_in, told

LIBRARY = f"werkzeug {version('Werkzeug')}"


def test_right_password_alone_is_silent(audit_trail: AuditTrail) -> None:
    """Nobody signed in: a right password proves nothing by itself."""
    post("werkzeug", "right")
    assert told(audit_trail) == []


def test_wrong_password_is_one_inferred_failure(audit_trail: AuditTrail) -> None:
    """No library knows of a sign-in here: concluded from the check."""
    post("werkzeug", "wrong")
    assert told(audit_trail) == refused(LIBRARY)


def test_guesses_in_one_request_are_counted(audit_trail: AuditTrail) -> None:
    """One record with their number."""
    post("werkzeug", "one two three")
    assert told(audit_trail) == refused(LIBRARY, attempts=3)


def test_right_password_names_the_mechanism_of_a_sign_in(audit_trail: AuditTrail) -> None:
    """The session was won by a password; the guess before it is counted."""
    post("werkzeug", "wrong right", then="login")
    assert told(audit_trail) == signed_in(FLASK_LOGIN, attempts=2)


def test_text_that_is_no_hash(audit_trail: AuditTrail) -> None:
    """Compared with where there is no account (FlaskBB does so): refused, and nobody claims that the password was wrong."""
    assert post("werkzeug", "malformed") == "False"
    (record,) = refused(LIBRARY)
    assert told(audit_trail) == [{**record, "audit.reason": "invalid_credentials"}]
