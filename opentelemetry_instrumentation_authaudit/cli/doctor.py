"""Check this environment: is everything watched, written and delivered? Exit code 1 when something is wrong."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ..config import Config, ConfigError, Exporter, load, otlp_endpoint
from ..instrumentor import known_fields
from ..instrumentors.registry import LIBRARIES, Library
from ..journal.targets import GIVEN_UP_DAYS, known_targets
from ..query.formats import printable
from .main import BAD_ANSWER
from .places import living, places
from .probe import Probe, probes

__all__ = ("EPILOG", "Finding", "Verdict", "add_flags", "run")

EPILOG = """\
examples:
  authaudit doctor
  authaudit doctor --format json | jq '.[] | select(.verdict == "fault")'

Run it with the interpreter and the environment of the application: what is installed and configured elsewhere is not seen.
Libraries are imported to look for what is watched in them, in a process of their own.
"""

_UNLIMITED = 100_000  # columns, where no terminal says how wide it is
_PERISHABLE: Final = frozenset({"overlay", "tmpfs", "ramfs", "aufs"})
_LITTLE_SPACE: Final = 100 << 20
_SELDOM: Final = 36
"""Hours: who ships once a day has shipped by then."""
_DISTRIBUTION: Final = "opentelemetry-instrumentation-authaudit"


class Verdict(str, Enum):
    """What a finding means; a fault makes the exit code 1."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAULT = "fault"


_MARKS: Final = {Verdict.OK: "ok", Verdict.NOTE: "", Verdict.WARNING: "WARN", Verdict.FAULT: "BAD"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    verdict: Verdict
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
        _print(findings)
    faults, warnings = (sum(finding.verdict is verdict for finding in findings) for verdict in (Verdict.FAULT, Verdict.WARNING))
    counted = [f"{n} {word}{'s' if n != 1 else ''}" for n, word in ((faults, "fault"), (warnings, "warning")) if n]
    print(f"{' and '.join(counted)} found" if counted else "everything is in order", file=sys.stderr)
    return BAD_ANSWER if faults else 0


def _print(findings: list[Finding]) -> None:
    width = shutil.get_terminal_size((_UNLIMITED, 24)).columns
    topic = ""
    for finding in findings:
        if finding.topic != topic:
            print(finding.topic)
            topic = finding.topic
        head = f"  {_MARKS[finding.verdict]:4} "
        print(
            textwrap.fill(
                printable(finding.says), width, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
            )
        )


def _everything() -> Iterator[Finding]:
    yield from _environment()
    yield from _configuration()
    config = load()
    yield from _libraries(config)
    yield from _journal(config)
    yield from _delivery(config)
    yield from _targets(config)
    yield from _processes(config)
    yield from _blind(config)


def _environment() -> Iterator[Finding]:
    versions = [f"{name} {metadata.version(name)}" for name in (_DISTRIBUTION, "opentelemetry-sdk", "wrapt")]
    yield Finding("environment", Verdict.OK, f"Python {platform.python_version()} ({sys.executable}), {', '.join(versions)}")
    known = metadata.entry_points(group="opentelemetry_instrumentor", name="authaudit")
    if not known:
        says = f"opentelemetry-instrument does not find us: install {_DISTRIBUTION} with pip, a copied folder is not enough"
        yield Finding("environment", Verdict.FAULT, says)


def _configuration() -> Iterator[Finding]:
    try:
        config = load(libraries=frozenset(library.name for library in LIBRARIES), fields=known_fields(), raises=True)
    except ConfigError as error:
        for fault in str(error).splitlines()[1:]:
            yield Finding("configuration", Verdict.FAULT, fault.removeprefix("  - "))
        return
    if config.sdk_disabled:
        says = "auditing is switched off (OTEL_SDK_DISABLED, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS or enabled: false)"
        yield Finding("configuration", Verdict.FAULT, says)
    else:
        yield Finding("configuration", Verdict.OK, f"no faults; service {config.service_name!r}, audit log {config.log_name!r}")


def _libraries(config: Config) -> Iterator[Finding]:
    watched = [library.name for library in LIBRARIES if library.installed is not None and config.watches(library.name)]
    found = probes(watched)
    for library in LIBRARIES:
        if library.name in found:
            yield _library(library, found[library.name])
        elif library.installed is not None:
            yield Finding("libraries", Verdict.NOTE, f"{library.label}: switched off")
    absent = [library.distributions[0] for library in LIBRARIES if library.installed is None]
    if absent:
        yield Finding("libraries", Verdict.NOTE, f"not installed: {', '.join(absent)}")
    if not watched:
        says = f"nothing to watch here: is {sys.executable} the interpreter of the application?"
        yield Finding("libraries", Verdict.WARNING, says)


def _library(library: Library, probe: Probe | None) -> Finding:
    if probe is None:
        return Finding(
            "libraries", Verdict.FAULT, f"{library.label}: cannot be imported; try `import {library.trigger}` yourself"
        )
    if probe.missing:
        return Finding("libraries", Verdict.FAULT, f"{library.label}: not found: {', '.join(probe.missing)}")
    says = f"{library.label}: {_places(probe.found)} to watch, all found"
    if probe.unknown:
        says += f"; {probe.unknown} more can only be looked for in the application, with its settings"
    _, version = library.installed or ("", "")
    if not library.supports(version):
        return Finding("libraries", Verdict.WARNING, f"{says}; not tested with this version, only with {library.versions}")
    return Finding("libraries", Verdict.OK, says)


def _blind(config: Config) -> Iterator[Finding]:
    for library in LIBRARIES:
        if library.installed is not None and config.watches(library.name):
            for sentence in library.blind:
                yield Finding("not seen", Verdict.NOTE, f"{library.name}: {sentence}")


def _journal(config: Config) -> Iterator[Finding]:
    folder = config.service_dir
    kept = "for ever" if config.log_lifetime is None else f"for {config.log_lifetime} days"
    try:
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        with tempfile.TemporaryFile(dir=existing):  # permission bits say nothing to root, nor about a read-only disk
            pass
    except OSError as error:
        says = f"{folder} is not writable for this user ({error.strerror}): set OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR"
        yield Finding("journal", Verdict.FAULT, says)
        return
    yield Finding("journal", Verdict.OK, f"{folder}: writable; records are kept {kept}, fsync {config.fsync.value}")
    if (kind := _file_system(existing)) in _PERISHABLE:
        says = f"{folder} lies on {kind}: it goes when the container does, or the host restarts; put it on a volume (journal_dir)"
        yield Finding("journal", Verdict.WARNING, says)
    if (free := shutil.disk_usage(existing).free) < _LITTLE_SPACE:
        yield Finding("journal", Verdict.WARNING, f"{folder}: only {free >> 20} MiB are free on its disk")


def _file_system(folder: Path) -> str:
    """The type of the file system that *folder* lies on, empty where the kernel does not say (proc(5), mountinfo)."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    mounts = {fields[4]: fields[fields.index("-") + 1] for fields in map(str.split, lines)}
    resolved = folder.resolve()
    return next((mounts[str(parent)] for parent in (resolved, *resolved.parents) if str(parent) in mounts), "")


def _delivery(config: Config) -> Iterator[Finding]:
    if config.exporter is not Exporter.OTLP:
        says = "no OTLP endpoint: the journal alone is the store" if config.exporter is Exporter.NONE else "to the console"
        yield Finding("delivery", Verdict.NOTE, says)
    else:
        yield _reachable(otlp_endpoint(config.otlp_protocol), config.otlp_protocol)
    of_targets = config.journal_dir.glob("*/targets/*/*.dead.jsonl")
    for dead in sorted([*config.journal_dir.glob("*/*.dead.jsonl"), *of_targets]):
        yield Finding("delivery", Verdict.WARNING, f"the receiver refused records for good; they are set aside in {dead}")


def _targets(config: Config) -> Iterator[Finding]:
    """Whether those for whom journals wait are served (`authaudit ship --to`)."""
    for target in (found for folder in sorted(config.journal_dir.glob("*")) for found in known_targets(folder)):
        hours = (time.time() - target.served) / 3600
        if hours < _SELDOM:
            yield Finding("delivery", Verdict.OK, f"{target.described}: served from {target.place.parents[1]}")
            continue
        says = f"{target.described}: nobody has shipped to it from {target.place.parents[1]} for {hours / 24:.0f} days"
        given_up = hours >= GIVEN_UP_DAYS * 24
        waits = "it counts as given up" if given_up else "journals wait for it; `authaudit ship --to ... --forget` ends that"
        yield Finding("delivery", Verdict.NOTE if given_up else Verdict.WARNING, f"{says}: {waits}")


def _reachable(endpoint: str, protocol: str) -> Finding:
    """Whether a connection can be made. Of the endpoint only scheme, host and port are shown: the rest may hold a credential."""
    import socket  # noqa: PLC0415

    try:
        parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        host, port = parts.hostname or "localhost", parts.port or {"https": 443, "http": 80}.get(parts.scheme, 4317)
    except ValueError:
        return Finding("delivery", Verdict.FAULT, "the OTLP endpoint is no URL: check the OTEL_EXPORTER_OTLP_* variables")
    shown = f"{parts.scheme or 'http'}://{host}:{port} ({protocol})"
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError as error:
        why = error.strerror or type(error).__name__
        return Finding("delivery", Verdict.FAULT, f"{shown} cannot be reached: {why}; records wait in the journal")
    return Finding("delivery", Verdict.OK, f"{shown}: reachable")


def _processes(config: Config) -> Iterator[Finding]:
    found = places((), config)
    alive = list(living(found))
    for service, facts in alive:
        yield from _process(service, facts)
    if not alive:
        yield Finding("processes", Verdict.NOTE, f"no process is recording to {', '.join(map(str, found))}")


def _process(service: str, facts: dict[str, Any]) -> Iterator[Finding]:
    started = datetime.fromtimestamp(facts.get("started", 0) // 1_000_000_000, timezone.utc)
    who = f"{service}: process {facts.get('pid', '?')} since {started:%Y-%m-%d %H:%M:%S}"
    missing, errors = facts.get("missing") or [], facts.get("guard_errors") or {}
    yield Finding("processes", Verdict.OK, f"{who}: {_places(len(facts.get('hooked') or []))} watched")
    for gone in missing:
        yield Finding("processes", Verdict.FAULT, f"{who}: not found: {gone}")
    for site, count in errors.items():
        yield Finding("processes", Verdict.FAULT, f"{who}: {count} faults of ours in {site}; please report them")


def _places(count: int) -> str:
    return f"{count} place{'s' if count != 1 else ''}"
