"""pwdlib: evidence. The hasher it chooses (argon2, bcrypt) is watched too and folds into it."""

from __future__ import annotations

from .password_hashes import NOT_WHOSE, check

__all__ = ("BLIND", "HOOKS")

HOOKS = (check("pwdlib._hash:PasswordHash.verify"), check("pwdlib._hash:PasswordHash.verify_and_update"))

BLIND = (
    NOT_WHOSE,
    "Hashers used directly (`BcryptHasher.verify`), without a `PasswordHash`, are seen only as far as bcrypt and argon2 are.",
)
