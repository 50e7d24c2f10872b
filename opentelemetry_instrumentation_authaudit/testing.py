"""For tests, yours and ours: the pytest fixture `audit_trail` (installed as a plugin) records what an application did.

    def test_login(client, audit_trail):
        client.post("/login", data={"username": "ann", "password": "right"})
        assert audit_trail.one(event="auth.sign_in")["user.id"] == "1"
        audit_trail.assert_no_secret("right")

Records go through the real pipeline, with its redaction, into a journal in a temporary folder, and are read back from there.
Override the fixture `audit_trail_options` to set options.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from .config import load
from .hooks.engine import Engine, activate, deactivate
from .instrumentor import listen
from .model import names
from .model.event import AuditEvent, Status
from .pipeline.life import Sources
from .pipeline.sink import Pipeline
from .query.reader import Record, Unreadable, files_in, read

__all__ = ("AuditTrail", "audit_trail", "audit_trail_of", "audit_trail_options", "listen_early")

_BOOKKEEPING: Final = frozenset({
    names.RECORD_ID, names.LOG, names.SCHEMA, names.CLIENT_PORT, names.STREAM_ID, names.SEQUENCE_NUMBER, names.PREVIOUS_HASH,
    "logged_at", "severity", "service", "trace_id", "span_id",
})  # fmt: skip
_VARYING: Final = {names.FLOW_ID: "flow", names.SESSION_ID: "session", names.TOKEN_ID: "token"}
_SHORTEST_HALF: Final = 4  # characters: half of a shorter secret is found anywhere


class AuditTrail:
    """What was recorded since the test began."""

    def __init__(self, folder: Path, **options: Any) -> None:
        """*folder* takes the journal; *options* are those of `instrument()`."""
        ticks = itertools.count(1_767_225_600_000_000_000, 1_000_000_000)  # 2026-01-01T00:00:00Z, and a second for each event
        numbers = itertools.count(1)
        self.clock = ticks.__next__
        self.folder = folder / "journal"
        self.pipeline = Pipeline(
            load({}, raises=True, **{"hash_key": "test:audit-trail", "journal_dir": self.folder, **options}),
            sources=Sources(
                now=lambda: 1_767_225_600_000_000_000,
                record_id=lambda: f"00000000-0000-7000-8000-{next(numbers):012d}",
                stream_id=lambda: "0" * 16,
            ),
        )
        self._told = 0

    @property
    def records(self) -> list[dict[str, str]]:
        """Every record of the application, in the order of recording, as flat dictionaries: attribute names, `event`,
        `logged_at`."""
        found = sorted(read(files_in(self.folder), Unreadable()), key=_number)
        return [record.flat() for record in found if not record.event.startswith("audit.")]

    def story(self) -> list[dict[str, str]]:
        """The records since the last call, without bookkeeping (ids, times, ports, chain) and with random ids numbered by
        appearance (`flow-1`): everything that is the same each time, to compare as a whole."""
        numbers: dict[str, dict[str, str]] = {name: {} for name in _VARYING}
        records = self.records
        told, self._told = records[self._told :], len(records)
        return [_plain(record, numbers) for record in told]

    def one(self, event: str | None = None, status: str | None = None) -> dict[str, str]:
        """The only record of that event and status; an AssertionError that shows all records if there is not exactly one."""
        records = self.records
        found = [record for record in records if event in {None, record["event"]} and status in {None, record[names.OUTCOME]}]
        shown = "\n".join(f"  {record['event']} {record[names.OUTCOME]} {record[names.ACTION]}" for record in records) or "  none"
        assert len(found) == 1, f"{len(found)} records of {event or 'any event'} {status or ''}; recorded were:\n{shown}"
        return found[0]

    def assert_no_secret(self, *secrets: str) -> None:
        """None of *secrets*, nor half of one, stands in what was recorded: not as it is, URL-, base64-, hex- or JSON-encoded."""
        stored = b"".join(path.read_bytes() for path in files_in(self.folder))
        for secret in secrets:
            for form in _forms(secret):
                assert form not in stored, f"the audit trail holds a secret, or a half of it, as {form!r}"


def _number(record: Record) -> int:
    return int(record.attributes[names.SEQUENCE_NUMBER])


def _plain(record: dict[str, str], numbers: dict[str, dict[str, str]]) -> dict[str, str]:
    plain = {name: value for name, value in record.items() if name not in _BOOKKEEPING}
    if plain.get(names.CLIENT_SOURCE) == "peer":  # the usual case
        del plain[names.CLIENT_SOURCE]
    for name, word in _VARYING.items():
        if name in plain:
            plain[name] = numbers[name].setdefault(plain[name], f"{word}-{len(numbers[name]) + 1}")
    return plain


def _forms(secret: str) -> set[bytes]:
    half = len(secret) // 2
    parts = {secret, *({secret[:half], secret[half:]} if half >= _SHORTEST_HALF else ())}
    forms: set[bytes] = set()
    for part in parts:
        raw = part.encode()
        forms |= {raw, quote(part, safe="").encode(), raw.hex().encode(), json.dumps(part)[1:-1].encode()}
        forms |= {base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"=")}
    return forms


class _Silent:
    def begin(self) -> None:
        """Nobody listens yet."""

    def wants(self, event: str, status: Status) -> bool:
        """Everything may be recorded."""
        return True

    def admit(self, event: str) -> None:
        """Nothing is refused."""

    def __call__(self, event: AuditEvent) -> None:
        return None


_standing: Engine | None = None


def listen_early() -> None:
    """Install every row now, before the libraries are imported, for the whole test run; trails then only listen in."""
    global _standing  # noqa: PLW0603 -- one for a process, like the patches themselves
    if _standing is None:
        _standing = Engine(_Silent())
        listen(_standing)


@pytest.fixture
def audit_trail_options() -> dict[str, Any]:
    """Options of the trail, as keywords of `instrument()`; override it to change them."""
    return {}


@contextmanager
def audit_trail_of(folder: Path, **options: Any) -> Iterator[AuditTrail]:
    """What the fixture does, where a test wants a trail of its own: watch the libraries, record with *options* below *folder*."""
    trail = AuditTrail(folder, **options)
    installation = None
    engine = _standing
    if engine is None:
        engine = Engine(trail.pipeline)
        installation = listen(engine)
    engine.sink, engine.clock, engine.tenant_claim = trail.pipeline, trail.clock, options.get("tenant_claim")
    activate(engine)
    try:
        yield trail
    finally:
        deactivate(engine)
        engine.sink = _Silent()
        if installation is not None:
            installation.remove()
        trail.pipeline.shutdown()


@pytest.fixture
def audit_trail(tmp_path: Path, audit_trail_options: dict[str, Any]) -> Iterator[AuditTrail]:
    """The records of this test; the libraries are watched while it runs."""
    with audit_trail_of(tmp_path / "audit", **audit_trail_options) as trail:
        yield trail


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer `--authaudit-early`."""
    parser.getgroup("authaudit").addoption(
        "--authaudit-early",
        action="store_true",
        help="watch authentication libraries from the start of the run, before anything imports them, as opentelemetry-instrument does",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start to watch at once where `--authaudit-early` asks for it."""
    if config.getoption("--authaudit-early"):
        listen_early()
