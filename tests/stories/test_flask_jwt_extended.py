"""Flask-JWT-Extended: tokens handed out, carried, renewed and refused, from an API that does not know it is watched."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import web
from .web import told

PASSWORD = "correct-horse-42-battery"
WRONG = "wrong-mule-17-accumulator"

record = partial(web.record, "Flask-JWT-Extended", server__address="localhost")
SIGNED_IN = {
    "audit__action": "sign_in_with_password",
    "audit__strategy": "password",
    "audit__identity": "ann",
    "audit__token__id": "token-1",
    "user__id": "7",
}
ANN = {"audit__token__id": "token-1", "user__id": "7"}


def verified(outcome: str = "failure", *, at: str = "/inside", method: str = "GET", **more: str) -> web.Record:
    """A token that a request carried was looked at."""
    facts = {"audit__action": "verify_with_token", "audit__strategy": "token"}
    return record("auth.verify", outcome, at=at, method=method, **facts, **more)


def refreshed(outcome: str = "success", *, at: str = "/refresh", **more: str) -> web.Record:
    """A token was exchanged for another one, or refused."""
    return record("token.refresh", outcome, at=at, audit__action="refresh_token", audit__strategy="token", **more)


def issued(*, at: str, **more: str) -> web.Record:
    """A token was handed out, and not for a password."""
    return record("token.issue", at=at, audit__action="issue_token", audit__strategy="token", **more)


@pytest.fixture
def make(audit_trail: AuditTrail) -> Any:
    """Makes the API; imported here, so that the order of import and instrumentation is the run's."""
    from .apps.flask_jwt_extended_app import create_app

    assert audit_trail.records == []
    return partial(create_app, PASSWORD)


@pytest.fixture
def client(make: Any) -> Any:
    """A client of the API with tokens in headers."""
    return make().test_client()


@pytest.fixture
def browser(make: Any) -> Any:
    """A browser of the API with tokens in cookies."""
    return make("cookies").test_client()


def sign_in(client: Any, username: str = "ann", password: str = PASSWORD) -> dict[str, str]:
    """Both tokens for a password."""
    answer: dict[str, str] = client.post("/login", json={"username": username, "password": password}).json
    return answer


def bearer(token: str) -> dict[str, str]:
    """The header that carries *token*."""
    return {"Authorization": f"Bearer {token}"}


def forged(**claims: Any) -> dict[str, str]:
    """A token made with the API's own secret; None takes a claim away."""
    import jwt

    from .apps.flask_jwt_extended_app import SECRET

    secret = claims.pop("secret", SECRET)
    usual = {"sub": "7", "jti": "forged", "type": "access", "fresh": False, "iss": "story", "exp": int(time.time()) + 60}
    return bearer(jwt.encode({k: v for k, v in {**usual, **claims}.items() if v is not None}, secret, algorithm="HS256"))


def cookie(client: Any, name: str) -> str:
    """The value of a cookie that the browser has."""
    value: str = client.get_cookie(name).value
    return value


def taken_away(answer: Any, name: str) -> bool:
    """Whether an answer ends a cookie. Asked of the answer: the test client of Werkzeug before 2.3.2 keeps such a cookie, empty."""
    gone = f"{name}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT;"
    return any(header.startswith(gone) for header in answer.headers.getlist("Set-Cookie"))


class TestSigningIn:
    """Tokens for a password."""

    def test_two_tokens_are_one_sign_in(self, client: Any, audit_trail: AuditTrail) -> None:
        """The hash, the access token and the refresh token are one record; the subject is what the token says, not the object."""
        tokens = sign_in(client)
        assert told(audit_trail) == [record("auth.sign_in", at="/login", audit__params__fresh="true", **SIGNED_IN)]
        audit_trail.assert_no_secret(PASSWORD, tokens["access"], tokens["refresh"])

    def test_wrong_password(self, client: Any, audit_trail: AuditTrail) -> None:
        """The library is not asked: only the hash speaks, concluded, with the name that the view has read."""
        sign_in(client, password=WRONG)
        facts = {
            "audit__action": "authenticate_with_password",
            "audit__strategy": "password",
            "audit__identity": "ann",
            "audit__reason": "wrong_password",
            "audit__inferred": "true",
        }
        failed = web.record("Werkzeug", "auth.authenticate", "failure", at="/login", server__address="localhost", **facts)
        assert told(audit_trail) == [failed]
        audit_trail.assert_no_secret(WRONG)

    def test_unknown_user_is_not_seen(self, client: Any, audit_trail: AuditTrail) -> None:
        """Nothing is called that could tell."""
        sign_in(client, "zed")
        assert told(audit_trail) == []

    def test_sign_in_with_cookies(self, browser: Any, audit_trail: AuditTrail) -> None:
        """The same where the tokens become cookies."""
        browser.post("/login-cookies", data={"username": "ann", "password": PASSWORD})
        assert told(audit_trail) == [record("auth.sign_in", at="/login-cookies", **SIGNED_IN)]

    def test_token_made_at_a_command_line(self, make: Any, audit_trail: AuditTrail) -> None:
        """No request: a token was handed out, by nobody known."""
        from flask_jwt_extended import create_access_token

        with make().app_context():
            create_access_token("7", additional_claims={"unwanted": True})
        (one,) = told(audit_trail)
        assert {name: one[name] for name in ("event", "audit.outcome", "user.id", "audit.token.id")} == {
            "event": "token.issue",
            "audit.outcome": "success",
            "user.id": "7",
            "audit.token.id": "token-1",
        }

    def test_token_that_cannot_be_made(self, make: Any, audit_trail: AuditTrail) -> None:
        """Claims that cannot be written: nobody got a token."""
        from flask_jwt_extended import create_access_token

        with make().app_context(), pytest.raises(TypeError, match="serializable"):
            create_access_token("7", additional_claims={"when": object()})
        (one,) = told(audit_trail)
        assert (one["event"], one["audit.outcome"], one["error.type"]) == ("token.issue", "unknown", "TypeError")


class TestCarried:
    """Tokens that requests carry."""

    def test_good_token_is_silent(self, client: Any, audit_trail: AuditTrail) -> None:
        """A million requests are no events, unless `request_auth=all` says so."""
        assert client.get("/inside", headers=forged()).status_code == 200
        assert told(audit_trail) == []

    @pytest.mark.parametrize("path", ["/inside", "/maybe", "/fresh"])
    def test_no_token_is_silent(self, client: Any, audit_trail: AuditTrail, path: str) -> None:
        """Nothing was shown that could be right or wrong; nor is another scheme's credential a token."""
        client.get(path)
        client.get(path, headers={"Authorization": "Basic YW5uOnNlY3JldA=="})
        client.options(path)
        assert told(audit_trail) == []

    @pytest.mark.parametrize(
        ("claims", "reason", "error", "whose"),
        [
            ({"exp": 1}, "token_expired", "ExpiredSignatureError", ANN),
            ({"nbf": 2**33, "exp": 2**34}, "token_not_yet_valid", "ImmatureSignatureError", {}),
            ({"secret": "another-secret-of-thirty-two-byte"}, "token_bad_signature", "InvalidSignatureError", {}),
            ({"iss": "elsewhere"}, "token_wrong_issuer", "InvalidIssuerError", {}),
            ({"sub": None}, "token_malformed", "JWTDecodeError", {"audit__token__id": "token-1"}),
            ({"type": "refresh"}, "token_wrong_type", "WrongTokenError", ANN),
            ({"sub": "99"}, "unknown_identity", "UserLookupError", {**ANN, "user__id": "99"}),
            ({"unwanted": True}, "policy_denied", "UserClaimsVerificationError", ANN),
        ],
    )
    def test_refused_token(
        self, client: Any, audit_trail: AuditTrail, *, claims: Any, reason: str, error: str, whose: dict[str, str]
    ) -> None:
        """Why, and whose it is where the signature is right."""
        assert client.get("/inside", headers=forged(**claims)).status_code in {401, 422, 400}
        assert told(audit_trail) == [verified(audit__reason=reason, error__type=error, **whose)]

    @pytest.mark.parametrize("header", ["Bearer not-a-token", "Bearer", "Bearer two parts"])
    def test_garbage(self, client: Any, audit_trail: AuditTrail, header: str) -> None:
        """What is no token, or no header of one."""
        assert client.get("/maybe", headers={"Authorization": header}).status_code == 422
        (one,) = told(audit_trail)
        assert one == verified(at="/maybe", audit__reason="token_malformed", error__type=one["error.type"])
        audit_trail.assert_no_secret("not-a-token")

    def test_token_that_is_not_fresh(self, client: Any, audit_trail: AuditTrail) -> None:
        """A good token, and not good enough."""
        assert client.get("/fresh", headers=forged()).status_code == 401
        assert told(audit_trail) == [
            verified(at="/fresh", audit__reason="policy_denied", error__type="FreshTokenRequired", **ANN)
        ]
        assert client.get("/fresh", headers=forged(fresh=True)).status_code == 200
        assert told(audit_trail) == []

    def test_blocked_token(self, client: Any, audit_trail: AuditTrail) -> None:
        """That it was blocked is the application's own business; that it is refused from then on is on the record."""
        header = forged()
        assert client.delete("/token", headers=header).status_code == 200
        assert told(audit_trail) == []
        assert client.get("/inside", headers=header).status_code == 401
        assert told(audit_trail) == [verified(audit__reason="token_revoked", error__type="RevokedTokenError", **ANN)]

    def test_block_list_that_is_down(self, client: Any, audit_trail: AuditTrail) -> None:
        """Nobody knows whether the token was good."""
        assert client.get("/inside", headers={**forged(), "X-Store": "down"}).status_code == 500
        assert told(audit_trail) == [verified("unknown", audit__reason="backend_error", error__type="OSError", **ANN)]

    def test_deleted_user(self, client: Any, audit_trail: AuditTrail) -> None:
        """The token outlives the account, the sign-in does not."""
        client.delete("/account", headers=forged())
        assert client.get("/inside", headers=forged()).status_code == 401
        assert told(audit_trail) == [verified(audit__reason="unknown_identity", error__type="UserLookupError", **ANN)]

    def test_missing_csrf_token(self, browser: Any, audit_trail: AuditTrail) -> None:
        """A cookie alone changes nothing: the request may have been made by another site."""
        browser.post("/login-cookies", data={"username": "ann", "password": PASSWORD})
        told(audit_trail)
        assert browser.get("/inside").status_code == 200
        assert browser.post("/inside").status_code == 401
        assert browser.post("/inside", headers={"X-CSRF-TOKEN": "guess"}).status_code == 401
        good = {"X-CSRF-TOKEN": cookie(browser, "csrf_access_token")}
        assert browser.post("/inside", headers=good).status_code == 200
        facts = {"method": "POST", "audit__reason": "csrf_failed", "error__type": "CSRFError"}
        assert told(audit_trail) == [verified(**facts), verified(**facts, **ANN, audit__flow__id="flow-2")]

    def test_expired_cookie(self, browser: Any, audit_trail: AuditTrail) -> None:
        """The application takes the cookie away: a refusal, no sign-out."""
        browser.set_cookie("access_token_cookie", forged(exp=1)["Authorization"].removeprefix("Bearer "))
        answer = browser.get("/inside")
        assert answer.status_code == 401
        assert taken_away(answer, "access_token_cookie")
        assert told(audit_trail) == [verified(audit__reason="token_expired", error__type="ExpiredSignatureError", **ANN)]

    def test_token_in_the_query(self, make: Any, audit_trail: AuditTrail) -> None:
        """Found in the second place that the API looks at; of the query nothing is on the record."""
        client = make("headers", "query_string").test_client()
        token = forged(exp=1)["Authorization"].removeprefix("Bearer ")
        assert client.get(f"/inside?jwt={token}").status_code == 401
        assert told(audit_trail) == [verified(audit__reason="token_expired", error__type="ExpiredSignatureError", **ANN)]
        audit_trail.assert_no_secret(token)


class TestEverythingRecorded:
    """Option `request_auth=all`."""

    @pytest.fixture
    def audit_trail_options(self) -> dict[str, Any]:
        """Successes of requests, and of refreshes, too."""
        return {"request_auth": "all", "include_events": "token.refresh", "include_actions": "*", "identity_privacy_mode": "none"}

    def test_good_token(self, client: Any, audit_trail: AuditTrail) -> None:
        """Whose it is, and which."""
        client.get("/maybe")
        client.get("/inside", headers=forged())
        assert told(audit_trail) == [verified("success", **ANN)]

    def test_refresh(self, client: Any, audit_trail: AuditTrail) -> None:
        """The refresh token was good, and a new access token was minted for it."""
        client.post("/refresh", headers=forged(type="refresh"))
        assert told(audit_trail) == [
            verified("success", at="/refresh", method="POST", **ANN),
            refreshed(user__id="7", audit__token__id="token-2"),
        ]

    def test_implicit_refresh(self, client: Any, audit_trail: AuditTrail) -> None:
        """A token like the one that is carried, before that one expires."""
        client.post("/renew", headers=forged())
        assert told(audit_trail) == [
            verified("success", at="/renew", method="POST", **ANN),
            refreshed(at="/renew", user__id="7", audit__token__id="token-2"),
        ]


class TestRenewing:
    """Tokens for tokens."""

    def test_refresh_is_silent_until_asked_for(self, client: Any, audit_trail: AuditTrail) -> None:
        """Every quarter of an hour for every user."""
        tokens = sign_in(client)
        told(audit_trail)
        assert client.post("/refresh", headers=bearer(tokens["refresh"])).status_code == 200
        assert told(audit_trail) == []

    @pytest.mark.parametrize(
        ("claims", "reason", "error"),
        [
            ({"type": "refresh", "exp": 1}, "token_expired", "ExpiredSignatureError"),
            ({}, "token_wrong_type", "WrongTokenError"),
        ],
    )
    def test_refused_refresh(self, client: Any, audit_trail: AuditTrail, claims: Any, reason: str, error: str) -> None:
        """A refresh that did not happen."""
        assert client.post("/refresh", headers=forged(**claims)).status_code in {401, 422}
        assert told(audit_trail) == [refreshed("failure", audit__reason=reason, error__type=error, **ANN)]

    def test_long_lived_token(self, client: Any, audit_trail: AuditTrail) -> None:
        """A token for a year is no refresh, whatever the request carried."""
        assert client.post("/key", headers=forged()).status_code == 200
        assert told(audit_trail) == [issued(at="/key", **ANN)]

    def test_token_for_somebody_else(self, client: Any, audit_trail: AuditTrail) -> None:
        """A token of another subject than the one carried."""
        assert client.post("/for/bob", headers=forged()).status_code == 200
        assert told(audit_trail) == [issued(at="/for/<name>", user__id="8", audit__token__id="token-1")]


class TestSigningOut:
    """Cookies that the application takes away."""

    def signed_out(self, at: str = "/logout", **more: str) -> web.Record:
        """A sign-out."""
        return record("auth.sign_out", at=at, audit__action="sign_out", audit__strategy="token", **more)

    def test_sign_out(self, browser: Any, audit_trail: AuditTrail) -> None:
        """The view asks for no token: somebody signed out. Without a cookie nobody did."""
        browser.post("/login-cookies", data={"username": "ann", "password": PASSWORD})
        told(audit_trail)
        browser.post("/logout")
        browser.post("/logout")
        assert told(audit_trail) == [self.signed_out()]

    def test_empty_cookie(self, browser: Any, audit_trail: AuditTrail) -> None:
        """A browser that kept the cookie without its value: nobody was signed in, so nobody signed out."""
        browser.set_cookie("access_token_cookie", "")
        assert taken_away(browser.post("/logout"), "access_token_cookie")
        assert told(audit_trail) == []

    def test_known_sign_out(self, browser: Any, audit_trail: AuditTrail) -> None:
        """The view asks for a token: whose it was is on the record."""
        browser.post("/login-cookies", data={"username": "ann", "password": PASSWORD})
        told(audit_trail)
        browser.post("/logout-known", headers={"X-CSRF-TOKEN": cookie(browser, "csrf_access_token")})
        assert told(audit_trail) == [self.signed_out("/logout-known", **ANN)]
