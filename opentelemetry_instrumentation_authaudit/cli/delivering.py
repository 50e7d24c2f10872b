"""What every shipping does: deliver once or until the end, show how far it has come, say what came of it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from ..journal.streams import Source
from ..pipeline.delivery import Delivery
from .main import UNFINISHED
from .progress import Progress

__all__ = ("LOOK", "Shipping", "ended", "follow", "once")

LOOK: Final = 5.0
"""Seconds between looks for new records."""
_ONE_TURN: Final = 0.5  # seconds
_DAY: Final = 86_400.0  # seconds

Shipping = tuple[Source, Delivery]
"""Where records come from, and what delivers them."""


def once(shippings: Sequence[Shipping], timeout: float) -> int:
    """Deliver what waits now; give up where nothing moves for *timeout* seconds. How much is left of it."""
    for source, _ in shippings:
        source.adopt()
    left = total = sum(source.depth() for source, _ in shippings)
    progress = Progress("delivering", total)
    moved = time.monotonic()
    while left and time.monotonic() - moved < timeout:
        for _, delivery in shippings:
            delivery.flush(_ONE_TURN)
        now_left = sum(delivery.stats.depth for _, delivery in shippings)
        if now_left < left:
            moved = time.monotonic()
        progress(left - now_left)
        left = now_left
    progress.finish()
    return left


def follow(deliveries: Sequence[Delivery], what: str, daily: Callable[[], None] = lambda: None) -> None:
    """Deliver until SIGTERM or Ctrl-C, and do *daily* once a day."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    for delivery in deliveries:
        delivery.start()
    print(f"following {what}", file=sys.stderr, flush=True)
    while not told.wait(_DAY):
        daily()


def ended(shippings: Sequence[Shipping], set_aside: str, left: int | None = None) -> int:
    """Say what came of it; the exit code.

    *set_aside* says where refused records lie, *left* how many of those that mattered were left; what came later is no matter then.
    """
    for _, delivery in shippings:
        delivery.shutdown(look=left is None)
    stats = [delivery.stats for _, delivery in shippings]
    exported, buried = sum(one.exported for one in stats), sum(one.buried for one in stats)
    waiting = sum(_waiting(source) for source, _ in shippings)
    left = waiting if left is None else min(left, waiting)
    print(f"{exported} delivered")
    if buried:
        print(f"{buried} refused for good: they are set aside in .dead.jsonl files {set_aside}", file=sys.stderr)
    if left:
        why = next((one.last.detail for one in stats if one.last is not None and one.last.detail), "no answer")
        print(f"{left} still wait: {why}", file=sys.stderr)
    return UNFINISHED if left else 0


def _waiting(source: Source) -> int:
    """How many of its records are not acknowledged, now that the delivery has let go of them."""
    source.adopt()
    try:
        return source.depth()
    finally:
        source.close()
