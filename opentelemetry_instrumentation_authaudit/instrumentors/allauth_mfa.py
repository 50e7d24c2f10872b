"""Second factors of django-allauth: codes, recovery codes and keys, checked, added and removed."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from . import django_facts as django
from .allauth_facts import NO, complaint, factor, owner, refusal, who

__all__ = ("HOOKS",)


def factor_checked(call: Call) -> Flow:
    """A form for a code or a key: the second step, the only one (a passkey), or a proof by somebody signed in."""
    form = call.instance
    if not form.is_bound:
        return None
    outcome = yield
    facts = who(getattr(form, "user", None))
    code, reason = complaint(form)
    if outcome.error is not None or reason is not None:
        event, wrong = _step(form)
        status = None if outcome.error is not None else Status.FAILURE
        reason = wrong if reason is Reason.INVALID_CODE else reason
        return Facts(event=event, status=status, fallback=reason, error_type=code, **facts)
    if vars(form).get("_errors"):
        return SKIP  # a field was empty
    used = getattr(form, "authenticator", None) or form.cleaned_data.get("credential")
    return Facts(**{**facts, **owner(used), **_which(used)})


def _step(form: Any) -> tuple[str, Reason]:
    """What a form is for, and what it means there that the code is wrong."""
    if getattr(form, "passwordless", False):
        return "auth.sign_in", Reason.INVALID_CREDENTIALS
    again = any("Reauthenticate" in kind.__name__ for kind in type(form).__mro__)
    return "auth.reauthenticate" if again else "mfa.verify", Reason.MFA_INVALID


def code_checked(call: Call) -> Flow:
    used = call.instance.instance
    outcome = yield
    if outcome.error is not None:
        return None
    return Facts(status=None if outcome.result else Status.FAILURE, fallback=Reason.MFA_INVALID, **owner(used))


def code_reused(_call: Call) -> Flow:
    outcome = yield
    return Facts(reason=Reason.CODE_REUSED) if outcome.result is False else None


def factor_reauthenticated(call: Call) -> Flow:
    used = call.arg("authenticator")
    if not call.arg("reauthenticated"):
        return None
    yield
    return Facts(**owner(used), **_which(used))


def factor_managed(call: Call) -> Flow:
    used = call.arg("authenticator")
    yield
    facts = {**owner(used), **_which(used)}
    if facts["strategy"] is Strategy.RECOVERY_CODE:
        facts["event"] = "mfa.recovery_codes.generate"
    return Facts(actor=django.actor(facts.get("subject")), **facts)


def factor_removed(call: Call) -> Flow:
    used = call.arg("authenticator")
    yield
    facts = {**owner(used), **_which(used)}
    return Facts(actor=django.actor(facts.get("subject")), **facts)


def _which(used: Any) -> dict[str, Any]:
    """Facts about an authenticator: its kind, and of a key the id by which browsers know it."""
    data = getattr(used, "data", None)
    credential = data.get("credential") if isinstance(data, dict) else None
    key = credential.get("id") if isinstance(credential, dict) else None
    return {"strategy": factor(getattr(used, "type", None)), "token_id": django.text(key)}


_MFA = "allauth.mfa."
_REFUSAL = partial(Hook, extract=refusal, errors=NO, overrides=True)
_FACTOR = partial(Hook, extract=factor_checked, event="mfa.verify", errors=NO, defer=True, overrides=True)
_CHECK = partial(Hook, extract=code_checked, role=Role.EVIDENCE, event="mfa.verify", overrides=True)
_SIGNAL = partial(Hook, role=Role.SIGNAL)

HOOKS: tuple[Hook, ...] = (
    _FACTOR(target=f"{_MFA}base.forms:BaseAuthenticateForm.full_clean"),
    _FACTOR(target=f"{_MFA}webauthn.forms:AuthenticateWebAuthnForm.full_clean", strategy=Strategy.WEBAUTHN),
    _CHECK(target=f"{_MFA}totp.internal.auth:TOTP.validate_code", strategy=Strategy.TOTP),
    _CHECK(
        target=f"{_MFA}recovery_codes.internal.auth:RecoveryCodes.validate_code",
        strategy=Strategy.RECOVERY_CODE,
    ),
    Hook(target=f"{_MFA}totp.internal.auth:TOTP._mark_code_used", extract=code_reused, role=Role.NOTE),
    Hook(target=f"{_MFA}base.internal.flows:post_authentication", extract=factor_reauthenticated, event="auth.reauthenticate"),
    _REFUSAL(target=f"{_MFA}totp.forms:ActivateTOTPForm.full_clean", event="mfa.enroll", strategy=Strategy.TOTP),
    _REFUSAL(target=f"{_MFA}totp.forms:DeactivateTOTPForm.full_clean", event="mfa.remove", strategy=Strategy.TOTP),
    _REFUSAL(target=f"{_MFA}webauthn.forms:_BaseAddWebAuthnForm.full_clean", event="mfa.enroll", strategy=Strategy.WEBAUTHN),
    _REFUSAL(
        target=f"{_MFA}recovery_codes.forms:GenerateRecoveryCodesForm.full_clean",
        event="mfa.recovery_codes.generate",
        strategy=Strategy.RECOVERY_CODE,
    ),
    _SIGNAL(target=f"{_MFA}signals:authenticator_added", extract=factor_managed, event="mfa.enroll"),
    _SIGNAL(target=f"{_MFA}signals:authenticator_removed", extract=factor_removed, event="mfa.remove"),
    _SIGNAL(target=f"{_MFA}signals:authenticator_reset", extract=factor_managed, event="mfa.recovery_codes.generate"),
)
