"""Werkzeug's password hashes: evidence of what a sign-in proved, or did not."""

from __future__ import annotations

from ..hooks import Call, Facts, Flow, Hook, Reason, Role, Status, Strategy

__all__ = ("BLIND", "HOOKS")


def _check(_call: Call) -> Flow:
    outcome = yield
    return Facts() if outcome.result else Facts(status=Status.FAILURE, reason=Reason.WRONG_PASSWORD)


HOOKS = (Hook(target="werkzeug.security:check_password_hash", extract=_check, role=Role.EVIDENCE, strategy=Strategy.PASSWORD),)

BLIND = ("A hash check says that a password was right or wrong, not whose it was.",)
