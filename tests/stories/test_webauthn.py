"""py_webauthn: keys that sign in, keys that are stored, and every way of being refused, with a security key of software."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import Any

import pytest
from packaging.version import Version

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import web
from .authenticator import USER_PRESENT, Authenticator, text
from .web import told

record = partial(web.record, "webauthn", server__address="localhost")
TELLS = Version(version("webauthn")) >= Version("2.5")
"""Whether the library returns that the key knew its owner; at registration it always does."""


def knew_owner(answer: str) -> dict[str, str]:
    """Whether the key that signed knew its owner."""
    return {"audit__params__user_verified": answer} if TELLS else {}


VERIFIED = knew_owner("true")
KEY = {"audit__token__id": "token-1"}


def authenticated(event: str, outcome: str = "success", *, at: str = "/check", **more: str) -> web.Record:
    """A key signed a challenge."""
    verb = {"auth.authenticate": "authenticate", "auth.sign_in": "sign_in"}[event]
    return record(event, outcome, at=at, audit__action=f"{verb}_with_webauthn", audit__strategy="webauthn", **KEY, **more)


def enrolled(outcome: str = "success", **more: str) -> web.Record:
    """A key was to be stored."""
    return record(
        "mfa.enroll", outcome, at="/register", audit__action="setup_with_webauthn", audit__strategy="webauthn", **KEY, **more
    )


NEW = {"audit__params__user_verified": "true", "audit__params__aaguid": "00000000-0000-0000-0000-000000000000"}


@pytest.fixture
def client(audit_trail: AuditTrail) -> Any:
    """A browser; the application is imported here, so that the order of import and instrumentation is the run's."""
    from .apps.webauthn_app import create_app

    assert audit_trail.records == []
    app = create_app()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app.test_client()


@pytest.fixture
def key() -> Authenticator:
    """A security key of its owner."""
    return Authenticator("localhost", "http://localhost")


@pytest.fixture
def stored(client: Any, key: Authenticator, audit_trail: AuditTrail) -> Authenticator:
    """The key, known to the application."""
    assert client.post("/register", json=key.attest(challenge(client, "/register"))).status_code == 200
    told(audit_trail)
    return key


def challenge(client: Any, path: str = "/login") -> str:
    """What the application wants signed."""
    asked: str = client.get(path).json["challenge"]
    return asked


class TestStoring:
    """Registration of a key."""

    def test_key_is_stored(self, client: Any, key: Authenticator, audit_trail: AuditTrail) -> None:
        """Which key, of what model, and whether it knows its owner; the challenge and the key itself stay out."""
        asked = challenge(client, "/register")
        assert client.post("/register", json=key.attest(asked)).status_code == 200
        assert told(audit_trail) == [enrolled(**NEW)]
        audit_trail.assert_no_secret(asked, text(key.key_id), text(key.public_key))

    def test_right_answer_that_is_refused(self, client: Any, key: Authenticator, audit_trail: AuditTrail) -> None:
        """The application has enough keys of this user."""
        client.post("/register?full", json=key.attest(challenge(client, "/register")))
        assert told(audit_trail) == [enrolled("failure", audit__reason="rejected_after_verification", **NEW)]

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"challenge": text(b"another challenge")}, "nonce_mismatch"),
            ({"origin": "https://phishing.example"}, "token_wrong_audience"),
            ({"type": "webauthn.get"}, "token_wrong_type"),
        ],
    )
    def test_wrong_answer(
        self, client: Any, key: Authenticator, audit_trail: AuditTrail, changed: dict[str, str], reason: str
    ) -> None:
        """Signed, but not what was asked for."""
        asked = challenge(client, "/register")
        client.post("/register", json=key.attest(**{"challenge": asked, **changed}))
        assert told(audit_trail) == [enrolled("failure", audit__reason=reason, error__type="InvalidRegistrationResponse")]

    def test_key_that_does_not_know_its_owner(self, client: Any, key: Authenticator, audit_trail: AuditTrail) -> None:
        """The application wants a PIN or a fingerprint."""
        key.flags = USER_PRESENT
        client.post("/register", json=key.attest(challenge(client, "/register")))
        assert told(audit_trail) == [
            enrolled("failure", audit__reason="policy_denied", error__type="InvalidRegistrationResponse")
        ]

    def test_garbage(self, client: Any, audit_trail: AuditTrail) -> None:
        """No JSON, or JSON of something else: nobody's key."""
        challenge(client, "/register")
        client.post("/register", data="no json")
        client.post("/register", data='{"id": 7}')
        (first, second) = told(audit_trail)
        expected = enrolled("failure", audit__reason="token_malformed", error__type="InvalidJSONStructure")
        del expected["audit.token.id"]
        assert first == expected
        assert second == {**expected, "audit.flow.id": "flow-2"}


class TestSigning:
    """A key signs a challenge."""

    def test_right_signature_alone(self, client: Any, stored: Authenticator, audit_trail: AuditTrail) -> None:
        """No session follows that a library makes: right credentials, and no more."""
        assert client.post("/check", json=stored.sign(challenge(client))).status_code == 200
        assert told(audit_trail) == [authenticated("auth.authenticate", **VERIFIED)]

    def test_sign_in(self, client: Any, stored: Authenticator, audit_trail: AuditTrail) -> None:
        """The check and the session are one record, which knows how it was won."""
        assert client.post("/login", json=stored.sign(challenge(client))).status_code == 200
        facts = {"audit__action": "sign_in_with_webauthn", "audit__strategy": "webauthn", "user__id": "7", **KEY, **VERIFIED}
        where = {"at": "/login", "server__address": "localhost", "audit__resource": "tests.stories.apps.webauthn_app:User"}
        assert told(audit_trail) == [web.record("Flask-Login", "auth.sign_in", **where, **facts)]

    def test_right_signature_that_is_refused(self, client: Any, stored: Authenticator, audit_trail: AuditTrail) -> None:
        """The key is right, its owner is not welcome."""
        client.post("/check?disabled", json=stored.sign(challenge(client)))
        assert told(audit_trail) == [
            authenticated("auth.sign_in", "failure", audit__reason="rejected_after_verification", **VERIFIED)
        ]

    def refused(self, reason: str, **more: str) -> web.Record:
        """A sign-in that failed."""
        facts = {"audit__reason": reason, "error__type": "InvalidAuthenticationResponse", **more}
        return authenticated("auth.sign_in", "failure", **facts)

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"challenge": text(b"another challenge")}, "nonce_mismatch"),
            ({"origin": "https://phishing.example"}, "token_wrong_audience"),
            ({"type": "webauthn.create"}, "token_wrong_type"),
        ],
    )
    def test_wrong_answer(
        self, client: Any, stored: Authenticator, audit_trail: AuditTrail, changed: dict[str, str], reason: str
    ) -> None:
        """Rightly signed, but not what was asked for: an old answer, one for another site."""
        asked = challenge(client)
        client.post("/check", json=stored.sign(**{"challenge": asked, **changed}))
        assert told(audit_trail) == [self.refused(reason)]
        audit_trail.assert_no_secret(asked)

    def test_another_key(self, client: Any, stored: Authenticator, audit_trail: AuditTrail) -> None:
        """Somebody claims to have the key, and signs with another one."""
        thief = Authenticator(stored.rp_id, stored.origin, key_id=stored.key_id)
        client.post("/check", json=thief.sign(challenge(client)))
        assert told(audit_trail) == [self.refused("token_bad_signature")]

    def test_key_of_another_site(self, client: Any, stored: Authenticator, audit_trail: AuditTrail) -> None:
        """What browsers do not let happen."""
        stored.rp_id = "phishing.example"
        client.post("/check", json=stored.sign(challenge(client)))
        assert told(audit_trail) == [self.refused("token_wrong_audience")]

    def test_copied_key(self, client: Any, stored: Authenticator, audit_trail: AuditTrail) -> None:
        """The counter of a copy lags behind."""
        stored.count = 5
        client.post("/check", json=stored.sign(challenge(client)))
        told(audit_trail)
        stored.count = 3
        client.post("/check", json=stored.sign(challenge(client)))
        assert told(audit_trail) == [self.refused("token_reused")]

    def test_key_that_does_not_know_its_owner(self, client: Any, stored: Authenticator, audit_trail: AuditTrail) -> None:
        """Found in the street: enough where a second factor is wanted, and the record says so, not enough for a first one."""
        stored.flags = USER_PRESENT
        client.post("/check", json=stored.sign(challenge(client)))
        assert told(audit_trail) == [authenticated("auth.authenticate", **knew_owner("false"))]
        client.post("/check?strict", json=stored.sign(challenge(client)))
        assert told(audit_trail) == [self.refused("policy_denied")]

    def test_damaged_answer(self, client: Any, stored: Authenticator, audit_trail: AuditTrail) -> None:
        """No authenticator wrote this."""
        answer = stored.sign(challenge(client))
        answer["response"]["authenticatorData"] = text(b"short")
        client.post("/check", json=answer)
        (one,) = told(audit_trail)
        assert one == self.refused("token_malformed", error__type=one["error.type"])

    def test_unknown_key_is_not_seen(self, client: Any, key: Authenticator, audit_trail: AuditTrail) -> None:
        """The library is not asked."""
        assert client.post("/check", json=key.sign(challenge(client))).status_code == 404
        assert told(audit_trail) == []

    def test_damaged_store(self, client: Any, stored: Authenticator, audit_trail: AuditTrail) -> None:
        """What the application has stored is no key: nobody knows whether the signature was right."""
        client.post("/break")
        client.post("/check", json=stored.sign(challenge(client)))
        (one,) = told(audit_trail)
        assert one == authenticated("auth.sign_in", "unknown", audit__reason="backend_error", error__type=one["error.type"])
