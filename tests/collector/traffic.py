"""Who sends to the collector: our own pipeline in a process of its own, and hands that put any request together."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs

from opentelemetry_instrumentation_authaudit.model import names
from tests.pipeline.telling import NOON, line_of, process

__all__ = ("Application", "application", "attribute", "record", "request")

_PROGRAM = """
folder, protocol, pause, patience = Path(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:])
sink = pipeline(folder, exporter="otlp", otlp_protocol=protocol, checkpoint_records=100)
for line in sys.stdin:
    for number in range(int(line)):
        print(sink(replace(SIGN_IN, time=time.time_ns(), subject=f"user:{number}")), flush=True)
        time.sleep(pause)
print("delivered" if sink.shutdown(patience) else "not delivered", flush=True)
"""


class Application:
    """A process with our pipeline, which tells as many records as it is asked for; the ids of those it has told."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self.told: list[str] = []
        self._running, self._due = running, 0

    def begin(self, count: int) -> None:
        """Let it tell *count* records, and do not wait: something may happen meanwhile."""
        assert self._running.stdin is not None
        self._running.stdin.write(f"{count}\n")
        self._running.stdin.flush()
        self._due += count

    def gather(self) -> None:
        """Wait until it has told all that it was asked for."""
        for _ in range(self._due):
            identity = line_of(self._running)
            assert len(identity) == 36, identity
            self.told.append(identity)
        self._due = 0

    def tell(self, count: int) -> None:
        """Let it tell *count* records, and wait for them."""
        self.begin(count)
        self.gather()

    def finish(self) -> bool:
        """Let it end, in good order; whether it delivered everything."""
        self.gather()
        assert self._running.stdin is not None
        self._running.stdin.close()
        verdict = line_of(self._running)
        assert verdict in {"delivered", "not delivered"}, verdict
        return verdict == "delivered"


@contextmanager
def application(folder: Path, environ: Mapping[str, str], *, pause: float = 0.0, patience: float = 60.0) -> Iterator[Application]:
    """A process that tells records *pause* seconds apart, and has *patience* seconds to deliver the last of them when it ends."""
    protocol = environ["OTEL_EXPORTER_OTLP_PROTOCOL"]
    with process(_PROGRAM, folder, protocol, pause, patience, environ=dict(environ)) as running:
        yield Application(running)


def record(identity: str | None = None, *more: KeyValue, at: int = NOON, **attributes: str) -> LogRecord:
    """A log record; with *identity* it is an audit record."""
    own = [attribute(names.RECORD_ID, identity)] if identity else []
    own += [attribute(name, value) for name, value in attributes.items()]
    return LogRecord(time_unix_nano=at, event_name="auth.sign_in", attributes=[*own, *more])


def attribute(name: str, value: str | AnyValue) -> KeyValue:
    """An attribute, of a text or of anything else."""
    return KeyValue(key=name, value=AnyValue(string_value=value) if isinstance(value, str) else value)


def request(records: Iterable[LogRecord], *resource: KeyValue, service: str = "shop") -> ExportLogsServiceRequest:
    """A request with *records* of one *service*, under a scope that says nothing."""
    found = ResourceLogs()
    found.resource.attributes.extend([attribute("service.name", service), *resource])
    found.scope_logs.add(log_records=records)
    return ExportLogsServiceRequest(resource_logs=[found])
