"""Delivery: what the journal holds arrives, in order, whatever the receiver does, and nobody is told otherwise than it is."""

from __future__ import annotations

import logging
import os
import queue
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from opentelemetry_instrumentation_authaudit.journal.backlog import Backlog, Batch
from opentelemetry_instrumentation_authaudit.journal.names import cursor_path, dead_path
from opentelemetry_instrumentation_authaudit.journal.overflow import Overflow
from opentelemetry_instrumentation_authaudit.journal.writer import Journal
from opentelemetry_instrumentation_authaudit.pipeline.answers import Answer
from opentelemetry_instrumentation_authaudit.pipeline.delivery import Delivery
from opentelemetry_instrumentation_authaudit.pipeline.otlp import open_sender
from opentelemetry_instrumentation_authaudit.pipeline.otlp_http import HttpSender
from opentelemetry_instrumentation_authaudit.pipeline.pace import Pace, Portion, Schedule

from .delivering import ENVELOPE, OWN, QUICK, ids, posting, record
from .otlp_server import CLOSE, HANG, OK, OtlpServer, Received, Reply, partial_success
from .telling import SIGN_IN, line_of, pipeline, process

PROTOCOLS = ("grpc", "http/protobuf", "http/json")


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    """Each protocol in turn."""
    return str(request.param)


@pytest.fixture
def server(protocol: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpServer]:
    """A receiver of that protocol, named by the standard variables."""
    with OtlpServer("grpc" if protocol == "grpc" else "http") as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpServer]:
    """A receiver of http/protobuf, where the protocol does not matter."""
    with OtlpServer() as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def test_everything_arrives_once_and_in_order(tmp_path: Path, protocol: str, server: OtlpServer) -> None:
    """Two thousand records: no request holds more than it may, and the cursor ends behind the last."""
    with posting(tmp_path, protocol, max_size=300) as post:
        post.tell(2000)
        assert post.delivery.flush(20)
        assert server.ids == ids(1, 2000)
        assert max(len(request.records) for request in server.requests) <= 300
        assert (post.delivery.stats.exported, post.delivery.stats.depth) == (2000, 0)


def test_outage_is_outlived_by_an_idle_process(tmp_path: Path, protocol: str, server: OtlpServer) -> None:
    """The receiver goes away and comes back on its port: what waited arrives without a new record, each once."""
    with posting(tmp_path, protocol) as post:
        post.tell(3)
        assert post.delivery.flush(5)
        server.stop()
        post.tell(5)
        assert not post.delivery.flush(0.3)
        server.start()
        server.wait_for(8)
        assert server.ids == ids(1, 8)


@pytest.mark.parametrize("reply", [Reply(302), Reply(408), Reply(429), Reply(500), Reply(503), Reply(401), Reply(404), CLOSE])
def test_no_answer_but_a_true_acknowledgement_moves_the_cursor(tmp_path: Path, receiver: OtlpServer, reply: Reply) -> None:
    """Where the stock exporter drops records or counts them as delivered, ours keeps them until they are taken."""
    receiver.answer = reply
    with posting(tmp_path) as post:
        post.tell(4)
        assert not post.delivery.flush(0.3)
        assert post.delivery.stats.depth == 4
        receiver.answer = OK
        receiver.wait_for(4)
        assert post.delivery.flush(5)
        assert receiver.ids == ids(1, 4)


def test_receiver_that_hangs_does_not_hold_the_end_up(
    tmp_path: Path, receiver: OtlpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`flush` and `shutdown` keep their time and say no; what is left stays in the journal for the next process."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5")
    receiver.answer = HANG
    with posting(tmp_path) as post:
        post.tell(2)
        started = time.monotonic()
        assert not post.delivery.flush(0.2)
        assert not post.delivery.shutdown(0.3)
        assert time.monotonic() - started < 3
        assert post.delivery.stats.depth == 2


def test_pause_that_the_receiver_asks_for_is_kept(tmp_path: Path, receiver: OtlpServer) -> None:
    """`Retry-After: 1` beats our own impatience."""
    receiver.answer = lambda asked: Reply(429, retry_after=1) if not receiver.requests else OK
    with posting(tmp_path) as post:
        post.tell(1)
        receiver.wait_for(1)
        first, second = receiver.requests
        assert second.time - first.time >= 0.9


def poison(*bad: str) -> Callable[[Received], Reply]:
    """A receiver that refuses every request with one of these records in it."""

    def answer(asked: Received) -> Reply:
        return partial_success(1) if set(asked.ids) & set(bad) else OK

    return answer


def test_poison_is_isolated_and_set_aside(tmp_path: Path, protocol: str, server: OtlpServer) -> None:
    """Two records that the receiver will never take cost themselves: named in the dead-letter file, reported, the rest arrives."""
    server.answer = poison("id-7", "id-40")
    buried: list[Batch] = []
    with posting(tmp_path, protocol, on_buried=buried.append) as post:
        post.tell(64)
        server.wait_for(62)
        assert set(server.ids) == set(ids(1, 64)) - {"id-7", "id-40"}
        assert sum(len(batch.records) for batch in buried) == post.delivery.stats.buried == 2
        assert [name in post.dead() for name in (b"id-7", b"id-40", b"id-8")] == [True, True, False]
        assert post.delivery.flush(5)


def test_receiver_that_refuses_everything_buries_nothing(tmp_path: Path, receiver: OtlpServer) -> None:
    """A 400 for an empty request too: the fault is the sender's, and no record is given up for it."""
    receiver.answer = Reply(400)
    with posting(tmp_path) as post:
        post.tell(3)
        assert not post.delivery.flush(0.5)
        assert (post.dead(), post.delivery.stats.depth) == (b"", 3)
        receiver.answer = OK
        receiver.wait_for(3)


def test_size_is_no_reason_to_lose_a_record(tmp_path: Path, receiver: OtlpServer) -> None:
    """413 for more than ten records: smaller requests follow."""
    receiver.answer = lambda asked: Reply(413) if len(asked.records) > 10 else OK
    with posting(tmp_path) as post:
        post.tell(50)
        receiver.wait_for(50)
        assert receiver.ids == ids(1, 50)
        assert post.dead() == b""


def test_without_batching_each_record_goes_at_once(tmp_path: Path, receiver: OtlpServer) -> None:
    """Option `write_batching_enabled=false`: a request a record."""
    with posting(tmp_path, batching=False) as post:
        for _ in range(3):
            post.tell(1)
            assert post.delivery.flush(5)
        assert [len(request.records) for request in receiver.requests] == [1, 1, 1]


def test_what_comes_in_meanwhile_waits_for_the_next_ring(tmp_path: Path, receiver: OtlpServer) -> None:
    """In a flood there is more after every request: sent at once, it would leave in ever smaller ones. Whole ones go on."""
    with posting(tmp_path, max_size=10) as post:

        def answer(_request: Received) -> Reply:
            post.write(3)
            return OK

        receiver.answer = answer
        post.tell(25)
        receiver.wait_for(25)
        time.sleep(0.2)
        assert [len(request.records) for request in receiver.requests] == [10, 10, 10, 4]
        receiver.answer = OK
        assert post.delivery.flush(5)
        assert receiver.ids == ids(1, post.written)


def test_what_is_only_in_memory_is_no_news(tmp_path: Path, receiver: OtlpServer) -> None:
    """While the disk is full, records wait in memory: they go out in the same turn as the journal's last ones."""
    journal, overflow = Journal(tmp_path, OWN, ENVELOPE), Overflow()
    journal.append(record(1))
    overflow.put(record(2))
    backlog = Backlog(tmp_path, OWN, overflow=overflow, envelope=ENVELOPE)
    delivery = Delivery(backlog, open_sender("http/protobuf"), pace=QUICK)
    delivery.ring()
    receiver.wait_for(2)
    assert receiver.ids == ids(1, 2)
    delivery.shutdown(1)
    journal.close(done=True)


def test_a_flush_takes_what_comes_in_meanwhile_along(tmp_path: Path, receiver: OtlpServer) -> None:
    """It says that everything is acknowledged, so it leaves nothing to the next ring."""
    with posting(tmp_path, max_size=10) as post:

        def answer(_request: Received) -> Reply:
            post.write(3 if post.written < 13 else 0)
            return OK

        receiver.answer = answer
        post.write(4)
        assert post.delivery.flush(5)
        assert receiver.ids == ids(1, 13)


def test_journal_of_a_dead_process_is_adopted(tmp_path: Path, receiver: OtlpServer) -> None:
    """Its lock is free: the next process delivers what it left, without a record of its own."""
    child = os.fork()
    if child == 0:
        with posting(tmp_path, stream="00000000000000bb") as dead:
            dead.write(5)
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    with posting(tmp_path) as post:
        post.delivery.start()
        assert receiver.wait_for(5) == ids(1, 5)


def test_forked_child_does_not_touch_its_parents_delivery(tmp_path: Path, receiver: OtlpServer) -> None:
    """Asked in the child, it says no and does nothing; the parent goes on."""
    with posting(tmp_path) as post:
        post.tell(1)
        receiver.wait_for(1)
        child = os.fork()
        if child == 0:
            post.delivery.ring()
            os._exit(0 if not post.delivery.flush(0.2) and not post.delivery.shutdown(0.2) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        post.tell(1)
        assert receiver.wait_for(2) == ids(1, 2)


def test_thread_outlives_whatever_is_raised_in_it(tmp_path: Path, receiver: OtlpServer) -> None:
    """A driver that raises SystemExit costs an attempt, not the worker, which the SDK never restarts."""

    class Stumbling:
        """A real sender whose first request ends in SystemExit."""

        def __init__(self) -> None:
            self.inner = open_sender("http/protobuf")
            self.stumbled = False

        def send(self, batch: Batch | None) -> Answer:
            if not self.stumbled:
                self.stumbled = True
                raise SystemExit
            return self.inner.send(batch)

        def close(self) -> None:
            self.inner.close()

    sender = Stumbling()
    with posting(tmp_path) as post:
        post.delivery = Delivery(post.backlog, sender, pace=QUICK)  # type: ignore[arg-type]
        post.tell(2)
        assert receiver.wait_for(2) == ids(1, 2)
        assert sender.stumbled


def test_operator_is_told_once_and_nothing_secret(tmp_path: Path, receiver: OtlpServer, caplog: pytest.LogCaptureFixture) -> None:
    """One line for a cause, however often it fails; none of it is a record or a header."""
    receiver.answer = Reply(503, body=b"c4n4ry in the answer")
    with caplog.at_level(logging.INFO), posting(tmp_path) as post:
        post.tell(1)
        receiver.wait_for_requests(4)
        receiver.answer = OK
        receiver.wait_for(1)
        assert post.delivery.flush(5)
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "c4n4ry" not in caplog.text
    assert "id-1" not in caplog.text


def test_stubborn_receiver_does_not_empty_the_journal_into_the_dead_letters(tmp_path: Path, receiver: OtlpServer) -> None:
    """It takes the empty request and no record at all: ten are set aside, then one at a time with a long wait between."""
    receiver.answer = lambda asked: Reply(400) if asked.records else OK
    buried: queue.SimpleQueue[Batch] = queue.SimpleQueue()
    with posting(tmp_path, pace=Pace(slow=2), on_buried=buried.put) as post:
        post.tell(100)
        assert [len(buried.get(timeout=10).records) for _ in range(10)] == [1] * 10
        assert not post.delivery.flush(0.3)
        assert (post.delivery.stats.buried, post.delivery.stats.depth) == (10, 90)
        receiver.answer = OK
        assert post.delivery.flush(5)
        assert receiver.ids == ids(11, 100)


def test_flush_does_not_count_what_was_set_aside(tmp_path: Path, receiver: OtlpServer) -> None:
    """A record in the dead-letter file has not arrived, and whoever asked is told so; the next flush is about what came later."""
    receiver.answer = poison("id-2")
    with posting(tmp_path) as post:
        post.write(3)
        assert not post.delivery.flush(5)
        assert receiver.ids == ["id-1", "id-3"]
        post.write(1)
        assert post.delivery.flush(5)


def test_poison_is_kept_until_it_can_be_set_aside(tmp_path: Path, receiver: OtlpServer) -> None:
    """The dead-letter file cannot be written: the record stays where it is, and goes there once it can be."""
    receiver.answer = poison("id-2")
    dead_path(tmp_path, OWN).mkdir()
    with posting(tmp_path) as post:
        post.tell(3)
        receiver.wait_for(1)
        assert not post.delivery.flush(0.3)
        assert (post.delivery.stats.buried, post.delivery.stats.depth) == (0, 2)
        dead_path(tmp_path, OWN).rmdir()
        receiver.wait_for(2)
        assert (b"id-2" in post.dead(), receiver.ids) == (True, ["id-1", "id-3"])


def test_cursor_that_cannot_be_written_stops_nothing(
    tmp_path: Path, receiver: OtlpServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk: this process remembers what has arrived and sends nothing twice, the operator is told what that means."""
    cursor_path(tmp_path, OWN).mkdir()
    with posting(tmp_path) as post:
        for _ in range(3):
            post.write(2)
            assert post.delivery.flush(5)
        assert receiver.ids == ids(1, 6)
    assert [record.levelname for record in caplog.records if "cannot be noted" in record.message] == ["WARNING"]


def test_receiver_that_cannot_cope_gets_less(tmp_path: Path, receiver: OtlpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hangs on more than fifty records at once: nothing is refused, so smaller requests are tried until they get through."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    receiver.answer = lambda asked: HANG if len(asked.records) > 50 else OK
    with posting(tmp_path) as post:
        post.tell(60)
        receiver.wait_for(60)
        assert list(dict.fromkeys(receiver.ids)) == ids(1, 60)
        assert post.dead() == b""


def test_flapping_receiver_loses_nothing(tmp_path: Path, protocol: str, server: OtlpServer) -> None:
    """Every third request goes wrong in another way; each record arrives, in order, and none twice that was acknowledged."""
    unavailable = Reply("UNAVAILABLE" if protocol == "grpc" else 503)
    wrong = cycle([OK, CLOSE, OK, unavailable, OK, partial_success(1), OK])
    server.answer = lambda asked: OK if len(asked.records) < 2 else next(wrong)  # no single one is refused, that would be poison
    with posting(tmp_path, protocol, max_size=7) as post:
        for _ in range(20):
            post.tell(10)
        server.wait_for(200, timeout=20)
        assert server.ids == ids(1, 200)
        assert post.delivery.stats.failed > 10


def test_nothing_is_audited_or_traced_that_delivery_does(tmp_path: Path, receiver: OtlpServer) -> None:
    """Its own requests, and what a credential provider does for them, are no telemetry and no authentication of the application."""
    suppressed: list[bool] = []

    class Watching(HttpSender):
        def send(self, batch: Batch | None, timeout: float | None = None) -> Answer:
            suppressed.append(not is_instrumentation_enabled())
            return super().send(batch, timeout)

    with posting(tmp_path) as post:
        post.delivery = Delivery(post.backlog, Watching(as_json=False), pace=QUICK)
        post.tell(1)
        assert post.delivery.flush(5)
        post.delivery.shutdown(1)
    assert suppressed == [True]
    assert is_instrumentation_enabled()


def test_kill_under_load_loses_nothing(tmp_path: Path, protocol: str, server: OtlpServer) -> None:
    """SIGKILL while records are written and sent: the next process delivers the rest, and only unacknowledged ones come twice."""
    code = """
        sink = pipeline(Path(sys.argv[1]), exporter="otlp", otlp_protocol=sys.argv[2], write_batching_timeout=0.01)
        while True:
            print(sink(SIGN_IN), flush=True)
    """
    with process(code, tmp_path, protocol) as running:
        told = {line_of(running) for _ in range(300)}
        server.wait_for(20)
        running.kill()
        assert running.stdout is not None
        told |= {line.strip() for line in running.stdout if line.endswith("\n")}
    heir = pipeline(tmp_path, exporter="otlp", otlp_protocol=protocol)
    heir.begin()
    assert heir.shutdown(20)
    assert told <= set(server.ids)
    assert len(server.ids) - len(set(server.ids)) <= 512, "the one request whose acknowledgement could not be noted"


def test_pipeline_ends_in_time_before_a_receiver_that_hangs(tmp_path: Path, receiver: OtlpServer) -> None:
    """The end takes what it may take, once, however many processors are shut down, and not the request's own timeout."""
    receiver.answer = HANG
    sink = pipeline(tmp_path, exporter="otlp", otlp_protocol="http/protobuf")
    sink(SIGN_IN)
    started = time.monotonic()
    assert not sink.shutdown(0.5)
    assert time.monotonic() - started < 3


def test_back_off_grows_and_has_a_limit() -> None:
    """Doubled with each failure, with jitter, never beyond the longest."""
    pace = Pace(first=1.0, longest=30.0)
    for failures, seconds in ((1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (1000, 30.0)):
        assert all(0.75 * seconds <= pace.backoff(failures) <= 1.25 * seconds for _ in range(50))
    assert len({QUICK.backoff(1) for _ in range(20)}) > 1


def test_halving_finds_the_refused_record() -> None:
    """Of 512 records one is refused: found in about twice log2 requests, and the size recovers."""
    portion, place, bad, requests = Portion(512), 0, 300, 0
    while place != bad or portion.size != 1:
        requests += 1
        if place <= bad < place + portion.size:
            portion.refused(portion.size)
        else:
            place += portion.size
            portion.accepted(portion.size)
    portion.isolated()
    assert requests <= 20
    assert portion.size == 512


def test_schedule_keeps_the_pace_of_failures() -> None:
    """New records do not quicken it; somebody who waits for an answer does, but not against the receiver's own word."""
    schedule = Schedule(interval=30)
    schedule.begin(0.0)
    assert schedule.due == 30.0
    schedule.ring(hurry=False)
    assert schedule.due == 0.0
    schedule.begin(1.0)
    schedule.failed(1.0, 8.0)
    schedule.ring(hurry=False)
    assert schedule.due == 9.0
    schedule.ring(hurry=True)
    assert schedule.due <= 1.0
    schedule.begin(2.0)
    schedule.failed(2.0, 8.0, asked=20.0)
    schedule.ring(hurry=True)
    assert schedule.due == 22.0
