"""Archive before delete: a file is compressed as a whole, forced onto the disk and read back, before the original may go.

`<name>.gz` is plain gzip, `<name>.gz.sha256` what `sha256sum -c` reads. The same content always gives the same bytes, so who was
killed in the middle begins again and changes nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import secrets
import shutil
import zlib
from pathlib import Path
from typing import IO, Final

__all__ = ("ArchiveError", "archive", "archived", "sync_folder")

_CHUNK: Final = 1 << 20
_LEVEL: Final = 6


class ArchiveError(Exception):
    """The file was not archived, so it must not be deleted; the message says why and what to do."""


def archived(path: Path, folder: Path) -> Path:
    """Where *folder* has the file *path*, or would have it."""
    return folder / f"{path.name}.gz"


def archive(path: Path, folder: Path) -> Path:
    """Put the file *path*, to which nobody writes any more, into *folder*; where it is when it is safe there. ArchiveError."""
    target = archived(path, folder)
    try:
        if not target.exists():
            _compress(path, target)
        with path.open("rb") as original, gzip.open(target) as packed:
            same = _hash(original) == _hash(packed)
        if not same:
            raise ArchiveError(f"{target} holds something else than {path}: choose another folder for --archive")
        _note(target)
        sync_folder(folder)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ArchiveError(f"{path} could not be archived in {folder} ({why}), so it stays") from error
    return target


def sync_folder(folder: Path) -> None:
    """Force names of new files onto the disk; OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _compress(path: Path, target: Path) -> None:
    for missing in reversed([place for place in (target.parent, *target.parent.parents) if not place.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    with (
        path.open("rb") as source,
        _Aside(target) as aside,
        gzip.GzipFile("", "wb", _LEVEL, aside, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed, _CHUNK)


def _note(target: Path) -> None:
    """Write the hash of the archived file beside it."""
    beside = target.with_name(f"{target.name}.sha256")
    with target.open("rb") as file:
        text = f"{_hash(file)}  {target.name}\n".encode()
    if not (beside.exists() and beside.read_bytes() == text):
        with _Aside(beside) as aside:
            aside.write(text)


def _hash(file: IO[bytes] | gzip.GzipFile) -> str:
    hashed = hashlib.sha256()
    while piece := file.read(_CHUNK):
        hashed.update(piece)
    return hashed.hexdigest()


class _Aside:
    """A file that takes its name when it is complete and on the disk; else it never was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")

    def __enter__(self) -> IO[bytes]:
        self._file = os.fdopen(os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        return self._file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
            if kind is None:
                self._aside.replace(self._path)
        finally:
            self._aside.unlink(missing_ok=True)
