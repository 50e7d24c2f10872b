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
from tests.pipeline.telling import NOON, process

__all__ = ("Application", "application", "attribute", "record", "request")

_PROGRAM = """
folder, protocol, count, pause, patience = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *map(float, sys.argv[4:])
sink = pipeline(folder, exporter="otlp", otlp_protocol=protocol, checkpoint_records=100)
for number in range(count):
    print(sink(replace(SIGN_IN, time=time.time_ns(), subject=f"user:{number}")), flush=True)
    time.sleep(pause)
print("delivered" if sink.shutdown(patience) else "not delivered", flush=True)
"""


class Application:
    """A process with our pipeline; what it has told so far."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running, self.told = running, list[str]()

    def tell(self, count: int) -> None:
        """Return when it has told so many records more."""
        for _ in range(count):
            line = self._line()
            assert len(line) == 36, line
            self.told.append(line)

    def finish(self) -> bool:
        """Let it tell the rest and end; whether it delivered everything."""
        while len(line := self._line()) == 36:
            self.told.append(line)
        assert line in {"delivered", "not delivered"}, line
        return line == "delivered"

    def _line(self) -> str:
        assert self._running.stdout is not None
        return self._running.stdout.readline().strip()


@contextmanager
def application(
    folder: Path, environ: Mapping[str, str], count: int, *, pause: float = 0.0, patience: float = 30.0
) -> Iterator[Application]:
    """A process that tells *count* records, *pause* seconds apart, and delivers them within *patience* seconds after that."""
    protocol = environ["OTEL_EXPORTER_OTLP_PROTOCOL"]
    with process(_PROGRAM, folder, protocol, count, pause, patience, environ=dict(environ)) as running:
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
