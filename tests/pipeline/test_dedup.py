from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Reason, Request, Status
from opentelemetry_instrumentation_authaudit.pipeline.dedup import RequestAuthDedup

BAD_TOKEN = AuditEvent(
    event="auth.verify",
    status=Status.FAILURE,
    time=1,
    library="lib",
    reason=Reason.TOKEN_EXPIRED,
    subject="u:1",
    request=Request(flow_id="f" * 32, peer="203.0.113.9"),
)


class Told:
    """A sink that remembers what it was told, and a clock that stands still until moved."""

    def __init__(self, window: float = 60.0, **options: Any) -> None:
        self.events: list[AuditEvent] = []
        self.now = 1000.0
        self.dedup = RequestAuthDedup(self._record, window, clock=lambda: self.now, **options)

    def _record(self, event: AuditEvent) -> str:
        self.events.append(event)
        return f"id-{len(self.events)}"

    @property
    def repeats(self) -> list[int]:
        """Of each told event."""
        return [event.repeats for event in self.events]


Teller: TypeAlias = Callable[..., Told]


@pytest.fixture
def teller() -> Iterator[Teller]:
    """Makes such sinks, and sees to it that no thread outlives the test."""
    made: list[Told] = []

    def make(window: float = 60.0, **options: Any) -> Told:
        made.append(Told(window, **options))
        return made[-1]

    yield make
    for told in made:
        told.dedup.shutdown()


def test_the_first_is_told_at_once_and_the_rest_once(teller: Teller) -> None:
    """A thousand refusals in a minute are two records: the first, and how often it was repeated, timed at the last."""
    told = teller()
    assert told.dedup(BAD_TOKEN) == "id-1"
    assert [told.dedup(replace(BAD_TOKEN, time=moment)) for moment in range(2, 1001)] == [None] * 999
    assert told.events == [BAD_TOKEN]
    told.dedup.sweep(1059.9)
    assert told.events == [BAD_TOKEN]
    told.dedup.sweep(1060.0)
    assert told.events == [BAD_TOKEN, replace(BAD_TOKEN, time=1000, repeats=999)]


def test_a_refusal_that_was_not_repeated_is_told_once(teller: Teller) -> None:
    """No second record without repeats, and the next one opens a new window."""
    told = teller()
    told.dedup(BAD_TOKEN)
    told.now += 60
    assert told.dedup(BAD_TOKEN) == "id-2"
    assert told.repeats == [0, 0]


@pytest.mark.parametrize(
    "other",
    [
        replace(BAD_TOKEN, subject="u:2"),
        replace(BAD_TOKEN, reason=Reason.TOKEN_BAD_SIGNATURE),
        replace(BAD_TOKEN, event="api_key.verify"),
        replace(BAD_TOKEN, request=Request(flow_id="f" * 32, peer="203.0.113.10")),
        replace(BAD_TOKEN, request=None),
        replace(BAD_TOKEN, subject=None, identity="ann"),
    ],
)
def test_what_differs_is_told_of_its_own(other: AuditEvent, teller: Teller) -> None:
    """Another event, subject or identity, client, or reason is another story."""
    told = teller()
    told.dedup(BAD_TOKEN)
    told.dedup(other)
    assert told.events == [BAD_TOKEN, other]


def test_the_client_is_found_behind_trusted_proxies(teller: Teller) -> None:
    """Two clients of one proxy are two; a forged header makes no new client where none is trusted."""
    left, right = (
        replace(BAD_TOKEN, request=Request(flow_id="f" * 32, peer="10.0.0.1", x_forwarded_for=(ip,)))
        for ip in ("1.1.1.1", "2.2.2.2")
    )
    for trusted, count in ((1, 2), (0, 1)):
        told = teller(trusted=trusted)
        told.dedup(left)
        told.dedup(right)
        assert len(told.events) == count


@pytest.mark.parametrize(
    "event",
    [
        replace(BAD_TOKEN, event="auth.sign_in"),
        replace(BAD_TOKEN, status=Status.SUCCESS),
        replace(BAD_TOKEN, status=Status.UNKNOWN),
    ],
)
def test_everything_else_passes(event: AuditEvent, teller: Teller) -> None:
    """A wrong password is never counted away, nor is a success."""
    told = teller()
    assert [told.dedup(event), told.dedup(event)] == ["id-1", "id-2"]


def test_a_window_of_zero_is_off(teller: Teller) -> None:
    """Every refusal is a record."""
    told = teller(window=0)
    assert [told.dedup(BAD_TOKEN), told.dedup(BAD_TOKEN)] == ["id-1", "id-2"]


def test_the_map_is_capped(teller: Teller) -> None:
    """Where one window too many would open the oldest ends early, and its repeats are told, not forgotten."""
    told = teller(limit=2)
    for subject in ("u:1", "u:1", "u:2", "u:3"):
        told.dedup(replace(BAD_TOKEN, subject=subject))
    assert [(event.subject, event.repeats) for event in told.events] == [("u:1", 0), ("u:2", 0), ("u:1", 1), ("u:3", 0)]


def test_shutdown_tells_what_waits(teller: Teller) -> None:
    """And what comes afterwards is not lost."""
    told = teller()
    for _ in range(3):
        told.dedup(BAD_TOKEN)
    told.dedup.shutdown()
    told.dedup.shutdown()
    assert told.repeats == [0, 2]
    assert told.dedup(BAD_TOKEN) == "id-3"


def test_the_end_of_a_window_needs_no_further_event() -> None:
    """A thread waits for it, and goes when no window is open."""
    events: list[AuditEvent] = []
    dedup = RequestAuthDedup(events.append, 0.1)
    for _ in range(3):
        dedup(BAD_TOKEN)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and dedup._sweeper is not None:
        time.sleep(0.01)
    assert [event.repeats for event in events] == [0, 2]
    assert dedup._sweeper is None


def test_a_forked_child_tells_its_own_repeats_only(teller: Teller) -> None:
    """The windows of before the fork are the parent's; the child's first refusal is told at once, its repeats at its end."""
    told = teller()
    for _ in range(5):
        told.dedup(BAD_TOKEN)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        for _ in range(3):
            told.dedup(BAD_TOKEN)
        told.dedup.shutdown()
        os.write(writer, str(told.repeats).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"[0, 0, 2]"
    told.dedup.shutdown()
    assert told.repeats == [0, 4]
    os.close(reader)
    os.close(writer)


def test_an_open_window_keeps_no_process_alive() -> None:
    """A command that ends within the window ends at once."""
    program = (
        "from tests.pipeline.test_dedup import BAD_TOKEN, RequestAuthDedup\n"
        "dedup = RequestAuthDedup(lambda event: None, 3600)\n"
        "dedup(BAD_TOKEN); dedup(BAD_TOKEN)\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], timeout=30, check=False, capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_many_threads_lose_no_repeat(teller: Teller) -> None:
    """8,000 refusals from eight threads: one record and 7,999 repeats."""
    told = teller()
    threads = [threading.Thread(target=lambda: [told.dedup(BAD_TOKEN) for _ in range(1000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.dedup.shutdown()
    assert told.repeats == [0, 7999]
