"""Signed checkpoints with a key that moves on: whoever reads the key file today cannot sign the past.

A key file begins with any secret text. Every start of a process takes the key for itself and leaves its successor in the file,
as `<id>:<generation>:<64 hex digits>`. The verifier keeps a copy of the first text offline, and derives every generation from it.
"""

from __future__ import annotations

import hmac
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..guard import warn
from .locks import HeldLock

__all__ = ("ALGORITHM", "SigningKey", "take_key")

ALGORITHM: Final = "HMAC-SHA256"

_ATTEMPTS: Final = 100
_EVOLVED: Final = re.compile(r"([0-9a-f]{8}):(\d{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of one process."""

    id: str
    """8 hex digits that all generations share."""
    generation: int
    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """The key that a file's text holds: an evolved one, or the first. ValueError if it is empty."""
        text = text.strip()
        match = _EVOLVED.fullmatch(text)
        if match:
            return cls(match[1], int(match[2]), bytes.fromhex(match[3]))
        if not text:
            raise ValueError("The signing key file is empty: write a long random text into it.")
        first = hmac.digest(text.encode(), b"authaudit signing key", "sha256")
        return cls(hmac.digest(first, b"authaudit signing key id", "sha256").hex()[:8], 0, first)

    @property
    def name(self) -> str:
        """What a checkpoint says about its key: `<id>.<generation>`."""
        return f"{self.id}.{self.generation}"

    def next(self) -> SigningKey:
        """The next generation; there is no way back."""
        return SigningKey(self.id, self.generation + 1, hmac.digest(self.secret, b"authaudit next signing key", "sha256"))

    def sign(self, stream: str, number: int, previous_hash: str, dropped: int) -> str:
        """The checkpoint's `audit.integrity.value`: 64 hex digits."""
        return hmac.digest(self.secret, f"{stream}\n{number}\n{previous_hash}\n{dropped}".encode(), "sha256").hex()

    def written(self) -> str:
        """What stands in a key file: the secret, which no `str` shows."""
        return f"{self.id}:{self.generation}:{self.secret.hex()}\n"


def take_key(path: Path) -> SigningKey | None:
    """Take the key in *path* for this process and leave the next one there; None, with a warning, where that is impossible."""
    # The file may have been replaced while we waited for its lock: another process took its key. Then the new one is waited for.
    lock = next((taken for taken in (HeldLock.take(path, wait=True) for _ in range(_ATTEMPTS)) if taken is not None), None)
    try:
        if lock is None:
            raise PermissionError
        key = SigningKey.parse(path.read_text(encoding="utf-8"))
        _replace(path, key.next().written())
    except (OSError, ValueError) as error:
        warn(
            "journal.signing_key",
            "signing_key_file %s cannot be used (%s): checkpoints are not signed. This process must be able to read the file and "
            "to write a new one in its place, and the file must hold a key.",
            path,
            type(error).__name__,
        )
        return None
    finally:
        if lock is not None:
            lock.forget()
    return key


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(file, text.encode())
        os.fsync(file)
    finally:
        os.close(file)
    aside.replace(path)
