"""What both SAML libraries say in the same words."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ("ISSUER", "REFUSALS", "by_issuer")

ISSUER: Final = {"issuer": False}
"""The parameter of a SAML row: the identity provider's entity id in full."""

REFUSALS: Final = ("AuthnFailed", "RequestDenied", "NoPassive", "NoAuthnContext", "UnknownPrincipal")
"""Second-level status codes (SAML Core 2.0, 3.2.2.2) by which a provider says no, rather than that something is wrong."""


def by_issuer(entity_id: Any) -> dict[str, Any]:
    """The provider: an entity id is an address or a name; its host is short enough for the name of an action."""
    if not isinstance(entity_id, str) or not entity_id:
        return {}
    try:
        host = urlsplit(entity_id).hostname
    except ValueError:
        host = None
    return {"provider": host or entity_id, "params": {"issuer": entity_id}}
