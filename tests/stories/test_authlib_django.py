"""Authlib's authorization server on a Django site: tokens, and an API that they open, over HTTP on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .servers import django
from .test_authlib import record
from .web import told

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
SHOP = {"audit__params__client_id": "shop"}
ACTOR = {"audit__actor__id": "client:shop", "audit__actor__type": "service"}
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def audit_trail_options(audit_trail_options: dict[str, Any]) -> dict[str, Any]:
    """Consent and good tokens are of interest here."""
    events = "consent.grant,oauth.authorize,token.refresh"
    return {**audit_trail_options, "include_events": events, "request_auth": "all"}


class Site:
    """The site's address, Ann's browser and the shop."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.seen: list[str] = []

    def authorize(self, **more: str) -> dict[str, str]:
        """Ann's browser; what it is sent back with."""
        from .apps.authlib_app import CALLBACK

        asked = {"response_type": "code", "client_id": "shop", "redirect_uri": CALLBACK, "scope": "read write", **more}
        answer = self.http.get("/authorize", params=asked)
        handed = dict(parse_qsl(urlsplit(answer.headers.get("location", "")).query))
        self.seen.extend(handed[name] for name in ("code",) if name in handed)
        return handed

    def post(self, path: str, *, client: str = "shop", secret: str | None = None, **fields: str) -> Any:
        """A client asks."""
        from .apps.authlib_app import SECRET

        answer = self.http.post(path, data=fields, auth=(client, secret or SECRET)).json()
        self.seen.extend(answer[name] for name in ("access_token", "refresh_token") if name in answer)
        return answer

    def by_password(self, scope: str = "write") -> Any:
        """A token for Ann's password."""
        return self.post("/token", grant_type="password", username="ann", password=PASSWORD, scope=scope)

    def ask(self, path: str, header: str | None) -> Any:
        """A request to the API."""
        return self.http.get(path, headers={} if header is None else {"Authorization": header})


@pytest.fixture
def site(audit_trail: AuditTrail, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The site, on loopback without TLS; no story leaves a secret in the trail."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    from .apps.django_site import site as standing

    provider = {"refresh_token_generator": True}
    with ExitStack() as stack:
        stack.enter_context(
            standing("authlib_server_urls", f"{__package__}.apps.authlib_django", AUTHLIB_OAUTH2_PROVIDER=provider)
        )
        from django.db import connection

        from .apps.authlib_app import SECRET
        from .apps.authlib_server_urls import MODELS, populate

        if MODELS[0]._meta.db_table not in connection.introspection.table_names():
            with connection.schema_editor() as editor:
                for model in MODELS:
                    editor.create_model(model)
        populate()
        audit_trail.story()
        made = Site(stack.enter_context(httpx.Client(base_url=stack.enter_context(django()), timeout=20)))
        yield made
    audit_trail.assert_no_secret(PASSWORD, SECRET, *made.seen)


CODE = {"audit__params__grant_type": "authorization_code", **SHOP}


def test_authorization_code(site: Site, audit_trail: AuditTrail) -> None:
    """Ann signs in and consents, the shop gets its token, and the API lets it in."""
    from .apps.authlib_app import CALLBACK

    site.http.post("/login", data={"username": "ann", "password": PASSWORD})
    audit_trail.story()
    exchange = {"grant_type": "authorization_code", "code": site.authorize()["code"], "redirect_uri": CALLBACK}
    token = site.post("/token", **exchange)["access_token"]
    assert site.post("/token", **exchange)["error"] == "invalid_grant"
    assert site.ask("/api", f"Bearer {token}").text == "welcome"
    wanted = {"audit__params__response_type": "code", "audit__params__scope": "read write", **SHOP, **ANN}
    refused = {"audit__reason": "invalid_code", "error__type": "invalid_grant"}
    shown = {"at": "/api", "method": "GET", "strategy": "token"}
    assert told(audit_trail) == [
        record("consent.grant", at="/authorize", method="GET", **wanted),
        record("token.issue", audit__flow__id="flow-2", audit__params__scope="read write", **CODE, **ANN),
        record("token.issue", "failure", audit__flow__id="flow-3", **CODE, **refused),
        record("auth.verify", audit__flow__id="flow-4", **shown, **SHOP, **ANN),
    ]


def test_consent_refused(site: Site, audit_trail: AuditTrail) -> None:
    """Ann says no; and a client would have the code sent elsewhere. Before 1.6 her refusal does not know her: the server makes its
    request anew, and is told nobody; what is wrong with a client's wish is seen before she is asked, with her name."""
    from .apps.authlib_app import VERSION

    site.http.post("/login", data={"username": "ann", "password": PASSWORD})
    audit_trail.story()
    assert site.authorize(deny="1")["error"] == "access_denied"
    site.authorize(redirect_uri="http://127.0.0.1/elsewhere")
    who = ANN if VERSION >= (1, 6) else {}
    denied = {"audit__reason": "provider_denied", "error__type": "access_denied", **who}
    elsewhere = {"audit__reason": "redirect_mismatch", "error__type": "invalid_request", "audit__flow__id": "flow-2", **ANN}
    asked = {"at": "/authorize", "method": "GET", "audit__params__response_type": "code", **SHOP}
    asked["audit__params__scope"] = "read write"
    assert told(audit_trail) == [
        record("consent.grant", "failure", **denied, **asked),
        record("oauth.authorize", "failure", **elsewhere, **asked),
    ]


BY_PASSWORD = {"strategy": "password", "audit__params__grant_type": "password", **SHOP, "audit__identity": "ann"}


def test_password(site: Site, audit_trail: AuditTrail) -> None:
    """Django's `authenticate`, the hash and the grant are one sign-in."""
    site.by_password()
    expected = record("auth.sign_in", audit__params__scope="write", audit__params__backend=BACKEND, **BY_PASSWORD, **ANN)
    assert told(audit_trail) == [expected]


@pytest.mark.parametrize(
    ("name", "reason", "subject"),
    [("ann", "wrong_password", "auth.user:1"), ("bob", "inactive_account", "auth.user:2"), ("zed", "invalid_credentials", None)],
)
def test_password_refused(site: Site, audit_trail: AuditTrail, name: str, reason: str, subject: str | None) -> None:
    """Wrong password, inactive user, unknown user."""
    password = PASSWORD if name == "bob" else "wrong-mule-17-accumulator"
    site.post("/token", grant_type="password", username=name, password=password)
    whose = {} if subject is None else {"user__id": subject, "audit__resource": "auth.User"}
    facts = {**BY_PASSWORD, **whose, "audit__identity": name, "audit__reason": reason, "error__type": "invalid_request"}
    assert told(audit_trail) == [record("auth.sign_in", "failure", **facts)]


def test_client_credentials(site: Site, audit_trail: AuditTrail) -> None:
    """The client is the subject; with a wrong secret nobody is, nor one that does not exist or may not."""
    for change in ({}, {"secret": "wrong-secret-90-copper"}, {"client": "nobody"}, {"client": "kiosk"}):
        site.post("/token", grant_type="client_credentials", **change)
    asked = {"audit__params__grant_type": "client_credentials"}
    wrong = {"audit__reason": "invalid_credentials", "error__type": "invalid_client", **asked}
    may_not = {"audit__reason": "policy_denied", "error__type": "unauthorized_client", **asked}
    assert told(audit_trail) == [
        record("token.issue", user__id="client:shop", **asked, **SHOP),
        record("token.issue", "failure", audit__flow__id="flow-2", **wrong, **SHOP),
        record("token.issue", "failure", audit__flow__id="flow-3", **wrong, audit__params__client_id="nobody"),
        record("token.issue", "failure", audit__flow__id="flow-4", **may_not, audit__params__client_id="kiosk"),
    ]


def test_refresh_with_rotation(site: Site, audit_trail: AuditTrail) -> None:
    """Each refresh token is good once."""
    old = site.by_password()["refresh_token"]
    audit_trail.story()
    for _ in range(2):
        site.post("/token", grant_type="refresh_token", refresh_token=old)
    asked = {"audit__params__grant_type": "refresh_token", **SHOP}
    wrong = {"audit__reason": "invalid_credentials", "error__type": "invalid_grant", "audit__flow__id": "flow-2"}
    assert told(audit_trail) == [
        record("token.refresh", audit__params__scope="write", **asked, **ANN),
        record("token.refresh", "failure", **asked, **wrong),
    ]


def test_revocation(site: Site, audit_trail: AuditTrail) -> None:
    """A client gives a token back, one that is none, and cannot prove to be a client; the row says whose it was."""
    token = site.by_password()["access_token"]
    audit_trail.story()
    site.post("/revoke", token=token)
    site.post("/revoke", token="forged-token-12-walnut")
    site.post("/revoke", token=token, secret="wrong-secret-90-copper")
    wrong = {"audit__reason": "invalid_credentials", "error__type": "invalid_client", "audit__flow__id": "flow-3"}
    assert told(audit_trail) == [
        record("token.revoke", at="/revoke", **ANN, **ACTOR, **SHOP),
        record("token.revoke", at="/revoke", audit__flow__id="flow-2", **ACTOR, **SHOP),
        record("token.revoke", "failure", at="/revoke", **wrong),
    ]


@pytest.mark.parametrize(
    ("state", "reason", "error"),
    [
        ("expired", "token_expired", "invalid_token"),
        ("revoked", "token_revoked", "invalid_token"),
        ("narrow", "insufficient_scope", "insufficient_scope"),
    ],
)
def test_token_refused(site: Site, audit_trail: AuditTrail, state: str, reason: str, error: str) -> None:
    """A token whose time is over, one that was taken back, one that opens less: the row says whose it is."""
    from .apps.authlib_django.models import Token

    token = site.by_password("read" if state == "narrow" else "write")["access_token"]
    changes: dict[str, dict[str, Any]] = {
        "expired": {"expires_in": -1},
        "revoked": {"revoked": True},
        "narrow": {"scope": "read"},
    }
    Token.objects.update(**changes[state])
    audit_trail.story()
    assert site.ask("/api", f"Bearer {token}").status_code in {401, 403}
    refused = {"audit__reason": reason, "error__type": error, **ANN}
    assert told(audit_trail) == [record("auth.verify", "failure", at="/api", method="GET", strategy="token", **refused)]


def test_forged_token_and_none(site: Site, audit_trail: AuditTrail) -> None:
    """A token that is none, and a header without one; no header, or one for another mechanism, is no attempt."""
    for header in ("Bearer forged-token-12-walnut", "Bearer", "Basic c2hvcDp4", None):
        site.ask("/api", header)
    assert site.ask("/open", None).text == "welcome"
    shown = {"at": "/api", "method": "GET", "strategy": "token"}
    forged = {"audit__reason": "invalid_credentials", "error__type": "invalid_token"}
    empty = {"audit__reason": "token_malformed", "error__type": "unsupported_token_type", "audit__flow__id": "flow-2"}
    assert told(audit_trail) == [
        record("auth.verify", "failure", **shown, **forged),
        record("auth.verify", "failure", **shown, **empty),
    ]
