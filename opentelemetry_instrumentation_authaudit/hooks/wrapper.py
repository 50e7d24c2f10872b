"""What stands in a library in place of its function, and looks like it in every respect."""

from __future__ import annotations

import copy
import inspect
import pkgutil
import sys
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import wrapt

from .drivers import driver_of
from .hook import Hook, Role
from .request import request_driver_of
from .watch import Driver, Watch

__all__ = ("ABSENT", "Watched", "find", "raw", "watched")

ABSENT: Final = object()
"""What "stood there" where a class only inherits the name."""


if TYPE_CHECKING:  # wrapt 1.x has no type parameters
    _Proxy = wrapt.FunctionWrapper[..., Any]
else:
    _Proxy = wrapt.FunctionWrapper


class Watched(_Proxy):
    """A transparent proxy of the function: signature, code, attributes, equality and type are the function's own.

    Bound to an instance it becomes a real bound method, so that signals can hold it weakly and pickle can name it.
    """

    _self_before: Any
    _self_token: object
    _self_hook: Hook

    @classmethod
    def around(cls, watch: Watch, before: Any) -> Watched:
        """Watch the function of *watch*; *before* is what stood in its place, or ABSENT."""
        function = watch.function
        drive: Driver = (request_driver_of if watch.hook.role is Role.REQUEST else driver_of)(function)

        def call(_wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            try:
                return drive(watch, args, kwargs)
            except BaseException:
                del args, kwargs
                raise

        made = cls(function, call)
        made._self_before, made._self_token, made._self_hook = before, object(), watch.hook
        return made

    @property
    def before(self) -> Any:
        """What `remove` puts back."""
        return self._self_before

    @property
    def token(self) -> object:
        """Names this very wrapper without holding the function."""
        return self._self_token

    def serves(self, hook: Hook) -> bool:
        """Whether *hook* is at work here, perhaps under other rows on the same function."""
        below = watched(self.__wrapped__)
        return self._self_hook is hook or (below is not None and below.serves(hook))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __copy__(self) -> Watched:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> Watched:
        return self

    def __reduce_ex__(self, _protocol: Any) -> Any:
        """Pickle by name, as functions are; whoever loads it need not have us installed."""
        module, name = self.__wrapped__.__module__, self.__wrapped__.__qualname__
        place = find(sys.modules[module], name) if module in sys.modules else ""
        there = self.__wrapped__ if isinstance(place, str) else getattr(*place)
        if there is self:
            return name
        if type(there) is Watched and there.__wrapped__ is self.__wrapped__:  # we watch an alias of it
            return pkgutil.resolve_name, (f"{module}:{name}",)
        return copy.copy, (self.__wrapped__,)


def watched(value: Any) -> Watched | None:
    """The wrapper in *value*, which may be a class- or staticmethod around it; None if it is not ours."""
    inner = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
    return inner if type(inner) is Watched else None


def find(module: ModuleType, path: str) -> tuple[Any, str] | str:
    """The object that holds the last name of *path*, and that name; else a sentence that says what is missing."""
    parent: Any = module
    *steps, name = path.split(".")
    for step in steps:
        parent = getattr(parent, step, None)
        if parent is None:
            return f"no {step}"
    return f"no {name}" if raw(parent, name) is ABSENT else (parent, name)


def raw(parent: Any, name: str) -> Any:
    """What is stored under *name*, unbound, ABSENT if nothing; *parent* may be a module behind a proxy (zope.deprecation)."""
    own = getattr(parent, "__dict__", {})
    return own[name] if name in own else inspect.getattr_static(parent, name, ABSENT)
