"""How the instrumentation gets into a process: by `opentelemetry-instrument`, by hand, by a declarative file; and how it stays out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit import AuthAuditInstrumentor
from opentelemetry_instrumentation_authaudit.config import ConfigError

from .pipeline.otlp_server import OtlpServer

ROOT = Path(__file__).parent.parent
APPLICATION = """
from tests.stories.apps.flask_login_app import create_app
client = create_app().test_client()
client.post("/login", data={"username": "ann", "password": "right"})
client.post("/login", data={"username": "ann", "password": "wrong"})
"""
BY_HAND = (
    "from opentelemetry_instrumentation_authaudit import AuthAuditInstrumentor\nAuthAuditInstrumentor().instrument({options})\n"
)


def run(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run *command* with a journal of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTHONPATH"))}
    env = {**kept, "PYTHONPATH": str(ROOT), "OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR": str(folder / "journal"), **environ}
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def told(folder: Path) -> list[str]:
    """Events and outcomes in the journal, in order."""
    found = []
    for path in sorted((folder / "journal").rglob("*.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
            attributes = {item["key"]: item["value"] for item in record["attributes"]}
            found.append(f"{record['eventName']} {attributes['audit.outcome']['stringValue']}")
    return found


EVERYTHING = ["audit.start success", "auth.sign_in success", "auth.sign_in failure", "audit.stop success"]
QUIET = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


def automatic(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the application under `opentelemetry-instrument`."""
    script = str(Path(sys.executable).parent / "opentelemetry-instrument")
    return run(folder, script, sys.executable, "-c", APPLICATION, **{**QUIET, **environ})


def test_automatic(tmp_path: Path) -> None:
    """With the distro, without a changed line: start, a sign-in, a failure, stop."""
    done = automatic(tmp_path)
    assert done.returncode == 0, done.stderr
    assert told(tmp_path) == EVERYTHING


def test_automatic_without_a_distro(tmp_path: Path) -> None:
    """No distro, no configurator, no provider of anybody's: the same records."""
    pytest.importorskip("opentelemetry.distro")
    hidden = tmp_path / "bare"
    venv.create(hidden, with_pip=False, symlinks=True)
    site = next(hidden.glob("lib/python*/site-packages"))
    for package in Path(next(p for p in sys.path if p.endswith("site-packages"))).iterdir():
        if "distro" not in package.name and package.name != "opentelemetry":
            (site / package.name).symlink_to(package)
    _copy_opentelemetry(site)
    code = f"from opentelemetry.instrumentation.auto_instrumentation import initialize\ninitialize()\n{APPLICATION}"
    done = run(tmp_path, str(hidden / "bin" / "python"), "-c", code, **QUIET)
    assert done.returncode == 0, done.stderr
    assert told(tmp_path) == EVERYTHING


def _copy_opentelemetry(site: Path) -> None:
    """The namespace package `opentelemetry`, without the distro in it."""
    import opentelemetry

    (site / "opentelemetry").mkdir()
    for part in {child for place in opentelemetry.__path__ for child in Path(place).iterdir()}:
        if part.name != "distro":
            (site / "opentelemetry" / part.name).symlink_to(part)


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "authaudit"},
        {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"},
    ],
)
def test_switched_off(tmp_path: Path, environ: dict[str, str]) -> None:
    """OpenTelemetry's own switches: nothing is recorded, not even a start."""
    assert automatic(tmp_path, **environ).returncode == 0
    assert told(tmp_path) == []


def test_one_library_switched_off(tmp_path: Path) -> None:
    """Without Flask-Login only the hash speaks, of the wrong password."""
    automatic(tmp_path, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="authaudit_flask_login")
    assert told(tmp_path) == ["audit.start success", "auth.authenticate failure", "audit.stop success"]


def test_fault_in_the_configuration_stops_nobody(tmp_path: Path) -> None:
    """The application runs and is recorded; one ERROR names the fault."""
    done = automatic(tmp_path, OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME="soon")
    assert told(tmp_path) == EVERYTHING
    assert done.stderr.count("'soon' is not allowed; allowed: a number of days") == 1


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_delivered_by_otlp(tmp_path: Path, protocol: str) -> None:
    """With an endpoint in the standard variables the collector has every record when the process ends, in order, once."""
    with OtlpServer("grpc" if protocol == "grpc" else "http") as server:
        environ = {**server.environment, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_LOGS_EXPORTER": "otlp"}
        if protocol == "http/json":  # OpenTelemetry's own exporters do not know it, and their set-up would end with it
            environ |= {"OTEL_LOGS_EXPORTER": "none", "OTEL_PYTHON_AUTHAUDIT_EXPORTER": "otlp"}
        done = automatic(tmp_path, **environ)
        assert done.returncode == 0, done.stderr
        assert server.ids == [told["audit.record.id"] for told in attributes(tmp_path)]
    assert told(tmp_path) == EVERYTHING
    assert not list((tmp_path / "journal").rglob("*.lock")), "somebody would adopt what is delivered"


def attributes(folder: Path) -> list[dict[str, str]]:
    """The attributes of the records in the journal."""
    path = next((folder / "journal").rglob("*.jsonl"))
    found = [json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0] for line in path.read_text().splitlines()]
    return [{item["key"]: next(iter(item["value"].values())) for item in record["attributes"]} for record in found]


def test_by_hand(tmp_path: Path) -> None:
    """Under plain python, with keywords: the same records."""
    done = run(tmp_path, sys.executable, "-c", BY_HAND.format(options="ip_privacy_mode='exclude'") + APPLICATION)
    assert done.returncode == 0, done.stderr
    assert told(tmp_path) == EVERYTHING
    assert "127.0.0.1" not in next((tmp_path / "journal").rglob("*.jsonl")).read_text()


def test_by_hand_after_the_import(tmp_path: Path) -> None:
    """Instrumented when everything is imported already: the same records."""
    first, rest = APPLICATION.strip().split("\n", 1)
    done = run(tmp_path, sys.executable, "-c", f"{first}\n{BY_HAND.format(options='')}{rest}")
    assert done.returncode == 0, done.stderr
    assert told(tmp_path) == EVERYTHING


def test_start_is_the_first_moment(tmp_path: Path) -> None:
    """Written with the first record, `audit.start` bears the time from which this process was audited."""
    code = "from opentelemetry_instrumentation_authaudit import audit\naudit.record('custom.first')\n"
    assert run(tmp_path, sys.executable, "-c", BY_HAND.format(options="") + code).returncode == 0
    assert sorted_by_time(tmp_path) == ["audit.start", "custom.first", "audit.stop"]


def sorted_by_time(folder: Path) -> list[str]:
    """The events in the order of their time."""
    path = next((folder / "journal").rglob("*.jsonl"))
    found = [json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0] for line in path.read_text().splitlines()]
    return [record["eventName"] for record in sorted(found, key=lambda record: int(record["timeUnixNano"]))]


DECLARATIVE = """
file_format: "1.0"
logger_provider: {{processors: [{{simple: {{exporter: {{console: }}}}}}]}}
instrumentation/development:
  python:
    authaudit: {options}
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("{exclude_events: [auth.sign_in]}", ["audit.start success", "audit.stop success"]),
        ("{ip_privacy_mode: hsah, log_lifetme: 3}", EVERYTHING),
        ("{enabled: false}", []),
    ],
)
def test_declarative_file(tmp_path: Path, options: str, expected: list[str]) -> None:
    """`OTEL_CONFIG_FILE` with the distro that reads it: options arrive, mistakes cost only themselves, off is off."""
    path = tmp_path / "otel.yaml"
    path.write_text(DECLARATIVE.format(options=options))
    done = automatic(tmp_path, OTEL_CONFIG_FILE=str(path))
    assert done.returncode == 0, done.stderr
    assert told(tmp_path) == expected
    if "hsah" in options:
        assert "'hsah' is not allowed" in done.stderr
        assert "did you mean log_lifetime?" in done.stderr
        assert "127.0.0.1" not in next((tmp_path / "journal").rglob("*.jsonl")).read_text()


def test_fork_begins_a_stream_of_its_own(tmp_path: Path) -> None:
    """A forked worker does not write into its parent's chain."""
    fork = "import os\nif os.fork() == 0:\n    client.post('/logout')\n    os._exit(0)\nos.wait()\n"
    done = run(tmp_path, sys.executable, "-W", "ignore", "-c", BY_HAND.format(options="") + APPLICATION + fork)
    assert done.returncode == 0, done.stderr
    streams = {path.name.split(".")[1] for path in (tmp_path / "journal").rglob("*.jsonl")}
    assert len(streams) == 2
    assert sorted(told(tmp_path)) == sorted([*EVERYTHING, "audit.start success", "auth.sign_out success"])


def test_python_that_does_nothing_leaves_nothing(tmp_path: Path) -> None:
    """Every `python -c` of a shell inherits the instrumentation: no start is written without a request or a record."""
    script = str(Path(sys.executable).parent / "opentelemetry-instrument")
    assert run(tmp_path, script, sys.executable, "-c", "pass", **QUIET).returncode == 0
    assert told(tmp_path) == []


@pytest.fixture
def instrumentor(tmp_path: Path) -> Any:
    """The singleton, switched off again at the end."""
    made = AuthAuditInstrumentor()
    yield made
    if made.is_instrumented_by_opentelemetry:
        made.uninstrument()


def test_bad_keyword_raises_and_leaves_nothing_behind(instrumentor: Any, tmp_path: Path) -> None:
    """Called by hand, a mistake is an exception; after it is mended, the same call works."""
    with pytest.raises(ConfigError, match="did you mean log_lifetime"):
        instrumentor.instrument(log_lifetme=3)
    assert not instrumentor.health().active
    instrumentor.instrument(log_lifetime=3, journal_dir=tmp_path / "journal")
    assert instrumentor.health().active


def test_health_tells_what_is_watched(instrumentor: Any, tmp_path: Path) -> None:
    """For an application's own health check; off again, it says so."""
    pytest.importorskip("bcrypt")
    assert not instrumentor.health().active
    instrumentor.instrument(journal_dir=str(tmp_path / "journal"))
    health = instrumentor.health()
    assert any(target == "bcrypt:checkpw" for _, target in health.hooked)
    assert health.missing == ()
    instrumentor.uninstrument()
    assert not instrumentor.health().active


def test_configured_hook_that_cannot_be_read_is_named(
    instrumentor: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It costs itself."""
    instrumentor.instrument(journal_dir=tmp_path / "journal", hooks=["nonsense"])
    assert instrumentor.health().active
    assert "option hooks: 'nonsense' is not of the form" in caplog.text
