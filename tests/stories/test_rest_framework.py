"""Django REST framework: who shows what to an API, what it makes of it, and the tokens it stores."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .web import Record, label, record

ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
ROOT = {"audit__actor__id": "auth.user:3", "audit__actor__type": "user"}
MODULE, APP = "rest_framework.authentication", "tests.stories.apps.rest_framework_app"
KEY, WRONG = "k-7Qd2-vX9m-Lp4w", "wrong-horse-77-staple"
TOKEN = "6f1d9b0c4e7a58d2936fbe10c7a4d85e2b9f3c61"
REST = "djangorestframework"


def verified(strategy: str, by: str, outcome: str = "failure", *, at: str = "/all/", **more: str) -> Record:
    """What an authenticator said."""
    event, action = (
        ("api_key.verify", "sign_in_with_api_key") if strategy == "api_key" else ("auth.verify", f"verify_with_{strategy}")
    )
    facts = {"audit__action": action, "audit__strategy": strategy, "audit__params__authenticator": by, "method": "GET"}
    return record(REST, event, outcome, at=at, **{**facts, **more})


def token(event: str, *, at: str, **more: str) -> Record:
    """What became of a stored token."""
    facts = {"audit__action": event.replace("token.", "") + "_token", "audit__strategy": "token", "audit__token__id": "token-1"}
    return record(REST, event, at=at, **{**facts, **ANN, **more})


def sign_in(outcome: str = "success", *, at: str = "/token/", library: str = REST, **more: str) -> Record:
    """A sign-in by password."""
    facts = {"audit__action": "sign_in_with_password", "audit__strategy": "password", "audit__identity": "ann"}
    backend = {"audit__params__backend": "django.contrib.auth.backends.ModelBackend"} if outcome == "success" else {}
    return record(library, "auth.sign_in", outcome, at=at, **{**facts, **backend, **more})


@pytest.fixture
def audit_trail_options(audit_trail_options: dict[str, Any]) -> dict[str, Any]:
    """Credentials that are right are told, too, and what is denied to whom."""
    return {**audit_trail_options, "request_auth": "all", "include_events": "authz.deny"}


@pytest.fixture
def api(audit_trail: AuditTrail) -> Iterator[Any]:
    """A client of the API; ann has a token. No story leaves a secret in the trail."""
    from .apps.django_site import site

    with site("rest_framework_app", "rest_framework", "rest_framework.authtoken"):
        from rest_framework.authtoken.models import Token
        from rest_framework.test import APIClient

        Token.objects.create(user=user("ann"), key=TOKEN)
        audit_trail.story()
        yield APIClient(raise_request_exception=False)
        audit_trail.assert_no_secret(PASSWORD, WRONG, KEY, *Token.objects.values_list("key", flat=True), TOKEN)


def user(name: str) -> Any:
    """The stored user."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username=name)


def basic(name: str = "ann", secret: str = PASSWORD) -> str:
    """The header of Basic authentication."""
    return f"Basic {b64encode(f'{name}:{secret}'.encode()).decode()}"


# Credentials that every request carries


def test_anonymous(api: Any, audit_trail: AuditTrail) -> None:
    """Who shows nothing is refused, which is no event."""
    for path in ("all", "session", "remote", "key", "header", "lenient"):
        assert api.get(f"/{path}/").status_code in (401, 403)
    assert audit_trail.story() == []


def test_basic(api: Any, audit_trail: AuditTrail) -> None:
    """Django's check is inside, and not told again."""
    assert api.get("/all/", HTTP_AUTHORIZATION=basic()).status_code == 200
    backend = {"audit__params__backend": "django.contrib.auth.backends.ModelBackend"}
    expected = verified("basic", f"{MODULE}.BasicAuthentication", "success", audit__identity="ann", **ANN, **backend)
    assert audit_trail.story() == [expected]


@pytest.mark.parametrize(
    ("name", "secret", "told"),
    [
        ("ann", WRONG, {"audit__reason": "wrong_password", **ANN}),
        ("bob", PASSWORD, {"audit__reason": "inactive_account", **ANN, "user__id": "auth.user:2"}),
        ("eve", PASSWORD, {"audit__reason": "invalid_credentials"}),
    ],
)
def test_basic_refused(api: Any, audit_trail: AuditTrail, name: str, secret: str, told: dict[str, str]) -> None:
    """Authenticator, Django's check, its signal and the password hash are one failure."""
    assert api.get("/all/", HTTP_AUTHORIZATION=basic(name, secret)).status_code == 401
    told = {**told, "audit__identity": name, "error__type": "authentication_failed"}
    assert audit_trail.story() == [verified("basic", f"{MODULE}.BasicAuthentication", **told)]


@pytest.mark.parametrize("header", ["Basic", "Basic a b", "Basic Zm9v", "Basic ***"])
def test_basic_malformed(api: Any, audit_trail: AuditTrail, header: str) -> None:
    """A header that is none."""
    api.get("/all/", HTTP_AUTHORIZATION=header)
    told = {"audit__reason": "token_malformed", "error__type": "authentication_failed"}
    assert audit_trail.story() == [verified("basic", f"{MODULE}.BasicAuthentication", **told)]


def test_token(api: Any, audit_trail: AuditTrail) -> None:
    """The token is recorded as a hash, the same as when it is deleted."""
    api.get("/all/", HTTP_AUTHORIZATION=f"Token {TOKEN}")
    api.post("/leave/", HTTP_AUTHORIZATION=f"Token {TOKEN}")
    by = f"{MODULE}.TokenAuthentication"
    first, second, deleted = audit_trail.story()
    assert first == verified("token", by, "success", audit__token__id="token-1", **ANN)
    more = {"at": "/leave/", "method": "POST", "audit__flow__id": "flow-2"}
    assert second == verified("token", by, "success", audit__token__id="token-1", **ANN, **more)
    assert deleted == token("token.delete", at="/leave/", audit__flow__id="flow-2")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (f"Token {TOKEN[::-1]}", "invalid_credentials"),
        ("Token", "token_malformed"),
        ("Token a b", "token_malformed"),
        ("Token \xff\xfe", "token_malformed"),
    ],
)
def test_token_refused(api: Any, audit_trail: AuditTrail, header: str, reason: str) -> None:
    """Unknown, or not a token at all."""
    assert api.get("/all/", HTTP_AUTHORIZATION=header).status_code == 401
    told = {"audit__reason": reason, "error__type": "authentication_failed"}
    assert audit_trail.story() == [verified("token", f"{MODULE}.TokenAuthentication", **told)]


@pytest.mark.parametrize("language", ["en", "de"])
def test_token_of_an_inactive_user(api: Any, audit_trail: AuditTrail, language: str) -> None:
    """Only the framework's sentence says why, in the language of the request."""
    from django.utils import translation

    user("ann").__class__.objects.filter(username="ann").update(is_active=False)
    with translation.override(language):
        api.get("/all/", HTTP_AUTHORIZATION=f"Token {TOKEN}")
    told = {"audit__reason": "inactive_account", "error__type": "authentication_failed"}
    assert audit_trail.story() == [verified("token", f"{MODULE}.TokenAuthentication", **told)]


def test_unknown_scheme(api: Any, audit_trail: AuditTrail) -> None:
    """No authenticator takes it for its own; the answer is a refusal, and on a page for everybody there is none."""
    assert api.get("/open/", HTTP_AUTHORIZATION=f"Bearer {WRONG}").status_code == 200
    assert audit_trail.story() == []
    assert api.get("/all/", HTTP_AUTHORIZATION=f"Bearer {WRONG}").status_code == 401
    (told,) = audit_trail.story()
    facts = {"audit__reason": "invalid_credentials", "error__type": "not_authenticated", "audit__inferred": "true"}
    expected = verified("token", "", **facts)
    del expected["audit.params.authenticator"]
    assert told == expected


def test_session(api: Any, audit_trail: AuditTrail) -> None:
    """The cookie of a browser."""
    api.force_login(user("ann"))
    audit_trail.story()
    assert api.get("/session/").status_code == 200
    expected = verified("session", f"{MODULE}.SessionAuthentication", "success", at="/session/", session__id="session-1", **ANN)
    assert audit_trail.story() == [expected]


def test_session_without_csrf_token(api: Any, audit_trail: AuditTrail) -> None:
    """Whose session it is, is known."""
    from rest_framework.test import APIClient

    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(user("ann"))
    audit_trail.story()
    assert browser.post("/session/").status_code == 403
    told = {"audit__reason": "csrf_failed", "error__type": "permission_denied", "session__id": "session-1", "method": "POST"}
    assert audit_trail.story() == [verified("session", f"{MODULE}.SessionAuthentication", at="/session/", **told, **ANN)]


def test_remote_user(api: Any, audit_trail: AuditTrail) -> None:
    """The web server has checked; Django may know the name or not."""
    from django.test import override_settings

    by, told = f"{MODULE}.RemoteUserAuthentication", {"at": "/remote/", "audit__provider": "remote_user"}
    api.get("/remote/", REMOTE_USER="ann")
    refused = verified("custom", by, audit__identity="ann", audit__reason="invalid_credentials", **told)
    assert audit_trail.story() == [refused]
    backend = "django.contrib.auth.backends.RemoteUserBackend"
    with override_settings(AUTHENTICATION_BACKENDS=[backend]):
        assert api.get("/remote/", REMOTE_USER="ann").status_code == 200
    told |= {"audit__identity": "ann", "audit__params__backend": backend}
    assert audit_trail.story() == [verified("custom", by, "success", **told, **ANN)]


def test_forced(api: Any, audit_trail: AuditTrail) -> None:
    """Tests may force a user upon the framework; nothing is checked."""
    api.force_authenticate(user("ann"))
    assert api.get("/all/").status_code == 200
    assert audit_trail.story() == []


# Authenticators that applications write


def test_api_key(api: Any, audit_trail: AuditTrail) -> None:
    """Told as what it is called."""
    by = f"{APP}.ApiKeyAuthentication"
    api.get("/key/", HTTP_X_API_KEY=KEY)
    assert audit_trail.story() == [verified("api_key", by, "success", at="/key/", **ANN)]


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (WRONG, {"outcome": "failure", "audit__reason": "invalid_credentials", "error__type": "bad_key"}),
        ("maintenance", {"outcome": "failure", "audit__reason": "permission_denied", "error__type": "closed"}),
        ("boom", {"outcome": "unknown", "audit__reason": "backend_error", "error__type": "ConnectionError"}),
    ],
)
def test_api_key_refused(api: Any, audit_trail: AuditTrail, key: str, told: dict[str, str]) -> None:
    """A wrong key, a refusal of the application's own, a broken backend."""
    api.get("/key/", HTTP_X_API_KEY=key)
    assert audit_trail.story() == [verified("api_key", f"{APP}.ApiKeyAuthentication", at="/key/", **told)]


def test_names_that_say_nothing(api: Any, audit_trail: AuditTrail) -> None:
    """A refusal in Django's words by an authenticator of whatever kind, and one whose method is lent."""
    api.get("/header/", HTTP_X_WHO="me")
    told = {"audit__reason": "permission_denied", "error__type": "PermissionDenied"}
    assert audit_trail.story() == [verified("custom", f"{APP}.HeaderAuthentication", at="/header/", **told)]
    api.get("/mixed/")
    told = {"audit__reason": "invalid_credentials", "error__type": "authentication_failed"}
    assert audit_trail.story() == [verified("custom", f"{APP}.MixedIn", at="/mixed/", **told)]


def test_basic_of_the_application(api: Any, audit_trail: AuditTrail) -> None:
    """Its accounts are no users; the header says who it claims to be."""
    api.get("/partner/", HTTP_AUTHORIZATION=basic("acme", WRONG))
    told = {"audit__reason": "invalid_credentials", "error__type": "authentication_failed", "audit__identity": "acme"}
    assert audit_trail.story() == [verified("basic", f"{APP}.PartnerBasic", at="/partner/", **told)]


def test_duck(api: Any, audit_trail: AuditTrail) -> None:
    """An authenticator that derives from nothing."""
    api.get("/duck/")
    assert audit_trail.story() == [verified("custom", f"{APP}.Duck", "success", at="/duck/", **ANN)]


def test_wrong_token_taken_for_none(api: Any, audit_trail: AuditTrail) -> None:
    """It was refused all the same; not so where a second authenticator accepts it."""
    told = {"audit__reason": "invalid_credentials", "error__type": "authentication_failed"}
    api.get("/lenient/", HTTP_AUTHORIZATION=f"Token {WRONG}")
    assert audit_trail.story() == [
        verified("token", f"{MODULE}.TokenAuthentication", at="/lenient/", **told)
        | {"audit.params.authenticator": f"{APP}.Lenient"}
    ]
    api.get("/legacy/", HTTP_AUTHORIZATION=f"Token {KEY}")
    assert audit_trail.story() == [verified("token", f"{APP}.LegacyToken", "success", at="/legacy/", **ANN)]


def test_not_allowed(api: Any, audit_trail: AuditTrail) -> None:
    """Known, and not allowed: another event, for who asks for it."""
    assert api.get("/admins/", HTTP_AUTHORIZATION=basic()).status_code == 403
    _, denied = audit_trail.story()
    told = {
        "audit__action": "authorize",
        "audit__reason": "permission_denied",
        "error__type": "permission_denied",
        "method": "GET",
    }
    assert denied == record(REST, "authz.deny", "failure", at="/admins/", audit__strategy="unknown", **told, **ANN)


# Tokens


def test_obtain_token(api: Any, audit_trail: AuditTrail) -> None:
    """A sign-in, whether the token is new or not."""
    for _ in range(2):
        assert api.post("/token/", {"username": "ann", "password": PASSWORD}).status_code == 200
    root = {**ANN, "user__id": "auth.user:3", "audit__identity": "root", "audit__token__id": "token-1"}
    assert audit_trail.story() == [sign_in(**ANN), sign_in(audit__flow__id="flow-2", **ANN)]
    assert api.post("/token/", {"username": "root", "password": PASSWORD}).status_code == 200
    assert audit_trail.story() == [sign_in(**root)]


@pytest.mark.parametrize(
    ("name", "secret", "told"),
    [
        ("ann", WRONG, {"audit__reason": "wrong_password", **ANN}),
        ("bob", PASSWORD, {"audit__reason": "inactive_account", **ANN, "user__id": "auth.user:2"}),
        ("eve", PASSWORD, {"audit__reason": "invalid_credentials"}),
    ],
)
def test_obtain_token_refused(api: Any, audit_trail: AuditTrail, name: str, secret: str, told: dict[str, str]) -> None:
    """One failure."""
    assert api.post("/token/", {"username": name, "password": secret}).status_code == 400
    assert audit_trail.story() == [sign_in("failure", error__type="authorization", **{**told, "audit__identity": name})]


def test_obtain_token_broken(api: Any, audit_trail: AuditTrail) -> None:
    """The backend breaks: nobody knows."""
    assert api.post("/token/", {"username": "crash", "password": PASSWORD}).status_code == 500
    told = {"audit__reason": "backend_error", "error__type": "ConnectionError", "audit__identity": "crash"}
    assert audit_trail.story() == [sign_in("unknown", **told)]


@pytest.mark.parametrize("body", [{}, {"username": "ann"}, {"username": "", "password": ""}, "{", None])
def test_obtain_token_without_credentials(api: Any, audit_trail: AuditTrail, body: Any) -> None:
    """Nothing was tried."""
    if isinstance(body, dict):
        api.post("/token/", body)
    else:
        api.post("/token/", body or "?", content_type="application/json" if body else "text/plain")
    assert audit_trail.story() == []


def test_throttled(api: Any, audit_trail: AuditTrail) -> None:
    """The framework answers in the place of the view."""
    assert api.post("/throttled/", {"username": "ann", "password": PASSWORD}).status_code == 429
    told = {"audit__action": "sign_in_with_token", "audit__strategy": "token", "audit__reason": "rate_limited"}
    assert audit_trail.story() == [record(REST, "auth.sign_in", "failure", at="/throttled/", error__type="throttled", **told)]


@pytest.mark.parametrize(
    ("code", "outcome", "reason"), [("400", "failure", "wrong_password"), ("503", "unknown", "backend_error")]
)
def test_own_view(api: Any, audit_trail: AuditTrail, code: str, outcome: str, reason: str) -> None:
    """A view that answers in its own words."""
    api.post("/own-token/", {"username": "ann", "password": PASSWORD})
    assert audit_trail.story() == [sign_in(at="/own-token/", **ANN)]
    api.post(f"/own-token/?code={code}", {"username": "ann", "password": WRONG})
    assert audit_trail.story() == [sign_in(outcome, at="/own-token/", audit__reason=reason, **ANN)]


def test_own_login_view(api: Any, audit_trail: AuditTrail) -> None:
    """The first login stores a token and is a sign-in; the next hands it out again, and only the password is seen to be right."""
    body = {"username": "root", "password": PASSWORD}
    api.post("/enter/", body)
    api.post("/enter/", body)
    root = {"user__id": "auth.user:3", "audit__resource": "auth.User", "audit__identity": "root", "at": "/enter/"}
    first, second = audit_trail.story()
    assert first == sign_in(audit__token__id="token-1", **root)
    assert (second["event"], second["audit.outcome"], second["user.id"]) == ("auth.authenticate", "success", "auth.user:3")
    api.post("/enter/", {**body, "password": WRONG})
    assert audit_trail.story() == [sign_in("failure", library="Django", audit__reason="wrong_password", **root)]


def test_own_login_view_with_a_session(api: Any, audit_trail: AuditTrail) -> None:
    """Session and token for one password are one sign-in."""
    api.post("/enter/", {"username": "root", "password": PASSWORD, "session": "1"})
    (told,) = audit_trail.story()
    assert (told["event"], told["audit.action"], told["session.id"]) == ("auth.sign_in", "sign_in_with_password", "session-1")


def test_registration_with_a_token(api: Any, audit_trail: AuditTrail) -> None:
    """An account, and a token for it."""
    api.post("/register/", {"username": "cleo", "password": PASSWORD})
    registered, issued = audit_trail.story()
    assert registered["event"] == "auth.register"
    assert issued == token("token.issue", at="/register/", user__id="auth.user:4")


def test_admin_hands_out_and_takes_away(api: Any, audit_trail: AuditTrail) -> None:
    """Root makes a token for bob in the admin, and deletes it there."""
    api.force_login(user("root"))
    audit_trail.story()
    at, bob = "/admin/authtoken/tokenproxy", {**ANN, "user__id": "auth.user:2", **ROOT}
    assert api.post(f"{at}/add/", {"user": user("bob").pk}).status_code == 302
    assert audit_trail.story() == [token("token.issue", at=f"{at}/add/", **bob)]
    assert api.post(f"{at}/{user('bob').pk}/delete/", {"post": "yes"}).status_code == 302
    assert audit_trail.story() == [token("token.delete", at=f"{at}/<path:object_id>/delete/", **bob)]


def test_outside_a_request(api: Any, audit_trail: AuditTrail) -> None:
    """A command makes a token; saving it again makes none."""
    from django.core.management import call_command
    from rest_framework.authtoken.models import Token

    call_command("drf_create_token", "bob", stdout=StringIO())
    (told,) = audit_trail.story()
    assert told == {
        "event": "token.issue",
        "audit.action": "issue_token",
        "audit.strategy": "token",
        "audit.outcome": "success",
        "audit.library": label(REST),
        "user.id": "auth.user:2",
        "audit.resource": "auth.User",
        "audit.token.id": "token-1",
    }
    Token.objects.get(user__username="bob").save()
    assert audit_trail.story() == []


def test_authenticator_outside_the_framework(api: Any, audit_trail: AuditTrail) -> None:
    """A middleware of the application asks one by itself."""
    from django.test import RequestFactory
    from rest_framework.authentication import TokenAuthentication
    from rest_framework.exceptions import AuthenticationFailed

    request: Any = RequestFactory().get("/", HTTP_AUTHORIZATION=f"Token {WRONG}")
    with pytest.raises(AuthenticationFailed):
        TokenAuthentication().authenticate(request)
    (told,) = audit_trail.story()
    assert (told["event"], told["audit.reason"]) == ("auth.verify", "invalid_credentials")
