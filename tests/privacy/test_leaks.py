"""Where a secret could get out besides the record: logs, exceptions, metrics, dead letters, lock files, `doctor`, any `repr`."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from opentelemetry_instrumentation_authaudit import guard
from opentelemetry_instrumentation_authaudit.config import ConfigError, load
from opentelemetry_instrumentation_authaudit.config.sources import keywords
from opentelemetry_instrumentation_authaudit.hooks.attempt import Attempt
from opentelemetry_instrumentation_authaudit.hooks.hook import Call, Facts, Flow, Hook, Outcome
from opentelemetry_instrumentation_authaudit.journal.signing import SigningKey
from opentelemetry_instrumentation_authaudit.model.event import Actor, AuditEvent, Param, Reason, Request, Status, Strategy
from opentelemetry_instrumentation_authaudit.pipeline.health import Health, observe
from opentelemetry_instrumentation_authaudit.pipeline.processor import Emission
from opentelemetry_instrumentation_authaudit.pipeline.sink import Pipeline
from opentelemetry_instrumentation_authaudit.privacy.policy import Policy
from tests.canaries import found_in
from tests.cli.command import authaudit
from tests.pipeline.otlp_server import OtlpServer, Reply

CANARIES = {
    what: f"canary-{what}-{number}x7Kq9-Zt4Wm2"
    for number, what in enumerate(
        ("password", "identity", "session", "token", "cookie", "code", "path", "message", "hash key", "api key", "signing key", "agent", "endpoint")
    )
}  # fmt: skip
C = CANARIES
EVENT = AuditEvent(
    event="auth.sign_in",
    status=Status.FAILURE,
    time=1_795_521_600_000_000_000,
    library="lib 1",
    strategy=Strategy.PASSWORD,
    reason=Reason.WRONG_PASSWORD,
    identity=C["identity"],
    session_key=C["session"],
    token_id=C["token"],
    params={
        "password": Param(C["password"], sensitive=True),
        "code": Param(C["code"]),
        "cookie": Param({"sessionid": C["cookie"]}),
    },
    request=Request(flow_id="f" * 32, peer="203.0.113.9", method="POST", path=f"/reset/{C['path']}"),
)


def leaks(*places: str | bytes) -> dict[str, list[bytes]]:
    """The canaries in these texts."""
    data = b"\n".join(place.encode("utf-8", "surrogateescape") if isinstance(place, str) else place for place in places)
    return {what: forms for what, canary in C.items() if (forms := list(found_in(data, canary)))}


class Shouting:
    """A value whose every method raises with a secret."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(C["message"])

    def __str__(self) -> NoReturn:
        raise RuntimeError(C["message"])

    __repr__ = __eq__ = __hash__ = __bool__ = __iter__ = __len__ = __str__  # type: ignore[assignment]


class ShoutingParams(dict[str, Any]):
    def items(self) -> NoReturn:
        raise RuntimeError(C["message"])

    values = items


class ShoutingProcessor(LogRecordProcessor):
    """A user's processor that raises."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> NoReturn:
        raise RuntimeError(C["message"])

    def shutdown(self) -> NoReturn:
        raise RuntimeError(C["message"])

    def force_flush(self, timeout_millis: int = 30000) -> NoReturn:
        raise RuntimeError(C["message"])


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpServer]:
    """A collector that refuses every sign-in for good, and repeats it in its answer."""
    with OtlpServer("http") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization={C['api key']}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        server.answer = lambda received: Reply(400, body=received.body) if b"auth.sign_in" in received.body else Reply()
        yield server


@pytest.mark.guarded
def test_logs_dead_letters_and_lock_files(refusing: OtlpServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Everything goes wrong at once: values that raise, a refused delivery. What we log and leave on the disk holds no secret."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.INFO)
    sink = Pipeline(
        load(dict(refusing.environment), raises=True, journal_dir=tmp_path / "journal", hash_key=f"k1:{C['hash key']}")
    )
    hostile = [
        EVENT,
        replace(EVENT, params=ShoutingParams(a=Param(1))),
        replace(EVENT, identity=Shouting(), subject=Shouting()),  # type: ignore[arg-type]
        replace(EVENT, params={"x": Param(Shouting()), C["token"]: Param(Shouting())}),
    ]
    assert None not in [sink(event) for event in hostile]
    refusing.wait_for_requests(2)
    sink.force_flush(2)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    sink.shutdown()
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(path.name.endswith(".dead.jsonl") for path in after)
    assert any(path.name.endswith(".lock") for path in files)
    assert caplog.messages
    assert leaks(caplog.text, *files.values(), *after.values(), *(received.body for received in refusing.requests)) == {}
    assert any(received.headers for received in refusing.requests)


@pytest.mark.guarded
def test_exceptions_of_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A processor of the user's raises with a secret in its message: type and place are logged, the message never."""
    logs = LoggerProvider(shutdown_on_exit=False)
    logs.add_log_record_processor(ShoutingProcessor())
    sink = Pipeline(load({}, raises=True, journal_dir=tmp_path / "journal", hash_key=f"k1:{C['hash key']}", logger_provider=logs))
    sink(EVENT)
    with guard.guard("leaks.test"):
        raise RuntimeError(C["message"])
    sink.shutdown()
    assert "RuntimeError" in caplog.text
    assert leaks(caplog.text) == {}


def extract(_call: Call) -> Flow:
    """An extractor with nothing to say."""
    yield
    return None


OBJECTS: dict[str, Callable[[], object]] = {
    "event": lambda: EVENT,
    "emission": lambda: Emission(EVENT, "id"),
    "params": lambda: EVENT.params,
    "request": lambda: replace(EVENT.request, forwarded=(C["token"],), user_agent=C["agent"], host=C["path"], peer=C["path"]),  # type: ignore[type-var]
    "actor": lambda: Actor(C["identity"]),
    "call": lambda: Call(print, C["identity"], (C["password"],), {"password": C["password"]}),
    "facts": lambda: Facts(
        identity=C["identity"], session_key=C["session"], params={"code": C["code"]}, claims={"a": C["token"]}
    ),
    "outcome": lambda: Outcome(C["token"], RuntimeError(C["message"])),
    "attempt": lambda: Attempt(Hook(target="a:b", extract=extract), "lib", identity=C["identity"], params=dict(EVENT.params)),
    "config": lambda: load({}, raises=True, hash_key=f"k1:{C['hash key']}"),
    "source": lambda: keywords({"hash_key": C["hash key"]}),
    "policy": lambda: Policy.of(load({}, raises=True, hash_key=f"k1:{C['hash key']}")),
    "bare key": lambda: Policy.of(load({}, raises=True, hash_key=C["hash key"])).keys.first,
    "signing key": lambda: (key := SigningKey.parse(C["signing key"]), str(key), [key.next()]),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_no_repr_tells(name: str) -> None:
    """Debug pages and error trackers print every variable of a frame, ours too."""
    made = OBJECTS[name]()
    assert leaks(repr(made), str(made), repr([made]), f"{made}") == {}


def test_a_traceback_with_variables(configured: Callable[..., Any]) -> None:
    """A tracker takes the frames apart while our redaction runs: `traceback` with `capture_locals` shows what it would print."""
    policy = Policy.of(configured())

    def raising() -> str:
        event, attributes = EVENT, dict[str, Any]()
        policy.apply(attributes, event)
        message = "here"
        raise LookupError(message)

    try:
        raising()
    except LookupError:
        shown = "".join(traceback.TracebackException(*sys.exc_info(), capture_locals=True).format())
    assert "event = AuditEvent(" in shown
    assert leaks(shown) == {}


def test_metrics(tmp_path: Path) -> None:
    """They count, and name places of our code."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    sink = Pipeline(load({}, raises=True, journal_dir=tmp_path / "journal", hash_key=f"k1:{C['hash key']}"))
    sink(EVENT)
    observe_with(meters, sink)
    collected = reader.get_metrics_data()
    sink.shutdown()
    meters.shutdown()
    assert collected is not None
    assert "audit.records.emitted" in collected.to_json()
    assert leaks(collected.to_json()) == {}


def observe_with(meters: MeterProvider, sink: Pipeline) -> None:
    """Offer the metrics to *meters* instead of the process's own provider, which can be set once only."""
    from opentelemetry.metrics import _internal

    before = _internal._METER_PROVIDER
    _internal._METER_PROVIDER = meters
    try:
        observe(lambda: [Health(sink.emitted, sink.dropped, None)])
    finally:
        _internal._METER_PROVIDER = before


@pytest.mark.parametrize(
    "options",
    [
        {"hash_key": C["hash key"].encode()},
        {"hash_key": C["hash key"] + "\a!"},
        {"hash_key_file": C["hash key"]},
        {"signing_key_file": C["signing key"]},
        {"hashkey": C["hash key"]},
        {"hash_key": C["hash key"], "ip_privacy_mode": "no"},
    ],
)
def test_faults_of_a_configuration(options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """A key in the wrong form, under the wrong name, beside another fault: the complaint names the option only."""
    load({}, **options)
    with pytest.raises(ConfigError) as caught:
        load({}, raises=True, **options)
    assert leaks(caplog.text, str(caught.value), repr(caught.value)) == {}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    "endpoint",
    [
        "http://user:{}@127.0.0.1:9/v1?api-key={}#{}",
        "http://127.0.0.1:9/{}/v1/logs",
        "http://{}@127.0.0.1:9",
        "http://127.0.0.1:{}/",
        "http://[{}/",
    ],
)
def test_doctor(endpoint: str, protocol: str, tmp_path: Path) -> None:
    """It shows the configuration to whoever asks for help: neither keys, nor headers, nor what stands in the endpoint."""
    done = authaudit(
        "doctor",
        home=tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.replace("{}", C["endpoint"]),
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_HEADERS=f"authorization={C['api key']}",
        OTEL_PYTHON_AUTHAUDIT_HASH_KEY=C["hash key"],
        OTEL_PYTHON_AUTHAUDIT_HASHKEY=C["hash key"],
        OTEL_PYTHON_AUTHAUDIT_SIGNING_KEY_FILE=C["signing key"],
        OTEL_PYTHON_AUTHAUDIT_INSTRUMENTORS="pyotp",
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "delivery" in done.stdout
    assert leaks(done.stdout, done.stderr) == {}
