"""What all password-hash libraries have in common: a check that says right or wrong, and not whose password it was."""

from __future__ import annotations

from typing import Final

from ..hooks import Call, Facts, Flow, Hook, Reason, Role, Status, Strategy

__all__ = ("NOT_WHOSE", "check")

NOT_WHOSE: Final = "A hash check says that a password was right or wrong, not whose it was."


def check(target: str) -> Hook:
    """The row of a function that returns whether a password is right, alone or as the first item of a tuple."""
    return Hook(target=target, extract=_check, role=Role.EVIDENCE, strategy=Strategy.PASSWORD)


def _check(_call: Call) -> Flow:
    outcome = yield
    if outcome.error is not None:
        return None  # a malformed or unknown hash: nobody knows whether the password was right
    right = outcome.result[0] if isinstance(outcome.result, tuple) else outcome.result
    return Facts() if right else Facts(status=Status.FAILURE, reason=Reason.WRONG_PASSWORD)
