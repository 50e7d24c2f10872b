"""django-two-factor-auth: what it adds to django-otp, whose rows see its devices and codes.

Its sign-in is a wizard. The password is the first request's (`auth.authenticate`: no session yet), the code the second's, which signs
in; a browser that is remembered needs none. An authenticator is set up without a device, so only its form knows a wrong code.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Strategy
from . import django_facts as django
from .django_otp import about

__all__ = ("BLIND", "HOOKS")


def _wrong_first_code(call: Call) -> Flow:
    user = getattr(call.instance, "user", None)
    outcome = yield
    if outcome.error is None:
        return SKIP  # the device that is stored next says so
    return Facts(subject=django.subject(user), resource=django.resource(user))


def _sent(method: str, call: Call) -> Flow:
    facts: dict[str, Any] = about(call.arg("device"))
    facts["params"] |= {"method": method}
    yield
    return Facts(**facts)


def _remembered(call: Call) -> Flow:
    user, device = call.arg("user"), django.text(call.arg("otp_device_id"))
    outcome = yield
    if outcome.result is False:
        return SKIP  # the cookie of another device
    facts: dict[str, Any] = {"subject": django.subject(user), "resource": django.resource(user)}
    if outcome.error is not None:  # not the end of the sign-in: the code is asked for
        return Facts(event="auth.verify", **facts)
    return Facts(params={"device": device, "remember": True}, **facts)


_SEND = partial(
    Hook,
    event="mfa.code.send",
    strategy=Strategy.OTP,
    params={"device": False, "method": False},
    errors={"OSError": Reason.SEND_FAILED},
)

HOOKS: tuple[Hook, ...] = (
    Hook(
        target="two_factor.forms:TOTPDeviceForm.clean_token",
        extract=_wrong_first_code,
        event="mfa.enroll",
        strategy=Strategy.TOTP,
        errors={"ValidationError": Reason.MFA_INVALID},
        overrides=True,
    ),
    _SEND(target="two_factor.gateways:send_sms", extract=partial(_sent, "sms")),
    _SEND(target="two_factor.gateways:make_call", extract=partial(_sent, "call")),
    Hook(
        target="two_factor.views.utils:validate_remember_device_cookie",
        extract=_remembered,
        event="mfa.verify",
        strategy=Strategy.REMEMBER_ME,
        params={"device": False, "remember": False},
        errors={"SignatureExpired": Reason.TOKEN_EXPIRED, "BadSignature": Reason.TOKEN_BAD_SIGNATURE},
        defer=True,
    ),
)

BLIND = (
    "The two requests of a sign-in are two records: `auth.authenticate` for the password, `auth.sign_in` for the code.",
    "A sign-in that was given up, or timed out, between password and code leaves only the first of them.",
    "That a browser is to be remembered is not seen when it is asked for, but each time that it spares the code.",
)
