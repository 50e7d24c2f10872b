"""OTLP over gRPC."""

from __future__ import annotations

import os
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from ..journal.backlog import Batch
from .answers import GRPC_VERDICTS, Answer, Verdict, bounded, of_rejected
from .otlp import NOT_ENCODABLE, UNENCODABLE, protobuf_request

__all__ = ("GrpcSender",)

_OPTIONS: Final = (("grpc.use_local_subchannel_pool", 1),)
"""A new channel then really connects anew, instead of sharing the back-off (up to two minutes) of the one before it."""
_METHOD: Final = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_STATUS_DETAILS: Final = "grpc-status-details-bin"
_TOO_MUCH: Final = {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
_LOST: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

_inherited: list[OTLPLogExporter] = []
"""Channels of a parent process, seen from a forked child. They are kept, because destroying one there hangs."""


class _Exporter(OTLPLogExporter):
    """The official exporter, for the channel it makes. It has no public door to it; the names are the same from 1.39 to 1.45."""

    def __init__(self) -> None:
        super().__init__(channel_options=_OPTIONS)  # type: ignore[arg-type]  # said to be strings; gRPC wants integers

    @property
    def channel(self) -> grpc.Channel:
        made: Any = self._channel
        channel: grpc.Channel = made
        return channel

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        headers: Any = self._headers
        return tuple(headers)

    @property
    def timeout(self) -> float:
        return float(self._timeout)


class GrpcSender:
    """Sends over one channel. See `otlp.Sender`."""

    def __init__(self) -> None:
        self._exporter: _Exporter | None = None
        self._process = 0

    def send(self, batch: Batch | None, timeout: float | None = None) -> Answer:
        """See `otlp.Sender`."""
        try:
            request = protobuf_request(batch)
        except NOT_ENCODABLE:
            return UNENCODABLE
        exporter = self._open()
        export = exporter.channel.unary_unary(
            _METHOD,
            request_serializer=None,  # they are bytes already
            response_deserializer=ExportLogsServiceResponse.FromString,
        )
        longest = exporter.timeout
        try:
            response = export(request, metadata=exporter.metadata, timeout=longest if timeout is None else min(timeout, longest))
        except grpc.RpcError as error:
            return self._of_error(error)
        return of_rejected(response.partial_success.rejected_log_records)

    def close(self) -> None:
        """See `otlp.Sender`."""
        exporter, self._exporter = self._exporter, None
        if exporter is not None and self._process == os.getpid():
            exporter.shutdown()

    def _open(self) -> _Exporter:
        if self._process != os.getpid():
            if self._exporter is not None:
                _inherited.append(self._exporter)
            self._exporter, self._process = None, os.getpid()
        if self._exporter is None:
            self._exporter = _Exporter()
        return self._exporter

    def _of_error(self, error: grpc.RpcError) -> Answer:
        code = error.code()
        if code in _LOST:
            self.close()  # the next attempt connects anew, when our own back-off says so
        return Answer(
            GRPC_VERDICTS.get(code.name, Verdict.RETRY),
            f"gRPC {code.name}",
            _retry_delay(error),
            shrink=code in _TOO_MUCH,
        )


def _retry_delay(error: grpc.RpcError) -> float | None:
    """Seconds of the `RetryInfo` that came with the status (OTLP specification, "OTLP/gRPC Throttling")."""
    metadata: Any = error.trailing_metadata() or ()
    details = dict(metadata).get(_STATUS_DETAILS)
    if details is None:
        return None
    info = RetryInfo()
    try:
        found = any(detail.Unpack(info) for detail in Status.FromString(details).details)
    except DecodeError:
        return None
    return bounded(info.retry_delay.ToTimedelta().total_seconds()) if found else None
