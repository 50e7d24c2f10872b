"""`authaudit collector run`: it finds configuration and collector, prepares folders, keeps retention, and is the collector from then on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.model import names
from tests.collector.conftest import post
from tests.collector.running import Collector, needed, until
from tests.collector.traffic import record, request
from tests.stores.recorded import recorded

from .command import authaudit

RUN = (sys.executable, "-m", "opentelemetry_instrumentation_authaudit", "collector", "run")


class Launched(Collector):
    """The collector as the command starts it; its folder does not exist before."""

    def __init__(self, folder: Path, *flags: str, **environ: str) -> None:
        super().__init__(folder, **environ)
        self.command = [*RUN, "--binary", needed("otelcol-authaudit"), "--dir", self.files, *flags]
        del self.environ["AUTHAUDIT_DIR"]


@contextmanager
def launched(folder: Path, *flags: str, **environ: str) -> Iterator[Launched]:
    """It runs; at the end of the block it is killed."""
    running = Launched(folder, *flags, **environ)
    with running:
        yield running


def old(folder: Path, name: str = "audit-2020-01-01T00-00-00.000-size.jsonl") -> Path:
    """A file that the collector closed long ago, with one record of that day."""
    path = folder / name
    folder.mkdir(exist_ok=True)
    attribute = '{"key":"audit.record.id","value":{"stringValue":"old"}}'
    line = f'{{"logRecords":[{{"eventName":"auth.sign_in","timeUnixNano":"1577836800000000000","attributes":[{attribute}]}}]}}'
    path.write_text(f'{{"resourceLogs":[{{"resource":{{}},"scopeLogs":[{line}]}}]}}\n', encoding="utf-8")
    return path


def companions(process: int) -> list[int]:
    """The processes that *process* has started and that live."""
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def test_it_is_the_collector(tmp_path: Path) -> None:
    """The command is run and told to go, as a service manager does it: records arrive, the folder is closed to others, exit code 0."""
    with launched(tmp_path / "collector") as running:
        assert post(f"{running.http}/v1/logs", request([record("id-1")])) == 200
        assert running.ids() == ["id-1"]
        assert running.files.stat().st_mode & 0o777 == 0o750
        assert Path(f"/proc/{running.process.pid}/exe").resolve() == needed("otelcol-authaudit").resolve()
        assert running.stop() == 0


def test_its_companion_goes_with_it(tmp_path: Path) -> None:
    """The collector is killed -9: what keeps the retention does not stay behind."""
    with launched(tmp_path / "collector") as running:
        (companion,) = companions(running.process.pid)
        os.kill(companion, signal.SIGTERM)  # meant for the collector, as everything that a terminal sends
        running.kill()
        until("the companion is gone", lambda: not alive(companion))


def alive(process: int) -> bool:
    """Whether the process lives; one that nobody waited for is dead."""
    status = Path(f"/proc/{process}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_is_too_old_goes_at_the_start_and_every_day(tmp_path: Path) -> None:
    """Old files lie there: they go at the start, and the trail says so; one that turns too old later goes without a restart."""
    files = tmp_path / "collector" / "files"
    files.mkdir(parents=True)
    day = recorded("spraying")
    first = day.collected(files, "audit-2026-11-20T23-59-59.000-size.jsonl")
    with launched(tmp_path / "collector", "--every", "0.2", OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME="1") as running:
        assert not first.exists()
        second = old(files)
        until("it is gone", lambda: not second.exists())
        assert running.stop() == 0
    flags = ("--event", "audit.records_expired", "--format", "json", "--store", str(files))
    (told,) = map(json.loads, authaudit("query", *flags, home=tmp_path).stdout.splitlines())
    assert (told["service"], told[names.RECORDS_EXPIRED]) == ("authaudit-collector", str(len(day.streams)))


def test_infinity_keeps_everything(tmp_path: Path) -> None:
    """The operator keeps records for ever: nothing is deleted, and there is no companion to do it."""
    (tmp_path / "collector").mkdir()
    path = old(tmp_path / "collector" / "files")
    with launched(tmp_path / "collector", OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME="infinity") as running:
        assert companions(running.process.pid) == []
        assert path.exists()


def test_its_exit_code_is_the_collectors(tmp_path: Path) -> None:
    """A file of one's own says nonsense: the collector says what is wrong with it and its exit code is passed on."""
    (tmp_path / "mine.yaml").write_text("receivers: 7\n", encoding="utf-8")
    needed("otelcol-authaudit")
    done = authaudit("collector", "run", "--config", "mine.yaml", "--dir", "files", *binary(), home=tmp_path)
    assert done.returncode == 1
    assert "receivers" in done.stderr


def binary() -> tuple[str, str]:
    """The flag that names ours."""
    return "--binary", str(needed("otelcol-authaudit"))


@pytest.mark.parametrize(("lifetime", "days"), [("30", "30"), ("infinity", "0"), ("", "90")])
def test_it_prints_what_a_service_needs(tmp_path: Path, lifetime: str, days: str) -> None:
    """The operator writes a service of their own: they get the variables, retention in the collector's terms, and the command."""
    options = ("--config", "production", "--overlay", "loki", "--print", "--dir", "audit")
    environ = {"OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME": lifetime, "AUTHAUDIT_CLICKHOUSE_PASSWORD": "hunter2"}
    done = authaudit("collector", "run", *options, "--binary", sys.executable, home=tmp_path, **environ)
    assert done.returncode == 0, done.stderr
    *variables, command = done.stdout.splitlines()
    assert f"AUTHAUDIT_RETENTION_DAYS={days}" in variables
    assert f"AUTHAUDIT_DIR={tmp_path / 'audit'}" in variables
    assert command.split()[0] == sys.executable
    assert [Path(word).name for word in command.split()[2::2]] == ["config.production.yaml", "loki.yaml"]
    assert "hunter2" not in done.stdout
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize(
    ("flags", "environ", "code", "says"),
    [
        (["--config", "nosuch"], {}, 2, "nosuch is neither a file nor one of embedded, queued, production"),
        (["--overlay", "nosuch"], {}, 2, "nosuch is neither a file nor one of victorialogs, clickhouse, loki"),
        (["--overlay", "loki"], {}, 2, "the overlay loki fits over production, not over embedded"),
        (["--binary", __file__], {}, 3, "test_collector.py is no program that can be run"),
        ([], {"OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME": "soon"}, 2, "LOG_LIFETIME: 'soon' is not allowed"),
        ([], {"PATH": "/nowhere"}, 3, "make collector"),
        (["--dir", "/dev/null/audit", "--binary", sys.executable], {}, 3, "/dev/null/audit cannot be made"),
    ],
    ids=range(7),
)
def test_what_cannot_be(tmp_path: Path, flags: list[str], environ: dict[str, str], code: int, says: str) -> None:
    """Something is mistyped or missing: it is said what, and what to do."""
    done = authaudit("collector", "run", *flags, home=tmp_path, **environ)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_it_finds_a_collector_on_path(tmp_path: Path) -> None:
    """Somebody has the official distribution installed: it is found by its name."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "otelcol-contrib"
    shutil.copy(sys.executable, program)
    done = authaudit("collector", "run", "--print", home=tmp_path, PATH=str(program.parent))
    assert done.stdout.splitlines()[-1].startswith(f"{program} --config "), done.stderr
