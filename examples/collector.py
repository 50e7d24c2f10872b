"""`make demo-collector`: the applications of the demo, a real collector, its files and VictoriaLogs; then both are killed in the traffic.

    python -m examples.collector           everything, then end
    python -m examples.collector --keep    stays, so that the store's page can be looked at (Ctrl-C ends)

Exits non-zero if a record is missing, or if files and store answer a question differently.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from scripts.collector import binary

from .demo import APPS, AUTHAUDIT, App, compare, drive, end, environment, free_port, query, say, serving, wait_until_up
from .demo_steps import WRONG, Client

QUESTIONS: Final = (
    ("Who was refused?", ("--status", "failure")),
    ("All sign-ins with a password", ("--action", "sign_in_with_password")),
    ("What did Django's account 2 do?", ("--service", "django", "--subject", "auth.user:2")),
    ("What came from this address?", ("--ip", "127.0.0.1")),
)
ATTEMPTS: Final = 300
"""Sign-ins of the traffic in which collector and store are killed."""
PATIENCE: Final = 60.0
"""Seconds in which every record must have arrived."""


@dataclass
class Part:
    """A program that serves: the collector, or the store."""

    name: str
    command: list[str]
    health: str
    log: Path
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it serves; SystemExit with its output if it does not."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AUTHAUDIT_"))}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=inherited | self.environ, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + PATIENCE / 2
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                httpx.get(self.health).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise SystemExit(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        """As a crash does it."""
        assert self.process is not None  # noqa: S101 -- it was started
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Have it go."""
        if self.process is not None:
            end(self.process)


@dataclass
class Road:
    """Where records go: from the applications' journals through the collector into files and store."""

    folder: Path
    collector: Part
    store: Part
    http: str
    """Where the collector takes OTLP."""
    page: str
    """The store's own page."""
    url: str
    """The store, for `authaudit`."""

    @property
    def files(self) -> Path:
        """Of the collector."""
        return self.folder / "files"

    @property
    def journal(self) -> Path:
        """Of the applications."""
        return self.folder / "journal"

    def ids(self, place: Path | str, *question: str) -> set[str]:
        """The ids of the records at *place*, as `authaudit query` finds them."""
        return {json.loads(line)["audit.record.id"] for line in query(place, "--format", "json", *question).splitlines()}

    def missing(self, place: Path | str) -> set[str]:
        """The ids of what the journals have and *place* has not."""
        return self.ids(self.journal) - self.ids(place)


@contextmanager
def road(folder: Path) -> Iterator[Road]:
    """Store and collector, serving until the block ends."""
    port, http, health = free_port(), free_port(), free_port()
    store = Part(
        "VictoriaLogs",
        [
            str(binary("victoria-logs")),
            f"-httpListenAddr=127.0.0.1:{port}",
            f"-storageDataPath={folder / 'store'}",
            "-retentionPeriod=90d",
            "-inmemoryDataFlushInterval=1s",
        ],
        f"http://127.0.0.1:{port}/health",
        folder / "store.log",
    )
    flags = ["--binary", str(binary("otelcol-authaudit")), "--overlay", "victorialogs"]
    collector = Part(
        "The collector",
        [AUTHAUDIT, "collector", "run", "--dir", str(folder / "files"), "--queue-dir", str(folder / "queue"), *flags],
        f"http://127.0.0.1:{health}/",
        folder / "collector.log",
        {
            "AUTHAUDIT_HTTP": f"127.0.0.1:{http}",
            "AUTHAUDIT_GRPC": f"127.0.0.1:{free_port()}",
            "AUTHAUDIT_HEALTH": f"127.0.0.1:{health}",
            "AUTHAUDIT_METRICS_PORT": str(free_port()),
            "AUTHAUDIT_VICTORIALOGS_URL": f"http://127.0.0.1:{port}",
        },
    )
    page = f"http://127.0.0.1:{port}/select/vmui/"
    try:
        store.start()
        collector.start()
        yield Road(folder, collector, store, f"http://127.0.0.1:{http}", page, f"victorialogs://127.0.0.1:{port}")
    finally:
        collector.end()
        store.end()


def until(what: str, condition: Callable[[], bool]) -> list[str]:
    """Wait for it; a fault if it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return [f"{what}: not within {PATIENCE:g} s"]
        time.sleep(1)
    return []


def ask(road: Road, clients: dict[str, Client]) -> list[str]:
    """The questions, of files and store; what they answer differently, or otherwise than was done."""
    faults = until("every record is in the store", lambda: not road.missing(road.url))
    for question, flags in QUESTIONS:
        here, there = road.ids(road.files, *flags), road.ids(road.url, *flags)
        say(f"  {question:<34} files: {len(here):3} records   VictoriaLogs: {len(there):3} records")
        faults += [] if here == there and here else [f"{question}: files and store differ: {here ^ there}"]
    for place in (road.files, road.url):
        trail = [json.loads(line) for line in query(place, "--format", "json").splitlines()]
        for app in APPS:
            found = [one for one in trail if one["service"] == app.service and not one["event"].startswith("audit.")]
            faults += [f"{place}: {fault}" for fault in compare(app, clients[app.service].ids, found)]
    return faults


def traffic(road: Road, client: Client) -> None:
    """Refused sign-ins, one after the other; collector and store die and come back meanwhile."""
    happens = {
        ATTEMPTS // 6: ("the collector is killed (-9)", road.collector.kill),
        ATTEMPTS // 3: ("the collector is started again", road.collector.start),
        ATTEMPTS // 2: ("VictoriaLogs is killed (-9)", road.store.kill),
        ATTEMPTS * 2 // 3: ("the collector is killed (-9), the store is still away", road.collector.kill),
        ATTEMPTS * 3 // 4: ("the collector is started again", road.collector.start),
        ATTEMPTS * 5 // 6: ("VictoriaLogs is started again", road.store.start),
    }
    for number in range(ATTEMPTS):
        client.post("/login", email=f"visitor{number}@example.com", password=WRONG)
        if number in happens:
            what, do = happens[number]
            say(f"  after {number:3} sign-ins: {what}")
            do()


def count(road: Road) -> list[str]:
    """Count ids: of the journals, the files, the store; have the store repaired."""
    faults = until("every record is in the files", lambda: not road.missing(road.files))
    faults += until("the collector's queue is empty", lambda: settled(road))
    told, files, store = (road.ids(place) for place in (road.journal, road.files, road.url))
    lost = len(told - store)
    say(f"  the applications' journals    {len(told):4} records")
    say(f"  the collector's files         {len(told & files):4}   missing: {len(told - files)}")
    say(f"  VictoriaLogs                  {len(told & store):4}   missing: {lost}")
    flags = ("--against", str(road.files), "--grace", "0", "--settle", "0", "--repair")
    command = [AUTHAUDIT, "reconcile", "--store", road.url, *flags]
    own = environment(road.folder, "reconcile", secrets.token_hex(32))  # what it does is recorded, too
    say(f"  $ {' '.join(command[1:]).replace(str(road.files), 'FILES')}")
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    say("".join(f"    {line}\n" for line in (done.stdout + done.stderr).splitlines()))
    if lost:  # it had acknowledged them, and was killed before they were on its disk
        faults += until("VictoriaLogs has all, repaired", lambda: not road.missing(road.url))
        say(f"  VictoriaLogs                  {len(told & road.ids(road.url)):4} records")
    for place in (road.files, road.url):
        verified = subprocess.run([AUTHAUDIT, "verify", "--store", str(place)], capture_output=True, text=True, check=False)
        say(f"  $ authaudit verify --store {place}: {'every chain is whole' if not verified.returncode else 'FAULTS'}")
        faults += [f"{place}: {line}" for line in verified.stdout.splitlines()] if verified.returncode else []
    return faults


def settled(road: Road) -> bool:
    """Whether the store stays at what it has: then nothing is in the queue any more."""
    before = road.ids(road.url)
    time.sleep(1)
    return bool(before) and before == road.ids(road.url)


def main() -> int:
    """Run it all; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="stay, so that the store's page can be looked at")
    options = parser.parse_args()
    if not all(binary(name) for name in ("otelcol-authaudit", "victoria-logs")):
        raise SystemExit("Collector and store are not built: make collector")
    with tempfile.TemporaryDirectory(prefix="authaudit-demo-") as name, ExitStack() as stack:
        folder, secret = Path(name), secrets.token_hex(32)
        say("Starting VictoriaLogs, the collector (authaudit collector run --overlay victorialogs) and four applications ...")
        way = stack.enter_context(road(folder))
        faults, clients = use(stack, way, secret)
        say("\nThe same questions to both:")
        faults += ask(way, clients)
        print(query(way.url, "--status", "failure"), flush=True)
        say(f"{ATTEMPTS} more sign-ins, in which collector and store are killed:")
        traffic(way, clients["flask"])
        say("\nCounted by their ids:")
        faults += count(way)
        code = report(faults)
        say(f"\nThe store's own page: {way.page}")
        if options.keep:
            say("It stays until Ctrl-C.")
            signal.pause()
        else:
            say("To look at it: make demo-collector ARGS=--keep")
    return code


def use(stack: ExitStack, way: Road, secret: str) -> tuple[list[str], dict[str, Client]]:
    """Start the applications, have their users do what they do; what went wrong, and the users."""
    faults: list[str] = []
    clients: dict[str, Client] = {}
    envs = {app.service: exporting(way, app, secret) for app in APPS}
    started = {app.service: stack.enter_context(serving(app, envs[app.service])) for app in APPS}
    for app in APPS:
        url, process = started[app.service]
        data = way.folder / app.service
        wait_until_up(app, url, process, data / "log")
        clients[app.service] = Client(url, data, secret)
        faults += drive(app, clients[app.service])
    return faults, clients


def exporting(way: Road, app: App, secret: str) -> dict[str, str]:
    """The environment of *app*: the demo's, and where the collector is."""
    return environment(way.folder, app.service, secret) | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": way.http,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_LOGS_EXPORTER": "otlp",
    }


def report(faults: list[str]) -> int:
    """Say how it went; the exit code."""
    for fault in faults:
        say(f"WRONG  {fault}")
    if not faults:
        say("Nothing is missing, and files and store answer alike.")
    return 1 if faults else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
