"""Each recorded attack is found by its own rule and by no other, an honest day by none, and hostile floods cost no memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.journal.line import Envelope
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.query.documents import parse
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable
from opentelemetry_instrumentation_authaudit.reports import windows
from opentelemetry_instrumentation_authaudit.reports.attempts import Attempt, account_of, attempt_of
from opentelemetry_instrumentation_authaudit.reports.detect import Detection, Finding, detect
from opentelemetry_instrumentation_authaudit.reports.rules import (
    BruteForce,
    Spraying,
    Stuffing,
    brute_force,
    every,
    spraying,
    stuffing,
)

from ..stores.happenings import ATTACKS
from ..stores.recorded import Recording, honest_day, recorded

SECOND = 1_000_000_000


def records(recording: Recording) -> list[Record]:
    """What was recorded, in the order of time."""
    found: list[Record] = []
    for stream in recording.streams:
        around: Envelope = stream.envelope
        for one in stream.records:
            found += parse(around.head + one + around.tail, Unreadable())
    return sorted(found, key=lambda record: record.time)


def findings(recorded_ones: Iterable[Record], detections: list[Detection] | None = None) -> list[Finding]:
    """What all detections say."""
    used = every() if detections is None else detections
    for _ in detect(recorded_ones, used):
        pass
    return [finding for detection in used for finding in detection.findings()]


def failure(second: float, account: str, address: str = "192.0.2.1", *, failed: bool = True, repeats: str = "") -> Record:
    """A sign-in."""
    outcome = "failure" if failed else "success"
    found = {names.OUTCOME: outcome, names.IDENTITY: account, names.CLIENT_ADDRESS: address, names.REPEATS: repeats}
    return Record("auth.sign_in", int((1_000_000 + second) * SECOND), {name: value for name, value in found.items() if value})


def test_an_honest_day_alarms_nobody() -> None:
    """Typos, codes mistyped, an office of thirty behind one address."""
    assert findings(records(honest_day())) == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_found_and_called_by_its_name(attack: str) -> None:
    """One finding: its first record to its last failure, with every failure counted."""
    recording = recorded(attack)
    (finding,) = findings(records(recording))
    own = [record for record in records(recording) if record.id in recording.ids(attack)]
    failed = [record for record in own if record.attributes[names.OUTCOME] == "failure"]
    assert finding.rule == attack
    assert finding.failures == len(failed)
    assert finding.addresses == len({record.attributes[names.CLIENT_ADDRESS] for record in failed})
    assert failed[0].time == finding.first
    assert failed[-1].time <= finding.last <= own[-1].time


def test_who_got_in_is_named() -> None:
    """The two whose leaked passwords were still right; the one whose password was guessed; the one who gave in."""
    found = {finding.rule: finding.entered for finding in findings(records(recorded()))}
    assert set(found["stuffing"]) == {"auth.user:41", "auth.user:51"}
    assert set(found["success_after_failures"]) == {"auth.user:3"}
    assert set(found["mfa_fatigue"]) == {"auth.user:4"}
    assert found["brute_force"] == found["spraying"] == {}


def test_an_owner_who_comes_back_is_not_taken_for_the_attacker() -> None:
    """A success after an attack is noted with its address, and that is none of the attack's."""
    (finding,) = (one for one in findings(records(recorded())) if one.rule == "brute_force_many_sources")
    assert finding.entered["auth.user:2"].address not in finding.sources


@pytest.mark.parametrize("shift", range(0, 300, 37))
def test_windows_move_with_the_attack(shift: int) -> None:
    """Ten failures within five minutes are found wherever the clock stood at the first."""
    tries = [failure(shift + number * 30, "ann") for number in range(10)]
    (finding,) = findings(tries)
    assert (finding.rule, finding.failures) == ("brute_force", 10)
    assert findings([failure(shift + number * 34, "ann") for number in range(10)]) == []


def test_two_attacks_a_day_apart_are_two() -> None:
    """Each has a beginning of its own."""
    found = findings(failure(day * 86_400 + number, "ann") for day in range(2) for number in range(12))
    assert [finding.failures for finding in found] == [12, 12]


def test_an_office_behind_one_address_is_no_sprayer() -> None:
    """Twelve people mistype thrice, and get in as forty others do: the failures alone would be those of a sprayer."""
    typos = [failure(person * 240 + number, f"clumsy{person}") for person in range(12) for number in range(3)]
    right = [failure(person * 240 + 9, f"clumsy{person}", failed=False) for person in range(12)]
    others = [failure(person * 60 + 30, f"person{person}", failed=False) for person in range(40)]
    assert [finding.rule for finding in findings(typos)] == ["spraying"]
    assert findings(sorted([*typos, *right, *others], key=lambda record: record.time)) == []


def test_repetitions_recorded_as_one_count_as_what_they_were() -> None:
    """A client that sends the same bad credentials with every request is told of twice; the second record says how often."""
    told = [failure(0, "ann"), failure(60, "ann", repeats="98")]
    (finding,) = findings(told)
    assert finding.failures == 99


def test_locked_again_and_again() -> None:
    """Three lock-outs of an account within three hours."""
    locks = [
        Record("account.lock", (1_000_000 + hour * 3600) * SECOND, {names.SUBJECT: "auth.user:1", names.OUTCOME: "success"})
        for hour in range(3)
    ]
    (finding,) = findings(locks)
    assert (finding.rule, finding.failures, finding.entered) == ("lockouts", 3, {})
    assert findings(locks[:2]) == []


def test_every_threshold_decides() -> None:
    """One more than there is, and the attack is not one: no option is without effect."""
    raised: dict[str, tuple[Any, Any, dict[str, int]]] = {
        "bruteforce": (BruteForce, brute_force, {"failures": 41, "before_success": 8, "denials": 9, "sources": 9}),
        "spraying": (Spraying, spraying, {"users": 13, "sources_users": 21}),
        "stuffing": (Stuffing, stuffing, {"tries": 59}),
    }
    day: list[Record] = records(recorded())
    for limits, detections, changes in raised.values():
        assert findings(day, detections(limits())) != []
        assert findings(day, detections(limits(**changes))) == []
        assert {one.name for one in fields(limits)} >= set(changes)


def test_what_privacy_leaves_of_many_people_is_no_account() -> None:
    """Mode `domain` stores `*@example.org`: ten people of a company are not one account that is attacked."""
    assert account_of(failure(0, "*@example.org")) == ""
    assert findings(failure(number, "*@example.org") for number in range(50)) == []


def test_a_flood_costs_no_memory() -> None:
    """More attempts than a window holds, from more addresses than there are windows: both stay within bounds, and it is found."""
    kept = windows.Windows(3600 * SECOND, most=50)
    for number in range(1000):
        window = kept.add(f"address{number}", attempt_of(failure(number / 100, f"account{number}")))
    assert len(kept) == 50
    flooded = windows.Window(most=100)
    for number in range(1000):
        flooded.add(attempt_of(failure(number / 100, f"account{number}")))
    assert window is not None
    assert len(flooded.attempts) == flooded.failures == len(flooded.accounts) == 100


attempts = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from("abc"), st.sampled_from("xyz"), st.booleans(), st.integers(1, 3)), max_size=60
)


@given(attempts)
def test_a_window_counts_what_is_in_it(told: list[tuple[int, str, str, bool, int]]) -> None:
    """However attempts come and go: the counts that are kept up to date are those that counting anew gives."""
    window = windows.Window()
    for time, account, address, failed, tries in sorted(told):
        window.move(time - 20)
        window.add(Attempt("auth.sign_in", time, account, "", address, failed, not failed, tries))
        inside = [one for one in sorted(told) if time - 20 <= one[0] <= time][: len(window.attempts)]
        assert len(window.attempts) <= len([one for one in told if time - 20 <= one[0] <= time])
        bad = [one for one in window.attempts if one.failed]
        assert window.failures == sum(one.tries for one in bad)
        assert window.tries == sum(one.tries for one in window.attempts)
        assert set(window.accounts) == {one.account for one in bad}
        totals = {name: sum(one.tries for one in bad if one.account == name) for name in window.accounts}
        assert window.accounts == totals
        fitting = sum(1 for total in totals.values() if 2 <= total <= 6)
        assert window.share_with(2, 6) == (fitting / len(totals) if totals else 0.0)
        assert inside
