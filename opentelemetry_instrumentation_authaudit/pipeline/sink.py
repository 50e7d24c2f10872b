"""The pipeline: from an event of the hooks to a record that a killed process does not lose.

It touches no signal. A handler could only set a flag, and then the process would no longer die of SIGTERM as it did before; and
nothing needs one, since a record is in the journal when the call returns, and what is not delivered yet is delivered by the next
process or by `authaudit ship`.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from ..config import Config
from ..guard import guard
from ..model.catalog import matches
from ..model.event import AuditEvent, RecordingRefused, Status
from .dedup import RequestAuthDedup
from .filters import recorded, wanted
from .health import Health, observe
from .life import Life, Sources
from .provider import VERSION
from .stream import CHECKPOINT, LOST, START, STOP, Facts, checkpoint, end, losses
from .typed import typed

__all__ = ("Pipeline",)

SHUTDOWN_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0

_pipelines: weakref.WeakSet[Pipeline] = weakref.WeakSet()


class Pipeline:
    """The sink (`model.event.Sink`) of one configuration. Nothing is opened or begun before the first request or event.

    A forked child begins a new stream, with files, lock, connections and threads of its own, when it has something to tell.
    """

    _life: Life | None
    _lock: threading.RLock
    _since: int

    def __init__(
        self,
        config: Config,
        *,
        sources: Sources | None = None,
        describe: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """*sources* gives time and ids (fixed ones for tests); *describe* adds to what the lock file tells `authaudit doctor`."""
        self.emitted = 0
        """Events that became records."""
        self.filtered = 0
        """Events that the options leave out."""
        self.dropped = 0
        """Events for which there was no place, or that could not be recorded for another reason."""
        self._config = config
        self._sources = sources or Sources()
        self._describe = describe
        self._dedup = RequestAuthDedup(self._tell, config.request_auth_dedup, config.trusted_proxies)
        self._wanted: dict[tuple[str, Status], bool] = {}
        self._ended = False
        self._inherited: list[Life] = []
        self._ancestors: list[Life] = []  # never collected: to destroy a parent's gRPC channel may hang
        self._begin_process()
        _pipelines.add(self)

    def begin(self) -> None:
        """A first request was seen: write `audit.start` if that has not been done."""
        if self._life is None and not self._config.sdk_disabled:
            with guard("pipeline.begin"), self._alone as alone:
                if alone:
                    self._living()

    def wants(self, event: str, status: Status) -> bool:
        """Whether any such event may be recorded; a refusal counts as filtered. A dictionary look-up, once each was asked for."""
        known = self._wanted.get((event, status))
        if known is None:
            known = self._wanted[event, status] = not self._config.sdk_disabled and wanted(event, status, self._config)
        if not known:
            self._count("filtered")
        return known

    def admit(self, event: str) -> None:
        """RecordingRefused if the option `strict` names *event*, and there is no place for its record now.

        A place is the journal or, while the disk is full, the memory of a delivery that is at work; `on_full=block` waits for the
        latter.
        """
        if self._config.sdk_disabled or not any(matches(pattern, event) for pattern in self._config.strict):
            return
        with guard("pipeline.admit"):
            if self._living().has_place():
                return
        raise RecordingRefused(
            f"{event} cannot be recorded in the audit journal {self._config.service_dir}, and the option strict says that it "
            f"must be, so it was refused. Make room on the disk, or make the folder writable for this process."
        )

    def __call__(self, event: AuditEvent) -> str | None:
        """Record *event*; its record id once that is kept, None if it was filtered or lost. Never raises."""
        if self._config.sdk_disabled:
            return None
        with guard("pipeline.sink"):
            return self._dedup(typed(event))
        return None

    def tell(self, event: AuditEvent, facts: Mapping[str, str]) -> str | None:
        """Record *event*, one of the audit itself, with *facts* as attributes of its own; else as a call."""
        with guard("pipeline.sink"):
            return None if self._config.sdk_disabled else self._emit(event, lambda _stream: facts)
        return None

    def force_flush(self, timeout_s: float = SHUTDOWN_SECONDS) -> bool:
        """Force the journal to the disk and deliver everything; whether that was done within *timeout_s* seconds."""
        life = self._life
        with guard("pipeline.flush"):
            return life is None or life.flush(timeout_s)
        return False

    def shutdown(self, timeout_s: float = SHUTDOWN_SECONDS) -> bool:
        """End the stream in good order (`audit.stop`), deliver for at most *timeout_s* seconds; whether everything is delivered.

        What is told later (by threads that outlive us) begins a stream that only goes to the journal.
        """
        deadline = time.monotonic() + timeout_s
        with guard("pipeline.shutdown"):
            self._dedup.shutdown()
            with self._lock:
                life, self._life, self._ended = self._life, None, True
            atexit.unregister(self.shutdown)
            if life is None:
                return True
            life.upkeep.stop()
            with self._alone:
                self._tell_news(life)
                self._report(life, STOP, end)
            return life.close(max(0.0, deadline - time.monotonic()))
        return False

    def _tell(self, event: AuditEvent) -> str | None:
        with guard("pipeline.tell"):
            if not recorded(event, self._config):
                self._count("filtered")
                return None
            record_id = self._emit(event)
            self._count("emitted" if record_id is not None else "dropped")
            return record_id
        self._count("dropped")
        return None

    def _emit(self, event: AuditEvent, facts: Facts | None = None) -> str | None:
        with self._alone as alone:
            if not alone:  # what our own telling does (an exporter that authenticates, a signal handler in the midst of it)
                return None
            life = self._living()
            record_id = life.emit(event, facts)
            if record_id is None and life.stream.ended:  # shut down by another thread in this moment
                life = self._living()
                record_id = life.emit(event, facts)
            if record_id is not None:
                self._look_after(life)
            life.upkeep.wake()
            return record_id

    def _look_after(self, life: Life) -> None:
        """What a record may make due."""
        if life.stream.lost:
            self._report(life, LOST, losses)
        if life.stream.unchecked >= self._config.checkpoint_records:
            self._report(life, CHECKPOINT, checkpoint)

    def _keep_up(self, life: Life) -> float:
        """The upkeep's work; after how many seconds it is wanted again."""
        life.journal.describe(self._facts(life))
        with self._alone:
            self._tell_news(life)
            life.maintain(lambda: self._tell_news(life))
            if life.stream.recover() and life.stream.lost:
                self._report(life, LOST, losses)
            if life.checkpoint_in() <= 0:
                self._report(life, CHECKPOINT, checkpoint)
        return RETRY_SECONDS if life.stream.waiting else max(life.checkpoint_in(), RETRY_SECONDS)

    def _living(self) -> Life:
        """The life of this process, begun if need be."""
        life = self._life
        if life is not None:
            return life
        with self._lock:
            if self._life is None:
                life = Life(self._config, self._sources, self._keep_up, deliver=not self._ended)
                life.journal.describe(self._facts(life))
                self._report(life, START, life.begun, self._since)
                life.begin()
                self._life = life
                while self._inherited:
                    self._ancestors.append(self._inherited.pop())
                    self._ancestors[-1].disown()
                atexit.unregister(self.shutdown)
                atexit.register(self.shutdown)
                _observe()
            return self._life

    def _tell_news(self, life: Life) -> bool:
        return life.evidence.tell(lambda event, facts: self._report(life, event, lambda _stream: facts) is not None)

    def _report(self, life: Life, event: str, facts: Facts, at: int | None = None) -> str | None:
        """A record of the audit itself, of this moment or of *at*; its id if it was kept."""
        time_ns = self._sources.now() if at is None else at
        return life.emit(AuditEvent(event=event, status=Status.SUCCESS, time=time_ns, library=f"authaudit {VERSION}"), facts)

    def _facts(self, life: Life) -> dict[str, Any]:
        return {**life.facts(), **self._describe()}

    def _health(self) -> Health:
        life = self._life
        return Health(self.emitted, self.dropped, life.depth() if life is not None else None)

    def _count(self, counter: str) -> None:
        with self._counting:
            setattr(self, counter, getattr(self, counter) + 1)

    def _begin_process(self) -> None:
        self._life = None
        self._since = self._sources.now()  # the time of `audit.start`: before everything that is told, though written with it
        self._lock = threading.RLock()
        self._counting = threading.Lock()
        self._alone = _Alone()

    def _forked(self) -> None:
        """In the child of a fork: everything so far is the parent's, and locks may be held by threads that do not exist here."""
        life = self._life
        self.emitted = self.filtered = self.dropped = 0  # what the parent counted, the parent reports
        self._begin_process()
        if life is not None:
            self._inherited.append(life)
            with guard("pipeline.fork"):
                life.forget()


class _Alone(threading.local):
    """Whether this thread is not telling something already (`with ... as alone`); until the end of the block it is."""

    depth = 0

    def __enter__(self) -> bool:
        self.depth += 1
        return self.depth == 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


@cache
def _observe() -> None:
    """Once for a process and its children."""
    with guard("pipeline.health"):
        observe(lambda: [pipeline._health() for pipeline in list(_pipelines)])  # noqa: SLF001 -- its own module


def _after_fork() -> None:
    for pipeline in list(_pipelines):
        pipeline._forked()  # noqa: SLF001 -- its own module


os.register_at_fork(after_in_child=_after_fork)
