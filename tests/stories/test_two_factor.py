"""django-two-factor-auth: a sign-in by wizard, set-up, backup codes, telephones, remembered browsers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .web import Record, record

OTP, LIBRARY = "django-otp", "django-two-factor-auth"
ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
TOTP, STATIC, PHONE = "otp_totp.totpdevice/1", "otp_static.staticdevice/1", "phonenumber.phonedevice/1"
CODE = "vq7x-kd93zt"
BACKEND = {"audit__params__backend": "django.contrib.auth.backends.ModelBackend"}
LOGIN, SETUP = "/account/login/", "/account/two_factor/setup/"


@pytest.fixture
def site(audit_trail: AuditTrail) -> Iterator[Any]:
    """The site, with a telephone exchange. No story leaves a code in the trail."""
    from .apps.django_site import site as standing

    plugins = ("django_otp", "django_otp.plugins.otp_static", "django_otp.plugins.otp_totp", "django_otp.plugins.otp_email")
    with standing(
        "two_factor_app",
        *plugins,
        "two_factor",
        "two_factor.plugins.phonenumber",
        "two_factor.plugins.email",
        middleware=["django_otp.middleware.OTPMiddleware"],
        LOGIN_URL="two_factor:login",
        TWO_FACTOR_PATCH_ADMIN=False,
        TWO_FACTOR_SMS_GATEWAY=f"{__package__}.apps.two_factor_app.Gateway",
        TWO_FACTOR_CALL_GATEWAY=f"{__package__}.apps.two_factor_app.Gateway",
        TWO_FACTOR_REMEMBER_COOKIE_AGE=3600,
        PHONENUMBER_DEFAULT_REGION="NL",
    ):
        audit_trail.story()
        yield
        audit_trail.assert_no_secret(PASSWORD, CODE, *(device.key for device in model("otp_totp", "totpdevice").objects.all()))


@pytest.fixture
def client(site: Any) -> Any:
    """A browser that nobody is signed in with."""
    from django.test import Client

    return Client(raise_request_exception=False)


@pytest.fixture
def totp(site: Any, audit_trail: AuditTrail) -> Any:
    """Ann's authenticator, and her backup code."""
    device = model("otp_totp", "totpdevice").objects.create(pk=1, user=user(), name="default")
    model("otp_static", "staticdevice").objects.create(pk=1, user=user(), name="backup").token_set.create(token=CODE)
    audit_trail.story()
    return device


@pytest.fixture
def phone(site: Any, audit_trail: AuditTrail) -> Any:
    """Ann's telephone."""
    device = model("phonenumber", "phonedevice").objects.create(
        pk=1, user=user(), name="default", number="+31101234567", method="sms"
    )
    audit_trail.story()
    return device


@pytest.fixture
def ann(client: Any, audit_trail: AuditTrail) -> Any:
    """Ann's browser, without a second factor yet."""
    client.force_login(user())
    audit_trail.story()
    return client


def user() -> Any:
    """The stored user."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username="ann")


def model(application: str, name: str) -> Any:
    """A model of a kind of device."""
    from django.apps import apps

    return apps.get_model(application, name)


def shown(key: str | bytes, *, wrong: bool = False) -> str:
    """What an authenticator with *key* shows, or something else."""
    from binascii import unhexlify

    from django_otp.oath import totp

    code = int(totp(unhexlify(key)))
    return f"{(code + 377_123) % 1_000_000 if wrong else code:06}"


def step(client: Any, name: str, path: str = LOGIN, **fields: str) -> Any:
    """Send a step of a wizard."""
    wizard = {LOGIN: "login_view", SETUP: "setup_view"}.get(path, "phone_setup_view")
    sent = {f"{name}-{field}": value for field, value in fields.items()}
    return client.post(path, {f"{wizard}-current_step": name, **sent})


def enter_password(client: Any, secret: str = PASSWORD) -> Any:
    """The first step of a sign-in."""
    return step(client, "auth", username="ann", password=secret)


def first_factor(**more: str) -> Record:
    """The password was right, and a code is asked for."""
    facts = {"audit__action": "authenticate_with_password", "audit__strategy": "password", "audit__identity": "ann"}
    return record("Django", "auth.authenticate", at=LOGIN, **{**facts, **ANN, **BACKEND, **more})


def entered(strategy: str, device: str | None, **more: str) -> Record:
    """A session begins."""
    facts = {"audit__action": f"sign_in_with_{strategy}", "audit__strategy": strategy, "session__id": "session-1", **ANN}
    facts |= {} if device is None else {"audit__params__device": device}
    return record("Django", "auth.sign_in", at=LOGIN, **{**facts, **more})


def factor(event: str, strategy: str, device: str | None, outcome: str = "success", *, library: str = OTP, **more: str) -> Record:
    """What happened to a factor of ann's."""
    facts = {"audit__strategy": strategy, **({} if device is None else {"audit__params__device": device}), **ANN, **more}
    return record(library, event, outcome, **{"at": LOGIN, **facts})


# The wizard


def test_who_has_no_second_factor(client: Any, audit_trail: AuditTrail) -> None:
    """The password is enough: one request, one record."""
    assert enter_password(client).status_code == 302
    assert audit_trail.story() == [entered("password", None, audit__identity="ann", **BACKEND)]


def test_password_then_code(client: Any, totp: Any, audit_trail: AuditTrail) -> None:
    """Two requests, two records: the password was right, then the code signs in."""
    enter_password(client)
    assert audit_trail.story() == [first_factor()]
    assert step(client, "token", otp_token=shown(totp.key)).status_code == 302
    assert audit_trail.story() == [entered("totp", TOTP)]


def test_password_is_wrong(client: Any, totp: Any, audit_trail: AuditTrail) -> None:
    """The wizard does not go on."""
    enter_password(client, "wrong-horse-77-staple")
    (told,) = audit_trail.story()
    assert (told["event"], told["audit.outcome"], told["audit.reason"]) == ("auth.sign_in", "failure", "wrong_password")


def test_code_is_wrong_then_throttled(client: Any, totp: Any, audit_trail: AuditTrail) -> None:
    """A wrong code, and then one that comes too soon, whatever it is."""
    enter_password(client)
    audit_trail.story()
    step(client, "token", otp_token=shown(totp.key, wrong=True))
    step(client, "token", otp_token=shown(totp.key))
    told = {"audit__action": "verify_with_totp", "audit__reason": "mfa_invalid", "error__type": "invalid_token"}
    late = {**told, "audit__reason": "rate_limited", "error__type": "ValidationError", "audit__flow__id": "flow-2"}
    assert audit_trail.story() == [
        factor("mfa.verify", "totp", TOTP, "failure", **told),
        factor("mfa.verify", "totp", TOTP, "failure", **late),
    ]


def test_step_without_a_code(client: Any, totp: Any, audit_trail: AuditTrail) -> None:
    """Nothing was tried."""
    enter_password(client)
    audit_trail.story()
    step(client, "token")
    assert audit_trail.story() == []


def test_backup_code(client: Any, totp: Any, audit_trail: AuditTrail) -> None:
    """The authenticator is lost; a wrong backup code is a failure, a right one signs in."""
    enter_password(client)
    audit_trail.story()
    client.post(LOGIN, {"wizard_goto_step": "backup"})
    step(client, "backup", otp_token="jn5p-wl80qs")
    model("otp_static", "staticdevice").objects.update(throttling_failure_count=0)
    assert step(client, "backup", otp_token=CODE).status_code == 302
    told = {"audit__action": "verify_with_recovery_code", "audit__reason": "mfa_invalid", "error__type": "invalid_token"}
    refused, good = audit_trail.story()
    assert refused == factor("mfa.recovery_code.use", "recovery_code", STATIC, "failure", **told)
    assert good == entered("recovery_code", STATIC, audit__flow__id="flow-2")


def test_code_by_telephone(client: Any, phone: Any, audit_trail: AuditTrail) -> None:
    """The password sends a code; the code signs in."""
    from .apps.two_factor_app import Gateway

    enter_password(client)
    sent = factor("mfa.code.send", "otp", PHONE, library=LIBRARY, audit__action="request_otp", audit__params__method="sms")
    assert audit_trail.story() == [sent, first_factor()]
    step(client, "token", otp_token=Gateway.sent[0])
    assert audit_trail.story() == [entered("otp", PHONE)]


@pytest.mark.parametrize(
    ("number", "error", "outcome", "reason"),
    [("+31101234569", "ConnectionError", "failure", "send_failed"), ("+31101234568", "LookupError", "unknown", "backend_error")],
)
def test_telephone_out_of_order(
    client: Any, phone: Any, audit_trail: AuditTrail, number: str, error: str, outcome: str, reason: str
) -> None:
    """No code could be sent; the request that checked the password broke with it."""
    model("phonenumber", "phonedevice").objects.update(number=number, method="call")
    assert enter_password(client).status_code == 500
    told = {"audit__action": "request_otp", "audit__params__method": "call", "audit__reason": reason, "error__type": error}
    sent, password = audit_trail.story()
    assert sent == factor("mfa.code.send", "otp", PHONE, outcome, **told)
    assert (password["event"], password["audit.outcome"]) == ("auth.sign_in", "unknown")


def test_remembered_browser(client: Any, totp: Any, audit_trail: AuditTrail) -> None:
    """A browser that showed a code and was told to be remembered needs the password alone; the record says so."""
    remember(client, totp)
    audit_trail.story()
    assert enter_password(client).status_code == 302
    told = {"audit__identity": "ann", "audit__params__remember": "true", **BACKEND}
    assert audit_trail.story() == [entered("password", TOTP, **told)]


def remember(client: Any, totp: Any) -> None:
    """Sign in with a code, ask to be remembered, and sign out."""
    enter_password(client)
    step(client, "token", otp_token=shown(totp.key), remember="on")
    totp.refresh_from_db()
    del client.cookies["sessionid"]


@pytest.mark.parametrize(
    ("age", "reason", "error"), [(3600, "token_bad_signature", "BadSignature"), (-1, "token_expired", "SignatureExpired")]
)
def test_cookie_that_is_not_believed(client: Any, totp: Any, audit_trail: AuditTrail, age: int, reason: str, error: str) -> None:
    """A forged or an old cookie is refused, and the code asked for as ever."""
    from django.test import override_settings

    remember(client, totp)
    audit_trail.story()
    if error == "BadSignature":
        (name,) = (name for name in client.cookies if name.startswith("remember-cookie_"))
        client.cookies[name] = client.cookies[name].value[:-8] + "deadbeef"
    with override_settings(TWO_FACTOR_REMEMBER_COOKIE_AGE=age):
        enter_password(client)
    told = {"audit__action": "verify_with_remember_me", "audit__reason": reason, "error__type": error}
    refused, password = audit_trail.story()
    assert refused == factor("auth.verify", "remember_me", None, "failure", library=LIBRARY, **told)
    assert password == first_factor()


# Factors come and go


def test_set_up(ann: Any, audit_trail: AuditTrail) -> None:
    """A wrong code, then a right one: a failure, and an authenticator."""
    step(ann, "welcome", SETUP)
    step(ann, "method", SETUP, method="generator")
    key = ann.session["wizard_setup_view"]["extra_data"]["keys"]["generator"]
    step(ann, "generator", SETUP, token=shown(key, wrong=True))
    assert step(ann, "generator", SETUP, token=shown(key)).status_code == 302
    made = model("otp_totp", "totpdevice").objects.get()
    action = {"audit__action": "setup_with_totp", "at": SETUP}
    refused = {"audit__reason": "mfa_invalid", "error__type": "ValidationError"}
    assert audit_trail.story() == [
        factor("mfa.enroll", "totp", None, "failure", library=LIBRARY, **action, **refused),
        factor("mfa.enroll", "totp", f"otp_totp.totpdevice/{made.pk}", audit__flow__id="flow-2", **action),
    ]
    audit_trail.assert_no_secret(key)


def test_set_up_of_a_telephone(ann: Any, audit_trail: AuditTrail) -> None:
    """A code is sent, a wrong one refused, the right one stores the telephone: one record each."""
    from .apps.two_factor_app import Gateway

    step(ann, "welcome", SETUP)
    step(ann, "method", SETUP, method="sms")
    step(ann, "sms", SETUP, number="+31101234567")
    step(ann, "validation", SETUP, token=str((int(Gateway.sent[0]) + 377_123) % 899_999 + 1))
    assert step(ann, "validation", SETUP, token=Gateway.sent[0]).status_code == 302
    sent, refused, added = audit_trail.story()
    kind = "phonenumber.phonedevice"
    assert sent == factor(
        "mfa.code.send", "otp", kind, library=LIBRARY, at=SETUP, audit__action="request_otp", audit__params__method="sms"
    )
    told = {"audit__action": "confirm_setup_with_otp", "audit__reason": "mfa_invalid", "audit__flow__id": "flow-2"}
    assert refused == factor("mfa.enroll", "otp", kind, "failure", at=SETUP, **told)
    stored = f"{kind}/{model('phonenumber', 'phonedevice').objects.get().pk}"
    assert added == factor("mfa.enroll", "otp", stored, at=SETUP, audit__action="setup_with_otp", audit__flow__id="flow-3")


def test_backup_codes(client: Any, totp: Any, audit_trail: AuditTrail) -> None:
    """Ten codes are one set, whether there was one before or not; looking at the page makes an empty box, which is nothing."""
    model("otp_static", "staticdevice").objects.all().delete()
    enter_password(client)
    step(client, "token", otp_token=shown(totp.key))
    audit_trail.story()
    client.get("/account/two_factor/backup/tokens/")
    assert audit_trail.story() == []
    client.post("/account/two_factor/backup/tokens/")
    box = model("otp_static", "staticdevice").objects.get()
    at = {"at": "/account/two_factor/backup/tokens/", "audit__action": "generate_recovery_codes"}
    expected = factor("mfa.recovery_codes.generate", "recovery_code", f"otp_static.staticdevice/{box.pk}", **at)
    assert audit_trail.story() == [expected]


def test_disabled(client: Any, totp: Any, audit_trail: AuditTrail) -> None:
    """Every factor goes, and each is told."""
    enter_password(client)
    step(client, "token", otp_token=shown(totp.key))
    audit_trail.story()
    assert client.post("/account/two_factor/disable/", {"understand": "1"}).status_code == 302
    told = {one["audit.params.device"]: one for one in audit_trail.story()}
    at = "/account/two_factor/disable/"
    assert told == {
        TOTP: factor("mfa.remove", "totp", TOTP, at=at, audit__action="remove_totp"),
        STATIC: factor("mfa.remove", "recovery_code", STATIC, at=at, audit__action="remove_recovery_code"),
    }
