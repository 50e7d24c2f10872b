"""django-rest-knox: tokens won, shown, expired, given back."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .web import Record, label, record

LIBRARY, REST = "django-rest-knox", "djangorestframework"
ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
ONE = {**ANN, "audit__token__id": "token-1"}
BACKEND = {"audit__params__backend": "django.contrib.auth.backends.ModelBackend"}
BASIC = "rest_framework.authentication.BasicAuthentication"
WRONG = "wrong-horse-77-staple"


def told(event: str, action: str, outcome: str = "success", *, at: str, library: str = LIBRARY, **more: str) -> Record:
    """What happened to a token."""
    return record(library, event, outcome, at=at, **{"audit__action": action, "audit__strategy": "token", **more})


def sign_in(outcome: str = "success", *, by: str = "password", at: str = "/form/", library: str = LIBRARY, **more: str) -> Record:
    """A sign-in."""
    facts = {"audit__action": f"sign_in_with_{by}", "audit__strategy": by, "audit__identity": "ann"}
    facts |= {**BACKEND, "audit__token__id": "token-1"} if outcome == "success" else {}
    return record(library, "auth.sign_in", outcome, at=at, **{**facts, **more})


def shown(outcome: str = "failure", *, at: str = "/leave/", method: str = "GET", **more: str) -> Record:
    """What the authenticator said of the token."""
    by = {"audit__params__authenticator": "knox.auth.TokenAuthentication", "method": method}
    return told("auth.verify", "verify_with_token", outcome, at=at, library=REST, **by, **more)


@pytest.fixture
def audit_trail_options(audit_trail_options: dict[str, Any]) -> dict[str, Any]:
    """What succeeds with a token is told, too."""
    return {**audit_trail_options, "request_auth": "all"}


made: list[str] = []
"""Every token of a story: none of them may be in the trail."""


@pytest.fixture
def api(audit_trail: AuditTrail) -> Iterator[Any]:
    """A client of the API."""
    from .apps.django_site import site

    with site("knox_app", "rest_framework", "rest_framework.authtoken", "knox"):
        from rest_framework.test import APIClient

        made.clear()
        audit_trail.story()
        yield APIClient(raise_request_exception=False)
        audit_trail.assert_no_secret(PASSWORD, WRONG, *made)


def user(name: str = "ann") -> Any:
    """The stored user."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username=name)


def token(audit_trail: AuditTrail, name: str = "ann", **more: Any) -> Any:
    """A token, made before the story begins: what is stored, and what is shown."""
    from knox.models import AuthToken

    stored, secret = AuthToken.objects.create(user(name), **more)
    made.append(secret)
    audit_trail.story()
    return stored, {"HTTP_AUTHORIZATION": f"Token {secret}"}


def post(api: Any, path: str, **more: str) -> Any:
    """Send a form, with headers in capitals."""
    headers = {name: more.pop(name) for name in list(more) if name.isupper()}
    answer = api.post(path, more, **headers)
    made.extend(str(value) for name, value in (getattr(answer, "data", None) or {}).items() if name == "token")
    return answer


def basic(secret: str = PASSWORD) -> dict[str, str]:
    """The header of Basic authentication."""
    return {"HTTP_AUTHORIZATION": f"Basic {b64encode(f'ann:{secret}'.encode()).decode()}"}


def test_login_with_basic(api: Any, audit_trail: AuditTrail) -> None:
    """Checked by one library, signed in by the other: told once each, and the sign-in says by what it was won."""
    assert post(api, "/basic/", **basic()).status_code == 200
    verified, entered = audit_trail.story()
    assert (verified["event"], verified["audit.strategy"]) == ("auth.verify", "basic")
    assert entered == sign_in(by="basic", at="/basic/", audit__params__authenticator=BASIC, **ANN)


def test_login_with_basic_refused(api: Any, audit_trail: AuditTrail) -> None:
    """The login view is not reached."""
    assert post(api, "/basic/", **basic(WRONG)).status_code == 401
    (failed,) = audit_trail.story()
    assert (failed["event"], failed["audit.outcome"], failed["audit.reason"]) == ("auth.verify", "failure", "wrong_password")


def test_too_many_tokens(api: Any, audit_trail: AuditTrail) -> None:
    """Right credentials, and two tokens already."""
    token(audit_trail)
    token(audit_trail)
    assert post(api, "/basic/", **basic()).status_code == 403
    _, refused = audit_trail.story()
    assert refused == told("auth.sign_in", "sign_in_with_token", "failure", at="/basic/", audit__reason="policy_denied", **ANN)


def test_login_with_a_form(api: Any, audit_trail: AuditTrail) -> None:
    """Password, session, token, and Django's signal twice: one sign-in."""
    assert post(api, "/form/", username="ann", password=PASSWORD).status_code == 200
    assert audit_trail.story() == [sign_in(session__id="session-1", **ANN)]


@pytest.mark.parametrize(
    ("name", "secret", "why"),
    [
        ("ann", WRONG, {"audit__reason": "wrong_password", **ANN}),
        ("bob", PASSWORD, {"audit__reason": "inactive_account", **ANN, "user__id": "auth.user:2"}),
        ("eve", PASSWORD, {"audit__reason": "invalid_credentials"}),
    ],
)
def test_login_refused(api: Any, audit_trail: AuditTrail, name: str, secret: str, why: dict[str, str]) -> None:
    """One failure."""
    assert post(api, "/form/", username=name, password=secret).status_code == 400
    assert audit_trail.story() == [sign_in("failure", error__type="authorization", **{**why, "audit__identity": name})]


def test_login_broken(api: Any, audit_trail: AuditTrail) -> None:
    """The backend breaks: nobody knows."""
    assert post(api, "/form/", username="crash", password=PASSWORD).status_code == 500
    why = {"audit__reason": "backend_error", "error__type": "ConnectionError", "audit__identity": "crash"}
    assert audit_trail.story() == [sign_in("unknown", **why)]


def test_login_without_credentials(api: Any, audit_trail: AuditTrail) -> None:
    """Nothing was tried."""
    assert post(api, "/form/", username="ann").status_code == 400
    assert audit_trail.story() == []


def test_throttled(api: Any, audit_trail: AuditTrail) -> None:
    """The framework answers in the place of the view."""
    assert post(api, "/busy/", username="ann", password=PASSWORD).status_code == 429
    why = {"audit__reason": "rate_limited", "error__type": "throttled"}
    assert audit_trail.story() == [told("auth.sign_in", "sign_in_with_token", "failure", at="/busy/", **why)]


def test_own_login_view(api: Any, audit_trail: AuditTrail) -> None:
    """A token made for whoever gave a password."""
    assert post(api, "/enter/", username="ann", password=PASSWORD).status_code == 200
    assert audit_trail.story() == [sign_in(at="/enter/", **ANN)]
    assert post(api, "/enter/", username="ann", password=WRONG).status_code == 403
    failed = sign_in("failure", at="/enter/", library="Django", audit__reason="wrong_password", **ANN)
    assert audit_trail.story() == [failed]


def test_logout(api: Any, audit_trail: AuditTrail) -> None:
    """The token is deleted and Django's signal sent: one sign-out, of the token that was shown."""
    _, header = token(audit_trail)
    assert post(api, "/logout/", **header).status_code == 204
    at = {"at": "/logout/"}
    assert audit_trail.story() == [shown("success", method="POST", **at, **ONE), told("auth.sign_out", "sign_out", **at, **ONE)]
    assert post(api, "/logout/", **header).status_code == 401
    why = {"audit__reason": "invalid_credentials", "error__type": "authentication_failed"}
    assert audit_trail.story() == [shown(at="/logout/", method="POST", **why)]


def test_logout_broken(api: Any, audit_trail: AuditTrail) -> None:
    """Nobody knows whether the token is gone."""
    _, header = token(audit_trail)
    assert post(api, "/broken/", **header).status_code == 500
    why = {"audit__reason": "backend_error", "error__type": "ConnectionError"}
    assert audit_trail.story()[1:] == [told("auth.sign_out", "sign_out", "unknown", at="/broken/", **why, **ONE)]


def test_logout_everywhere(api: Any, audit_trail: AuditTrail) -> None:
    """All tokens at once."""
    token(audit_trail)
    _, header = token(audit_trail)
    assert post(api, "/everywhere/", **header).status_code == 204
    assert audit_trail.story()[1:] == [told("auth.sign_out", "log_out_everywhere", at="/everywhere/", **ONE)]


def test_own_logout(api: Any, audit_trail: AuditTrail) -> None:
    """A view that deletes the token."""
    _, header = token(audit_trail)
    assert post(api, "/leave/", **header).status_code == 204
    assert audit_trail.story()[1:] == [told("token.delete", "delete_token", at="/leave/", **ONE)]


def test_expired(api: Any, audit_trail: AuditTrail) -> None:
    """It is deleted while it is checked, which is no event of its own; whose it was is known."""
    _, header = token(audit_trail, expiry=timedelta(hours=-1))
    assert api.get("/leave/", **header).status_code == 401
    why = {"audit__reason": "token_expired", "error__type": "authentication_failed"}
    assert audit_trail.story() == [shown(**why, **ONE)]
    assert api.get("/leave/", **header).status_code == 401
    assert audit_trail.story() == [shown(**{**why, "audit__reason": "invalid_credentials"})]


def test_another_token_has_expired(api: Any, audit_trail: AuditTrail) -> None:
    """It is deleted in passing."""
    token(audit_trail, expiry=timedelta(hours=-1))
    _, header = token(audit_trail)
    assert api.get("/leave/", **header).status_code == 200
    assert audit_trail.story() == [shown("success", **ONE)]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (f"Token {WRONG}", "invalid_credentials"),
        ("Token", "token_malformed"),
        (f"Token {WRONG} {WRONG}", "token_malformed"),
    ],
)
def test_token_refused(api: Any, audit_trail: AuditTrail, header: str, reason: str) -> None:
    """Unknown, or no token at all."""
    assert api.get("/leave/", HTTP_AUTHORIZATION=header).status_code == 401
    why = {"audit__reason": reason, "error__type": "authentication_failed"}
    assert audit_trail.story() == [shown(**why)]


def test_token_of_an_inactive_user(api: Any, audit_trail: AuditTrail) -> None:
    """The token is good and its user is not."""
    _, header = token(audit_trail, "bob")
    assert api.get("/leave/", **header).status_code == 401
    why = {"audit__reason": "inactive_account", "error__type": "authentication_failed", **ONE, "user__id": "auth.user:2"}
    assert audit_trail.story() == [shown(**why)]


def test_admin_takes_a_token_away(api: Any, audit_trail: AuditTrail) -> None:
    """Root deletes a token of ann's."""
    stored, _ = token(audit_trail)
    api.force_login(user("root"))
    audit_trail.story()
    assert api.post(f"/admin/knox/authtoken/{stored.pk}/delete/", {"post": "yes"}).status_code == 302
    by = {"audit__actor__id": "auth.user:3", "audit__actor__type": "user"}
    expected = told("token.delete", "delete_token", at="/admin/knox/authtoken/<path:object_id>/delete/", **ONE, **by)
    assert audit_trail.story() == [expected]


def test_outside_a_request(api: Any, audit_trail: AuditTrail) -> None:
    """A script makes a token."""
    from knox.models import AuthToken

    made.append(AuthToken.objects.create(user())[1])
    (issued,) = audit_trail.story()
    assert issued == {
        "event": "token.issue",
        "audit.action": "issue_token",
        "audit.strategy": "token",
        "audit.outcome": "success",
        "audit.library": label(LIBRARY),
        "user.id": "auth.user:1",
        "audit.resource": "auth.User",
        "audit.token.id": "token-1",
    }
