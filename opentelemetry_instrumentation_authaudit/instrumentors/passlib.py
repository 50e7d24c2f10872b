"""passlib, and libpass, which continues it under the same module name: evidence."""

from __future__ import annotations

from ..hooks import Call, Flow
from .password_hashes import NOT_WHOSE, check, dummy, verdict

__all__ = ("BLIND", "HOOKS")


def _check(call: Call) -> Flow:
    """Without a hash, passlib makes the dummy check itself."""
    return dummy(call) if call.arg("hash") is None else verdict(call)


_C = "passlib.context:CryptContext."
HOOKS = (check(f"{_C}verify", _check), check(f"{_C}verify_and_update", _check), check(f"{_C}dummy_verify", dummy))

BLIND = (NOT_WHOSE, "Hash classes used directly (`pbkdf2_sha256.verify`), without a CryptContext, are not seen.")
