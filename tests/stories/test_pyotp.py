"""pyotp: a second factor, told on its own where nothing better is seen, and part of the sign-in where one is."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .checks import FLASK_LOGIN, post, signed_in, told

CHECKS = ("pyotp.totp", "pyotp.hotp")


def verified(check: str, outcome: str, **more: str) -> list[dict[str, str]]:
    """One check of a code."""
    record = {
        "event": "mfa.verify",
        "audit.action": "verify_with_totp",
        "audit.strategy": "totp",
        "audit.outcome": outcome,
        "audit.inferred": "true",
        "audit.library": f"pyotp {version('pyotp')}",
        **({"audit.params.issuer": "story"} if check == "pyotp.totp" else {}),
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    return [record]


@pytest.mark.parametrize("check", CHECKS)
def test_right_code(check: str, audit_trail: AuditTrail) -> None:
    """A second factor was shown, and no library says what for."""
    post(check, "right")
    assert told(audit_trail) == verified(check, "success")


@pytest.mark.parametrize("check", CHECKS)
def test_wrong_code(check: str, audit_trail: AuditTrail) -> None:
    """The code was wrong."""
    post(check, "wrong")
    assert told(audit_trail) == verified(check, "failure", audit__reason="mfa_invalid")


@pytest.mark.parametrize("check", CHECKS)
def test_guesses_before_the_right_code_are_counted(check: str, audit_trail: AuditTrail) -> None:
    """One record, with the number of tries."""
    post(check, "wrong wrong right")
    assert told(audit_trail) == verified(check, "success", audit__attempts="3")


@pytest.mark.parametrize("check", CHECKS)
def test_code_and_sign_in_are_one(check: str, audit_trail: AuditTrail) -> None:
    """The session was won by the code."""
    post(check, "right", then="login")
    (record,) = told(audit_trail)
    issuer = record.pop("audit.params.issuer", None)
    assert [record] == signed_in(FLASK_LOGIN, strategy="totp")
    assert issuer == ("story" if check == "pyotp.totp" else None)
