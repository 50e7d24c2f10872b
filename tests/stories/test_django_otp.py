"""django-otp: one event for a code, by whichever door it comes in; a sign-in takes its second factor in."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .web import Record, label, record

ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
TOTP, STATIC, MAIL, HOTP = (f"otp_{name}.{name}device/1" for name in ("totp", "static", "email", "hotp"))
OTP = tuple(int(part) for part in version("django-otp").split(".")[:2])
CODE, NEW_CODES = "vq7x-kd93zt", "m4hw-9trz"
BACKEND = "django.contrib.auth.backends.ModelBackend"


def factor(event: str, strategy: str, device: str | None, outcome: str = "success", *, at: str, **more: str) -> Record:
    """What happened to ann's factor."""
    actions = {
        "mfa.verify": f"verify_with_{strategy}",
        "mfa.recovery_code.use": "verify_with_recovery_code",
        "mfa.enroll": f"setup_with_{strategy}",
        "mfa.remove": f"remove_{strategy}",
        "mfa.code.send": f"request_{strategy}",
        "mfa.recovery_codes.generate": "generate_recovery_codes",
    }
    facts = {"audit__action": actions[event], "audit__strategy": strategy, **ANN}
    facts |= {} if device is None else {"audit__params__device": device}
    return record("django-otp", event, outcome, at=at, **{**facts, **more})


def entered(strategy: str, *, at: str, **more: str) -> Record:
    """A sign-in, with the device that took part in it."""
    facts = {"audit__action": f"sign_in_with_{strategy}", "audit__strategy": strategy, "session__id": "session-1"}
    return record("Django", "auth.sign_in", at=at, **{**facts, **ANN, **more})


def form_said(event: str, outcome: str = "success", *, at: str = "/login/", **more: str) -> Record:
    """What became of a form with password and code."""
    facts = {"audit__action": f"{event}_with_password", "audit__strategy": "password", "audit__identity": "ann"}
    return record("Django", f"auth.{event}", outcome, at=at, **{**facts, **ANN, "audit__params__backend": BACKEND, **more})


@pytest.fixture
def site(audit_trail: AuditTrail) -> Iterator[Any]:
    """The site; ann has an authenticator, backup codes, a mail box and a key fob. No story leaves a code in the trail."""
    from .apps.django_site import site as standing

    plugins = (f"django_otp.plugins.otp_{name}" for name in ("static", "totp", "hotp", "email"))
    with standing("django_otp_app", "django_otp", *plugins, middleware=["django_otp.middleware.OTPMiddleware"]):
        ann = user("ann")
        kinds: dict[str, dict[str, Any]] = {
            "static": {},
            "totp": {},
            "email": {"email": "ann@example.net"},
            "hotp": {"counter": 7},
        }
        for name, more in kinds.items():
            model(name).objects.create(pk=1, user=ann, name=name, **more)
        model("static").objects.get().token_set.create(token=CODE)
        audit_trail.story()
        yield
        audit_trail.assert_no_secret(PASSWORD, CODE, NEW_CODES, *(device.key for device in model("totp").objects.all()))


@pytest.fixture
def client(site: Any) -> Any:
    """A browser that nobody is signed in with."""
    from django.test import Client

    return Client(raise_request_exception=False)


@pytest.fixture
def ann(client: Any, audit_trail: AuditTrail) -> Any:
    """Ann's browser, without a second factor yet."""
    client.force_login(user("ann"))
    audit_trail.story()
    return client


def user(name: str) -> Any:
    """The stored user."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username=name)


def model(name: str) -> Any:
    """The model of a kind of device."""
    from django.apps import apps

    return apps.get_model(f"otp_{name}", f"{name}device")


def totp(device: Any = None) -> str:
    """What the authenticator shows."""
    from django_otp import oath

    return f"{oath.TOTP((device or model('totp').objects.get(pk=1)).bin_key).token():06}"


def wrong(name: str = "totp") -> str:
    """A code of the right form that is none of the device's."""
    return f"{(int(totp()) + 377_123) % 1_000_000:06}" if name == "totp" else "jn5p-wl80qs"


def login(client: Any, code: str = "", device: str = TOTP, **more: str) -> Any:
    """Send the form with everything."""
    fields = {"username": "ann", "password": PASSWORD, "otp_token": code, "otp_device": device}
    return client.post("/login/", {**fields, **more})


# Signing in with a form that takes everything


@pytest.mark.parametrize(("device", "strategy"), [(TOTP, "totp"), (STATIC, "recovery_code")])
def test_sign_in(client: Any, audit_trail: AuditTrail, device: str, strategy: str) -> None:
    """Password, code and session are one record; it names the device."""
    assert login(client, totp() if device == TOTP else CODE, device).status_code == 302
    expected = entered("password", at="/login/", audit__identity="ann", audit__params__device=device)
    assert audit_trail.story() == [{**expected, "audit.params.backend": BACKEND}]


def test_right_password_and_wrong_code(client: Any, audit_trail: AuditTrail) -> None:
    """The code is why nobody is signed in."""
    assert login(client, wrong()).status_code == 200
    told = {"audit__reason": "mfa_invalid", "error__type": "invalid_token", "audit__params__device": TOTP}
    assert audit_trail.story() == [form_said("sign_in", "failure", **told)]


def test_wrong_password_and_right_code(client: Any, audit_trail: AuditTrail) -> None:
    """The code is not even looked at."""
    login(client, totp(), password="wrong-horse-77-staple")
    (told,) = audit_trail.story()
    assert (told["audit.reason"], told.get("audit.params.device")) == ("wrong_password", None)


def test_throttled(client: Any, audit_trail: AuditTrail) -> None:
    """After a failure the device refuses to compare for a while, also the right code."""
    login(client, wrong())
    audit_trail.story()
    login(client, totp())
    told = {"audit__reason": "rate_limited", "error__type": "ValidationError", "audit__params__device": TOTP}
    assert audit_trail.story() == [form_said("sign_in", "failure", **told)]


CHOICE = pytest.param(
    {"otp_token": "483920", "otp_device": ""},
    marks=pytest.mark.skipif(OTP < (1, 7), reason="tries every device where none is chosen"),
)


@pytest.mark.parametrize("more", [{}, CHOICE, {"otp_challenge": "1"}], ids=str)
def test_asking_for_the_code_is_no_failure(client: Any, audit_trail: AuditTrail, more: dict[str, str]) -> None:
    """The password was right; a code, or the choice of a device, is still to come."""
    login(client, **more)
    assert audit_trail.story() == [form_said("authenticate")]


def test_challenge_sends_a_code(client: Any, audit_trail: AuditTrail) -> None:
    """Somebody with the right password has a code mailed, which is no failure either, and then shows it."""
    login(client, device=MAIL, otp_challenge="1")
    sent, asked = audit_trail.story()
    assert (sent, asked) == (factor("mfa.code.send", "otp", MAIL, at="/login/"), form_said("authenticate"))
    assert login(client, model("email").objects.get().token, MAIL).status_code == 302
    (told,) = audit_trail.story()
    assert (told["event"], told["audit.params.device"]) == ("auth.sign_in", MAIL)


def test_admin(client: Any, audit_trail: AuditTrail) -> None:
    """The admin's own form; ann is no staff, whatever her code."""
    fields = {"username": "ann", "password": PASSWORD, "otp_token": totp(), "otp_device": TOTP}
    assert client.post("/otp-admin/login/", fields).status_code == 200
    told = {"audit__reason": "rejected_after_verification", "error__type": "invalid_login"}
    assert audit_trail.story() == [form_said("sign_in", "failure", at="/otp-admin/login/", **told)]


def test_password_and_code_without_a_form(client: Any, audit_trail: AuditTrail) -> None:
    """`authenticate`, `match_token` and `login` side by side: one sign-in."""
    client.post("/enter/", {"username": "ann", "password": PASSWORD, "code": CODE})
    told = {"audit__identity": "ann", "audit__params__device": STATIC, "audit__params__backend": BACKEND}
    assert audit_trail.story() == [entered("password", at="/enter/", **told)]


def test_right_password_and_wrong_code_without_a_form(client: Any, audit_trail: AuditTrail) -> None:
    """The code that no device takes is the end of the attempt, its password part of it."""
    for name in ("static", "email", "hotp"):
        model(name).objects.all().delete()
    client.post("/enter/", {"username": "ann", "password": PASSWORD, "code": wrong()})
    told = {"audit__reason": "mfa_invalid", "audit__identity": "ann", "audit__params__backend": BACKEND}
    assert audit_trail.story() == [factor("mfa.verify", "totp", TOTP, "failure", at="/enter/", **told)]


# A second factor for who is signed in


def test_token_form_signs_in_once_more(ann: Any, audit_trail: AuditTrail) -> None:
    """Django's `login` runs again, this time won by the code."""
    assert ann.post("/login/", {"otp_device": TOTP, "otp_token": totp()}).status_code == 302
    assert audit_trail.story() == [entered("totp", at="/login/", audit__params__device=TOTP)]


def test_token_form_refuses(ann: Any, audit_trail: AuditTrail) -> None:
    """A wrong code of somebody who is signed in."""
    ann.post("/login/", {"otp_device": TOTP, "otp_token": wrong()})
    told = {"audit__reason": "mfa_invalid", "error__type": "invalid_token"}
    assert audit_trail.story() == [factor("mfa.verify", "totp", TOTP, "failure", at="/login/", **told)]


@pytest.mark.parametrize(
    ("device", "event", "strategy"),
    [
        (TOTP, "mfa.verify", "totp"),
        (STATIC, "mfa.recovery_code.use", "recovery_code"),
        (HOTP, "mfa.verify", "totp"),
        (MAIL, "mfa.verify", "otp"),
    ],
)
def test_chosen_device(ann: Any, audit_trail: AuditTrail, device: str, event: str, strategy: str) -> None:
    """The device and the function around it are one record; a code works once."""
    code = code_of(device)
    for outcome, more in (("success", {}), ("failure", {"audit__reason": "mfa_invalid"})):
        ann.post("/verify/", {"device": device, "code": code})
        again = {} if outcome == "success" else {"audit__action": f"verify_with_{strategy}"}
        expected = event if outcome == "success" else "mfa.verify"
        assert audit_trail.story() == [factor(expected, strategy, device, outcome, at="/verify/", **more, **again)]


def code_of(device: str) -> str:
    """A code that *device* takes."""
    if device == MAIL:
        box = model("email").objects.get()
        box.generate_token()
        return str(box.token)
    if device == HOTP:
        from django_otp.oath import hotp

        return f"{hotp(model('hotp').objects.get().bin_key, 7):06}"
    return CODE if device == STATIC else totp()


def test_device_of_somebody_else(ann: Any, audit_trail: AuditTrail) -> None:
    """Nothing is compared; the attempt is hers."""
    model("totp").objects.update(user=user("root"))
    ann.post("/verify/", {"device": TOTP, "code": totp()})
    expected = factor("mfa.verify", "unknown", None, "failure", at="/verify/", audit__reason="mfa_invalid")
    assert audit_trail.story() == [expected]


def test_every_device_is_tried_and_one_event_told(ann: Any, audit_trail: AuditTrail) -> None:
    """The last of four devices takes the code, or none does: one record each."""
    ann.post("/match/", {"code": code_of(MAIL)})
    (good,) = audit_trail.story()
    assert good == factor("mfa.verify", "otp", MAIL, at="/match/")
    model("email").objects.all().delete()
    model("hotp").objects.all().delete()
    model("static").objects.all().delete()
    model("totp").objects.update(throttling_failure_count=0)
    ann.post("/match/", {"code": wrong()})
    (bad,) = audit_trail.story()
    assert bad == factor("mfa.verify", "totp", TOTP, "failure", at="/match/", audit__reason="mfa_invalid")


def test_nobody_has_a_device(ann: Any, audit_trail: AuditTrail) -> None:
    """There is nothing to compare with, and the answer is no."""
    for name in ("totp", "static", "email", "hotp"):
        model(name).objects.all().delete()
    ann.post("/match/", {"code": CODE})
    assert audit_trail.story() == [factor("mfa.verify", "unknown", None, "failure", at="/match/", audit__reason="mfa_invalid")]


def test_code_is_right_and_the_request_is_refused(ann: Any, audit_trail: AuditTrail) -> None:
    """A device that is throttled, as everywhere else."""
    ann.post("/verify/", {"device": TOTP, "code": wrong()})
    ann.post("/verify/", {"device": TOTP, "code": totp(), "refusal": "403"})
    first, second = (one["audit.reason"] for one in audit_trail.story())
    assert (first, second) == ("mfa_invalid", "rate_limited")


@pytest.mark.parametrize(("name", "reason"), [("night", "policy_denied"), ("weary", "rate_limited")])
def test_device_that_is_closed(ann: Any, audit_trail: AuditTrail, name: str, reason: str) -> None:
    """A device may refuse to compare for reasons of its own."""
    model("totp").objects.update(name=name)
    device = "otp_totp.nightdevice/1"
    ann.post("/verify/", {"device": device, "code": totp()})
    assert audit_trail.story() == [factor("mfa.verify", "totp", device, "failure", at="/verify/", audit__reason=reason)]


# Factors come and go


@pytest.mark.parametrize("enter", [{}, {"enter": "1"}])
def test_set_up(ann: Any, audit_trail: AuditTrail, enter: dict[str, str]) -> None:
    """A device is made, a wrong code and then a right one confirm it: three records, and a sign-in swallows none of them."""
    device = ann.post("/set-up/").content.decode()
    made = model("totp").objects.get(confirmed=False)
    ann.post("/confirm/", {"device": device, "code": wrong()})
    model("totp").objects.update(throttling_failure_count=0)
    ann.post("/confirm/", {"device": device, "code": totp(made), **enter})
    begun, refused, *rest = audit_trail.story()
    told = {"audit__action": "confirm_setup_with_totp", "at": "/confirm/"}
    assert begun == factor("mfa.enroll", "totp", device, at="/set-up/")
    assert refused == factor(
        "mfa.enroll", "totp", device, "failure", audit__reason="mfa_invalid", audit__flow__id="flow-2", **told
    )
    assert rest.pop() == factor("mfa.enroll", "totp", device, audit__flow__id="flow-3", **told)
    assert [one["event"] for one in rest] == (["auth.sign_in"] if enter else [])


def test_backup_codes(ann: Any, audit_trail: AuditTrail) -> None:
    """Three codes are one set."""
    ann.post("/codes/", {"prefix": NEW_CODES})
    assert audit_trail.story() == [factor("mfa.recovery_codes.generate", "recovery_code", STATIC, at="/codes/")]


def test_backup_codes_without_a_box(ann: Any, audit_trail: AuditTrail) -> None:
    """An empty box is no factor."""
    model("static").objects.all().delete()
    ann.post("/codes/", {"prefix": NEW_CODES})
    assert [one["event"] for one in audit_trail.story()] == ["mfa.recovery_codes.generate"]


def test_every_factor_removed(ann: Any, audit_trail: AuditTrail) -> None:
    """Four factors are four records."""
    ann.post("/drop/")
    told = sorted(audit_trail.story(), key=lambda one: one["audit.params.device"])
    kinds = ((MAIL, "otp"), (HOTP, "totp"), (STATIC, "recovery_code"), (TOTP, "totp"))
    assert told == [factor("mfa.remove", strategy, device, at="/drop/") for device, strategy in kinds]


def test_administrator_removes_a_factor(client: Any, audit_trail: AuditTrail) -> None:
    """Whose it was, and who did it."""
    client.force_login(user("root"))
    audit_trail.story()
    client.post("/admin/otp_totp/totpdevice/1/delete/", {"post": "yes"})
    at = "/admin/otp_totp/totpdevice/<path:object_id>/delete/"
    by = {"audit__actor__id": "auth.user:3", "audit__actor__type": "user"}
    assert audit_trail.story() == [factor("mfa.remove", "totp", TOTP, at=at, **by)]


# Codes that are sent


def test_code_is_mailed_and_the_next_must_wait(ann: Any, audit_trail: AuditTrail) -> None:
    """A code is sent; the second request comes too soon."""
    ann.post("/send/")
    ann.post("/send/")
    first, second = audit_trail.story()
    assert first == factor("mfa.code.send", "otp", MAIL, at="/send/")
    told = {"audit__reason": "rate_limited", "audit__flow__id": "flow-2"}
    assert second == factor("mfa.code.send", "otp", MAIL, "failure", at="/send/", **told)


@pytest.mark.filterwarnings("ignore:The EMAIL_BACKEND setting")  # the only name that Django 4.2 knows
@pytest.mark.parametrize(
    ("post", "error", "told"),
    [
        ("ClosedPost", "ConnectionRefusedError", {"outcome": "failure", "audit__reason": "send_failed"}),
        ("BrokenPost", "LookupError", {"outcome": "unknown", "audit__reason": "backend_error"}),
    ],
)
def test_code_that_cannot_be_mailed(ann: Any, audit_trail: AuditTrail, post: str, error: str, told: dict[str, str]) -> None:
    """No mail server, or nobody knows what went wrong."""
    from django.test import override_settings

    with override_settings(EMAIL_BACKEND=f"{__package__}.apps.django_otp_app.{post}"):
        assert ann.post("/send/").status_code == 500
    assert audit_trail.story() == [factor("mfa.code.send", "otp", MAIL, at="/send/", error__type=error, **told)]


def test_outside_a_request(site: Any, audit_trail: AuditTrail) -> None:
    """A command adds a backup code; nobody else is to be seen."""
    from django.core.management import call_command

    call_command("addstatictoken", "ann", token=f"{NEW_CODES}-9", verbosity=0)
    (told,) = audit_trail.story()
    assert told == {
        "event": "mfa.recovery_codes.generate",
        "audit.action": "generate_recovery_codes",
        "audit.strategy": "recovery_code",
        "audit.outcome": "success",
        "audit.library": label("django-otp"),
        "user.id": "auth.user:1",
        "audit.resource": "auth.User",
        "audit.params.device": STATIC,
    }
