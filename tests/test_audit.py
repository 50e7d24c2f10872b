"""An application's own authentication code: `audit.record`, `audit.attempt`, `audit.context`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import ModuleType

import pytest

from opentelemetry_instrumentation_authaudit import Actor, RecordingRefused, audit
from opentelemetry_instrumentation_authaudit.hooks.engine import activate, deactivate
from opentelemetry_instrumentation_authaudit.model.event import Reason, Status, Strategy

from .hooks.conftest import Bench, load
from .hooks.rows import AUTHENTICATE, CHECK, LOGIN


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An engine that application code finds."""
    made = Bench()
    activate(made.engine)
    yield made
    deactivate(made.engine)
    made.installation.remove()


@pytest.fixture
def fakelib() -> ModuleType:
    """A library that an application's own code calls."""
    return load()


def test_record_tells_everything(bench: Bench) -> None:
    """Every fact arrives where it belongs."""
    told = audit.record(
        "auth.sign_in",
        status="failure",
        strategy="ldap",
        provider="corp",
        subject="u1",
        identity="ann",
        reason="locked_account",
        error_type="49",
        actor="root",
        tenant="acme",
        resource="directory",
        params={"dn": "cn=ann"},
        time=123,
    )
    (event,) = bench.events
    assert told == "1"
    assert (event.event, event.status, event.strategy, event.provider) == ("auth.sign_in", Status.FAILURE, Strategy.LDAP, "corp")
    assert (event.subject, event.identity, event.reason, event.error_type) == ("u1", "ann", Reason.LOCKED_ACCOUNT, "49")
    assert (event.actor, event.tenant, event.resource, event.time) == (Actor("root"), "acme", "directory", 123)
    assert (event.params["dn"].value, event.library) == ("cn=ann", "application")


def test_reason_of_the_applications_own_goes_to_error_type(bench: Bench) -> None:
    """The list of reasons is closed; a word outside it is kept, not lost."""
    audit.record("auth.sign_in", status="failure", reason="badge_worn_out")
    assert [(event.reason, event.error_type) for event in bench.events] == [(Reason.UNKNOWN, "badge_worn_out")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"event": "auth.sing_in"}, "unknown event 'auth.sing_in': did you mean 'auth.sign_in'?"),
        ({"event": "auth.sign_in", "strategy": "pasword"}, "unknown strategy 'pasword': did you mean 'password'?"),
        ({"event": "auth.sign_in", "status": "ok"}, "unknown status 'ok'; known: success, failure, unknown."),
    ],
)
def test_unknown_words_are_refused_with_the_nearest(bench: Bench, given: dict[str, str], message: str) -> None:
    """A typo is found when the code is written, not when the auditor asks."""
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        audit.record(**given)  # type: ignore[arg-type]
    assert bench.events == []


def test_attempt_takes_in_what_libraries_report_inside(fakelib: ModuleType, bench: Bench) -> None:
    """An application's own sign-in around library calls is one record, with their mechanism and reason."""
    bench.install(CHECK, AUTHENTICATE, LOGIN)
    with bench.request(), audit.attempt("auth.sign_in", identity="ann") as attempt:
        fakelib.authenticate("ann", "ok")
        fakelib.login("ann")
        attempt.succeed(subject="user:ann")
    with bench.request(), audit.attempt("auth.sign_in", identity="ann") as attempt:
        if fakelib.authenticate("ann", "no") is None:
            attempt.fail()
    assert [(e.status.value, e.strategy.value, e.subject, e.reason) for e in bench.events] == [
        ("success", "password", "user:ann", None),
        ("failure", "password", "ann", Reason.WRONG_PASSWORD),
    ]


def test_exception_leaves_the_block_and_the_outcome_unknown(bench: Bench) -> None:
    """It is the application's, and goes on; `fail` before it stands."""
    with pytest.raises(LookupError), audit.attempt("auth.sign_in"):
        raise LookupError
    with pytest.raises(LookupError), audit.attempt("auth.sign_in") as attempt:
        attempt.fail("rate_limited")
        raise LookupError
    assert [(e.status, e.reason, e.error_type) for e in bench.events] == [
        (Status.UNKNOWN, Reason.BACKEND_ERROR, "LookupError"),
        (Status.FAILURE, Reason.RATE_LIMITED, "LookupError"),
    ]


def test_attempt_around_awaits(fakelib: ModuleType, bench: Bench) -> None:
    """The block may await; tasks beside it are not inside it."""
    bench.install(CHECK, AUTHENTICATE)

    async def sign_in(name: str) -> None:
        with audit.attempt("auth.sign_in", identity=name) as attempt:
            await asyncio.sleep(0)
            attempt.succeed(subject=fakelib.authenticate(name, "ok"))

    async def scenario() -> None:
        await asyncio.gather(*(sign_in(f"user{number}") for number in range(10)))

    asyncio.run(scenario())
    assert {(e.identity, e.subject) for e in bench.events} == {(f"user{n}", f"user{n}") for n in range(10)}


def test_refused_recording_stops_the_block(bench: Bench) -> None:
    """Strict mode: what cannot be recorded does not happen."""
    bench.events.refuse = True
    with pytest.raises(RecordingRefused), audit.attempt("auth.sign_in"):
        pytest.fail("entered although refused")


def test_context_reaches_records_of_libraries_and_of_the_application(fakelib: ModuleType, bench: Bench) -> None:
    """Tenant and actor for everything inside the block."""
    bench.install(LOGIN)
    with audit.context(tenant="acme", actor=Actor("batch", "service")):
        fakelib.login("ann")
        audit.record("custom.badge_swiped")
    assert [(e.tenant, e.actor) for e in bench.events] == [("acme", Actor("batch", "service"))] * 2


def test_nothing_happens_where_nothing_records(caplog: pytest.LogCaptureFixture) -> None:
    """Without the instrumentation the calls are harmless, and say so once."""
    assert audit.record("auth.sign_in") is None
    with audit.attempt("auth.sign_in") as attempt:
        attempt.succeed(subject="x")
    assert caplog.text.count("nothing records") == 1
