"""dj-rest-auth: one event for what its views do, whatever does it below them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .test_allauth import SETTINGS, addresses, mailed, user
from .web import Record, record

NEW, WRONG = "kT4!-pWq9", "guess-77-harbour"
ANN, BOB = ({"user__id": f"auth.user:{number}", "audit__resource": "auth.User"} for number in (1, 2))
NEWCOMER = {"user__id": "auth.user:4", "audit__resource": "auth.User"}
BACKEND = {"audit__params__backend": "django.contrib.auth.backends.ModelBackend"}
SESSION, TOKEN = {"session__id": "session-1"}, {"audit__token__id": "token-1"}
DUMMY = {"audit__strategy": "oauth2", "audit__provider": "dummy"}
pytestmark = pytest.mark.filterwarnings("ignore:app_settings:UserWarning")  # the library asks for it
MFA = find_spec("dj_rest_auth") is not None and find_spec("dj_rest_auth.mfa") is not None


def said(event: str, action: str, strategy: str, *, at: str, library: str = "dj-rest-auth", **more: str) -> Record:
    """A whole record of a request that succeeded; `why` and `code` of one that did not."""
    outcome = "failure" if "why" in more else "success"
    facts = {"audit__action": action, "audit__strategy": strategy}
    facts |= {"audit__reason": more.pop("why")} if "why" in more else {}
    facts |= {"error__type": more.pop("code")} if "code" in more else {}
    facts |= {"audit__identity": more.pop("typed")} if "typed" in more else {}
    return record(library, event, outcome, at=at, **{**facts, **more})


def sign_in(strategy: str = "password", *, at: str = r"/auth/login/?$", **more: str) -> Record:
    """A sign-in."""
    return said("auth.sign_in", f"sign_in_with_{strategy}", strategy, at=at, **more)


def password(event: str, *, at: str, **more: str) -> Record:
    """Something about ann's password."""
    actions = {"change": "change_password", "reset": "password_reset_with_password"}
    return said(f"password.{event}", actions[event], "password", at=at, **{**ANN, **more})


@pytest.fixture
def site(audit_trail: AuditTrail) -> Iterator[Any]:
    """The API; ann's address is verified. No story leaves a secret in the trail."""
    from .apps.django_site import site as standing

    apps = [f"allauth{name}" for name in ("", ".account", ".socialaccount", ".socialaccount.providers.dummy")]
    apps += ["rest_framework", "rest_framework.authtoken", "rest_framework_simplejwt.token_blacklist"]
    apps += ["dj_rest_auth", "dj_rest_auth.registration", *(["dj_rest_auth.mfa"] if MFA else [])]
    middleware = ["allauth.account.middleware.AccountMiddleware"]
    rest = {
        "DEFAULT_AUTHENTICATION_CLASSES": [f"rest_framework.authentication.{kind}Authentication" for kind in ("Session", "Token")]
    }
    with standing("dj_rest_auth_app", *apps, middleware=middleware, **SETTINGS, REST_FRAMEWORK=rest, REST_AUTH={}):
        from django.core.cache import cache

        cache.clear()
        addresses().create(user=user("ann"), email="ann@example.org", verified=True, primary=True)
        audit_trail.story()
        yield
        audit_trail.assert_no_secret(PASSWORD, NEW, WRONG)


@pytest.fixture
def api(site: Any) -> Any:
    """A client that nobody is signed in with."""
    from rest_framework.test import APIClient

    return APIClient(raise_request_exception=False)


@pytest.fixture
def ann(api: Any, audit_trail: AuditTrail) -> Any:
    """Ann's client."""
    post(api, "login/", username="ann", password=PASSWORD)
    audit_trail.story()
    return api


def post(api: Any, path: str, **data: Any) -> Any:
    """Call the API."""
    return api.post(f"/auth/{path}", data, format="json")


# Signing in and out


def test_sign_in(api: Any, audit_trail: AuditTrail) -> None:
    """Password, session and a new token are one record; the next time the token is there already."""
    key = post(api, "login/", username="ann", password=PASSWORD).json()["key"]
    expected = sign_in(typed="ann", **BACKEND, **ANN, **SESSION)
    assert audit_trail.story() == [{**expected, "audit.token.id": "token-1"}]
    api.logout()
    audit_trail.story()
    post(api, "login/", username="ann", password=PASSWORD)
    assert audit_trail.story() == [expected]
    audit_trail.assert_no_secret(key)


def test_sign_in_with_jwt(api: Any, audit_trail: AuditTrail) -> None:
    """Two tokens are one sign-in."""
    from .apps.dj_rest_auth_app import settings

    with settings(USE_JWT=True, SESSION_LOGIN=False, JWT_AUTH_HTTPONLY=False):
        tokens = post(api, "login/", username="ann", password=PASSWORD).json()
        expected = sign_in(typed="ann", **BACKEND, **ANN, **TOKEN)
        assert audit_trail.story() == [expected]
        api.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    audit_trail.assert_no_secret(tokens["access"], tokens["refresh"])


def test_sign_out(ann: Any, audit_trail: AuditTrail) -> None:
    """Session and token end together; nobody signs out nobody."""
    assert post(ann, "logout/").status_code == 200
    out = said("auth.sign_out", "sign_out", "session", at="/auth/logout/?$", **ANN, **SESSION, **TOKEN)
    assert audit_trail.story() == [out]
    post(ann, "logout/")
    assert audit_trail.story() == []


@pytest.mark.parametrize(
    ("name", "secret", "why", "who"),
    [
        ("ann", WRONG, "wrong_password", ANN),
        ("zed", PASSWORD, "invalid_credentials", {}),
        ("bob", PASSWORD, "inactive_account", BOB),
    ],
)
def test_sign_in_refused(api: Any, audit_trail: AuditTrail, name: str, secret: str, why: str, who: Any) -> None:
    """The API says the same for all; the record knows better."""
    assert post(api, "login/", username=name, password=secret).status_code == 400
    assert audit_trail.story() == [sign_in(typed=name, why=why, code="invalid", **who)]


def test_half_a_request_is_no_attempt(api: Any, audit_trail: AuditTrail) -> None:
    """Nothing was tried."""
    post(api, "login/", username="ann")
    assert audit_trail.story() == []


def test_address_not_verified(api: Any, audit_trail: AuditTrail) -> None:
    """A right password; the address is not confirmed."""
    from django.test import override_settings

    addresses().update(verified=False)
    with override_settings(ACCOUNT_EMAIL_VERIFICATION="mandatory"):
        post(api, "login/", username="ann", password=PASSWORD)
    assert audit_trail.story() == [sign_in(typed="ann", why="unverified_account", code="invalid", **BACKEND, **ANN)]


# Passwords


def test_change_password(ann: Any, audit_trail: AuditTrail) -> None:
    """A form for resets does it, and it is a change; weak ones are refused."""
    at = "/auth/password/change/?$"
    post(ann, "password/change/", new_password1="a", new_password2="a")
    assert audit_trail.story() == [password("change", at=at, why="weak_password", code="invalid")]
    assert post(ann, "password/change/", new_password1=NEW, new_password2=NEW).status_code == 200
    assert audit_trail.story() == [password("change", at=at)]


def test_old_password_is_asked_for(ann: Any, audit_trail: AuditTrail) -> None:
    """The check of the old one knows why."""
    from .apps.dj_rest_auth_app import settings

    with settings(OLD_PASSWORD_FIELD_ENABLED=True):
        post(ann, "password/change/", old_password=WRONG, new_password1=NEW, new_password2=NEW)
    assert audit_trail.story() == [password("change", at="/auth/password/change/?$", why="wrong_password", code="invalid")]


def test_reset_password(api: Any, audit_trail: AuditTrail) -> None:
    """Asked for, forged, refused, done."""
    post(api, "password/reset/", email="ann@example.org")
    action = "request_password_reset_with_password"
    asked = {"at": r"/auth/password/reset/?$", "library": "django-allauth", "typed": "ann@example.org"}
    assert audit_trail.story() == [said("password.reset_request", action, "password", **asked, **ANN)]
    uid, token = re.findall(r"/auth/reset/([^/]+)/([^/]+)/", mailed(r"(\S+/auth/reset/\S+)"))[0]
    at, link = r"/auth/password/reset/confirm/?$", {"uid": uid, "token": token}
    post(api, "password/reset/confirm/", uid=uid, token="forged-zzz", new_password1=NEW, new_password2=NEW)
    assert audit_trail.story() == [password("reset", at=at, why="invalid_code", code="invalid")]
    post(api, "password/reset/confirm/", **link, new_password1="a", new_password2="a")
    assert audit_trail.story() == [password("reset", at=at, why="weak_password", code="invalid")]
    post(api, "password/reset/confirm/", **link, new_password1=NEW, new_password2=NEW)
    assert audit_trail.story() == [password("reset", at=at)]
    audit_trail.assert_no_secret(token)


# Newcomers


def register(api: Any, **more: str) -> Any:
    """Send everything a newcomer needs."""
    fields = {"username": "eve", "email": "eve@example.org", "password1": NEW, "password2": NEW}
    return post(api, "registration/", **{**fields, **more})


def test_register(api: Any, audit_trail: AuditTrail) -> None:
    """An account, a mail, and one sign-in, though token and session come apart."""
    assert register(api).status_code == 201
    at = "/auth/registration/"
    told = {"at": at, "library": "django-allauth", **NEWCOMER}
    assert audit_trail.story() == [
        said("auth.register", "register_with_password", "password", typed="eve", **{**told, "library": "Django"}),
        said("account.verify_request", "request_confirmation", "unknown", typed="eve@example.org", **told),
        said("auth.sign_in", "sign_in_with_session", "session", at=at, **NEWCOMER, **SESSION, **TOKEN),
    ]


def test_register_with_a_mail_to_answer_first(api: Any, audit_trail: AuditTrail) -> None:
    """No session and no token, so no sign-in."""
    from django.test import override_settings

    with override_settings(ACCOUNT_EMAIL_VERIFICATION="mandatory"):
        register(api)
    assert [one["event"] for one in audit_trail.story()] == ["auth.register", "account.verify_request"]


@pytest.mark.parametrize(
    ("fields", "why", "code"),
    [
        ({"username": "ann"}, "identity_in_use", "username_taken"),
        ({"email": "ann@example.org"}, "identity_in_use", "invalid"),
        ({"password1": "a", "password2": "a"}, "weak_password", "password_too_short"),
        ({"password2": WRONG}, "password_mismatch", "invalid"),
    ],
)
def test_register_refused(api: Any, audit_trail: AuditTrail, fields: Any, why: str, code: str) -> None:
    """Whatever is wrong."""
    register(api, **fields)
    typed = fields.get("username", "eve")
    expected = said(
        "auth.register", "register_with_password", "password", at="/auth/registration/", typed=typed, why=why, code=code
    )
    assert audit_trail.story() == [expected]


# Providers


def test_sign_in_through_a_provider(api: Any, audit_trail: AuditTrail) -> None:
    """The first time with an account; a token that the provider does not know is refused."""
    profile = json.dumps({"id": 5, "email": "eve@example.org", "username": "eve", "email_verified": False})
    at = "/auth/social/"
    assert post(api, "social/", access_token=profile).status_code == 200
    told = {"at": at, "library": "django-allauth", **NEWCOMER}
    entered = said("auth.sign_in", "sign_in_with_dummy", at=at, **{**NEWCOMER, **SESSION, **TOKEN, "strategy": "oauth2"})
    entered["audit.provider"] = "dummy"
    assert audit_trail.story() == [
        said("auth.register", "register_with_dummy", "oauth2", audit__provider="dummy", typed="eve", **told),
        said("account.verify_request", "request_confirmation", "unknown", typed="eve@example.org", **told),
        entered,
    ]
    post(api, "social/", access_token="forged-zzz")
    refused = said(
        "auth.sign_in", "sign_in_with_dummy", "oauth2", at=at, why="invalid_input", code="invalid", audit__provider="dummy"
    )
    assert audit_trail.story() == [refused]


def test_account_linked(ann: Any, audit_trail: AuditTrail) -> None:
    """The library signs the same user in again, and that is not told."""
    post(ann, "social/connect/", access_token=json.dumps({"id": 6}))
    linked = said("account.link", "link_dummy", "oauth2", at="/auth/social/connect/", audit__provider="dummy", **ANN)
    assert [{**one, "session.id": None} for one in audit_trail.story()] == [{**linked, "session.id": None}]


# Second factors


def factor(event: str, action: str, strategy: str, *, at: str, **more: str) -> Record:
    """Something about ann's factors."""
    return said(event, action, strategy, at=at, **{**ANN, **more})


@pytest.mark.skipif(not MFA, reason="no second factors in this version")
def test_second_factor(ann: Any, audit_trail: AuditTrail) -> None:
    """Set up, asked for, wrong, right, used up, recovered, taken away."""
    import pyotp

    at = "/auth/mfa/totp/activate/?$"
    offer = ann.get("/auth/mfa/totp/activate/").json()
    totp = pyotp.TOTP(offer["secret"])
    post(ann, "mfa/totp/activate/", activation_token=offer["activation_token"], code="99887766")
    assert audit_trail.story() == [factor("mfa.enroll", "setup_with_totp", "totp", at=at, why="mfa_invalid", code="invalid")]
    codes = post(ann, "mfa/totp/activate/", activation_token=offer["activation_token"], code=totp.now()).json()["recovery_codes"]
    assert audit_trail.story() == [
        factor("mfa.recovery_codes.generate", "generate_recovery_codes", "recovery_code", at=at),
        factor("mfa.enroll", "setup_with_totp", "totp", at=at),
    ]
    half = {"typed": "ann", "audit__params__stage": "mfa_verify", **BACKEND}
    step = post(ann, "two/login/", username="ann", password=PASSWORD).json()["ephemeral_token"]
    asked = factor("auth.authenticate", "authenticate_with_password", "password", at="/auth/two/login/", **half)
    assert audit_trail.story() == [asked]
    at = "/auth/mfa/verify/?$"
    post(ann, "mfa/verify/", ephemeral_token=step, code="99887766")
    wrong = factor("mfa.verify", "verify_with_totp", "totp", at=at, why="mfa_invalid", code="invalid")
    assert audit_trail.story() == [wrong]
    assert post(ann, "mfa/verify/", ephemeral_token=step, code=codes[0]).status_code == 200
    entered = said("auth.sign_in", "sign_in_with_recovery_code", "recovery_code", at=at, **ANN, **SESSION)
    assert [{**one, "session.id": "session-1"} for one in audit_trail.story()] == [entered]
    post(ann, "mfa/verify/", ephemeral_token="forged-zzz", code=codes[1])
    (forged,) = audit_trail.story()
    assert (forged["event"], forged["audit.reason"], forged["error.type"]) == (
        "mfa.verify",
        "code_expired",
        "invalid",
    )
    post(ann, "mfa/recovery-codes/regenerate/")
    post(ann, "mfa/totp/deactivate/", code="99887766")
    post(ann, "mfa/totp/deactivate/", code=totp.now())
    told = [(one["event"], one["audit.outcome"]) for one in audit_trail.story()]
    assert told == [("mfa.recovery_codes.generate", "success"), ("mfa.remove", "failure"), ("mfa.remove", "success")]
    audit_trail.assert_no_secret(offer["secret"], step)
    assert not any(code in str(audit_trail.records) for code in codes)  # half of one is four digits, which any hash may hold
