"""Werkzeug's password hashes: evidence of what a sign-in proved, or did not."""

from __future__ import annotations

from typing import Final

from ..hooks import Call, Flow
from .password_hashes import NOT_WHOSE, check, dummy, verdict

__all__ = ("BLIND", "HOOKS")

_PARTS: Final = 3
"""`method$salt$hash`."""


def _check(call: Call) -> Flow:
    """Werkzeug says no to whatever is not a hash."""
    stored = call.arg("pwhash")
    return dummy(call) if isinstance(stored, str) and len(stored.split("$", 2)) < _PARTS else verdict(call)


HOOKS = (check("werkzeug.security:check_password_hash", _check),)

BLIND = (NOT_WHOSE,)
