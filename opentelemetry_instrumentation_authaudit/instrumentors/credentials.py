"""What the header `Authorization` of a request says by itself: by which mechanism, and for Basic who it claims to be."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any, Final

from ..hooks import Strategy

__all__ = ("carried",)

_SCHEMES: Final = {"basic": Strategy.BASIC, "bearer": Strategy.TOKEN, "digest": Strategy.DIGEST, "negotiate": Strategy.KERBEROS}


def carried(authorization: object) -> dict[str, Any]:
    """Strategy and identity, as `Facts` takes them, of the header's value (RFC 9110, 11.6.2); CUSTOM for a scheme of one's own."""
    scheme, _, credentials = authorization.partition(" ") if isinstance(authorization, str) else ("", "", "")
    strategy = _SCHEMES.get(scheme.lower(), Strategy.CUSTOM)
    return {"strategy": strategy, "identity": _user_id(credentials) if strategy is Strategy.BASIC else None}


def _user_id(credentials: str) -> str | None:
    """The user name in Basic credentials (RFC 7617)."""
    try:
        name, colon, _ = b64decode(credentials).decode("utf-8", "replace").partition(":")
    except (binascii.Error, ValueError):
        return None
    return name if colon else None
