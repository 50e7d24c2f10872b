"""Whose a stream is: a file locked (flock) while its process lives.

The file is made under another name, locked, then renamed: in the moment between making and locking, an adopter would take a
living stream. An adopter looks once more after it has the lock, since the file may have been removed meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import lock_path

__all__ = ("StreamLock",)


class StreamLock:
    """A lock that we hold."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, folder: Path, stream: str) -> StreamLock:
        """Lock a new stream of our own. Raises OSError where the folder cannot be written."""
        path = lock_path(folder, stream)
        aside = path.with_suffix(f".new-{os.getpid()}")
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        aside.rename(path)
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, folder: Path, stream: str) -> StreamLock | None:
        """Take over the stream of a process that is gone; None if it lives, or is taken over by another."""
        path = lock_path(folder, stream)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return cls(path, descriptor)
        except OSError:
            pass
        os.close(descriptor)
        return None

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Write what `authaudit doctor` shows of this process: pid, host, what is watched, what is missing."""
        content = json.dumps(facts).encode()
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))

    def release(self, *, done: bool) -> None:
        """Let go. *done*: everything was delivered, or nothing is to be, so nobody needs to adopt the stream."""
        if self._descriptor < 0:
            return
        if done:
            self.path.unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        """Close our copy without touching the file: a forked child would keep its parent's lock."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
