"""pwdlib: evidence. The hasher it chooses (argon2, bcrypt) is watched too and folds into it."""

from __future__ import annotations

from ..hooks import Call, Facts, Flow, Hook, Reason, Role, Status, Strategy

__all__ = ("BLIND", "HOOKS")


def _verify(_call: Call) -> Flow:
    outcome = yield
    if outcome.error is not None:
        return None  # an unknown hash format: the outcome stays unknown
    right = outcome.result[0] if isinstance(outcome.result, tuple) else outcome.result
    return Facts() if right else Facts(status=Status.FAILURE, reason=Reason.WRONG_PASSWORD)


HOOKS = tuple(
    Hook(target=f"pwdlib._hash:PasswordHash.{method}", extract=_verify, role=Role.EVIDENCE, strategy=Strategy.PASSWORD)
    for method in ("verify", "verify_and_update")
)

BLIND = (
    "A hash check says that a password was right or wrong, not whose it was.",
    "Hashers used directly (`BcryptHasher.verify`), without a `PasswordHash`, are seen only as far as bcrypt and argon2 are.",
)
