"""Attempts to get in, as detections see them: who was tried, from where, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..model import names
from ..model.event import Status
from ..query.links import number
from ..query.reader import Record

__all__ = ("LOCKS", "SECOND_FACTORS", "SIGN_INS", "Attempt", "account_of", "attempt_of")

SIGN_INS: Final = frozenset({"auth.sign_in", "auth.authenticate", "auth.reauthenticate", "auth.verify", "token.issue"})
"""Events in which a password, or what stands for one, is guessed."""
SECOND_FACTORS: Final = frozenset({"mfa.verify", "mfa.recovery_code.use"})
LOCKS: Final = frozenset({"account.lock"})
_ONLY_THE_DOMAIN: Final = "*@"
"""What privacy mode `domain` leaves of an identity: many people's."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A record as far as detections look at it."""

    event: str
    time: int
    """Nanoseconds since the epoch."""
    account: str
    """What was typed as the identity (often a hash of it), else the subject; empty if neither is known."""
    subject: str
    address: str
    failed: bool
    succeeded: bool
    """Somebody got in."""
    tries: int = 1
    """More where repeated refusals were recorded as one."""


def account_of(record: Record) -> str:
    """The account that *record* is about. A failure knows what was typed and rarely whose it is, so that comes first."""
    identity = record.attributes.get(names.IDENTITY, "")
    if identity and not identity.startswith(_ONLY_THE_DOMAIN):
        return identity
    return record.attributes.get(names.SUBJECT, "")


def attempt_of(record: Record) -> Attempt:
    """*record* as an attempt."""
    found = record.attributes
    outcome = found.get(names.OUTCOME)
    return Attempt(
        event=record.event,
        time=record.time,
        account=account_of(record),
        subject=found.get(names.SUBJECT, ""),
        address=found.get(names.CLIENT_ADDRESS, ""),
        failed=outcome == Status.FAILURE.value,
        succeeded=outcome == Status.SUCCESS.value and record.event not in LOCKS,
        tries=max(number(found.get(names.REPEATS)), 1),
    )
