"""The keys of hashed identities, addresses and sessions: list them, put a new one in front, destroy a retired one."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..config import Config, load
from ..model.event import Actor, AuditEvent, RecordingRefused, Status
from ..privacy.keyfile import adding, destroying, keys_in
from ..privacy.pseudonyms import Key, generated_file, new_key
from ..query.reader import Unreadable
from .main import UNFINISHED, CliError
from .places import files_of, living, places

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = """\
examples:
  authaudit keys list                   which keys there are, and which one hashes
  authaudit keys rotate                 a new key; restart the applications, then they hash with it
  authaudit keys destroy 73b98ddc       says what would be lost
  authaudit keys destroy 73b98ddc --yes

A hash is joined to a person only by who has its key. The active key hashes; retired ones still find what they hashed:
`authaudit query --identity ann@example.org` tries them all. Once a retired key is destroyed nobody can do that any more, the
operator included: its hashes have become anonymous. The records themselves are not touched, so `authaudit verify` stays whole.
That cannot be undone. Copies of the key (backups, other hosts) must go too; `keys destroy` sees only this host.

rotate and destroy are recorded: event audit.config_change, action rotate_hash_key or destroy_hash_key, in a stream of this command.
Nothing is destroyed that cannot be recorded. A key in the environment (hash_key) is yours to change there.
Exit codes: 0 done, 2 refused (active, unknown, not confirmed), 3 could not finish; nothing is destroyed then.
"""

_EVENT: Final = "audit.config_change"
_WHAT: Final = ("list", "rotate", "destroy")


@dataclass(frozen=True, slots=True)
class _Row:
    """A key, and where it is."""

    key: Key
    active: bool
    file: Path | None
    """None: in the environment."""
    journal: Path
    """The journals whose hashes are made with it."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("what", choices=_WHAT, help="list (changes nothing), rotate, destroy")
    parser.add_argument("id", nargs="?", help="the id of the key to destroy, as `keys list` and every hash show it")
    parser.add_argument("--yes", action="store_true", help="destroy it: this cannot be undone")
    parser.add_argument(
        "--store", type=Path, action="append", default=[], metavar="PATH", help="a journal folder; its keys lie beside it"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the list")


def run(options: argparse.Namespace) -> int:
    """List, rotate or destroy."""
    if (options.what == "destroy") != bool(options.id):
        raise CliError("destroy needs the id of a key; list and rotate take none")
    config = load()
    found = places(options.store, config)
    rows = list(_rows(found, replace(config, journal_dir=found[0])))
    if options.what == "list":
        _list(rows, options.format)
    elif options.what == "rotate":
        _rotate(replace(config, journal_dir=found[0]))
    else:
        _destroy(options, rows, found, config)
    return 0


def _rows(found: Iterable[Path], config: Config) -> Iterator[_Row]:
    """Every key: of the environment, of its file, and those generated beside the journals."""
    own = bool(config.hash_key or config.hash_key_file)
    if config.hash_key:
        yield _Row(Key.parse(config.hash_key), active=True, file=None, journal=config.journal_dir)
    files = [(config.hash_key_file, config.journal_dir, not config.hash_key)] if config.hash_key_file else []
    for place in found:
        active = not own or place != config.journal_dir  # with which options another place is written is not known here
        files.append((generated_file(replace(config, journal_dir=place)), place, active))
    for path, journal, active in files:
        for number, key in enumerate(_keys(path)):
            yield _Row(key, active=active and number == 0, file=path, journal=journal)


def _keys(path: Path) -> list[Key]:
    try:
        return keys_in(path)
    except FileNotFoundError:
        return []
    except ValueError:
        raise CliError(f"{path} is no file of keys: one `id:key` a line", UNFINISHED) from None


def _list(rows: Iterable[_Row], form: str) -> None:
    told = [
        {"id": row.key.id, "state": "active" if row.active else "retired", "file": str(row.file or "the environment")}
        for row in rows
    ]
    for row in told:
        print(json.dumps(row) if form == "json" else f"{row['id']:32}  {row['state']:8}  {row['file']}")
    if not told:
        print("there are no keys yet: the first process that records makes one", file=sys.stderr)


def _rotate(config: Config) -> None:
    if config.hash_key:
        raise CliError("the active key is in the environment (hash_key): set another there, or move it to a hash_key_file")
    path = config.hash_key_file or generated_file(config)
    key = new_key()
    with adding(path, key) as put:
        _do(put, config, "rotate_hash_key", key)
    print(key.id)
    print(f"{path}: new hashes are made with key {key.id} by every process that starts from now on", file=sys.stderr)


def _destroy(options: argparse.Namespace, rows: list[_Row], found: list[Path], config: Config) -> None:
    mine = [row for row in rows if row.key.id == options.id]
    _refuse(options.id, mine, found)
    if not options.yes:
        hashes = _count(options.id, found)
        raise CliError(
            f"{hashes} records of this host hold hashes made with key {options.id}. Without it nobody can say any more whose they "
            f"are. This cannot be undone: repeat the command with --yes"
        )
    for path, journal in dict.fromkeys((row.file, row.journal) for row in mine if row.file):
        with destroying(path, options.id) as put:
            _do(put, replace(config, journal_dir=journal), "destroy_hash_key", mine[0].key)
        print(f"{path}: key {options.id} is destroyed; what it hashed is anonymous now", file=sys.stderr)


def _do(put: Callable[[], None], config: Config, action: str, key: Key) -> None:
    """Record it first: what cannot be recorded is not done. Should it then fail, that is recorded too."""
    _tell(config, action, key.id, Status.SUCCESS)
    try:
        put()
    except OSError:
        _tell(config, action, key.id, Status.FAILURE)
        raise


def _refuse(key_id: str, mine: list[_Row], found: list[Path]) -> None:
    """Raises CliError for a key that is not there, or still in use."""
    if not mine:
        raise CliError(f"there is no key {key_id} here; `authaudit keys list` shows what there is")
    if any(row.file is None for row in mine):
        raise CliError(f"key {key_id} is in the environment (hash_key): it is destroyed where that is set")
    if any(row.active for row in mine):
        raise CliError(f"key {key_id} is the active one; `authaudit keys rotate` first, then restart the applications")
    users = [f"{service} (process {facts.get('pid')})" for service, facts in living(found) if facts.get("hash_key") == key_id]
    if users:
        raise CliError(f"{', '.join(users)} still hashes with key {key_id}: restart it first")


def _count(key_id: str, found: list[Path]) -> int:
    needle = f"hashed:{key_id}:".encode()
    return sum(needle in line for path in files_of(found, Unreadable()) for line in path.open("rb"))


def _tell(config: Config, action: str, key_id: str, status: Status) -> None:
    """Record it in a stream of its own; CliError if that is not possible."""
    from ..pipeline.provider import VERSION  # noqa: PLC0415 -- brings the OpenTelemetry SDK, which a list does not need
    from ..pipeline.sink import Pipeline  # noqa: PLC0415

    # It deletes nothing: the environment of a command may not be that of the application whose journals these are.
    pipeline = Pipeline(
        replace(config, sdk_disabled=False, strict=frozenset({_EVENT}), log_lifetime=None, max_journal_bytes=None)
    )
    event = AuditEvent(
        event=_EVENT,
        status=status,
        time=time.time_ns(),
        library=f"authaudit {VERSION}",
        action=action,
        resource=f"hash_key:{key_id}",
        actor=Actor(_user()),
    )
    try:
        pipeline.admit(_EVENT)
        kept = pipeline(event)
    except RecordingRefused:
        kept = None
    finally:
        pipeline.shutdown()
    if kept is None:
        raise CliError(f"it cannot be recorded in {config.service_dir}, so it is not done", UNFINISHED)


def _user() -> str:
    """Who does this, as the system names them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container under a uid of its own
        return f"uid:{os.getuid()}"
