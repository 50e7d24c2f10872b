"""`authaudit doctor`: what is in order, what is not, and the exit code that says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.cli.doctor import Finding
from opentelemetry_instrumentation_authaudit.instrumentors.registry import LIBRARIES
from opentelemetry_instrumentation_authaudit.journal.targets import Target

from .command import authaudit

ONE = {"OTEL_PYTHON_AUTHAUDIT_INSTRUMENTORS": "bcrypt"}
"""Watch one small library only, to be quick."""


def findings(home: Path, code: int = 0, /, **environ: str) -> list[Finding]:
    """What it says, topic by topic; the exit code is as expected."""
    done = authaudit("doctor", "--format", "json", home=home, **environ)
    assert done.returncode == code, done.stdout + done.stderr
    return [Finding(**found) for found in json.loads(done.stdout)]


def about(topic: str, found: list[Finding]) -> list[tuple[str, str]]:
    """(verdict, sentence) of a topic."""
    return [(finding.verdict, finding.says) for finding in found if finding.topic == topic]


def test_environment_in_order(tmp_path: Path) -> None:
    """Every installed library with its places, what cannot be seen, where records go."""
    found = findings(tmp_path)
    topics = ["environment", "configuration", "libraries", "journal", "delivery", "processes", "not seen"]
    assert list(dict.fromkeys(finding.topic for finding in found)) == topics
    assert not [finding for finding in found if finding.verdict == "fault"]
    assert len(about("libraries", found)) == sum(library.installed is not None for library in LIBRARIES) + any(
        library.installed is None for library in LIBRARIES
    )
    assert ("ok", f"bcrypt {metadata.version('bcrypt')}: 1 place to watch, all found") in about("libraries", found)
    assert about("delivery", found) == [("note", "no OTLP endpoint: the journal alone is the store")]


def test_text_for_people(tmp_path: Path) -> None:
    """A verdict in front of each sentence, and nothing wider than the terminal; the judgement goes to stderr."""
    done = authaudit("doctor", home=tmp_path, COLUMNS="80", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", **ONE)
    assert done.returncode == 1
    assert "  ok   bcrypt " in done.stdout
    assert "  BAD  http://127.0.0.1:9 (grpc) cannot be reached: Connection refused;" in done.stdout
    assert all(len(row) <= 80 for row in done.stdout.splitlines() if str(tmp_path) not in row and sys.prefix not in row)
    assert "1 fault" in done.stderr


@pytest.mark.parametrize(
    ("environ", "topic", "says"),
    [
        ({"OTEL_PYTHON_AUTHAUDIT_IP_PRIVACY_MODE": "hsah"}, "configuration", "'hsah' is not allowed"),
        ({"OTEL_SDK_DISABLED": "true"}, "configuration", "auditing is switched off"),
        ({"OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR": "/proc/audit"}, "journal", "is not writable for this user"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://ann:hunter2@127.0.0.1:9/x"},
            "delivery",
            "http://127.0.0.1:9 (grpc) cannot be reached",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:x"}, "delivery", "is no URL"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, environ: dict[str, str], topic: str, says: str) -> None:
    """Exit code 1, and the fault by name; never a password that stands in an address."""
    found = findings(tmp_path, 1, **ONE, **environ)
    faults = [sentence for verdict, sentence in about(topic, found) if verdict == "fault"]
    assert len(faults) == 1
    assert says in faults[0]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("source", "verdict", "says"),
    [
        ("print('hello')\nprint('[1]')\ndef checkpw(): pass", "ok", "1 place to watch, all found"),
        ("", "fault", "not found: bcrypt:checkpw (no checkpw)"),
        ("raise ImportError", "fault", "not found: bcrypt:checkpw (ImportError)"),
        ("raise RuntimeError", "ok", "1 more can only be looked for in the application"),
        ("import os; os._exit(3)", "fault", "cannot be imported; try `import bcrypt` yourself"),
    ],
)
def test_library_in_another_shape(tmp_path: Path, source: str, verdict: str, says: str) -> None:
    """A renamed function, an import that fails, prints or ends the process: it costs that library, the others are looked at."""
    (tmp_path / "bcrypt.py").write_text(source)
    environ = {"PYTHONPATH": str(tmp_path), "OTEL_PYTHON_AUTHAUDIT_INSTRUMENTORS": "bcrypt,argon2"}
    libraries = about("libraries", findings(tmp_path, int(verdict == "fault"), **environ))
    bcrypt, argon2 = (next(x for x in libraries if x[1].startswith(name)) for name in ("bcrypt", "argon2"))
    assert bcrypt[0] == verdict
    assert says in bcrypt[1]
    assert argon2[0] == "ok"


def test_nothing_to_watch_is_a_warning(tmp_path: Path) -> None:
    """Run outside the application's environment, or with everything switched off, it would find nothing wrong."""
    found = findings(tmp_path, OTEL_PYTHON_AUTHAUDIT_DISABLED_INSTRUMENTORS=",".join(library.name for library in LIBRARIES))
    assert [says for verdict, says in about("libraries", found) if verdict == "warning" and sys.executable in says]


def test_journal_that_does_not_stay(tmp_path: Path) -> None:
    """A journal in a container's own file system, or in memory, is a warning: it works, until the container goes."""
    place = Path("/dev/shm")  # noqa: S108 -- a file system in memory, nothing is left there
    if not place.is_dir():
        pytest.skip("no file system in memory here")
    found = findings(tmp_path, **ONE, OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR=str(place / "audit"))
    assert ("warning", "lies on tmpfs") in [
        (verdict, "lies on tmpfs") for verdict, says in about("journal", found) if "lies on tmpfs" in says
    ]
    assert not (place / "audit").exists()


def test_refused_records_are_a_warning(tmp_path: Path) -> None:
    """What the receiver refused for good lies beside the journal until somebody looks."""
    dead = tmp_path / "journal" / "shop" / f"{'a' * 16}.dead.jsonl"
    dead.parent.mkdir(parents=True)
    dead.write_text("{}\n")
    found = findings(tmp_path, **ONE, OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR=str(tmp_path / "journal"))
    assert [says for verdict, says in about("delivery", found) if verdict == "warning" and str(dead) in says]


@pytest.fixture
def application(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """An audited application at work."""
    program = (
        "import bcrypt, sys\n"
        "from opentelemetry_instrumentation_authaudit import AuthAuditInstrumentor, audit\n"
        "AuthAuditInstrumentor().instrument()\n"
        "audit.record('auth.sign_in', subject='1')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()"
    )
    environ = os.environ | {"OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR": str(tmp_path / "journal"), "OTEL_SERVICE_NAME": "shop"}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_living_process_tells_of_itself(tmp_path: Path, application: subprocess.Popen[str]) -> None:
    """Since when it records and what it watches; once it is gone, however it went, it is not listed."""
    place = {"OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR": str(tmp_path / "journal")}
    ((verdict, says),) = about("processes", findings(tmp_path, **ONE, **place))
    assert verdict == "ok"
    assert says.startswith(f"shop: process {application.pid} since {time.strftime('%Y-', time.gmtime())}")
    assert says.endswith("1 place watched")
    application.kill()
    application.wait()
    ((verdict, says),) = about("processes", findings(tmp_path, **ONE, **place))
    assert (verdict, says[:23]) == ("note", "no process is recording")


def test_targets_of_shipping(tmp_path: Path) -> None:
    """Who is served is in order; whom nobody serves keeps journals waiting, until it counts as given up."""
    folder = tmp_path / "journal" / "shop"
    for name, days in (("a", 0), ("b", 3), ("c", 40)):
        target = Target(folder, name)
        assert target.hold(f"postgresql://{name}/audit")
        target.release()
        then = time.time() - days * 86_400
        os.utime(target.place / "target.json", (then, then))
    found = about("delivery", findings(tmp_path, **ONE, OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR=str(tmp_path / "journal")))
    told = [(verdict, says) for verdict, says in found if "postgresql" in says]
    assert [verdict for verdict, _ in told] == ["ok", "warning", "note"]
    assert told[0][1] == f"postgresql://a/audit: served from {folder}"
    assert "for 3 days: journals wait for it" in told[1][1]
    assert "counts as given up" in told[2][1]
