"""`authaudit ship --to`: journals and a collector's files into a store, beside every other delivery."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, every_record
from tests.pipeline.otlp_server import OtlpServer
from tests.stores.exporter import FileExporter, ids, request

from .command import authaudit
from .test_ship import application


def ship(home: Path, *more: str, to: str = "store") -> subprocess.CompletedProcess[str]:
    """Run it once, from the journals in `journal`."""
    (home / "store").mkdir(exist_ok=True)
    return authaudit("ship", "--to", to, "--store", "journal", *more, home=home)


def stored(home: Path) -> list[str]:
    """The ids of every copy in the folder `store`."""
    return [record.id for record, _ in every_record(sorted((home / "store").glob("*.jsonl")), Unreadable())]


@contextmanager
def following(home: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A shipper that stays."""
    (home / "store").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "opentelemetry_instrumentation_authaudit", "ship", "--follow", "--to", "store", *more]
    environ = {**os.environ, "HOME": str(home)}
    with subprocess.Popen(command, cwd=home, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert running.stderr.readline().startswith("following ")
        try:
            yield running
        finally:
            running.kill()


def test_journals_beside_the_delivery_to_a_collector(tmp_path: Path) -> None:
    """A living process and one that ended: the store gets each record once, and so does the collector."""
    with application(tmp_path) as tell, OtlpServer("http") as collector:
        known = [tell("user:1"), tell("user:2")]
        done = ship(tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "3 delivered\n", "")
        assert stored(tmp_path)[1:] == known
        known.append(tell("user:3"))
        assert authaudit("ship", "--store", "journal", home=tmp_path, **collector.environment).stdout == "4 delivered\n"
        assert ship(tmp_path).stdout == "1 delivered\n"
        assert ship(tmp_path).stdout == "0 delivered\n"
        assert collector.ids[1:] == known
    assert ship(tmp_path).stdout == "1 delivered\n"  # audit.stop
    assert len(set(stored(tmp_path))) == len(stored(tmp_path)) == 5


def test_files_of_a_collector(tmp_path: Path) -> None:
    """The file and its rotated ones; a second run finds what came since, whatever was renamed meanwhile."""
    exporter = FileExporter(tmp_path / "collected")
    exporter.write(request(1, 2))
    exporter.rotate()
    exporter.write(request(3))
    (tmp_path / "store").mkdir()
    place = str(exporter.path)
    assert authaudit("ship", "--to", "store", "--store", place, home=tmp_path).stdout == "3 delivered\n"
    exporter.write(request(4))
    exporter.rotate()
    assert authaudit("ship", "--to", "store", "--store", "collected", home=tmp_path).stdout == "1 delivered\n"
    assert stored(tmp_path) == ids(1, 2, 3, 4)


def test_state_elsewhere(tmp_path: Path) -> None:
    """Nothing is written into the collector's folder, and nothing comes twice."""
    exporter = FileExporter(tmp_path / "collected")
    exporter.write(request(1, 2))
    (tmp_path / "store").mkdir()
    command = ("ship", "--to", "store", "--store", "collected", "--state", "state")
    assert authaudit(*command, home=tmp_path).stdout == "2 delivered\n"
    assert authaudit(*command, home=tmp_path).stdout == "0 delivered\n"
    assert [path.name for path in (tmp_path / "collected").iterdir()] == ["audit.jsonl"]


def test_forget(tmp_path: Path) -> None:
    """A target that was given up leaves nothing; shipping to it again begins anew. A command at work is not pulled from under."""
    with application(tmp_path) as tell:
        tell("user:1")
    assert ship(tmp_path).stdout == "3 delivered\n"
    with following(tmp_path, "--store", "journal"):
        done = ship(tmp_path, "--forget")
        assert (done.returncode, "is at work there: end it first" in done.stderr) == (3, True)
        done = ship(tmp_path)
        assert (done.returncode, "another `authaudit ship` to" in done.stderr) == (3, True)
    assert ship(tmp_path, "--forget").stdout.endswith("was forgotten in 1 folder\n")
    assert not list(tmp_path.glob("journal/*/targets/*"))
    assert ship(tmp_path).stdout == "3 delivered\n"


def test_follow_finds_new_services_and_files(tmp_path: Path) -> None:
    """It stays; a service and a collector's file that come later are shipped, too. SIGTERM ends it with nothing left."""
    (tmp_path / "journal").mkdir()
    FileExporter(tmp_path / "collected")
    with following(tmp_path, "--store", "journal", "--store", "collected") as running:
        with application(tmp_path) as tell:
            tell("user:1")
        FileExporter(tmp_path / "collected").write(request(1))
        deadline = time.monotonic() + 20
        while len(stored(tmp_path)) < 4 and time.monotonic() < deadline:
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        output, errors = running.communicate(timeout=20)
    assert (running.returncode, output, errors) == (0, "4 delivered\n", "")
    assert len(stored(tmp_path)) == 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--to", "nowhere"), "there is no folder nowhere"),
        (("--to", "mysql://host/db"), "there is no folder"),
        (("--to", "store", "--store", "empty"), "no journals and no collector's files"),
        (("--to", "store", "--store", "store"), "would be shipped into itself"),
        (("--forget",), "--forget and --state belong to --to"),
        (("--to", "postgresql://me:secret@[host/db"), "this is no URL"),
    ],
)
def test_used_wrongly(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """A sentence that says what to do, and no password."""
    (tmp_path / "store").mkdir()
    (tmp_path / "empty").mkdir()
    done = authaudit("ship", *arguments, home=tmp_path)
    assert done.returncode in {2, 3}
    assert says in done.stderr
    assert "secret" not in done.stderr


def test_behind_a_command(tmp_path: Path) -> None:
    """What a container's application left goes into the store before the container ends; the application's exit code counts."""
    (tmp_path / "store").mkdir()
    program = (
        "from opentelemetry_instrumentation_authaudit import AuthAuditInstrumentor, audit; AuthAuditInstrumentor().instrument()"
    )
    told = "audit.record('auth.sign_in', strategy='password', subject='user:1'); raise SystemExit(7)"
    command = ("ship", "--to", "store", "--store", "journal", "--", sys.executable, "-c", f"{program}; {told}")
    done = authaudit(*command, home=tmp_path, OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR=str(tmp_path / "journal"))
    assert (done.returncode, done.stdout) == (7, "3 delivered\n"), done.stderr


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The others are shipped; that it is not all makes the exit code 3."""
    FileExporter(tmp_path / "collected").write(request(1))
    (tmp_path / "collected" / "audit-x.jsonl").mkdir()
    (tmp_path / "store").mkdir()
    done = authaudit("ship", "--to", "store", "--store", "collected", home=tmp_path)
    assert (done.returncode, done.stdout) == (3, "1 delivered\n")
    assert "could not read" in done.stderr
