"""Where records are looked for, and with which keys."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ..config import Config, load
from ..privacy.pseudonyms import Keyring, key_folder
from ..query.reader import Unreadable, files_in
from .main import UNFINISHED, CliError

__all__ = ("files_of", "keys_of", "living", "looked_in", "places", "tell_unreadable")

_SYSTEMD: Final = Path("/var/lib")
_STATE_DIRECTORIES: Final = ("*/authaudit/journal", "private/*/authaudit/journal")


def places(stores: Iterable[Path], config: Config) -> list[Path]:
    """What was named; else every default place: an application under systemd and a shell have different homes.

    Raises CliError for a store that is not there.
    """
    named = [store.absolute() for store in stores]
    for store in named:
        if not os.path.exists(store):  # noqa: PTH110 -- Path.exists raises where a folder above is closed
            raise CliError(f"there is no {store} that this user may read; --store names a journal folder or file")
    if named:
        return named
    under_systemd = sorted(path for pattern in _STATE_DIRECTORIES for path in _SYSTEMD.glob(pattern))
    return list(dict.fromkeys([config.journal_dir, load({}).journal_dir, *under_systemd]))


def files_of(found: Iterable[Path], unreadable: Unreadable) -> list[Path]:
    """The files of records in all places; folders that this user may not read are noted."""
    files: dict[Path, None] = {}
    for place in found:
        try:
            for folder in [place, *filter(Path.is_dir, place.iterdir())] if place.is_dir() else []:
                if not os.access(folder, os.R_OK | os.X_OK):
                    unreadable.files[str(folder)] = "permission denied"
            files |= dict.fromkeys(files_in(place))
        except OSError as error:
            unreadable.files[str(place)] = error.strerror or type(error).__name__
    return list(files)


def keys_of(found: Iterable[Path], config: Config) -> Keyring | None:
    """Every hash key of these options and beside these journals; none is made by asking."""
    own = replace(config, hash_key=None, hash_key_file=None)
    rings = [Keyring.of(config)] if config.hash_key or config.hash_key_file else []
    for root in dict.fromkeys(folder for place in found for folder in (place, *place.parents[:2])):  # a file, a service, or all
        beside = replace(own, journal_dir=root)
        if any(key_folder(beside).glob("*.key")):
            rings.append(Keyring.of(beside))
    keys = dict.fromkeys(key for ring in rings for key in ring.keys)
    return Keyring(tuple(keys)) if keys else None


def living(found: Iterable[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every process that records into one of these places: its service, and what it says of itself."""
    for path in sorted(lock for place in found for lock in place.glob("*/*.lock")):
        facts = _facts(path)
        if facts is not None:
            yield path.parent.name, facts


def looked_in(found: Iterable[Path], files: int) -> None:
    """Say on stderr where records were looked for."""
    print(f"looked in {', '.join(map(str, found))}: {files} file{'s' if files != 1 else ''}", file=sys.stderr)


def tell_unreadable(unreadable: Unreadable) -> int:
    """Say on stderr what could not be read; the exit code that follows from it."""
    for file, why in unreadable.files.items():
        print(f"could not read {file}: {why}", file=sys.stderr)
    if unreadable.lines:
        print(f"{unreadable.lines} torn or damaged line{'s' if unreadable.lines != 1 else ''} could not be read", file=sys.stderr)
    return UNFINISHED if unreadable.files else 0


def _facts(path: Path) -> dict[str, Any] | None:
    """What the process that holds *path* says of itself; None if it is gone."""
    import fcntl  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found: Any = json.loads(file.read() or b"{}")
                return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
    return None
