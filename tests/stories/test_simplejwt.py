"""Simple JWT: tokens obtained, renewed, checked, taken back, and why the bad ones are bad."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .web import Record, label, record

LIBRARY, REST = "djangorestframework-simplejwt", "djangorestframework"
ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
WHOSE = {**ANN, "audit__token__id": "token-1"}
BACKEND = {"audit__params__backend": "django.contrib.auth.backends.ModelBackend"}
WRONG = "wrong-horse-77-staple"
VERSION = tuple(int(part) for part in version(LIBRARY).split(".")[:2])

looks_the_user_up = pytest.mark.skipif(VERSION < (5, 4), reason="before 5.4 a token was renewed without a look at its user")


def sign_in(outcome: str = "success", *, at: str = "/obtain/", library: str = LIBRARY, **more: str) -> Record:
    """A sign-in by password."""
    facts = {"audit__action": "sign_in_with_password", "audit__strategy": "password", "audit__identity": "ann"}
    facts |= {**BACKEND, "audit__token__id": "token-1"} if outcome == "success" else {}
    return record(library, "auth.sign_in", outcome, at=at, **{**facts, **more})


def token(event: str, outcome: str = "success", *, at: str, library: str = LIBRARY, **more: str) -> Record:
    """What became of a token."""
    action = {"auth.verify": "verify_with_token"}.get(event) or event.replace("token.", "") + "_token"
    return record(library, event, outcome, at=at, **{"audit__action": action, "audit__strategy": "token", **more})


@pytest.fixture
def audit_trail_options(audit_trail_options: dict[str, Any]) -> dict[str, Any]:
    """What succeeds with a token is told, too."""
    return {**audit_trail_options, "request_auth": "all", "include_events": "token.refresh", "tenant_claim": "org"}


made: list[str] = []
"""Every token of a story: none of them may be in the trail."""


@pytest.fixture
def api(audit_trail: AuditTrail) -> Iterator[Any]:
    """A client of the API."""
    from .apps.django_site import site

    applications = ("rest_framework", "rest_framework.authtoken", "rest_framework_simplejwt.token_blacklist")
    with site("simplejwt_app", *applications):
        from rest_framework.test import APIClient

        made.clear()
        audit_trail.story()
        yield APIClient(raise_request_exception=False)
        audit_trail.assert_no_secret(PASSWORD, WRONG, *made)


def user(name: str = "ann") -> Any:
    """The stored user."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username=name)


def tokens(audit_trail: AuditTrail, kind: str = "RefreshToken", name: str = "ann", **claims: Any) -> Any:
    """A token of the user, handed out before the story begins."""
    from rest_framework_simplejwt import tokens as kinds

    token = getattr(kinds, kind).for_user(user(name))
    token.payload.update(claims)
    made.append(str(token))
    audit_trail.story()
    return token


def expired(audit_trail: AuditTrail, kind: str = "RefreshToken") -> str:
    """A token of yesterday."""
    token = tokens(audit_trail, kind)
    token.set_exp(lifetime=timedelta(days=-1))
    made.append(str(token))
    return made[-1]


def forged(audit_trail: AuditTrail, kind: str = "RefreshToken") -> str:
    """A token with the signature of another."""
    token, other = tokens(audit_trail, kind), tokens(audit_trail, kind)
    made.append(f"{str(token).rpartition('.')[0]}.{str(other).rpartition('.')[2]}")
    return made[-1]


def post(api: Any, path: str, **body: str) -> Any:
    """Send JSON; the status code must be remembered by the story."""
    answer = api.post(path, body, format="json")
    made.extend(value for value in (getattr(answer, "data", None) or {}).values() if str(value).count(".") == 2)
    return answer


# Obtaining


@pytest.mark.parametrize("path", ["/obtain/", "/sliding/"])
def test_obtain(api: Any, audit_trail: AuditTrail, path: str) -> None:
    """Serializer, Django's check, password hash and token are one sign-in."""
    assert post(api, path, username="ann", password=PASSWORD).status_code == 200
    assert audit_trail.story() == [sign_in(at=path, **ANN)]


@pytest.mark.parametrize(
    ("name", "secret", "told"),
    [
        ("ann", WRONG, {"audit__reason": "wrong_password", **ANN}),
        ("bob", PASSWORD, {"audit__reason": "inactive_account", **ANN, "user__id": "auth.user:2"}),
        ("eve", PASSWORD, {"audit__reason": "invalid_credentials"}),
    ],
)
def test_obtain_refused(api: Any, audit_trail: AuditTrail, name: str, secret: str, told: dict[str, str]) -> None:
    """One failure."""
    assert post(api, "/obtain/", username=name, password=secret).status_code == 401
    told = {**told, "audit__identity": name, "error__type": "no_active_account"}
    assert audit_trail.story() == [sign_in("failure", **told)]


def test_inactive_user_whom_the_backend_lets_pass(api: Any, audit_trail: AuditTrail) -> None:
    """The rule of the library refuses who has the right password."""
    from django.test import override_settings

    with override_settings(AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.AllowAllUsersModelBackend"]):
        post(api, "/obtain/", username="bob", password=PASSWORD)
    (told,) = audit_trail.story()
    assert (told["event"], told["audit.outcome"], told["audit.reason"]) == ("auth.sign_in", "failure", "inactive_account")


def test_obtain_broken(api: Any, audit_trail: AuditTrail) -> None:
    """The backend breaks: nobody knows."""
    assert post(api, "/obtain/", username="crash", password=PASSWORD).status_code == 500
    told = {"audit__reason": "backend_error", "error__type": "ConnectionError", "audit__identity": "crash"}
    assert audit_trail.story() == [sign_in("unknown", **told)]


@pytest.mark.parametrize("body", [{}, {"username": "ann"}, {"username": "", "password": ""}])
def test_nothing_to_check(api: Any, audit_trail: AuditTrail, body: dict[str, str]) -> None:
    """Nothing was tried."""
    assert post(api, "/obtain/", **body).status_code == 400
    assert audit_trail.story() == []


def test_serializer_of_the_application(api: Any, audit_trail: AuditTrail) -> None:
    """It adds claims and refuses whom it likes, after the tokens were made."""
    assert post(api, "/claims/", username="ann", password=PASSWORD).status_code == 200
    assert audit_trail.story() == [sign_in(at="/claims/", **ANN)]
    assert post(api, "/claims/", username="root", password=PASSWORD).status_code == 401
    (told,) = audit_trail.story()
    expected = sign_in("failure", at="/claims/", **{**ANN, "user__id": "auth.user:3"}, audit__identity="root")
    expected |= {"audit.reason": "rejected_after_verification", "error.type": "root", "audit.token.id": "token-1"}
    assert told == expected | {name.replace("__", "."): value for name, value in BACKEND.items()}


def test_two_steps(api: Any, audit_trail: AuditTrail) -> None:
    """The password alone hands out nothing; with the code it is a sign-in."""
    post(api, "/first/", username="ann", password=PASSWORD)
    facts = {"audit__action": "authenticate_with_password", "audit__strategy": "password", "audit__identity": "ann"}
    assert audit_trail.story() == [record(LIBRARY, "auth.authenticate", at="/first/", **facts, **ANN, **BACKEND)]
    post(api, "/first/", username="ann", password=PASSWORD, code="483920")
    assert audit_trail.story() == [sign_in(at="/first/", **ANN)]


@pytest.mark.parametrize(
    ("path", "event"), [("obtain", "auth.sign_in"), ("claims", "auth.sign_in"), ("refresh", "token.refresh")]
)
def test_throttled(api: Any, audit_trail: AuditTrail, path: str, event: str) -> None:
    """The framework answers in the place of the view."""
    assert post(api, f"/busy-{path}/").status_code == 429
    action = "sign_in_with_token" if event == "auth.sign_in" else "refresh_token"
    told = {"audit__action": action, "audit__reason": "rate_limited", "error__type": "throttled"}
    assert audit_trail.story() == [token(event, "failure", at=f"/busy-{path}/", **told)]


def test_throttled_check(api: Any, audit_trail: AuditTrail) -> None:
    """That is nobody's sign-in."""
    assert post(api, "/busy-verify/").status_code == 429
    assert audit_trail.story() == []


# Views of the application's own


@pytest.mark.parametrize("more", [{}, {"session": "1"}])
def test_own_login_view(api: Any, audit_trail: AuditTrail, more: dict[str, str]) -> None:
    """A token made for whoever gave a password, and a session perhaps: one sign-in."""
    assert post(api, "/enter/", username="ann", password=PASSWORD, **more).status_code == 200
    assert audit_trail.story() == [sign_in(at="/enter/", **ANN)]


def test_own_login_view_refuses(api: Any, audit_trail: AuditTrail) -> None:
    """Django knows."""
    post(api, "/enter/", username="ann", password=WRONG)
    assert audit_trail.story() == [sign_in("failure", library="Django", at="/enter/", audit__reason="wrong_password", **ANN)]


def test_registration(api: Any, audit_trail: AuditTrail) -> None:
    """An account, and a token for it."""
    post(api, "/register/", username="cleo", password=PASSWORD)
    registered, issued = audit_trail.story()
    cleo = {"user__id": "auth.user:4", "audit__resource": "auth.User", "audit__token__id": "token-1"}
    assert registered["event"] == "auth.register"
    assert issued == token("token.issue", at="/register/", **cleo)


# Renewing


def test_refresh(api: Any, audit_trail: AuditTrail) -> None:
    """The token is known by its id."""
    refresh = tokens(audit_trail)
    assert post(api, "/refresh/", refresh=str(refresh)).status_code == 200
    assert audit_trail.story() == [token("token.refresh", at="/refresh/", **WHOSE)]


def test_rotation(api: Any, audit_trail: AuditTrail) -> None:
    """The old token is taken back, which is part of it; shown again it is refused."""
    from rest_framework_simplejwt.settings import api_settings

    refresh = str(tokens(audit_trail))
    api_settings.ROTATE_REFRESH_TOKENS = True  # the library reads its settings once
    try:
        renewed = post(api, "/refresh/", refresh=refresh).data["refresh"]
        assert post(api, "/refresh/", refresh=refresh).status_code == 401
        assert post(api, "/refresh/", refresh=renewed).status_code == 200
    finally:
        api_settings.ROTATE_REFRESH_TOKENS = False
    first, again, other = audit_trail.story()
    assert first == token("token.refresh", at="/refresh/", **WHOSE)
    told = {"audit__reason": "token_revoked", "error__type": "TokenError", "audit__flow__id": "flow-2"}
    assert again == token("token.refresh", "failure", at="/refresh/", **told, **WHOSE)
    assert (other["audit.outcome"], other["audit.token.id"]) == ("success", "token-2")


def test_refresh_refused(api: Any, audit_trail: AuditTrail) -> None:
    """Expired, forged, of another kind, no token at all."""
    kinds = {
        "token_expired": expired(audit_trail),
        "token_bad_signature": forged(audit_trail),
        "token_wrong_type": str(tokens(audit_trail, "AccessToken")),
        "token_malformed": WRONG,
    }
    for reason, shown in kinds.items():
        assert post(api, "/refresh/", refresh=shown).status_code == 401
        error = "ExpiredTokenError" if reason == "token_expired" and hasattr(exceptions(), "ExpiredTokenError") else "TokenError"
        told = {"audit__reason": reason, "error__type": error, **(WHOSE if reason == "token_wrong_type" else {})}
        assert audit_trail.story() == [token("token.refresh", "failure", at="/refresh/", **told)]


def exceptions() -> Any:
    """The module of the library."""
    from rest_framework_simplejwt import exceptions

    return exceptions


@looks_the_user_up
def test_refresh_of_an_inactive_user(api: Any, audit_trail: AuditTrail) -> None:
    """The token is good and its user is not."""
    refresh = str(tokens(audit_trail, name="bob"))
    assert post(api, "/refresh/", refresh=refresh).status_code == 401
    told = {**WHOSE, "user__id": "auth.user:2", "audit__reason": "inactive_account", "error__type": "no_active_account"}
    assert audit_trail.story() == [token("token.refresh", "failure", at="/refresh/", **told)]


@looks_the_user_up
def test_refresh_of_a_user_who_is_gone(api: Any, audit_trail: AuditTrail) -> None:
    """The library does not expect it."""
    refresh = str(tokens(audit_trail))
    user().delete()
    post(api, "/refresh/", refresh=refresh)
    (told,) = audit_trail.story()
    assert (told["audit.outcome"], told["audit.reason"], told["user.id"]) == ("failure", "unknown_identity", "auth.user:1")


def test_sliding(api: Any, audit_trail: AuditTrail) -> None:
    """A sliding token is renewed until it is too old for that."""
    sliding = tokens(audit_trail, "SlidingToken")
    assert post(api, "/sliding-refresh/", token=str(sliding)).status_code == 200
    assert audit_trail.story() == [token("token.refresh", at="/sliding-refresh/", **WHOSE)]
    sliding.set_exp("refresh_exp", lifetime=timedelta(days=-1))
    assert post(api, "/sliding-refresh/", token=str(sliding)).status_code == 401
    told = {"audit__reason": "token_expired", "error__type": "TokenError", **WHOSE}
    assert audit_trail.story() == [token("token.refresh", "failure", at="/sliding-refresh/", **told)]


# Checking and taking back


def test_verify(api: Any, audit_trail: AuditTrail) -> None:
    """A token shown to be checked: good, expired, blacklisted."""
    refresh = tokens(audit_trail)
    post(api, "/verify/", token=str(refresh))
    assert audit_trail.story() == [token("auth.verify", at="/verify/", **WHOSE)]
    post(api, "/verify/", token=expired(audit_trail))
    (told,) = audit_trail.story()
    assert (told["event"], told["audit.reason"]) == ("auth.verify", "token_expired")
    refresh.blacklist()
    audit_trail.story()
    assert post(api, "/verify/", token=str(refresh)).status_code == 400
    told = {"audit__reason": "token_revoked", "error__type": "invalid", **WHOSE}
    assert audit_trail.story() == [token("auth.verify", "failure", at="/verify/", **told)]


def test_blacklist(api: Any, audit_trail: AuditTrail) -> None:
    """Taken back once; the second time it is no good."""
    refresh = str(tokens(audit_trail))
    assert post(api, "/blacklist/", refresh=refresh).status_code == 200
    assert audit_trail.story() == [token("token.revoke", at="/blacklist/", **WHOSE)]
    assert post(api, "/blacklist/", refresh=refresh).status_code == 401
    told = {"audit__reason": "token_revoked", "error__type": "TokenError", **WHOSE}
    assert audit_trail.story() == [token("token.revoke", "failure", at="/blacklist/", **told)]


@pytest.mark.parametrize("every", [False, True])
def test_own_logout(api: Any, audit_trail: AuditTrail, every: bool) -> None:
    """One token, or all that the user has."""
    refresh = tokens(audit_trail)
    tokens(audit_trail)
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {refresh.access_token}")
    made.append(str(refresh.access_token))
    post(api, "/leave/", **({} if every else {"refresh": str(refresh)}))
    (verified, *rest) = audit_trail.story()
    assert verified["event"] == "auth.verify"
    expected = token("token.revoke", at="/leave/", **{**WHOSE, "audit__token__id": "token-2"})
    assert rest == [expected]


def test_admin_takes_back(api: Any, audit_trail: AuditTrail) -> None:
    """Root blacklists a token of ann's."""
    from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

    tokens(audit_trail)
    api.force_login(user("root"))
    audit_trail.story()
    at = "/admin/token_blacklist/blacklistedtoken/add/"
    assert api.post(at, {"token": OutstandingToken.objects.get().pk}).status_code == 302
    by = {"audit__actor__id": "auth.user:3", "audit__actor__type": "user"}
    assert audit_trail.story() == [token("token.revoke", at=at, **WHOSE, **by)]


# Tokens that every request carries


def carried(outcome: str = "failure", *, at: str = "/api/", by: str = "JWTAuthentication", **more: str) -> Record:
    """What the authenticator said of the token."""
    module = "tests.stories.apps.simplejwt_app" if by == "Cookie" else "rest_framework_simplejwt.authentication"
    told = {"audit__params__authenticator": f"{module}.{by}", "method": "GET"}
    library = REST if outcome == "success" else LIBRARY  # the request knows who was accepted
    return token("auth.verify", outcome, at=at, library=library, **told, **more)


@pytest.mark.parametrize(("path", "by"), [("api", "JWTAuthentication"), ("stateless", "JWTStatelessUserAuthentication")])
def test_access_token(api: Any, audit_trail: AuditTrail, path: str, by: str) -> None:
    """Whose it is, also where no user is looked up; a claim may name the tenant."""
    access = tokens(audit_trail, "AccessToken", org="acme")
    made.append(str(access))
    assert api.get(f"/{path}/", HTTP_AUTHORIZATION=f"Bearer {access}").status_code == 200
    assert audit_trail.story() == [carried("success", at=f"/{path}/", by=by, audit__tenant="acme", **WHOSE)]


def test_token_in_a_cookie(api: Any, audit_trail: AuditTrail) -> None:
    """An authenticator of the application's own."""
    assert api.get("/cookie/").status_code == 401
    assert audit_trail.story() == []
    api.cookies["jwt"] = str(tokens(audit_trail, "AccessToken"))
    assert api.get("/cookie/").status_code == 200
    assert audit_trail.story() == [carried("success", at="/cookie/", by="Cookie", **WHOSE)]
    api.cookies["jwt"] = expired(audit_trail, "AccessToken")
    api.get("/cookie/")
    told = {"audit__reason": "token_expired", "error__type": "token_not_valid"}
    assert audit_trail.story() == [carried(at="/cookie/", by="Cookie", **told)]


def test_access_token_refused(api: Any, audit_trail: AuditTrail) -> None:
    """Expired, forged, of another kind, malformed, a header with two tokens."""
    kinds = {
        "token_expired": expired(audit_trail, "AccessToken"),
        "token_bad_signature": forged(audit_trail, "AccessToken"),
        "token_wrong_type": str(tokens(audit_trail)),
        "token_malformed": WRONG,
    }
    for reason, shown in kinds.items():
        assert api.get("/api/", HTTP_AUTHORIZATION=f"Bearer {shown}").status_code == 401
        told = {"audit__reason": reason, "error__type": "token_not_valid", **(WHOSE if reason == "token_wrong_type" else {})}
        assert audit_trail.story() == [carried(**told)]
    api.get("/api/", HTTP_AUTHORIZATION=f"Bearer {WRONG} {WRONG}")
    assert audit_trail.story() == [carried(audit__reason="token_malformed", error__type="bad_authorization_header")]


@pytest.mark.parametrize("gone", [False, True])
def test_access_token_of_nobody(api: Any, audit_trail: AuditTrail, gone: bool) -> None:
    """The user was disabled, or deleted."""
    access = str(tokens(audit_trail, "AccessToken"))
    user().delete() if gone else type(user()).objects.filter(username="ann").update(is_active=False)
    api.get("/api/", HTTP_AUTHORIZATION=f"Bearer {access}")
    reason, code = ("unknown_identity", "user_not_found") if gone else ("inactive_account", "user_inactive")
    assert audit_trail.story() == [carried(audit__reason=reason, error__type=code, **WHOSE)]


def test_outside_a_request(api: Any, audit_trail: AuditTrail) -> None:
    """A command makes a token."""
    from rest_framework_simplejwt.tokens import AccessToken

    made.append(str(AccessToken.for_user(user())))
    (told,) = audit_trail.story()
    assert told == {
        "event": "token.issue",
        "audit.action": "issue_token",
        "audit.strategy": "token",
        "audit.outcome": "success",
        "audit.library": label(LIBRARY),
        "user.id": "auth.user:1",
        "audit.resource": "auth.User",
        "audit.token.id": "token-1",
    }
