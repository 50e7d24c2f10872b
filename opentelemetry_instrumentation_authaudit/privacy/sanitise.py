"""Values made safe to store: any object becomes plain data, plain data becomes short, clean text.

Nothing here calls `str` or `repr` of a class it does not know: that may raise, query a database, or quote a password.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from pathlib import PurePath
from typing import Any, Final, TypeAlias
from uuid import UUID

__all__ = ("CUT", "MAX_ATTRIBUTES", "MAX_CHARS", "SCANNED_CHARS", "Plain", "cap", "clean", "parameter_name", "plain", "render")

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
"""What JSON can say."""

MAX_CHARS: Final = 1024
"""Characters of a recorded value."""
MAX_ATTRIBUTES: Final = 64
"""Attributes of a record, those of the chain included."""
CUT: Final = "…"
"""Ends a value that was cut, and stands for what lay too deep."""

SCANNED_CHARS: Final = 4 * MAX_CHARS
"""What is read of a text: more than is recorded, so that a secret lying across the cut is recognised as a whole."""
_MAX_DEPTH = 6
_KEY_DEPTH = _MAX_DEPTH - 2  # a key may be a member of an enumeration, or a tuple
_BUDGET = 512  # of one value: a node costs 1, and 1 more for each 16 characters
_COST_CHARS = 16
_NAME_CHARS = 64
_INT64 = (-(2**63), 2**63 - 1)

# Control characters (a terminal obeys them, PostgreSQL refuses NUL), lone surrogates (no UTF-8), and overrides of the direction
# of writing, which make one name look like another.
_UNCLEAN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_UNNAMEABLE = re.compile(r"[^A-Za-z0-9_.-]")
_REPLACEMENT = "\ufffd"


def clean(text: str) -> str:
    """*text* with every character that could do harm replaced by U+FFFD."""
    return text if text.isprintable() else _UNCLEAN.sub(_REPLACEMENT, text)


def cap(text: str) -> str:
    """*text*, cut to the length of a recorded value; a cut one ends in an ellipsis."""
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - len(CUT)] + CUT


def plain(value: Any) -> Plain:
    """*value* as plain data: capped in depth, size and count, ints clamped to 64 bits. Objects of other classes become `<Class>`.

    May raise what a container of the application raises when it is iterated over.
    """
    return _Walk().visit(value, 0)


def parameter_name(name: Any) -> str:
    """The last part of a parameter's attribute name: applications name the parameters of their own events as they like."""
    return _UNNAMEABLE.sub("_", render(plain(name))[:_NAME_CHARS]) or "_"


def render(value: Plain) -> str:
    """Plain data as one text: lists comma-joined, mappings as JSON, None as nothing."""
    if isinstance(value, list):
        return ",".join(map(_inner, value))
    return _inner(value)


def _inner(value: Plain) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Walk:
    """One pass over a value, with what it may still cost."""

    __slots__ = ("budget",)

    def __init__(self) -> None:
        self.budget = _BUDGET

    def visit(self, value: Any, depth: int) -> Plain:
        self.budget -= 1
        if depth > _MAX_DEPTH or self.budget < 0:
            return CUT
        kind = type(value)  # not isinstance: a mock's `__class__` is whatever its author likes
        for classes, convert in _CONVERTERS:
            if issubclass(kind, classes):
                return convert(self, value, depth)
        if dataclasses.is_dataclass(kind):
            named = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(kind))
            return self._mapping(named, depth)
        return f"<{clean(kind.__name__[:_NAME_CHARS])}>"

    def text(self, value: str, _depth: int) -> str:
        part = str.__getitem__(value, slice(SCANNED_CHARS))
        self.budget -= len(part) // _COST_CHARS
        return clean(part if len(part) == str.__len__(value) else part + CUT)

    def bytes(self, value: Any, depth: int) -> str:
        part = bytes(memoryview(value)[: SCANNED_CHARS + 1])
        return self.text(part.decode("utf-8", "replace"), depth)

    def sequence(self, value: Any, depth: int) -> Plain:
        named = getattr(type(value), "_fields", None)  # a named tuple: the names say which item is a secret
        if type(named) is tuple and len(named) == len(value) and issubclass(type(value), tuple):
            return self._mapping(zip(named, value, strict=True), depth)
        return self.items(value, depth)

    def items(self, value: Iterable[Any], depth: int) -> list[Plain]:
        found = []
        for item in islice(value, _BUDGET):
            found.append(self.visit(item, depth + 1))
            if self.budget < 0:
                break
        return found

    def mapping(self, value: Any, depth: int) -> dict[str, Plain]:
        return self._mapping(dict.items(value) if issubclass(type(value), dict) else value.items(), depth)

    def _mapping(self, items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Plain]:
        found: dict[str, Plain] = {}
        for key, item in islice(items, _BUDGET):
            name = render(self.visit(key, _KEY_DEPTH))
            found[name if name not in found else f"{name}#{len(found)}"] = self.visit(item, depth + 1)
            if self.budget < 0:
                break
        return found


_Converter: TypeAlias = Callable[[_Walk, Any, int], Plain]


def _unordered(walk: _Walk, value: Any, depth: int) -> Plain:
    return sorted(walk.items(value, depth), key=_inner)


def _integer(_walk: _Walk, value: Any, _depth: int) -> int:
    low, high = _INT64
    return min(max(int.__int__(value), low), high)


def _float(_walk: _Walk, value: Any, _depth: int) -> Plain:
    number = float.__float__(value)
    return number if float("-inf") < number < float("inf") else float.__repr__(number)


_SPEAKING = (UUID, Decimal, PurePath, date, time, timedelta, IPv4Address, IPv6Address)

# Looked through in this order: `bool` is an `int`, and an enumeration's member may be a `str` or an `int`.
_CONVERTERS: tuple[tuple[tuple[type, ...], _Converter], ...] = (
    ((Enum,), lambda walk, value, depth: walk.visit(value.value, depth + 1)),
    ((str,), _Walk.text),
    ((type(None),), lambda *_: None),
    ((bool,), lambda _walk, value, _depth: value),
    ((int,), _integer),
    ((float,), _float),
    ((bytes, bytearray, memoryview), _Walk.bytes),
    ((list, tuple, deque), _Walk.sequence),
    ((set, frozenset), _unordered),
    ((Mapping,), _Walk.mapping),
    (_SPEAKING, lambda walk, value, depth: walk.text(str(value), depth)),
)
