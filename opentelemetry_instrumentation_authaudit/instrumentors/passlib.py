"""passlib, and libpass, which continues it under the same module name: evidence."""

from __future__ import annotations

from .password_hashes import NOT_WHOSE, check

__all__ = ("BLIND", "HOOKS")

HOOKS = (check("passlib.context:CryptContext.verify"), check("passlib.context:CryptContext.verify_and_update"))

BLIND = (NOT_WHOSE, "Hash classes used directly (`pbkdf2_sha256.verify`), without a CryptContext, are not seen.")
