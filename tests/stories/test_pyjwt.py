"""PyJWT: a token that a request carries is evidence; only of a verified one anything is believed."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .checks import FLASK_LOGIN, post, signed_in, told

LIBRARY = f"pyjwt {version('PyJWT')}"
FUTURE = 32503680000


def token(secret: str | None = None, algorithm: str = "HS256", **claims: Any) -> str:
    """A token for user 42."""
    import jwt

    from .apps.checks_app import JWT_SECRET

    return str(jwt.encode({"sub": "42", **claims}, secret or JWT_SECRET, algorithm=algorithm))


def refused(reason: str, error: str) -> list[dict[str, str]]:
    """One token that was refused."""
    return [
        {
            "event": "auth.verify",
            "audit.action": "verify_with_token",
            "audit.strategy": "token",
            "audit.outcome": "failure",
            "audit.reason": reason,
            "audit.inferred": "true",
            "error.type": error,
            "audit.library": LIBRARY,
        }
    ]


@pytest.mark.parametrize(
    ("how", "claims", "reason", "error"),
    [
        ("", {"exp": 1}, "token_expired", "ExpiredSignatureError"),
        ("", {"nbf": FUTURE}, "token_not_yet_valid", "ImmatureSignatureError"),
        ("", {"aud": "elsewhere"}, "token_wrong_audience", "InvalidAudienceError"),
        ("issuer!", {"iss": "elsewhere"}, "token_wrong_issuer", "InvalidIssuerError"),
        ("exp!", {}, "token_malformed", "MissingRequiredClaimError"),
        ("", {"secret": "another-secret-of-thirty-two-byte"}, "token_bad_signature", "InvalidSignatureError"),
        (
            "",
            {"algorithm": "HS384", "secret": "a-secret-of-at-least-forty-eight-bytes-for-sha-384"},
            "token_bad_signature",
            "InvalidAlgorithmError",
        ),
    ],
)
def test_refused_token(audit_trail: AuditTrail, *, how: str, claims: dict[str, Any], reason: str, error: str) -> None:
    """Every way a token can be refused, under its own name; `sub` of such a token is nobody's."""
    assert post("pyjwt", how + token(**claims)) == "raised"
    assert told(audit_trail) == refused(reason, error)


@pytest.mark.parametrize("given", ["nonsense", "a.b.c", "..", "é.é.é"])
def test_malformed_token(audit_trail: AuditTrail, given: str) -> None:
    """Not a token at all."""
    assert post("pyjwt", given) == "raised"
    assert told(audit_trail) == refused("token_malformed", "DecodeError")


def test_good_token_is_silent(audit_trail: AuditTrail) -> None:
    """Who carries a good token did not sign in."""
    assert post("pyjwt", token()) == "42"
    assert told(audit_trail) == []


def test_older_key_is_tried_first(audit_trail: AuditTrail) -> None:
    """While keys are rotated the first of two tries fails: the token was good."""
    assert post("pyjwt", f"{token(secret='an-older-secret-of-thirty-two-bytes')} {token()}") == "raised 42"
    assert told(audit_trail) == []


def test_unverified_token_proves_nothing(audit_trail: AuditTrail) -> None:
    """Reading a token without checking it is no check: nothing is believed, nothing refused."""
    assert post("pyjwt", f"unverified!{token(secret='another-secret-of-thirty-two-byte', exp=1)}") == "42"
    assert told(audit_trail) == []


def test_sign_in_beside_a_stale_token(audit_trail: AuditTrail) -> None:
    """A browser sends its expired token along while its user signs in: that is no failed guess at the password."""
    post("pyjwt", token(exp=1), then="login")
    assert told(audit_trail) == signed_in(FLASK_LOGIN, strategy="session")


class TestAllRequests:
    """With `request_auth=all` good tokens are told too."""

    @pytest.fixture
    def audit_trail_options(self) -> dict[str, Any]:
        return {"request_auth": "all"}

    def test_good_token(self, audit_trail: AuditTrail) -> None:
        """Whose it is and which one it was, the id of the token only as a keyed hash; a numeric subject is common."""
        post("pyjwt", token(jti="token-id-4711"))
        (record,) = told(audit_trail)
        assert record == {
            "event": "auth.verify",
            "audit.action": "verify_with_token",
            "audit.strategy": "token",
            "audit.outcome": "success",
            "audit.inferred": "true",
            "user.id": "42",
            "audit.token.id": "token-1",
            "audit.library": LIBRARY,
        }
        audit_trail.assert_no_secret("token-id-4711")
