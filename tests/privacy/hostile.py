"""Values that no caller should pass, and that some day one does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn


class RaisesOnStr:
    """An object that cannot be shown."""

    def __str__(self) -> NoReturn:
        raise RuntimeError("hunter2")

    __repr__ = __str__


class LyingStr(str):
    """A `str` whose methods lie."""

    __slots__ = ()

    def __str__(self) -> str:
        return "hunter2"

    def __len__(self) -> NoReturn:
        raise RuntimeError("hunter2")


class HugeInt(int):
    """An `int` that compares as it likes."""

    def __lt__(self, other: object) -> NoReturn:
        raise RuntimeError("hunter2")

    __gt__ = __lt__


class RaisesOnIteration(Mapping[str, str]):
    """A mapping of a framework that has lost its connection."""

    def __getitem__(self, key: str) -> str:
        raise RuntimeError("hunter2")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("hunter2")

    def __len__(self) -> int:
        return 1


class Pretender:
    """An object that says it is a `str`, as a mock with a spec does."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return str


def nested(levels: int) -> Any:
    """A list in a list in a list."""
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


def cycle() -> dict[str, Any]:
    """A mapping that holds itself."""
    value: dict[str, Any] = {"a": 1}
    value["self"] = value
    return value


HARMLESS: dict[str, Any] = {
    "raising str": RaisesOnStr(),
    "pretender": Pretender(),
    "lying str": LyingStr("text"),
    "huge str": "a b " * 2_500_000,
    "huge bytes": b"\xff " * 5_000_000,
    "huge list": list(range(1_000_000)),
    "huge int": 10**10_000,
    "int subclass": HugeInt(7),
    "nan": float("nan"),
    "infinity": float("-inf"),
    "surrogate": "a\ud800b",
    "control": "a\x1b[31m\x00\u202eb",
    "deep": nested(200),
    "deep mapping": {"a": {"b": nested(200)}},
    "cycle": cycle(),
    "wide and deep": {str(i): {str(j): list(range(100)) for j in range(100)} for i in range(100)},
    "odd keys": {None: 1, 2: 3, (4, 5): 6, RaisesOnStr(): 7, b"\xff": 8},
    "generator": (character for character in "abc"),
    "class": RaisesOnStr,
    "set": {"b", "a", 1},
    "deep json": "[" * 4000,
    "long json": '{"a": "' + "x y " * 5000,
    "json int": "[" + "9" * 5000 + "]",
}
RAISING: dict[str, Any] = {"raising mapping": RaisesOnIteration()}
