"""Flask-HTTPAuth: credentials that requests carry, and whose they are, from an API that does not know it is watched."""

from __future__ import annotations

from functools import partial
from hashlib import md5
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import web
from .web import told

PASSWORD = "correct-horse-42-battery"
WRONG = "wrong-mule-17-accumulator"
KEY = "key-4711-of-the-story-app"
USER = "tests.stories.apps.flask_httpauth_app:User"

record = partial(web.record, "Flask-HTTPAuth", server__address="localhost", method="GET")


def verified(strategy: str, outcome: str = "failure", *, at: str | None = None, **more: str) -> web.Record:
    """Credentials that a request carried were looked at."""
    facts = {"audit__action": f"verify_with_{strategy}", "audit__strategy": strategy}
    return record("auth.verify", outcome, at=at or f"/{strategy}", **facts, **more)


def key_verified(outcome: str = "failure", *, at: str = "/key", **more: str) -> web.Record:
    """A key in a header of its own."""
    facts = {"audit__action": "sign_in_with_api_key", "audit__strategy": "api_key"}
    return record("api_key.verify", outcome, at=at, **facts, **more)


ANN = {"audit__identity": "ann"}
REFUSED = {"audit__reason": "invalid_credentials"}


@pytest.fixture
def client(audit_trail: AuditTrail) -> Any:
    """A client of the API; imported here, so that the order of import and instrumentation is the run's."""
    from .apps.flask_httpauth_app import create_app

    assert audit_trail.records == []
    return create_app(PASSWORD, KEY).test_client()


def bearer(token: str) -> dict[str, str]:
    """The header that carries *token*."""
    return {"Authorization": f"Bearer {token}"}


def digest(challenge: str, name: str, password: str) -> dict[str, str]:
    """The header that answers *challenge* (RFC 2617)."""
    offered = dict(part.strip().split("=", 1) for part in challenge.removeprefix("Digest ").split(","))
    realm, nonce, opaque = (offered[word].strip('"') for word in ("realm", "nonce", "opaque"))
    ha1, ha2 = (md5(text.encode()).hexdigest() for text in (f"{name}:{realm}:{password}", "GET:/digest"))  # noqa: S324
    response = md5(f"{ha1}:{nonce}:00000001:c:auth:{ha2}".encode()).hexdigest()  # noqa: S324
    return {
        "Authorization": f'Digest username="{name}", realm="{realm}", nonce="{nonce}", uri="/digest", opaque="{opaque}", '
        f'response="{response}", qop=auth, nc=00000001, cnonce="c"'
    }


class TestBasic:
    """A callback that checks a password, or one that says what it is."""

    def test_wrong_password(self, client: Any, audit_trail: AuditTrail) -> None:
        """The name, and the hash's own reason."""
        assert client.get("/basic", auth=("ann", WRONG)).status_code == 401
        assert told(audit_trail) == [verified("basic", audit__reason="wrong_password", **ANN)]
        audit_trail.assert_no_secret(WRONG)

    @pytest.mark.parametrize("path", ["/basic", "/plain", "/flaky", "/maybe", "/multi", "/digest", "/token", "/key"])
    def test_no_credentials_are_silent(self, client: Any, audit_trail: AuditTrail, path: str) -> None:
        """The callback is called all the same, and checks a hash, so that it takes as long."""
        client.get(path)
        client.options(path)
        client.get(path, headers={"Authorization": "Bearer"})
        assert told(audit_trail) == []

    def test_garbage(self, client: Any, audit_trail: AuditTrail) -> None:
        """The library takes it for no credentials; the answer refuses it all the same, which is concluded."""
        client.get("/basic", headers={"Authorization": "Basic not/base64!"})
        facts = {"audit__action": "verify_with_basic", "audit__strategy": "basic", "audit__inferred": "true", **REFUSED}
        garbage = web.record("Flask", "auth.verify", "failure", at="/basic", method="GET", server__address="localhost", **facts)
        assert told(audit_trail) == [garbage]

    def test_password_compared_by_the_library(self, client: Any, audit_trail: AuditTrail) -> None:
        """Where there is no password there is no user."""
        assert client.get("/plain", auth=("ann", WRONG)).status_code == 401
        assert client.get("/plain", auth=("zed", WRONG)).status_code == 401
        assert client.get("/plain", auth=("ann", PASSWORD)).status_code == 200
        assert told(audit_trail) == [
            verified("basic", at="/plain", **ANN, **REFUSED),
            verified("basic", at="/plain", audit__identity="zed", audit__reason="unknown_identity", audit__flow__id="flow-2"),
        ]

    def test_optional_credentials_that_are_wrong(self, client: Any, audit_trail: AuditTrail) -> None:
        """The page is shown, to nobody in particular; the credentials were refused."""
        assert client.get("/maybe", auth=("ann", WRONG)).json == {"user": "None"}
        assert told(audit_trail) == [verified("basic", at="/maybe", audit__reason="wrong_password", **ANN)]

    def test_role_that_is_missing_is_silent(self, client: Any, audit_trail: AuditTrail) -> None:
        """Who it is was never in doubt."""
        assert client.get("/admin", auth=("ann", PASSWORD)).status_code == 403
        assert told(audit_trail) == []

    @pytest.mark.parametrize(
        ("name", "outcome", "reason", "error"),
        [
            ("crash", "unknown", "backend_error", "OSError"),
            ("503", "unknown", "backend_error", "ServiceUnavailable"),
            ("401", "failure", "invalid_credentials", "Unauthorized"),
            ("403", "failure", "permission_denied", "Forbidden"),
            ("429", "failure", "rate_limited", "TooManyRequests"),
            ("ann", "failure", "invalid_credentials", ""),
        ],
    )
    def test_callback_that_raises(
        self, client: Any, audit_trail: AuditTrail, *, name: str, outcome: str, reason: str, error: str
    ) -> None:
        """An async callback that refuses by itself, breaks, or says no."""
        client.get("/flaky", auth=(name, WRONG))
        more = {"error__type": error} if error else {}
        assert told(audit_trail) == [verified("basic", outcome, at="/flaky", audit__identity=name, audit__reason=reason, **more)]


class TestOthers:
    """Digest, tokens, keys, and several of them at one door."""

    def test_digest(self, client: Any, audit_trail: AuditTrail) -> None:
        """The challenge is silent; a wrong password and an unknown user are not."""
        for name, password in (("ann", PASSWORD), ("ann", WRONG), ("zed", WRONG)):
            challenge = client.get("/digest").headers["WWW-Authenticate"]
            client.get("/digest", headers=digest(challenge, name, password))
        assert told(audit_trail) == [
            verified("digest", **ANN, **REFUSED),
            verified("digest", audit__identity="zed", audit__reason="unknown_identity", audit__flow__id="flow-2"),
        ]

    def test_token(self, client: Any, audit_trail: AuditTrail) -> None:
        """A wrong token is nobody's."""
        assert client.get("/token", headers=bearer(KEY)).status_code == 200
        assert client.get("/token", headers=bearer(WRONG)).status_code == 401
        assert told(audit_trail) == [verified("token", **REFUSED)]
        audit_trail.assert_no_secret(WRONG, KEY)

    def test_key(self, client: Any, audit_trail: AuditTrail) -> None:
        """A header of its own makes it an API key."""
        assert client.get("/key", headers={"X-API-Key": KEY}).status_code == 200
        assert client.get("/key", headers={"X-API-Key": WRONG}).status_code == 401
        assert told(audit_trail) == [key_verified(**REFUSED)]
        audit_trail.assert_no_secret(WRONG, KEY)

    def test_several_at_one_door(self, client: Any, audit_trail: AuditTrail) -> None:
        """Each credential is looked at by the scheme that takes it, once."""
        client.get("/multi", auth=("ann", WRONG))
        client.get("/multi", headers=bearer(WRONG))
        client.get("/multi", headers={"X-API-Key": WRONG})
        client.get("/multi", headers={"Authorization": f"Other {WRONG}"})
        assert told(audit_trail) == [
            verified("basic", at="/multi", audit__reason="wrong_password", **ANN),
            verified("token", at="/multi", audit__flow__id="flow-2", **REFUSED),
            key_verified(at="/multi", audit__flow__id="flow-3", **REFUSED),
        ]


class TestEverythingRecorded:
    """Option `request_auth=all`."""

    @pytest.fixture
    def audit_trail_options(self) -> dict[str, Any]:
        """Successes too."""
        return {"request_auth": "all", "identity_privacy_mode": "none"}

    def test_whose_credentials_they_were(self, client: Any, audit_trail: AuditTrail) -> None:
        """What the callback returns: an object, a name, true, a dictionary."""
        client.get("/maybe")
        client.get("/basic", auth=("ann", PASSWORD))
        client.get("/plain", auth=("ann", PASSWORD))
        client.get("/flaky", auth=("ann", PASSWORD))
        client.get("/token", headers=bearer(KEY))
        client.get("/key", headers={"X-API-Key": KEY})
        told_flows = [{name: value for name, value in one.items() if name != "audit.flow.id"} for one in told(audit_trail)]
        expected = [
            verified("basic", "success", user__id="7", audit__resource=USER, **ANN),
            verified("basic", "success", at="/plain", user__id="ann", **ANN),
            verified("basic", "success", at="/flaky", user__id="ann", **ANN),
            verified("token", "success", user__id="7"),
            key_verified("success", user__id="7"),
        ]
        assert told_flows == [{name: value for name, value in one.items() if name != "audit.flow.id"} for one in expected]
