from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from opentelemetry_instrumentation_authaudit.journal.names import locked_streams
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.pipeline.provider import SCOPE, envelope
from tests.chain import chain, events

from .otlp_server import OK, OtlpServer, Reply
from .telling import SIGN_IN, line_of, pipeline, process, run, service


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpServer]:
    """An OTLP receiver that the standard variables name."""
    with OtlpServer("http") as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.endpoint)
        yield server


def arrived(server: OtlpServer) -> list[str]:
    """Event names of what was accepted, in the order it came."""
    return [record["eventName"] for request in server.requests if request.accepted for record in request.records]


def test_records_are_delivered_and_the_stream_is_done(tmp_path: Path, receiver: OtlpServer) -> None:
    """Everything is acknowledged at shutdown, `audit.stop` too, byte for byte what the journal has; nobody needs to adopt it."""
    sink = pipeline(tmp_path, exporter="otlp", otlp_protocol="http/json")
    sink(SIGN_IN)
    assert sink.force_flush()
    assert arrived(receiver) == ["audit.start", "auth.sign_in"]
    assert sink.shutdown()
    assert arrived(receiver) == events(chain(service(tmp_path)))
    assert locked_streams(service(tmp_path)) == set()


def test_what_is_not_delivered_is_left_to_the_next_process(tmp_path: Path, receiver: OtlpServer) -> None:
    """The receiver is away: shutdown tells so within its time, and a later process delivers both streams, oldest first in each."""
    receiver.answer = Reply(503)
    first = pipeline(tmp_path, exporter="otlp", otlp_protocol="http/json")
    first(SIGN_IN)
    assert not first.shutdown(0.5)
    assert len(locked_streams(service(tmp_path))) == 1
    receiver.answer = OK
    second = pipeline(tmp_path, exporter="otlp", otlp_protocol="http/json")
    second.begin()
    assert second.shutdown()
    assert sorted(arrived(receiver)) == sorted(["audit.start", "audit.stop"] * 2 + ["auth.sign_in"])
    assert locked_streams(service(tmp_path)) == set()


def test_what_is_told_after_the_end_is_delivered_by_an_heir(tmp_path: Path, receiver: OtlpServer) -> None:
    """A thread outlives the shutdown: its record is in the journal, marked as not delivered, and the next process sends it."""
    first = pipeline(tmp_path, exporter="otlp", otlp_protocol="http/json")
    first.begin()
    assert first.shutdown()
    late = first(SIGN_IN)
    assert not first.shutdown()
    assert late not in receiver.ids
    second = pipeline(tmp_path, exporter="otlp", otlp_protocol="http/json")
    second.begin()
    assert second.shutdown()
    assert late in receiver.ids


def test_a_forked_child_delivers_for_itself(tmp_path: Path, receiver: OtlpServer) -> None:
    """A pre-forking server: parent and child each over a connection of its own, both to the end."""
    code = """
        sink = pipeline(Path(sys.argv[1]), exporter="otlp", otlp_protocol="http/json")
        sink(SIGN_IN)
        assert sink.force_flush()
        child = os.fork()
        told = sink(SIGN_IN)
        assert told is not None and sink.shutdown()
        if not child:
            os._exit(0)
        print(os.waitpid(child, 0)[1])
    """
    environ = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}
    assert run(code, tmp_path, environ=environ) == "0"
    assert sorted(arrived(receiver)) == sorted(["audit.start", "audit.stop"] * 2 + ["auth.sign_in"] * 3)


def test_a_provider_of_the_users_gets_clean_records(tmp_path: Path) -> None:
    """With its own resource; the journal has them first, and its shutdown stays its owner's."""
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    theirs = LoggerProvider(Resource({"service.name": "theirs"}), shutdown_on_exit=False)
    theirs.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    sink = pipeline(tmp_path, logger_provider=theirs)
    record_id = sink(SIGN_IN)
    assert sink.force_flush()
    assert sink.shutdown()
    exported = exporter.get_finished_logs()
    assert [log.log_record.event_name for log in exported] == events(chain(service(tmp_path)))
    attributes = dict(exported[1].log_record.attributes or {})
    assert attributes[names.RECORD_ID] == record_id
    assert str(attributes[names.IDENTITY]).startswith("hashed:")
    assert exported[1].resource.attributes["service.name"] == "theirs"
    assert exported[1].instrumentation_scope == SCOPE


def test_the_console_shows_clean_records(tmp_path: Path) -> None:
    """`exporter=console`: for a look during development."""
    output = run('pipeline(Path(sys.argv[1]), exporter="console")(SIGN_IN)', tmp_path)
    assert output.count('"event_name": "auth.sign_in"') == 1
    assert "ann@example.org" not in output


def test_the_resource_is_the_applications(tmp_path: Path) -> None:
    """A global provider is set: its resource stands around our records, whatever the environment says."""
    code = """
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider(resource=Resource({"service.name": "shop"})))
        from opentelemetry_instrumentation_authaudit.pipeline.provider import resource
        print(resource().attributes["service.name"])
    """
    assert run(code, environ={"OTEL_SERVICE_NAME": "other"}) == "shop"


def test_the_resource_of_the_environment(tmp_path: Path) -> None:
    """Without a global provider the standard variables describe the application."""
    code = """
        from opentelemetry_instrumentation_authaudit.pipeline.provider import resource
        print(resource().attributes["service.name"], resource().attributes["deployment"])
    """
    environ = {"OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "deployment=blue"}
    assert run(code, environ=environ) == "shop blue"


def test_a_resource_is_written_as_otlp_json() -> None:
    """Every kind of value a resource may have, keys sorted: its digest is the same in every process."""
    around = envelope(Resource({"b": True, "a": "é", "n": 7, "f": 0.5, "l": [1, 2]}))
    assert json.loads(around.resource)["attributes"] == [
        {"key": "a", "value": {"stringValue": "é"}},
        {"key": "b", "value": {"boolValue": True}},
        {"key": "f", "value": {"doubleValue": 0.5}},
        {"key": "l", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"intValue": "2"}]}}},
        {"key": "n", "value": {"intValue": "7"}},
    ]
    assert around.schema_url.decode() == names.SCHEMA_URL


def test_nothing_is_connected_to_without_an_endpoint(tmp_path: Path) -> None:
    """The journal alone is the store: no socket is made by a process that signs somebody in."""
    code = """
        made = []
        sys.addaudithook(lambda event, _: made.append(event) if event.startswith("socket.connect") else None)
        sink = pipeline(Path(sys.argv[1]))
        sink(SIGN_IN)
        sink.shutdown()
        print(made)
    """
    assert run(code, tmp_path) == "[]"


def test_an_idle_process_delivers_what_a_dead_one_left(tmp_path: Path, receiver: OtlpServer) -> None:
    """Killed before anything was sent: the next process sends it with its first request, without a new sign-in."""
    receiver.answer = Reply(503)
    code = 'print(pipeline(Path(sys.argv[1]), exporter="otlp", otlp_protocol="http/json")(SIGN_IN), flush=True); sys.stdin.read()'
    with process(code, tmp_path) as dying:
        record_id = line_of(dying)
    receiver.answer = OK
    sink = pipeline(tmp_path, exporter="otlp", otlp_protocol="http/json")
    sink.begin()
    assert sink.force_flush()
    assert record_id in receiver.ids
    sink.shutdown()
