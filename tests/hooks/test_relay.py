"""Directories: a service account looks the person up, and the person has another name there than in the application."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.hooks import Call, Facts, Flow, Hook, Reason, Role, Status, Strategy

from .conftest import Bench
from .rows import row

SERVICE, ANN, BOB = "cn=lookup", "uid=ann", "uid=bob"


def bind(call: Call) -> Flow:
    """A bind: the identity is whom the directory knows."""
    outcome = yield
    if outcome.result is None:
        return Facts(status=Status.FAILURE, identity=call.arg("user"), fallback=Reason.INVALID_CREDENTIALS)
    return Facts(subject=call.arg("user"), identity=call.arg("user"))


def rebind(call: Call) -> Flow:
    """A bind on a connection that was the service account's."""
    yield
    return Facts(subject=call.arg("user"), identity=call.arg("user"), via=SERVICE)


def around(call: Call) -> Flow:
    """An application's own check of a name, by the directory."""
    outcome = yield
    if outcome.result == call.arg("user"):
        return Facts(subject="1")
    return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS)


def login(call: Call) -> Flow:
    """The application's session; it refuses bob, whose account is not active there."""
    yield
    if call.arg("user") == "bob":
        return Facts(status=Status.FAILURE, subject="2", reason=Reason.INACTIVE_ACCOUNT)
    return Facts(subject="1")


def form(call: Call) -> Flow:
    """What the login form said, of a sign-in that nobody told."""
    yield
    return Facts(status=Status.FAILURE, identity=call.arg("user"), fallback=Reason.INVALID_CREDENTIALS)


def directory(path: str, extract: Any) -> Hook:
    """A row of a directory's library."""
    event = "auth.authenticate"
    return row(path, extract, event=event, strategy=Strategy.LDAP, defer=True, foreign=True, relay=True)


BIND = directory("authenticate", bind)
REBIND = directory("register", rebind)
LOGIN = row("login", login, strategy=Strategy.SESSION)
LOGOUT = row("logout", login, event="auth.sign_out", strategy=Strategy.SESSION)
FOREIGN_LOGOUT = row("kept", bind, event="auth.sign_out", strategy=Strategy.SAML, defer=True, foreign=True)
FORM = row("note", form, role=Role.HINT, strategy=Strategy.PASSWORD)

ANN_FOUND = ("auth.authenticate", "ldap", "success", ANN, None)
ANN_REFUSED = ("auth.sign_in", "ldap", "failure", None, "invalid_credentials")


def test_service_account_is_not_the_person(fakelib: ModuleType, bench: Bench) -> None:
    """Search, then bind, and search on: the person is told, once."""
    bench.install(BIND)
    with bench.request():
        for name in (SERVICE, ANN, SERVICE):
            fakelib.authenticate(name, "ok")
    assert bench.events.told() == [ANN_FOUND]


def test_wrong_password_after_the_search(fakelib: ModuleType, bench: Bench) -> None:
    """The failure is the person's, and nothing is told of the service account."""
    bench.install(BIND)
    with bench.request(401):
        fakelib.authenticate(SERVICE, "ok")
        fakelib.authenticate(ANN, "no")
        fakelib.authenticate(SERVICE, "ok")
    assert bench.events.told() == [ANN_REFUSED]


def test_several_people_behind_one_service_account(fakelib: ModuleType, bench: Bench) -> None:
    """Only one identity of a request can be the service account's: a batch of sign-ins is told one by one."""
    bench.install(BIND)
    with bench.request():
        for name, password in ((SERVICE, "ok"), (ANN, "ok"), (SERVICE, "ok"), (BOB, "ok"), (ANN, "ok"), (BOB, "no")):
            fakelib.authenticate(name, password)
    assert bench.events.told() == [ANN_REFUSED, ANN_FOUND, ("auth.authenticate", "ldap", "success", BOB, None)]


def test_connection_that_is_bound_anew(fakelib: ModuleType, bench: Bench) -> None:
    """The connection itself says who had it before, though that bind was long ago."""
    bench.install(BIND, REBIND)
    with bench.request():
        fakelib.register(ANN, "ok")
        fakelib.authenticate(SERVICE, "ok")
    assert bench.events.told() == [ANN_FOUND]


def test_one_identity_twice(fakelib: ModuleType, bench: Bench) -> None:
    """A second connection for the same person proves nothing new; a wrong password after it is a failure all the same."""
    bench.install(BIND)
    with bench.request():
        fakelib.authenticate(ANN, "ok")
        fakelib.authenticate(ANN, "ok")
        fakelib.authenticate(ANN, "no")
    assert bench.events.told() == [ANN_REFUSED, ANN_FOUND]


def test_session_has_a_name_of_its_own_for_the_person(fakelib: ModuleType, bench: Bench) -> None:
    """The application's user signs in with what the directory said, whatever it calls the user."""
    bench.install(BIND, LOGIN)
    with bench.request():
        fakelib.authenticate(SERVICE, "ok")
        fakelib.authenticate(ANN, "ok")
        fakelib.login("ann")
        fakelib.authenticate(ANN, "ok")  # to read the groups
    assert bench.events.told() == [("auth.sign_in", "ldap", "success", "1", None)]


def test_session_refused_after_a_right_password(fakelib: ModuleType, bench: Bench) -> None:
    """One failure: what is inactive is the application's account."""
    bench.install(BIND, LOGIN)
    with bench.request():
        fakelib.authenticate(BOB, "ok")
        fakelib.login("bob")
    assert bench.events.told() == [("auth.sign_in", "ldap", "failure", "2", "inactive_account")]


def test_account_that_is_not_found(fakelib: ModuleType, bench: Bench) -> None:
    """What the provider said was right, and the application's own check of it says no: one failure, of whom the provider named."""
    saml = row("kept", bind, event="auth.authenticate", strategy=Strategy.SAML, defer=True, foreign=True)
    bench.install(saml, row("authenticate", around, event="auth.authenticate", strategy=Strategy.SAML, defer=True))
    with bench.request(403):
        fakelib.kept("ann")
        fakelib.authenticate("ann", "no")
    assert bench.events.told() == [("auth.sign_in", "saml", "failure", "ann", "invalid_credentials")]


def test_sign_out_told_by_both(fakelib: ModuleType, bench: Bench) -> None:
    """The provider's name and the application's are one sign-out, in either order."""
    bench.install(FOREIGN_LOGOUT, LOGOUT)
    for calls in ((fakelib.logout, fakelib.kept), (fakelib.kept, fakelib.logout)):
        with bench.request():
            for call in calls:
                call("ann")
    told = bench.events.told()
    assert [(event, status, subject) for event, _, status, subject, _ in told] == [("auth.sign_out", "success", "1")] * 2


def test_sign_out_inside_the_providers(fakelib: ModuleType, bench: Bench) -> None:
    """The application's sign-out runs inside the provider's: its name for the person stands."""
    exec("def end(user):\n    return logout(user)\n", fakelib.__dict__)
    bench.install(row("end", bind, event="auth.sign_out", strategy=Strategy.SAML, defer=True, foreign=True), LOGOUT)
    fakelib.end("ann")
    assert bench.events.told() == [("auth.sign_out", "saml", "success", "1", None)]


def test_unknown_person(fakelib: ModuleType, bench: Bench) -> None:
    """The service account found nobody: that is not its sign-in, and the form's is told to have failed."""
    bench.install(BIND, FORM)
    with bench.request():
        fakelib.note("zed@example.org")
        fakelib.authenticate(SERVICE, "ok")
    (event,) = bench.events
    assert (event.status, event.identity, event.inferred) == (Status.FAILURE, "zed@example.org", True)


@pytest.mark.parametrize(("code", "told"), [(401, [("failure", "zed", True)]), (200, []), (500, []), (None, [])])
def test_unknown_person_where_nobody_tells(fakelib: ModuleType, bench: Bench, code: int | None, told: list[object]) -> None:
    """All that is known is what was typed and that the response refuses; where it does not, nothing is."""
    bench.install(BIND, row("note", form, event=None, role=Role.HINT))
    with bench.request(code):
        fakelib.note("zed@example.org")
        fakelib.authenticate(SERVICE, "ok")
    assert [(e.status.value, (e.identity or "").partition("@")[0], e.inferred) for e in bench.events] == told


def test_name_becomes_a_dn(fakelib: ModuleType, bench: Bench) -> None:
    """A bind with a DN made from what was typed is the person's own."""
    bench.install(BIND, FORM)
    with bench.request():
        fakelib.note("EXAMPLE\\Ann@example.org")
        fakelib.authenticate(ANN, "ok")
    assert bench.events.told() == [ANN_FOUND]


def test_outer_attempt_learns_from_the_person_alone(fakelib: ModuleType, bench: Bench) -> None:
    """Inside somebody's own check the service account leaves no name behind."""
    found = "    authenticate('cn=lookup', 'ok')\n    return authenticate(user, password)\n"
    exec(f"def find(user, password):\n{found}", fakelib.__dict__)
    bench.install(BIND, row("find", around, event="auth.authenticate"))
    fakelib.find(ANN, "ok")
    fakelib.find(ANN, "no")
    told = [(event.subject, event.identity, event.strategy, event.status) for event in bench.events]
    assert told == [("1", ANN, Strategy.LDAP, Status.SUCCESS), (None, ANN, Strategy.LDAP, Status.FAILURE)]


def test_outer_attempt_that_fails_without_a_bind_of_the_person(fakelib: ModuleType, bench: Bench) -> None:
    """Nobody was found: the service account's name does not stand for the person's."""
    exec("def find(user):\n    authenticate('cn=lookup', 'ok')\n", fakelib.__dict__)
    bench.install(BIND, row("find", around, event="auth.authenticate"))
    fakelib.find("zed")
    (event,) = bench.events
    assert (event.subject, event.identity, event.status) == (None, None, Status.FAILURE)
