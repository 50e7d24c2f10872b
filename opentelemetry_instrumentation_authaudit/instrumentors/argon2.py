"""argon2-cffi: evidence. pwdlib, passlib and Django sit on top of it; what they check is then one check."""

from __future__ import annotations

from ..hooks import Call, Facts, Flow, Hook, Reason, Role, Strategy
from .password_hashes import NOT_WHOSE

__all__ = ("BLIND", "HOOKS")


def _verify(_call: Call) -> Flow:
    yield
    return Facts()  # a mismatch is an exception, and the row names it


HOOKS = (
    Hook(
        target="argon2._password_hasher:PasswordHasher.verify",
        extract=_verify,
        role=Role.EVIDENCE,
        strategy=Strategy.PASSWORD,
        errors={"VerifyMismatchError": Reason.WRONG_PASSWORD},
    ),
)

BLIND = (
    NOT_WHOSE,
    "Checks made below `PasswordHasher` (`argon2.low_level.verify_secret`) are not seen.",
)
