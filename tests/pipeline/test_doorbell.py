"""The doorbell: the SDK's batch processor as clock and switch, and as nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LogRecordLimits, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource

from opentelemetry_instrumentation_authaudit.pipeline.doorbell import Doorbell
from opentelemetry_instrumentation_authaudit.pipeline.provider import SCOPE

from .delivering import Post, ids, posting
from .otlp_server import OtlpServer, Reply

BARE = ReadWriteLogRecord(LogRecord(event_name="auth.sign_in"), Resource.get_empty(), SCOPE, LogRecordLimits())


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpServer]:
    """A receiver, named by the standard variables."""
    with OtlpServer() as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def tell(post: Post, bell: Doorbell, count: int) -> None:
    """What the processor in front does: append, then pass on."""
    for _ in range(count):
        post.write(1)
        bell.on_emit(BARE)


def test_schedule_sends_what_the_journal_holds(tmp_path: Path, receiver: OtlpServer) -> None:
    """After `write_batching_timeout`, not before: one request with all of them."""
    with posting(tmp_path) as post:
        bell = Doorbell(post.delivery, timeout=0.5, max_size=512)
        tell(post, bell, 20)
        assert receiver.requests == []
        assert receiver.wait_for(20) == ids(1, 20)
        assert len(receiver.requests) == 1
        bell.shutdown()


def test_size_sends_before_the_schedule(tmp_path: Path, receiver: OtlpServer) -> None:
    """`write_batching_max_size` records do not wait for the clock."""
    with posting(tmp_path, max_size=10) as post:
        bell = Doorbell(post.delivery, timeout=60, max_size=10)
        tell(post, bell, 10)
        assert receiver.wait_for(10, timeout=5) == ids(1, 10)
        bell.shutdown()


def test_without_batching_nothing_waits(tmp_path: Path, receiver: OtlpServer) -> None:
    """Each record is sent at once, on the worker."""
    with posting(tmp_path, batching=False) as post:
        bell = Doorbell(post.delivery, timeout=60, max_size=512, batching=False)
        tell(post, bell, 3)
        assert receiver.wait_for(3, timeout=5) == ids(1, 3)
        bell.shutdown()


def test_flood_overflows_nothing(tmp_path: Path, receiver: OtlpServer, caplog: pytest.LogCaptureFixture) -> None:
    """Ten thousand records at once: the SDK's queue holds one at most and never says "dropping"; every record arrives."""
    with caplog.at_level(logging.DEBUG), posting(tmp_path) as post:
        bell = Doorbell(post.delivery, timeout=0.1, max_size=512)
        tell(post, bell, 10_000)
        assert bell.force_flush(30_000)
        assert receiver.ids == ids(1, 10_000)
        bell.shutdown()
    assert "drop" not in caplog.text.lower()


def test_flush_and_shutdown_tell_the_truth(tmp_path: Path, receiver: OtlpServer) -> None:
    """The receiver takes nothing: where the SDK says True, ours says no, and within its time."""
    receiver.answer = Reply(503)
    with posting(tmp_path) as post:
        bell = Doorbell(post.delivery, timeout=0.1, max_size=512)
        tell(post, bell, 5)
        started = time.monotonic()
        assert not bell.force_flush(300)
        assert not post.delivery.shutdown(0.3)
        bell.shutdown()
        assert time.monotonic() - started < 3
        assert post.delivery.stats.depth == 5
