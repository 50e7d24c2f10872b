"""Authlib: OAuth 1, a provider, its client, and applications that people enter with its accounts, all on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import web
from .servers import django, uvicorn, werkzeug
from .web import Record, told

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ANN = {"user__id": "1"}
SHOP = {"audit__params__client_id": "shop"}


def record(event: str, outcome: str = "success", *, at: str = "/token", **more: str) -> Record:
    """A whole record of the provider."""
    action = {"token.issue": "issue_token", "auth.verify": "verify_with_custom"}[event]
    facts = {"audit__action": action, "audit__strategy": "custom", "audit__provider": "oauth1", "server__address": "127.0.0.1"}
    return web.record("Authlib", event, outcome, at=at, **{**facts, **more})


def entered(event: str, outcome: str = "success", *, route: str = "http__route", **more: str) -> Record:
    """A whole record of an application."""
    action = {"auth.sign_in": "sign_in_with_acme", "auth.authenticate": "authenticate_with_acme"}[event]
    facts = {"audit__action": action, "audit__strategy": "oauth2", "audit__provider": "acme", "server__address": "127.0.0.1"}
    made = web.record("Authlib", event, outcome, at="/callback", method="GET", **{**facts, **more})
    del made["audit.flow.id"]
    made[route.replace("__", ".")] = made.pop("http.route")
    return made


def of_application(story: list[Record]) -> list[Record]:
    """What the application told; the provider, which is another application of this process, has told its part."""
    events = {"auth.sign_in", "auth.authenticate"}
    return [{name: value for name, value in one.items() if name != "audit.flow.id"} for one in story if one["event"] in events]


@pytest.fixture
def audit_trail_options(audit_trail_options: dict[str, Any]) -> dict[str, Any]:
    """Good tokens are of interest here."""
    return {**audit_trail_options, "request_auth": "all"}


class Provider:
    """The provider's address, a browser, and a client that signs what it asks."""

    def __init__(self, app: Any, address: str, http: httpx.Client) -> None:
        self.app, self.address, self.http = app, address, http
        self.seen: list[str] = []

    def ask(self, path: str, method: str = "POST", *, client: str = "shop", secret: str | None = None, **more: Any) -> Any:
        """The client asks, with a signature; *more* goes into it."""
        from authlib.oauth1.rfc5849 import ClientAuth

        from .apps.authlib_oauth1_app import SECRET

        url = f"{self.address}{path}"
        signed, headers, _ = ClientAuth(client, secret or SECRET, **more).sign(method, url, {}, "")
        return self.http.request(method, signed, headers=headers)

    def pair(self, answer: Any) -> dict[str, str]:
        """Token and secret that the client was given."""
        made = dict(parse_qsl(answer.text))
        self.seen.extend(made[name] for name in ("oauth_token", "oauth_token_secret"))
        return {"token": made["oauth_token"], "token_secret": made["oauth_token_secret"]}

    def allowed(self) -> dict[str, str]:
        """What Ann has allowed the client, ready for its exchange."""
        pair = self.pair(self.ask("/initiate", redirect_uri="http://127.0.0.1/callback"))
        answer = self.http.get(f"{self.address}/authorize", params={"oauth_token": pair["token"]})
        handed = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        self.seen.append(handed["oauth_verifier"])
        return {**pair, "verifier": handed["oauth_verifier"]}


@pytest.fixture
def provider(audit_trail: AuditTrail, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The provider, on loopback without TLS; no story leaves a secret in the trail."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    from .apps.authlib_oauth1_app import SECRET, create_provider

    app = create_provider()
    with werkzeug(app, threaded=True) as address, httpx.Client(timeout=20) as http:
        made = Provider(app, address, http)
        yield made
    audit_trail.assert_no_secret(SECRET, *made.seen)


# the provider


def test_token_and_api(provider: Provider, audit_trail: AuditTrail) -> None:
    """Ann allows it, the shop gets its token, and the API lets it in."""
    pair = provider.pair(provider.ask("/token", **provider.allowed()))
    assert provider.ask("/api", "GET", **pair).text == "welcome"
    assert told(audit_trail) == [
        record("token.issue", **SHOP, **ANN),
        record("auth.verify", at="/api", method="GET", audit__flow__id="flow-2", **SHOP, **ANN),
    ]


@pytest.mark.parametrize(
    ("change", "reason", "error", "known"),
    [
        ({"secret": "wrong-secret-90-copper"}, "token_bad_signature", "invalid_signature", True),
        ({"token_secret": "wrong-secret-90-copper"}, "token_bad_signature", "invalid_signature", True),
        ({"verifier": "wrong-verifier-33-thistle"}, "invalid_input", "invalid_request", False),
        ({"verifier": None}, "invalid_input", "missing_required_parameter", False),
        ({"token": "forged-token-12-walnut"}, "invalid_credentials", "invalid_token", False),
        ({"client": "nobody"}, "invalid_credentials", "invalid_client", False),
        ({"signature_method": "PLAINTEXT"}, "invalid_input", "unsupported_signature_method", True),
    ],
)
def test_token_refused(
    provider: Provider, audit_trail: AuditTrail, change: dict[str, Any], reason: str, error: str, known: bool
) -> None:
    """Every way in which the exchange of a temporary credential fails; once it is found, it says who had allowed it."""
    provider.ask("/token", **{**provider.allowed(), **change})
    facts = {"audit__params__client_id": change.get("client", "shop"), "audit__reason": reason, "error__type": error}
    assert told(audit_trail) == [record("token.issue", "failure", **facts, **(ANN if known else {}))]


def test_client_store_down(provider: Provider, audit_trail: AuditTrail) -> None:
    """Nobody knows whether the client was right: status unknown."""
    allowed = provider.allowed()
    assert provider.ask("/token", client="crash", **allowed).status_code == 500
    assert provider.ask("/api", "GET", client="crash", token=allowed["token"]).status_code == 500
    broken = {"audit__reason": "backend_error", "error__type": "ConnectionError"}
    assert told(audit_trail) == [
        record("token.issue", "unknown", audit__params__client_id="crash", **broken),
        record("auth.verify", "unknown", at="/api", method="GET", audit__flow__id="flow-2", **broken),
    ]


@pytest.mark.parametrize(
    ("change", "reason", "error", "known"),
    [
        ({"token_secret": "wrong-secret-90-copper"}, "token_bad_signature", "invalid_signature", True),
        ({"token": "forged-token-12-walnut"}, "invalid_credentials", "invalid_token", False),
        ({"token": None}, "invalid_input", "missing_required_parameter", False),
        ({"client": "nobody"}, "invalid_credentials", "invalid_client", False),
    ],
)
def test_request_refused(
    provider: Provider, audit_trail: AuditTrail, change: dict[str, Any], reason: str, error: str, known: bool
) -> None:
    """Every way in which a signed request fails; the signature is checked last, when client and user are known."""
    pair = provider.pair(provider.ask("/token", **provider.allowed()))
    audit_trail.story()
    provider.ask("/api", "GET", **{**pair, **change})
    facts = {"audit__reason": reason, "error__type": error, **({**SHOP, **ANN} if known else {})}
    assert told(audit_trail) == [record("auth.verify", "failure", at="/api", method="GET", **facts)]


def test_request_sent_again(provider: Provider, audit_trail: AuditTrail) -> None:
    """Somebody who has listened sends the same request once more; one that is not signed is no attempt."""
    pair = provider.pair(provider.ask("/token", **provider.allowed()))
    audit_trail.story()
    first = provider.ask("/api", "GET", **pair)
    provider.http.get(f"{provider.address}/api", headers={"Authorization": first.request.headers["Authorization"]})
    provider.http.get(f"{provider.address}/api")
    reused = {"audit__reason": "token_reused", "error__type": "invalid_nonce", "audit__flow__id": "flow-2"}
    shown = {"at": "/api", "method": "GET", **SHOP, **ANN}
    assert told(audit_trail) == [record("auth.verify", **shown), record("auth.verify", "failure", **reused, **shown)]


# people who enter with the provider's account


def walk(provider: Provider, address: str, **change: str) -> Any:
    """Through the provider and back; *change* is what somebody changes about the way back."""
    to_provider = provider.http.get(f"{address}/enter").headers["location"]
    way_back = provider.http.get(to_provider).headers["location"]
    parts = urlsplit(way_back)
    fields = dict(parse_qsl(parts.query)) | change
    return provider.http.get(f"{parts.scheme}://{parts.netloc}{parts.path}", params=fields)


FAULTS: tuple[tuple[dict[str, str], str, str], ...] = (
    ({"oauth_token": "another-token-61-heron"}, "state_mismatch", "oauth_error"),
    ({"oauth_token": ""}, "invalid_input", "oauth_error"),
    ({"oauth_verifier": "wrong-verifier-33-thistle"}, "provider_error", "OAuthError"),
)


def walk_all(provider: Provider, address: str) -> list[int]:
    """Once as it should be, and once for each fault; the status of the answers."""
    return [walk(provider, address, **change).status_code for change in ({}, *(change for change, _, _ in FAULTS))]


def expected(route: str = "http__route") -> list[Record]:
    """Nobody says that it became a session: the credentials were right, and that is what is told; OAuth 1 says not of whom."""
    refused = [
        entered("auth.sign_in", "failure", route=route, audit__reason=reason, error__type=error) for _, reason, error in FAULTS
    ]
    return [entered("auth.authenticate", route=route), *refused]


def test_flask(provider: Provider, audit_trail: AuditTrail) -> None:
    """A shop in Flask: a good callback, one that this browser did not ask for, one without a token, and a wrong verifier."""
    from .apps.authlib_oauth1_app import create_flask_shop

    with werkzeug(create_flask_shop(provider.address), threaded=True) as address:
        assert walk_all(provider, address) == [302, 400, 400, 400]
    assert of_application(told(audit_trail)) == expected()


async def test_starlette(provider: Provider, audit_trail: AuditTrail) -> None:
    """The same in Starlette."""
    from .apps.authlib_oauth1_app import create_starlette_shop

    async with uvicorn(create_starlette_shop(provider.address)) as address:
        assert await asyncio.to_thread(walk_all, provider, address) == [307, 400, 400, 400]
    assert of_application(told(audit_trail)) == expected()


def test_django(provider: Provider, audit_trail: AuditTrail) -> None:
    """The same on a Django site."""
    from .apps.django_site import site

    with ExitStack() as stack:
        stack.enter_context(site("authlib_oauth1_urls"))
        from .apps.authlib_oauth1_app import settings
        from .apps.authlib_oauth1_urls import oauth

        oauth.register("acme", overwrite=True, **settings(provider.address))
        oauth._clients.clear()
        audit_trail.story()
        address = stack.enter_context(django())
        assert walk_all(provider, address) == [302, 400, 400, 400]
    assert of_application(told(audit_trail)) == expected()
