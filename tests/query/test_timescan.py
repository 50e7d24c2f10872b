"""Times are looked for in bytes before they are parsed: what is asked for is never passed over."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.query.timescan import times_in

moments = st.integers(0, 253_402_300_799_000_000_000) | st.integers(1_700_000_000_000_000_000, 1_900_000_000_000_000_000)
LINE = '{"eventName":"auth.sign_in","observedTimeUnixNano":"1","timeUnixNano":%s,"traceId":""}'


@given(moments, st.none() | moments, moments, st.sampled_from(['"%d"', "%d", ' "%d"']))
def test_what_is_asked_for_is_found(since: int, until: int | None, time: int, form: str) -> None:
    """Any range, any time in it, however a writer puts it: the line is parsed."""
    assume(since <= time and (until is None or time <= until))
    assert times_in(since, until)((LINE % form % time).encode())


@pytest.mark.parametrize(
    ("since", "until", "time", "may"),
    [
        (1_795_132_800_000_000_000, None, 1_795_132_780_000_000_000, False),
        (1_795_132_800_000_000_000, None, 1_795_999_999_999_999_999, True),
        (1_795_132_800_000_000_000, 1_795_132_900_000_000_000, 1_795_132_920_000_000_000, False),
        (1_799_999_999_000_000_000, 1_800_000_000_000_000_000, 1_799_999_995_000_000_000, True),
        (1_799_999_999_000_000_000, 1_800_000_000_000_000_000, 1_800_000_020_000_000_000, False),
        (0, 1_795_132_800_000_000_000, 1_795_999_999_999_999_999, True),
    ],
)
def test_what_is_far_from_it_is_not_parsed(since: int, until: int | None, time: int, may: bool) -> None:
    """More than ten seconds away from the range: the line is passed over; without a beginning nothing is, for it may have no time."""
    assert times_in(since, until)((LINE % f'"{time}"').encode()) is may


def test_what_was_printed_is_always_parsed() -> None:
    """Its time stands in words."""
    assert times_in(1_795_132_800_000_000_000, None)(b'{"logged_at":"2020-01-01T00:00:00Z"}')
