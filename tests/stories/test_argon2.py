"""argon2-cffi: evidence of a sign-in, and of nothing else."""

from __future__ import annotations

from importlib.metadata import version

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .checks import FLASK_LOGIN, post, refused, signed_in, told

LIBRARY = f"argon2-cffi {version('argon2-cffi')}"
MISMATCH = {"error.type": "VerifyMismatchError"}


def test_right_password_alone_is_silent(audit_trail: AuditTrail) -> None:
    """Nobody signed in: a right password proves nothing by itself."""
    assert post("argon2", "right") == "True"
    assert told(audit_trail) == []


def test_wrong_password_is_one_inferred_failure(audit_trail: AuditTrail) -> None:
    """The library says so by an exception, which the application sees as ever."""
    assert post("argon2", "wrong") == "raised"
    assert told(audit_trail) == [{**record, **MISMATCH} for record in refused(LIBRARY)]


def test_guesses_in_one_request_are_counted(audit_trail: AuditTrail) -> None:
    """One record with their number."""
    post("argon2", "one two three")
    assert told(audit_trail) == [{**record, **MISMATCH} for record in refused(LIBRARY, attempts=3)]


def test_right_password_names_the_mechanism_of_a_sign_in(audit_trail: AuditTrail) -> None:
    """The session was won by a password; the guess before it is counted."""
    post("argon2", "wrong right", then="login")
    assert told(audit_trail) == signed_in(FLASK_LOGIN, attempts=2)


def test_malformed_hash(audit_trail: AuditTrail) -> None:
    """A malformed hash raises in the application and concludes nothing."""
    assert post("argon2", "malformed") == "raised"
    assert told(audit_trail) == []
