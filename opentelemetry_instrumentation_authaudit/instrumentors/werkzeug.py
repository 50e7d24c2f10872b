"""Werkzeug's password hashes: evidence of what a sign-in proved, or did not."""

from __future__ import annotations

from typing import Final

from ..hooks import Call, Facts, Flow, Reason, Status
from .password_hashes import NOT_WHOSE, check, verdict

__all__ = ("BLIND", "HOOKS")

_PARTS: Final = 3
"""`method$salt$hash`."""


def _check(call: Call) -> Flow:
    """Werkzeug says no to whatever is not a hash. Applications compare with such a text where there is no account, so that the
    answer takes as long; that the password was wrong is not known then."""
    stored = call.arg("pwhash")
    if not isinstance(stored, str) or len(stored.split("$", 2)) == _PARTS:
        return (yield from verdict(call))
    yield
    return Facts(status=Status.FAILURE, reason=Reason.INVALID_CREDENTIALS)


HOOKS = (check("werkzeug.security:check_password_hash", _check),)

BLIND = (NOT_WHOSE,)
