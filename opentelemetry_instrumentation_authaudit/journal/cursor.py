"""How far a stream is acknowledged: a small file, always replaced as a whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ..guard import warn

__all__ = ("Position", "load", "save")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a stream, behind a record."""

    file: str
    """Name of the journal file."""
    offset: int
    """Bytes from its beginning."""
    number: int
    """Sequence number of the record before it, 0 if there is none."""
    hash: str
    """Hex SHA-256 of that record's canonical bytes, empty if there is none."""


def load(path: Path) -> Position | None:
    """The position that was saved last; None if there is none, or nothing that can be read."""
    try:
        found = json.loads(path.read_bytes())
        return Position(str(found["file"]), int(found["offset"]), int(found["number"]), str(found["hash"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        warn(
            "journal.cursor",
            "%s cannot be read (%s): its stream is delivered again from the beginning; receivers know the records by their id.",
            path,
            type(error).__name__,
        )
        return None


def save(path: Path, position: Position) -> None:
    """Write *position* so that after a crash either it is there or the one before; OSError if it cannot be written."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(file, json.dumps(asdict(position)).encode())
        os.fsync(file)
    finally:
        os.close(file)
    aside.replace(path)
