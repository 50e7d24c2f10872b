"""Search, then bind: a service account signs in to a directory to look somebody up, whose credentials are checked next.

Only the second one is the person. Nothing says which identity is the service account's, so the first one that another one follows
is taken for it, at most one for an outer attempt or a request.
"""

from __future__ import annotations

from ..model.event import Status
from .attempt import Attempt

__all__ = ("Relay", "stands_for")


class Relay:
    """The service account of one outer attempt or request, as far as known."""

    __slots__ = ("identity",)

    def __init__(self) -> None:
        self.identity: str | None = None

    def takes(self, attempt: Attempt, steps: list[Attempt]) -> bool:
        """Whether *attempt* repeats what is known. Removes the service account from *steps* (what ended before) if it follows."""
        if not attempt.hook.relay:
            return False
        self.identity = self.identity or attempt.via
        for step in [s for s in steps if s.hook.relay and s.status is Status.SUCCESS]:
            if step.identity != attempt.identity and self.identity in {None, step.identity}:
                self.identity = step.identity
                steps.remove(step)
        known = {self.identity, *(s.identity for s in steps if s.hook.relay and s.status is Status.SUCCESS)}
        return attempt.status is Status.SUCCESS and attempt.identity in known


def stands_for(attempt: Attempt, typed: str) -> bool:
    """Whether *attempt* may be the bind of whoever typed *typed*: a DN or principal that was made from a name contains it."""
    name = typed.rpartition("\\")[2].partition("@")[0].casefold()
    return attempt.identity is None or name in attempt.identity.casefold()
