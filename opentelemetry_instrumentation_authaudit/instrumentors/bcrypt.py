"""bcrypt: evidence. passlib and Django compare hashes themselves and call `hashpw`, so nothing is counted twice."""

from __future__ import annotations

from ..hooks import Call, Facts, Flow, Hook, Reason, Role, Status, Strategy

__all__ = ("BLIND", "HOOKS")


def _check(_call: Call) -> Flow:
    outcome = yield
    if outcome.error is not None:
        return None  # a malformed hash: the outcome stays unknown
    return Facts() if outcome.result else Facts(status=Status.FAILURE, reason=Reason.WRONG_PASSWORD)


HOOKS = (Hook(target="bcrypt:checkpw", extract=_check, role=Role.EVIDENCE, strategy=Strategy.PASSWORD),)

BLIND = (
    "A hash check says that a password was right or wrong, not whose it was.",
    "A comparison that an application makes itself with `hashpw` is not seen.",
)
