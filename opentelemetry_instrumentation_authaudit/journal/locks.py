"""Whose a stream is: a file that its process holds locked (flock) while it lives.

It is made under another name, locked, then renamed: in the moment between making and locking, another process would take over a
living stream. For the same reason an adopter looks once more, after it has the lock, whether it locked the file that is there.
A lock file without a holder marks a stream that nobody has delivered to its end; once somebody has, the file goes.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ("HeldLock", "described")


class HeldLock:
    """A lock file that this process holds."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path) -> HeldLock:
        """Make and hold the lock of a new stream; OSError where the folder cannot be written."""
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        held = cls(path, os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            fcntl.flock(held._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            aside.rename(path)
        except OSError:
            held.forget()
            raise
        return held

    @classmethod
    def take(cls, path: Path, *, wait: bool = False) -> HeldLock | None:
        """Hold the lock that somebody left; None if its process lives, or another was faster, or it is gone.

        With *wait*, another holder is waited for.
        """
        try:
            held = cls(path, os.open(path, os.O_RDWR))
        except OSError:
            return None
        try:
            fcntl.flock(held._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            held.forget()
            return None
        if held.lost():
            held.forget()
            return None
        return held

    def lost(self) -> bool:
        """Whether the file at its path is no longer the one that is held: somebody deleted it."""
        try:
            return not os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return True

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Write *facts* into the file, as JSON, for `authaudit doctor`; OSError on a full disk."""
        content = json.dumps(facts).encode()
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))

    def release(self, *, done: bool) -> None:
        """Let go. *done*: the stream has ended and nothing of it is left to deliver, so nobody needs to take it over."""
        if done and self._descriptor >= 0 and not self.lost():
            self.path.unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        """Close our copy and touch nothing: in a forked child the lock is the parent's, and an unlock would be one for both."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def described(path: Path) -> dict[str, Any]:
    """What the process that made the lock file *path* wrote into it; empty where that cannot be read."""
    try:
        found = json.loads(path.read_bytes() or b"{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
