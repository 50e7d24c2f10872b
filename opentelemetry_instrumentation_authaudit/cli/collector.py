"""Run the OpenTelemetry Collector with a configuration of this package, as the options say: one variable for how long is kept."""

from __future__ import annotations

import argparse
import os
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from ..config import ConfigError, load
from ..config.collecting import FILES, QUEUE, RETENTION_DAYS, collector_environment, collector_path, collector_programs
from .main import UNFINISHED, CliError

__all__ = ("CONFIGS", "EPILOG", "OVERLAYS", "add_flags", "configurations", "run")

EPILOG = """\
examples:
  authaudit collector run                                       OTLP on localhost:4317 and :4318, files in /var/lib/authaudit
  authaudit collector run --dir ./audit                         ... in another folder
  authaudit collector run --config queued                       a crash-safe queue in front of the files
  authaudit collector run --overlay victorialogs                into VictoriaLogs too
  authaudit collector run --config production                   client certificates, tokens, VictoriaLogs behind a queue, files
  authaudit collector run --config production --overlay clickhouse
  authaudit collector run --print                               the variables and the command, for a service of your own

A configuration is a name or a file; its first lines name the variables it reads. The collector is --binary, or otelcol-authaudit or
otelcol-contrib on PATH, or what `make collector` has built. Records are kept for OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME (days, or infinity;
90): at the start and once a day `authaudit retention apply` deletes what is older, except what is under legal hold, and says so in the
trail; a service of your own has the collector delete (AUTHAUDIT_RETENTION_DAYS), which knows of neither. The collector takes the place of
this process: signals and exit code are its own. Exit codes before that: 2 used wrongly, 3 no collector, or a folder that cannot be made.
"""

CONFIGS: Final = {
    "embedded": ("config.yaml",),
    "queued": ("config.yaml", "config.queued.yaml"),
    "production": ("config.production.yaml",),
}
"""The configurations, and the files each is made of; a later file is laid over the earlier ones."""
OVERLAYS: Final = {"victorialogs": ("embedded", "queued"), "clickhouse": ("production",), "loki": ("production",)}
"""What can be laid over them: `overlays/<name>.yaml`, and over which it fits."""

_PROGRAMS: Final = ("otelcol-authaudit", "otelcol-contrib")
_DAY: Final = 86_400.0  # seconds
_PRIVATE: Final = 0o750
_CLOSED: Final = "*-????-??-??T*.jsonl"
"""Files that the collector has done with."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("what", choices=("run",), help="run it")
    names = ", ".join(CONFIGS)
    parser.add_argument("--config", default="embedded", metavar="NAME|FILE", help=f"{names}, or a file of your own (embedded)")
    overlays = ", ".join(OVERLAYS)
    help_ = f"{overlays}, or a file of your own, to lay over it; several"
    parser.add_argument("--overlay", action="append", default=[], metavar="NAME|FILE", help=help_)
    parser.add_argument("--dir", type=Path, metavar="PATH", help="where its files go ($AUTHAUDIT_DIR, else /var/lib/authaudit)")
    help_ = "where its queue lies ($AUTHAUDIT_QUEUE_DIR, else /var/lib/authaudit-queue)"
    parser.add_argument("--queue-dir", type=Path, metavar="PATH", help=help_)
    parser.add_argument("--binary", type=Path, metavar="PATH", help="the collector")
    parser.add_argument("--archive", type=Path, metavar="DIR", help="put what is too old into this folder before it is deleted")
    parser.add_argument("--every", type=float, default=_DAY, help=argparse.SUPPRESS)  # tests have no day to wait
    help_ = "only print the variables and the command, for a service of your own"
    parser.add_argument("--print", action="store_true", help=help_)


def run(options: argparse.Namespace) -> int:
    """Prepare everything, and become the collector."""
    try:
        lifetime = load(raises=True).log_lifetime
    except ConfigError as error:
        raise CliError(str(error)) from None
    files = configurations(options.config, options.overlay)
    binary = _binary(options.binary)
    # The file exporter would delete without a word, and what is under legal hold too: it does not where we do.
    given = {RETENTION_DAYS: str(lifetime or 0) if options.print else "0"}
    given |= {name: str(path.absolute()) for name, path in ((FILES, options.dir), (QUEUE, options.queue_dir)) if path}
    environment = collector_environment(**given)
    command = [str(binary), *(word for file in files for word in ("--config", str(file)))]
    if options.print:
        _show(command, environment)
    else:
        _prepare(files, environment)
        kept = f"{lifetime} days" if lifetime else "for ever"
        said = f"{', '.join(map(str, files))}; files in {environment[FILES]}, kept {kept}"
        print(f"authaudit collector: {said}", file=sys.stderr, flush=True)
        if lifetime:
            _keep_retention(Path(environment[FILES]), options.archive, options.every)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is ignored stays so
        os.execve(binary, command, environment)  # noqa: S606 -- no shell is wanted
    return 0


def _prepare(files: list[Path], environment: dict[str, str]) -> None:
    """The folders that the configuration writes into."""
    _make(Path(environment[FILES]), FILES, "--dir")
    if any(QUEUE in file.read_text(encoding="utf-8") for file in files):
        _make(Path(environment[QUEUE]), QUEUE, "--queue-dir")


def configurations(config: str, overlays: list[str]) -> list[Path]:
    """The files that make up *config* with *overlays*. CliError for a name that is none, or an overlay that does not fit."""
    files = [_folder() / name for name in CONFIGS[config]] if config in CONFIGS else [_file(config, CONFIGS)]
    for overlay in overlays:
        if overlay not in OVERLAYS:
            files.append(_file(overlay, OVERLAYS))
        elif config in CONFIGS and config not in OVERLAYS[overlay]:
            raise CliError(f"the overlay {overlay} fits over {' and '.join(OVERLAYS[overlay])}, not over {config}")
        else:
            files.append(_folder() / "overlays" / f"{overlay}.yaml")
    return files


def _file(given: str, known: dict[str, tuple[str, ...]]) -> Path:
    path = Path(given).absolute()
    if not path.is_file():
        raise CliError(f"{given} is neither a file nor one of {', '.join(known)}")
    return path


def _folder() -> Path:
    """In an installed package beside the code; in a checkout at its top."""
    package = Path(__file__).parents[1]
    return next(folder for folder in (package / "_collector", package.parent / "collector") if folder.is_dir())


def _binary(given: Path | None) -> Path:
    """Where the collector is; CliError says how to get one."""
    if given:
        if not os.access(given, os.X_OK) or given.is_dir():
            raise CliError(f"{given} is no program that can be run", UNFINISHED)
        return given.absolute()
    found = [path for name in _PROGRAMS if (path := collector_path(name))]
    built = collector_programs() / _PROGRAMS[0]
    if built.is_file():
        found.append(built)
    if not found:
        raise CliError(
            f"no collector was found: put {' or '.join(_PROGRAMS)} on PATH, name one with --binary, "
            "or build ours in a checkout of the project: make collector",
            UNFINISHED,
        )
    return found[0]


def _make(folder: Path, variable: str, flag: str) -> None:
    """Others must not read it: the files in it are made readable to all whatever the umask is."""
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o007:
            folder.chmod(_PRIVATE)
    except OSError as error:
        raise CliError(f"{folder} cannot be made: {error.strerror}; name another with {flag} or {variable}", UNFINISHED) from None


def _show(command: list[str], environment: dict[str, str]) -> None:
    ours = {name: value for name, value in environment.items() if name.startswith("AUTHAUDIT_") and "PASSWORD" not in name}
    for name, value in sorted(ours.items()):
        print(f"{name}={shlex.quote(value)}")
    print(shlex.join(command))


def _keep_retention(folder: Path, archive: Path | None, every: float) -> None:
    """Now, and once a day in a process of its own that goes when the collector has gone: then the pipe has no other end any more."""
    _apply_retention(folder, archive)
    here, collectors = os.pipe()
    os.set_inheritable(collectors, True)  # noqa: FBT003 -- the only argument it has
    if os.fork():
        os.close(here)
        return
    os.close(collectors)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # meant for the collector
        signal.signal(number, signal.SIG_IGN)
    while not select.select([here], [], [], every)[0]:
        _apply_retention(folder, archive)
    os._exit(0)


def _apply_retention(folder: Path, archive: Path | None) -> None:
    """By the command itself, which knows holds and tells what it deletes. Its failure is no reason not to collect; it says what it is."""
    if any(folder.glob(_CLOSED)):
        command = [sys.executable, "-m", __package__.partition(".")[0], "retention", "apply", "--store", str(folder)]
        command += ["--archive", str(archive)] if archive else []
        subprocess.run(command, env=collector_environment(), check=False)  # noqa: S603 -- ourselves
