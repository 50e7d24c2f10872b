"""A pytest plugin (`-p tests.stories.canary`): every story once more with a second trail beside its own, and no secret in either.

The second trail has the options that everybody has who set none, and delivers by OTLP to a real server. When a story ends, the bytes
of both journals and of the OTLP requests are searched for every secret that passed through the process meanwhile, in every encoding
and in halves; those of the second trail also for what people typed as their names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from opentelemetry_instrumentation_authaudit.config import load
from opentelemetry_instrumentation_authaudit.hooks.engine import active_engine
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Sink, Status
from opentelemetry_instrumentation_authaudit.pipeline.sink import Pipeline
from opentelemetry_instrumentation_authaudit.testing import AuditTrail
from tests.canaries import found_in
from tests.pipeline.otlp_server import OtlpServer

from .secrets_seen import Secrets, frozen

_SECRETS: Final = Secrets()
_COUNTS: Final = {"stories": 0, "secrets": 0, "records": 0}


class Both:
    """A sink before two."""

    def __init__(self, first: Sink, second: Sink) -> None:
        self.first, self.second = first, second
        self.identities: set[str] = set()

    def begin(self) -> None:
        """Both begin."""
        self.first.begin()
        self.second.begin()

    def wants(self, event: str, status: Status) -> bool:
        """What one of them wants."""
        return any([self.first.wants(event, status), self.second.wants(event, status)])

    def admit(self, event: str) -> None:
        """The story's own says."""
        self.first.admit(event)

    def __call__(self, event: AuditEvent) -> str | None:
        """Tell both."""
        _COUNTS["records"] += 1
        if event.identity:
            self.identities.add(event.identity)
        self.second(event)
        return self.first(event)


@pytest.fixture(scope="session")
def otlp_server() -> Iterator[OtlpServer]:
    """Where the second trail goes."""
    with OtlpServer("http") as server:
        os.environ.update(server.environment, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", OTEL_PYTHON_AUTHAUDIT_EXPORTER="otlp")
        yield server


@pytest.fixture(autouse=True)
def no_secret_gets_out(request: pytest.FixtureRequest, tmp_path: Path, otlp_server: OtlpServer) -> Iterator[None]:
    """Search what the story left behind."""
    if "audit_trail" not in request.fixturenames:
        yield
        return
    trail: AuditTrail = request.getfixturevalue("audit_trail")
    engine = active_engine()
    assert engine is not None
    beside = Pipeline(load(os.environ, journal_dir=tmp_path / "beside" / "journal"))
    both = engine.sink = Both(engine.sink, beside)
    _SECRETS.clear()
    before = len(otlp_server.requests)
    yield
    secrets = frozen(_SECRETS.seen)
    assert beside.shutdown(), "not everything was delivered"
    sent = b"".join(received.body for received in otlp_server.requests[before:])
    own = _bytes_below(trail.folder)
    default = _bytes_below(tmp_path / "beside")
    _COUNTS["stories"] += 1
    _COUNTS["secrets"] += len(secrets)
    leaks = [
        f"{place}: {what} as {form!r}"
        for place, data, sought in (
            ("the story's journal", own, secrets),
            ("the journal by default", default, {**secrets, **dict.fromkeys(both.identities, "identity")}),
            ("the OTLP request by default", sent, {**secrets, **dict.fromkeys(both.identities, "identity")}),
        )
        for secret, what in sought.items()
        for form in found_in(data, secret)
    ]
    if leaks:
        pytest.fail("secrets got out:\n" + "\n".join(leaks))


def _bytes_below(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*.json*")))


def pytest_sessionstart() -> None:
    """Listen from now on."""
    _SECRETS.start()


def pytest_sessionfinish() -> None:
    """Listen no more."""
    _SECRETS.stop()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was searched for."""
    terminalreporter.write_line("canaries: {stories} stories, {secrets} secrets, {records} records".format(**_COUNTS))
