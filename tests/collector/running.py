"""The real collector as a process of its own: started with one of our configurations, killed, started again, asked what it has."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx

from opentelemetry_instrumentation_authaudit.cli.collector import configurations
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable, every_record, files_in
from scripts.collector import binary

from ..lacking import lacking
from ..ports import free_port

__all__ = ("Collector", "Server", "missing", "needed", "until")

PATIENCE: Final = 30.0
"""Seconds that anything may take; nothing here takes more than one or two."""


def needed(program: str) -> Path:
    """The *program* that `make collector` builds. Without it the test is skipped."""
    path = binary(program)
    if path is None:
        lacking("collector", f"{program} is not built: make collector")
    return path


def until(what: str, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Return when *condition*, called again and again, is true; fail if it never is."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {patience:g} s"
        time.sleep(0.02)


class Server:
    """A program that serves, and says at *health* when it does. It keeps its ports over a restart."""

    def __init__(self, command: Sequence[str | Path], health: str, log: Path, **environ: str) -> None:
        self.command, self.health, self.log, self.environ = list(command), health, log, environ
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it serves."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AUTHAUDIT_"))}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, env=kept | self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(f"{self.command[0]} serves", self._up_or_gone)
        assert self._process.poll() is None, self.said()

    def _up_or_gone(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None or self.healthy()

    def healthy(self) -> bool:
        """Whether it says that it serves."""
        try:
            return httpx.get(self.health, timeout=2).status_code == HTTPStatus.OK
        except httpx.TransportError:
            return False

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """It, as the system knows it."""
        assert self._process is not None, "it was never started"
        return self._process

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """As the kernel does it when memory is short: no signal handler, no last word."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self) -> int:
        """Ask it to go; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def said(self) -> str:
        """The end of what it wrote into its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-4000:]

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self.running:
            self.kill()


class Collector(Server):
    """The collector, with *config* and *overlays* of ours, all its data in *folder*; variables of its environment by name."""

    def __init__(self, folder: Path, config: str = "embedded", *overlays: str, **environ: str) -> None:
        folder.mkdir(exist_ok=True)
        self.files, self.queue = folder / "files", folder / "queue"
        ports = {name: free_port() for name in ("GRPC", "HTTP", "HEALTH", "METRICS", "LOOP")}
        scheme = "https" if config == "production" else "http"
        self.grpc, self.http = (f"{scheme}://127.0.0.1:{ports[name]}" for name in ("GRPC", "HTTP"))
        self.metrics_url = f"http://127.0.0.1:{ports['METRICS']}/metrics"
        super().__init__(
            [
                needed("otelcol-authaudit"),
                *(word for file in configurations(config, list(overlays)) for word in ("--config", file)),
            ],
            f"http://127.0.0.1:{ports['HEALTH']}/",
            folder / "collector.log",
            **{
                **{f"AUTHAUDIT_{name}": f"127.0.0.1:{ports[name]}" for name in ("GRPC", "HTTP", "HEALTH", "LOOP")},
                "AUTHAUDIT_METRICS_PORT": str(ports["METRICS"]),
                "AUTHAUDIT_DIR": str(self.files),
                "AUTHAUDIT_QUEUE_DIR": str(self.queue),
                **environ,
            },
        )

    def __enter__(self) -> Collector:
        self.start()
        return self

    def client(self, protocol: str = "http/protobuf") -> dict[str, str]:
        """The variables by which an application sends to it."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.grpc if protocol == "grpc" else self.http,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        }

    def records(self) -> Iterator[Record]:
        """Every copy of every record in its files."""
        return (record for record, _ in every_record(files_in(self.files), Unreadable()))

    def ids(self) -> list[str]:
        """The ids of the audit records in its files, doubled ones too."""
        return [record.id for record in self.records()]

    def metric(self, name: str) -> float:
        """The sum of its own metric *name*, over all labels; 0 if it has none."""
        return self.metric_of(self.metrics(), name)

    @staticmethod
    def metric_of(metrics: str, name: str) -> float:
        """The same, of what it said before."""
        return sum(map(float, re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", metrics, re.MULTILINE)))

    def metrics(self) -> str:
        """What it says of itself, for Prometheus."""
        return httpx.get(self.metrics_url, timeout=5).text


def missing(told: Iterable[str], found: Iterable[str]) -> set[str]:
    """The ids of *told* that are not among *found*."""
    return set(told) - set(found)
