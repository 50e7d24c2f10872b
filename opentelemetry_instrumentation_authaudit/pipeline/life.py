"""What one process has of the pipeline, from its first record to its end: stream, journal, delivery, logger."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LogRecordLimits

from ..config import Config, Exporter, OnFull
from ..guard import errors, guard, warn
from ..journal.backlog import Backlog, Batch
from ..journal.overflow import Overflow
from ..journal.retention import Retention
from ..journal.signing import take_key
from ..journal.writer import Journal, JournalUnavailable
from ..model import names
from ..model.event import AuditEvent
from ..privacy.policy import Policy
from . import provider
from .evidence import Evidence
from .processor import AuthAuditLogRecordProcessor, Emission, ReadyRecord
from .record import record_id
from .stream import CHECKPOINT, Facts, Stream
from .upkeep import Upkeep

if TYPE_CHECKING:
    from .delivery import Delivery

__all__ = ("Life", "Sources")

_NS: Final = 1_000_000_000
_DAY: Final = 86_400 * _NS
BLOCK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where time and ids come from."""

    now: Callable[[], int] = time.time_ns
    """Nanoseconds since the epoch."""
    record_id: Callable[[], str] = record_id
    stream_id: Callable[[], str] = lambda: secrets.token_hex(8)
    """16 hex digits."""


class Life:
    """Made complete, but idle: `begin` starts its threads."""

    _delivery: Delivery | None

    def __init__(self, config: Config, sources: Sources, keep_up: Callable[[Life], float], *, deliver: bool) -> None:
        """*keep_up* is the upkeep's work; without *deliver* records only go to the journal."""
        self._config = config
        self._sources = sources
        self._wait = BLOCK_SECONDS if config.on_full is OnFull.BLOCK else 0.0
        self._resource = provider.resource()
        self._envelope = provider.envelope(self._resource)
        self._started = sources.now()
        self._checked = time.monotonic()
        self._retired = -1
        ours = config.exporter is Exporter.OTLP and config.logger_provider is None
        self._retention = Retention(config.service_dir, config.log_lifetime, config.max_journal_bytes, delivering=ours)
        self.journal = Journal(
            config.service_dir,
            sources.stream_id(),
            self._envelope,
            fsync=config.fsync,
            retention=self._retention,
            now=sources.now,
        )
        self._overflow = Overflow()
        key = take_key(config.signing_key_file) if config.signing_key_file is not None else None
        self.stream = Stream(self.journal, self._overflow, key=key, wait=self._wait)
        self.upkeep = Upkeep(lambda: keep_up(self))
        self.evidence = Evidence(self._retention.expired)
        self._backlog = Backlog(config.service_dir, self.stream.id, overflow=self._overflow, envelope=self._envelope)
        delivering = provider.delivering(config, self._backlog, self._refused) if ours and deliver else None
        self._delivery, following = delivering if delivering is not None else (None, provider.following(config))
        self._policy = _policy(config)
        self._processor = AuthAuditLogRecordProcessor(
            following,
            stream=self.stream,
            policy=self._policy,
            config=config,
        )
        self._emit = provider.emitter(self._resource, self._processor)
        self._limits = LogRecordLimits()

    def begin(self) -> None:
        """Start what runs in the background."""
        if self._delivery is not None:
            self._delivery.start()
        self.upkeep.wake()

    def emit(self, event: AuditEvent, facts: Facts | None = None) -> str | None:
        """Send *event* through the logger; its record id if it was kept."""
        emission = Emission(event, self._sources.record_id(), facts)
        record = LogRecord(context=emission.context, event_name=event.event)
        # Ready-made, because the logger would cut and copy the attributes of a plain one.
        self._emit(ReadyRecord(record, self._resource, provider.SCOPE, self._limits))
        if not emission.seen:
            warn(
                "pipeline.logger",
                "Nothing is audited: OpenTelemetry's logger %s is switched off. Let OTEL_PYTHON_LOGGER_CONFIGURATOR leave it on.",
                provider.SCOPE.name,
            )
        if event.event == CHECKPOINT and emission.kept:
            self._checked = time.monotonic()
        return emission.record_id if emission.kept else None

    def has_place(self) -> bool:
        """Whether a record would be kept now: in the journal, or in the memory that a delivery at work empties."""
        try:
            self.journal.probe()
        except JournalUnavailable:
            return self._delivery is not None and self._overflow.room(self._wait)
        return True

    def flush(self, timeout_s: float) -> bool:
        """Force the journal to the disk, deliver; whether everything was delivered within *timeout_s* seconds."""
        try:
            self.journal.sync()
        except OSError:
            return False
        return self._processor.force_flush(int(timeout_s * 1000))

    def close(self, timeout_s: float) -> bool:
        """End everything; what is not delivered within *timeout_s* seconds is left to the next process. Whether nothing is."""
        delivered = self._delivery.shutdown(timeout_s) if self._delivery is not None else not self._retention.delivering
        self._processor.shutdown()
        self.journal.close(done=delivered)
        lost = self.stream.lost + self._overflow.depth()
        if lost:
            warn("pipeline.lost", "%d audit records are lost: to the end the journal %s had no place.", lost, self.journal.folder)
        return delivered and not lost

    def forget(self) -> None:
        """In a forked child, at once: close our copies of the parent's files."""
        self.journal.forget()
        self._backlog.forget()

    def disown(self) -> None:
        """In a forked child, once it lives itself: end the thread that the SDK's batch processor began anew for the parent's."""
        self._processor.shutdown()

    def checkpoint_in(self) -> float:
        """Seconds until a checkpoint is due even if nothing happens."""
        return self._checked + self._config.checkpoint_seconds - time.monotonic()

    def maintain(self, tell: Callable[[], bool]) -> None:
        """Force the journal onto the disk; at the start and once a day apply the retention, when *tell* has told of it."""
        now = self._sources.now()
        try:
            self.journal.sync()
            if now // _DAY != self._retired:
                self._retired = now // _DAY
                self._retention.tidy(now, tell)
        except OSError as error:
            folder, why = self.journal.folder, os.strerror(error.errno or 0)
            warn("pipeline.maintain", "The audit journal %s cannot be synced or tidied up (%s). Check the disk.", folder, why)

    def _refused(self, batch: Batch) -> None:
        self.evidence.refused(batch)
        self.upkeep.wake()

    def begun(self, _stream: Stream) -> dict[str, str]:
        """Facts of `audit.start`."""
        return {names.RESOURCE_DIGEST: hashlib.sha256(self._envelope.resource).hexdigest()}

    def depth(self) -> int | None:
        """How many records are not acknowledged; None where nothing is delivered."""
        return self._backlog.depth() if self._delivery is not None else None

    def facts(self) -> dict[str, Any]:
        """What the lock file tells `authaudit doctor`."""
        return {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": self._started,
            "delivering": self._retention.delivering,
            "log_lifetime": self._config.log_lifetime,
            "hash_key": self._policy.keys.first.id if self._policy is not None else "",
            "guard_errors": dict(errors),
        }


def _policy(config: Config) -> Policy | None:
    """The privacy policy; None, which reduces records to the minimum, where it cannot be made."""
    with guard("pipeline.policy"):
        return Policy.of(config)
    return None
