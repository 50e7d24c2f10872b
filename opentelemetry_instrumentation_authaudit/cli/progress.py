"""How far a long command has come: one line on stderr, where a person looks on."""

from __future__ import annotations

import sys
import time
from typing import Final

__all__ = ("Counting", "Progress")

_WIDTH: Final = 30
_EVERY: Final = 0.1  # seconds
_PATIENCE: Final = 0.5  # seconds without a line: most commands are done by then


class Progress:
    """Call it with the amount that was done; `finish` takes the line away."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, max(total, 1), 0
        self._begun = self._shown = time.monotonic()
        self._wanted = sys.stderr.isatty()
        self._visible = False

    def __call__(self, amount: int) -> None:
        """So much more is done."""
        self._done += amount
        if self._wanted and (now := time.monotonic()) - self._shown >= _EVERY and now - self._begun >= _PATIENCE:
            self._shown, self._visible = now, True
            print(f"\r{self._line(now)}", end="", file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Leave the line empty for what comes next."""
        if self._visible:
            print(f"\r{' ' * len(self._line(time.monotonic()))}\r", end="", file=sys.stderr, flush=True)

    def _line(self, now: float) -> str:
        share = min(self._done / self._total, 1.0)
        left = (now - self._begun) / max(share, 0.001) * (1 - share)
        bar = "#" * int(share * _WIDTH)
        return f"{self._what} [{bar:.<{_WIDTH}}] {share:4.0%}, {left:3.0f} s left"


class Counting(Progress):
    """Where nobody knows how much there is."""

    def __init__(self, what: str) -> None:
        super().__init__(what, 0)

    def _line(self, now: float) -> str:
        return f"{self._done:,} {self._what}, {now - self._begun:3.0f} s"
