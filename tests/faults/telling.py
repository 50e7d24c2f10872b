"""What runs inside the processes that faults happen to: `tell` records, with ours or with the stock SDK, as FAULTS_SIDE says.

The id of every record for which the call returned is appended to the file FAULTS_TOLD: that is what must arrive.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

__all__ = ("application", "tell", "wsgi")

_told = os.open(os.environ["FAULTS_TOLD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _ours() -> Any:
    from opentelemetry_instrumentation_authaudit import AuthAuditInstrumentor, audit

    AuthAuditInstrumentor().instrument(journal_dir=os.environ["FAULTS_JOURNAL"])

    def record(text: str) -> str | None:
        return audit.record("auth.sign_in", strategy="password", status="failure", identity="ann@example.org", subject=text)

    return record


def _stock() -> Any:
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # type: ignore[assignment]
    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    logger = provider.get_logger("stock")

    def record(text: str) -> str:
        identity = str(uuid.uuid4())
        attributes = {"audit.record.id": identity, "audit.outcome": "failure", "user.id": text}
        logger.emit(LogRecord(event_name="auth.sign_in" if text != "\ud800" else text, attributes=attributes))
        return identity

    return record


_record = (_ours if os.environ["FAULTS_SIDE"] == "ours" else _stock)()


def tell(count: int = 1, text: str = "user:1") -> None:
    """Record *count* failed sign-ins."""
    for _ in range(count):
        identity = _record(text)
        if identity is not None:
            os.write(_told, f"{identity}\n".encode())


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """A WSGI application in which every request is a failed sign-in."""
    tell()
    start_response("401 Unauthorized", [("Content-Length", "0")])
    return [b""]


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The same for ASGI."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    tell()
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
