"""The processor in front of all others: redact, chain, journal, and only then pass a clean copy on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context, create_key
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord

from ..config import Config
from ..guard import guard
from ..journal.canonical import CanonicalRecord
from ..model import names
from ..model.event import AuditEvent
from ..privacy.policy import Policy, minimal
from ..privacy.sanitise import cap, clean
from .record import attributes, severity
from .stream import Facts, Stream

__all__ = ("AuthAuditLogRecordProcessor", "Emission", "ReadyRecord")

_KEY = create_key("authaudit-emission")


@dataclass(slots=True)
class Emission:
    """An event on its way from the sink to the processor. It travels in the log record's context, where nobody else looks."""

    event: AuditEvent
    record_id: str
    facts: Facts | None = None
    """Attributes of the stream's own records, which need no redaction."""
    seen: bool = False
    """Set by the processor: the SDK's logger passed it on."""
    kept: bool = False
    """Set by the processor once the record is in the journal, or at least in memory."""

    @property
    def context(self) -> Context:
        """The context to emit it with."""
        return Context({_KEY: self})

    @classmethod
    def of(cls, record: LogRecord) -> Emission | None:
        """The emission that *record* carries; None for a record that is not from our sink."""
        found = record.context.get(_KEY) if record.context else None
        return found if isinstance(found, cls) else None


class ReadyRecord(ReadWriteLogRecord):
    """A record of ours. Its attributes, if it has any, are clean and capped: the SDK need not copy, count and cut them once more."""

    def __post_init__(self) -> None:
        """Nothing, where the SDK would do that."""


class AuthAuditLogRecordProcessor(LogRecordProcessor):
    """Wraps the next processor, so that nothing raw can get past it; never raises.

    It fails closed: where redaction crashes, a record with nothing from outside takes the event's place. A record that did not
    come from our sink (an application's own log, where the processor stands in an application's provider) is no audit record: it
    is passed on as it came, neither redacted nor journaled, because the journal attests only what this package saw itself.
    """

    def __init__(self, following: LogRecordProcessor | None, *, stream: Stream, policy: Policy | None, config: Config) -> None:
        """*following* gets the clean copies; without a *policy* every record is reduced to the minimum.

        A processor with a method `on_kept` gets no copies: it only wants to know that there is another record.
        """
        self._following = following
        self._on_kept: Callable[[], None] | None = getattr(following, "on_kept", None)
        self._stream = stream
        self._policy = policy
        self._config = config

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Keep the record, then pass it on. On return `Emission.kept` says whether it is kept."""
        emission = Emission.of(log_record.log_record)
        if emission is None:
            self._pass_on(log_record)
            return
        emission.seen = True
        kept = self._keep(emission)
        emission.kept = kept is not None
        if kept is not None and self._following is not None:
            with guard("pipeline.following"):
                if self._on_kept is not None:
                    self._on_kept()
                else:
                    self._pass_on(_copy(kept, log_record))

    def enabled(self, **asked: Any) -> bool:
        """Whether the next processor wants such a record. For loggers of others: our sink does not ask, the journal takes all."""
        ask = getattr(self._following, "enabled", None)  # the SDK has it since 1.45
        if ask is None:
            return self._following is not None
        return bool(ask(**asked))

    def shutdown(self) -> None:
        """Shut the next processor down. The stream is its owner's to end."""
        if self._following is not None:
            with guard("pipeline.following"):
                self._following.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the next processor; the journal has everything already."""
        if self._following is None:
            return True
        with guard("pipeline.following"):
            return self._following.force_flush(timeout_millis)
        return False

    def _keep(self, emission: Emission) -> CanonicalRecord | None:
        redacted = self._redacted(emission)
        with guard("pipeline.keep") as caught:
            return self._stream.add(self._canonical(emission.event, redacted), emission.facts)
        if caught.failed:
            with guard("pipeline.keep_minimal"):
                return self._stream.add(self._canonical(emission.event, minimal(redacted)), emission.facts)
        return None

    def _redacted(self, emission: Emission) -> dict[str, str]:
        event = emission.event
        raw: dict[str, Any] = {}
        with guard("pipeline.redaction"):
            raw = attributes(event, record_id=emission.record_id, config=self._config)
            if self._policy is not None:
                return self._policy.apply(raw, event)
        return minimal(raw or self._least(emission))

    def _least(self, emission: Emission) -> dict[str, Any]:
        """What is known of a record though its attributes could not be put together."""
        return {
            names.RECORD_ID: emission.record_id,
            names.LOG: self._config.log_name,
            names.SCHEMA: names.SCHEMA_VERSION,
            names.STRATEGY: emission.event.strategy.value,
            names.OUTCOME: emission.event.status.value,
        }

    def _canonical(self, event: AuditEvent, redacted: dict[str, str]) -> CanonicalRecord:
        return CanonicalRecord(
            event=cap(clean(event.event)),
            time=event.time // 1000 * 1000,
            attributes=redacted,
            severity=severity(event, self._config),
            trace_id=event.trace_id,
            span_id=event.span_id,
        )

    def _pass_on(self, record: ReadWriteLogRecord) -> None:
        if self._following is not None:
            self._following.on_emit(record)


def _copy(kept: CanonicalRecord, original: ReadWriteLogRecord) -> ReadWriteLogRecord:
    """A log record of what was kept, and nothing of what was emitted."""
    record = LogRecord(
        timestamp=kept.time,
        observed_timestamp=time.time_ns(),
        severity_number=SeverityNumber(kept.severity) if kept.severity else None,
        event_name=kept.event,
    )
    record.context = Context()  # an empty one as argument means the current one
    record.trace_id, record.span_id = kept.trace_id, kept.span_id
    record.attributes = kept.attributes
    # No plain one of the SDK's, which would cut them to OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT.
    return ReadyRecord(record, original.resource, original.instrumentation_scope, original.limits)
