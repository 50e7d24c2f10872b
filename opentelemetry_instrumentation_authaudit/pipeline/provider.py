"""Our own LoggerProvider: no foreign processor sees a raw value, no flood of logs evicts an audit record, no distro is needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider as ApiLoggerProvider
from opentelemetry._logs import LogRecord, get_logger_provider
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from ..config import Config, Exporter
from ..guard import guard
from ..journal.backlog import Backlog, Batch
from ..journal.line import Envelope
from ..model import names

if TYPE_CHECKING:
    from .delivery import Delivery

__all__ = ("SCOPE", "VERSION", "Forward", "delivering", "emitter", "envelope", "following", "resource")

VERSION: Final = metadata.version("opentelemetry-instrumentation-authaudit")
SCOPE: Final = InstrumentationScope("opentelemetry_instrumentation_authaudit", VERSION, names.SCHEMA_URL)


def resource() -> Resource:
    """The application's resource: of the global provider where one is set, else as the environment describes it."""
    for provider in (get_logger_provider(), trace.get_tracer_provider()):
        found = getattr(provider, "resource", None)
        if isinstance(found, Resource):
            return found
    try:
        return Resource.create()
    except RuntimeError:  # while the interpreter ends, the SDK's detectors get no threads any more
        return Resource.get_empty().merge(OTELResourceDetector().detect())


def envelope(described: Resource) -> Envelope:
    """What stands around every record of this process, as OTLP/JSON."""
    attributes = [{"key": key, "value": _value(value)} for key, value in sorted(described.attributes.items())]
    scope = {"name": SCOPE.name, "version": VERSION}
    return Envelope(_json({"attributes": attributes}), _json(scope), names.SCHEMA_URL.encode())


def delivering(
    config: Config, backlog: Backlog, on_buried: Callable[[Batch], None]
) -> tuple[Delivery, LogRecordProcessor] | None:
    """What sends the journal to an OTLP receiver, and the processor that rings it; None if its settings cannot be used.

    Then the journal keeps everything. *on_buried* hears of records that the receiver refuses for good.
    """
    size, batching = config.write_batching_max_size, config.write_batching_enabled
    with guard("pipeline.delivery"):  # at the interpreter's end neither what they import nor their threads can begin
        from .delivery import Delivery  # noqa: PLC0415 -- who only keeps a journal need not load OTLP (33 ms)
        from .doorbell import Doorbell  # noqa: PLC0415
        from .otlp import open_sender  # noqa: PLC0415

        sender = open_sender(config.otlp_protocol)
        delivery = Delivery(backlog, sender, max_size=size, batching=batching, on_buried=on_buried)
        return delivery, Doorbell(delivery, timeout=config.write_batching_timeout, max_size=size, batching=batching)
    return None


def following(config: Config) -> LogRecordProcessor | None:
    """What comes behind our processor where we deliver nothing ourselves: a provider of the user's, the console, or nothing."""
    if isinstance(config.logger_provider, ApiLoggerProvider):
        return Forward(config.logger_provider)
    if config.exporter is Exporter.CONSOLE:
        return SimpleLogRecordProcessor(ConsoleLogRecordExporter())
    return None


def emitter(described: Resource, processor: LogRecordProcessor) -> Callable[[ReadWriteLogRecord], None]:
    """`emit` of a logger whose provider has *processor* only. The pipeline shuts it down itself: it knows the order."""
    provider = LoggerProvider(resource=described, shutdown_on_exit=False)
    provider.add_log_record_processor(processor)
    emit: Any = provider.get_logger(SCOPE.name, SCOPE.version, SCOPE.schema_url).emit
    return cast("Callable[[ReadWriteLogRecord], None]", emit)  # takes ready-made records, though its hints do not say so


class Forward(LogRecordProcessor):
    """Emits clean records again, at a provider of the user's: with its resource, its limits, its processors."""

    def __init__(self, provider: ApiLoggerProvider) -> None:
        self._provider = provider
        self._logger = provider.get_logger(SCOPE.name, SCOPE.version, SCOPE.schema_url)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Emit a copy: the provider's records are its own."""
        clean = log_record.log_record
        copy = LogRecord(
            timestamp=clean.timestamp,
            observed_timestamp=clean.observed_timestamp,
            severity_number=clean.severity_number,
            event_name=clean.event_name,
            attributes=dict(clean.attributes or {}),
        )
        copy.trace_id, copy.span_id = clean.trace_id, clean.span_id
        self._logger.emit(copy)

    def shutdown(self) -> None:
        """The provider is its owner's to shut down."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the user's provider, if it can be."""
        flush = getattr(self._provider, "force_flush", None)
        return bool(flush(timeout_millis)) if flush is not None else True


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode("utf-8", "replace")


def _value(value: Any) -> dict[str, Any]:
    """OTLP/JSON's `AnyValue` (64-bit integers are strings)."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": str(value)}
