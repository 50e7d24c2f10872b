"""Is the evidence whole? Follows every stream of records from link to link and says what was changed, removed or added."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from ..config import Config, ConfigError, load
from ..query.filters import Filters
from ..query.links import Finding
from ..query.reader import Record, Unreadable, every_record
from ..query.registry import Registry
from ..query.verify import CANNOT_BE_SEEN, Keys, Verification
from ..stores.files import FileStore
from ..stores.store import Merged
from .main import BAD_ANSWER, CliError
from .places import tell_unreadable
from .progress import Progress
from .stores import add_store_flag, open_stores

__all__ = ("EPILOG", "add_flags", "examine", "run")

EPILOG = """\
examples:
  authaudit verify                                        every journal of this machine
  authaudit verify --store /var/lib/shop/journal          one place
  authaudit verify --store journal --store collector.jsonl   all copies together: what one lacks the other may have
  authaudit verify --key first.key                        check the signatures of checkpoints
  authaudit verify --registry streams.jsonl --key first.key  is every stream there that `authaudit digest` wrote down?
  authaudit query --format json | authaudit verify --store /dev/stdin   an export, also one from a database

Faults: modified, deleted, inserted, reordered, truncated, forged, missing. Notes, which are no fault: open (a stream without an
end: its process lives, was killed, or the end was cut off), expired, unsigned, lost. Exit code 0: no fault, 1: faults.
--key FILE holds the first text of a signing_key_file, which was put aside before any process used it.
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    add_store_flag(parser)
    parser.add_argument(
        "--key", type=Path, action="append", default=[], metavar="FILE", help="first signing key, kept offline; several"
    )
    parser.add_argument("--registry", type=Path, metavar="FILE", help="registry of streams that `authaudit digest` writes")
    parser.add_argument("--lifetime", metavar="DAYS", help="days after which records may be gone (log_lifetime, if not given)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="for people, or one object a line")


def run(options: argparse.Namespace) -> int:
    """Print what was found."""
    unreadable = Unreadable()
    verification = examine(options, unreadable)
    findings = list(verification.findings())
    lines = _as_json(verification, findings, unreadable) if options.format == "json" else _as_text(verification, findings)
    for line in lines:
        print(line)
    unfinished = tell_unreadable(unreadable)
    return BAD_ANSWER if any(finding.kind.fault for finding in findings) else unfinished


def examine(options: argparse.Namespace, unreadable: Unreadable) -> Verification:
    """Read the whole store. Raises CliError."""
    config = _config(options.lifetime)
    store = open_stores(options.store, config, unreadable)
    if not any(one.files if isinstance(one, FileStore) else True for one in store.stores):
        raise CliError("there are no records to verify; --store names a journal folder or file, or a database by its URL")
    verification = Verification(_keys(options.key), config.log_lifetime, _registry(options.registry))
    progress = Progress("verifying", store.size())
    for record, path in _found(store, progress):
        verification.feed(record, path)
    progress.finish()
    if not verification.streams and not unreadable.files:
        raise CliError(f"there are no audit records in {store}")
    return verification


def _found(store: Merged, progress: Progress) -> Iterator[tuple[Record, Path | None]]:
    """Every copy of every record, with its file where it is in one: in a journal its place says something, too."""
    for one in store.stores:
        if isinstance(one, FileStore):
            yield from every_record(one.files, one.unreadable, progress)
        else:
            yield from ((record, None) for record in one.copies(Filters(), progress))


def _config(lifetime: str | None) -> Config:
    if lifetime is None:
        return load()
    try:
        return load(raises=True, log_lifetime=lifetime)
    except ConfigError as error:
        raise CliError(str(error)) from None


def _keys(paths: Iterable[Path]) -> Keys:
    try:
        return Keys(path.read_text(encoding="utf-8") for path in paths)
    except (OSError, ValueError) as error:
        raise CliError(f"--key: {error}") from None


def _registry(path: Path | None) -> Registry | None:
    try:
        return None if path is None else Registry.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CliError(f"--registry {path}: {error}") from None


def _as_text(verification: Verification, findings: list[Finding]) -> Iterator[str]:
    faults = [finding for finding in findings if finding.kind.fault]
    for finding in [*faults, *(finding for finding in findings if not finding.kind.fault)]:
        yield f"{'FAULT' if finding.kind.fault else 'note'} {finding.kind.value}: {_where(finding)}: {finding.says}"
    copies = f", {verification.duplicates} copies of them" if verification.duplicates else ""
    yield f"{verification.records} records in {len(verification.streams)} streams{copies}; {_signatures(verification)}"
    kinds = Counter(finding.kind.value for finding in faults)
    verdict = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    yield f"TAMPERED OR DAMAGED: {verdict}" if faults else "whole: every record is what it was, and none between them is missing"
    yield "What no verifier can see from here:"
    yield from (f"  - {sentence}" for sentence in CANNOT_BE_SEEN)


def _signatures(verification: Verification) -> str:
    if verification.keys:
        return f"{verification.sealed} signatures fit"
    return "signatures were not checked: --key names the first signing key"


def _where(finding: Finding) -> str:
    parts = (
        f"stream {finding.stream}" if finding.stream else "",
        f"record {finding.number}" if finding.number else "",
        finding.id,
        finding.file,
    )
    return ", ".join(filter(None, parts)) or "registry"


def _as_json(verification: Verification, findings: list[Finding], unreadable: Unreadable) -> Iterator[str]:
    for finding in findings:
        fields = {**asdict(finding), "kind": finding.kind.value, "fault": finding.kind.fault}
        yield json.dumps({name: value for name, value in fields.items() if value not in {"", 0} or value is False})
    yield json.dumps({
        "whole": not any(finding.kind.fault for finding in findings),
        "records": verification.records,
        "duplicates": verification.duplicates,
        "streams": len(verification.streams),
        "signatures": verification.sealed,
        "unreadable_lines": unreadable.lines,
        "cannot_be_seen": CANNOT_BE_SEEN,
    })  # fmt: skip
