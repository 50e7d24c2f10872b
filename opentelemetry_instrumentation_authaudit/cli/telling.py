"""How a command that changes something is recorded: as an event in a stream of its own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType

from ..config import Config
from ..journal.streams import Batch, Streams
from ..model.event import AuditEvent, RecordingRefused, Status
from ..pipeline.life import Sources
from ..pipeline.provider import VERSION
from ..pipeline.sink import Pipeline
from ..stores.recorder import operator
from .main import UNFINISHED, CliError

__all__ = ("Telling",)


class Telling:
    """A context in which *event* can be recorded; at its end the stream is closed in good order."""

    def __init__(self, config: Config, event: str) -> None:
        """CliError if it could not be recorded now: what cannot be recorded is not done."""
        self.stream = secrets.token_hex(8)
        self._event, self._config = event, config
        # It deletes nothing: the environment of a command may not be that of the application whose journals these are.
        own = replace(config, sdk_disabled=False, strict=frozenset({event}), log_lifetime=None, max_journal_bytes=None)
        sources = Sources(stream_id=lambda: self.stream)
        self._pipeline = Pipeline(own, sources=sources, describe=lambda: {"log_lifetime": config.log_lifetime})
        try:
            self._pipeline.admit(event)
        except RecordingRefused:
            self._pipeline.shutdown()
            raise CliError(self._unrecorded(), UNFINISHED) from None

    def __enter__(self) -> Telling:
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._pipeline.shutdown()

    def tell(self, status: Status, resource: str, facts: Mapping[str, str], action: str | None = None) -> None:
        """Record it, done by the user of this process. CliError if it is not kept."""
        event = AuditEvent(
            event=self._event,
            status=status,
            time=time.time_ns(),
            library=f"authaudit {VERSION}",
            action=action,
            resource=resource,
            actor=operator(),
        )
        if self._pipeline.tell(event, facts) is None:
            raise CliError(self._unrecorded(), UNFINISHED)

    def batch(self) -> Batch | None:
        """Everything in the stream, once it is closed."""
        return Streams(self._config.service_dir, self._config.service_dir).next(self.stream, 1000)

    def _unrecorded(self) -> str:
        return f"{self._event} cannot be recorded in {self._config.service_dir}: make room there, or let this user write it"
