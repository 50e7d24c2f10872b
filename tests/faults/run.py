"""Runs one path and counts ids: told, delivered by the process itself, delivered after the next start."""

from __future__ import annotations

import http.client
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.pipeline.otlp_server import OK, OtlpServer
from tests.ports import free_port

from .paths import Path_

__all__ = ("Outcome", "possible", "run")

ROOT = Path(__file__).parents[2]
_HEAD = """
import atexit, os
if os.environ.get("FAULTS_LATE"):
    atexit.register(lambda: tell(20))
from tests.faults.telling import tell
"""


@dataclass(frozen=True)
class Outcome:
    """What came of one run."""

    told: frozenset[str]
    """Ids of the records for which the call returned."""
    delivered: frozenset[str]
    """Those that the receiver had when the process was gone."""
    after: frozenset[str]
    """Those that it had after the next start."""
    seconds: float

    @property
    def lost(self) -> frozenset[str]:
        """Those that never arrived."""
        return self.told - self.after


def possible(path: Path_) -> bool:
    """Whether what it needs is installed."""
    return not path.needs or importlib.util.find_spec(path.needs) is not None


def run(path: Path_, side: str, folder: Path, *, flood: int = 100_000) -> Outcome:
    """Have it happen; *side* is `ours` or `stock`."""
    told = folder / "told"
    told.touch()
    with OtlpServer("grpc" if path.protocol == "grpc" else "http") as server:
        beside = path.weather(server)
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
            **server.environment,
            **path.environ,
            "FAULTS_SIDE": side,
            "FAULTS_TOLD": str(told),
            "FAULTS_JOURNAL": str(folder / "journal"),
            "FAULTS_FLOOD": str(flood),
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "OTEL_SERVICE_NAME": "faults",
        }
        helper = threading.Thread(target=beside or (lambda: None), daemon=True)
        helper.start()
        begun = time.monotonic()
        _happen(path, environ, folder)
        seconds = time.monotonic() - begun
        delivered = frozenset(server.ids)
        helper.join()
        server.answer = OK
        if side == "ours":
            _next_start(environ)
        ids = frozenset(told.read_text().split())
        return Outcome(ids, delivered & ids, frozenset(server.ids) & ids, seconds)


def _happen(path: Path_, environ: dict[str, str], folder: Path) -> None:
    """Start the program or server, do to it what is to be done, and wait until it is gone."""
    command, port = [sys.executable, "-c", _HEAD + path.program], 0
    if path.command:
        port = free_port()
        program = shutil.which(path.command[0], path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
        command = [program or path.command[0], *(part.format(port=port) for part in path.command[1:])]
    with (
        (folder / "output").open("wb") as output,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE if path.signal and not port else output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            if port:
                _knock(port, 20)
            elif path.signal is not None:
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n", (folder / "output").read_text()
            if path.signal is not None:
                process.send_signal(path.signal)
            process.wait(120)
        finally:
            _end_group(process.pid)


def _end_group(group: int) -> None:
    """Children that outlive their parent (workers of a killed server) go too; they had nothing left to tell."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _knock(port: int, count: int) -> None:
    """So many requests, once the server is up."""
    deadline = time.monotonic() + 60
    done = 0
    while done < count:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            done += 1
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        finally:
            connection.close()


def _next_start(environ: dict[str, str]) -> None:
    """What comes after: another process of the same service adopts what was left. `authaudit ship` does just that."""
    command = [
        sys.executable,
        "-m",
        "opentelemetry_instrumentation_authaudit",
        "ship",
        "--store",
        environ["FAULTS_JOURNAL"],
        "--timeout",
        "30",
    ]
    subprocess.run(command, env=environ, cwd=environ["HOME"], check=False, capture_output=True, timeout=300)
