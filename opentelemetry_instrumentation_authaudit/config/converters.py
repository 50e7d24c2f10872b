"""From what was written to what is meant. A converter takes text (environment) or a Python value (keyword, YAML) and raises
ValueError, saying what is allowed."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path, PurePath
from typing import Any, Final, TypeVar

__all__ = (
    "boolean",
    "byte_count",
    "checkpoint",
    "choice",
    "days",
    "duration",
    "integer",
    "names",
    "path",
    "patterns",
    "proxies",
    "strategies",
    "text",
)

_E = TypeVar("_E", bound=Enum)
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZES: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_OAUTH: Final = ("oauth2", "oidc")
_PLAIN: Final = (str, int, float, PurePath, IPv4Network, IPv6Network)
_CENTURY: Final = 36_500
_HOPS: Final = 255


def _written(value: Any) -> str:
    """*value* as it would be written in the environment; empty if it never could be: bytes, a mapping, true or false."""
    plain = value.value if isinstance(value, Enum) else value
    return str(plain).strip() if isinstance(plain, _PLAIN) and not isinstance(plain, bool) else ""


def text(value: Any) -> str:
    """Any text but an empty one. A number is none: YAML reads 0123 as 83."""
    written = _written(value) if isinstance(value, str) else ""
    if not written or not written.isprintable():
        raise ValueError("some text, without control characters")
    return written


def boolean(value: Any) -> bool:
    """`true` or `false`."""
    written = str(value).lower() if isinstance(value, bool) else _written(value).lower()
    if written in _TRUE | _FALSE:
        return written in _TRUE
    raise ValueError("true or false")


def choice(kind: type[_E]) -> Callable[[Any], _E]:
    """A member of *kind*, by its value."""

    def convert(value: Any) -> _E:
        try:
            return kind("off" if value is False else _written(value).lower())  # YAML reads a bare `off` as false
        except ValueError:
            raise ValueError(", ".join(str(member.value) for member in kind)) from None

    return convert


def integer(low: int, high: int | None = None) -> Callable[[Any], int]:
    """A whole number from *low* to *high*."""
    allowed = f"a whole number from {low} to {high}" if high is not None else f"a whole number, {low} or more"

    def convert(value: Any) -> int:
        written = _written(value)
        if not re.fullmatch(r"-?[0-9]{1,18}", written):
            raise ValueError(allowed)
        number = int(written)
        if number < low or (high is not None and number > high):
            raise ValueError(allowed)
        return number

    return convert


def duration(value: Any) -> float:
    """Seconds; with a unit also `500ms`, `5s`, `2m`, `1h`."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)\s*(ms|s|m|h|)", _written(value).lower())
    seconds = float(found[1]) * _UNITS[found[2]] if found else math.nan
    if not 0 <= seconds <= 10**9:
        raise ValueError("seconds, or a number with ms, s, m or h")
    return seconds


def days(value: Any) -> int | None:
    """A number of days, or `infinity` (None), which more than a century comes to as well."""
    if _written(value).lower().lstrip(":") == "infinity":
        return None
    try:
        number = integer(1)(value)
    except ValueError:
        raise ValueError("a number of days (1 or more), or infinity") from None
    return number if number <= _CENTURY else None


def byte_count(value: Any) -> int | None:
    """A number of bytes, also with K, M, G or T; `unlimited` is None."""
    written = _written(value).upper()
    if written == "UNLIMITED":
        return None
    found = re.fullmatch(r"([0-9]{1,15})\s*([KMGT]?)B?", written)
    if found is None or not int(found[1]):
        raise ValueError("bytes, also as 500K, 100M or 2G, or unlimited")
    return int(found[1]) * _SIZES[found[2]]


def patterns(value: Any) -> tuple[str, ...]:
    """A comma-separated list, or a list."""
    if isinstance(value, (list, tuple, set, frozenset)):
        items = list(value)
    else:
        items = _written(value).split(",") if isinstance(value, str) else [None]
    if not all(_written(item) or isinstance(item, str) for item in items):
        raise ValueError("a comma-separated list")
    return tuple(dict.fromkeys(_written(item) for item in items if _written(item)))


def names(value: Any) -> frozenset[str]:
    """As `patterns`, in no order."""
    return frozenset(patterns(value))


def strategies(value: Any) -> frozenset[str]:
    """Strategies or providers; `oauth` stands for oauth2 and oidc."""
    given = [item.lower() for item in patterns(value)]
    return frozenset(name for item in given for name in (_OAUTH if item == "oauth" else (item,)))


def path(value: Any) -> Path:
    """An absolute path; `~` is the home directory. A relative one would depend on where the process was started."""
    found = Path(os.path.expanduser(_written(value)))  # noqa: PTH111 -- Path.expanduser raises where there is no home
    if not found.is_absolute() or "\0" in str(found):
        raise ValueError("an absolute path")
    return found


def proxies(value: Any) -> tuple[IPv4Network | IPv6Network, ...] | int:
    """`none`, a hop count, or networks in CIDR notation."""
    try:
        given = patterns([value] if isinstance(value, int) else value)
        if [item.lower() for item in given] in ([], ["none"]):
            return ()
        if len(given) == 1 and given[0].isascii() and given[0].isdecimal():
            return integer(0, _HOPS)(given[0]) or ()
        return tuple(ip_network(item, strict=False) for item in given)
    except ValueError:
        raise ValueError(f"none, a number of hops up to {_HOPS}, or networks like 10.0.0.0/8,fd00::/8") from None


def checkpoint(value: Any) -> tuple[int, float]:
    """Records and seconds between checkpoints of the chain: `1000,300`; whichever comes first."""
    try:
        records, seconds = [_written(item) for item in value] if isinstance(value, (list, tuple)) else _written(value).split(",")
        found = integer(1)(records), duration(seconds)
    except ValueError:
        found = 0, 0.0
    if found[1] < 1:
        raise ValueError("records and seconds, each 1 or more, like 1000,300")
    return found
