"""Points in time as people write them: dates, RFC 3339, and how long ago."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

__all__ = ("moment",)

_AGO: Final = re.compile(r"([0-9]+)\s*(s|m|h|d|w)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, *, now: datetime | None = None, end: bool = False) -> int:
    """Nanoseconds since the epoch of `2026-11-24`, `2026-11-24T10:00:00Z`, or `15m`, `2h`, `7d` ago; a time without a zone is UTC.

    *end*: a date means its last moment. Raises ValueError, saying what is understood.
    """
    ago = _AGO.fullmatch(text.strip().lower())
    if ago:
        found = (now or datetime.now(timezone.utc)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return int(found.timestamp() * 1_000_000) * 1000
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        raise ValueError(f"{text!r} is no time: write 2026-11-24, 2026-11-24T10:00:00Z, or 15m, 2h, 7d (ago)") from None
    found = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    if end and len(text.strip()) == len("2026-11-24"):
        found += timedelta(days=1) - timedelta(microseconds=1)
    return round(found.timestamp() * 1_000_000) * 1000
