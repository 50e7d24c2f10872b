"""Delivery: one thread that sends what the journal holds behind its cursor, and moves the cursor when it has truly arrived.

It never gives up: what was not acknowledged is sent again, for as long as the process lives, and after that by the next process.
What the receiver refuses for good is isolated and set aside, so that the rest gets through.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from opentelemetry.instrumentation.utils import suppress_instrumentation

from ..guard import guard
from ..journal.streams import Batch, Source
from .answers import Answer, Verdict
from .health import count_exported
from .otlp import Sender
from .pace import Pace, Portion, Schedule
from .words import Words

__all__ = ("Delivery", "Stats")

_log = logging.getLogger("opentelemetry_instrumentation_authaudit.delivery")
_WARN_AGAIN: Final = 60.0
_STUBBORN: Final = 10
"""So many refused records in a row are hardly each at fault: from here on only one is set aside at a time, with a long wait between."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What has happened so far, and what is left."""

    exported: int
    """Records that the receiver has acknowledged."""
    failed: int
    """Requests that were not acknowledged."""
    buried: int
    """Records that were set aside because the receiver refuses them."""
    depth: int
    """Records that are not acknowledged yet."""
    last: Answer | None
    """The answer to the last request."""


class _Step(Enum):
    """What came of one request."""

    GO_ON = auto()
    DRAINED = auto()
    WAIT = auto()


class Delivery:
    """Owns *source* and *sender*; belongs to the process that made it and does nothing in a forked child of it.

    `ring`, `flush`, `shutdown` and `stats` may be called from any thread, and never raise.
    """

    def __init__(
        self,
        source: Source,
        sender: Sender,
        *,
        max_size: int = 512,
        batching: bool = True,
        interval: float = 30.0,
        on_buried: Callable[[Batch], None] | None = None,
        pace: Pace | None = None,
        words: Words | None = None,
    ) -> None:
        """Starts nothing yet.

        *max_size* records at most go into a request; without *batching* every record has one of its own, except where Delivery has
        to catch up. Every *interval* seconds it looks for itself: at its own stream, and for those of processes that have died.
        *on_buried* is told, on Delivery's thread, of records that were set aside. *words* tell the operator what fails.
        """
        self._source = source
        self._words = words or Words()
        self._sender = sender
        self._batching = batching
        self._on_buried = on_buried
        self._pace = pace or Pace()
        self._portion = Portion(max_size)
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._schedule = Schedule(interval)
        self._asked = self._answered = 0  # numbers of flushes
        self._ended = self._behind = self._flushing = False
        self._refusals = 0  # in a row
        self._read_out: str | None = None  # the stream that the last request emptied
        self._exported = self._failed = self._buried = 0
        self._last: Answer | None = None
        self._warned: dict[str, float] = {}

    def start(self) -> None:
        """Begin, also without a record: adopt what dead processes left."""
        if self._process == os.getpid():
            with guard("delivery.start"), self._changed:
                self._start()

    def ring(self) -> None:
        """There is something to send now. While attempts fail, their pace goes on as it is."""
        if self._process == os.getpid():
            with guard("delivery.ring"), self._changed:
                self._schedule.ring(hurry=False)
                self._start()
                self._changed.notify_all()

    def flush(self, timeout: float, *, look: bool = False) -> bool:
        """Send everything; True only if all that was there at the call is acknowledged within *timeout* seconds.

        One attempt is made at once, unless the receiver asked for a pause. With *look*, what nobody rang for is looked for, too.
        """
        if self._process != os.getpid():
            return False
        with guard("delivery.flush"), self._changed:
            if self._ended:
                return self._source.depth() == 0
            self._asked += 1
            ticket, buried = self._asked, self._buried
            self._schedule.ring(hurry=True, look=look)
            self._start()
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: self._answered >= ticket or self._ended, timeout)
            return done and self._answered >= ticket and self._buried == buried
        return False

    def shutdown(self, timeout: float = 5.0, *, look: bool = False) -> bool:
        """Like `flush`, and then end; what is left waits in the journal for the next process. It may be called again."""
        if self._process != os.getpid():
            return False
        if self._ended:
            return self.flush(0)
        deadline = time.monotonic() + timeout
        done = self.flush(timeout, look=look)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
        return done

    @property
    def stats(self) -> Stats:
        """A snapshot for `authaudit doctor` and metrics."""
        depth = 0
        with guard("delivery.depth"):
            depth = self._source.depth()
        return Stats(self._exported, self._failed, self._buried, depth, self._last)

    def _start(self) -> None:
        """Have the thread running (again). Where none can be started (the interpreter ends) the journal keeps the records."""
        if not self._ended and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="authaudit-delivery", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        with suppress_instrumentation():
            try:
                while not self._ended:
                    self._outlive()
            finally:
                with guard("delivery.end"):
                    self._sender.close()
                    self._source.close()

    def _outlive(self) -> None:
        """A turn, once it is due. Whatever is raised in it costs an attempt: this thread is the records' only way out."""
        try:
            if self._await_turn():
                self._turn()
        except BaseException as error:  # a driver's SystemExit, gevent's Timeout, settings that the exporter does not understand
            self._failed += 1
            self._warn(type(error).__name__, self._words.failed)
            self._wait(self._pace.backoff(self._schedule.failures + 1))

    def _await_turn(self) -> bool:
        """Wait until something is due; False at the end."""
        with self._changed:
            while not self._ended:
                wait = self._schedule.due - time.monotonic()
                if wait <= 0:
                    return True
                self._changed.wait(wait)
            return False

    def _turn(self) -> None:
        """Send until everything that was there is acknowledged, or until there is a reason to wait."""
        self._read_out = None
        with self._changed:
            ticket = self._asked
            self._flushing = ticket > self._answered
            look = self._schedule.begin(time.monotonic())
        if look and self._source.adopt():
            self._behind = True
        step = _Step.GO_ON
        while step is _Step.GO_ON and not self._ended:
            step = self._step()
        if step is _Step.DRAINED:
            self._behind = False
            with self._changed:
                self._schedule.succeeded()
                self._answered = max(self._answered, ticket)
                self._changed.notify_all()

    def _step(self) -> _Step:
        limit = self._portion.size if self._batching or self._behind else 1
        batch = self._source.next(limit)
        if batch is None or self._is_news(batch, limit):
            return _Step.DRAINED
        begun = time.monotonic()
        self._last = answer = self._sender.send(batch)
        accepted = answer.verdict is Verdict.ACCEPTED
        count_exported(len(batch.records) if accepted else 0, time.monotonic() - begun, answer.verdict.name.lower())
        if accepted:
            return self._accepted(batch)
        self._failed += 1
        if answer.verdict is Verdict.REJECTED:
            return self._rejected(batch, answer)
        if answer.shrink:
            self._portion.shrink(len(batch.records))
        return self._failure(answer)

    def _is_news(self, batch: Batch, limit: int) -> bool:
        """Whether *batch* came in during the last request. In a flood there is always such a one, each smaller than the one before:
        it waits for the next ring, unless it is a whole request already, somebody flushes, or there is more that does not wait."""
        return not self._flushing and batch.all_there_was and batch.stream == self._read_out and len(batch.records) < limit

    def _accepted(self, batch: Batch) -> _Step:
        if self._schedule.failures:
            _log.info("Audit records are delivered again.")
        self._schedule.succeeded()
        self._refusals = 0
        self._read_out = batch.stream if batch.all_there_was else None
        self._exported += len(batch.records)
        self._portion.accepted(len(batch.records))
        try:
            self._source.acknowledge(batch)
        except OSError as error:  # it is remembered in memory, and the receiver knows the records by their id
            self._warn(type(error).__name__, self._words.not_noted)
        return _Step.GO_ON

    def _failure(self, answer: Answer) -> _Step:
        """The receiver takes nothing: try again later."""
        wrong = answer.verdict is Verdict.MISCONFIGURED
        self._warn(answer.detail, self._words.refused if wrong else self._words.failed)
        self._wait(self._pace.misconfigured() if wrong else self._pace.backoff(self._schedule.failures + 1), answer.after)
        return _Step.WAIT

    def _rejected(self, batch: Batch, answer: Answer) -> _Step:
        """The receiver does not take these: find the one it does not take, and set it aside."""
        self._behind = True
        if len(batch.records) > 1:
            self._portion.refused(len(batch.records))
            return _Step.GO_ON
        probe = self._sender.send(None)  # an empty request: where that is refused too, the fault is not the record's
        if probe.verdict is Verdict.REJECTED:
            return self._failure(Answer(Verdict.MISCONFIGURED, answer.detail))
        if probe.verdict is not Verdict.ACCEPTED:
            return self._failure(probe)
        return self._bury(batch, answer)

    def _bury(self, batch: Batch, answer: Answer) -> _Step:
        self._source.bury(batch, answer.detail)
        self._buried += len(batch.records)
        self._refusals += 1
        self._portion.isolated()
        self._warn(answer.detail, self._words.buried)
        if self._on_buried is not None:
            with guard("delivery.on_buried"):
                self._on_buried(batch)
        if self._refusals < _STUBBORN:
            return _Step.GO_ON
        pause = self._pace.misconfigured()
        self._wait(pause, pause)  # as if the receiver had asked for it: flushing does not set more aside
        return _Step.WAIT

    def _wait(self, seconds: float, asked: float | None = None) -> None:
        self._behind = True
        with self._changed:
            self._schedule.failed(time.monotonic(), seconds, None if asked is None else max(asked, self._pace.first))

    def _warn(self, cause: str, message: str) -> None:
        """One line for each cause and minute, on a thread whose instrumentation is suppressed: no log handler can feed it back."""
        now = time.monotonic()
        if now - self._warned.get(message + cause, -_WARN_AGAIN) < _WARN_AGAIN:
            return
        self._warned[message + cause] = now
        with guard("delivery.warn"):  # an application's logging handler may raise
            _log.warning(message, cause)
