"""Deliver what the journals hold to the OpenTelemetry collector, or journals and a collector's files into a store (--to)."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..config import Config, Exporter, load
from ..journal.backlog import Backlog
from ..journal.locks import HeldLock
from ..pipeline.delivery import Delivery
from ..pipeline.otlp import open_sender
from ..stores.errors import StoreError
from .delivering import LOOK, Shipping, ended, follow, once
from .main import UNFINISHED, CliError
from .places import places
from .ship_to import ship_to

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = """\
examples:
  OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317 authaudit ship     once: everything that waits, then end
  authaudit ship --follow                                             stay, and deliver what is written (Ctrl-C or SIGTERM ends)
  authaudit ship --store /var/lib/shop/journal                        one place only
  authaudit ship -- gunicorn shop.wsgi                                run a command; when it is gone, deliver what it left
  authaudit ship --to postgresql://writer@db/audit --follow           into a database: everything, whoever else delivers it
  authaudit ship --to postgresql://writer@db/audit --store /var/lib/authaudit/audit.jsonl   from what a collector has written
  authaudit ship --to postgresql://writer@db/audit --forget           this target is given up

The standard variables say where to and how (OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL, _HEADERS, _CERTIFICATE ...). A record counts as
delivered when the collector has acknowledged it; what was delivered before is not sent again. Processes that deliver themselves
go on doing so. Exit codes: 0 everything is delivered, 3 something still waits; with a command its own.

The last form is for containers, whose disk may die with them. Signals are passed on to the command; however it ends (also by SIGKILL
or os._exit), what it did not deliver is delivered then, within --timeout seconds (5). Let the grace period of the container be longer.

With --to, everything in the journals (--store names a folder or a collector's file; a file stands for its rotated ones, too) goes
into a store: a URL as `query --store` takes it, or a folder. What it has got is remembered in a folder `targets` beside the files,
for each target apart, and moves on after the store's commit; so no other delivery is disturbed, and after a crash records are
written again, which a store knows by their ids.

From the first run on, journals and closed files of a collector wait for the target: our retention deletes nothing that it lacks. That
ends with --forget, or once nobody has served the target for 30 days; `authaudit reconcile` tells what it lacks then. The collector's
own pruning asks nobody; if it is too early, that is told here. --state DIR remembers elsewhere what of a collector's files is shipped,
where their folder may not be written; retention does not look there.
"""

_PATIENCE = 60.0  # seconds
_DRAIN = 5.0  # seconds
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument(
        "--store",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a journal folder; with --to also a collector's file or folder; several (all default places, if not given)",
    )
    parser.add_argument(
        "--to", metavar="TARGET", help="a store instead of the collector: postgresql://writer@db/audit, or a folder"
    )
    parser.add_argument(
        "--forget", action="store_true", help="with --to: forget what the target has got, and wait for it no more"
    )
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="with --to: where to remember what of a collector's files is shipped"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="stay, and deliver what is written from now on")
    help_ = "without --follow, give up when nothing has moved for so long (60; 5 behind a command)"
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help=help_)
    parser.add_argument("run_first", nargs="*", metavar="-- COMMAND", help="run this first")


def run(options: argparse.Namespace) -> int:
    """Deliver, once or until the end."""
    config = load(exporter="auto")  # a journal that its own process does not deliver is just what is shipped
    if options.to is not None:
        return _after_command(options, lambda patience: ship_to(options, config, patience))
    if options.forget or options.state:
        raise CliError("--forget and --state belong to --to")
    if config.exporter is not Exporter.OTLP:
        raise CliError("no collector is named: set OTEL_EXPORTER_OTLP_ENDPOINT, like http://localhost:4317")
    return _after_command(options, lambda patience: _ship(options, config, patience))


def _after_command(options: argparse.Namespace, ship: Callable[[float], int]) -> int:
    """Run the command, if there is one, and then *ship*, which takes how many seconds it may stand still."""
    if not options.run_first:
        return ship(options.timeout or _PATIENCE)
    code = _run_command(options.run_first)
    try:
        ship(options.timeout or _DRAIN)
    except (CliError, StoreError) as error:  # it had nothing to tell, or nobody to tell it
        print(f"authaudit ship: {error}", file=sys.stderr)
    return code


def _run_command(command: list[str]) -> int:
    """Run *command*, with every signal that comes passed on to it; its exit code as a shell counts."""
    try:
        process = subprocess.Popen(command)  # noqa: S603 -- the operator's own
    except OSError as error:
        raise CliError(f"{command[0]} cannot be run: {error.strerror}", UNFINISHED) from None
    for number in _PASSED_ON:
        signal.signal(number, lambda received, _frame: process.send_signal(received))
    code = process.wait()
    return code if code >= 0 else 128 - code


def _ship(options: argparse.Namespace, config: Config, patience: float) -> int:
    with ExitStack() as stack:
        backlogs = [stack.enter_context(_taken(folder)) for folder in _folders(options, config)]
        shippings: list[Shipping] = [(backlog, _delivery(backlog, config)) for backlog in backlogs]
        if options.follow:
            count = len(shippings)
            follow([delivery for _, delivery in shippings], f"{count} folder{'s' if count != 1 else ''}")
        left = None if options.follow else once(shippings, patience)
        return ended(shippings, "beside the journals", left)


def _folders(options: argparse.Namespace, config: Config) -> list[Path]:
    """Folders with journals: what was named, and one level below."""
    found = places(options.store, config)
    below = [folder for place in found if place.is_dir() for folder in (place, *sorted(filter(Path.is_dir, place.iterdir())))]
    folders = [folder for folder in below if any(folder.glob("*.jsonl")) or (options.follow and folder in found)]
    if not folders:
        raise CliError(f"there are no journals in {', '.join(map(str, found))}; --store names a folder")
    return folders


@contextmanager
def _taken(folder: Path) -> Iterator[Backlog]:
    """The backlog of *folder*, which no other shipper has meanwhile."""
    path = folder / "ship.lock"
    path.touch(mode=0o600)
    lock = HeldLock.take(path)
    if lock is None:
        raise CliError(f"another `authaudit ship` is at work in {folder}", UNFINISHED)
    try:
        yield Backlog(folder, shipping=True)
    finally:
        lock.release(done=True)


def _delivery(backlog: Backlog, config: Config) -> Delivery:
    sender = open_sender(config.otlp_protocol)
    return Delivery(backlog, sender, max_size=config.write_batching_max_size, interval=LOOK)
