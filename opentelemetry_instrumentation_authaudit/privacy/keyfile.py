"""Changing a file of hash keys: a new key in front, or a retired one destroyed. Other lines stay as they are.

The new content is written aside, forced to the disk and renamed over the old, whose bytes are then overwritten. Copies elsewhere
(backups, snapshots, the worn cells of a flash disk) are out of reach.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .pseudonyms import Key

__all__ = ("adding", "destroying", "keys_in")


def keys_in(path: Path) -> list[Key]:
    """The keys of the file, the one that hashes first. Raises OSError or ValueError."""
    return [key for _, key in _lines(path) if key is not None]


@contextmanager
def adding(path: Path, key: Key) -> Iterator[Callable[[], None]]:
    """Prepare *key* to be the first; calling what is given makes it so. Raises OSError or ValueError.

    The others only recognise from then on what they hashed.
    """
    path = path.resolve()
    with _alone(path):
        old = [line for line, _ in _lines(path)] if path.exists() else []
        with _ready(path, [key.written(), *old]) as put:
            yield put


@contextmanager
def destroying(path: Path, key_id: str) -> Iterator[Callable[[], None]]:
    """Prepare a key to be destroyed; calling what is given does it. Raises OSError or ValueError."""
    path = path.resolve()
    with _alone(path):
        kept = [(line, key) for line, key in _lines(path) if key is None or key.id != key_id]
        with _ready(path, [line for line, _ in kept] if any(key for _, key in kept) else []) as put:
            yield put


def _lines(path: Path) -> list[tuple[str, Key | None]]:
    """Every line and the key in it; none in blank lines and comments."""
    stripped = [(line, line.strip()) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(line, Key.parse(text) if text and not text.startswith("#") else None) for line, text in stripped]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One change of the folder's files at a time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _ready(path: Path, lines: list[str]) -> Iterator[Callable[[], None]]:
    """The new file beside the old one, until what is given puts it in its place; without lines there will be no file."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    before = path.stat() if path.exists() else None
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        if before is not None:
            os.fchmod(file.fileno(), before.st_mode & 0o777)
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
        os.fsync(file.fileno())

    def put() -> None:
        with path.open("r+b") if before is not None else open(os.devnull, "wb") as old:  # noqa: PTH123
            if lines:
                aside.replace(path)
            else:
                path.unlink()
            if before is not None:
                old.write(bytes(before.st_size))
                old.flush()
                os.fsync(old.fileno())

    try:
        yield put
    finally:
        aside.unlink(missing_ok=True)
