from __future__ import annotations

import threading
import time

from opentelemetry_instrumentation_authaudit.pipeline.upkeep import Upkeep


def test_work_is_gathered(tmp_path: object) -> None:
    """Many wakes in a moment make one turn, a second later: a login never waits for the disk."""
    turns, done = [], threading.Event()

    def work() -> float:
        turns.append(time.monotonic())
        done.set()
        return 60.0

    upkeep, begun = Upkeep(work), time.monotonic()
    for _ in range(1000):
        upkeep.wake()
    assert done.wait(10)
    upkeep.stop()
    assert len(turns) == 1
    assert turns[0] - begun >= 1.0


def test_work_that_wants_to_be_done_again_is() -> None:
    """An idle process has checkpoints to write: nobody wakes it."""
    turns, often = [], threading.Event()

    def work() -> float:
        turns.append(0)
        if len(turns) >= 3:
            often.set()
        return 0.01

    upkeep = Upkeep(work)
    upkeep.wake()
    assert often.wait(10)
    upkeep.stop()


def test_nothing_runs_before_it_is_woken_or_after_it_is_stopped() -> None:
    """No thread is begun for an application that has nothing to tell."""
    threads, turns = threading.active_count(), []

    def work() -> float:
        turns.append(0)
        return 0.0

    upkeep = Upkeep(work)
    assert threading.active_count() == threads
    upkeep.stop()
    upkeep.wake()
    assert threading.active_count() == threads
    assert turns == []
