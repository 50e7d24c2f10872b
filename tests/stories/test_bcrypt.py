"""bcrypt: evidence of a sign-in, and of nothing else."""

from __future__ import annotations

from importlib.metadata import version

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .checks import FLASK_LOGIN, post, refused, signed_in, told

LIBRARY = f"bcrypt {version('bcrypt')}"


def test_right_password_alone_is_silent(audit_trail: AuditTrail) -> None:
    """Nobody signed in: a right password proves nothing by itself."""
    post("bcrypt", "right")
    assert told(audit_trail) == []


def test_wrong_password_is_one_inferred_failure(audit_trail: AuditTrail) -> None:
    """No library knows of a sign-in here: concluded from the check."""
    post("bcrypt", "wrong")
    assert told(audit_trail) == refused(LIBRARY)


def test_guesses_in_one_request_are_counted(audit_trail: AuditTrail) -> None:
    """One record with their number."""
    post("bcrypt", "one two three")
    assert told(audit_trail) == refused(LIBRARY, attempts=3)


def test_right_password_names_the_mechanism_of_a_sign_in(audit_trail: AuditTrail) -> None:
    """The session was won by a password; the guess before it is counted."""
    post("bcrypt", "wrong right", then="login")
    assert told(audit_trail) == signed_in(FLASK_LOGIN, attempts=2)


def test_malformed_hash(audit_trail: AuditTrail) -> None:
    """A malformed hash raises in the application and concludes nothing."""
    assert post("bcrypt", "malformed") == "raised"
    assert told(audit_trail) == []
