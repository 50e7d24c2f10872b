"""How much is sent at once, when, and how soon again: small pieces of arithmetic, free of clocks and threads."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ("Pace", "Portion", "Schedule")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between attempts."""

    first: float = 1.0
    """After the first failure; doubled with each further one."""
    longest: float = 30.0
    slow: float = 60.0
    """Where only a person can mend it."""

    def backoff(self, failures: int) -> float:
        """After so many failures in a row (1 is the first), with jitter: many processes must not come back at the same moment."""
        return self._jitter(min(self.longest, self.first * 2.0 ** min(failures - 1, 32)))

    def misconfigured(self) -> float:
        """After an answer that will be the same until somebody changes something."""
        return self._jitter(self.slow)

    @staticmethod
    def _jitter(seconds: float) -> float:
        return seconds * random.uniform(0.75, 1.25)  # noqa: S311 -- no secret


class Portion:
    """How many records the next request holds, at most *most*.

    After a refusal the records of that request are searched for the one it was about, by halving; after a request that was perhaps
    too much, the next ones are smaller and grow again.
    """

    __slots__ = ("_suspects", "most", "size")

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = most
        self._suspects = 0  # of the next records, how many contain a refused one

    def accepted(self, count: int) -> None:
        """A request of *count* records has arrived."""
        self._suspects = max(0, self._suspects - count)
        self.size = max(1, self._suspects // 2) if self._suspects else min(self.most, self.size * 2)

    def refused(self, count: int) -> None:
        """One of *count* records was refused."""
        self._suspects = count
        self.size = max(1, count // 2)

    def isolated(self) -> None:
        """The refused record is found and gone."""
        self._suspects = 0
        self.size = self.most

    def shrink(self, count: int) -> None:
        """A request of *count* records was perhaps too much."""
        self.size = max(1, count // 2)


class Schedule:
    """When the next attempt is due. Times are seconds of one monotonic clock."""

    __slots__ = ("_held_until", "_hurried", "_interval", "_look_at", "_retry_at", "_rung", "failures")

    def __init__(self, interval: float) -> None:
        """Due at once, and every *interval* seconds even if nobody asks."""
        self.failures = 0
        """In a row."""
        self._interval = interval
        self._rung = False
        self._hurried = False
        self._retry_at = 0.0
        self._held_until = 0.0
        self._look_at = 0.0

    @property
    def due(self) -> float:
        """When. A failure's pace is not quickened by new records; a pause the receiver asked for is not shortened by anything."""
        if self._hurried:
            return self._held_until
        if self.failures:
            return max(self._retry_at, self._held_until)
        return self._held_until if self._rung else max(self._look_at, self._held_until)

    def ring(self, *, hurry: bool, look: bool = False) -> None:
        """There is something to send; with *hurry* try once even if attempts fail, with *look* it is time to look, too."""
        self._rung = True
        self._look_at = 0.0 if look else self._look_at
        self._hurried = self._hurried or hurry

    def begin(self, now: float) -> bool:
        """An attempt begins; whether it is time to look for what nobody rang for."""
        self._rung = self._hurried = False
        look = now >= self._look_at
        if look:
            self._look_at = now + self._interval
        return look

    def failed(self, now: float, seconds: float, asked: float | None = None) -> None:
        """It failed: the next one after *seconds*, or after what the receiver *asked* for."""
        self.failures += 1
        self._held_until = now + (asked or 0.0)
        self._retry_at = now + seconds if asked is None else self._held_until

    def succeeded(self) -> None:
        """The receiver has taken something."""
        self.failures = 0
