"""Is there a time from a range in these bytes? Asked before anything is parsed: a day of a month's file costs a search, not a parse."""

from __future__ import annotations

import re
from typing import Final

from .documents import MayMatch

__all__ = ("times_in",)

_DIGITS: Final = 19
"""Of nanoseconds since the epoch, from September 2001 to the year 2286."""
_EXACT: Final = 9
"""Digits that are looked at: to ten seconds."""
_KEY: Final = rb'"timeUnixNano":\s*"?'
_PRINTED: Final = b'"logged_at"'
"""What `authaudit query --format json` printed has its time in words, and is always parsed."""


def times_in(since: int, until: int | None) -> MayMatch:
    """Whether a record of between *since* and *until* (nanoseconds since the epoch) may be in lines; False only where none can."""
    if len(str(since)) != _DIGITS:  # a record without a time would pass, too
        return lambda _lines: True
    patterns = [re.compile(_KEY + b"(?:%b|[0-9]{20})" % _at_least(str(since)[:_EXACT]).encode())]
    if until is not None and len(str(until)) == _DIGITS:
        patterns.append(re.compile(_KEY + b"(?:%b|[0-9]{1,18}(?![0-9]))" % _at_most(str(until)[:_EXACT]).encode()))
    return lambda lines: all(pattern.search(lines) for pattern in patterns) or _PRINTED in lines


def _at_least(digits: str) -> str:
    """A pattern for numbers of as many digits that are not less."""
    if not digits:
        return ""
    first, rest = digits[0], _at_least(digits[1:])
    return f"(?:[{int(first) + 1}-9]|{first}{rest})" if first != "9" else f"{first}{rest}"


def _at_most(digits: str) -> str:
    """A pattern for numbers of as many digits that are not greater."""
    if not digits:
        return ""
    first, rest = digits[0], _at_most(digits[1:])
    return f"(?:[0-{int(first) - 1}]|{first}{rest})" if first != "0" else f"{first}{rest}"
