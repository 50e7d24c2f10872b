"""django-oauth-toolkit: a site on loopback that hands out tokens, browsers and clients that ask it over HTTP."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import web
from .apps.django_auth_app import PASSWORD
from .servers import django
from .web import Record

ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
BACKEND = "django.contrib.auth.backends.ModelBackend"
VERIFIER = "pomegranate-scaffold-58-drizzle-anvil-cobalt-meadow"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
TOOLKIT = tuple(int(part) for part in version("django-oauth-toolkit").split(".")[:2])
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"

# It says in a warning of each discouraged grant that it is discouraged.
pytestmark = pytest.mark.filterwarnings("ignore:The OAuth 2.0 :DeprecationWarning")
devices = pytest.mark.skipif(
    TOOLKIT < (3, 1) or int(version("oauthlib").partition(".")[0]) > 3,
    reason="django-oauth-toolkit 3.1 brought the device flow, which so far does not run on oauthlib 4",
)


def record(event: str, outcome: str = "success", *, at: str = "/o/token/", strategy: str = "oauth2", **more: str) -> Record:
    """A whole record of the site; oauthlib tells most of them."""
    actions = {
        "auth.sign_in": f"sign_in_with_{strategy}",
        "auth.sign_out": "sign_out",
        "auth.verify": f"verify_with_{strategy}",
        "consent.grant": "grant_consent",
        "oauth.authorize": f"request_{strategy}",
        "oauth.client.register": "register_client",
        "token.issue": "issue_token",
        "token.refresh": "refresh_token",
        "token.revoke": "revoke_token",
    }
    facts = {"audit__action": actions[event], "audit__strategy": strategy, "server__address": "127.0.0.1"}
    library = more.pop("library", "oauthlib")
    return web.record(library, event, outcome, at=at, **{**facts, **more})


def told(audit_trail: AuditTrail) -> list[Record]:
    """The story; older versions of the toolkit have regular expressions as routes."""
    return [{name: value.removesuffix("$") for name, value in one.items()} for one in web.told(audit_trail)]


def client_of(name: str) -> dict[str, str]:
    """Which client took part."""
    return {"audit__params__client_id": name}


def acting(name: str) -> dict[str, str]:
    """The client that asked by itself."""
    return {**client_of(name), "audit__actor__id": f"client:{name}", "audit__actor__type": "service"}


@pytest.fixture
def audit_trail_options(audit_trail_options: dict[str, Any]) -> dict[str, Any]:
    """Consent and good tokens are of interest here."""
    events = "consent.grant,oauth.authorize,token.refresh"
    return {**audit_trail_options, "include_events": events, "request_auth": "all"}


class Site:
    """The server's address, a browser, and the secrets that went over the wire."""

    def __init__(self, address: str) -> None:
        self.seen: list[str] = []
        csrf = "x" * 32
        self.browser = httpx.Client(
            base_url=address,
            cookies={"csrftoken": csrf},
            headers={"X-CSRFToken": csrf},
            event_hooks={"response": [self._note]},
        )

    def _note(self, response: Any) -> None:
        response.read()
        parts = urlsplit(response.headers.get("location", ""))
        handed = {**dict(parse_qsl(parts.query)), **dict(parse_qsl(parts.fragment)), **_json(response)}
        names = {"code", "access_token", "refresh_token", "id_token", "device_code", "user_code"}
        self.seen.extend(value for name, value in handed.items() if name in names)

    def sign_in(self) -> None:
        """Ann signs in with her browser."""
        self.browser.post("/login/", data={"username": "ann", "password": PASSWORD})

    def authorize(self, *, allow: bool = True, **more: str) -> dict[str, str]:
        """Ann's browser shows what a client wants, and sends what she says to it; what the client is sent."""
        from .apps.oauth2_provider_app import CALLBACK

        asked = {"response_type": "code", "client_id": "shop", "redirect_uri": CALLBACK, "scope": "read write", "state": "xyz"}
        asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256", **more}
        self.browser.get("/o/authorize/", params=asked)
        answer = self.browser.post("/o/authorize/", params=asked, data={**asked, **({"allow": "Authorize"} if allow else {})})
        parts = urlsplit(answer.headers.get("location", ""))
        return dict([*parse_qsl(parts.query), *parse_qsl(parts.fragment)])

    def token(self, grant: str, client: str, *, secret: str | None = None, **more: str) -> Any:
        """A client asks for a token."""
        from .apps.oauth2_provider_app import SECRET

        return self.browser.post("/o/token/", data={"grant_type": grant, **more}, auth=(client, secret or SECRET)).json()

    def exchange(self, code: str, **more: str) -> Any:
        """The shop exchanges its code."""
        from .apps.oauth2_provider_app import CALLBACK

        return self.token(
            "authorization_code", "shop", **{"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER, **more}
        )

    def ask(self, path: str, token: str, **more: Any) -> Any:
        """A request that carries a token."""
        return self.browser.get(path, headers={"Authorization": f"Bearer {token}"}, **more)


def _json(response: Any) -> dict[str, Any]:
    return response.json() if response.text.startswith("{") else {}


@pytest.fixture
def site(audit_trail: AuditTrail) -> Iterator[Site]:
    """The site and its clients; no story leaves a secret in the trail."""
    from .apps.django_site import site as standing

    backends = [BACKEND, "oauth2_provider.backends.OAuth2Backend"]
    middleware = ["oauth2_provider.middleware.OAuth2TokenMiddleware"]
    with standing(
        "oauth2_provider_app",
        "oauth2_provider",
        middleware=middleware,
        AUTHENTICATION_BACKENDS=backends,
        LOGIN_URL="/login/",
    ):
        from django.test import override_settings

        from .apps.oauth2_provider_app import SECRET, options, populate

        with override_settings(OAUTH2_PROVIDER=options()):
            populate()
            audit_trail.story()
            with django() as address:
                made = Site(address)
                yield made
                made.browser.close()
    audit_trail.assert_no_secret(PASSWORD, SECRET, VERIFIER, *made.seen)


@pytest.fixture
def ann(site: Site, audit_trail: AuditTrail) -> Site:
    """Ann's browser has signed in."""
    site.sign_in()
    audit_trail.story()
    return site


WANTED = {"audit__params__response_type": "code", "audit__params__scope": "read write", **client_of("shop"), **ANN}
EXCHANGED = {"audit__params__grant_type": "authorization_code", **client_of("shop")}


def test_authorization_code(ann: Site, audit_trail: AuditTrail) -> None:
    """Ann consents, the shop gets its token, and the API lets it in."""
    token = ann.exchange(ann.authorize()["code"])["access_token"]
    assert ann.ask("/api/", token).text == "welcome"
    granted, issued, *verified = told(audit_trail)
    assert granted == record("consent.grant", at="/o/authorize/", **WANTED)
    assert issued == record("token.issue", audit__flow__id="flow-2", audit__params__scope="read write", **EXCHANGED, **ANN)
    shown = record(
        "auth.verify", at="/api/", method="GET", strategy="token", audit__flow__id="flow-3", **client_of("shop"), **ANN
    )
    assert verified == [shown]


def test_openid_connect(ann: Site, audit_trail: AuditTrail) -> None:
    """With the scope `openid` it is OpenID Connect; the user information is asked for with the token."""
    token = ann.exchange(ann.authorize(scope="openid read")["code"])
    assert token["id_token"]
    assert ann.ask("/o/userinfo/", token["access_token"]).json()["sub"] == "1"
    scope = {"audit__params__scope": "openid read", "strategy": "oidc"}
    granted, issued, *verified = told(audit_trail)
    assert granted == record("consent.grant", at="/o/authorize/", **{**WANTED, **scope})
    assert issued == record("token.issue", audit__flow__id="flow-2", **EXCHANGED, **ANN, **scope)
    assert [(one["http.route"], one["audit.outcome"]) for one in verified] == [("/o/userinfo/", "success")]


def test_consent_refused(ann: Site, audit_trail: AuditTrail) -> None:
    """Ann says no: oauthlib never hears of it."""
    assert ann.authorize(allow=False)["error"] == "access_denied"
    refused = {"audit__reason": "provider_denied", "error__type": "access_denied", "library": "django-oauth-toolkit"}
    asked = {"audit__params__scope": "read write", **client_of("shop"), **ANN}
    assert told(audit_trail) == [record("consent.grant", "failure", at="/o/authorize/", **refused, **asked)]


def test_redirection_elsewhere_refused(ann: Site, audit_trail: AuditTrail) -> None:
    """A client that would have the code sent elsewhere: refused when asked, and again when answered."""
    ann.authorize(redirect_uri="http://127.0.0.1/elsewhere")
    reason = {"audit__reason": "redirect_mismatch", "error__type": "invalid_request"}
    first, second = told(audit_trail)
    asked = {"audit__params__response_type": "code", "audit__params__scope": "read write", **client_of("shop")}
    assert first == record("oauth.authorize", "failure", at="/o/authorize/", method="GET", **reason, **asked)
    assert second == record("oauth.authorize", "failure", at="/o/authorize/", audit__flow__id="flow-2", **reason, **asked, **ANN)


def test_implicit_grant(ann: Site, audit_trail: AuditTrail) -> None:
    """The browser gets a token at once."""
    assert ann.authorize(client_id="page", response_type="token")["access_token"]
    asked = {"audit__params__response_type": "token", "audit__params__scope": "read write", **client_of("page"), **ANN}
    assert told(audit_trail) == [record("token.issue", at="/o/authorize/", **asked)]


@pytest.mark.parametrize(
    ("change", "reason", "error"),
    [
        ({"code": "nonsense-code-31-violet"}, "invalid_code", "invalid_grant"),
        ({"code_verifier": "another-verifier-" * 3}, "pkce_failed", "invalid_grant"),
        ({"secret": "wrong-secret-90-copper"}, "invalid_credentials", "invalid_client"),
    ],
)
def test_code_refused(ann: Site, audit_trail: AuditTrail, change: dict[str, str], reason: str, error: str) -> None:
    """A code that is none, one of somebody else's browser, and a client that is not the shop."""
    code = ann.authorize()["code"]
    audit_trail.story()
    ann.exchange(**{"code": code, **change})
    known = {**ANN, "audit__params__scope": "read write"} if reason == "pkce_failed" else {}
    facts = {"audit__reason": reason, "error__type": error, **EXCHANGED, **known}
    assert told(audit_trail) == [record("token.issue", "failure", **facts)]


FORM = {"strategy": "password", "audit__params__grant_type": "password", **client_of("form"), "audit__identity": "ann"}


def test_password(site: Site, audit_trail: AuditTrail) -> None:
    """Password grant: the hash, two backends, Django's signal and the grant are one sign-in."""
    site.token("password", "form", username="ann", password=PASSWORD)
    signed_in = record("auth.sign_in", audit__params__scope="read", audit__params__backend=BACKEND, **FORM, **ANN)
    assert told(audit_trail) == [signed_in]


@pytest.mark.parametrize(
    ("name", "reason", "subject"),
    [("ann", "wrong_password", "auth.user:1"), ("bob", "inactive_account", "auth.user:2"), ("zed", "invalid_credentials", None)],
)
def test_password_refused(site: Site, audit_trail: AuditTrail, name: str, reason: str, subject: str | None) -> None:
    """Wrong password, inactive user, unknown user."""
    site.token("password", "form", username=name, password=PASSWORD if name == "bob" else "wrong-mule-17-accumulator")
    whose = {} if subject is None else {"user__id": subject, "audit__resource": "auth.User"}
    facts = {"audit__reason": reason, "error__type": "invalid_grant", **FORM, **whose, "audit__identity": name}
    assert told(audit_trail) == [record("auth.sign_in", "failure", **facts)]


def test_wrong_client_secret_is_no_wrong_password(site: Site, audit_trail: AuditTrail) -> None:
    """The toolkit checks it with Django's password hashers."""
    site.token("password", "form", username="ann", password=PASSWORD, secret="wrong-secret-90-copper")
    facts = {"audit__reason": "invalid_credentials", "error__type": "invalid_client", **FORM}
    assert told(audit_trail) == [record("auth.sign_in", "failure", **facts)]


def test_client_credentials(site: Site, audit_trail: AuditTrail) -> None:
    """The client is the subject; with a wrong secret nobody is."""
    site.token("client_credentials", "job")
    site.token("client_credentials", "job", secret="wrong-secret-90-copper")
    asked = {"audit__params__grant_type": "client_credentials", **client_of("job")}
    wrong = {"audit__reason": "invalid_credentials", "error__type": "invalid_client", "audit__flow__id": "flow-2"}
    assert told(audit_trail) == [
        record("token.issue", audit__params__scope="read", user__id="client:job", **asked),
        record("token.issue", "failure", **asked, **wrong),
    ]


def test_refresh_with_rotation_and_reuse(site: Site, audit_trail: AuditTrail) -> None:
    """The revocation of the old token is part of the refresh; a second use gives the whole family away."""
    old = site.token("password", "form", username="ann", password=PASSWORD)["refresh_token"]
    audit_trail.story()
    assert site.token("refresh_token", "form", refresh_token=old)["refresh_token"] != old
    assert site.token("refresh_token", "form", refresh_token=old)["error"] == "invalid_grant"
    asked = {"audit__params__grant_type": "refresh_token", **client_of("form")}
    first, second = told(audit_trail)
    assert first == record("token.refresh", audit__params__scope="read", **asked, **ANN)
    reason = "token_reused" if TOOLKIT >= (3, 4) else "invalid_credentials"
    assert {name: second.get(name) for name in ("event", "audit.outcome", "audit.reason", "error.type")} == {
        "event": "token.refresh",
        "audit.outcome": "failure",
        "audit.reason": reason,
        "error.type": "invalid_grant",
    }


def test_revocation(site: Site, audit_trail: AuditTrail) -> None:
    """The rows of the tokens say whose they were; of a token that is none nobody says anything."""
    from .apps.oauth2_provider_app import SECRET

    token = site.token("password", "form", username="ann", password=PASSWORD)
    audit_trail.story()
    for gone in (token["refresh_token"], "forged-token-12-walnut"):
        site.browser.post("/o/revoke_token/", data={"token": gone}, auth=("form", SECRET))
    site.browser.post("/o/revoke_token/", data={"token": token["access_token"]}, auth=("form", "wrong-secret-90-copper"))
    wrong = {"audit__reason": "invalid_credentials", "error__type": "invalid_client", "audit__flow__id": "flow-3"}
    assert told(audit_trail) == [
        record("token.revoke", at="/o/revoke_token/", **acting("form"), **ANN),
        record("token.revoke", at="/o/revoke_token/", audit__flow__id="flow-2", **acting("form")),
        record("token.revoke", "failure", at="/o/revoke_token/", **wrong, **acting("form")),
    ]


def test_user_withdraws_access(ann: Site, audit_trail: AuditTrail) -> None:
    """On the page that lists what she has allowed, Ann takes it back: one revocation, by nobody else."""
    from oauth2_provider.models import get_access_token_model

    ann.exchange(ann.authorize()["code"])
    audit_trail.story()
    ann.browser.post(f"/o/authorized_tokens/{get_access_token_model().objects.get().pk}/delete/")
    (one,) = told(audit_trail)
    assert one == record("token.revoke", at=one["http.route"], library="django-oauth-toolkit", **ANN)
    assert one["http.route"].startswith("/o/authorized_tokens/")


def test_introspection(site: Site, audit_trail: AuditTrail) -> None:
    """A client asks about a token: whose it is, or that it is none; who cannot prove to be a client is told nothing."""
    from .apps.oauth2_provider_app import SECRET

    token = site.token("password", "form", username="ann", password=PASSWORD)["access_token"]
    audit_trail.story()
    answers = [
        site.browser.post("/o/introspect/", data={"token": asked}, auth=("job", secret))
        for asked, secret in ((token, SECRET), ("forged-token-12-walnut", SECRET), (token, "wrong-secret-90-copper"))
    ]
    assert [answer.json().get("active") if answer.status_code == 200 else None for answer in answers] == [True, False, None]
    by_job = {"at": "/o/introspect/", "library": "django-oauth-toolkit", "user__id": "client:job", **client_of("job")}
    about = {"at": "/o/introspect/", "library": "django-oauth-toolkit", "strategy": "token"}
    wrong = {"audit__reason": "invalid_credentials", "error__type": "invalid_client", **client_of("job")}
    assert told(audit_trail) == [
        record("auth.verify", strategy="basic", **by_job),
        record("auth.verify", **about, **ANN),
        record("auth.verify", strategy="basic", audit__flow__id="flow-2", **by_job),
        record("auth.verify", "failure", audit__reason="invalid_credentials", audit__flow__id="flow-2", **about),
        record(
            "auth.verify",
            "failure",
            at="/o/introspect/",
            strategy="basic",
            library="django-oauth-toolkit",
            audit__flow__id="flow-3",
            **wrong,
        ),
    ]


@pytest.mark.parametrize(("scope", "reason"), [("read", "insufficient_scope"), ("write", "token_expired")])
def test_token_refused(site: Site, audit_trail: AuditTrail, scope: str, reason: str) -> None:
    """A token that opens less, and one whose time is over: the row of the token says whose it is."""
    from django.utils import timezone
    from oauth2_provider.models import get_access_token_model

    token = site.token("password", "form", username="ann", password=PASSWORD, scope=scope)["access_token"]
    if reason == "token_expired":
        get_access_token_model().objects.update(expires=timezone.now())
    audit_trail.story()
    assert site.ask("/api/", token).status_code == 403
    refused = [one for one in told(audit_trail) if one["audit.outcome"] == "failure"]
    assert {(one["audit.library"].partition(" ")[0], one["event"], one["audit.reason"], one["user.id"]) for one in refused} <= {
        ("oauthlib", "auth.verify", reason, "auth.user:1"),
        ("django", "auth.verify", reason, "auth.user:1"),
    }
    assert refused[-1]["audit.library"].startswith("oauthlib")


@pytest.mark.parametrize("answer", [200, 404])
def test_middleware(site: Site, audit_trail: AuditTrail, answer: int) -> None:
    """A token takes the place of a session: Django's `authenticate` and oauthlib say so once, whatever the page is."""
    token = site.token("password", "form", username="ann", password=PASSWORD)["access_token"]
    audit_trail.story()
    assert site.ask("/me/", token, params={"answer": answer}).text == "1"
    shown = {"at": "/me/", "method": "GET", "strategy": "token", "library": "Django", **client_of("form"), **ANN}
    verified = record("auth.verify", **shown, audit__params__backend="oauth2_provider.backends.OAuth2Backend")
    verified["url.path"] = verified.pop("http.route")  # a middleware runs before there is a route
    assert told(audit_trail) == [verified]


def test_middleware_refuses(site: Site, audit_trail: AuditTrail) -> None:
    """A forged token is a failed check, not a failed sign-in, though the page is shown."""
    assert site.ask("/me/", "forged-token-12-walnut").text == "None"
    shown = {"at": "/me/", "method": "GET", "strategy": "token", "library": "Django", "audit__reason": "invalid_credentials"}
    expected = record("auth.verify", "failure", error__type="invalid_token", **shown)
    expected["url.path"] = expected.pop("http.route")
    assert told(audit_trail) == [expected]


def test_nothing_shown_is_silent(site: Site, audit_trail: AuditTrail) -> None:
    """No token, no attempt."""
    site.browser.get("/api/")
    site.browser.get("/me/")
    assert told(audit_trail) == []


def test_logout_by_a_client(ann: Site, audit_trail: AuditTrail) -> None:
    """The shop signs Ann out: her tokens go and her session ends, one record."""
    from .apps.oauth2_provider_app import LOGGED_OUT

    token = ann.exchange(ann.authorize(scope="openid read")["code"])["id_token"]
    audit_trail.story()
    answer = ann.browser.get("/o/logout/", params={"id_token_hint": token, "post_logout_redirect_uri": LOGGED_OUT})
    assert answer.headers["location"] == LOGGED_OUT
    signed_out = {"at": "/o/logout/", "method": "GET", "strategy": "oidc", "session__id": "session-1"}
    library = {"library": "django-oauth-toolkit", **client_of("shop")}
    assert told(audit_trail) == [record("auth.sign_out", **signed_out, **library, **ANN)]


@pytest.mark.parametrize(
    ("change", "reason", "error"),
    [
        ({"id_token_hint": "forged.token.walnut-12"}, "token_malformed", "InvalidIDTokenError"),
        ({"client_id": "shop", "post_logout_redirect_uri": CHALLENGE}, "redirect_mismatch", "InvalidOIDCRedirectURIError"),
    ],
)
def test_logout_refused(ann: Site, audit_trail: AuditTrail, change: dict[str, str], reason: str, error: str) -> None:
    """A hint that is no ID token of ours, and a way back that is not the client's."""
    ann.browser.get("/o/logout/", params=change)
    facts = {"at": "/o/logout/", "method": "GET", "strategy": "oidc", "library": "django-oauth-toolkit"}  # nobody loaded Ann
    assert told(audit_trail) == [record("auth.sign_out", "failure", audit__reason=reason, error__type=error, **facts)]


def test_user_who_stays_signed_in(ann: Site, audit_trail: AuditTrail) -> None:
    """Asked whether she wants to leave, Ann stays."""
    ann.browser.get("/o/logout/")
    ann.browser.post("/o/logout/", data={})
    assert told(audit_trail) == []


def test_application_registered(ann: Site, audit_trail: AuditTrail) -> None:
    """Ann registers an application of hers; another secret for it later is not seen."""
    fields = {"name": "mine", "client_id": "mine", "client_secret": "osprey-parcel-63-tundra", "client_type": "confidential"}
    fields |= {"authorization_grant_type": "client-credentials", "redirect_uris": "", "algorithm": "", "hash_client_secret": "on"}
    answer = ann.browser.post("/o/applications/register/", data=fields)
    assert answer.status_code == 302, answer.text
    kinds = {"audit__params__client_type": "confidential", "audit__params__authorization_grant_type": "client-credentials"}
    who = {"user__id": "client:mine", "audit__actor__id": "auth.user:1", "audit__actor__type": "user"}
    resource = {"audit__resource": "oauth2_provider.Application", "library": "django-oauth-toolkit"}
    registered = record("oauth.client.register", at="/o/applications/register/", **client_of("mine"), **kinds, **who, **resource)
    assert told(audit_trail) == [registered]
    audit_trail.assert_no_secret("osprey-parcel-63-tundra")


@devices
@pytest.mark.parametrize("action", ["accept", "deny"])
def test_device(ann: Site, audit_trail: AuditTrail, action: str) -> None:
    """A television asks, Ann types its code and decides; while she has not, nothing has failed."""
    grant = ann.browser.post("/o/device-authorization/", data={"client_id": "tv", "scope": "read"}).json()
    asked = {"grant_type": DEVICE, "client_id": "tv", "device_code": grant["device_code"]}
    assert ann.browser.post("/o/token/", data=asked).json()["error"] == "authorization_pending"
    ann.browser.post("/o/device/", data={"user_code": "wrong-code"})
    page = ann.browser.post("/o/device/", data={"user_code": grant["user_code"]}).headers["location"]
    ann.browser.post(page, data={"action": action})
    answer = ann.browser.post("/o/token/", data=asked)
    mistyped, decided, last = told(audit_trail)
    assert (mistyped["event"], mistyped["audit.reason"]) == ("consent.grant", "invalid_code")
    denied = {"audit__reason": "provider_denied", "error__type": "access_denied"} if action == "deny" else {}
    outcome = "failure" if denied else "success"
    more = {"library": "django-oauth-toolkit", **denied, **client_of("tv")}
    flows = {"at": decided["http.route"], "audit__flow__id": "flow-2", "audit__params__scope": "read"}
    assert decided == record("consent.grant", outcome, **flows, **more, **ANN)
    assert last["audit.outcome"] == outcome, answer.text
    assert last["audit.params.grant_type"] == DEVICE
    assert last.get("user.id") == (None if denied else "auth.user:1")
