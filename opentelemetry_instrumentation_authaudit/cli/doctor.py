"""Check this environment: is everything watched, written and delivered? Exit code 1 when something is wrong.

Libraries are imported to look for what is watched in them, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..config import Config, ConfigError, Exporter, load, otlp_endpoint
from ..guard import guard
from ..instrumentor import known_fields
from ..instrumentors.registry import LIBRARIES, Library
from ..query.formats import printable
from .main import BAD_ANSWER

__all__ = ("EPILOG", "add_flags", "probe", "run")

EPILOG = """\
examples:
  authaudit doctor
  authaudit doctor --format json | jq '.[] | select(.ok == false)'

Run it with the interpreter and the environment of the application: what is installed and configured elsewhere is not seen.
"""

_TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. *ok* is None where there is nothing to judge."""

    topic: str
    ok: bool | None
    says: str


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(options: argparse.Namespace) -> int:
    """Look, tell, judge."""
    findings = list(_everything())
    if options.format == "json":
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        marks = {True: "ok  ", False: "BAD ", None: "    "}
        topic = ""
        for finding in findings:
            if finding.topic != topic:
                print(f"{finding.topic}")
                topic = finding.topic
            print(f"  {marks[finding.ok]}{printable(finding.says)}")
    bad = sum(finding.ok is False for finding in findings)
    print(f"{bad} fault{'s' if bad != 1 else ''} found" if bad else "everything is in order", file=sys.stderr)
    return BAD_ANSWER if bad else 0


def _everything() -> Iterator[Finding]:
    config = load()
    yield from _configuration()
    yield from _libraries(config)
    yield from _journal(config)
    yield from _delivery(config)
    yield from _processes(config)


def _configuration() -> Iterator[Finding]:
    try:
        config = load(libraries=frozenset(library.name for library in LIBRARIES), fields=known_fields(), raises=True)
    except ConfigError as error:
        for fault in str(error).splitlines()[1:]:
            yield Finding("configuration", ok=False, says=fault.removeprefix("  - "))
        return
    if config.sdk_disabled:
        says = "auditing is switched off (OTEL_SDK_DISABLED, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS or enabled: false)"
        yield Finding("configuration", ok=False, says=says)
    else:
        yield Finding("configuration", ok=True, says=f"no faults; service {config.service_name!r}, audit log {config.log_name!r}")


def _libraries(config: Config) -> Iterator[Finding]:
    for library in LIBRARIES:
        if library.installed is None:
            yield Finding("libraries", ok=None, says=f"{library.name}: not installed")
        elif not config.watches(library.name):
            yield Finding("libraries", ok=None, says=f"{library.label}: switched off")
        else:
            yield _library(library)
    for library in LIBRARIES:
        if library.installed is not None and config.watches(library.name):
            for sentence in library.blind:
                yield Finding("not seen", ok=None, says=f"{library.name}: {sentence}")


def _library(library: Library) -> Finding:
    """Look for the library's targets in a process of its own."""
    command = [sys.executable, "-c", f"from {__name__} import probe; probe({library.name!r})"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)  # noqa: S603
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        return Finding(
            "libraries", ok=False, says=f"{library.label}: could not be looked at; try to import {library.trigger} yourself"
        )
    outside = "" if library.supports(found["version"]) else f"; not tested with this version (tested: {library.versions})"
    if found["missing"]:
        return Finding("libraries", ok=False, says=f"{library.label}: not found: {', '.join(found['missing'])}{outside}")
    return Finding("libraries", ok=True, says=f"{library.label}: {_places(found['count'])} watched{outside}")


def probe(name: str) -> None:
    """Import what the library's rows name and print, as JSON, which targets are not there."""
    from importlib import import_module  # noqa: PLC0415

    from ..hooks.install import applies  # noqa: PLC0415
    from ..hooks.wrapper import find  # noqa: PLC0415

    library = next(library for library in LIBRARIES if library.name == name)
    hooks = [hook for hook in library.hooks if applies(hook, library.label)]
    missing = []
    for hook in hooks:
        found: Any = None
        with guard("doctor.probe"):  # e.g. Django's models without settings: nothing can be said, so nothing is claimed
            try:
                found = find(import_module(hook.module), hook.path)
            except ImportError as error:
                found = type(error).__name__
        if isinstance(found, str) and not hook.optional:
            missing.append(hook.target)
    print(json.dumps({"missing": missing, "count": len(hooks), "version": library.label.rpartition(" ")[2]}))


def _journal(config: Config) -> Iterator[Finding]:
    folder = config.service_dir
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    writable = _writable(existing)
    yield Finding(
        "journal", ok=writable, says=f"{folder}: {'writable' if writable else f'{existing} is not writable for this user'}"
    )
    kept = "for ever" if config.log_lifetime is None else f"for {config.log_lifetime} days"
    yield Finding("journal", ok=None, says=f"records are kept {kept}, fsync {config.fsync.value}")


def _delivery(config: Config) -> Iterator[Finding]:
    if config.exporter is not Exporter.OTLP:
        says = "no OTLP endpoint: the journal alone is the store" if config.exporter is Exporter.NONE else "to the console"
        yield Finding("delivery", ok=None, says=says)
        return
    endpoint = otlp_endpoint(config.otlp_protocol)
    why = _unreachable(endpoint)
    yield Finding("delivery", ok=why is None, says=f"{endpoint} ({config.otlp_protocol}): {why or 'reachable'}")


def _writable(folder: Path) -> bool:
    """Whether a file can really be made there: permission bits say nothing to root, nor about a read-only disk."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _places(count: int) -> str:
    return f"{count} place{'s' if count != 1 else ''}"


def _unreachable(endpoint: str) -> str | None:
    """Why no connection can be made, None if one can."""
    import socket  # noqa: PLC0415

    parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
    try:
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 4317)
        socket.create_connection((parts.hostname or "localhost", port), timeout=3).close()
    except (OSError, ValueError) as error:
        return f"cannot be reached ({getattr(error, 'strerror', None) or error})"
    return None


def _processes(config: Config) -> Iterator[Finding]:
    locks = sorted(config.journal_dir.glob("*/*.lock"))
    for path in locks:
        facts = _facts(path)
        if facts is None:
            continue
        who = f"{path.parent.name}: process {facts.get('pid')} since {facts.get('started')}"
        missing, errors = facts.get("missing") or [], facts.get("guard_errors") or {}
        yield Finding(
            "processes", ok=not missing and not errors, says=f"{who}: {_places(len(facts.get('hooked') or []))} watched"
        )
        for gone in missing:
            yield Finding("processes", ok=False, says=f"{who}: not found: {gone}")
        for site, count in errors.items():
            yield Finding("processes", ok=False, says=f"{who}: {count} faults of ours in {site}")
    if not locks:
        yield Finding("processes", ok=None, says=f"no process is recording to {config.journal_dir}")


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
