"""`make demo`: three applications, unchanged, as real processes; real HTTP; then the audit trail of what was done.

Exits non-zero if a record is missing, doubled or says something else. Words and progress go to stderr, the trail to stdout.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from .demo_steps import ADMIN, DJANGO, FASTAPI, FLASK, Client, Record, Step

ROOT: Final = Path(__file__).resolve().parents[1]
BIN: Final = Path(sys.executable).parent
AUTHAUDIT: Final = str(BIN / "authaudit")
INSTRUMENTED: Final = (str(BIN / "opentelemetry-instrument"), sys.executable)
PATIENCE: Final = 30.0
"""Seconds that an application may take to answer, and to go."""


@dataclass(frozen=True, slots=True)
class App:
    """An application: its service name, the command that serves it on `{port}`, and what its users do."""

    service: str
    command: tuple[str, ...]
    steps: tuple[Step, ...]
    setup: tuple[tuple[str, ...], ...] = ()


_MANAGE = (sys.executable, "examples/django_app/manage.py")
APPS: Final = (
    App(
        "django",
        (*INSTRUMENTED, "examples/django_app/manage.py", "runserver", "--noreload", "{port}"),
        DJANGO,
        setup=(
            (*_MANAGE, "migrate", "-v0"),
            (*_MANAGE, "createsuperuser", "--noinput", "--username", ADMIN[0], "--email", "r@example.com"),
        ),
    ),
    App("flask", (*INSTRUMENTED, "-m", "flask", "--app", "examples.flask_app", "run", "--port", "{port}"), FLASK),
    App("fastapi", (*INSTRUMENTED, "-m", "uvicorn", "examples.fastapi_app:app", "--port", "{port}"), FASTAPI),
    App("flask-by-hand", (sys.executable, "-m", "examples.manual", "{port}"), FLASK),
)


def say(text: str = "") -> None:
    """Tell the user how far we are."""
    print(text, file=sys.stderr, flush=True)


def environment(folder: Path, service: str, secret: str) -> dict[str, str]:
    """The environment of an application: ours without anything of OpenTelemetry, its data, and where the trail goes."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    data = folder / service
    data.mkdir(exist_ok=True)
    return inherited | {
        "EXAMPLE_DATA": str(data),
        "EXAMPLE_SECRET": secret,
        "DJANGO_SUPERUSER_PASSWORD": ADMIN[1],
        "OTEL_SERVICE_NAME": service,
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR": str(folder / "journal"),
        "OTEL_PYTHON_AUTHAUDIT_HASH_KEY": secret,
        "OTEL_PYTHON_AUTHAUDIT_INCLUDE_FIELDS": "email,username",  # else names are hashed; so the table can be read line by line
    }


@contextmanager
def serving(app: App, env: dict[str, str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run *app* as a process of its own until the block ends; its output goes to a file, shown if it fails."""
    log = Path(env["EXAMPLE_DATA"]) / "log"
    port = free_port()
    with log.open("wb") as output:
        for command in app.setup:
            subprocess.run(command, cwd=ROOT, env=env, stdout=output, stderr=output, check=True)
        process = subprocess.Popen(
            [word.format(port=port) for word in app.command],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is ours: we tell it to go
        )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        end(process)


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def end(process: subprocess.Popen[bytes]) -> None:
    """Have *process* go: asked first, then made to."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sign)
        try:
            process.wait(PATIENCE / 6)
        except subprocess.TimeoutExpired:
            continue
        return


def wait_until_up(app: App, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when *app* answers; SystemExit with its output if it ends or stays silent."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"{app.service} did not start:\n{log.read_text(errors='replace')}")


def drive(app: App, client: Client) -> list[str]:
    """Do the steps of *app*; what the application answered otherwise than it should."""
    wrong = []
    for step in app.steps:
        answer = step.do(client)
        say(f"  {app.service:<14} {step.what:<40} {answer}")
        if answer != step.answer:
            wrong.append(f"{app.service}: {step.what}: answered {answer}, expected {step.answer}")
    return wrong


def query(store: Path | str, *arguments: str) -> str:
    """What the real command prints."""
    command = [AUTHAUDIT, "query", "--store", str(store), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def compare(app: App, ids: dict[str, str], found: Sequence[dict[str, str]]) -> list[str]:
    """How the records of *app* differ from what was done, a line each."""
    wanted = [(step.what, record) for step in app.steps for record in step.records]
    faults = [
        f"{app.service}: {what}: expected {record}, found {_short(actual)}"
        for (what, record), actual in zip(wanted, found, strict=False)
        if not _says(actual, record, ids)
    ]
    faults += [f"{app.service}: {what}: its record is missing: {record}" for what, record in wanted[len(found) :]]
    faults += [f"{app.service}: a record too many: {_short(actual)}" for actual in found[len(wanted) :]]
    return faults


def _says(actual: dict[str, str], record: Record, ids: dict[str, str]) -> bool:
    said = _short(actual)
    return (
        (said.event, said.status, said.reason) == (record.event, record.status, record.reason)
        and record.subject.format_map(ids) in ("", said.subject)
        and record.identity in ("", said.identity)
    )


def _short(actual: dict[str, str]) -> Record:
    keys = ("event", "audit.outcome", "audit.reason", "user.id", "audit.identity")
    return Record(*(actual.get(key, "") for key in keys))


def main() -> int:
    """Run the applications, use them, print the trail, compare."""
    with tempfile.TemporaryDirectory(prefix="authaudit-demo-") as name, ExitStack() as stack:
        folder, secret = Path(name), secrets.token_hex(32)
        faults: list[str] = []
        clients: dict[str, Client] = {}
        say("Starting four applications ...")
        envs = {app.service: environment(folder, app.service, secret) for app in APPS}
        started = {app.service: stack.enter_context(serving(app, envs[app.service])) for app in APPS}
        for app in APPS:
            url, process = started[app.service]
            data = folder / app.service
            wait_until_up(app, url, process, data / "log")
            clients[app.service] = Client(url, data, secret)
            faults += drive(app, clients[app.service])
        for _, process in started.values():
            end(process)
        say()
        print(query(folder / "journal"), flush=True)
        trail = [json.loads(line) for line in query(folder / "journal", "--format", "json").splitlines()]
        for app in APPS:
            found = [r for r in trail if r["service"] == app.service and not r["event"].startswith("audit.")]
            faults += compare(app, clients[app.service].ids, found)
    return report(faults)


def report(faults: list[str]) -> int:
    """Say how it went, and which command asks which question; the exit code."""
    for fault in faults:
        say(f"WRONG  {fault}")
    if faults:
        return 1
    count = sum(len(step.records) for app in APPS for step in app.steps)
    say(f"Every one of the {count} events has exactly one record.\n")
    say(QUESTIONS)
    return 0


QUESTIONS: Final = """\
Who was refused?                  authaudit query --status failure
What did this account do?         authaudit query --subject auth.user:2
All sign-ins with a password      authaudit query --action sign_in_with_password
What came from this address?      authaudit query --ip 127.0.0.1
What happened in the last hour?   authaudit query --since 1h
What is happening now?            authaudit tail -f
Is everything watched here?       authaudit doctor"""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
