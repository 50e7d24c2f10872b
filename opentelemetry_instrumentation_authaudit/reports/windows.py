"""What happened within a span of time up to now: the moving windows that detections look through."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from typing import Final

from .attempts import Attempt

__all__ = ("Window", "Windows")

MOST_ATTEMPTS: Final = 10_000
"""Of a window: under a flood it becomes shorter instead of greater, and is far beyond every threshold by then."""
MOST_WINDOWS: Final = 100_000
"""Those that were looked at longest ago are given up first."""


class Window:
    """The attempts of one account, or from one address, and their counts, kept up to date one by one."""

    __slots__ = ("_most", "_with_tries", "accounts", "addresses", "attempts", "failures", "tries")

    def __init__(self, most: int = MOST_ATTEMPTS) -> None:
        self._most = most
        self.attempts: deque[Attempt] = deque()
        self.tries = 0
        self.failures = 0
        self.accounts: Counter[str] = Counter()
        """Failed tries, by account."""
        self.addresses: Counter[str] = Counter()
        """Failed tries, by client address."""
        self._with_tries: Counter[int] = Counter()

    def add(self, attempt: Attempt) -> None:
        """Take in the newest attempt."""
        if len(self.attempts) == self._most:
            self._leave(self.attempts.popleft())
        self.attempts.append(attempt)
        self.tries += attempt.tries
        if attempt.failed:
            self._count(attempt, attempt.tries)

    def move(self, begin: int) -> None:
        """Forget what was before *begin*."""
        while self.attempts and self.attempts[0].time < begin:
            self._leave(self.attempts.popleft())

    @property
    def failed_share(self) -> float:
        """Of all tries, how many failed."""
        return self.failures / self.tries if self.tries else 0.0

    def share_with(self, fewest: int, most: int) -> float:
        """Of all accounts that failed, how many did so from *fewest* to *most* times."""
        fitting = sum(self._with_tries[tries] for tries in range(fewest, most + 1))
        return fitting / len(self.accounts) if self.accounts else 0.0

    def spread(self) -> int:
        """Nanoseconds from the first failure to the last."""
        first = next((attempt.time for attempt in self.attempts if attempt.failed), 0)
        last = next((attempt.time for attempt in reversed(self.attempts) if attempt.failed), 0)
        return last - first

    def successes(self) -> Iterator[Attempt]:
        """Those who got in."""
        return (attempt for attempt in self.attempts if attempt.succeeded)

    def _leave(self, attempt: Attempt) -> None:
        self.tries -= attempt.tries
        if attempt.failed:
            self._count(attempt, -attempt.tries)

    def _count(self, attempt: Attempt, tries: int) -> None:
        self.failures += tries
        before = self.accounts.get(attempt.account, 0)
        for counter, key in ((self.accounts, attempt.account), (self.addresses, attempt.address)):
            if key:
                counter[key] += tries
                if not counter[key]:
                    del counter[key]
        if attempt.account:
            self._with_tries[before] -= 1
            self._with_tries[before + tries] += 1


class Windows:
    """A window for each key, of which only those live that something happened in lately."""

    def __init__(self, span: int, most: int = MOST_WINDOWS) -> None:
        """*span* is in nanoseconds."""
        self._span, self._most = span, most
        self._windows: OrderedDict[str, Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def add(self, key: str, attempt: Attempt, *, begins: bool = True) -> Window | None:
        """The window of *key* with *attempt* in it. None where there is none and this attempt does not *begin* one."""
        begin = attempt.time - self._span
        window = self._windows.get(key)
        if window is None:
            if not begins:
                return None
            window = self._windows[key] = Window()
        else:
            self._windows.move_to_end(key)
            window.move(begin)
        window.add(attempt)
        self._forget(begin)
        return window

    def _forget(self, begin: int) -> None:
        while self._windows:
            key, oldest = next(iter(self._windows.items()))
            if len(self._windows) <= self._most and oldest.attempts and oldest.attempts[-1].time >= begin:
                return
            del self._windows[key]
