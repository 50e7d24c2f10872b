"""bcrypt: evidence. passlib and Django compare hashes themselves and call `hashpw`, so nothing is counted twice."""

from __future__ import annotations

from .password_hashes import NOT_WHOSE, check

__all__ = ("BLIND", "HOOKS")

HOOKS = (check("bcrypt:checkpw"),)

BLIND = (NOT_WHOSE, "A comparison that an application makes itself with `hashpw` is not seen.")
