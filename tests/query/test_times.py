"""Points in time as people write them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from opentelemetry_instrumentation_authaudit.query.times import moment

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-24", "2026-11-24T00:00:00+00:00"),
        ("2026-11-24T10:30", "2026-11-24T10:30:00+00:00"),
        ("2026-11-24T10:30:00Z", "2026-11-24T10:30:00+00:00"),
        ("2026-11-24T12:30:00+02:00", "2026-11-24T10:30:00+00:00"),
        ("15m", "2026-11-24T11:45:00+00:00"),
        ("2 H", "2026-11-24T10:00:00+00:00"),
        ("7d", "2026-11-17T12:00:00+00:00"),
        ("1w", "2026-11-17T12:00:00+00:00"),
    ],
)
def test_time_is_understood(text: str, meant: str) -> None:
    """Dates, RFC 3339, and how long ago; without a zone it is UTC."""
    assert datetime.fromtimestamp(moment(text, now=NOW) / 1e9, timezone.utc).isoformat() == meant


def test_date_as_an_end_is_its_last_moment() -> None:
    """`--until 2026-11-24` takes in the whole day."""
    assert moment("2026-11-24", end=True) == moment("2026-11-25") - 1


@pytest.mark.parametrize(
    ("text", "length"),
    [("2026-11-24T10:00Z", 60_000_000_000), ("2026-11-24T10:00:00Z", 1_000_000_000), ("2026-11-24T10:00:00.25Z", 10_000_000)],
)
def test_end_takes_in_what_is_written(text: str, length: int) -> None:
    """Somebody copies a time from the table, which shows seconds: `--until` finds that record, whatever its microseconds."""
    assert moment(text, end=True) - moment(text) == length - 1


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "", "10 parsecs", "20261124", "2026-W48-2", "999999999d"])
def test_what_is_no_time_is_explained(text: str) -> None:
    """The message shows what times look like."""
    with pytest.raises(ValueError, match="write 2026-11-24"):
        moment(text)
