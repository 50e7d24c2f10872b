"""Methods that users and plugins override without calling `super()`: watched on every subclass, present and future."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ..guard import guard
from .hook import Hook
from .wrapper import ABSENT, watched

__all__ = ("follow_subclasses",)


def follow_subclasses(base: Any, name: str, hook: Hook, wrap: Callable[[type, str], None]) -> Callable[[], None]:
    """Call *wrap* for each subclass of *base* whose *name* is its own, or that of a class mixed in; returns what stops it. Wraps
    undo themselves."""

    def meet(subclass: type) -> None:
        own = inspect.getattr_static(subclass, name)
        ours = watched(own)
        if callable(getattr(own, "__func__", own)) and (ours is None or not ours.serves(hook)):
            with guard(f"install:{base.__qualname__}.{name}"):
                wrap(subclass, name)

    for subclass in _descendants(base):
        meet(subclass)
    before = vars(base).get("__init_subclass__", ABSENT)

    def __init_subclass__(cls: Any, /, **options: Any) -> None:  # noqa: N807 -- it becomes that method
        if before is ABSENT:
            super(base, cls).__init_subclass__(**options)
        else:
            before.__get__(None, cls)(**options)
        meet(cls)

    after: Any = classmethod(__init_subclass__)
    setattr(base, "__init_subclass__", after)  # noqa: B010 -- a type checker takes it for a method of ours
    return partial(_restore, base, after, before)


def _descendants(base: type) -> Iterator[type]:
    children: list[type] = type.__subclasses__(base)
    for subclass in children:
        yield subclass
        yield from _descendants(subclass)


def _restore(base: type, after: Any, before: Any) -> None:
    if vars(base).get("__init_subclass__") is not after:
        return
    if before is ABSENT:
        del base.__init_subclass__
    else:
        setattr(base, "__init_subclass__", before)  # noqa: B010
