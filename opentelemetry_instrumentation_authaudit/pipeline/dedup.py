"""Option `request_auth_dedup`: a client that sends the same bad credentials again and again is told of twice, not 1,000 times.

The first refusal is recorded at once; at the end of the window one more record says how often it was repeated.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ..guard import guard
from ..model.event import AuditEvent, Status
from ..privacy.client import TrustedProxies, client_of
from .filters import PER_REQUEST

__all__ = ("RequestAuthDedup",)

_Tell: TypeAlias = Callable[[AuditEvent], "str | None"]
_Key: TypeAlias = tuple["str | None", ...]

MAX_WINDOWS: Final = 10_000
"""Windows open at a time; where one more is needed the oldest ends early."""


@dataclass(slots=True)
class _Window:
    ends: float
    last: AuditEvent
    repeats: int = 0


class RequestAuthDedup:
    """A sink in front of a sink. Call it for every event; call `shutdown` at the end, or what waits in open windows is lost."""

    def __init__(
        self,
        tell: _Tell,
        window: float,
        trusted: TrustedProxies = (),
        clock: Callable[[], float] = time.monotonic,
        limit: int = MAX_WINDOWS,
    ) -> None:
        """*tell* is the sink behind; *window* is in seconds, 0 lets everything pass; *trusted* decides who the client is."""
        self._tell = tell
        self._seconds = window
        self._trusted = trusted
        self._clock = clock
        self._limit = limit
        self._begin()

    def __call__(self, event: AuditEvent) -> str | None:
        """Tell the event, or count it: then there is no record yet, and the answer is None."""
        if self._seconds <= 0 or event.event not in PER_REQUEST or event.status is not Status.FAILURE:
            return self._tell(event)
        if self._pid != os.getpid():  # the windows of before the fork are the parent's to tell
            self._begin()
        key, now = self._key(event), self._clock()
        self.sweep(now)
        with self._lock:
            window = self._windows.get(key)
            if window is not None:
                window.repeats += 1
                window.last = event
                return None
            ended = [self._windows.popitem(last=False)[1]] if len(self._windows) >= self._limit else []
            self._windows[key] = _Window(now + self._seconds, event)
        self._tell_repeats(ended)
        self._start()
        return self._tell(event)

    def sweep(self, now: float) -> None:
        """Tell the repeats of every window that has ended by *now*."""
        ended = []
        with self._lock:
            while self._windows and next(iter(self._windows.values())).ends <= now:
                ended.append(self._windows.popitem(last=False)[1])
        self._tell_repeats(ended)

    def shutdown(self) -> None:
        """Tell the repeats of all windows now. Events may still come: each is then told or counted as before."""
        if self._pid == os.getpid():
            self.sweep(float("inf"))
            with self._lock:
                self._wake.notify()

    def _begin(self) -> None:
        """A new life: at first, and in a forked child, which has neither the thread nor a lock that surely is free."""
        self._pid = os.getpid()
        self._windows: OrderedDict[_Key, _Window] = OrderedDict()  # all are of one length: the oldest ends first
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._sweeper: threading.Thread | None = None

    def _key(self, event: AuditEvent) -> _Key:
        client = client_of(event.request, self._trusted).address if event.request is not None else None
        return event.event, event.subject or event.identity, client, event.reason and event.reason.value

    def _tell_repeats(self, ended: list[_Window]) -> None:
        for window in ended:
            if window.repeats:
                self._tell(replace(window.last, repeats=window.repeats))

    def _start(self) -> None:
        """See to it that a thread waits for the windows to end; a daemon, so it keeps no process alive."""
        with self._lock:
            if not self._windows or (self._sweeper is not None and self._sweeper.is_alive()):
                return
            with guard("pipeline.dedup"):  # no thread can be started while the interpreter ends: `shutdown` tells the rest
                self._sweeper = threading.Thread(target=self._sweep_while_open, name="authaudit-dedup", daemon=True)
                self._sweeper.start()

    def _sweep_while_open(self) -> None:
        while self._wait():
            with guard("pipeline.dedup"):
                self.sweep(self._clock())

    def _wait(self) -> bool:
        """Wait for the oldest window to end; False once none is open, and then the thread is no longer the sweeper."""
        with self._lock:
            first = next(iter(self._windows.values()), None)
            if first is None:
                self._sweeper = None
                return False
            self._wake.wait(max(0.0, first.ends - self._clock()))
            return True
