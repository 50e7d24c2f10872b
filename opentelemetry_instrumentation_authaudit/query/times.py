"""Points in time as people write them: dates, RFC 3339, and how long ago."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

__all__ = ("duration", "moment", "written")

_AGO: Final = re.compile(r"([0-9]{1,9})\s*([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_WRITTEN: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def moment(text: str, *, now: datetime | None = None, end: bool = False) -> int:
    """Nanoseconds since the epoch of `2026-11-24`, `2026-11-24T10:00:00Z` (RFC 3339), or `15m`, `2h`, `7d` ago.

    A time without a zone is UTC. *end*: the last moment of what is named, so that a date means its whole day and a second its
    whole second. Raises ValueError, saying what is understood.
    """
    text = text.strip()
    try:
        ago = _AGO.fullmatch(text.lower())
        if ago:
            return _nanoseconds((now or datetime.now(timezone.utc)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        return _written(text, end=end)
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} is no time: write 2026-11-24, 2026-11-24T10:00:00Z, or 15m, 2h, 7d (ago)") from None


def duration(text: str) -> int:
    """Seconds of `90s`, `15m`, `2h`, `7d`. Raises ValueError, saying what is understood."""
    match = _AGO.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no length of time: write 90s, 15m, 2h, 7d")
    return int(timedelta(**{_UNITS[match[2]]: int(match[1])}).total_seconds())


def written(seconds: int) -> str:
    """A length of time in its two longest units: `5m`, `1h 30m`."""
    units = []
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        number, seconds = divmod(seconds, length)
        units += [f"{number}{unit}"] if number else []
    return " ".join(units[:2]) or "0s"


def _written(text: str, *, end: bool) -> int:
    """Taken apart here, because the standard library of Python 3.10 does not read every fraction, and later ones read weeks."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise ValueError(text)
    date, minute, second, fraction, zone = match.groups()
    offset = "+00:00" if zone in {None, "Z", "z"} else zone
    start = _nanoseconds(datetime.fromisoformat(f"{date}T{minute or '00:00'}:{second or '00'}{offset}"))
    length = 86_400 if minute is None else 60 if second is None else 1
    unit = length * 1_000_000_000 if fraction is None else 10 ** (9 - len(fraction))
    return start + int((fraction or "").ljust(9, "0")) + (unit - 1 if end else 0)


def _nanoseconds(found: datetime) -> int:
    return (found - _EPOCH) // timedelta(microseconds=1) * 1000
