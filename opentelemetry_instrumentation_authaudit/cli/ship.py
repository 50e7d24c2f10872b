"""Deliver what the journals hold to the OpenTelemetry collector: what dead processes left, and what nobody else delivers."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..config import Config, Exporter, load
from ..journal.backlog import Backlog
from ..journal.locks import HeldLock
from ..pipeline.delivery import Delivery
from ..pipeline.otlp import open_sender
from .main import UNFINISHED, CliError
from .places import places
from .progress import Progress

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = """\
examples:
  OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317 authaudit ship     once: everything that waits, then end
  authaudit ship --follow                                             stay, and deliver what is written (Ctrl-C or SIGTERM ends)
  authaudit ship --store /var/lib/shop/journal                        one place only
  authaudit ship -- gunicorn shop.wsgi                                run a command; when it is gone, deliver what it left

The standard variables say where to and how (OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL, _HEADERS, _CERTIFICATE ...). A record counts as
delivered when the collector has acknowledged it; what was delivered before is not sent again. Processes that deliver themselves
go on doing so. Exit codes: 0 everything is delivered, 3 something still waits; with a command its own.

The last form is for containers, whose disk may die with them. Signals are passed on to the command; however it ends (also by SIGKILL
or os._exit), what it did not deliver is delivered then, within --timeout seconds (5). Let the grace period of the container be longer.
"""

_LOOK = 5.0  # seconds between looks for new journals
_ONE_TURN = 0.5  # seconds
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
        help="a journal folder; several (all default places, if not given)",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="stay, and deliver what is written from now on")
    help_ = "without --follow, give up when nothing has moved for so long (60; 5 behind a command)"
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help=help_)
    parser.add_argument("run_first", nargs="*", metavar="-- COMMAND", help="run this first")


def run(options: argparse.Namespace) -> int:
    """Deliver, once or until the end."""
    config = load(exporter="auto")  # a journal that its own process does not deliver is just what is shipped
    if config.exporter is not Exporter.OTLP:
        raise CliError("no collector is named: set OTEL_EXPORTER_OTLP_ENDPOINT, like http://localhost:4317")
    if not options.run_first:
        return _ship(options, config, options.timeout or _PATIENCE)
    code = _run_command(options.run_first)
    try:
        _ship(options, config, options.timeout or _DRAIN)
    except CliError as error:  # it had nothing to tell
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
        deliveries = [_delivery(backlog, config) for backlog in backlogs]
        if options.follow:
            _follow(deliveries)
        else:
            _once(backlogs, deliveries, patience)
        return _end(backlogs, deliveries)


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
    return Delivery(backlog, sender, max_size=config.write_batching_max_size, interval=_LOOK)


def _once(backlogs: list[Backlog], deliveries: list[Delivery], timeout: float) -> None:
    """Deliver what waits now; give up where nothing moves for *timeout* seconds."""
    for backlog in backlogs:
        backlog.adopt()
    left = total = sum(backlog.depth() for backlog in backlogs)
    progress = Progress("delivering", total)
    moved = time.monotonic()
    while left and time.monotonic() - moved < timeout:
        for delivery in deliveries:
            delivery.flush(_ONE_TURN)
        now_left = sum(delivery.stats.depth for delivery in deliveries)
        if now_left < left:
            moved = time.monotonic()
        progress(left - now_left)
        left = now_left
    progress.finish()


def _follow(deliveries: list[Delivery]) -> None:
    """Deliver until SIGTERM or Ctrl-C."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    for delivery in deliveries:
        delivery.start()
    print(f"following {len(deliveries)} folder{'s' if len(deliveries) != 1 else ''}", file=sys.stderr, flush=True)
    ended.wait()


def _end(backlogs: list[Backlog], deliveries: list[Delivery]) -> int:
    """Say what came of it."""
    for delivery in deliveries:
        delivery.shutdown()
    stats = [delivery.stats for delivery in deliveries]
    exported, buried = sum(one.exported for one in stats), sum(one.buried for one in stats)
    left = sum(map(_waiting, backlogs))
    print(f"{exported} delivered")
    if buried:
        print(f"{buried} refused for good: they are set aside in .dead.jsonl files beside the journals", file=sys.stderr)
    if left:
        why = next((one.last.detail for one in stats if one.last is not None and one.last.detail), "no answer")
        print(f"{left} still wait: {why}", file=sys.stderr)
    return UNFINISHED if left else 0


def _waiting(backlog: Backlog) -> int:
    """How many records of its folder are not acknowledged, now that the delivery has let go of them."""
    backlog.adopt()
    try:
        return backlog.depth()
    finally:
        backlog.close()
