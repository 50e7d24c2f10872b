"""Legal holds on files: where they are written down, and which files they keep.

`legal.holds` lies in the folder of a service's journals, or above it in the folder of all services; both count. A file that holds a
record of a held subject or tenant is kept as a whole: what stands around the record is what proves it, by the chain.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from ..model import names
from ..model.lifetime import Hold
from .canonical import attribute

__all__ = ("HOLDS_FILE", "HoldsUnreadable", "changing", "in_force", "read_holds", "touched")

HOLDS_FILE: Final = "legal.holds"
_CHUNK: Final = 1 << 20


class HoldsUnreadable(Exception):  # noqa: N818 -- a state of the file
    """What is held is not known, so nothing may be deleted; the message says why and what to do."""


def read_holds(folder: Path) -> list[Hold]:
    """The holds that are written down in *folder*, ended ones too. HoldsUnreadable."""
    path = folder / HOLDS_FILE
    try:
        return [Hold(**found) for found in json.loads(path.read_bytes())["holds"]]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        why = error.strerror or type(error).__name__
    except (ValueError, TypeError, KeyError) as error:
        why = f"it is damaged: {type(error).__name__}"
    raise HoldsUnreadable(f"{path} cannot be read ({why}), so nothing is deleted: let the process read it, or mend it")


def in_force(folder: Path, now: int) -> list[Hold]:
    """The holds on a service's *folder* at *now* (nanoseconds since the epoch). HoldsUnreadable."""
    return [hold for place in (folder, folder.absolute().parent) for hold in read_holds(place) if hold.active(now)]


@contextmanager
def changing(folder: Path) -> Iterator[list[Hold]]:
    """The holds of *folder*, to be changed in place; at the end they are written so that a crash leaves the old ones or the new.

    Who else wants to change them waits. HoldsUnreadable, OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        holds = read_holds(folder)
        yield holds
        _write(folder / HOLDS_FILE, holds)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def touched(path: Path, holds: Collection[Hold], chunk: int = _CHUNK) -> list[Hold]:
    """Those of *holds* that concern a record in the journal file *path*, which is read *chunk* bytes at a time. OSError."""
    left = {hold: _needles(hold) for hold in holds}
    reach = max((len(needle) for needles in left.values() for needle in needles), default=0)
    found = set()
    for piece in _pieces(path, chunk, reach) if left else ():
        found |= {hold for hold, needles in left.items() if any(needle in piece for needle in needles)}
    return [hold for hold in holds if hold in found]


def _needles(hold: Hold) -> list[bytes]:
    """What the bytes of a record that it concerns have in them: about the subject, or done by it."""
    if hold.subject is not None:
        return [attribute(name, hold.subject) for name in (names.SUBJECT, names.ACTOR_ID)]
    return [attribute(names.TENANT, hold.tenant or "")]


def _pieces(path: Path, chunk: int, reach: int) -> Iterator[bytes]:
    """The file, piece by piece, each beginning with the last *reach* bytes of the one before."""
    kept = b""
    with path.open("rb") as file:
        while piece := file.read(chunk):
            yield kept + piece
            kept = (kept + piece)[-reach:]


def _write(path: Path, holds: Iterable[Hold]) -> None:
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    owner = path.parent.stat()
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as text:
            if os.geteuid() == 0:  # who writes the journals must be able to read what is held
                os.fchown(text.fileno(), owner.st_uid, owner.st_gid)
            json.dump({"holds": [asdict(hold) for hold in holds]}, text, indent=2)
            text.flush()
            os.fsync(text.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
