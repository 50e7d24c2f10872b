"""oauthlib: an authorization server and the API its tokens open, both on loopback, and clients that ask them over HTTP."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import web
from .servers import werkzeug
from .web import Record, told

VERIFIER = "pomegranate-scaffold-58-drizzle-anvil-cobalt-meadow"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ANN = {"user__id": "1", "audit__resource": "tests.stories.apps.oauthlib_app:User"}
SHOP = {"audit__params__client_id": "shop"}
ACTOR = {"audit__actor__id": "client:shop", "audit__actor__type": "service"}


def record(event: str, outcome: str = "success", *, at: str = "/token", strategy: str = "oauth2", **more: str) -> Record:
    """A whole record of the server."""
    actions = {
        "auth.sign_in": f"sign_in_with_{strategy}",
        "auth.verify": f"verify_with_{strategy}",
        "consent.grant": "grant_consent",
        "oauth.authorize": f"request_{strategy}",
        "token.issue": "issue_token",
        "token.refresh": "refresh_token",
        "token.revoke": "revoke_token",
    }
    facts = {"audit__action": actions[event], "audit__strategy": strategy, "server__address": "127.0.0.1"}
    return web.record("oauthlib", event, outcome, at=at, **{**facts, **more})


def issued(grant: str, scope: str = "read write", **more: str) -> Record:
    """A token, or what became of the wish for one."""
    return record("token.issue", audit__params__grant_type=grant, audit__params__scope=scope, **{**SHOP, **more})


@pytest.fixture
def audit_trail_options(audit_trail_options: dict[str, Any]) -> dict[str, Any]:
    """Consent and good tokens are of interest here."""
    events = "consent.grant,oauth.authorize,token.refresh"
    return {**audit_trail_options, "include_events": events, "request_auth": "all"}


@pytest.fixture
def server(audit_trail: AuditTrail) -> Iterator[Any]:
    """The server; no story leaves a secret in the trail."""
    from .apps.oauthlib_app import CONSUMER_SECRET, PASSWORD, SECRET, create_app

    seen: list[str] = []

    def note(response: Any) -> None:
        response.read()
        handed = {**dict(parse_qsl(urlsplit(response.headers.get("location", "")).query)), **_json(response)}
        seen.extend(value for name, value in handed.items() if name in {"code", "access_token", "refresh_token"})

    with (
        werkzeug(create_app()) as address,
        httpx.Client(base_url=address, event_hooks={"response": [note]}) as client,
    ):
        yield client
    audit_trail.assert_no_secret(PASSWORD, SECRET, CONSUMER_SECRET, VERIFIER, *seen)


def _json(response: Any) -> dict[str, Any]:
    return response.json() if response.text.startswith("{") else {}


def ask(server: Any, grant: str, *, client: str = "shop", secret: str | None = None, status: int = 200, **more: str) -> Any:
    """Ask for a token, as a confidential client."""
    from .apps.oauthlib_app import SECRET

    answer = server.post("/token", data={"grant_type": grant, **more}, auth=(client, secret or SECRET))
    assert answer.status_code == status, answer.text
    return answer.json()


def authorize(server: Any, method: str = "POST", **more: str) -> dict[str, str]:
    """Ann consents; what her browser is sent back with."""
    from .apps.oauthlib_app import CALLBACK

    fields = {"response_type": "code", "client_id": "shop", "redirect_uri": CALLBACK, "scope": "read write", "state": "xyz"}
    answer = server.request(method, "/authorize", params={**fields, **more})
    parts = urlsplit(answer.headers.get("location", ""))
    return dict([*parse_qsl(parts.query), *parse_qsl(parts.fragment)])


def exchange(server: Any, code: str, **more: Any) -> Any:
    """Exchange a code."""
    from .apps.oauthlib_app import CALLBACK

    return ask(server, "authorization_code", **{"code": code, "redirect_uri": CALLBACK, **more})


def test_authorization_code(server: Any, audit_trail: AuditTrail) -> None:
    """Ann consents, her client gets its token, and the API lets it in: three records."""
    token = exchange(server, authorize(server)["code"])
    assert server.get("/api", headers={"Authorization": f"Bearer {token['access_token']}"}).text == "1"
    asked = {"audit__params__response_type": "code", "audit__params__scope": "read write", **SHOP, **ANN}
    first, second, third = told(audit_trail)
    assert first == record("consent.grant", at="/authorize", **asked)
    assert second == issued("authorization_code", audit__flow__id="flow-2", **ANN)
    assert third == record("auth.verify", at="/api", strategy="token", method="GET", audit__flow__id="flow-3", **SHOP, **ANN)


def test_openid_connect(server: Any, audit_trail: AuditTrail) -> None:
    """The scope `openid` makes it OpenID Connect; its grants hand on to oauthlib's own and are not counted twice."""
    token = exchange(server, authorize(server, scope="openid read", nonce="n-0S6")["code"])
    assert token["id_token"]
    assert server.get("/userinfo", headers={"Authorization": f"Bearer {token['access_token']}"}).json() == {"sub": "1"}
    first, second, third = told(audit_trail)
    oidc = {"strategy": "oidc", "audit__params__scope": "openid read", **SHOP, **ANN}
    assert first == record("consent.grant", at="/authorize", audit__params__response_type="code", **oidc)
    assert second == record("token.issue", audit__params__grant_type="authorization_code", audit__flow__id="flow-2", **oidc)
    assert third["http.route"] == "/userinfo"
    assert third["audit.outcome"] == "success"


@pytest.mark.parametrize("response_type", ["token", "id_token token", "code id_token token"])
def test_token_from_the_authorization_endpoint(server: Any, audit_trail: AuditTrail, response_type: str) -> None:
    """Implicit and hybrid flows hand a token to the browser: that is an issue of one, told once."""
    scope = "read write" if response_type == "token" else "openid read"
    assert authorize(server, response_type=response_type, nonce="n-0S6", scope=scope)["access_token"]
    strategy = "oauth2" if response_type == "token" else "oidc"
    asked = {"audit__params__response_type": response_type, "audit__params__scope": scope, **SHOP, **ANN}
    assert told(audit_trail) == [record("token.issue", at="/authorize", strategy=strategy, **asked)]


def doubted(reason: str, error: str, **more: str) -> Record:
    """An authorization request that was refused."""
    asked = {"audit__params__response_type": "code", "audit__params__scope": "read write", **SHOP}
    return record("oauth.authorize", "failure", at="/authorize", audit__reason=reason, error__type=error, **{**asked, **more})


@pytest.mark.parametrize(
    ("change", "reason", "error"),
    [
        ({"redirect_uri": "http://127.0.0.1/elsewhere"}, "redirect_mismatch", "invalid_request"),
        ({"client_id": "nobody"}, "unknown_identity", "invalid_request"),
        ({"client_id": "phone"}, "pkce_failed", "invalid_request"),
        ({"scope": "everything"}, "insufficient_scope", "invalid_scope"),
        ({"code_challenge": "x", "code_challenge_method": "rot13"}, "pkce_failed", "invalid_request"),
    ],
)
def test_authorization_request_refused(
    server: Any, audit_trail: AuditTrail, change: dict[str, str], reason: str, error: str
) -> None:
    """Before ann is asked: where it would lead, who asks, how and for what."""
    authorize(server, "GET", **change)
    more = {f"audit__params__{name}": change[name] for name in ("client_id", "scope") if name in change}
    assert told(audit_trail) == [doubted(reason, error, method="GET", **more)]


def test_silent_sign_in_without_a_session(server: Any, audit_trail: AuditTrail) -> None:
    """`prompt=none`, and nobody is signed in."""
    authorize(server, "GET", scope="openid", prompt="none")
    (one,) = told(audit_trail)
    assert (one["event"], one["audit.reason"], one["error.type"]) == ("oauth.authorize", "session_missing", "login_required")


@pytest.mark.parametrize(
    ("change", "reason", "error", "status"),
    [
        ({"code": "nonsense-code-31-violet"}, "invalid_code", "invalid_grant", 400),
        ({"redirect_uri": "http://127.0.0.1/elsewhere"}, "redirect_mismatch", "invalid_request", 400),
        ({"secret": "wrong-secret-90-copper"}, "invalid_credentials", "invalid_client", 401),
        ({"client": "nobody"}, "invalid_credentials", "invalid_client", 401),
        ({"client": "kiosk"}, "policy_denied", "unauthorized_client", 400),
    ],
)
def test_code_refused(server: Any, audit_trail: AuditTrail, change: dict[str, str], reason: str, error: str, status: int) -> None:
    """Every way in which the exchange of a code fails."""
    code = authorize(server)["code"]
    told(audit_trail)
    exchange(server, **{"code": code, **change, "status": status})  # type: ignore[arg-type]
    (one,) = told(audit_trail)
    known = {**ANN, "audit__params__scope": "read write"} if reason == "redirect_mismatch" else {}
    facts = {"audit__params__client_id": change.get("client", "shop"), "audit__reason": reason, "error__type": error}
    assert one == record("token.issue", "failure", audit__params__grant_type="authorization_code", **known, **facts)


def test_code_used_twice(server: Any, audit_trail: AuditTrail) -> None:
    """The second use is refused."""
    code = authorize(server)["code"]
    exchange(server, code)
    exchange(server, code, status=400)
    assert [(one["event"], one["audit.outcome"]) for one in told(audit_trail)] == [
        ("consent.grant", "success"),
        ("token.issue", "success"),
        ("token.issue", "failure"),
    ]


@pytest.mark.parametrize(
    ("verifier", "reason"), [(VERIFIER, None), ("another-verifier-" * 3, "pkce_failed"), (None, "pkce_failed")]
)
def test_pkce(server: Any, audit_trail: AuditTrail, verifier: str | None, reason: str | None) -> None:
    """A public client proves that it is the one that asked, or fails to."""
    from .apps.oauthlib_app import CALLBACK

    code = authorize(server, client_id="phone", code_challenge=CHALLENGE, code_challenge_method="S256")["code"]
    told(audit_trail)
    fields = {"grant_type": "authorization_code", "client_id": "phone", "code": code, "redirect_uri": CALLBACK}
    server.post("/token", data=fields | ({} if verifier is None else {"code_verifier": verifier}))
    asked = {"audit__params__client_id": "phone", "audit__params__scope": "read write", **ANN}
    if reason is None:
        expected = record("token.issue", audit__params__grant_type="authorization_code", **asked)
    else:
        error = "invalid_request" if verifier is None else "invalid_grant"
        refused = {"audit__params__grant_type": "authorization_code", "audit__reason": reason, "error__type": error}
        expected = record("token.issue", "failure", **refused, **asked)
    assert told(audit_trail) == [expected]


PASSWORD_GRANT = {"audit__params__grant_type": "password", "strategy": "password", **SHOP}


def test_password(server: Any, audit_trail: AuditTrail) -> None:
    """A token for a password is a sign-in."""
    from .apps.oauthlib_app import PASSWORD

    ask(server, "password", username="ann", password=PASSWORD)
    signed_in = record("auth.sign_in", audit__identity="ann", audit__params__scope="read", **PASSWORD_GRANT, **ANN)
    assert told(audit_trail) == [signed_in]


@pytest.mark.parametrize(("name", "secret"), [("zed", None), ("ann", "wrong-mule-17-accumulator")])
def test_wrong_password(server: Any, audit_trail: AuditTrail, name: str, secret: str | None) -> None:
    """Unknown user or wrong password: the server says the same of both."""
    ask(server, "password", username=name, password=secret or "pelican-42-umbrella", status=400)
    whose = ANN if name == "ann" else {}
    reason = {"audit__reason": "invalid_credentials", "error__type": "invalid_grant", "audit__identity": name}
    assert told(audit_trail) == [record("auth.sign_in", "failure", **reason, **whose, **PASSWORD_GRANT)]


def test_wrong_client_secret_is_no_wrong_password(server: Any, audit_trail: AuditTrail) -> None:
    """Ann's password is not even looked at."""
    ask(server, "password", username="ann", password="pelican-42-umbrella", secret="wrong-secret-90-copper", status=401)
    reason = {"audit__reason": "invalid_credentials", "error__type": "invalid_client", "audit__identity": "ann"}
    assert told(audit_trail) == [record("auth.sign_in", "failure", **reason, **PASSWORD_GRANT)]


def test_user_store_down(server: Any, audit_trail: AuditTrail) -> None:
    """Nobody knows whether the password was right: status unknown."""
    server.post("/token", data={"grant_type": "password", "username": "crash", "password": "pelican-42-umbrella"}, auth=_shop())
    reason = {"audit__reason": "backend_error", "error__type": "ConnectionError", "audit__identity": "crash"}
    assert told(audit_trail) == [record("auth.sign_in", "unknown", **reason, **PASSWORD_GRANT)]


def _shop() -> tuple[str, str]:
    from .apps.oauthlib_app import SECRET

    return "shop", SECRET


def test_client_credentials(server: Any, audit_trail: AuditTrail) -> None:
    """The client itself is the subject."""
    ask(server, "client_credentials")
    assert told(audit_trail) == [issued("client_credentials", "read", user__id="client:shop")]


def test_client_credentials_refused(server: Any, audit_trail: AuditTrail) -> None:
    """Wrong secret, and a scope it may not have; a parameter `user` of the client's own makes nobody of it."""
    ask(server, "client_credentials", secret="wrong-secret-90-copper", status=401, user="root")
    ask(server, "client_credentials", scope="everything", status=400, user="root")
    asked = {"audit__params__grant_type": "client_credentials", **SHOP}
    first = {"audit__reason": "invalid_credentials", "error__type": "invalid_client"}
    second = {"audit__reason": "insufficient_scope", "error__type": "invalid_scope", "audit__params__scope": "everything"}
    assert told(audit_trail) == [
        record("token.issue", "failure", **asked, **first),
        record("token.issue", "failure", audit__flow__id="flow-2", **asked, **second),
    ]


def test_unknown_grant_type(server: Any, audit_trail: AuditTrail) -> None:
    """A grant type that the server does not know."""
    ask(server, "telepathy", status=400)
    reason = {"audit__reason": "invalid_input", "error__type": "unsupported_grant_type"}
    assert told(audit_trail) == [record("token.issue", "failure", audit__params__grant_type="telepathy", **SHOP, **reason)]


def test_refresh_with_rotation(server: Any, audit_trail: AuditTrail) -> None:
    """Each refresh token is good once."""
    from .apps.oauthlib_app import PASSWORD

    old = ask(server, "password", username="ann", password=PASSWORD)["refresh_token"]
    told(audit_trail)
    assert ask(server, "refresh_token", refresh_token=old)["refresh_token"] != old
    ask(server, "refresh_token", refresh_token=old, status=400)
    asked = {"audit__params__grant_type": "refresh_token", **SHOP}
    reason = {"audit__reason": "invalid_credentials", "error__type": "invalid_grant", "audit__flow__id": "flow-2"}
    assert told(audit_trail) == [
        record("token.refresh", audit__params__scope="read", **asked, **ANN),
        record("token.refresh", "failure", **asked, **reason),
    ]


def test_revocation(server: Any, audit_trail: AuditTrail) -> None:
    """A client gives its token back; who cannot prove to be a client cannot."""
    token = ask(server, "client_credentials")["access_token"]
    told(audit_trail)
    server.post("/revoke", data={"token": token}, auth=_shop())
    assert server.post("/revoke", data={"token": token}, auth=("shop", "wrong-secret-90-copper")).status_code == 401
    reason = {"audit__reason": "invalid_credentials", "error__type": "invalid_client"}
    assert told(audit_trail) == [
        record("token.revoke", at="/revoke", **ACTOR, **SHOP),
        record("token.revoke", "failure", at="/revoke", audit__flow__id="flow-2", **reason, **ACTOR, **SHOP),
    ]


def test_introspection(server: Any, audit_trail: AuditTrail) -> None:
    """An API asks about a token: whose it is, or that it is none."""
    from .apps.oauthlib_app import PASSWORD

    token = ask(server, "password", username="ann", password=PASSWORD)["access_token"]
    told(audit_trail)
    assert server.post("/introspect", data={"token": token}, auth=_shop()).json()["active"]
    assert not server.post("/introspect", data={"token": "forged-token-12-walnut"}, auth=_shop()).json()["active"]
    server.post("/introspect", data={"token": token}, auth=("shop", "wrong-secret-90-copper"))
    asked = {"at": "/introspect", "strategy": "token", **ACTOR, **SHOP}
    wrong = {"audit__reason": "invalid_credentials", "error__type": "invalid_client"}
    assert told(audit_trail) == [
        record("auth.verify", user__id="1", **asked),
        record("auth.verify", "failure", audit__flow__id="flow-2", audit__reason="invalid_credentials", **asked),
        record("auth.verify", "failure", audit__flow__id="flow-3", **wrong, **asked),
    ]


@pytest.mark.parametrize("door", ["/api", "/userinfo"])
def test_token_refused(server: Any, audit_trail: AuditTrail, door: str) -> None:
    """A forged token, and a header without one; no token at all is no attempt."""
    for header in ("Bearer forged-token-12-walnut", "Bearer", "Basic c2hvcDp4"):
        server.get(door, headers={"Authorization": header})
    server.get(door)
    verify = {"at": door, "strategy": "token", "method": "GET"}
    forged, empty = told(audit_trail)
    assert forged == record("auth.verify", "failure", audit__reason="invalid_credentials", **verify)
    assert empty == record("auth.verify", "failure", audit__reason="token_malformed", audit__flow__id="flow-2", **verify)


def signed(server: Any, method: str, path: str, **options: Any) -> Any:
    """Send a request that an OAuth 1 client has signed."""
    from oauthlib.oauth1 import Client

    from .apps.oauthlib_app import CONSUMER_SECRET

    settings = {"client_secret": CONSUMER_SECRET, **options}
    key = settings.pop("client_key", "consumer")
    uri, headers, _ = Client(key, **settings).sign(str(server.base_url.join(path)), method)
    return server.request(method, uri, headers=headers)


ONE = {"strategy": "custom", "audit__provider": "oauth1", "audit__params__client_id": "consumer"}
TOKEN = {"resource_owner_key": "anntoken", "resource_owner_secret": "token-secret-of-ann"}


def test_oauth1_request(server: Any, audit_trail: AuditTrail) -> None:
    """A signed request of OAuth 1: good, with a bad signature, and with none."""
    assert signed(server, "GET", "/signed", **TOKEN).status_code == 200
    assert signed(server, "GET", "/signed", **{**TOKEN, "client_secret": "wrong-secret-90-copper"}).status_code == 401
    server.get("/signed")
    asked = {"at": "/signed", "method": "GET", **ONE, **ANN}
    assert told(audit_trail) == [
        record("auth.verify", **asked),
        record("auth.verify", "failure", audit__reason="token_bad_signature", audit__flow__id="flow-2", **asked),
    ]


def test_oauth1_launch(server: Any, audit_trail: AuditTrail) -> None:
    """A request signed by a consumer alone, as learning tools launch each other (LTI 1)."""
    assert signed(server, "POST", "/launch").status_code == 200
    assert signed(server, "POST", "/launch", client_key="nobody").status_code == 401
    asked = {"at": "/launch", **ONE}
    unknown = {**asked, "audit__params__client_id": "dummyclient"}
    first, second = told(audit_trail)
    assert first == record("auth.verify", user__id="client:consumer", **asked)
    assert second == record("auth.verify", "failure", audit__reason="invalid_credentials", audit__flow__id="flow-2", **unknown)


def test_oauth1_access_token(server: Any, audit_trail: AuditTrail) -> None:
    """The exchange of a request token."""
    waiting = {"resource_owner_key": "waiting", "resource_owner_secret": "waiting-secret"}
    assert signed(server, "POST", "/access_token", verifier="verifier7731plum", **waiting).status_code == 200
    assert signed(server, "POST", "/access_token", verifier="verifier0000sloe", **waiting).status_code == 401
    asked = {"at": "/access_token", **ONE, **ANN}
    reason = {"audit__reason": "invalid_credentials", "error__type": "invalid_client", "audit__flow__id": "flow-2"}
    assert told(audit_trail) == [record("token.issue", **asked), record("token.issue", "failure", **reason, **asked)]
