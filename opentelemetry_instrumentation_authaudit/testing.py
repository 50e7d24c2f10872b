"""For tests, yours and ours: the pytest fixture `audit_trail` (installed as a plugin) records what an application did.

    def test_login(client, audit_trail):
        client.post("/login", data={"username": "ann", "password": "right"})
        assert audit_trail.one(event="auth.sign_in")["user.id"] == "1"
        audit_trail.assert_no_secret("right")
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .hooks.engine import Engine
from .hooks.install import Installation
from .instrumentor import listen
from .model import names
from .model.catalog import Default, action_of, lookup
from .model.event import AuditEvent, Status

__all__ = ("AuditTrail", "audit_trail", "listen_early")

_BOOKKEEPING = (names.RECORD_ID, names.LOG, names.SCHEMA, names.CLIENT_PORT, "logged_at")
_VARYING = {names.FLOW_ID: "flow", names.SESSION_ID: "session", names.TOKEN_ID: "token"}


class AuditTrail:
    """What was recorded since the test began."""

    def __init__(self) -> None:
        self._events: list[AuditEvent] = []

    def begin(self) -> None:
        """Part of the sink."""

    def admit(self, event: str) -> None:
        """Part of the sink."""

    def __call__(self, event: AuditEvent) -> str | None:
        spec = lookup(event.event)
        if spec is None or spec.default is Default.OFF or (spec.default is Default.FAILURES and event.status is Status.SUCCESS):
            return None
        self._events.append(event)
        return str(len(self._events))

    @property
    def records(self) -> list[dict[str, str]]:
        """Every record, oldest first, as flat dictionaries: attribute names, and `event`."""
        return [_flat(event) for event in self._events]

    def story(self) -> list[dict[str, str]]:
        """The records without bookkeeping (ids, times, ports) and with random ids numbered by appearance, to compare as a whole.

        Forgets what it returns: the next call tells what came after.
        """
        numbers: dict[str, dict[str, str]] = {name: {} for name in _VARYING}
        told = []
        for record in self.records:
            plain = {name: value for name, value in record.items() if name not in _BOOKKEEPING}
            for name, word in _VARYING.items():
                if name in plain:
                    plain[name] = numbers[name].setdefault(plain[name], f"{word}-{len(numbers[name]) + 1}")
            told.append(plain)
        self._events.clear()
        return told

    def one(self, event: str | None = None, status: str | None = None) -> dict[str, str]:
        """The only record of that event and status; an AssertionError that shows all records if there is not exactly one."""
        found = [r for r in self.records if event in (None, r["event"]) and status in (None, r[names.OUTCOME])]
        assert len(found) == 1, f"{len(found)} records of {event or 'any event'} {status or ''} among {self.records}"
        return found[0]


def _flat(event: AuditEvent) -> dict[str, str]:
    flat: dict[str, Any] = {
        "event": event.event,
        names.ACTION: action_of(event),
        names.STRATEGY: event.strategy.value,
        names.PROVIDER: event.provider,
        names.OUTCOME: event.status.value,
        names.REASON: event.reason.value if event.reason else None,
        names.ERROR_TYPE: event.error_type,
        names.INFERRED: "true" if event.inferred else None,
        names.ATTEMPTS: str(event.attempts) if event.attempts > 1 else None,
        names.SUBJECT: event.subject,
        names.IDENTITY: event.identity,
        names.ACTOR_ID: event.actor and event.actor.id,
        names.ACTOR_TYPE: event.actor and event.actor.type,
        names.TENANT: event.tenant,
        names.RESOURCE: event.resource,
        names.LIBRARY: event.library,
        names.TOKEN_ID: event.token_id,
        names.SESSION_ID: event.session_key,
        **{f"{names.PARAM_PREFIX}{k}": str(p.value) for k, p in event.params.items() if not p.sensitive},
    }
    if event.request is not None:
        request = event.request
        flat |= {
            names.CLIENT_ADDRESS: request.peer,
            names.PEER_ADDRESS: request.peer,
            names.METHOD: request.method,
            names.SERVER_ADDRESS: request.host,
            names.ROUTE: request.route,
            names.PATH: None if request.route else request.path,
            names.USER_AGENT: request.user_agent,
            names.FLOW_ID: request.flow_id,
        }
    return {name: value for name, value in flat.items() if value is not None}


class _Silent:
    def begin(self) -> None:
        """Nobody listens yet."""

    def admit(self, event: str) -> None:
        """Nothing is refused."""

    def __call__(self, event: AuditEvent) -> None:
        return None


_standing: Engine | None = None


def listen_early() -> None:
    """Install every row now, before the libraries are imported, for the whole test run; trails then only listen in."""
    global _standing  # noqa: PLW0603 -- one per process, like the patches themselves
    if _standing is None:
        _standing = Engine(_Silent())
        listen(_standing)


@pytest.fixture
def audit_trail() -> Iterator[AuditTrail]:
    """The records of this test; the libraries are watched while it runs."""
    trail = AuditTrail()
    if _standing is not None:
        _standing.sink = trail
        yield trail
        _standing.sink = _Silent()
        return
    installation: Installation = listen(Engine(trail))
    yield trail
    installation.remove()


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
