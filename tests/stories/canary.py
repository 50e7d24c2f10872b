"""A pytest plugin (`-p tests.stories.canary`): every story once more with two trails beside its own, and no secret in any of them.

The second trail has the options that everybody has who set none, and delivers by OTLP to a real server; the third has
`include_fields=email,username`. When a story ends, the bytes of all journals and of the OTLP requests are searched for every secret
that passed through the process meanwhile, in every encoding and in halves; those of the second trail also for what people typed as
their names. And what they typed stands in the third trail, under the name that the library gives it, and not in the second.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from opentelemetry_instrumentation_authaudit.config import load
from opentelemetry_instrumentation_authaudit.hooks import IDENTITY_FIELDS
from opentelemetry_instrumentation_authaudit.hooks.engine import active_engine
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Sink, Status
from opentelemetry_instrumentation_authaudit.pipeline.sink import Pipeline
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, files_in, read
from opentelemetry_instrumentation_authaudit.testing import AuditTrail
from tests.canaries import found_in
from tests.pipeline.otlp_server import OtlpServer

from .secrets_seen import Secrets, frozen

_SECRETS: Final = Secrets()
_COUNTS: Final = {"stories": 0, "secrets": 0, "records": 0, "fields": 0}
_FIELDS: Final = ("email", "username")
_identified: Final[set[str]] = set()
"""Libraries of whose records one had an identity."""
_shown: Final[set[str]] = set()
"""Those of whose records one had it under a name that `include_fields` knows."""


class Trails:
    """A sink before three."""

    def __init__(self, first: Sink, default: Sink, including: Sink) -> None:
        self.first, self.default, self.including = first, default, including
        self.identities: set[str] = set()
        self.people: set[str] = set()
        """Subjects and actors, which are recorded as they are: in a directory they may be just what was typed."""
        self.fields: dict[str, dict[str, str]] = {}
        """By the id of a record of the third trail: what stands there in clear."""

    def begin(self) -> None:
        """All begin."""
        for sink in (self.first, self.default, self.including):
            sink.begin()

    def wants(self, event: str, status: Status) -> bool:
        """What one of them wants."""
        return True in [sink.wants(event, status) for sink in (self.first, self.default, self.including)]  # each counts

    def admit(self, event: str) -> None:
        """The story's own says."""
        self.first.admit(event)

    def __call__(self, event: AuditEvent) -> str | None:
        """Tell all."""
        _COUNTS["records"] += 1
        library = event.library.partition(" ")[0]
        self.people |= {who for who in (event.subject, event.actor and event.actor.id) if who}
        if event.identity:
            self.identities.add(event.identity)
            _identified.add(library)
        self.default(event)
        fields = {name: event.params[name] for name in _FIELDS if name in event.params}
        record_id = self.including(event)
        if record_id is not None and event.repeats == 0:
            self.fields[record_id] = {name: param.value for name, param in fields.items() if isinstance(param.value, str)}
        if any(event.params[name].sensitive for name in IDENTITY_FIELDS if name in event.params):
            _shown.add(library)
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
    beside, including = (tmp_path / name / "journal" for name in ("beside", "including"))
    default = Pipeline(load(os.environ, journal_dir=beside))
    fields = Pipeline(load({}, journal_dir=including, include_fields=",".join(_FIELDS), request_auth_dedup=0))
    trails = engine.sink = Trails(engine.sink, default, fields)
    _SECRETS.clear()
    before = len(otlp_server.requests)
    yield
    secrets = frozen(_SECRETS.seen)
    assert default.shutdown(), "not everything was delivered"
    fields.shutdown()
    sent = b"".join(received.body for received in otlp_server.requests[before:])
    _COUNTS["stories"] += 1
    _COUNTS["secrets"] += len(secrets)
    typed = dict.fromkeys(trails.identities, "identity")
    leaks = [
        f"{place}: {what} as {form!r}"
        for place, data, sought in (
            ("the story's journal", _bytes_below(trail.folder), secrets),
            ("the journal with fields", _bytes_below(including), secrets),
            ("the journal by default", _bytes_below(beside), secrets),
            ("the OTLP request by default", sent, secrets),
            ("the journal by default", _without(_bytes_below(beside), trails.people), typed),
            ("the OTLP request by default", _without(sent, trails.people), typed),
        )
        for secret, what in sought.items()
        for form in found_in(data, secret)
    ]
    if leaks:
        pytest.fail("secrets got out:\n" + "\n".join(leaks))
    faults = [*_not_shown(including, trails.fields), *_shown_all_the_same(beside)]
    if faults:
        pytest.fail("include_fields:\n" + "\n".join(faults))


def _not_shown(journal: Path, fields: dict[str, dict[str, str]]) -> Iterator[str]:
    """What should stand in the third trail, and does not: unless the record says that something had to be taken out."""
    for record in read(files_in(journal), Unreadable()):
        for name, value in fields.get(record.id, {}).items():
            found = record.attributes.get(f"{names.PARAM_PREFIX}{name}")
            _COUNTS["fields"] += 1
            if (
                found != value
                and value.strip()
                and names.REDACTED not in record.attributes
                and names.TRUNCATED not in record.attributes
            ):
                yield f"{record.event} of {record.attributes[names.LIBRARY]}: {name} is {found!r}, and was {value!r}"


def _shown_all_the_same(journal: Path) -> Iterator[str]:
    """What stands in the second trail, and should not."""
    for record in read(files_in(journal), Unreadable()):
        for name in _FIELDS:
            if f"{names.PARAM_PREFIX}{name}" in record.attributes:
                yield f"{record.event} of {record.attributes[names.LIBRARY]} shows {name} by default"


def _without(data: bytes, people: Iterable[str]) -> bytes:
    for who in people:
        data = data.replace(who.encode("utf-8", "replace"), b"")
    return data


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
    line = "canaries: {stories} stories, {secrets} secrets, {records} records, {fields} fields that were asked for"
    terminalreporter.write_line(line.format(**_COUNTS))
    terminalreporter.write_line(f"identity without a name: {', '.join(sorted(_identified - _shown)) or 'none'}")
