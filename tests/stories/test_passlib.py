"""passlib, or libpass, which continues it: evidence of a sign-in, and of nothing else."""

from __future__ import annotations

import pytest

from opentelemetry_instrumentation_authaudit.instrumentors.registry import LIBRARIES
from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .checks import FLASK_LOGIN, post, refused, signed_in, told

LIBRARY = next(library for library in LIBRARIES if library.name == "passlib").label
CHECKS = ("passlib.verify", "passlib.verify_and_update")


@pytest.mark.parametrize("check", CHECKS)
def test_right_password_alone_is_silent(check: str, audit_trail: AuditTrail) -> None:
    """Nobody signed in: a right password proves nothing by itself."""
    post(check, "right")
    assert told(audit_trail) == []


@pytest.mark.parametrize("check", CHECKS)
def test_wrong_password_is_one_inferred_failure(check: str, audit_trail: AuditTrail) -> None:
    """No library knows of a sign-in here: concluded from the check."""
    post(check, "wrong")
    assert told(audit_trail) == refused(LIBRARY)


@pytest.mark.parametrize("check", CHECKS)
def test_guesses_in_one_request_are_counted(check: str, audit_trail: AuditTrail) -> None:
    """One record with their number."""
    post(check, "one two three")
    assert told(audit_trail) == refused(LIBRARY, attempts=3)


@pytest.mark.parametrize("check", CHECKS)
def test_right_password_names_the_mechanism_of_a_sign_in(check: str, audit_trail: AuditTrail) -> None:
    """The session was won by a password; the guess before it is counted."""
    post(check, "wrong right", then="login")
    assert told(audit_trail) == signed_in(FLASK_LOGIN, attempts=2)


@pytest.mark.parametrize("check", CHECKS)
def test_malformed_hash(check: str, audit_trail: AuditTrail) -> None:
    """A malformed hash raises in the application and concludes nothing."""
    assert post(check, "malformed") == "raised"
    assert told(audit_trail) == []


@pytest.mark.parametrize("check", [*CHECKS, "passlib.dummy_verify"])
def test_check_without_an_account(check: str, audit_trail: AuditTrail) -> None:
    """Made where there is no account, so that the answer takes as long: refused, and nobody claims that the password was wrong."""
    post(check, "nobody")
    (record,) = refused(LIBRARY)
    assert told(audit_trail) == [{**record, "audit.reason": "invalid_credentials"}]
