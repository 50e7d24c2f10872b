"""Requests to an OTLP receiver, and who sends them: `open_sender(protocol)`."""

from __future__ import annotations

import json
from typing import Final, Protocol

from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ..journal.backlog import Batch
from ..journal.line import Envelope
from .answers import Answer, Verdict
from .wire import encoded, sized

__all__ = ("NOT_ENCODABLE", "UNENCODABLE", "Sender", "json_request", "open_sender", "protobuf_request")

_RESOURCE_LOGS, _SCOPE_LOGS, _LOG_RECORD = b"\x0a", b"\x12", b"\x12"  # tags of Protobuf, see `wire`
NOT_ENCODABLE: Final = (ValueError, KeyError, TypeError, AttributeError, OverflowError, ParseError)
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


def protobuf_request(batch: Batch | None, *, titled: bool = False) -> bytes:
    """The same in Protobuf; `NOT_ENCODABLE` for records, resource or scope that are no OTLP/JSON.

    *titled*: the event is the body, too, for stores that show the body first. The chain knows of no body.
    """
    if batch is None:
        return b""
    scope = ParseDict(json.loads(batch.scope), InstrumentationScope(), ignore_unknown_fields=True)
    resource = ParseDict(json.loads(batch.resource), Resource(), ignore_unknown_fields=True)
    records = [part for record in batch.records for part in (_LOG_RECORD, sized(encoded(record, titled=titled)))]
    head, tail = ScopeLogs(scope=scope).SerializeToString(), ScopeLogs(schema_url=batch.schema_url).SerializeToString()
    scoped = sized(b"".join((head, *records, tail)))
    return _RESOURCE_LOGS + sized(ResourceLogs(resource=resource).SerializeToString() + _SCOPE_LOGS + scoped)
