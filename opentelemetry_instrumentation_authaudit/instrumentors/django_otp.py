"""django-otp: second factors of every kind, by whichever door a code comes in.

Every device overrides `verify_token`; forms, `verify_token(user, ...)` and `match_token`, which tries all devices, stand around it
and are one event with it. A code for a device that is not confirmed or not stored yet lets nobody in: it completes a set-up.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from . import django_facts as django

__all__ = ("BLIND", "HOOKS", "about")

_STRATEGIES: Final = {
    "TOTPDevice": Strategy.TOTP,
    "HOTPDevice": Strategy.TOTP,
    "StaticDevice": Strategy.RECOVERY_CODE,
    "WebauthnDevice": Strategy.WEBAUTHN,
}
"""Class of a device -> what it proves; all others (mail, phone, key fob) compare a one-time code."""
_TRIES: Final = {"ValidationError": Reason.MFA_INVALID}
_SENDS: Final = {"SMTPException": Reason.SEND_FAILED, "OSError": Reason.SEND_FAILED}


def about(device: Any) -> dict[str, Any]:
    """Facts about whose device it is and which, without loading the user."""
    kinds = (kind.__name__ for kind in type(device).__mro__)
    meta, key = device._meta, vars(device).get("user_id")  # noqa: SLF001 -- Django's documented name
    owner = meta.get_field("user").related_model
    return {
        "subject": None if key is None else django.keyed(owner, key),
        "resource": django.resource(owner),
        "strategy": next((_STRATEGIES[kind] for kind in kinds if kind in _STRATEGIES), Strategy.OTP),
        "params": {"device": meta.label_lower if device.pk is None else f"{meta.label_lower}/{device.pk}"},
    }


def _managed(device: Any) -> dict[str, Any]:
    """Facts about a change to a device, which an administrator may make."""
    facts = about(device)
    return {**facts, "actor": django.actor(facts["subject"])}


def _event(strategy: Strategy) -> str:
    return "mfa.recovery_code.use" if strategy is Strategy.RECOVERY_CODE else "mfa.verify"


def _checked(call: Call) -> Flow:
    """`Device.verify_token`: what is right and what is wrong, each device knows itself."""
    device = call.instance
    facts = about(device)
    facts["event"] = _event(facts["strategy"])
    if device.pk is None or vars(device).get("confirmed") is False:
        facts |= {"event": "mfa.enroll", "action": f"confirm_setup_with_{facts['strategy'].value}"}
    outcome = yield
    if outcome.error is not None or outcome.result:
        return Facts(**facts)
    return Facts(status=Status.FAILURE, fallback=Reason.MFA_INVALID, **facts)


def _tried(call: Call) -> Flow:
    """A door of the library: returns the device that took the code, or None, or raises."""
    user, chosen = call.arg("user"), call.arg("device")
    outcome = yield
    code = django.text(getattr(outcome.error, "code", None))
    if code == "device_required":
        return SKIP  # nothing was compared
    facts: dict[str, Any] = {"subject": django.subject(user), "resource": django.resource(user), "error_type": code}
    device = outcome.result or chosen
    if device is not None:
        facts |= about(device)
        facts["event"] = _event(facts["strategy"])
    if outcome.error is None and outcome.result is None:
        facts |= {"status": Status.FAILURE, "fallback": Reason.MFA_INVALID}
    return Facts(**facts)


def _allowed(_call: Call) -> Flow:
    """A device that refuses to compare anything: after failures, or for a reason of its own."""
    outcome = yield
    if not isinstance(outcome.result, tuple) or outcome.result[0]:
        return None
    reason = getattr((outcome.result[1] or {}).get("reason"), "name", None)
    return Facts(reason=Reason.RATE_LIMITED if reason == "N_FAILED_ATTEMPTS" else Reason.POLICY_DENIED)


def _challenged(call: Call) -> Flow:
    """A device that sends a code says so to the user; one that has none to send returns nothing."""
    device = call.instance
    before = vars(device).get("last_generated_timestamp", device)
    outcome = yield
    if outcome.error is not None:
        return Facts(**about(device))
    if outcome.result is None:
        return SKIP
    if vars(device).get("last_generated_timestamp") is before:
        return Facts(status=Status.FAILURE, reason=Reason.RATE_LIMITED, **about(device))
    return Facts(**about(device))


def _added(call: Call) -> Flow:
    device = call.instance
    if not device._state.adding or about(device)["strategy"] is Strategy.RECOVERY_CODE:  # noqa: SLF001 -- Django's documented name
        return None  # an empty box for codes is no factor yet
    yield
    return Facts(**_managed(device))


def _removed(call: Call) -> Flow:
    device = call.instance
    facts = _managed(device)  # before it loses its key
    yield
    return Facts(**facts)


def _code_made(call: Call) -> Flow:
    token = call.instance
    device = token._state.fields_cache.get("device") if token._state.adding else None  # noqa: SLF001 -- Django's documented name
    if device is None:
        return None
    yield
    return Facts(**_managed(device))


_ROOT, _MODELS = "django_otp:", "django_otp.models:"
_HOOK = partial(Hook, params={"device": False})
_DEVICE = partial(_HOOK, overrides=True)
_DOOR = partial(_HOOK, extract=_tried, event="mfa.verify", defer=True)
_NOTE = partial(Hook, extract=_allowed, role=Role.NOTE, overrides=True)

HOOKS: tuple[Hook, ...] = (
    _DOOR(target=f"{_ROOT}match_token"),
    _DOOR(target=f"{_ROOT}verify_token"),
    _DOOR(target="django_otp.forms:OTPAuthenticationFormMixin._verify_token", errors=_TRIES, overrides=True),
    _DEVICE(target=f"{_MODELS}Device.verify_token", extract=_checked, event="mfa.verify", defer=True),
    _NOTE(target=f"{_MODELS}Device.verify_is_allowed"),
    _NOTE(target=f"{_MODELS}ThrottlingMixin.verify_is_allowed"),
    _DEVICE(target=f"{_MODELS}Device.generate_challenge", extract=_challenged, event="mfa.code.send", errors=_SENDS),
    _DEVICE(target=f"{_MODELS}Device.save", extract=_added, event="mfa.enroll"),
    _DEVICE(target=f"{_MODELS}Device.delete", extract=_removed, event="mfa.remove"),
    _HOOK(
        target="django_otp.plugins.otp_static.models:StaticToken.save",
        extract=_code_made,
        event="mfa.recovery_codes.generate",
        strategy=Strategy.RECOVERY_CODE,
    ),
)

BLIND = (
    "Devices and backup codes that `bulk_create`, `QuerySet.update`, `QuerySet.delete` or the deletion of their user writes are "
    "not seen.",
    "That a device becomes confirmed is seen by the code that is checked for it; without such a check it is not.",
    "That a session forgets its second factor (its device is gone, or another user's) is not seen.",
)
