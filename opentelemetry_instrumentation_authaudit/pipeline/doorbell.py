"""The doorbell: the SDK's `BatchLogRecordProcessor` as clock and switch, never as a queue that could lose something.

Behind a batch processor alone an overflow drops records, `force_flush` says True though the export failed, and an idle process
never tries again. Here it holds one record at most, whose only purpose is that the processor calls its exporter when its schedule
says so. The exporter rings Delivery, which sends what the journal holds. Whoever asks whether everything has arrived is answered by
Delivery, not by the SDK: `Doorbell.force_flush` and `Doorbell.shutdown`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

from opentelemetry._logs import LogRecord
from opentelemetry.context import Context, create_key
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult

from .delivery import Delivery

__all__ = ("Bell", "Doorbell")

_QUEUE: Final = 2048
_NOTHING: Final = Context({create_key("authaudit-bell"): True})  # an empty one would mean the current one


class Doorbell(LogRecordProcessor):
    """The last processor of the chain. `force_flush` tells the truth; `shutdown` ends Delivery within its default time.

    Who wants the truth about a shutdown, or another time, calls `Delivery.shutdown(timeout)` first.
    """

    def __init__(self, delivery: Delivery, *, timeout: float, max_size: int, batching: bool = True) -> None:
        """*timeout* seconds after a record at the latest, or when there are *max_size*, Delivery is rung; without *batching* at once."""
        self._delivery = delivery
        self._max_size = max_size
        self._process = os.getpid()
        self._counter = count(1)
        self._waiting = False
        self._batch: LogRecordProcessor | None = None
        if batching:
            self._batch = BatchLogRecordProcessor(
                Bell(delivery, on_rung=self._reset),
                schedule_delay_millis=max(timeout * 1000, 1),
                max_export_batch_size=max_size,
                max_queue_size=max(_QUEUE, max_size),
            )

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Note that a record is in the journal."""
        self.on_kept()

    def on_kept(self) -> None:
        """The same, without a copy of the record: to make one for every record would cost as much as to write it."""
        if self._process != os.getpid():  # the SDK empties its queue in a forked child
            self._process = os.getpid()
            self._reset()
        if self._batch is None or next(self._counter) % self._max_size == 0:
            self._delivery.ring()
        if self._batch is not None and not self._waiting:
            self._waiting = True
            self._batch.on_emit(ReadWriteLogRecord(LogRecord(context=_NOTHING)))

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Deliver everything; True only if all of it is acknowledged in time."""
        return self._delivery.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """End the batch processor, then Delivery."""
        if self._batch is not None:
            self._batch.shutdown()
        self._delivery.shutdown()

    def _reset(self) -> None:
        self._counter = count(1)
        self._waiting = False


class Bell(LogRecordExporter):
    """The exporter under the batch processor: exports nothing, rings."""

    def __init__(self, delivery: Delivery, on_rung: Callable[[], None]) -> None:
        self._delivery = delivery
        self._on_rung = on_rung

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Ring. That is a success whatever becomes of the records: they are in the journal."""
        self._on_rung()  # first, so that a record that comes now rings again
        self._delivery.ring()
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        """See `Doorbell.force_flush`."""
        return self._delivery.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Delivery is the doorbell's to end."""
