"""Write down which streams there are, and how far each has come, so that none can vanish as a whole. Meant to run once a day."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

from ..journal.signing import SigningKey, take_key
from ..query.reader import Unreadable
from ..query.registry import Registry
from .main import BAD_ANSWER, CliError
from .places import tell_unreadable
from .stores import add_store_flag
from .verify import examine

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = """\
examples:
  authaudit digest --registry /mnt/worm/streams.jsonl
  authaudit digest --registry streams.jsonl --signing-key-file registry.key

Appends one line to the registry: every stream that is new or has grown since the line before, with its length and the hash of its
last record. Keep the registry, and the first text of its key, where whoever can write the journals cannot: another account, an
object store that only appends. `authaudit verify --registry` compares. A store with a fault is not written down (exit code 1).
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    add_store_flag(parser)
    parser.add_argument("--registry", type=Path, required=True, metavar="FILE", help="appended to; made if it is not there")
    parser.add_argument("--signing-key-file", type=Path, metavar="FILE", help="key of the registry; moves on with every line")
    parser.set_defaults(key=[], lifetime=None)


def run(options: argparse.Namespace) -> int:
    """Append the line."""
    path: Path = options.registry
    if not path.exists():
        path.touch(mode=0o600)
    unreadable = Unreadable()
    verification = examine(options, unreadable)
    faults = [finding for finding in verification.findings() if finding.kind.fault]
    if faults:
        print(f"not written: the store has {len(faults)} faults; `authaudit verify` names them", file=sys.stderr)
        return BAD_ANSWER
    registry = verification.registry or Registry()
    made_at = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    line = registry.line(verification.streams, made_at, _key(options.signing_key_file))
    if line is None:
        print("nothing new: the registry knows every stream as it is")
    else:
        _append(path, line)
        print(f"{len(verification.streams)} streams, {verification.records} records: line {registry.lines + 1} of {path}")
    return tell_unreadable(unreadable)


def _key(path: Path | None) -> SigningKey | None:
    if path is None:
        return None
    key = take_key(path)
    if key is None:
        raise CliError(
            f"--signing-key-file {path}: it must be readable, hold a long random text, and lie in a folder that can be written"
        )
    return key


def _append(path: Path, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, f"{line}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)
