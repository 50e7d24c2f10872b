from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from opentelemetry_instrumentation_authaudit import guard
from opentelemetry_instrumentation_authaudit.journal.overflow import Overflow
from opentelemetry_instrumentation_authaudit.journal.writer import Journal
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.event import Param, Request
from opentelemetry_instrumentation_authaudit.pipeline import provider
from opentelemetry_instrumentation_authaudit.pipeline.processor import AuthAuditLogRecordProcessor, Emission
from opentelemetry_instrumentation_authaudit.pipeline.stream import Stream
from opentelemetry_instrumentation_authaudit.privacy.policy import Policy
from tests.chain import chain

from .telling import NOON, SIGN_IN, config, service

REQUEST = Request(flow_id="f" * 32, peer="203.0.113.7", user_agent="Mozilla/5.0", method="POST", host="app", route="/login")
SECRET = "correct horse battery staple"
EVENT = replace(
    SIGN_IN,
    request=REQUEST,
    params={"password": Param(SECRET, sensitive=True), "remember": Param("true")},
    trace_id=2**120,
    span_id=2**60,
)


class Seen(LogRecordProcessor):
    """The next processor of the chain, which looks at everything it is given."""

    def __init__(self) -> None:
        self.records: list[ReadWriteLogRecord] = []
        self.down = False

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.records.append(log_record)

    def shutdown(self) -> None:
        self.down = True

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return timeout_millis > 100


class Choosy(Seen):
    """One that says beforehand whether it wants a record (SDK 1.45)."""

    def enabled(self, *, event_name: str | None = None, **_asked: Any) -> bool:
        return event_name == "auth.sign_in"


class Broken(Seen):
    """One that raises, whatever it is asked."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        raise RuntimeError(SECRET)

    def shutdown(self) -> None:
        raise RuntimeError(SECRET)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        raise RuntimeError(SECRET)


def processor(folder: Path, following: LogRecordProcessor | None, *, policy: bool = True) -> AuthAuditLogRecordProcessor:
    """A processor with a stream in *folder*."""
    options = config(folder, include_fields="username")
    journal = Journal(options.service_dir, "00000000000000aa", provider.envelope(Resource({})))
    made = Policy.of(options) if policy else None
    return AuthAuditLogRecordProcessor(following, stream=Stream(journal, Overflow()), policy=made, config=options)


def emit(ours: LogRecordProcessor, emission: Emission) -> None:
    """Send it through a real logger."""
    record = LogRecord(context=emission.context, event_name=emission.event.event)
    provider.emitter(Resource({"service.name": "app"}), ours)(ReadWriteLogRecord(record, Resource({}), provider.SCOPE))


def attributes(record: ReadWriteLogRecord) -> Mapping[str, Any]:
    """Those of a log record."""
    return record.log_record.attributes or {}


def test_what_comes_after_us_is_exactly_what_is_in_the_journal(tmp_path: Path) -> None:
    """The next processor gets the redacted record with number and hash: nothing more, nothing less, nothing raw beside it."""
    seen = Seen()
    emission = Emission(EVENT, "id-1")
    emit(processor(tmp_path, seen), emission)
    assert emission.kept
    (kept,), (copy,) = chain(service(tmp_path)), seen.records
    record = copy.log_record
    assert dict(attributes(copy)) == kept.attributes
    assert (record.event_name, record.timestamp, record.severity_number) == ("auth.sign_in", NOON, SeverityNumber.INFO)
    assert (record.trace_id, record.span_id) == (2**120, 2**60)
    assert record.body is None
    assert dict(record.context or {}) == {}
    assert SECRET not in repr(vars(copy)) + repr(vars(record))
    assert attributes(copy)[names.SEQUENCE_NUMBER] == 1


def test_the_sdk_does_not_cut_an_audit_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT=3` is meant for application logs: it would take the record's id."""
    for variable in ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"):
        monkeypatch.setenv(variable, "3")
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    emit(processor(tmp_path, SimpleLogRecordProcessor(exporter)), Emission(EVENT, "id-1"))
    (exported,) = exporter.get_finished_logs()
    (kept,) = chain(service(tmp_path))
    assert dict(exported.log_record.attributes or {}) == kept.attributes
    assert kept.attributes[names.RECORD_ID] == "id-1"


def test_times_are_whole_microseconds(tmp_path: Path) -> None:
    """Stores keep no more, so a verifier could not rebuild more."""
    emit(processor(tmp_path, None), Emission(replace(EVENT, time=NOON + 1999), "id-1"))
    assert chain(service(tmp_path))[0].time == NOON + 1000


def test_an_applications_own_log_passes_untouched(tmp_path: Path) -> None:
    """In an application's provider we stand in front of its other logs too: they are not ours to redact, and no audit records."""
    seen = Seen()
    logs = LoggerProvider(Resource({}), shutdown_on_exit=False)
    logs.add_log_record_processor(processor(tmp_path, seen))
    logs.get_logger("app").emit(LogRecord(body="hello", attributes={"password": SECRET}))
    (record,) = seen.records
    assert (record.log_record.body, dict(attributes(record))) == ("hello", {"password": SECRET})
    assert not service(tmp_path).exists()


@pytest.mark.guarded
def test_a_broken_processor_behind_us_breaks_nothing(tmp_path: Path) -> None:
    """It raises at every turn: the record is in the journal, and the application hears nothing of it."""
    ours, emission = processor(tmp_path, Broken()), Emission(EVENT, "id-1")
    emit(ours, emission)
    assert emission.kept
    assert len(chain(service(tmp_path))) == 1
    assert not ours.force_flush()
    ours.shutdown()


def test_without_a_policy_records_are_minimal(tmp_path: Path) -> None:
    """The keys could not be loaded: rather a record that says little than one that says too much."""
    emit(processor(tmp_path, None, policy=False), Emission(EVENT, "id-1"))
    (kept,) = chain(service(tmp_path))
    assert kept.attributes[names.OUTCOME] == "success"
    assert not {names.SUBJECT, names.IDENTITY, names.CLIENT_ADDRESS} & set(kept.attributes)


class Hostile(dict[str, Param]):
    """Parameters that cannot be looked at."""

    def items(self) -> Any:
        raise RuntimeError(SECRET)


@pytest.mark.guarded
def test_a_crash_of_redaction_leaves_a_minimal_record(tmp_path: Path) -> None:
    """Fails closed: that somebody signed in is recorded, nothing from outside is, and the crash is counted."""
    before, emission = guard.errors["pipeline.redaction"], Emission(replace(EVENT, params=Hostile(x=Param("y"))), "id-1")
    emit(processor(tmp_path, None), emission)
    assert guard.errors["pipeline.redaction"] == before + 1
    (kept,) = chain(service(tmp_path))
    assert kept.attributes[names.OUTCOME] == "success"
    assert kept.attributes[names.REDACTED] == "*:failed"
    assert not {names.SUBJECT, names.IDENTITY, names.CLIENT_ADDRESS, names.USER_AGENT} & set(kept.attributes)


def test_who_is_asked_whether_a_record_is_wanted(tmp_path: Path) -> None:
    """The next processor decides, where it can be asked; where there is none, nobody wants it."""
    assert processor(tmp_path, Choosy()).enabled(event_name="auth.sign_in")
    assert not processor(tmp_path, Choosy()).enabled(event_name="app.started")
    assert processor(tmp_path, Seen()).enabled(event_name="app.started")
    assert not processor(tmp_path, None).enabled(event_name="app.started")


def test_shutdown_and_flush_reach_the_next(tmp_path: Path) -> None:
    """The time that was given goes with them."""
    seen = Seen()
    ours = processor(tmp_path, seen)
    assert ours.force_flush(101)
    assert not ours.force_flush(100)
    ours.shutdown()
    assert seen.down
    assert processor(tmp_path, None).force_flush()
