"""django-allauth: accounts, providers, second factors, sessions, on pages and through the API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .web import Record, record

ALLAUTH = tuple(int(part) for part in version("django-allauth").split(".")[:2])
NEW, NEWER = "kT4!-pWq9", "Zq8!-xVn3r"
WRONG = "guess-77-harbour"
PAGES, BROWSER, APP = "/accounts/", "/_allauth/browser/v1/", "/_allauth/app/v1/"
RESET_LINK = "/accounts/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$"
CONFIRM_LINK = r"/accounts/confirm-email/(?P<key>[-:\w]+)/$"
BACKEND = {"audit__params__backend": "django.contrib.auth.backends.ModelBackend"}
SESSION = {"session__id": "session-1"}
RESOURCE = {"audit__resource": "auth.User"}
ANN, BOB = ({"user__id": f"auth.user:{number}", **RESOURCE} for number in (1, 2))
NEWCOMER = {"user__id": "auth.user:4", **RESOURCE}
DUMMY = {"audit__strategy": "oauth2", "audit__provider": "dummy"}
FIRST, FIRST_BY = ("dummy", DUMMY) if ALLAUTH >= (65, 11) else ("session", {"audit__strategy": "session"})
"""How a newcomer comes in who was sent by a provider: older versions do not keep that in the session."""


def said(event: str, action: str, strategy: str = "unknown", *, at: str, **more: str) -> Record:
    """A whole record of a request that succeeded; `why` and `code` of one that did not."""
    outcome = "failure" if "why" in more else "success"
    facts = {"audit__action": action, "audit__strategy": strategy}
    facts |= {"audit__reason": more.pop("why")} if "why" in more else {}
    facts |= {"error__type": more.pop("code")} if "code" in more else {}
    facts |= {"audit__identity": more.pop("typed")} if "typed" in more else {}
    return record("django-allauth", event, outcome, at=at, **{**facts, **more})


def signed_in(strategy: str = "password", *, at: str = "/accounts/login/", **more: str) -> Record:
    """A sign-in of ann."""
    facts = {**ANN, **SESSION, "typed": "ann", **(BACKEND if strategy == "password" else {})}
    return said("auth.sign_in", f"sign_in_with_{strategy}", strategy, at=at, **{**facts, **more})


def refused(why: str, strategy: str = "password", *, at: str = "/accounts/login/", **more: str) -> Record:
    """A sign-in that was refused."""
    return said("auth.sign_in", f"sign_in_with_{strategy}", strategy, at=at, why=why, **more)


def password(event: str, *, at: str, **more: str) -> Record:
    """Something about ann's password."""
    actions = {"change": "change_password", "reset": "password_reset_with_password"}
    actions["reset_request"] = "request_password_reset_with_password"
    return said(f"password.{event}", actions[event], "password", at=at, **{**ANN, **more})


def address(event: str, action: str, email: str, *, at: str, **more: str) -> Record:
    """Something about an e-mail address of ann's."""
    return said(event, action, at=at, typed=email, **{**ANN, **more})


@pytest.fixture
def site(audit_trail: AuditTrail) -> Iterator[Any]:
    """The site; ann's address is verified. No story leaves a password in the trail."""
    yield from _site(audit_trail)


def _site(audit_trail: AuditTrail, **settings: Any) -> Iterator[Any]:
    from .apps.django_site import site as standing

    apps = (*(f"allauth{name}" for name in ("", ".account", ".socialaccount", ".mfa", ".usersessions", ".headless")), DUMMY_APP)
    middleware = ("allauth.account.middleware.AccountMiddleware",)
    with standing("allauth_app", *apps, middleware=middleware, **{**SETTINGS, **settings}):
        from django.core.cache import cache

        cache.clear()
        addresses().create(user=user("ann"), email="ann@example.org", verified=True, primary=True)
        audit_trail.story()
        yield
        audit_trail.assert_no_secret(PASSWORD, NEW, NEWER, WRONG)


DUMMY_APP = "allauth.socialaccount.providers.dummy"
SETTINGS: dict[str, Any] = {
    "AUTHENTICATION_BACKENDS": [
        "django.contrib.auth.backends.ModelBackend",
        "allauth.account.auth_backends.AuthenticationBackend",
    ],
    "STATIC_URL": "/static/",
    "ACCOUNT_LOGIN_METHODS": {"username", "email"},
    "ACCOUNT_SIGNUP_FIELDS": ["email*", "username*", "password1*", "password2*"],
    "ACCOUNT_EMAIL_VERIFICATION": "optional",
    "ACCOUNT_LOGIN_BY_CODE_ENABLED": True,
    "ACCOUNT_SIGNUP_FORM_HONEYPOT_FIELD": "website",
    "MFA_SUPPORTED_TYPES": ["totp", "webauthn", "recovery_codes"],
    "MFA_TOTP_TOLERANCE": 1,  # a code made at the end of its half minute is typed in the next
    "MFA_PASSKEY_LOGIN_ENABLED": True,
    "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN": True,
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "allauth"}},
}


@pytest.fixture
def client(site: Any) -> Any:
    """A browser that nobody is signed in with."""
    from django.test import Client

    return Client(raise_request_exception=False)


@pytest.fixture
def ann(client: Any, audit_trail: AuditTrail) -> Any:
    """Ann's browser, where she has just given her password twice."""
    assert sign_in(client).status_code == 302
    assert client.post(f"{PAGES}reauthenticate/", {"password": PASSWORD}).status_code == 302
    audit_trail.story()
    return client


@pytest.fixture
def setting() -> Iterator[Any]:
    """Changes settings until the test is over."""
    from django.test import override_settings

    changed: list[Any] = []

    def change(**settings: Any) -> None:
        changed.append(override_settings(**settings))
        changed[-1].enable()

    yield change
    for one in reversed(changed):
        one.disable()


def user(name: str) -> Any:
    """The stored user."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username=name)


def addresses() -> Any:
    """E-mail addresses."""
    from allauth.account.models import EmailAddress

    return EmailAddress.objects


def authenticator(kind: str) -> Any:
    """Ann's only authenticator of a kind."""
    from allauth.mfa.models import Authenticator

    return Authenticator.objects.get(type=kind)


def sign_in(client: Any, name: str = "ann", secret: str = PASSWORD) -> Any:
    """Send the login form."""
    return client.post(f"{PAGES}login/", {"login": name, "password": secret})


def sign_up(client: Any, **more: str) -> Any:
    """Send the form for newcomers."""
    fields = {"username": "eve", "email": "eve@example.org", "password1": NEW, "password2": NEW}
    return client.post(f"{PAGES}signup/", {**fields, **more})


def mailed(pattern: str) -> str:
    """What the last mail holds."""
    from django.core import mail

    found = re.search(pattern, str(mail.outbox[-1].body), re.MULTILINE)
    assert found is not None
    return found[1]


CODE = r"^([A-Z0-9]{4}-?[A-Z0-9]{2,5})$"
LINK = r"http://testserver(\S+/)"


def api(client: Any, path: str, method: str = "post", *, base: str = BROWSER, **data: Any) -> Any:
    """Call the API."""
    headers = data.pop("headers", {})
    return getattr(client, method)(base + path, json.dumps(data), content_type="application/json", headers=headers)


# Signing in


def test_sign_in(client: Any, audit_trail: AuditTrail) -> None:
    """Form, adapter, two backends, hash, stages, session and signals are one record, by user name or by address."""
    assert sign_in(client).status_code == 302
    assert audit_trail.story() == [signed_in()]
    client.logout()
    audit_trail.story()
    assert sign_in(client, "ann@example.org").status_code == 302
    backend = "allauth.account.auth_backends.AuthenticationBackend"
    assert audit_trail.story() == [signed_in(typed="ann@example.org", audit__params__backend=backend)]


def test_wrong_password(client: Any, audit_trail: AuditTrail) -> None:
    """Two backends compare the hash; that is one failure."""
    assert sign_in(client, secret=WRONG).status_code == 200
    assert audit_trail.story() == [refused("wrong_password", typed="ann", code="username_password_mismatch", **ANN)]


def test_unknown_account(client: Any, audit_trail: AuditTrail) -> None:
    """Nobody says that there is no such account, and neither do we."""
    sign_in(client, "zed@example.org")
    assert audit_trail.story() == [refused("invalid_credentials", typed="zed@example.org", code="email_password_mismatch")]


def test_inactive_account(client: Any, audit_trail: AuditTrail) -> None:
    """Django says no, allauth remembers that the password was right and turns the user away itself."""
    assert sign_in(client, "bob")["Location"] == "/accounts/inactive/"
    assert audit_trail.story() == [refused("inactive_account", typed="bob", **BOB)]


def test_half_a_form_is_no_attempt(client: Any, audit_trail: AuditTrail) -> None:
    """Nothing was tried."""
    client.post(f"{PAGES}login/", {"login": "ann"})
    client.get(f"{PAGES}login/")
    assert audit_trail.story() == []


def test_too_many_guesses(client: Any, audit_trail: AuditTrail) -> None:
    """The sixth is not even compared."""
    for _ in range(6):
        sign_in(client, secret=WRONG)
    *guesses, last = audit_trail.story()
    assert [guess["audit.reason"] for guess in guesses] == ["wrong_password"] * 5
    assert last == refused("rate_limited", typed="ann", code="too_many_login_attempts", audit__flow__id="flow-6")


def test_too_many_requests(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """A limit for the address answers for the view: nobody knows who it was."""
    setting(ACCOUNT_RATE_LIMITS={"login": "1/m/ip", "reset_password": "1/m/ip"}, ACCOUNT_LOGIN_METHODS={"username"})
    api(client, "auth/login", username="ann", password=WRONG)
    audit_trail.story()
    assert api(client, "auth/login", username="ann", password=PASSWORD).status_code == 429
    assert audit_trail.story() == [refused("rate_limited", at=f"{BROWSER}auth/login")]
    api(client, "auth/password/request", email="ann@example.org")
    api(client, "auth/password/request", email="ann@example.org")
    first, second = audit_trail.story()
    assert (first["audit.outcome"], second["audit.reason"]) == ("success", "rate_limited")


def test_sign_out(ann: Any, audit_trail: AuditTrail) -> None:
    """Django's own event."""
    ann.post(f"{PAGES}logout/")
    facts = {"audit__action": "sign_out", "audit__strategy": "session", **SESSION, **ANN}
    assert audit_trail.story() == [record("Django", "auth.sign_out", at="/accounts/logout/", **facts)]


def test_address_to_be_verified_first(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """A right password, and a mail instead of a session; the link in it completes the sign-in."""
    setting(ACCOUNT_EMAIL_VERIFICATION="mandatory", ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION=True)
    addresses().update(verified=False)
    sign_in(client)
    at = "/accounts/login/"
    stage = {"audit__params__stage": "verify_email", **BACKEND}
    assert audit_trail.story() == [
        address("account.verify_request", "request_confirmation", "ann@example.org", at=at),
        refused("unverified_account", typed="ann", **stage, **ANN),
    ]
    assert client.post(mailed(LINK)).status_code == 302
    first, second = audit_trail.story()
    assert first == address("account.verify", "confirm", "ann@example.org", at=CONFIRM_LINK)
    later = signed_in("password", at=CONFIRM_LINK)
    del later["audit.params.backend"]
    assert second == later


# By code


def test_sign_in_by_code(client: Any, audit_trail: AuditTrail) -> None:
    """Asked for, typed wrong, typed right."""
    client.post(f"{PAGES}login/code/", {"email": "ann@example.org"})
    asked = said("auth.magic_link.request", "request_otp", "otp", at="/accounts/login/code/", typed="ann@example.org", **ANN)
    assert audit_trail.story() == [asked]
    code, at = mailed(CODE), "/accounts/login/code/confirm/"
    client.post(at, {"code": "ZZZZ-99"})
    assert audit_trail.story() == [refused("invalid_code", "otp", at=at, typed="ann@example.org", **ANN)]
    assert client.post(at, {"code": code}).status_code == 302
    assert audit_trail.story() == [signed_in("otp", at=at, typed="ann@example.org")]
    audit_trail.assert_no_secret(code)


def test_code_for_nobody(client: Any, audit_trail: AuditTrail) -> None:
    """The page is the same; a wrong code is one all the same."""
    client.post(f"{PAGES}login/code/", {"email": "zed@example.org"})
    facts = {"typed": "zed@example.org", "why": "unknown_identity"}
    assert audit_trail.story() == [
        said("auth.magic_link.request", "request_otp", "otp", at="/accounts/login/code/", **facts),
    ]
    client.post(f"{PAGES}login/code/confirm/", {"code": "ZZZZ-99"})
    expected = refused("invalid_code", "otp", at="/accounts/login/code/confirm/", typed="zed@example.org")
    assert audit_trail.story() == [expected]


def test_code_too_late(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """Whoever only looks at the page tries nothing."""
    client.post(f"{PAGES}login/code/", {"email": "ann@example.org"})
    audit_trail.story()
    setting(ACCOUNT_LOGIN_BY_CODE_TIMEOUT=0)
    client.post(f"{PAGES}login/code/confirm/", {"code": mailed(CODE)})
    at = "/accounts/login/code/confirm/"
    assert audit_trail.story() == [refused("code_expired", "otp", at=at, typed="ann@example.org", **ANN)]


def test_code_as_a_second_step(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """The site asks for a code after every password."""
    setting(ACCOUNT_LOGIN_BY_CODE_REQUIRED=True)
    sign_in(client)
    at = "/accounts/login/"
    stage = {"audit__params__stage": "login_by_code", **BACKEND}
    assert audit_trail.story() == [
        said("mfa.code.send", "request_otp", "otp", at=at, typed="ann@example.org", **ANN),
        said("auth.authenticate", "authenticate_with_password", "password", at=at, typed="ann", **stage, **ANN),
    ]
    client.post(f"{PAGES}login/code/confirm/", {"code": mailed(CODE)})
    assert audit_trail.story() == [signed_in("otp", at="/accounts/login/code/confirm/", typed="ann@example.org")]


# Newcomers


def test_sign_up(client: Any, audit_trail: AuditTrail) -> None:
    """An account, a mail, a session."""
    assert sign_up(client).status_code == 302
    at = "/accounts/signup/"
    assert audit_trail.story() == [
        said("auth.register", "register_with_password", "password", at=at, typed="eve", **NEWCOMER),
        address("account.verify_request", "request_confirmation", "eve@example.org", at=at, **NEWCOMER),
        said("auth.sign_in", "sign_in_with_session", "session", at=at, **NEWCOMER, **SESSION),
    ]


@pytest.mark.parametrize(
    ("fields", "why", "code"),
    [
        ({"username": "ann"}, "identity_in_use", "username_taken"),
        ({"email": "ann@example.org"}, "identity_in_use", "email_taken"),
        ({"password1": "a", "password2": "a"}, "weak_password", "password_too_short"),
        ({"password2": NEWER}, "password_mismatch", None),
        ({"website": "spam"}, "policy_denied", None),
    ],
)
def test_sign_up_refused(client: Any, audit_trail: AuditTrail, fields: Any, why: str, code: str | None) -> None:
    """Whatever is wrong, and a field that only machines fill in."""
    sign_up(client, **fields)
    more = {} if code is None else {"code": code}
    at, typed = "/accounts/signup/", fields.get("username", "eve")
    expected = said("auth.register", "register_with_password", "password", at=at, typed=typed, why=why, **more)
    assert audit_trail.story() == [expected]


def test_sign_up_of_somebody_known(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """The page is the one of a newcomer; the owner of the address gets a mail."""
    setting(ACCOUNT_EMAIL_VERIFICATION="mandatory")
    sign_up(client, email="ann@example.org")
    facts = {"typed": "eve", "why": "account_exists"}
    assert audit_trail.story() == [said("auth.register", "register_with_password", "password", at="/accounts/signup/", **facts)]


def test_sign_up_that_is_closed(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """Looking at the page is nothing; sending it is refused, also through the API."""
    setting(ACCOUNT_ADAPTER="tests.stories.apps.allauth_adapters.Closed")
    client.get(f"{PAGES}signup/")
    assert audit_trail.story() == []
    sign_up(client)
    api(client, "auth/signup", username="eve", email="eve@example.org", password=NEW)
    closed = said("auth.register", "register", at="/accounts/signup/", why="policy_denied")
    story = audit_trail.story()
    assert [(one["audit.reason"], one["http.route"]) for one in story] == [
        ("policy_denied", "/accounts/signup/"),
        ("policy_denied", f"{BROWSER}auth/signup"),
    ]
    assert {**story[0], "audit.action": "register"} == closed


# Passwords


def test_change_password(ann: Any, audit_trail: AuditTrail) -> None:
    """One record; the session goes on."""
    at = "/accounts/password/change/"
    ann.post(at, {"oldpassword": WRONG, "password1": NEW, "password2": NEW})
    assert audit_trail.story() == [password("change", at=at, why="wrong_password", code="enter_current_password")]
    ann.post(at, {"oldpassword": PASSWORD, "password1": "a", "password2": "a"})
    assert audit_trail.story() == [password("change", at=at, why="weak_password", code="password_too_short")]
    assert ann.post(at, {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}).status_code == 302
    assert audit_trail.story() == [password("change", at=at)]


def test_first_password(client: Any, audit_trail: AuditTrail) -> None:
    """Somebody who came through a provider sets one."""
    somebody = user("ann")
    somebody.set_unusable_password()
    somebody.save()
    client.force_login(somebody)
    audit_trail.story()
    at = "/accounts/password/set/"
    assert client.post(at, {"password1": NEW, "password2": NEW}).status_code == 302
    assert audit_trail.story() == [password("change", at=at)]


def test_reset_by_link(client: Any, audit_trail: AuditTrail) -> None:
    """Asked for, opened, refused, done; the link is good for nothing then."""
    client.post(f"{PAGES}password/reset/", {"email": "ann@example.org"})
    at = "/accounts/password/reset/"
    assert audit_trail.story() == [password("reset_request", at=at, typed="ann@example.org")]
    link = mailed(LINK)
    page = client.get(link)["Location"]
    client.post(page, {"password1": "a", "password2": "a"})
    assert audit_trail.story() == [password("reset", at=RESET_LINK, why="weak_password", code="password_too_short")]
    client.post(page, {"password1": NEW, "password2": NEW})
    assert audit_trail.story() == [password("reset", at=RESET_LINK)]
    client.get(link)
    expected = password("reset", at=RESET_LINK, method="GET", why="invalid_code", code="invalid_password_reset")
    assert audit_trail.story() == [expected]
    audit_trail.assert_no_secret(link.rpartition("-")[2].strip("/"))


def test_reset_for_nobody(client: Any, audit_trail: AuditTrail) -> None:
    """The page is the same; the form knows that there is no account."""
    client.post(f"{PAGES}password/reset/", {"email": "zed@example.org"})
    at, facts = "/accounts/password/reset/", {"typed": "zed@example.org", "why": "unknown_identity"}
    action = "request_password_reset_with_password"
    assert audit_trail.story() == [said("password.reset_request", action, "password", at=at, **facts)]


def test_reset_by_code(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """A code instead of a link."""
    setting(ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED=True)
    client.post(f"{PAGES}password/reset/", {"email": "ann@example.org"})
    audit_trail.story()
    code = mailed(CODE)
    client.post("/code/confirm/", {"code": "ZZZZ-99"})
    assert audit_trail.story() == [password("reset", at="/code/confirm/", why="invalid_code", typed="ann@example.org")]
    client.post("/code/confirm/", {"code": code})
    assert audit_trail.story() == []
    client.post("/code/complete/", {"password1": NEW, "password2": NEW})
    assert audit_trail.story() == [password("reset", at="/code/complete/")]
    audit_trail.assert_no_secret(code)


# Addresses


def test_addresses(ann: Any, audit_trail: AuditTrail) -> None:
    """Added, confirmed by link, made the first one, the old one removed; the same one twice is refused."""
    at, second = "/accounts/email/", "ann@example.net"
    ann.post(at, {"action_add": "", "email": second})
    assert audit_trail.story() == [
        address("account.verify_request", "request_confirmation", second, at=at),
        address("account.identity.change", "add_email", second, at=at),
    ]
    ann.post(mailed(LINK))
    assert audit_trail.story() == [address("account.verify", "confirm", second, at=CONFIRM_LINK)]
    ann.post(at, {"action_primary": "", "email": second})
    ann.post(at, {"action_remove": "", "email": "ann@example.org"})
    ann.post(at, {"action_add": "", "email": second})
    assert audit_trail.story() == [
        address("account.identity.change", "change_email", second, at=at),
        address("account.identity.change", "remove_email", "ann@example.org", at=at, audit__flow__id="flow-2"),
        address(
            "account.identity.change",
            "add_email",
            second,
            at=at,
            why="identity_in_use",
            code="duplicate_email",
            audit__flow__id="flow-3",
        ),
    ]


@pytest.mark.parametrize("method", ["get", "post"])
def test_link_that_nobody_sent(client: Any, audit_trail: AuditTrail, method: str) -> None:
    """A forged link is refused, as page and as form."""
    getattr(client, method)(f"{PAGES}confirm-email/MTA:1abcde:forged-zzz/")
    facts = {"why": "invalid_code", "code": "Http404", "method": method.upper()}
    assert audit_trail.story() == [said("account.verify", "confirm", at=CONFIRM_LINK, **facts)]


# Proving identity again


def test_reauthentication(ann: Any, audit_trail: AuditTrail) -> None:
    """By password, wrong and right: no sign-in."""
    at = "/accounts/reauthenticate/"
    ann.post(at, {"password": WRONG})
    action, facts = "reauthenticate_with_password", {"typed": "ann", **ANN}
    assert audit_trail.story() == [said("auth.reauthenticate", action, "password", at=at, why="wrong_password", **facts)]
    ann.post(at, {"password": PASSWORD})
    assert audit_trail.story() == [said("auth.reauthenticate", action, "password", at=at, **facts, **BACKEND)]


# Providers


def through(client: Any, process: str = "login", **data: Any) -> Any:
    """Go to the provider and come back with *data*."""
    page = client.post(f"{PAGES}dummy/login/?process={process}")["Location"]
    return client.post(page, data)


AT_DUMMY = "/accounts/dummy/authenticate/"


def test_sign_up_and_in_through_a_provider(client: Any, audit_trail: AuditTrail) -> None:
    """The first time it is an account, then a sign-in: by the provider, whatever backend Django remembers."""
    through(client, id=123, email="eve@example.org", username="eve")
    assert audit_trail.story() == [
        said("auth.register", "register_with_dummy", at=AT_DUMMY, typed="eve", **{**NEWCOMER, **DUMMY}),
        address("account.verify_request", "request_confirmation", "eve@example.org", at=AT_DUMMY, **NEWCOMER),
        said("auth.sign_in", f"sign_in_with_{FIRST}", at=AT_DUMMY, **{**NEWCOMER, **SESSION, **FIRST_BY}),
    ]
    client.post(f"{PAGES}logout/")
    audit_trail.story()
    through(client, id=123)
    assert audit_trail.story() == [said("auth.sign_in", "sign_in_with_dummy", at=AT_DUMMY, **{**NEWCOMER, **SESSION, **DUMMY})]


def test_provider_that_refuses(client: Any, audit_trail: AuditTrail) -> None:
    """Somebody changes their mind at the provider."""
    through(client, action="cancel")
    expected = said("auth.sign_in", "sign_in_with_dummy", at=AT_DUMMY, why="provider_denied", **DUMMY)
    assert audit_trail.story() == [expected]


def test_accounts_linked_and_unlinked(ann: Any, audit_trail: AuditTrail) -> None:
    """Linked, refused because it is somebody else's, unlinked."""
    through(ann, "connect", id=7)
    assert audit_trail.story() == [said("account.link", "link_dummy", at=AT_DUMMY, **{**ANN, **DUMMY})]
    from allauth.socialaccount.models import SocialAccount

    SocialAccount.objects.create(user=user("bob"), provider="dummy", uid="8")
    through(ann, "connect", id=8)
    refusal = said("account.link", "link_dummy", at=AT_DUMMY, why="identity_in_use", code="connected_other", **{**ANN, **DUMMY})
    del refusal["audit.resource"]
    assert audit_trail.story() == [refusal]
    ann.post(f"{PAGES}3rdparty/", {"account": SocialAccount.objects.get(uid="7").pk})
    assert audit_trail.story() == [said("account.unlink", "unlink_dummy", at="/accounts/3rdparty/", **{**ANN, **DUMMY})]


def test_last_way_in_is_kept(client: Any, audit_trail: AuditTrail) -> None:
    """An account without a password cannot lose its only provider."""
    from allauth.socialaccount.models import SocialAccount

    through(client, id=123, email="eve@example.org", username="eve")
    audit_trail.story()
    client.post(f"{PAGES}3rdparty/", {"account": SocialAccount.objects.get().pk})
    facts = {"why": "policy_denied", "code": "no_password", "user__id": "auth.user:4"}
    assert audit_trail.story() == [said("account.unlink", "unlink_dummy", at="/accounts/3rdparty/", **{**facts, **DUMMY})]


# Second factors


def code_of(secret: str) -> str:
    """What an authenticator with *secret* shows."""
    import time

    from allauth.mfa.totp.internal import auth

    return str(auth.format_hotp_value(auth.hotp_value(secret, int(time.time()) // 30)))


@pytest.fixture
def totp(ann: Any, audit_trail: AuditTrail) -> str:
    """The secret of ann's new authenticator."""
    ann.get(f"{PAGES}2fa/totp/activate/")
    secret = str(ann.session["mfa.totp.secret"])
    assert ann.post(f"{PAGES}2fa/totp/activate/", {"code": code_of(secret)}).status_code == 302
    return secret


def factor(event: str, action: str, strategy: str, *, at: str, **more: str) -> Record:
    """Something about a factor of ann's."""
    return said(event, action, strategy, at=at, **{**ANN, **more})


def test_authenticator_set_up_and_removed(ann: Any, audit_trail: AuditTrail) -> None:
    """A wrong code first; with the first factor come recovery codes, with the last one they go."""
    at = "/accounts/2fa/totp/activate/"
    ann.get(at)
    ann.post(at, {"code": "000"})
    wrong = {"why": "invalid_code", "code": "incorrect_code"}
    assert audit_trail.story() == [factor("mfa.enroll", "setup_with_totp", "totp", at=at, **wrong)]
    secret = ann.session["mfa.totp.secret"]
    ann.post(at, {"code": code_of(secret)})
    assert audit_trail.story() == [
        factor("mfa.enroll", "setup_with_totp", "totp", at=at),
        factor("mfa.recovery_codes.generate", "generate_recovery_codes", "recovery_code", at=at),
    ]
    at = "/accounts/2fa/recovery-codes/generate/"
    ann.post(at)
    assert audit_trail.story() == [factor("mfa.recovery_codes.generate", "generate_recovery_codes", "recovery_code", at=at)]
    at = "/accounts/2fa/totp/deactivate/"
    ann.post(at)
    assert audit_trail.story() == [
        factor("mfa.remove", "remove_totp", "totp", at=at),
        factor("mfa.remove", "remove_recovery_code", "recovery_code", at=at),
    ]
    audit_trail.assert_no_secret(secret)


def test_second_factor(ann: Any, totp: str, audit_trail: AuditTrail) -> None:
    """A right password is half a sign-in; a wrong, a right, a used and a recovery code follow."""
    ann.post(f"{PAGES}logout/")
    audit_trail.story()
    sign_in(ann)
    half = {"typed": "ann", "audit__params__stage": "mfa_authenticate", **BACKEND, **ANN}
    assert audit_trail.story() == [
        said("auth.authenticate", "authenticate_with_password", "password", at="/accounts/login/", **half)
    ]
    at, code = "/accounts/2fa/authenticate/", code_of(totp)
    wrong = {"why": "mfa_invalid", "code": "incorrect_code"}
    ann.post(at, {"code": "99887766"})
    assert audit_trail.story() == [factor("mfa.verify", "verify_with_totp", "totp", at=at, **wrong)]
    ann.post(at, {"code": code})
    assert audit_trail.story() == [signed_in("totp", at=at)]
    ann.post(f"{PAGES}logout/")
    sign_in(ann)
    audit_trail.story()
    ann.post(at, {"code": code})
    if ALLAUTH >= (65, 15):
        wrong["why"] = "code_reused"
    assert audit_trail.story() == [factor("mfa.verify", "verify_with_totp", "totp", at=at, **wrong)]
    spare = authenticator("recovery_codes").wrap().get_unused_codes()[0]
    ann.post(at, {"code": spare})
    assert audit_trail.story() == [signed_in("recovery_code", at=at)]
    audit_trail.assert_no_secret(totp)
    assert spare not in str(audit_trail.records)  # half of it is four digits, which any hash may hold


def test_reauthentication_by_code(ann: Any, totp: str, audit_trail: AuditTrail) -> None:
    """A recovery code proves it, too."""
    at = "/accounts/2fa/reauthenticate/"
    audit_trail.story()
    ann.post(at, {"code": "99887766"})
    wrong = {"why": "mfa_invalid", "code": "incorrect_code"}
    assert audit_trail.story() == [factor("auth.reauthenticate", "reauthenticate_with_totp", "totp", at=at, **wrong)]
    ann.post(at, {"code": authenticator("recovery_codes").wrap().get_unused_codes()[0]})
    action = "reauthenticate_with_recovery_code"
    assert audit_trail.story() == [factor("auth.reauthenticate", action, "recovery_code", at=at)]


def options(client: Any, path: str, name: str) -> Any:
    """What a page tells the browser about the key it wants."""
    page = client.get(PAGES + path, headers={"x-requested-with": "XMLHttpRequest"} if name == "ajax" else {})
    given = page.json()["request_options"] if name == "ajax" else page.context["js_data"][name]
    return json.loads(json.dumps(given))


@pytest.fixture
def key(ann: Any) -> Any:
    """Ann's key, made known to the site."""
    from .apps.allauth_app import Key

    made = Key()
    answer = made.create(options(ann, "2fa/webauthn/add/", "creation_options"))
    assert ann.post(f"{PAGES}2fa/webauthn/add/", {"name": "key", "passwordless": "on", "credential": answer}).status_code == 302
    return made


TOKEN = {"audit__token__id": "token-1"}


def test_key_added_and_removed(ann: Any, key: Any, audit_trail: AuditTrail) -> None:
    """A key has an id, which joins what is told of it."""
    at = "/accounts/2fa/webauthn/add/"
    assert audit_trail.story() == [
        factor("mfa.enroll", "setup_with_webauthn", "webauthn", at=at, **TOKEN),
        factor("mfa.recovery_codes.generate", "generate_recovery_codes", "recovery_code", at=at),
    ]
    ann.post(at, {"name": "forged", "credential": '{"forged": 1}'})
    wrong = {"why": "invalid_code", "code": "incorrect_code"}
    assert audit_trail.story() == [factor("mfa.enroll", "setup_with_webauthn", "webauthn", at=at, **wrong)]
    ann.post(f"{PAGES}2fa/webauthn/keys/{authenticator('webauthn').pk}/remove/")
    at = "/accounts/2fa/webauthn/keys/<int:pk>/remove/"
    assert audit_trail.story() == [
        factor("mfa.remove", "remove_webauthn", "webauthn", at=at, **TOKEN),
        factor("mfa.remove", "remove_recovery_code", "recovery_code", at=at),
    ]


def test_key_as_second_factor(ann: Any, key: Any, audit_trail: AuditTrail) -> None:
    """A forged answer, a right one; then to prove it again."""
    ann.post(f"{PAGES}logout/")
    sign_in(ann)
    audit_trail.story()
    at = "/accounts/2fa/authenticate/"
    ann.post(at, {"credential": key.get(options(ann, "2fa/authenticate/", "request_options"), forged=True)})
    wrong = {"why": "mfa_invalid", "code": "incorrect_code"}
    assert audit_trail.story() == [factor("mfa.verify", "verify_with_webauthn", "webauthn", at=at, **wrong)]
    ann.post(at, {"credential": key.get(options(ann, "2fa/authenticate/", "request_options"))})
    assert audit_trail.story() == [signed_in("webauthn", at=at, **TOKEN)]
    at = "/accounts/2fa/webauthn/reauthenticate/"
    ann.post(at, {"credential": key.get(options(ann, "2fa/webauthn/reauthenticate/", "request_options"))})
    action = "reauthenticate_with_webauthn"
    assert audit_trail.story() == [factor("auth.reauthenticate", action, "webauthn", at=at, **TOKEN)]


def test_passkey(ann: Any, key: Any, audit_trail: AuditTrail) -> None:
    """A key alone signs in; a forged answer does not say who."""
    ann.post(f"{PAGES}logout/")
    audit_trail.story()
    at = "/accounts/2fa/webauthn/login/"
    ann.post(at, {"credential": key.get(options(ann, "2fa/webauthn/login/", "ajax"), forged=True)})
    assert audit_trail.story() == [refused("invalid_credentials", "webauthn", at=at, code="incorrect_code")]
    ann.post(at, {"credential": key.get(options(ann, "2fa/webauthn/login/", "ajax"))})
    story = audit_trail.story()
    expected = signed_in("webauthn", at=at, **TOKEN)
    del expected["audit.identity"]
    assert story == [expected]


# Sessions


def test_sessions_ended(ann: Any, audit_trail: AuditTrail) -> None:
    """From the page that lists them: each one that ends is told by its own id."""
    from django.test import Client

    other = Client()
    sign_in(other)
    sign_in(Client())
    audit_trail.story()
    ann.post(f"{PAGES}sessions/")
    story = audit_trail.story()
    ended = said("session.revoke", "revoke_session", "session", at="/accounts/sessions/", **ANN)
    assert story == [{**ended, "session.id": "session-1"}, {**ended, "session.id": "session-2"}]


# The API


def test_api_of_browsers(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """Wrong, inactive, right: what pages tell, the API tells."""
    setting(ACCOUNT_LOGIN_METHODS={"username"})
    at = f"{BROWSER}auth/login"
    assert api(client, "auth/login", username="ann", password=WRONG).status_code == 400
    assert api(client, "auth/login", username="bob", password=PASSWORD).status_code == 401
    assert api(client, "auth/login", username="ann", password=PASSWORD).status_code == 200
    assert audit_trail.story() == [
        refused("wrong_password", at=at, typed="ann", code="username_password_mismatch", **ANN),
        refused("inactive_account", at=at, typed="bob", audit__flow__id="flow-2", **BOB),
        signed_in(at=at, audit__flow__id="flow-3"),
    ]
    api(client, "auth/reauthenticate", password=WRONG)
    api(client, "account/password/change", current_password=WRONG, new_password=NEW)
    api(client, "account/password/change", current_password=PASSWORD, new_password=NEW)
    api(client, "auth/session", "delete")
    told = [(one["event"], one["audit.outcome"], one.get("audit.reason")) for one in audit_trail.story()]
    assert told == [
        ("auth.reauthenticate", "failure", "wrong_password"),
        ("password.change", "failure", "wrong_password"),
        ("password.change", "success", None),
        ("auth.sign_out", "success", None),
    ]


def test_api_asks_for_a_second_factor(ann: Any, totp: str, audit_trail: AuditTrail, setting: Any) -> None:
    """HTTP 401 asks for more, and refuses nothing."""
    setting(ACCOUNT_LOGIN_METHODS={"username"})
    ann.post(f"{PAGES}logout/")
    audit_trail.story()
    at = f"{BROWSER}auth/login"
    assert api(ann, "auth/login", username="ann", password=PASSWORD).status_code == 401
    half = {"typed": "ann", "audit__params__stage": "mfa_authenticate", **BACKEND, **ANN}
    assert audit_trail.story() == [said("auth.authenticate", "authenticate_with_password", "password", at=at, **half)]
    api(ann, "auth/2fa/authenticate", code="99887766")
    at = f"{BROWSER}auth/2fa/authenticate"
    wrong = {"why": "mfa_invalid", "code": "incorrect_code"}
    assert audit_trail.story() == [factor("mfa.verify", "verify_with_totp", "totp", at=at, **wrong)]
    assert api(ann, "auth/2fa/authenticate", code=code_of(totp)).status_code == 200
    assert audit_trail.story() == [signed_in("totp", at=at)]


def test_api_reset(client: Any, audit_trail: AuditTrail) -> None:
    """A forged key, a weak password, a reset: each once."""
    api(client, "auth/password/request", email="ann@example.org")
    audit_trail.story()
    good, at = mailed(r"key/(\S+)/"), f"{BROWSER}auth/password/reset"
    api(client, "auth/password/reset", key="1-forged-zzz", password=NEW)
    api(client, "auth/password/reset", key=good, password="a")
    api(client, "auth/password/reset", key=good, password=NEW)
    assert audit_trail.story() == [
        password("reset", at=at, why="invalid_code", code="invalid_password_reset"),
        password("reset", at=at, why="weak_password", code="password_too_short", audit__flow__id="flow-2"),
        password("reset", at=at, audit__flow__id="flow-3"),
    ]


def test_api_code(client: Any, audit_trail: AuditTrail) -> None:
    """A wrong code is told once, although form and process know of it."""
    api(client, "auth/code/request", email="ann@example.org")
    audit_trail.story()
    code, at = mailed(CODE), f"{BROWSER}auth/code/confirm"
    api(client, "auth/code/confirm", code="ZZZZ-99")
    api(client, "auth/code/confirm", code=code)
    assert audit_trail.story() == [
        refused("invalid_code", "otp", at=at, typed="ann@example.org", **ANN),
        signed_in("otp", at=at, typed="ann@example.org", audit__flow__id="flow-2"),
    ]


def test_api_provider_token(client: Any, audit_trail: AuditTrail) -> None:
    """An application hands in what the provider gave it."""
    at = f"{BROWSER}auth/provider/token"
    token = {"provider": "dummy", "process": "login"}
    api(client, "auth/provider/token", token={"id_token": "{}"}, **token)
    assert audit_trail.story() == [
        said("auth.sign_in", "sign_in_with_dummy", at=at, why="token_malformed", code="invalid_token", **DUMMY)
    ]
    api(
        client,
        "auth/provider/token",
        token={"id_token": json.dumps({"id": 9, "email": "eve@example.org", "username": "eve"})},
        **token,
    )
    told = [(one["event"], one["audit.action"]) for one in audit_trail.story()]
    assert told == [
        ("auth.register", "register_with_dummy"),
        ("account.verify_request", "request_confirmation"),
        ("auth.sign_in", f"sign_in_with_{FIRST}"),
    ]


def test_api_addresses(ann: Any, audit_trail: AuditTrail) -> None:
    """Forged, unknown and last addresses are refused."""
    at = f"{BROWSER}account/email"
    api(ann, "auth/email/verify", key="forged-zzz")
    facts = {"why": "invalid_code", "code": "invalid_or_expired_key"}
    assert audit_trail.story() == [said("account.verify", "confirm", at=f"{BROWSER}auth/email/verify", **facts)]
    api(ann, "account/email", email="ann@example.net")
    audit_trail.story()
    api(ann, "account/email", "delete", email="ann@example.org")
    facts = {"why": "policy_denied", "code": "cannot_remove_primary_email", "method": "DELETE"}
    assert audit_trail.story() == [address("account.identity.change", "remove_email", "ann@example.org", at=at, **facts)]


def test_api_of_applications(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """The session travels in a header; one that is not known is refused."""
    setting(ACCOUNT_LOGIN_METHODS={"username"})
    token = api(client, "auth/login", base=APP, username="ann", password=PASSWORD).json()["meta"]["session_token"]
    assert audit_trail.story() == [signed_in(at=f"{APP}auth/login")]
    client.get(f"{APP}auth/session", headers={"X-Session-Token": token})
    assert audit_trail.story() == []
    client.get(f"{APP}auth/session", headers={"X-Session-Token": "forged-session-zzz"})
    facts = {"why": "session_invalid", "method": "GET", **SESSION}
    assert audit_trail.story() == [said("session.reject", "reject_session", "session", at=f"{APP}auth/session", **facts)]
    client.delete(f"{APP}auth/session", headers={"X-Session-Token": token})
    assert [one["event"] for one in audit_trail.story()] == ["auth.sign_out"]
    audit_trail.assert_no_secret(token, "forged-session-zzz")


@pytest.mark.skipif(ALLAUTH < (65, 13), reason="no JSON Web Tokens in this version")
def test_api_with_json_web_tokens(client: Any, audit_trail: AuditTrail, setting: Any) -> None:
    """Handed out with the sign-in, renewed, renewed a second time with what was used up, forged."""
    setting(
        ACCOUNT_LOGIN_METHODS={"username"},
        HEADLESS_TOKEN_STRATEGY="allauth.headless.tokens.strategies.jwt.JWTTokenStrategy",
        HEADLESS_JWT_ALGORITHM="HS256",
        HEADLESS_JWT_PRIVATE_KEY="a key of these stories, long enough for anybody",
        HEADLESS_JWT_ROTATE_REFRESH_TOKEN=True,
    )
    tokens = api(client, "auth/login", base=APP, username="ann", password=PASSWORD).json()["meta"]
    assert audit_trail.story() == [signed_in(at=f"{APP}auth/login")]
    client.get(f"{APP}auth/session", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    renew = {"base": APP, "refresh_token": tokens["refresh_token"]}
    assert api(client, "tokens/refresh", **renew).status_code == 200
    assert audit_trail.story() == []
    api(client, "tokens/refresh", **renew)
    client.get(f"{APP}auth/session", headers={"Authorization": "Bearer eyJmb3JnZWQiOiJ6eno.forged.zzz"})
    reused, forged = audit_trail.story()
    assert (reused["event"], reused["audit.reason"]) == ("token.refresh", "token_revoked")
    assert (forged["event"], forged["audit.reason"]) == ("auth.verify", "token_malformed")
    audit_trail.assert_no_secret(tokens["access_token"].rpartition(".")[2], tokens["refresh_token"].rpartition(".")[2])
