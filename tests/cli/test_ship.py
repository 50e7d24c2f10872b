"""`authaudit ship`: journals of processes that are gone, of processes that deliver nothing, once and for as long as it lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pipeline.otlp_server import OtlpServer, Reply

from .command import authaudit

PROGRAM = """
import os, sys
from opentelemetry_instrumentation_authaudit import AuthAuditInstrumentor, audit
AuthAuditInstrumentor().instrument(journal_dir=os.path.abspath("journal"), exporter="none")
for line in sys.stdin:
    print(audit.record("auth.sign_in", strategy="password", subject=line.strip()), flush=True)
    if line.strip() == "die":
        os.kill(os.getpid(), 9)
"""


@contextmanager
def application(home: Path) -> Iterator[Callable[[str], str]]:
    """A living process that records what it is told; gives the record's id."""
    environ = {**os.environ, "HOME": str(home), "OTEL_SERVICE_NAME": "shop"}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, cwd=home, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None

        def tell(subject: str) -> str:
            assert running.stdin is not None
            assert running.stdout is not None
            running.stdin.write(f"{subject}\n")
            running.stdin.flush()
            return running.stdout.readline().strip()

        yield tell
        running.stdin.close()
        running.wait(30)


@pytest.fixture
def server() -> Iterator[OtlpServer]:
    """A receiver."""
    with OtlpServer("http") as server:
        yield server


def ship(home: Path, server: OtlpServer, *more: str) -> subprocess.CompletedProcess[str]:
    """Run it once."""
    return authaudit("ship", "--store", "journal", *more, home=home, **server.environment)


def test_what_waits_is_delivered_once(tmp_path: Path, server: OtlpServer) -> None:
    """Of a process that ended and of one that was killed, every record; a second time nothing is left."""
    with application(tmp_path) as tell:
        known = [tell("user:1"), tell("user:2")]
    with application(tmp_path) as tell:
        known.append(tell("user:3"))
        tell("die")
    done = ship(tmp_path, server)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(known) <= set(server.ids)
    assert len(server.ids) == len(set(server.ids))
    assert done.stdout == f"{len(server.ids)} delivered\n"
    assert ship(tmp_path, server).stdout == "0 delivered\n"


def test_living_process_that_delivers_nothing(tmp_path: Path, server: OtlpServer) -> None:
    """Its journal is followed beside it; what it tells later comes with the next call."""
    with application(tmp_path) as tell:
        first = tell("user:1")
        assert ship(tmp_path, server).stdout == "2 delivered\n"
        second = tell("user:2")
        assert ship(tmp_path, server).stdout == "1 delivered\n"
    assert server.ids[1:] == [first, second]
    assert ship(tmp_path, server).stdout == "1 delivered\n"  # audit.stop


def test_follow(tmp_path: Path, server: OtlpServer) -> None:
    """It stays, a second one is refused meanwhile, and SIGTERM ends it with nothing left."""
    with application(tmp_path) as tell:
        first = tell("user:1")
        environ = {**os.environ, "HOME": str(tmp_path), **server.environment}
        command = [sys.executable, "-m", "opentelemetry_instrumentation_authaudit", "ship", "--follow", "--store", "journal"]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running:
            server.wait_for(2)
            done = ship(tmp_path, server)
            assert (done.returncode, "another `authaudit ship` is at work" in done.stderr) == (3, True)
            second = tell("user:2")
            server.wait_for(3, timeout=30)
            running.send_signal(signal.SIGTERM)
            output, _ = running.communicate(timeout=30)
        assert (running.returncode, output) == (0, "3 delivered\n")
    assert server.ids[1:] == [first, second]


def test_collector_that_refuses(tmp_path: Path, server: OtlpServer) -> None:
    """Exit code 3, how much waits, and why; nothing is lost."""
    with application(tmp_path) as tell:
        tell("user:1")
    server.answer = Reply(503)
    done = ship(tmp_path, server, "--timeout", "1")
    assert (done.returncode, done.stdout) == (3, "0 delivered\n")
    assert done.stderr.endswith("3 still wait: HTTP 503\n")
    server.answer = Reply(200)
    assert ship(tmp_path, server).stdout == "3 delivered\n"


def test_used_wrongly(tmp_path: Path) -> None:
    """Without a collector, and without journals: a sentence that says what to do, and exit code 2."""
    done = authaudit("ship", home=tmp_path)
    assert (done.returncode, "set OTEL_EXPORTER_OTLP_ENDPOINT" in done.stderr) == (2, True)
    done = authaudit("ship", home=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert (done.returncode, "there are no journals in" in done.stderr) == (2, True)


def test_many_records_do_not_wait_for_a_clock(tmp_path: Path, server: OtlpServer) -> None:
    """A thousand records of three processes go in one go."""
    for _ in range(3):
        with application(tmp_path) as tell:
            for number in range(300):
                tell(f"user:{number}")
    begun = time.monotonic()
    assert ship(tmp_path, server).stdout == "906 delivered\n"
    assert time.monotonic() - begun < 20


SERVE = """
import os, sys, time
from opentelemetry_instrumentation_authaudit import AuthAuditInstrumentor, audit
AuthAuditInstrumentor().instrument(journal_dir=os.path.abspath("journal"), write_batching_timeout=600)
print(audit.record("auth.sign_in", strategy="password", subject="user:1"), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_container_is_drained(tmp_path: Path, server: OtlpServer, ending: signal.Signals) -> None:
    """The orchestrator ends PID 1, or the kernel kills the application: within five seconds the collector has everything."""
    server.answer = Reply(503)
    environ = {**os.environ, "HOME": str(tmp_path), **server.environment}
    command = [sys.executable, "-m", "opentelemetry_instrumentation_authaudit", "ship", "--store", "journal", "--"]
    with subprocess.Popen(
        [*command, sys.executable, "-c", SERVE],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        told = running.stdout.readline().strip()
        if ending is signal.SIGKILL:
            (child,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
            os.kill(int(child), ending)
        else:
            running.send_signal(ending)
        server.answer = Reply(200)
        begun = time.monotonic()
        output, _ = running.communicate(timeout=30)
    assert time.monotonic() - begun < 5
    assert told in server.ids
    assert (running.returncode, output) == (128 + ending, "2 delivered\n")


def test_command_without_journals(tmp_path: Path) -> None:
    """Its exit code is the answer, whatever could be delivered."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = authaudit("ship", "--", sys.executable, "-c", "raise SystemExit(7)", home=tmp_path, **environ)
    assert (done.returncode, "there are no journals" in done.stderr) == (7, True)
    done = authaudit("ship", "--", "no-such-command", home=tmp_path, **environ)
    assert (done.returncode, "no-such-command cannot be run" in done.stderr) == (3, True)
