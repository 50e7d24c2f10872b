"""One thread for what is due in the background: forcing the journal to the disk, recovering from a full one, checkpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from ..guard import guard

__all__ = ("Upkeep",)

_GATHER: Final = 1.0
"""Seconds from the first unsynced record to the work: fsync policy `interval`."""


class Upkeep:
    """Does *work* a second after `wake`, and when *work* itself wants to be done again. A daemon thread, begun by `wake`."""

    def __init__(self, work: Callable[[], float]) -> None:
        """*work* returns after how many seconds it wants to be done again."""
        self._work = work
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """There is something to do."""
        if not self._woken.is_set():
            self._woken.set()
            if self._thread is None and not self._stopped.is_set():
                self._start()

    def stop(self) -> None:
        """Do no more work; what is being done is waited for, for a moment."""
        self._stopped.set()
        self._woken.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(_GATHER)

    def _start(self) -> None:
        with guard("pipeline.upkeep"):  # no thread can be started while the interpreter ends: the journal is closed then anyway
            self._thread = threading.Thread(target=self._run, name="authaudit-upkeep", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        rest = _GATHER
        while not self._stopped.is_set():
            if self._woken.wait(rest) and self._stopped.wait(_GATHER):
                return
            self._woken.clear()
            rest = _GATHER
            with guard("pipeline.upkeep"):
                rest = self._work()
