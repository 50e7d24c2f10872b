"""Requests to an OTLP receiver, and who sends them: `open_sender(protocol)`."""

from __future__ import annotations

import json
from typing import Final, Protocol

from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ..journal.backlog import Batch
from ..journal.canonical import CanonicalRecord, decode
from ..journal.line import Envelope
from .answers import Answer, Verdict

__all__ = ("NOT_ENCODABLE", "UNENCODABLE", "Sender", "json_request", "open_sender", "protobuf_request")

NOT_ENCODABLE: Final = (ValueError, KeyError, TypeError, AttributeError, ParseError)
"""What `protobuf_request` raises for a batch that is no OTLP/JSON: a damaged line of the journal."""
UNENCODABLE: Final = Answer(Verdict.REJECTED, "not encodable")
"""What a sender answers itself then."""


class Sender(Protocol):
    """Sends batches over one connection, from one thread. In a forked child it makes itself a new connection.

    Where and how it sends is what the official OTLP exporter for the protocol would do by the `OTEL_EXPORTER_OTLP_*` variables.
    The answer is read here, because the exporters take a redirect and a partial success for an acknowledgement.
    """

    def send(self, batch: Batch | None, timeout: float | None = None) -> Answer:
        """Send *batch* once and say what became of it; None asks with an empty request whether the receiver takes any.

        *timeout* in seconds, at most the exporter's. Network errors are answers, too; an exception, of whatever type, means that the
        exporter could not make sense of its settings.
        """

    def close(self) -> None:
        """Let go of the connection."""


def open_sender(protocol: str) -> Sender:
    """The sender for `grpc`, `http/protobuf` or `http/json`. It connects to nothing before the first `send`."""
    if protocol == "grpc":
        from .otlp_grpc import GrpcSender  # noqa: PLC0415 -- who sends over HTTP need not load gRPC

        return GrpcSender()
    from .otlp_http import HttpSender  # noqa: PLC0415

    return HttpSender(as_json=protocol == "http/json")


def json_request(batch: Batch | None) -> bytes:
    """An `ExportLogsServiceRequest` in OTLP/JSON, put together from the canonical bytes as they are."""
    if batch is None:
        return b'{"resourceLogs":[]}'
    around = Envelope(batch.resource, batch.scope, batch.schema_url.encode())
    return b"".join((around.head, b",".join(batch.records), around.tail.rstrip()))


def protobuf_request(batch: Batch | None, *, titled: bool = False) -> ExportLogsServiceRequest:
    """The same in Protobuf; `NOT_ENCODABLE` for records, resource or scope that are no OTLP/JSON.

    *titled*: the event is the body, too, for stores that show the body first. The chain knows of no body.
    """
    if batch is None:
        return ExportLogsServiceRequest()
    logs = ScopeLogs(
        scope=ParseDict(json.loads(batch.scope), InstrumentationScope(), ignore_unknown_fields=True),
        log_records=[_log_record(decode(record), titled=titled) for record in batch.records],
        schema_url=batch.schema_url,
    )
    resource = ParseDict(json.loads(batch.resource), Resource(), ignore_unknown_fields=True)
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=resource, scope_logs=[logs])])


def _log_record(record: CanonicalRecord, *, titled: bool) -> LogRecord:
    return LogRecord(
        time_unix_nano=record.time,
        severity_number=SeverityNumber.ValueType(record.severity or 0),
        attributes=[KeyValue(key=name, value=_any_value(value)) for name, value in record.attributes.items()],
        event_name=record.event,
        body=_any_value(record.event) if titled else None,
        trace_id=record.trace_id.to_bytes(16, "big") if record.trace_id else b"",
        span_id=record.span_id.to_bytes(8, "big") if record.span_id else b"",
    )


def _any_value(value: str | int) -> AnyValue:
    return AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value)
