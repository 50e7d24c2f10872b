"""How the audit itself fares, as metrics of the application's global `MeterProvider`; without one they cost nothing.

Names and units follow OpenTelemetry's semantic conventions for metrics. What counts every record is observed when metrics are
collected, not counted again for each record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Histogram, Observation

from ..guard import errors, guard

__all__ = ("Health", "count_exported", "observe")

_METER: Final = "opentelemetry_instrumentation_authaudit"
_RECORDS: Final = "{record}"


@dataclass(frozen=True, slots=True)
class Health:
    """The state of one pipeline."""

    emitted: int
    """Records kept since this process began."""
    dropped: int
    """Records that found no place, since then."""
    depth: int | None
    """Records that are not acknowledged by the receiver yet; None where nothing is delivered."""


def observe(states: Callable[[], Iterable[Health]]) -> None:
    """Offer the metrics, once for a process; *states* is asked when they are collected."""
    meter = metrics.get_meter(_METER)

    def total(pick: Callable[[Health], int | None]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def collect(_options: CallbackOptions) -> Iterable[Observation]:
            with guard("pipeline.health"):
                found = [value for value in map(pick, states()) if value is not None]
                return [Observation(sum(found))] if found else []
            return []

        return collect

    meter.create_observable_counter(
        "audit.records.emitted", [total(lambda health: health.emitted)], _RECORDS, "Audit records that were kept"
    )
    meter.create_observable_counter(
        "audit.records.dropped", [total(lambda health: health.dropped)], _RECORDS, "Audit records that found no place"
    )
    meter.create_observable_up_down_counter(
        "audit.queue.depth",
        [total(lambda health: health.depth)],
        _RECORDS,
        "Audit records that the receiver has not acknowledged",
    )
    meter.create_observable_counter("audit.guard.errors", [_guard_errors], "{error}", "Exceptions of the audit's own code")


def count_exported(records: int, seconds: float, outcome: str) -> None:
    """A request with *records* took *seconds*; *outcome* says how the receiver answered."""
    with guard("pipeline.health"):
        exported, duration = _instruments()
        if records:
            exported.add(records)
        duration.record(seconds, {"audit.export.outcome": outcome})


@cache
def _instruments() -> tuple[metrics.Counter, Histogram]:
    meter = metrics.get_meter(_METER)
    exported = meter.create_counter("audit.records.exported", _RECORDS, "Audit records that the receiver has acknowledged")
    return exported, meter.create_histogram("audit.export.duration", "s", "Time that the receiver took to answer a request")


def _guard_errors(_options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(count, {"audit.guard.site": site}) for site, count in errors.copy().items()]
