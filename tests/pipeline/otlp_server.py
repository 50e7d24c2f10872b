"""A real OTLP server for tests: gRPC or HTTP (Protobuf and JSON, gzip and deflate, TLS and mTLS) on loopback.

    with OtlpServer("http") as server:
        server.answer = Reply(503, retry_after=1)          # from now on, or a function of the request
        ...
        server.wait_for(3)                                 # records that were accepted
        server.ids, server.requests

It notes every request that reaches it and answers as it is told: any status, a partial success, nothing at all (`HANG`), a closed
connection (`CLOSE`). `stop` takes it away, `start` brings it back on the same port.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from opentelemetry_instrumentation_authaudit.model import names

__all__ = ("CLOSE", "HANG", "OK", "OtlpServer", "Received", "Reply", "Tls", "partial_success")


@dataclass(frozen=True)
class Reply:
    """An answer. *status* is an HTTP status or the name of a gRPC status code."""

    status: int | str = 200
    rejected: int = 0
    """Records that a partial success rejects."""
    retry_after: float | str | None = None
    """Header `Retry-After`, or `RetryInfo`."""
    body: bytes | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


OK: Final = Reply()
HANG: Final = Reply(0)
"""Never answers, until the server stops."""
CLOSE: Final = Reply(-1)
"""Closes the connection without an answer (gRPC: `UNAVAILABLE`)."""


def partial_success(rejected: int) -> Reply:
    """Accepted, except for so many records."""
    return Reply(rejected=rejected)


@dataclass(frozen=True)
class Received:
    """A request: `records` as flat dictionaries, `document` as OTLP/JSON objects."""

    content_type: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    """After decompression."""
    document: Mapping[str, Any]
    connection: str
    """The peer's address: one a connection."""
    reply: Reply
    time: float

    @property
    def accepted(self) -> bool:
        """Whether the records counted as delivered."""
        return self.reply.status in {200, "OK"} and not self.reply.rejected

    @property
    def records(self) -> list[dict[str, Any]]:
        """The `logRecord` objects, in their order."""
        scopes = [scope for resource in self.document.get("resourceLogs", []) for scope in resource["scopeLogs"]]
        return [record for scope in scopes for record in scope["logRecords"]]

    @property
    def ids(self) -> list[str]:
        """Their record ids."""
        return [record_id(record) for record in self.records]


def record_id(record: Mapping[str, Any]) -> str:
    """The record id of a `logRecord` object."""
    values = {attribute["key"]: attribute["value"] for attribute in record["attributes"]}
    return str(values[names.RECORD_ID]["stringValue"])


@dataclass(frozen=True)
class Tls:
    """PEM files; with *client_ca* a client must have a certificate of that authority (mTLS)."""

    cert: Path
    key: Path
    client_ca: Path | None = None


class OtlpServer:
    """*kind* is `grpc` or `http`. Thread-safe to read at any time."""

    def __init__(self, kind: str = "http", *, tls: Tls | None = None) -> None:
        self.kind = kind
        self.answer: Reply | Callable[[Received], Reply] = OK
        self.requests: list[Received] = []
        self.connections = 0
        self._tls = tls
        self._port = 0
        self._changed = threading.Condition()
        self._going = threading.Event()
        self._http: ThreadingHTTPServer | None = None
        self._grpc: grpc.Server | None = None

    def __enter__(self) -> OtlpServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """Base URL, as for `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send to it (`http`: in Protobuf)."""
        protocol = "grpc" if self.kind == "grpc" else "http/protobuf"
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}

    @property
    def ids(self) -> list[str]:
        """Ids of the records that were accepted, in order of arrival, doubles included."""
        return [found for request in list(self.requests) if request.accepted for found in request.ids]

    def wait_for(self, count: int, timeout: float = 10.0) -> list[str]:
        """Wait until *count* different records have been accepted; their ids, or an AssertionError that says how many came."""
        self.wait_until(lambda: len(set(self.ids)) >= count, f"{count} records", timeout)
        return self.ids

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> list[Received]:
        """Wait until *count* requests have come, whatever was answered."""
        self.wait_until(lambda: len(self.requests) >= count, f"{count} requests", timeout)
        return list(self.requests)

    def wait_until(self, come: Callable[[], bool], what: str, timeout: float = 10.0) -> None:
        """Wait until *come* is true; it is asked after every request."""
        with self._changed:
            done = self._changed.wait_for(come, timeout)
        assert done, f"waited {timeout} s for {what}: {len(self.requests)} requests, {len(set(self.ids))} records accepted"

    def start(self) -> None:
        """Listen, on the port of the last time if there was one."""
        self._going.clear()
        (self._start_grpc if self.kind == "grpc" else self._start_http)()

    def stop(self) -> None:
        """Be away: connections are closed, new ones refused."""
        self._going.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None
        if self._grpc is not None:
            self._grpc.stop(None).wait()
            self._grpc = None

    def handle(self, content_type: str, path: str, headers: Mapping[str, str], body: bytes, connection: str) -> Reply:
        """Note a request and say how it is answered."""
        document = (
            json.loads(body) if content_type == "application/json" else _document(ExportLogsServiceRequest.FromString(body))
        )
        asked = Received(content_type, path, headers, body, document, connection, OK, time.monotonic())
        reply = self.answer(asked) if callable(self.answer) else self.answer
        with self._changed:
            self.requests.append(Received(content_type, path, headers, body, document, connection, reply, asked.time))
            self._changed.notify_all()
        if reply is HANG:
            self._going.wait(30)
        return reply

    def _start_http(self) -> None:
        server = _HttpServer(("127.0.0.1", self._port), partial(_Handler, self))
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._tls.cert, self._tls.key)
            if self._tls.client_ca is not None:
                context.load_verify_locations(self._tls.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
            server.context = context
        self._port = server.server_address[1]
        self._http = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _start_grpc(self) -> None:
        server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_unary_rpc_method_handler(
            self._export, response_serializer=ExportLogsServiceResponse.SerializeToString
        )
        service = "opentelemetry.proto.collector.logs.v1.LogsService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        address = f"127.0.0.1:{self._port}"
        self._port = server.add_secure_port(address, self._credentials()) if self._tls else server.add_insecure_port(address)
        server.start()
        self._grpc = server

    def _credentials(self) -> grpc.ServerCredentials:
        assert self._tls is not None
        authority = self._tls.client_ca.read_bytes() if self._tls.client_ca else None
        pair = (self._tls.key.read_bytes(), self._tls.cert.read_bytes())
        return grpc.ssl_server_credentials([pair], root_certificates=authority, require_client_auth=authority is not None)

    def _export(self, body: bytes, context: Any) -> ExportLogsServiceResponse:
        headers = {str(key): str(value) for key, value in context.invocation_metadata()}
        reply = self.handle("application/grpc", "", headers, body, context.peer())
        if reply.status in {200, "OK"}:
            return _response(reply)
        name = "UNAVAILABLE" if reply in (CLOSE, HANG) else str(reply.status)
        code = getattr(grpc.StatusCode, name)
        if reply.retry_after is not None:
            status = Status(code=code.value[0])
            wait = Duration()
            wait.FromMilliseconds(int(float(reply.retry_after) * 1000))
            status.details.add().Pack(RetryInfo(retry_delay=wait))
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, "as the test says")
        raise AssertionError(code)  # abort raises


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    context: ssl.SSLContext | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is None:
            super().finish_request(request, client_address)
            return
        try:
            secure = self.context.wrap_socket(request, server_side=True)  # in the connection's own thread
        except OSError:
            return  # the client does not trust us, or we do not trust it
        with secure:
            super().finish_request(secure, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._open):  # kept-alive ones: a server that is away has no connections
            _reset(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is a fault of this server."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and content are two writes: 40 ms for every answer otherwise

    def __init__(self, owner: OtlpServer, *arguments: Any) -> None:
        self.owner = owner
        super().__init__(*arguments)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {key.lower(): value for key, value in self.headers.items()}
        kind = headers["content-type"]
        connection = f"{self.client_address[0]}:{self.client_address[1]}"
        reply = self.owner.handle(kind, self.path, headers, _unpack(body, headers.get("content-encoding", "")), connection)
        if reply in (CLOSE, HANG):
            self.close_connection = True
            return
        response = _response(reply)
        as_json = kind == "application/json"
        content = json.dumps(MessageToDict(response)).encode() if as_json else response.SerializeToString()
        content = content if reply.body is None else reply.body
        self.send_response(int(reply.status))
        self.send_header("Content-Type", reply.content_type or kind)
        self.send_header("Content-Length", str(len(content)))
        for key, value in {
            **reply.headers,
            **({"Retry-After": str(reply.retry_after)} if reply.retry_after is not None else {}),
        }.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Silence."""


def _unpack(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding == "deflate" else body


def _response(reply: Reply) -> ExportLogsServiceResponse:
    response = ExportLogsServiceResponse()
    if reply.rejected:
        response.partial_success.rejected_log_records = reply.rejected
        response.partial_success.error_message = "as the test says"
    return response


def _reset(connection: socket.socket) -> None:
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _document(request: ExportLogsServiceRequest) -> dict[str, Any]:
    """The request as OTLP/JSON: ids in hex, where Protobuf's own JSON has base64."""
    document: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    scopes = [scope for resource in request.resource_logs for scope in resource.scope_logs]
    written = [scope for resource in document.get("resourceLogs", []) for scope in resource.get("scopeLogs", [])]
    for message, scope in zip(scopes, written, strict=True):
        for record, fields in zip(message.log_records, scope.get("logRecords", []), strict=True):
            fields.update(_hex({"traceId": record.trace_id, "spanId": record.span_id}.items()))
    return document


def _hex(ids: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    return {name: value.hex() for name, value in ids if value}
