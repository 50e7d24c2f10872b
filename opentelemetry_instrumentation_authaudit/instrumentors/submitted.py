"""Who somebody claims to be, as a form or body says that the application has read anyway: what it leaves alone stays unread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..hooks import IDENTITY_FIELDS

__all__ = ("claimed",)

_LONGEST: Final = 320  # characters of an e-mail address (RFC 3696, 3, erratum 1690)


def claimed(*bodies: Any) -> dict[str, Any]:
    """Identity and the field that carried it, as `Facts` takes them: the first field that names an account in the first body
    that has one."""
    for body in bodies:
        for name in IDENTITY_FIELDS if isinstance(body, Mapping) else ():
            value = body.get(name)
            if isinstance(value, str) and 0 < len(value) <= _LONGEST:
                return {"identity_field": name, "identity": value}
    return {}
