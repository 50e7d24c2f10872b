"""Authlib: a provider, its clients, and applications that people enter with its accounts, all on loopback."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import web
from .servers import django, uvicorn, werkzeug
from .web import Record, told

# Its own old names warn of the new ones, and httpx of how it is used.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

VERIFIER = "pomegranate-scaffold-58-drizzle-anvil-cobalt-meadow"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ANN = {"user__id": "1", "audit__resource": "tests.stories.apps.authlib_app:User"}
SHOP = {"audit__params__client_id": "shop"}
ACTOR = {"audit__actor__id": "client:shop", "audit__actor__type": "service"}
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def record(event: str, outcome: str = "success", *, at: str = "/token", strategy: str = "oauth2", **more: str) -> Record:
    """A whole record."""
    named = more.get("audit__provider", strategy) if strategy in {"oauth2", "oidc"} else strategy
    actions = {
        "auth.authenticate": f"authenticate_with_{named}",
        "auth.sign_in": f"sign_in_with_{named}",
        "auth.verify": f"verify_with_{named}",
        "consent.grant": "grant_consent",
        "oauth.authorize": f"request_{named}",
        "oauth.client.register": "register_client",
        "token.issue": "issue_token",
        "token.refresh": "refresh_token",
        "token.revoke": "revoke_token",
    }
    facts = {"audit__action": actions[event], "audit__strategy": strategy, "server__address": "127.0.0.1"}
    library = more.pop("library", "Authlib")
    return web.record(library, event, outcome, at=at, **{**facts, **more})


@pytest.fixture
def audit_trail_options(audit_trail_options: dict[str, Any]) -> dict[str, Any]:
    """Consent and good tokens are of interest here."""
    events = "consent.grant,oauth.authorize,token.refresh"
    return {**audit_trail_options, "include_events": events, "request_auth": "all"}


class Browser:
    """An HTTP client that follows redirections by itself when told, and remembers the secrets it was shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.http = httpx.Client(event_hooks={"response": [self._note]}, timeout=20)

    def _note(self, response: Any) -> None:
        response.read()
        parts = urlsplit(response.headers.get("location", ""))
        handed = {**dict(parse_qsl(parts.query)), **dict(parse_qsl(parts.fragment)), **_json(response)}
        self.seen.extend(
            str(value) for name, value in handed.items() if name in {"code", "access_token", "refresh_token", "state"}
        )


def _json(response: Any) -> dict[str, Any]:
    return response.json() if response.text.startswith("{") else {}


@pytest.fixture
def browser(audit_trail: AuditTrail) -> Iterator[Browser]:
    """A browser; no story leaves a secret in the trail."""
    from .apps.authlib_app import PASSWORD, REGISTRATION, SECRET

    made = Browser()
    with made.http:
        yield made
    audit_trail.assert_no_secret(PASSWORD, SECRET, VERIFIER, REGISTRATION, *made.seen)


class Provider:
    """The provider's address, and what clients ask it."""

    def __init__(self, app: Any, address: str, browser: Browser) -> None:
        self.app, self.address, self.http = app, address, browser.http

    def authorize(self, method: str = "POST", **more: str) -> dict[str, str]:
        """Ann's browser; what it is sent back with."""
        from .apps.authlib_app import CALLBACK

        asked = {"response_type": "code", "client_id": "shop", "redirect_uri": CALLBACK, "scope": "read write"}
        asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256", **more}
        answer = self.http.request(method, f"{self.address}/authorize", params={k: v for k, v in asked.items() if v})
        parts = urlsplit(answer.headers.get("location", ""))
        return dict([*parse_qsl(parts.query), *parse_qsl(parts.fragment)])

    def post(self, path: str, *, client: str = "shop", secret: str | None = None, **fields: str) -> Any:
        """A client asks, as a confidential one."""
        from .apps.authlib_app import SECRET

        answer = self.http.post(f"{self.address}{path}", data=fields, auth=(client, secret or SECRET))
        return answer.json() if answer.content else {}

    def token(self, grant: str, **fields: Any) -> Any:
        """A client asks for a token."""
        return self.post("/token", grant_type=grant, **fields)

    def exchange(self, code: str, **more: str) -> Any:
        """The shop exchanges its code."""
        from .apps.authlib_app import CALLBACK

        return self.token("authorization_code", **{"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER, **more})

    def ask(self, path: str, header: str | None) -> Any:
        """A request to the API."""
        return self.http.get(f"{self.address}{path}", headers={} if header is None else {"Authorization": header})


@pytest.fixture
def provider(audit_trail: AuditTrail, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The provider, on loopback without TLS."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    from .apps.authlib_app import create_provider

    app = create_provider()
    with werkzeug(app, threaded=True) as address:
        yield Provider(app, address, browser)


# the provider

CODE = {"audit__params__grant_type": "authorization_code", **SHOP}


def test_authorization_code(provider: Provider, audit_trail: AuditTrail) -> None:
    """Ann consents, the shop gets its token, and the API lets it in."""
    token = provider.exchange(provider.authorize()["code"])["access_token"]
    assert provider.ask("/api", f"Bearer {token}").text == "welcome"
    wanted = {"audit__params__response_type": "code", "audit__params__scope": "read write", **SHOP, **ANN}
    assert told(audit_trail) == [
        record("consent.grant", at="/authorize", **wanted),
        record("token.issue", audit__flow__id="flow-2", audit__params__scope="read write", **CODE, **ANN),
        record("auth.verify", at="/api", method="GET", strategy="token", audit__flow__id="flow-3", user__id="1", **SHOP),
    ]


def test_consent_refused(provider: Provider, audit_trail: AuditTrail) -> None:
    """Ann says no; before 1.6 the request that tells so does not know her."""
    from .apps.authlib_app import VERSION

    assert provider.authorize(deny="1")["error"] == "access_denied"
    who = ANN if VERSION >= (1, 6) else {}
    refused = {"audit__reason": "provider_denied", "error__type": "access_denied"}
    wanted = {"audit__params__response_type": "code", "audit__params__scope": "read write", **SHOP, **who}
    assert told(audit_trail) == [record("consent.grant", "failure", at="/authorize", **refused, **wanted)]


def test_implicit_grant(provider: Provider, audit_trail: AuditTrail) -> None:
    """The browser gets a token at once."""
    assert provider.authorize(response_type="token", client_id="phone")["access_token"]
    asked = {"audit__params__response_type": "token", "audit__params__scope": "read write", "audit__params__client_id": "phone"}
    assert told(audit_trail) == [record("token.issue", at="/authorize", **asked, **ANN)]


@pytest.mark.parametrize(
    ("change", "reason", "error"),
    [
        ({"redirect_uri": "http://127.0.0.1/elsewhere"}, "redirect_mismatch", "invalid_request"),
        ({"client_id": "nobody"}, "invalid_credentials", "invalid_client"),
        ({"response_type": "telepathy"}, "invalid_input", "unsupported_response_type"),
        ({"code_challenge_method": "rot13"}, "pkce_failed", "invalid_request"),
    ],
)
def test_authorization_request_refused(
    provider: Provider, audit_trail: AuditTrail, change: dict[str, str], reason: str, error: str
) -> None:
    """Before Ann is asked: where it would lead, who asks, and how."""
    provider.authorize("GET", **change)
    (one,) = told(audit_trail)
    assert (one["event"], one["audit.outcome"], one["audit.reason"]) == ("oauth.authorize", "failure", reason)
    assert one["error.type"] == error
    assert one["audit.params.client_id"] == change.get("client_id", "shop")


@pytest.mark.parametrize(
    ("change", "reason", "error"),
    [
        ({"code": "nonsense-code-31-violet"}, "invalid_code", "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1/elsewhere"}, "redirect_mismatch", "invalid_grant"),
        ({"code_verifier": "another-verifier-" * 3}, "pkce_failed", "invalid_grant"),
        ({"secret": "wrong-secret-90-copper"}, "invalid_credentials", "invalid_client"),
        ({"client": "nobody"}, "invalid_credentials", "invalid_client"),
        ({"client": "kiosk"}, "policy_denied", "unauthorized_client"),
    ],
)
def test_code_refused(provider: Provider, audit_trail: AuditTrail, change: dict[str, str], reason: str, error: str) -> None:
    """Every way in which the exchange of a code fails."""
    code = provider.authorize()["code"]
    audit_trail.story()
    provider.exchange(**{"code": code, **change})
    facts = {**CODE, "audit__params__client_id": change.get("client", "shop"), "audit__reason": reason, "error__type": error}
    assert told(audit_trail) == [record("token.issue", "failure", **facts)]


BY_PASSWORD = {"strategy": "password", "audit__params__grant_type": "password", **SHOP, "audit__identity": "ann"}


def test_password(provider: Provider, audit_trail: AuditTrail) -> None:
    """A token for a password is a sign-in; the hash is part of it."""
    from .apps.authlib_app import PASSWORD

    provider.token("password", username="ann", password=PASSWORD, scope="read")
    assert told(audit_trail) == [record("auth.sign_in", audit__params__scope="read", **BY_PASSWORD, **ANN)]


@pytest.mark.parametrize(("name", "reason"), [("ann", "wrong_password"), ("zed", "invalid_credentials")])
def test_password_refused(provider: Provider, audit_trail: AuditTrail, name: str, reason: str) -> None:
    """Wrong password, unknown user."""
    provider.token("password", username=name, password="wrong-mule-17-accumulator")
    refused = {**BY_PASSWORD, "audit__identity": name, "audit__reason": reason, "error__type": "invalid_request"}
    assert told(audit_trail) == [record("auth.sign_in", "failure", **refused)]


def test_user_store_down(provider: Provider, audit_trail: AuditTrail) -> None:
    """Nobody knows whether the password was right: status unknown."""
    provider.app.register_error_handler(ConnectionError, lambda _error: ({}, 500))
    provider.token("password", username="crash", password="wrong-mule-17-accumulator")
    broken = {**BY_PASSWORD, "audit__identity": "crash", "audit__reason": "backend_error", "error__type": "ConnectionError"}
    assert told(audit_trail) == [record("auth.sign_in", "unknown", **broken)]


def test_client_credentials(provider: Provider, audit_trail: AuditTrail) -> None:
    """The client is the subject; with a wrong secret nobody is."""
    provider.token("client_credentials", scope="read")
    provider.token("client_credentials", secret="wrong-secret-90-copper")
    provider.token("telepathy")
    asked = {"audit__params__grant_type": "client_credentials", **SHOP}
    wrong = {"audit__reason": "invalid_credentials", "error__type": "invalid_client", "audit__flow__id": "flow-2"}
    unknown = {"audit__reason": "invalid_input", "error__type": "unsupported_grant_type", "audit__flow__id": "flow-3"}
    assert told(audit_trail) == [
        record("token.issue", audit__params__scope="read", user__id="client:shop", **asked),
        record("token.issue", "failure", **asked, **wrong),
        record("token.issue", "failure", **SHOP, **unknown, audit__params__grant_type="telepathy"),
    ]


def test_refresh_with_rotation(provider: Provider, audit_trail: AuditTrail) -> None:
    """Each refresh token is good once."""
    from .apps.authlib_app import PASSWORD

    old = provider.token("password", username="ann", password=PASSWORD, scope="read")["refresh_token"]
    audit_trail.story()
    assert provider.token("refresh_token", refresh_token=old)["refresh_token"] != old
    provider.token("refresh_token", refresh_token=old)
    asked = {"audit__params__grant_type": "refresh_token", **SHOP}
    wrong = {"audit__reason": "invalid_credentials", "error__type": "invalid_grant", "audit__flow__id": "flow-2"}
    assert told(audit_trail) == [
        record("token.refresh", audit__params__scope="read", **asked, **ANN),
        record("token.refresh", "failure", **asked, **wrong),
    ]


def test_device(provider: Provider, audit_trail: AuditTrail) -> None:
    """While Ann has not decided nothing has failed; then the device gets its token. An unknown code is none."""
    code = "WDJB-MJHT-otter-29"
    assert provider.token(DEVICE, device_code=code)["error"] == "authorization_pending"
    provider.app.extensions["store"].approved.add(code)
    assert "access_token" in provider.token(DEVICE, device_code=code)
    provider.token(DEVICE, device_code="unknown-device-45-birch")
    asked = {"audit__params__grant_type": DEVICE, **SHOP}
    first, second = told(audit_trail)
    assert first == record("token.issue", audit__params__scope="read", **asked, **ANN)
    assert (second["event"], second["audit.outcome"]) == ("token.issue", "failure")
    audit_trail.assert_no_secret(code)


def test_revocation(provider: Provider, audit_trail: AuditTrail) -> None:
    """A client gives a token back, one that is none, and cannot prove to be a client."""
    from .apps.authlib_app import PASSWORD

    token = provider.token("password", username="ann", password=PASSWORD)["access_token"]
    audit_trail.story()
    provider.post("/revoke", token=token)
    provider.post("/revoke", token="forged-token-12-walnut")
    provider.post("/revoke", token=token, secret="wrong-secret-90-copper")
    wrong = {"audit__reason": "invalid_credentials", "error__type": "invalid_client", "audit__flow__id": "flow-3"}
    assert told(audit_trail) == [
        record("token.revoke", at="/revoke", user__id="1", **ACTOR, **SHOP),
        record("token.revoke", at="/revoke", audit__flow__id="flow-2", **ACTOR, **SHOP),
        record("token.revoke", "failure", at="/revoke", **wrong),
    ]


def test_introspection(provider: Provider, audit_trail: AuditTrail) -> None:
    """An API asks about a token: whose it is, that it was revoked, or that it is none."""
    from .apps.authlib_app import PASSWORD

    token = provider.token("password", username="ann", password=PASSWORD)["access_token"]
    audit_trail.story()
    assert provider.post("/introspect", token=token)["active"]
    provider.app.extensions["store"].token(token).revoked = True
    assert not provider.post("/introspect", token=token)["active"]
    assert not provider.post("/introspect", token="forged-token-12-walnut")["active"]
    asked = {"at": "/introspect", "strategy": "token", **ACTOR, **SHOP}
    assert told(audit_trail) == [
        record("auth.verify", user__id="1", **asked),
        record("auth.verify", "failure", user__id="1", audit__reason="token_revoked", audit__flow__id="flow-2", **asked),
        record("auth.verify", "failure", audit__reason="invalid_credentials", audit__flow__id="flow-3", **asked),
    ]


def test_client_registers_itself(provider: Provider, audit_trail: AuditTrail) -> None:
    """With a token for it, and without."""
    from .apps.authlib_app import CALLBACK, REGISTRATION

    body = {"client_name": "new", "redirect_uris": [CALLBACK], "scope": "read"}
    for header in (f"Bearer {REGISTRATION}", "Bearer another-token-77-fern"):
        provider.http.post(f"{provider.address}/register", json=body, headers={"Authorization": header})
    first, second = told(audit_trail)
    new = {"user__id": "client:new-client", "audit__params__client_id": "new-client"}
    assert first == record("oauth.client.register", at="/register", **new)
    assert (second["event"], second["audit.outcome"]) == ("oauth.client.register", "failure")


@pytest.mark.parametrize(
    ("state", "reason", "error"),
    [
        ("expired", "token_expired", "invalid_token"),
        ("revoked", "token_revoked", "invalid_token"),
        ("narrow", "insufficient_scope", "insufficient_scope"),
    ],
)
def test_token_refused(provider: Provider, audit_trail: AuditTrail, state: str, reason: str, error: str) -> None:
    """A token whose time is over, one that was taken back, one that opens less."""
    from .apps.authlib_app import PASSWORD

    scope = "read" if state == "narrow" else "write"
    token = provider.token("password", username="ann", password=PASSWORD, scope=scope)["access_token"]
    stored = provider.app.extensions["store"].token(token)
    stored.until, stored.revoked = (0 if state == "expired" else stored.until), state == "revoked"
    audit_trail.story()
    assert provider.ask("/api", f"Bearer {token}").status_code in {401, 403}
    refused = {"user__id": "1", "audit__reason": reason, "error__type": error}
    assert told(audit_trail) == [record("auth.verify", "failure", at="/api", method="GET", strategy="token", **refused)]


def test_forged_token_and_none(provider: Provider, audit_trail: AuditTrail) -> None:
    """A token that is none, and a header without one; no header, or one for another mechanism, is no attempt."""
    for header in ("Bearer forged-token-12-walnut", "Bearer", "Basic c2hvcDp4", None):
        provider.ask("/api", header)
    assert provider.ask("/open", None).text == "welcome"
    first, second = told(audit_trail)
    shown = {"at": "/api", "method": "GET", "strategy": "token"}
    forged = {"audit__reason": "invalid_credentials", "error__type": "invalid_token"}
    assert first == record("auth.verify", "failure", **shown, **forged)
    empty = {"audit__reason": "token_malformed", "error__type": "unsupported_token_type", "audit__flow__id": "flow-2"}
    assert second == record("auth.verify", "failure", **shown, **empty)


# people who enter with the provider's account

ACME = {"strategy": "oidc", "audit__provider": "acme", "audit__identity": "ann@example.org"}


def of(address: str, story: list[Record], events: tuple[str, ...] = ("auth.sign_in", "auth.authenticate")) -> list[Record]:
    """What the application told; the provider, which is another application of this process, has told its part."""
    return [{name: value for name, value in one.items() if name != "audit.flow.id"} for one in story if one["event"] in events]


def entered(event: str, outcome: str = "success", *, at: str = "/callback", **more: str) -> Record:
    """A record of the application."""
    made = record(event, outcome, at=at, method="GET", **more)
    del made["audit.flow.id"]
    return made


@pytest.fixture
def flask_shop(provider: Provider) -> Iterator[str]:
    """The shop in Flask."""
    from .apps.authlib_app import create_flask_shop

    with werkzeug(create_flask_shop(provider.address), threaded=True) as address:
        yield address


def walk(provider: Provider, address: str, start: str = "/enter", **change: str) -> Any:
    """Through the provider and back; *change* is what somebody changes about the way back."""
    to_provider = provider.http.get(f"{address}{start}", follow_redirects=False).headers["location"]
    way_back = provider.http.get(to_provider, follow_redirects=False).headers["location"]
    parts = urlsplit(way_back)
    fields = {name: values[0] for name, values in parse_qs(parts.query).items()} | change
    return provider.http.get(f"{parts.scheme}://{parts.netloc}{parts.path}", params=fields, follow_redirects=False)


def test_flask_sign_in(provider: Provider, flask_shop: str, audit_trail: AuditTrail) -> None:
    """The callback and Flask-Login's sign-in are one record, with the application's user and the provider's name for her."""
    assert walk(provider, flask_shop).text == "ann@example.org"
    member = {"user__id": "7", "audit__resource": "tests.stories.apps.authlib_app:Member", "library": "Flask-Login"}
    (one,) = of(flask_shop, told(audit_trail))
    one.pop("audit.params.scope", None)
    assert one == entered("auth.sign_in", **ACME, **member)


def test_flask_own_session(provider: Provider, flask_shop: str, audit_trail: AuditTrail) -> None:
    """Nobody says that it became a session: the credentials were right, and that is what is told."""
    assert walk(provider, flask_shop, "/own").status_code == 302
    (one,) = of(flask_shop, told(audit_trail))
    one.pop("audit.params.scope", None)
    assert one == entered("auth.authenticate", at="/own/callback", user__id="ann-at-provider", **ACME)


def test_flask_state_mismatch(provider: Provider, flask_shop: str, audit_trail: AuditTrail) -> None:
    """A callback that this browser did not ask for."""
    assert walk(provider, flask_shop, state="another-state-61-heron").status_code == 400
    refused = {"audit__reason": "state_mismatch", "error__type": "mismatching_state", "audit__provider": "acme"}
    assert of(flask_shop, told(audit_trail)) == [entered("auth.sign_in", "failure", **refused)]


def test_flask_provider_denied(provider: Provider, flask_shop: str, audit_trail: AuditTrail) -> None:
    """Ann tells the provider not to; and a browser may make up any error, which is not repeated."""
    walk(provider, flask_shop, "/enter?deny=1")
    walk(provider, flask_shop, error="made-up-error-14-lichen")
    denied = {"audit__reason": "provider_denied", "error__type": "access_denied", "audit__provider": "acme"}
    made_up = {"audit__reason": "provider_error", "error__type": "OAuthError", "audit__provider": "acme"}
    assert of(flask_shop, told(audit_trail)) == [
        entered("auth.sign_in", "failure", **denied),
        entered("auth.sign_in", "failure", **made_up),
    ]
    audit_trail.assert_no_secret("made-up-error-14-lichen")


def test_flask_code_refused(provider: Provider, flask_shop: str, audit_trail: AuditTrail) -> None:
    """The provider does not take the code."""
    walk(provider, flask_shop, code="nonsense-code-31-violet")
    refused = {"audit__reason": "provider_error", "error__type": "invalid_grant", "audit__provider": "acme"}
    assert of(flask_shop, told(audit_trail)) == [entered("auth.sign_in", "failure", **refused)]


BAD_ID_TOKENS = {
    "nonce": ("nonce_mismatch", "InvalidClaimError"),
    "forged": ("token_bad_signature", "BadSignatureError"),
    "late": ("token_expired", "ExpiredTokenError"),
}


def refused(reason: str, code: str) -> Record:
    """A sign-in with the provider's account that failed, whole."""
    return entered("auth.sign_in", "failure", audit__reason=reason, error__type=code, audit__provider="acme")


@pytest.mark.parametrize("fault", BAD_ID_TOKENS)
def test_flask_bad_id_token(provider: Provider, flask_shop: str, audit_trail: AuditTrail, fault: str) -> None:
    """An ID token for another browser, one signed by somebody else, and one whose time is over."""
    provider.app.extensions[fault] = True
    assert walk(provider, flask_shop).status_code == 400
    assert of(flask_shop, told(audit_trail)) == [refused(*BAD_ID_TOKENS[fault])]


def test_flask_provider_unreachable(provider: Provider, flask_shop: str, audit_trail: AuditTrail) -> None:
    """The provider goes away in between: nobody knows, status unknown."""
    provider.http.get(f"{flask_shop}/enter")
    provider.app.before_request_funcs.setdefault(None, []).append(lambda: ("gone", 503))
    way = provider.http.get(f"{flask_shop}/enter").headers["location"]
    state = parse_qs(urlsplit(way).query)["state"][0]
    provider.http.get(f"{flask_shop}/callback", params={"state": state, "code": "nonsense-code-31-violet"})
    (one,) = of(flask_shop, told(audit_trail))
    assert one.pop("error.type") == "HTTPError"
    assert one == entered("auth.sign_in", "unknown", audit__reason="backend_error", audit__provider="acme")


async def test_starlette_sign_in(provider: Provider, audit_trail: AuditTrail) -> None:
    """The same with an asynchronous application."""
    import asyncio

    from .apps.authlib_app import create_starlette_shop

    async with uvicorn(create_starlette_shop(provider.address)) as address:
        assert (await asyncio.to_thread(walk, provider, address)).text == "ann@example.org"
        refused = await asyncio.to_thread(lambda: walk(provider, address, state="another-state-61-heron"))
        assert refused.status_code == 400
    first, second = of(address, told(audit_trail))
    first.pop("audit.params.scope", None)
    for one in (first, second):
        one["http.route"] = one.pop("http.route" if "http.route" in one else "url.path")
    assert first == entered("auth.authenticate", user__id="ann-at-provider", **ACME)
    reason = {"audit__reason": "state_mismatch", "error__type": "mismatching_state", "audit__provider": "acme"}
    assert second == entered("auth.sign_in", "failure", **reason)


def test_django_sign_in(provider: Provider, audit_trail: AuditTrail) -> None:
    """The same on a Django site, whose `login` tells who it is here."""
    from .apps.django_site import site

    with ExitStack() as stack:
        stack.enter_context(site("authlib_urls"))
        from .apps.authlib_app import settings
        from .apps.authlib_urls import oauth

        oauth.register("acme", overwrite=True, **settings(provider.address))
        oauth._clients.clear()
        audit_trail.story()
        address = stack.enter_context(django())
        assert walk(provider, address).text == "1"
        assert walk(provider, address, state="another-state-61-heron").status_code == 400
    first, second = of(address, told(audit_trail))
    for name in ("audit.params.scope", "session.id", "audit.params.backend"):
        first.pop(name, None)
    ann = {"user__id": "auth.user:1", "audit__resource": "auth.User", "library": "Django"}
    assert first == entered("auth.sign_in", **ACME, **ann)
    reason = {"audit__reason": "state_mismatch", "error__type": "mismatching_state", "audit__provider": "acme"}
    assert second == entered("auth.sign_in", "failure", **reason)


def fail(provider: Provider, address: str) -> None:
    """Every way in which a sign-in fails: denied, a code that is none, another browser's nonce, a forged signature."""
    walk(provider, address, "/enter?deny=1")
    walk(provider, address, code="nonsense-code-31-violet")
    for fault in ("nonce", "forged"):
        provider.app.extensions[fault] = True
        assert walk(provider, address).status_code == 400
        del provider.app.extensions[fault]


FAILED = [refused("provider_denied", "access_denied"), refused("provider_error", "invalid_grant")]
FAILED += [refused(*BAD_ID_TOKENS[fault]) for fault in ("nonce", "forged")]


async def test_starlette_failures(provider: Provider, audit_trail: AuditTrail) -> None:
    """The same failures with an asynchronous application."""
    import asyncio

    from .apps.authlib_app import create_starlette_shop

    async with uvicorn(create_starlette_shop(provider.address)) as address:
        await asyncio.to_thread(fail, provider, address)
    story = of(address, told(audit_trail))
    for one in story:
        one["http.route"] = one.pop("http.route" if "http.route" in one else "url.path")  # by Starlette's version
    assert story == FAILED


def test_django_failures(provider: Provider, audit_trail: AuditTrail) -> None:
    """The same failures on a Django site."""
    from .apps.django_site import site

    with ExitStack() as stack:
        stack.enter_context(site("authlib_urls"))
        from .apps.authlib_app import settings
        from .apps.authlib_urls import oauth

        oauth.register("acme", overwrite=True, **settings(provider.address))
        oauth._clients.clear()
        audit_trail.story()
        address = stack.enter_context(django())
        fail(provider, address)
    assert of(address, told(audit_trail)) == FAILED


def tap(provider: Provider, address: str) -> list[str]:
    """A page's script hands over an ID token: a good one, another page's, a forged one, and none."""
    import time

    from .apps.authlib_app import NONCE, keys

    claims: dict[str, Any] = {"iss": provider.address, "aud": "shop", "sub": "ann-at-provider", "email": "ann@example.org"}
    claims |= {"iat": int(time.time()) - 10, "exp": int(time.time()) + 60}
    tokens = [
        keys().sign({**claims, "nonce": nonce}, forged=forged)
        for nonce, forged in ((NONCE, False), ("another-nonce-52-quartz", False), (NONCE, True))
    ]
    provider.http.post(f"{address}/one-tap", data={"id_token": tokens[0]})
    answers = [provider.http.post(f"{address}/one-tap", data={"id_token": token}).text for token in tokens[1:]]
    return [*answers, provider.http.post(f"{address}/one-tap", data={"other": "thing"}).text]


def tapped(story: list[Record]) -> None:
    """An ID token that came by itself; where there was none nothing is told."""
    good, other, forged = story
    facts = {"strategy": "oidc", "at": "/one-tap"}
    for one in story:
        one["http.route"] = one.pop("http.route" if "http.route" in one else "url.path")
        one["http.request.method"] = "GET"
    assert good == entered("auth.authenticate", user__id="ann-at-provider", **{**ACME, **facts})
    for one, reason in ((other, "nonce_mismatch"), (forged, "token_bad_signature")):
        assert one.pop("error.type")
        assert one == entered("auth.sign_in", "failure", audit__reason=reason, audit__provider="acme", **facts)


def test_flask_id_token_alone(provider: Provider, flask_shop: str, audit_trail: AuditTrail) -> None:
    """`parse_id_token` outside a callback."""
    assert tap(provider, flask_shop)[-1] == "nobody"
    tapped(of(flask_shop, told(audit_trail)))


async def test_starlette_id_token_alone(provider: Provider, audit_trail: AuditTrail) -> None:
    """`parse_id_token` of the asynchronous client; where there is no token it raises before 1.9, and nothing is told all the same."""
    import asyncio

    from .apps.authlib_app import VERSION, create_starlette_shop

    async with uvicorn(create_starlette_shop(provider.address)) as address:
        answers = await asyncio.to_thread(tap, provider, address)
    assert answers[-1] == ("nobody" if VERSION >= (1, 9) else "KeyError")
    tapped(of(address, told(audit_trail)))
