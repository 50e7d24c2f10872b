"""What is measured, each in a process of its own: `python -m benchmarks.subjects NAME COUNT` prints what the records cost.

All tell the same failed sign-in, with the 18 attributes that ours has. CPU is that of the whole process from the first record to the
last acknowledgement, all threads; start-up is not counted.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Reason, Request, Status, Strategy

__all__ = ("SUBJECTS",)

_USER_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
_PEOPLE: Final = count()


def event() -> AuditEvent:
    """Put together as the hooks do. Each is of another person at another address, which no memory of ours knows."""
    person = next(_PEOPLE)
    return AuditEvent(
        event="auth.sign_in",
        status=Status.FAILURE,
        time=time.time_ns(),
        library="flask-login 0.6.3",
        strategy=Strategy.PASSWORD,
        reason=Reason.WRONG_PASSWORD,
        identity=f"ann{person}@example.org",
        identity_known=True,
        subject=f"auth.user:{person}",
        request=Request(
            flow_id="0" * 32,
            peer=f"203.{person >> 16}.{person >> 8 & 255}.{person & 255}",
            user_agent=_USER_AGENT,
            method="POST",
            host="shop.example.org",
            route="/login",
        ),
    )


ATTRIBUTES: Final = {
    "audit.log": "audit_log",
    "audit.schema.version": "1.0.0",
    "audit.action": "sign_in_with_password",
    "audit.strategy": "password",
    "audit.outcome": "failure",
    "audit.reason": "wrong_password",
    "audit.library": "flask-login 0.6.3",
    "user.id": "auth.user:42",
    "audit.identity": "hashed:k1:0123456789abcdef0123456789abcdef",
    "client.address": "203.0.113.7",
    "audit.client.source": "peer",
    "network.peer.address": "203.0.113.7",
    "http.request.method": "POST",
    "server.address": "shop.example.org",
    "http.route": "/login",
    "user_agent.original": _USER_AGENT,
    "audit.flow.id": "0" * 32,
}
"""With the record's id, 18."""
_SECRET: Final = re.compile(r"password|secret|token|bearer|eyJ[\w-]+", re.IGNORECASE)

Subject = Callable[[], tuple[Callable[[], object], Callable[[], object]]]
"""Sets something up and returns: record one, and wait until everything has arrived."""


def _stock(*, redacting: bool = False) -> Subject:
    def set_up() -> tuple[Callable[[], object], Callable[[], object]]:
        from opentelemetry._logs import LogRecord
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

        class Redacting(LogRecordProcessor):
            """The simplest that could be called redaction: a pattern over every value."""

            def on_emit(self, log_record: ReadWriteLogRecord) -> None:
                attributes = log_record.log_record.attributes or {}
                log_record.log_record.attributes = {
                    name: _SECRET.sub("[redacted]", value) if isinstance(value, str) else value
                    for name, value in attributes.items()
                }

            def shutdown(self) -> None:
                """Nothing."""

            def force_flush(self, timeout_millis: int = 30000) -> bool:
                return True

        provider = LoggerProvider()
        if redacting:
            provider.add_log_record_processor(Redacting())
        # The default queue of 2048 would lose most of a benchmark, and so cost nothing.
        provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(), max_queue_size=2_000_000))
        logger = provider.get_logger("stock")

        def record() -> None:
            attributes = {"audit.record.id": str(uuid.uuid4()), **ATTRIBUTES}
            logger.emit(LogRecord(timestamp=time.time_ns(), event_name="auth.sign_in", attributes=attributes))

        return record, provider.force_flush

    return set_up


def _json_line() -> tuple[Callable[[], object], Callable[[], object]]:
    handler = logging.FileHandler(Path(os.environ["BENCH_FOLDER"]) / "log.jsonl")
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("bench")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def record() -> None:
        logger.info(json.dumps({"audit.record.id": str(uuid.uuid4()), "time": time.time_ns(), **ATTRIBUTES}))

    return record, handler.flush


def _ours(**options: Any) -> Subject:
    def set_up() -> tuple[Callable[[], object], Callable[[], object]]:
        from opentelemetry_instrumentation_authaudit.config import load
        from opentelemetry_instrumentation_authaudit.pipeline.sink import Pipeline

        folder = Path(os.environ["BENCH_FOLDER"])
        sink = Pipeline(load(**{"journal_dir": folder / "journal", "hash_key": "k1:benchmark", **options}))
        return lambda: sink(event()), lambda: sink.force_flush(600)

    return set_up


SUBJECTS: Final[dict[str, Subject]] = {
    "stock SDK (emit, batch, OTLP/HTTP)": _stock(),
    "stock SDK with a pattern for redaction": _stock(redacting=True),
    "stdlib logging, a JSON line in a file": _json_line,
    "ours, http/json, fsync=never": _ours(fsync="never"),
    "ours, http/json, fsync=interval (default)": _ours(),
    "ours, http/json, fsync=always": _ours(fsync="always"),
    "ours, journal only": _ours(exporter="none"),
    "ours, http/protobuf": _ours(),
    "ours, grpc": _ours(),
}


def _greatest_size() -> int:
    """KiB of this process. Not `ru_maxrss`, which begins with the size of the process that started this one."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(status.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0])


def main(name: str, count: int) -> None:
    """Record so many, and print CPU and wall-clock microseconds per record, and the greatest size of the process."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_FOLDER"] = folder
        record, wait = SUBJECTS[name]()
        for _ in range(20):
            record()
        wait()
        before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        for _ in range(count):
            record()
        wait()
        after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - begun
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(json.dumps({"cpu": cpu / count * 1e6, "wall": seconds / count * 1e6, "rss": _greatest_size()}))
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
