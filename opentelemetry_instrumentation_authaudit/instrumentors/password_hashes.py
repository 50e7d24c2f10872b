"""What all password-hash libraries have in common: a check that says right or wrong, and not whose password it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..hooks import Call, Facts, Flow, Hook, Reason, Role, Status, Strategy

__all__ = ("NOT_WHOSE", "check", "dummy", "verdict")

NOT_WHOSE: Final = "A hash check says that a password was right or wrong, not whose it was."


def check(target: str, extract: Callable[[Call], Flow] | None = None) -> Hook:
    """The row of a function that returns whether a password is right, alone or as the first item of a tuple."""
    return Hook(target=target, extract=extract or verdict, role=Role.EVIDENCE, strategy=Strategy.PASSWORD)


def verdict(_call: Call) -> Flow:
    """What the function returned, as a fact."""
    outcome = yield
    if outcome.error is not None:
        return None  # a malformed or unknown hash: nobody knows whether the password was right
    right = outcome.result[0] if isinstance(outcome.result, tuple) else outcome.result
    return Facts() if right else Facts(status=Status.FAILURE, reason=Reason.WRONG_PASSWORD)


def dummy(_call: Call) -> Flow:
    """A check against no hash at all, made where there is no account so that the answer takes as long: it says nothing about
    the password."""
    yield
    return Facts(status=Status.FAILURE, reason=Reason.INVALID_CREDENTIALS)
