"""What the result of an LDAP operation means (RFC 4511, appendix A), and what Active Directory adds to it."""

from __future__ import annotations

import re
from typing import Any, Final

from ..hooks import Facts, Reason, Status, Strategy

__all__ = ("BIND_PARAMS", "bound", "password_event", "refused", "text")

BIND_PARAMS: Final = {"mechanism": False}
"""`mechanism` is the name of a SASL or Microsoft mechanism; a bind with a name and a password has none."""

SUCCESS: Final = 0
_BY_CODE: Final = {
    7: Reason.POLICY_DENIED,  # authMethodNotSupported
    8: Reason.POLICY_DENIED,  # strongerAuthRequired
    13: Reason.POLICY_DENIED,  # confidentialityRequired
    19: Reason.POLICY_DENIED,  # constraintViolation
    32: Reason.UNKNOWN_IDENTITY,  # noSuchObject
    34: Reason.INVALID_INPUT,  # invalidDNSyntax
    48: Reason.INVALID_CREDENTIALS,  # inappropriateAuthentication: the entry has no password
    49: Reason.INVALID_CREDENTIALS,  # invalidCredentials
    50: Reason.PERMISSION_DENIED,  # insufficientAccessRights
    53: Reason.POLICY_DENIED,  # unwillingToPerform
}
"""Any other code leaves the outcome open: the directory was busy, ill or somewhere else."""

_BY_DIAGNOSIS: Final = {
    "data 525": Reason.UNKNOWN_IDENTITY,
    "data 52e": Reason.WRONG_PASSWORD,
    "data 530": Reason.POLICY_DENIED,  # not at this hour
    "data 531": Reason.POLICY_DENIED,  # not from this machine
    "data 532": Reason.EXPIRED_PASSWORD,
    "data 533": Reason.INACTIVE_ACCOUNT,
    "data 701": Reason.INACTIVE_ACCOUNT,  # the account has expired
    "data 773": Reason.EXPIRED_PASSWORD,  # must be changed first
    "data 775": Reason.LOCKED_ACCOUNT,
    "00000056": Reason.WRONG_PASSWORD,  # the old one, at a change
    "0000052d": Reason.WEAK_PASSWORD,
    "verify old password": Reason.WRONG_PASSWORD,  # OpenLDAP
}
"""Active Directory's codes (winerror.h) in the diagnostic message, which itself is never recorded."""
_DIAGNOSIS: Final = re.compile(r"data [0-9a-f]{3}\b|^0000005(?:6|2d)\b|verify old password", re.IGNORECASE)

_KERBEROS: Final = frozenset({"GSSAPI", "GSS-SPNEGO"})
_PASSWORDS: Final = frozenset({"userpassword", "unicodepwd"})
_DELETE: Final = frozenset({1, "MODIFY_DELETE"})  # RFC 4511, 4.6


def text(value: Any) -> str | None:
    """A DN or name as text; None for none."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return value if isinstance(value, str) and value else None


def bound(identity: str | None, mechanism: str | None = None, *, named: bool = True, **more: Any) -> Facts:
    """A bind that the server accepted. Not *named*: it had no password, so the server took nobody's word for anything
    (RFC 4513, 5.1.2), though the application may believe otherwise."""
    if not named:
        return Facts(identity=identity, strategy=Strategy.ANONYMOUS, params={"mechanism": "UNAUTHENTICATED"}, **more)
    strategy = Strategy.KERBEROS if mechanism in _KERBEROS else None
    return Facts(subject=identity, identity=identity, strategy=strategy, params={"mechanism": mechanism}, **more)


def refused(code: Any, message: Any, error_type: str | None = None) -> dict[str, Any]:
    """The facts of an operation that ended with result *code* and a diagnostic *message*."""
    said = _DIAGNOSIS.search(message) if isinstance(message, str) else None
    reason = (_BY_DIAGNOSIS.get(said[0].lower()) if said is not None else None) or _BY_CODE.get(code)
    status = Status.UNKNOWN if reason is None else Status.FAILURE
    return {"status": status, "fallback": reason or Reason.BACKEND_ERROR, "error_type": error_type}


def password_event(changes: Any) -> str | None:
    """What changes of an entry, (operation, attribute) each, mean for its password: whoever hands in the old one changes it,
    whoever cannot sets it. None where they leave it alone."""
    found = [operation for operation, attribute in changes if _attribute(attribute) in _PASSWORDS]
    if not found:
        return None
    return "password.change" if any(operation in _DELETE for operation in found) else "password.set"


def _attribute(name: Any) -> str:
    """The name of an attribute without its options."""
    return (text(name) or "").partition(";")[0].casefold()
