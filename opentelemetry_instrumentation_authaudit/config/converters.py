"""From what was written to what is meant. A converter takes text (environment) or a Python value and raises ValueError,
saying what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
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


def _written(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value).strip()


def text(value: Any) -> str:
    """Any text but an empty one."""
    written = _written(value)
    if not written:
        raise ValueError("some text")
    return written


def boolean(value: Any) -> bool:
    """`true` or `false`."""
    written = _written(value).lower()
    if written in _TRUE | _FALSE:
        return written in _TRUE
    raise ValueError("true or false")


def choice(kind: type[_E]) -> Callable[[Any], _E]:
    """A member of *kind*, by its value."""

    def convert(value: Any) -> _E:
        try:
            return kind(_written(value).lower())
        except ValueError:
            raise ValueError(", ".join(str(member.value) for member in kind)) from None

    return convert


def integer(low: int, high: int | None = None) -> Callable[[Any], int]:
    """A whole number from *low* to *high*."""
    allowed = f"a whole number from {low} to {high}" if high is not None else f"a whole number, {low} or more"

    def convert(value: Any) -> int:
        written = _written(value)
        if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,18}", written):
            raise ValueError(allowed)
        number = int(written)
        if number < low or (high is not None and number > high):
            raise ValueError(allowed)
        return number

    return convert


def duration(value: Any) -> float:
    """Seconds; with a unit also `500ms`, `5s`, `2m`, `1h`."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|)", _written(value).lower())
    seconds = float(found[1]) * _UNITS[found[2]] if found and not isinstance(value, bool) else math.nan
    if not 0 <= seconds <= 10**9:
        raise ValueError("seconds, or a number with ms, s, m or h")
    return seconds


def days(value: Any) -> int | None:
    """A number of days, or `infinity` (None)."""
    if _written(value).lower().lstrip(":") == "infinity":
        return None
    try:
        return integer(1)(value)
    except ValueError:
        raise ValueError("a number of days (1 or more), or infinity") from None


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
    items: Iterable[Any] = value if isinstance(value, (list, tuple, set, frozenset)) else str(value).split(",")
    return tuple(dict.fromkeys(item for item in map(_written, items) if item))


def names(value: Any) -> frozenset[str]:
    """As `patterns`, in no order."""
    return frozenset(patterns(value))


def strategies(value: Any) -> frozenset[str]:
    """Strategies or providers; `oauth` stands for oauth2 and oidc."""
    given = [item.lower() for item in patterns(value)]
    return frozenset(name for item in given for name in (_OAUTH if item == "oauth" else (item,)))


def path(value: Any) -> Path:
    """An absolute path; `~` is the home directory. A relative one would depend on where the process was started."""
    found = Path(text(value)).expanduser()
    if not found.is_absolute():
        raise ValueError("an absolute path")
    return found


def proxies(value: Any) -> tuple[IPv4Network | IPv6Network, ...] | int:
    """`none`, a hop count, or networks in CIDR notation."""
    if isinstance(value, bool):
        raise ValueError("none, a number of hops, or networks like 10.0.0.0/8,fd00::/8")
    given = [str(item) for item in patterns(value)]
    if [item.lower() for item in given] in ([], ["none"]):
        return ()
    if len(given) == 1 and given[0].isascii() and given[0].isdecimal():
        return int(given[0][:4]) or ()
    try:
        return tuple(ip_network(item, strict=False) for item in given)
    except ValueError:
        raise ValueError("none, a number of hops, or networks like 10.0.0.0/8,fd00::/8") from None


def checkpoint(value: Any) -> tuple[int, float]:
    """Records and seconds between checkpoints of the chain: `1000,300`; whichever comes first."""
    given = patterns(value)
    try:
        records, seconds = given
        return integer(1)(records), duration(seconds)
    except ValueError:
        raise ValueError("records and seconds, like 1000,300") from None
