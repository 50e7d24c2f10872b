"""The one rule of how long records are kept, tried by a clock that is data."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.model.lifetime import DAY, Fate, Hold, Plan, Unit, cutoff, plan

NS = 1_000_000_000


def ns(text: str) -> int:
    """That moment (RFC 3339) in nanoseconds since the epoch."""
    return int(datetime.fromisoformat(text).timestamp()) * NS


def day(text: str, size: int = 100, *, needed: str = "") -> Unit:
    """A unit with the records of that UTC day."""
    begin = ns(f"{text}T00:00:00+00:00")
    return Unit(name=text, oldest=begin, newest=begin + DAY - 1, size=size, needed=needed)


def going(units: list[Unit], lifetime: int | None, now: str, *, excess: int = 0) -> list[str]:
    """The names of those that go at *now*."""
    return [unit.name for unit in plan(units, lifetime=lifetime, now=ns(now), excess=excess).going]


def test_a_day_is_kept_through_all_its_lifetime() -> None:
    """90 days from 24 November reach back to 26 August: that day stays, the day before goes."""
    kept = [day("2026-08-25"), day("2026-08-26"), day("2026-11-24")]
    assert going(kept, 90, "2026-11-24T00:00:00+00:00") == ["2026-08-25"]


@pytest.mark.parametrize(("late", "goes"), [(-1, True), (0, False), (1, False)])
def test_the_boundary_is_a_nanosecond_wide(late: int, *, goes: bool) -> None:
    """A record of the last nanosecond before the boundary is over; one of the boundary itself is not."""
    now = ns("2026-11-24T17:23:00+00:00")
    unit = Unit(name="u", newest=ns("2026-08-26T00:00:00+00:00") + late)
    assert plan([unit], lifetime=90, now=now).of("u").fate.goes is goes


def test_nothing_happens_within_a_day_and_everything_at_midnight() -> None:
    """The last nanosecond of a day answers as its first; the next one is another day."""
    kept = [day("2026-08-25"), day("2026-08-26")]
    midnight = ns("2026-11-25T00:00:00+00:00")
    assert plan(kept, lifetime=90, now=midnight - 1).going == kept[:1]
    assert plan(kept, lifetime=90, now=midnight).going == kept


def test_leap_days_are_days() -> None:
    """One day from 1 March: 2028 has a 29 February, 2027 has none."""
    assert going([day("2028-02-28"), day("2028-02-29")], 1, "2028-03-01T12:00:00+00:00") == ["2028-02-28"]
    assert going([day("2027-02-27"), day("2027-02-28")], 1, "2027-03-01T12:00:00+00:00") == ["2027-02-27"]


@pytest.mark.parametrize("now", ["2026-11-24T23:30:00-05:00", "2026-11-25T13:30:00+09:00", "2026-11-25T04:30:00+00:00"])
def test_days_are_those_of_utc_wherever_the_machine_stands(now: str) -> None:
    """One moment, three clocks on walls, one answer."""
    assert going([day("2026-08-25"), day("2026-08-26"), day("2026-08-27")], 90, now) == ["2026-08-25", "2026-08-26"]


def test_for_ever() -> None:
    """`log_lifetime=infinity`."""
    found = plan([day("1970-01-01")], lifetime=None, now=ns("2999-01-01T00:00:00+00:00"))
    assert (found.going, found.decisions[0].why) == ([], "records are kept for ever")


def test_a_clock_that_was_set_back_deletes_nothing() -> None:
    """Records from the future of this clock are young, as are those before it within the lifetime."""
    assert going([day("2026-11-23"), day("2027-06-01")], 1, "1970-01-02T00:00:00+00:00") == []


def test_unknown_age_and_need_keep_a_unit() -> None:
    """What cannot be read, and what is written or not delivered, stays at any age and size."""
    units = [Unit(name="torn", newest=None, size=10**9), day("2020-01-01", 10**9, needed="it is being written")]
    found = plan(units, lifetime=1, now=ns("2026-11-24T00:00:00+00:00"), excess=10)
    assert [decision.why for decision in found.decisions] == ["its age is not known", "it is being written"]
    assert not found.going


def test_the_oldest_make_room() -> None:
    """150 bytes too many: two units of 100 go, the oldest two, whatever order they come in."""
    kept = [day("2026-11-03"), day("2026-11-01"), day("2026-11-04"), day("2026-11-02")]
    assert going(kept, None, "2026-11-05T00:00:00+00:00", excess=150) == ["2026-11-01", "2026-11-02"]


def test_what_age_frees_is_not_freed_again() -> None:
    """An expired unit counts as room already."""
    kept = [day("2026-01-01", 300), day("2026-11-01"), day("2026-11-02")]
    assert going(kept, 30, "2026-11-05T00:00:00+00:00", excess=300) == ["2026-01-01"]


def test_a_hold_is_stronger_than_age_and_than_room() -> None:
    """Held units stay, and the next oldest makes the room; holds are looked for only where something would go."""
    hold = Hold(id="h1", subject="auth.user:42")
    asked: list[str] = []

    def holds(unit: Unit) -> Collection[Hold]:
        asked.append(unit.name)
        return (hold,) if unit.name == "2026-11-01" else ()

    units = [day("2026-11-01"), day("2026-11-02"), day("2026-11-03")]
    found = plan(units, lifetime=None, now=ns("2026-11-05T00:00:00+00:00"), excess=50, holds=holds)
    assert [decision.fate for decision in found.decisions] == [Fate.HELD, Fate.ROOM, Fate.FOREVER]
    assert found.decisions[0].why == "under legal hold h1 (subject auth.user:42)"
    assert asked == ["2026-11-01", "2026-11-02"]


def test_a_hold_ends_at_its_moment() -> None:
    """Until then, not a nanosecond longer."""
    hold = Hold(id="h1", tenant="acme", until=1000)
    assert (hold.active(999), hold.active(1000)) == (True, False)
    assert Hold(id="h2", tenant="acme").active(1 << 80)


MOMENTS = st.integers(0, 200 * 365 * DAY)
UNITS = st.lists(
    st.builds(
        lambda number, newest, size, needed: Unit(name=str(number), newest=newest, size=size, needed=needed),
        st.integers(),
        st.none() | MOMENTS,
        st.integers(0, 1000),
        st.sampled_from(["", "", "", "it is being written"]),
    ),
    max_size=12,
    unique_by=lambda unit: unit.name,
)
LIFETIMES = st.none() | st.integers(1, 40_000)


def fates(found: Plan) -> dict[str, Fate]:
    """By the units' names."""
    return {decision.unit.name: decision.fate for decision in found.decisions}


@given(UNITS, LIFETIMES, MOMENTS)
def test_no_record_goes_before_its_time_and_none_stays_a_day_longer(units: list[Unit], lifetime: int | None, now: int) -> None:
    """Whatever the units, the lifetime and the clock."""
    for decision in plan(units, lifetime=lifetime, now=now).decisions:
        newest = decision.unit.newest
        if decision.fate.goes:
            assert lifetime is not None
            assert newest is not None
            assert now - newest > lifetime * DAY
        elif newest is not None and lifetime is not None and not decision.unit.needed:
            assert now - newest < (lifetime + 1) * DAY


@given(UNITS, LIFETIMES, MOMENTS, st.integers(0, 3 * DAY), st.integers(0, 100))
def test_time_and_a_shorter_lifetime_only_take_more(
    units: list[Unit], lifetime: int | None, now: int, later: int, longer: int
) -> None:
    """What goes now goes later as well, and what goes with a long lifetime goes with a short one."""
    gone = {unit.name for unit in plan(units, lifetime=lifetime, now=now).going}
    assert gone <= {unit.name for unit in plan(units, lifetime=lifetime, now=now + later).going}
    if lifetime is not None:
        assert gone >= {unit.name for unit in plan(units, lifetime=lifetime + longer, now=now).going}
        assert not plan(units, lifetime=None, now=now).going


@given(UNITS, LIFETIMES, MOMENTS, st.integers(0, 5000), st.sets(st.integers(0, 11)))
def test_a_second_application_finds_nothing(
    units: list[Unit], lifetime: int | None, now: int, excess: int, held: set[int]
) -> None:
    """Idempotent; held ones are there afterwards, and nothing is deleted for room that age has made."""
    names = {unit.name for number, unit in enumerate(units) if number in held}
    hold = Hold(id="h", tenant="t")

    def holds(unit: Unit) -> Collection[Hold]:
        return (hold,) if unit.name in names else ()

    found = plan(units, lifetime=lifetime, now=now, excess=excess, holds=holds)
    assert not names & {unit.name for unit in found.going}
    left = [unit for unit in units if unit not in found.going]
    freed = sum(unit.size for unit in found.going)
    again = plan(left, lifetime=lifetime, now=now, excess=excess - freed, holds=holds)
    assert not again.going
    dispensable = [unit for unit in found.going if fates(found)[unit.name] is Fate.ROOM]
    if dispensable:
        assert freed - dispensable[-1].size < excess


@given(UNITS, LIFETIMES, MOMENTS, st.randoms(use_true_random=False))
def test_the_order_of_units_does_not_matter(units: list[Unit], lifetime: int | None, now: int, random: Random) -> None:
    """Two processes that list a folder in two orders decide alike."""
    shuffled = random.sample(units, len(units))
    assert fates(plan(units, lifetime=lifetime, now=now)) == fates(plan(shuffled, lifetime=lifetime, now=now))


@given(st.integers(1, 40_000), st.datetimes(datetime(1971, 1, 1), datetime(2300, 1, 1)))  # noqa: DTZ001 -- made aware below
def test_the_calendar_agrees(lifetime: int, moment: datetime) -> None:
    """The boundary is the midnight that the calendar's own arithmetic finds, leap days and all."""
    now = moment.replace(tzinfo=timezone.utc)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    limit = cutoff(lifetime, (now - epoch) // timedelta(microseconds=1) * 1000)
    assert limit == (midnight - epoch - timedelta(days=lifetime)).days * DAY
