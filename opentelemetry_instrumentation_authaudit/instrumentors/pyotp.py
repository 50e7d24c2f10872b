"""pyotp: one-time codes. Evidence of a second factor, and an `mfa.verify` of its own where nothing better is seen in
the request."""

from __future__ import annotations

from ..hooks import Call, Facts, Flow, Hook, Reason, Role, Status, Strategy

__all__ = ("BLIND", "HOOKS")


def _verify(call: Call) -> Flow:
    issuer = call.instance.issuer
    outcome = yield
    if outcome.error is not None:
        return None
    params = {"issuer": issuer if isinstance(issuer, str) else None}
    return Facts(params=params) if outcome.result else Facts(status=Status.FAILURE, reason=Reason.MFA_INVALID, params=params)


HOOKS = tuple(
    Hook(
        target=target,
        extract=_verify,
        role=Role.EVIDENCE,
        event="mfa.verify",
        strategy=Strategy.TOTP,
        params={"issuer": False},
        overrides=True,
    )
    for target in ("pyotp.totp:TOTP.verify", "pyotp.hotp:HOTP.verify")
)

BLIND = ("pyotp does not know whose code it checks: the subject comes from the sign-in it belongs to, if there is one.",)
