"""What is recorded of the name somebody typed: options `identity_privacy_mode` and `unknown_identity_mode`.

A name that no account matched is often a password typed into the wrong box, so it has a mode of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..config import Config, IdentityPrivacy
from ..model.event import AuditEvent
from .pseudonyms import Keyring

__all__ = ("IdentityRules", "carried_by_included_field", "matched")

_EMAIL_DOMAIN = re.compile(r"[^@\s]+@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63})")


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The two modes, and the fields whose value may stand in clear."""

    known: IdentityPrivacy
    unknown: IdentityPrivacy
    include_fields: frozenset[str]
    keys: Keyring

    @classmethod
    def of(cls, config: Config, keys: Keyring) -> IdentityRules:
        """The options' choice."""
        return cls(config.identity_privacy_mode, config.unknown_identity_mode, config.include_fields, keys)

    def mode_for(self, event: AuditEvent) -> IdentityPrivacy:
        """The mode of this event's identity; `include_fields` lifts it for the field that carried the identity."""
        if carried_by_included_field(event, self.include_fields):
            return IdentityPrivacy.NONE
        return self.known if matched(event) else self.unknown

    def apply(self, identity: str, mode: IdentityPrivacy) -> str | None:
        """What *mode* leaves of *identity*; None for nothing. What has no e-mail's form is hashed in mode domain."""
        if mode is IdentityPrivacy.NONE:
            return identity
        if mode is IdentityPrivacy.EXCLUDE:
            return None
        if mode is IdentityPrivacy.DOMAIN and (email := _EMAIL_DOMAIN.fullmatch(identity)):
            return f"*@{email[1].lower()}"
        return self.keys.identity(identity)


def matched(event: AuditEvent) -> bool:
    """Whether an account is known to belong to the identity."""
    return event.identity_known is True or event.subject is not None


def carried_by_included_field(event: AuditEvent, include_fields: frozenset[str]) -> bool:
    """Whether the identity came in by a parameter that `include_fields` names."""
    if not (include_fields and event.params):
        return False
    named = (event.params.get(name) for name in include_fields)
    return any(param is not None and type(param.value) is str and param.value == event.identity for param in named)
