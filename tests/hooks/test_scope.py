"""Exactly once: every fold rule of attempts and requests, each on a fake library."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import ModuleType

import pytest

from opentelemetry_instrumentation_authaudit import guard as guard_module
from opentelemetry_instrumentation_authaudit.hooks import Call, Facts, Flow, Reason, Role, Status, Strategy
from opentelemetry_instrumentation_authaudit.hooks.engine import current_scope, surroundings
from opentelemetry_instrumentation_authaudit.model.catalog import Family
from opentelemetry_instrumentation_authaudit.model.event import Actor, Param

from .conftest import Bench
from .rows import (
    AAUTHENTICATE,
    AUTHENTICATE,
    CHECK,
    LOGIN,
    LOGOUT,
    NOTE,
    REGISTER,
    broken,
    not_an_event,
    nothing_shown,
    right_or_wrong,
    row,
    subject,
    user_or_none,
)

ANN_IN = ("auth.sign_in", "password", "success", "ann", None)
ANN_FAILED = ("auth.sign_in", "password", "failure", "ann", "wrong_password")
ANN_REFUSED = ("auth.authenticate", "password", "failure", "ann", "wrong_password")


def test_check_folds_into_the_attempt_around_it(fakelib: ModuleType, bench: Bench) -> None:
    """The hash check tells the attempt its mechanism and its reason, and is no event."""
    bench.install(CHECK, AUTHENTICATE)
    fakelib.authenticate("ann", "no")
    assert bench.events.told() == [ANN_REFUSED]


def test_a_success_is_not_won_by_what_failed(fakelib: ModuleType, bench: Bench) -> None:
    """A code is none of the authenticator's, and lets the user in all the same: by another way."""
    check = row("check", right_or_wrong, event=None, role=Role.EVIDENCE, strategy=Strategy.TOTP)
    bench.install(check, row("outer", strategy=Strategy.SESSION))
    fakelib.outer("ann", "no")
    assert bench.events.told() == [("auth.sign_in", "session", "success", "ann", None)]


def test_check_alone_outside_a_request_is_silent(fakelib: ModuleType, bench: Bench) -> None:
    """A script that verifies a hash signs nobody in."""
    bench.install(CHECK)
    fakelib.check("no")
    assert bench.events.told() == []


def test_authenticate_and_login_in_one_request_are_one_sign_in(fakelib: ModuleType, bench: Bench) -> None:
    """Siblings in a request: the deferred success waits for the login and gives it its mechanism."""
    bench.install(CHECK, AUTHENTICATE, LOGIN)
    with bench.request():
        fakelib.authenticate("ann", "ok")
        fakelib.login("ann")
    assert bench.events.told() == [ANN_IN]


def test_failed_try_then_good_one_in_one_request_are_two(fakelib: ModuleType, bench: Bench) -> None:
    """A failure is told at once and never folded into what follows."""
    bench.install(CHECK, AUTHENTICATE, LOGIN)
    with bench.request():
        fakelib.authenticate("ann", "no")
        fakelib.authenticate("ann", "ok")
        fakelib.login("ann")
    assert bench.events.told() == [ANN_FAILED, ANN_IN]


def test_good_try_then_failed_one_of_somebody_else_are_two(fakelib: ModuleType, bench: Bench) -> None:
    """A failure does not swallow the success that waits beside it."""
    bench.install(AUTHENTICATE)
    with bench.request():
        fakelib.authenticate("ann", "ok")
        fakelib.authenticate("bob", "no")
    assert [e[2:4] for e in bench.events.told()] == [("failure", "bob"), ("success", "ann")]


def test_batch_of_guesses_is_counted_one_by_one(fakelib: ModuleType, bench: Bench) -> None:
    """Five guesses in one request (GraphQL batching) are five events."""
    bench.install(CHECK, AUTHENTICATE)
    with bench.request():
        for guess in range(5):
            fakelib.authenticate("ann", f"x{guess}")
    assert bench.events.told() == [ANN_FAILED] * 5


@pytest.mark.parametrize(
    ("status_code", "error", "status", "reason"),
    [
        (200, None, "success", None),
        (302, None, "success", None),
        (403, None, "failure", "rejected_after_verification"),
        (500, None, "unknown", "backend_error"),
        (None, ValueError(), "unknown", "backend_error"),
        (None, asyncio.CancelledError(), "unknown", "cancelled"),
    ],
)
def test_right_password_without_a_session_is_judged_by_the_response(
    fakelib: ModuleType, bench: Bench, status_code: int | None, error: BaseException | None, status: str, reason: str | None
) -> None:
    """What waited for a login comes out when the response is known."""
    bench.install(AUTHENTICATE)
    with bench.request(status_code, error):
        fakelib.authenticate("ann", "ok")
    event = "auth.authenticate" if status == "success" else "auth.sign_in"  # what failed was a sign-in
    assert bench.events.told() == [(event, "unknown", status, "ann", reason)]


def test_checks_alone_in_a_request_become_one_inferred_failure(fakelib: ModuleType, bench: Bench) -> None:
    """Nobody but the hash check spoke: one failure, marked as concluded, with the number of tries."""
    bench.install(CHECK)
    with bench.request():
        fakelib.check("no")
        fakelib.check("no")
    (event,) = bench.events
    assert (event.event, event.status, event.inferred, event.attempts) == ("auth.authenticate", Status.FAILURE, True, 2)
    assert event.reason is Reason.WRONG_PASSWORD


def test_good_check_alone_is_silent(fakelib: ModuleType, bench: Bench) -> None:
    """A right password after a wrong one with no session: an older hash was tried first, nothing is concluded."""
    bench.install(CHECK)
    with bench.request():
        fakelib.check("no")
        fakelib.check("ok")
    assert bench.events.told() == []


def test_sign_in_says_how_many_checks_failed_before(fakelib: ModuleType, bench: Bench) -> None:
    """Guesses hidden in the request of a good sign-in leave their number on it."""
    bench.install(CHECK, LOGIN)
    with bench.request():
        for guess in ("a", "b", "ok"):
            fakelib.check(guess)
        fakelib.login("ann")
    (event,) = bench.events
    assert (event.status, event.strategy, event.attempts) == (Status.SUCCESS, Strategy.PASSWORD, 3)


def test_token_handed_out_for_a_password_is_a_sign_in(fakelib: ModuleType, bench: Bench) -> None:
    """`token.issue` in a request that checked a password is the sign-in itself."""
    bench.install(CHECK, row("login", event="token.issue", strategy=Strategy.TOKEN))
    with bench.request():
        fakelib.check("ok")
        fakelib.login("ann")
    assert bench.events.told() == [ANN_IN]


def test_token_handed_out_for_credentials_is_a_sign_in(fakelib: ModuleType, bench: Bench) -> None:
    """The same where credentials were checked by other means than a hash."""
    bench.install(AUTHENTICATE, row("login", event="token.issue", strategy=Strategy.TOKEN))
    with bench.request():
        fakelib.authenticate("ann", "ok")
        fakelib.login("ann")
    assert [event.event for event in bench.events] == ["auth.sign_in"]


def test_same_success_told_twice_is_one(fakelib: ModuleType, bench: Bench) -> None:
    """Libraries that send a framework's signals a second time do not double an event."""
    bench.install(LOGIN)
    with bench.request():
        fakelib.login("ann")
        fakelib.login("ann")
        fakelib.login("bob")
    assert [e[3] for e in bench.events.told()] == ["ann", "bob"]


def test_failure_that_its_row_concludes_learns_the_mechanism(fakelib: ModuleType, bench: Bench) -> None:
    """The library returns None, which only the row knows to be a failure; what was tried inside says how it was tried."""
    bench.install(row("outer", user_or_none), CHECK)
    fakelib.outer("ann", "no")
    assert bench.events.told() == [ANN_FAILED]


def test_two_factors_are_two(fakelib: ModuleType, bench: Bench) -> None:
    """Somebody removes two factors and adds one: the same account, but not the same thing; only what is told twice is one."""
    bench.install(
        row("login", _factor, event="mfa.remove", params={"device": False}),
        row("logout", _factor, event="mfa.enroll", params={"device": False}),
    )
    with bench.request():
        for device in ("phone", "phone", "key"):
            fakelib.login(device)
        fakelib.logout("key")
    told = [(e.event, e.params["device"].value) for e in bench.events]
    assert told == [("mfa.remove", "phone"), ("mfa.remove", "key"), ("mfa.enroll", "key")]


def test_several_sessions_and_addresses(fakelib: ModuleType, bench: Bench) -> None:
    """Somebody ends two sessions, and adds an address that becomes the first one: four things, however often they are told."""
    bench.install(
        row("login", _session, event="session.revoke"),
        row("logout", _address, event="account.identity.change", params={"email": True}),
    )
    with bench.request():
        for name in ("phone", "phone", "desk"):
            fakelib.login(name)
        for action in ("add_email", "add_email", "change_email"):
            fakelib.logout(action)
    told = [(e.event, e.action or e.session_key) for e in bench.events]
    changes = [("account.identity.change", "add_email"), ("account.identity.change", "change_email")]
    assert told == [("session.revoke", "phone"), ("session.revoke", "desk"), *changes]


def _session(call: Call) -> Flow:
    yield
    return Facts(subject="ann", session_key=call.arg("user"))


def _address(call: Call) -> Flow:
    yield
    return Facts(subject="ann", action=call.arg("user"), identity="ann@example.org", identity_field="email")


def _factor(call: Call) -> Flow:
    yield
    return Facts(subject="ann", params={"device": call.arg("user")})


def test_sign_in_is_no_further_step_of_what_is_no_sign_in(fakelib: ModuleType, bench: Bench) -> None:
    """Who must add a factor before the sign-in ends has done both."""
    bench.install(row("authenticate", subject, event="mfa.enroll", defer=True), LOGIN)
    with bench.request():
        fakelib.authenticate("ann", "ok")
        fakelib.login("ann")
    assert [e.event for e in bench.events] == ["auth.sign_in", "mfa.enroll"]


def test_sign_in_after_sign_out_in_one_request_is_told_again(fakelib: ModuleType, bench: Bench) -> None:
    """In, out and in again are three facts."""
    bench.install(LOGIN, LOGOUT)
    with bench.request():
        fakelib.login("ann")
        fakelib.logout("ann")
        fakelib.login("ann")
    assert [e[0] for e in bench.events.told()] == ["auth.sign_in", "auth.sign_out", "auth.sign_in"]


def test_different_families_stay_separate(fakelib: ModuleType, bench: Bench) -> None:
    """Sign-up with sign-in inside is two facts of one flow."""
    bench.install(REGISTER, LOGIN)
    with bench.request():
        fakelib.register("ann", "ok")
    assert {e.event for e in bench.events} == {"auth.register", "auth.sign_in"}
    assert len({e.request.flow_id for e in bench.events if e.request}) == 1


def test_row_may_absorb_a_further_family(fakelib: ModuleType, bench: Bench) -> None:
    """A library that re-creates the session inside a password change says so in its row."""
    bench.install(row("register", event="password.change", absorbs=frozenset({Family.SIGN_IN})), LOGIN)
    with bench.request():
        fakelib.register("ann", "ok")
    assert [e[0] for e in bench.events.told()] == ["password.change"]


def test_skipped_attempt_gives_its_children_back(fakelib: ModuleType, bench: Bench) -> None:
    """An outer call that was none after all takes nothing with it."""
    bench.install(CHECK, AUTHENTICATE, row("outer", not_an_event))
    fakelib.outer("ann", "no")
    assert bench.events.told() == [ANN_REFUSED]


def test_check_made_for_show_is_silent(fakelib: ModuleType, bench: Bench) -> None:
    """A callback that is called without credentials compares something all the same, so that it takes as long; what is an event
    of its own stays one."""
    bench.install(CHECK, LOGIN, row("outer", nothing_shown))
    with bench.request():
        fakelib.outer("", "no")
    assert bench.events.told() == []
    bench.install(AUTHENTICATE)
    with bench.request():
        fakelib.outer("ann", "no")
    assert bench.events.told() == [ANN_FAILED]


def test_outer_attempt_keeps_its_word(fakelib: ModuleType, bench: Bench) -> None:
    """The outer action and outcome stand; subject, mechanism and the deepest reason come from inside."""
    bench.install(CHECK, AUTHENTICATE, row("outer", _refuses, event="auth.reauthenticate"))
    fakelib.outer("ann", "no")
    assert bench.events.told() == [("auth.reauthenticate", "password", "failure", "ann", "wrong_password")]


def _refuses(_call: Call) -> Flow:
    yield
    return Facts(status=Status.FAILURE, fallback=Reason.INVALID_INPUT)


def test_row_that_does_not_nest_encloses_nothing(fakelib: ModuleType, bench: Bench) -> None:
    """`nest=False` looks at the outcome only."""
    bench.install(AUTHENTICATE, row("outer", nest=False))
    fakelib.outer("ann", "no")
    assert [e[0] for e in bench.events.told()] == ["auth.authenticate", "auth.sign_in"]


def test_note_beats_the_first_failure_inside(fakelib: ModuleType, bench: Bench) -> None:
    """A note gives the innermost open attempt its reason."""
    bench.install(NOTE, row("authenticate_with_note", user_or_none, event="auth.authenticate"))
    fakelib.authenticate_with_note("ann", "ok")
    assert bench.events.told() == [("auth.authenticate", "unknown", "failure", "ann", "inactive_account")]


def test_note_to_nobody_is_not_even_taken(fakelib: ModuleType, bench: Bench) -> None:
    """Outside any attempt the extractor of a note does not run: its function may be one that every request calls."""
    bench.install(row("note", broken, event=None, role=Role.NOTE))
    assert fakelib.note("ann") == fakelib.note("ann")
    assert bench.events.told() == []


def test_carrier_never_overwrites_a_mechanism(fakelib: ModuleType, bench: Bench) -> None:
    """`session` says how a sign-in is carried; the password that won it is the strategy."""
    bench.install(row("authenticate", event="auth.authenticate", strategy=Strategy.SAML, defer=True), LOGIN)
    with bench.request():
        fakelib.authenticate("ann", "ok")
        fakelib.login("ann")
    assert [e[1] for e in bench.events.told()] == ["saml"]


@pytest.mark.parametrize(("strategy", "subject"), [(Strategy.OIDC, None), (Strategy.TOKEN, "ann")])
def test_token_of_a_provider_names_the_providers_user(
    fakelib: ModuleType, bench: Bench, strategy: Strategy, subject: str | None
) -> None:
    """Whom the application takes that for only the application knows; a token of its own names its own user."""
    check = row("authenticate", _whose, role=Role.EVIDENCE, event="auth.verify", strategy=Strategy.TOKEN)
    bench.install(row("outer", _nothing_more, strategy=strategy), check)
    fakelib.outer("ann", "ok")
    assert [(e.strategy, e.subject) for e in bench.events] == [(strategy, subject)]


def _nothing_more(_call: Call) -> Flow:
    yield
    return Facts()


def _whose(call: Call) -> Flow:
    user = call.arg("user")
    yield
    return Facts(subject=user)


def test_any_mechanism_is_better_than_none(fakelib: ModuleType, bench: Bench) -> None:
    """A function that takes credentials of every kind learns from inside that it was a token, though that is a carrier."""
    bench.install(row("outer"), row("authenticate", user_or_none, event="auth.verify", strategy=Strategy.TOKEN))
    fakelib.outer("ann", "no")
    assert [e[1] for e in bench.events.told()] == ["token"]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("secret"), "unknown", "backend_error"),
        (KeyboardInterrupt(), "unknown", "cancelled"),
        (asyncio.CancelledError(), "unknown", "cancelled"),
        (PermissionError(), "failure", "permission_denied"),
    ],
)
def test_exception_passes_and_ends_the_attempt(
    fakelib: ModuleType, bench: Bench, error: BaseException, status: str, reason: str
) -> None:
    """Only exceptions that the row knows are failures; the application gets the very object it would have got."""
    bench.install(row("raises", errors={"PermissionError": Reason.PERMISSION_DENIED}))
    with pytest.raises(type(error)) as caught:
        fakelib.raises("ann", error)
    assert caught.value is error
    assert [(e.status.value, e.reason, e.error_type) for e in bench.events] == [
        (status, Reason(reason), type(error).__qualname__)
    ]


def test_hint_concludes_from_the_response(fakelib: ModuleType, bench: Bench) -> None:
    """A form that names the account, and a 401: a sign-in that failed, marked as concluded."""
    bench.install(row("kept", _names, role=Role.HINT), CHECK)
    with bench.request(401):
        fakelib.kept("ann")
        fakelib.check("no")
    (event,) = bench.events
    assert (event.event, event.status, event.identity, event.reason, event.inferred) == (
        "auth.sign_in",
        Status.FAILURE,
        "ann",
        Reason.WRONG_PASSWORD,
        True,
    )


def test_hint_is_silent_where_something_better_was_seen(fakelib: ModuleType, bench: Bench) -> None:
    """A library's own word beats a conclusion."""
    bench.install(row("kept", _names, role=Role.HINT), AUTHENTICATE)
    with bench.request(401):
        fakelib.kept("ann")
        fakelib.authenticate("ann", "no")
    assert [e.inferred for e in bench.events] == [False]


def test_hint_without_an_event_names_who_a_lone_check_was_for(fakelib: ModuleType, bench: Bench) -> None:
    """Somebody parsed a form: it is no sign-in, but the name in it goes with the password that was checked, sensitive as ever."""
    bench.install(replace(row("kept", _names, role=Role.HINT), event=None), CHECK)
    for given in ("no", "ok"):
        with bench.request(200):
            fakelib.check(given)
            fakelib.kept("ann")
    (event,) = bench.events
    assert (event.event, event.identity, event.params) == ("auth.authenticate", "ann", {"username": Param("ann", sensitive=True)})


def test_hint_without_an_event_does_not_name_whose_token_it_was(fakelib: ModuleType, bench: Bench) -> None:
    """A form that creates a user, sent with an expired token: the name in it is somebody else's."""
    bench.install(replace(row("kept", _names, role=Role.HINT), event=None), TOKEN_CHECK)
    with bench.request(401):
        fakelib.logout("expired")
        fakelib.kept("bob")
    assert [(e.event, e.identity) for e in bench.events] == [("auth.verify", None)]


@pytest.mark.parametrize(("code", "status"), [(200, "success"), (422, "failure"), (500, "unknown"), (None, "unknown")])
def test_hint_status_follows_the_response(fakelib: ModuleType, bench: Bench, code: int | None, status: str) -> None:
    """Below 400 the response says yes, 4xx no, everything else nothing."""
    bench.install(row("kept", _names, role=Role.HINT))
    with bench.request(code):
        fakelib.kept("ann")
    assert [e.status.value for e in bench.events] == [status]


def _names(call: Call) -> Flow:
    yield
    return Facts(identity=call.arg("user"))


def _token(call: Call) -> Flow:
    good = call.arg("user") == "good"
    yield
    return Facts(subject="ann") if good else Facts(status=Status.FAILURE, reason=Reason.TOKEN_EXPIRED)


TOKEN_CHECK = row("logout", _token, role=Role.EVIDENCE, event="auth.verify", strategy=Strategy.TOKEN)
HINTS = {
    "form": ("auth.sign_in", Strategy.PASSWORD),
    "basic": ("auth.verify", Strategy.BASIC),
    "bearer": ("auth.verify", Strategy.TOKEN),
    "key": ("api_key.verify", Strategy.API_KEY),
}
WRONG = ("auth.authenticate", "failure", "wrong_password")


@pytest.mark.parametrize(
    ("hint", "checks", "code", "told"),
    [
        # a page that says "wrong password" with 200 signs nobody in; a stale cookie beside a right password does not matter
        ("form", "no", 200, [("auth.sign_in", "failure", "wrong_password")]),
        ("form", "no", 500, [("auth.sign_in", "failure", "wrong_password")]),
        ("form", "no ok", 200, [("auth.sign_in", "success", None)]),
        ("form", "ok", 403, [("auth.sign_in", "failure", "rejected_after_verification")]),
        ("form", "expired ok", 200, [("auth.sign_in", "success", None)]),
        ("form", "expired", 401, [("auth.sign_in", "failure", "invalid_credentials")]),
        # what a request carries is refused by 401 alone; other answers are about what was asked for
        ("basic", "", 401, [("auth.verify", "failure", "invalid_credentials")]),
        ("basic", "no", 403, [("auth.verify", "failure", "wrong_password")]),
        ("basic", "", 403, [("auth.verify", "success", None)]),
        ("bearer", "", 404, [("auth.verify", "success", None)]),
        ("bearer", "", 401, [("auth.verify", "failure", "invalid_credentials")]),
        ("bearer", "good", 401, [("auth.verify", "failure", "rejected_after_verification")]),
        ("bearer", "expired", 200, [("auth.verify", "failure", "token_expired")]),
        ("bearer", "expired good", 200, [("auth.verify", "success", None)]),
        ("bearer", "good", 500, [("auth.verify", "success", None)]),
        ("bearer", "", 500, []),
        ("bearer", "", None, []),
        # a good token, and a wrong password beside it, which explains the 401
        ("bearer", "good no", 401, [("auth.verify", "success", None), WRONG]),
        ("bearer", "good no", 400, [("auth.verify", "success", None), WRONG]),
        ("key", "", 403, [("api_key.verify", "failure", "permission_denied")]),
        ("key", "no", 200, [("api_key.verify", "failure", "wrong_password")]),
        ("key", "", 404, [("api_key.verify", "success", None)]),
    ],
)
def test_hint_concludes_from_its_own_checks_and_the_response(
    fakelib: ModuleType, bench: Bench, *, hint: str, checks: str, code: int | None, told: list[tuple[str, str, str | None]]
) -> None:
    """Every kind of hint, with checks of tokens (good, expired) and of passwords (ok, no) beside it."""
    event, strategy = HINTS[hint]
    bench.install(row("kept", _names, role=Role.HINT, event=event, strategy=strategy), CHECK, TOKEN_CHECK)
    with bench.request(code):
        fakelib.kept("ann")
        for word in checks.split():
            (fakelib.check if word in ("ok", "no") else fakelib.logout)(word)
    assert [(e.event, e.status.value, e.reason and e.reason.value) for e in bench.events] == told
    assert all(e.inferred for e in bench.events)


@pytest.mark.parametrize(
    ("checks", "reason"),
    [("", "invalid_credentials"), ("no", "wrong_password"), ("ok", "rejected_after_verification")],
)
def test_hint_that_knows_it_failed_learns_why(fakelib: ModuleType, bench: Bench, checks: str, reason: str) -> None:
    """A login page that signs nobody in although the password was right: the account is refused, not the password."""
    bench.install(row("kept", _refused, role=Role.HINT), CHECK)
    with bench.request(200):
        for word in checks.split():
            fakelib.check(word)
        fakelib.kept("ann")
    assert [(e.status.value, e.reason and e.reason.value) for e in bench.events] == [("failure", reason)]


def _refused(_call: Call) -> Flow:
    yield
    return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS)


def test_crash_after_a_right_password_is_nobodys_fault(fakelib: ModuleType, bench: Bench) -> None:
    """What would have explained a refusal does not explain a server error."""
    bench.install(row("authenticate", _unverified, event="auth.authenticate", defer=True))
    for code in (500, 400):
        with bench.request(code):
            fakelib.authenticate("ann", "ok")
    assert [(e.status.value, e.reason) for e in bench.events] == [
        ("unknown", Reason.BACKEND_ERROR),
        ("failure", Reason.UNVERIFIED_ACCOUNT),
    ]


def _unverified(call: Call) -> Flow:
    yield
    return Facts(subject=call.arg("user"), fallback=Reason.UNVERIFIED_ACCOUNT)


def test_carried_credentials_do_not_wait_for_the_response(fakelib: ModuleType, bench: Bench) -> None:
    """The row waits, but finds that the request carried them: what it asked for may be refused without them being at fault."""

    def carried(call: Call) -> Flow:
        yield
        return Facts(event="auth.verify", strategy=Strategy.TOKEN, subject=call.arg("user"))

    bench.install(row("authenticate", carried, event="auth.authenticate", defer=True))
    with bench.request(404):
        fakelib.authenticate("ann", "ok")
    assert bench.events.told() == [("auth.verify", "token", "success", "ann", None)]


def test_token_won_by_what_the_request_carried(fakelib: ModuleType, bench: Bench) -> None:
    """Mechanism and identity are those of the proof that the request carried."""

    def basic(call: Call) -> Flow:
        yield
        return Facts(subject=call.arg("user"), identity="ann@example.org", identity_field="email")

    bench.install(row("authenticate", basic, event="auth.verify", strategy=Strategy.BASIC), row("login", strategy=Strategy.TOKEN))
    with bench.request():
        fakelib.authenticate("ann", "ok")
        fakelib.login("ann")
    event = bench.events[1]
    assert (event.strategy, event.identity, list(event.params)) == (Strategy.BASIC, "ann@example.org", ["email"])


def test_wrong_password_is_told_beside_a_good_token(fakelib: ModuleType, bench: Bench) -> None:
    """A library's own word about the token says nothing about a password typed in the same request."""
    bench.install(CHECK, row("logout", event="auth.verify", strategy=Strategy.TOKEN))
    with bench.request(400):
        fakelib.logout("ann")
        fakelib.check("no")
    assert [(e.event, e.status.value) for e in bench.events] == [("auth.verify", "success"), ("auth.authenticate", "failure")]


@pytest.mark.guarded
def test_broken_extractor_changes_nothing_and_is_counted(fakelib: ModuleType, bench: Bench) -> None:
    """A fault of ours costs one fact: the result stands, what was seen inside is told."""
    bench.install(CHECK, AUTHENTICATE, row("outer", broken))
    before = sum(guard_module.errors.values())
    assert fakelib.outer("ann", "ok") == "ann"
    assert [e[0] for e in bench.events.told()] == ["auth.authenticate"]
    assert sum(guard_module.errors.values()) == before + 1


def test_no_request_means_told_at_once(fakelib: ModuleType, bench: Bench) -> None:
    """In a shell or a worker there is nothing to wait for."""
    bench.install(AUTHENTICATE)
    fakelib.authenticate("ann", "ok")
    assert [e[2] for e in bench.events.told()] == ["success"]


def test_task_that_outlives_its_attempt_and_request_speaks_for_itself(fakelib: ModuleType, bench: Bench) -> None:
    """A closed attempt or request absorbs nothing any more."""
    bench.install(CHECK, AUTHENTICATE, AAUTHENTICATE)

    async def scenario() -> None:
        with bench.request():
            await fakelib.aauthenticate("ann", "ok", spawn=True)
        await asyncio.sleep(0.05)

    asyncio.run(scenario())
    assert [(e.subject, e.status.value) for e in bench.events] == [("ann", "success"), ("late", "failure")]
    assert all(e.request is not None and e.request.peer == "192.0.2.1" for e in bench.events)


def test_interleaved_tasks_stay_apart(fakelib: ModuleType, bench: Bench) -> None:
    """Forty concurrent requests: forty failures with forty subjects."""
    bench.install(CHECK, AAUTHENTICATE)

    async def one(number: int) -> None:
        with bench.request(401):
            await fakelib.aauthenticate(f"user{number}", "no")

    async def scenario() -> None:
        await asyncio.gather(*(one(number) for number in range(40)))

    asyncio.run(scenario())
    assert {e.subject for e in bench.events} == {f"user{number}" for number in range(40)}
    assert len(bench.events) == 40


def test_work_in_another_thread_with_the_context_belongs_to_the_request(fakelib: ModuleType, bench: Bench) -> None:
    """`asyncio.to_thread` and `sync_to_async` copy the context: the check in a thread is part of the sign-in."""
    bench.install(CHECK, AUTHENTICATE, LOGIN)

    async def scenario() -> None:
        with bench.request():
            await asyncio.to_thread(fakelib.authenticate, "ann", "ok")
            fakelib.login("ann")

    asyncio.run(scenario())
    assert bench.events.told() == [ANN_IN]


def test_bare_thread_starts_without_a_request(fakelib: ModuleType, bench: Bench) -> None:
    """A thread without the context belongs to nobody; its attempt is told on its own, without a client."""
    bench.install(AUTHENTICATE)
    with bench.request():
        thread = threading.Thread(target=contextvars.Context().run, args=(fakelib.authenticate, "ann", "no"))
        thread.start()
        thread.join()
    assert [(e.status.value, e.request) for e in bench.events] == [("failure", None)]


def test_threads_sharing_one_request_lose_nothing(fakelib: ModuleType, bench: Bench) -> None:
    """Four threads, one request, two hundred failures: two hundred events."""
    bench.install(AUTHENTICATE)
    with bench.request(), ThreadPoolExecutor(4) as pool:
        contexts = [contextvars.copy_context() for _ in range(200)]
        list(pool.map(lambda c: c.run(fakelib.authenticate, "ann", "no"), contexts))
    assert len(bench.events) == 200


def test_application_mounted_inside_opens_no_second_request(bench: Bench) -> None:
    """Nested applications are one request."""
    with bench.request():
        assert bench.engine.open_scope(lambda _flow: pytest.fail("read although nothing is told")) is None
    assert bench.events.begun == 1


def test_surroundings_reach_every_record_inside(fakelib: ModuleType, bench: Bench) -> None:
    """Tenant and actor that only the application knows; what a library knows itself wins."""
    bench.install(LOGIN)
    with surroundings(tenant="acme", actor=Actor("root", "user")), surroundings(tenant="acme-eu"):
        fakelib.login("ann")
    fakelib.login("bob")
    assert [(e.tenant, e.actor and e.actor.id) for e in bench.events] == [("acme-eu", "root"), (None, None)]


def test_hint_says_who_acts_in_the_place_of_the_user(fakelib: ModuleType, bench: Bench) -> None:
    """Somebody impersonates the user: every record of the request has the actor, also where the user seems to act, but for those
    about the actor."""
    bench.install(row("kept", _acts, event=None, role=Role.HINT), row("login", _acts), LOGOUT)
    with bench.request(), surroundings(actor=Actor("the application's word")):
        fakelib.kept("root")
        fakelib.logout("ann")
        fakelib.logout("root")
        fakelib.login("eve")
    fakelib.logout("ann")
    actors = [e.actor and e.actor.id for e in bench.events]
    assert actors == ["root", "the application's word", "root", None]


def _acts(call: Call) -> Flow:
    yield
    return Facts(actor=Actor(call.arg("user")))


def test_tenant_is_read_from_the_claim_that_the_option_names(fakelib: ModuleType, bench: Bench) -> None:
    """A verified token says whose tenant it is; a claim of another kind is none."""
    bench.engine.tenant_claim = "org"
    bench.install(row("kept", _claims))
    fakelib.kept({"org": "acme"})
    fakelib.kept({"org": 7})
    fakelib.kept({"org": ["acme"]})
    fakelib.kept({})
    assert [event.tenant for event in bench.events] == ["acme", "7", None, None]


def _claims(call: Call) -> Flow:
    yield
    return Facts(claims=call.arg("user"))


def test_identity_is_a_sensitive_parameter_too(fakelib: ModuleType, bench: Bench) -> None:
    """`include_fields` may name the field that carried it."""
    bench.install(row("kept", _names))
    fakelib.kept("ann")
    assert [dict(event.params) for event in bench.events] == [{"username": Param("ann", sensitive=True)}]


def test_what_nobody_wants_is_not_put_together(fakelib: ModuleType, bench: Bench) -> None:
    """The request is not even read for an event that the options leave out."""
    bench.install(LOGIN)
    bench.events.unwanted = True
    scope = bench.engine.open_scope(lambda _flow: pytest.fail("read although nothing is told"))
    assert scope is not None
    token = current_scope.set(scope)
    fakelib.login("ann")
    current_scope.reset(token)
    assert bench.events == []


def test_time_is_the_end_of_the_attempt(fakelib: ModuleType, bench: Bench) -> None:
    """A parked success is told later, with the time at which it happened."""
    bench.install(AUTHENTICATE, row("login", subject, event="auth.register"))
    with bench.request():
        fakelib.authenticate("ann", "ok")
        fakelib.login("bob")
    assert [(e.event, e.time) for e in bench.events] == [("auth.register", 2), ("auth.authenticate", 1)]
