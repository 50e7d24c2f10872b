"""Facts about a function that cost too much to ask for at every call."""

from __future__ import annotations

import inspect
from functools import lru_cache
from types import MappingProxyType
from typing import Any

__all__ = ("positions",)

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NOTHING: MappingProxyType[str, int] = MappingProxyType({})


@lru_cache(maxsize=4096)
def positions(function: Any) -> MappingProxyType[str, int]:
    """Index of each positional parameter of *function* by name, `self` and `cls` included; empty if it has no signature."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return _NOTHING
    return MappingProxyType({p.name: i for i, p in enumerate(parameters) if p.kind in _POSITIONAL})
