from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from opentelemetry_instrumentation_authaudit.pipeline.answers import Answer, Verdict
from opentelemetry_instrumentation_authaudit.pipeline.otlp import Sender, json_request, open_sender

from .delivering import ENVELOPE, batch, record
from .otlp_server import CLOSE, HANG, OtlpServer, Received, Reply, Tls, partial_success
from .telling import run

PROTOCOLS = ("grpc", "http/protobuf", "http/json")


@contextlib.contextmanager
def connected(
    protocol: str, patch: pytest.MonkeyPatch, tls: Tls | None = None, **environ: str
) -> Iterator[tuple[OtlpServer, Sender]]:
    """A server, and a sender to it, configured by the standard variables."""
    with OtlpServer("grpc" if protocol == "grpc" else "http", tls=tls) as server:
        for name, value in {**server.environment, **environ}.items():
            patch.setenv(name, value)
        sender = open_sender(protocol)
        try:
            yield server, sender
        finally:
            sender.close()


def said(answer: Answer) -> tuple[str, str]:
    """What an answer comes to."""
    return answer.verdict.value, answer.detail


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_same_request_in_every_protocol(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the journal is what arrives: resource, scope, schema, and every record to the last character."""
    full = record(1, severity=13, trace_id=0xABC, span_id=0xDEF)
    with connected(protocol, monkeypatch) as (server, sender):
        assert sender.send(batch(full, record(2))).verdict is Verdict.ACCEPTED
        (request,) = server.requests
    (resource,) = request.document["resourceLogs"]
    (scope,) = resource["scopeLogs"]
    assert resource["resource"] == json.loads(ENVELOPE.resource)
    assert scope["scope"] == json.loads(ENVELOPE.scope)
    assert scope["schemaUrl"] == ENVELOPE.schema_url.decode()
    assert request.records == [json.loads(full), json.loads(record(2))]


def test_json_is_the_canonical_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is encoded twice: the bytes that were hashed and journaled are the bytes that go out."""
    with connected("http/json", monkeypatch) as (server, sender):
        sender.send(batch(record(1), record(2)))
        (request,) = server.requests
    assert record(1) + b"," + record(2) in request.body
    assert request.content_type == "application/json"
    assert request.path == "/v1/logs"


ANSWERS = {
    "200": (Reply(), "accepted", "accepted"),
    "204": (Reply(204, body=b""), "accepted", "accepted"),
    "empty": (Reply(body=b""), "accepted", "accepted"),
    "plain": (Reply(body=b"ok", content_type="text/plain"), "accepted", "accepted"),
    "partial": (partial_success(1), "rejected", "partial success"),
    "page": (
        Reply(body=b"<html>", content_type="text/html; charset=utf-8"),
        "misconfigured",
        "a web page instead of an OTLP answer",
    ),
    "garbage": (Reply(body=b"\xff\xff"), "misconfigured", "an unreadable OTLP answer"),
    "302": (Reply(302, headers={"Location": "http://127.0.0.1:9/"}), "retry", "HTTP 302"),
    "304": (Reply(304, body=b""), "retry", "HTTP 304"),
    "400": (Reply(400), "rejected", "HTTP 400"),
    "401": (Reply(401), "misconfigured", "HTTP 401"),
    "403": (Reply(403), "misconfigured", "HTTP 403"),
    "404": (Reply(404), "misconfigured", "HTTP 404"),
    "408": (Reply(408), "retry", "HTTP 408"),
    "413": (Reply(413), "rejected", "HTTP 413"),
    "415": (Reply(415), "misconfigured", "HTTP 415"),
    "429": (Reply(429), "retry", "HTTP 429"),
    "500": (Reply(500), "retry", "HTTP 500"),
    "503": (Reply(503), "retry", "HTTP 503"),
    "close": (CLOSE, "retry", "no connection"),
}


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_every_http_answer(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect is no acknowledgement, nor is a login page; what is not about the records does not cost them."""
    with connected(protocol, monkeypatch) as (server, sender):
        for name, (reply, verdict, detail) in ANSWERS.items():
            server.answer = reply
            assert (name, *said(sender.send(batch(record(1))))) == (name, verdict, detail)
    assert len(server.requests) == len(ANSWERS), "one request each: a redirect is not followed, nothing is retried here"


GRPC_ANSWERS = {
    "OK": "accepted",
    "INVALID_ARGUMENT": "rejected",
    "UNAUTHENTICATED": "misconfigured",
    "PERMISSION_DENIED": "misconfigured",
    "UNIMPLEMENTED": "misconfigured",
    "NOT_FOUND": "misconfigured",
    "CANCELLED": "retry",
    "UNKNOWN": "retry",
    "DEADLINE_EXCEEDED": "retry",
    "RESOURCE_EXHAUSTED": "retry",
    "FAILED_PRECONDITION": "retry",
    "ABORTED": "retry",
    "OUT_OF_RANGE": "retry",
    "INTERNAL": "retry",
    "UNAVAILABLE": "retry",
    "DATA_LOSS": "retry",
}


def test_every_grpc_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same three kinds of no, by the status codes of gRPC; too much is tried with less."""
    with connected("grpc", monkeypatch) as (server, sender):
        for code, verdict in GRPC_ANSWERS.items():
            server.answer = Reply(code)
            answer = sender.send(batch(record(1)))
            assert said(answer) == (verdict, "accepted" if code == "OK" else f"gRPC {code}")
            assert answer.shrink == (code in {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"})
        server.answer = partial_success(2)
        assert said(sender.send(batch(record(1), record(2)))) == ("rejected", "partial success")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pause_that_was_asked_for(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Retry-After`, or the `RetryInfo` of gRPC; an hour at most."""
    with connected(protocol, monkeypatch) as (server, sender):
        status = "UNAVAILABLE" if protocol == "grpc" else 503
        for asked, expected in ((7, 7.0), (999_999, 3600.0), (None, None)):
            server.answer = Reply(status, retry_after=asked)
            assert sender.send(batch(record(1))).after == expected


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_receiver_that_hangs(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout is the exporter's own, by its variable; the next request may hold less."""
    with connected(protocol, monkeypatch, OTEL_EXPORTER_OTLP_TIMEOUT="0.2") as (server, sender):
        server.answer = HANG
        begun = time.monotonic()
        answer = sender.send(batch(record(1)))
        assert time.monotonic() - begun < 2
        assert said(answer) == ("retry", "gRPC DEADLINE_EXCEEDED" if protocol == "grpc" else "timeout")
        assert answer.shrink


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_receiver_that_goes_away_and_comes_back(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away, it is asked again; back on its port, it is reached by the very next attempt."""
    with connected(protocol, monkeypatch) as (server, sender):
        assert sender.send(batch(record(1))).verdict is Verdict.ACCEPTED
        server.stop()
        for _ in range(3):
            answer = sender.send(batch(record(2)))
            assert answer.verdict is Verdict.RETRY
        assert said(answer) == ("retry", "gRPC UNAVAILABLE" if protocol == "grpc" else "no connection")
        assert not answer.shrink
        server.start()
        assert sender.send(batch(record(2))).verdict is Verdict.ACCEPTED
        assert server.ids == ["id-1", "id-2"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_empty_request_asks_whether_any_is_taken(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing, and is answered like any other."""
    with connected(protocol, monkeypatch) as (server, sender):
        assert sender.send(None).verdict is Verdict.ACCEPTED
        server.answer = Reply("UNAUTHENTICATED" if protocol == "grpc" else 401)
        assert sender.send(None).verdict is Verdict.MISCONFIGURED
        assert [request.records for request in server.requests] == [[], []]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_damaged_record_is_refused_here(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be made Protobuf of never goes out, and is isolated like what the receiver refuses."""
    with connected(protocol, monkeypatch) as (server, sender):
        for damaged in (b"{}", b'{"attributes":[', b'{"attributes":[1],"eventName":"e","timeUnixNano":"1"}', b"[]"):
            assert said(sender.send(batch(record(1), damaged))) == ("rejected", "not encodable")
        assert server.requests == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_headers_and_compression(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the standard variables, the one for logs first; nothing of ours reads them."""
    variables: dict[str, Any] = {
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=no",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "x-tenant=shop,authorization=Bearer%20s",
    }
    with connected(protocol, monkeypatch, **variables, OTEL_EXPORTER_OTLP_COMPRESSION="gzip") as (server, sender):
        assert sender.send(batch(*map(record, range(200)))).verdict is Verdict.ACCEPTED
        (request,) = server.requests
    assert request.headers["x-tenant"] == "shop"
    assert request.headers["authorization"] == "Bearer s"
    assert len(request.ids) == 200
    if protocol != "grpc":
        assert request.headers["content-encoding"] == "gzip"
        assert int(request.headers["content-length"]) < len(request.body) / 4


def test_the_endpoint_of_the_logs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """`OTEL_EXPORTER_OTLP_LOGS_ENDPOINT` is the whole address, and wins."""
    with OtlpServer() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{server.endpoint}/audit")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "deflate")
        sender = open_sender("http/protobuf")
        assert sender.send(batch(record(1))).verdict is Verdict.ACCEPTED
        sender.close()
        assert [request.path for request in server.requests] == ["/audit"]


def test_nothing_secret_in_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Error trackers print local variables: the headers of where we send are not among them."""
    with connected("http/protobuf", monkeypatch, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20canary") as (_, sender):
        sender.send(None)
        assert "canary" not in repr(vars(sender))


def test_credentials_of_a_provider(tmp_path: Path) -> None:
    """A package of the operator's gives the session that signs requests, named as for every exporter of OpenTelemetry."""
    (tmp_path / "cloud.py").write_text(
        "import requests\n"
        "def session():\n"
        "    made = requests.Session()\n"
        "    made.auth = lambda request: request.headers.update(authorization='signed') or request\n"
        "    return made\n"
    )
    described = tmp_path / "cloud-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: cloud\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[opentelemetry_otlp_credential_provider]\ncloud = cloud:session\n")
    code = """
        from opentelemetry_instrumentation_authaudit.pipeline.otlp import open_sender
        print(open_sender("http/protobuf").send(None).verdict.value)
    """
    with OtlpServer() as server:
        environ = {
            **server.environment,
            "PYTHONPATH": str(tmp_path),
            "OTEL_PYTHON_EXPORTER_OTLP_HTTP_LOGS_CREDENTIAL_PROVIDER": "cloud",
        }
        assert run(code, environ=environ) == "accepted"
        assert [request.headers["authorization"] for request in server.requests] == ["signed"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_connection_is_kept(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one handshake for every request."""
    with connected(protocol, monkeypatch) as (server, sender):
        for number in range(5):
            sender.send(batch(record(number)))
        assert len({request.connection for request in server.requests}) == 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_forked_child_has_a_connection_of_its_own(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both write at the same time: on one socket their bytes would mix."""
    with connected(protocol, monkeypatch) as (server, sender):
        sender.send(batch(record(0)))
        child = os.fork()
        if not child:
            accepted = [sender.send(batch(record(number))).verdict is Verdict.ACCEPTED for number in range(100, 130)]
            os._exit(0 if all(accepted) else 1)
        accepted = [sender.send(batch(record(number))).verdict is Verdict.ACCEPTED for number in range(200, 230)]
        assert all(accepted)
        assert os.waitpid(child, 0)[1] == 0
        connections: dict[str, set[str]] = {}
        for request in server.requests:
            connections.setdefault(request.connection, set()).add(request.ids[0][:4])
    assert sorted(map(sorted, connections.values())) == [["id-0", "id-2"], ["id-1"]]


@pytest.mark.parametrize(
    ("variable", "value", "detail"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1", "an endpoint that is no URL"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector.example:4318", "an endpoint that is no URL"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file.pem", "a certificate file that cannot be read"),
    ],
)
def test_settings_that_cannot_work(variable: str, value: str, detail: str, tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the operator's to mend: the records wait meanwhile."""
    with connected("http/protobuf", monkeypatch, tls, **{variable: value}) as (_, sender):
        assert said(sender.send(batch(record(1)))) == ("misconfigured", detail)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tls(protocol: str, tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver whose authority is named is trusted, and no other."""
    with connected(protocol, monkeypatch, tls, OTEL_EXPORTER_OTLP_CERTIFICATE=str(tls.cert.with_name("ca.pem"))) as (
        server,
        sender,
    ):
        assert sender.send(batch(record(1))).verdict is Verdict.ACCEPTED
        assert server.ids == ["id-1"]
    with connected(protocol, monkeypatch, tls, OTEL_EXPORTER_OTLP_CERTIFICATE=str(tls.cert.with_name("other.pem"))) as (
        server,
        sender,
    ):
        answer = sender.send(batch(record(1)))
        assert said(answer) == (
            ("retry", "gRPC UNAVAILABLE") if protocol == "grpc" else ("misconfigured", "a certificate that is not trusted")
        )
        assert server.requests == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_mutual_tls(protocol: str, tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver wants to know who we are."""
    folder = tls.cert.parent
    mutual = Tls(tls.cert, tls.key, folder / "ca.pem")
    ours = {
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(folder / "client.pem"),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(folder / "client.key"),
    }
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(folder / "ca.pem"))
    with connected(protocol, monkeypatch, mutual) as (server, sender):
        assert sender.send(batch(record(1))).verdict is not Verdict.ACCEPTED
    with connected(protocol, monkeypatch, mutual, **ours) as (server, sender):
        assert sender.send(batch(record(1))).verdict is Verdict.ACCEPTED
        assert server.ids == ["id-1"]


def test_the_empty_request_in_json() -> None:
    """A document without records."""
    assert json.loads(json_request(None)) == {"resourceLogs": []}


def test_the_server_itself() -> None:
    """It answers by request, notes what it refused, and counts only what it took."""
    with OtlpServer() as server:

        def once(request: Received) -> Reply:
            return Reply() if server.requests else Reply(503)

        server.answer = once
        body = json_request(batch(record(1)))
        headers = {"Content-Type": "application/json"}
        statuses = [
            requests.post(f"{server.endpoint}/v1/logs", data=body, headers=headers, timeout=5).status_code for _ in range(2)
        ]
        assert statuses == [503, 200]
        assert [request.accepted for request in server.requests] == [False, True]
        assert server.wait_for(1) == ["id-1"]
        with pytest.raises(AssertionError, match=r"waited 0\.1 s for 2 records: 2 requests, 1 records accepted"):
            server.wait_for(2, timeout=0.1)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """An authority, a server and a client of it, and an authority that has nothing to do with them."""
    from .certificates import make

    folder: Path = tmp_path_factory.mktemp("tls")
    make(folder)
    return Tls(folder / "server.pem", folder / "server.key")
