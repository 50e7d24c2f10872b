"""Putting rows into libraries and taking them out again: whatever was installed is undone exactly, and nobody writes an undo.

A row waits for the import of its defining module. What had copied a function by name before is found by one sweep over the
loaded modules. Where somebody else wrapped on top of us we stay in place, inert.
"""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, TypeAlias

import wrapt
from packaging.specifiers import SpecifierSet

from ..guard import guard, warn
from .engine import Engine
from .hook import Hook, Role
from .signals import connect
from .subclasses import follow_subclasses
from .watch import Watch
from .wrapper import ABSENT, Watched, find, raw, watched

__all__ = ("Installation", "Missing", "applies")

_OURS = __name__.partition(".")[0]
_Swept: TypeAlias = tuple[Any, Watched]
"""A function, which stays alive meanwhile so that its id is its own, and its wrapper."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A target that was not found: the row is inert, the rest works."""

    library: str
    target: str
    why: str


class Installation:
    """The rows in place, and therefore exactly what `remove` takes out."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.missing: list[Missing] = []
        self.hooked: list[tuple[str, str]] = []
        """(library, target) of every row in place."""
        self._undo: list[Callable[[], None]] = []
        self._tokens: set[object] = set()
        self._unswept: dict[int, _Swept] = {}
        """By id: functions, and the wrappers that their copies in modules are to be pointed at."""
        self._together = False

    def add(self, hooks: Iterable[Hook], *, library: Callable[[], str], trigger: str) -> None:
        """Install the rows of a library now, or when its modules are imported.

        A row outside the library's own package (a framework's method that a login library needs) also waits for *trigger*, so
        that applications without the library keep their framework untouched. *library* gives name and version, asked at import.
        """
        for hook in hooks:
            arrive = partial(self._arrive, hook, library)
            if hook.module.partition(".")[0] == trigger.partition(".")[0]:
                _when_imported(hook.module, arrive)
            else:
                _when_imported(trigger, partial(_then, hook.module, arrive))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Whatever is added meanwhile shares one look through the loaded modules: with thousands of them it takes its time."""
        self._together = True
        try:
            yield
        finally:
            self._together = False
            self._sweep()

    def remove(self) -> None:
        """Take everything out, newest first, and disarm what still waits for an import."""
        self.engine.active = False
        while self._undo:
            with guard("install.remove"):
                self._undo.pop()()
        with guard("install.remove"):
            for module, name, ours in _wrappers_in_modules():
                if ours.token in self._tokens:
                    setattr(module, name, ours.before)
        self.hooked.clear()

    def _arrive(self, hook: Hook, library: Callable[[], str], module: ModuleType) -> None:
        """A module is there. An exception here would break the application's own `import`."""
        if not self.engine.active:
            return
        with guard(f"install:{hook.target}"):
            label = library()
            if not applies(hook, label):
                return
            why = self._put(hook, label, module)
            if why is None:
                self.hooked.append((label, hook.target))
            elif not hook.optional:
                self.missing.append(Missing(label, hook.target, why))
                warn(
                    f"missing:{hook.target}",
                    "authaudit: %s has no %s (%s); what it would have told is not recorded, everything else is. "
                    "`authaudit doctor` lists what is watched.",
                    *(label, hook.target, why),
                )

    def _put(self, hook: Hook, label: str, module: ModuleType) -> str | None:
        """Install one row; says what is missing, if anything."""
        found = find(module, hook.path)
        if isinstance(found, str):
            return found
        parent, name = found
        if hook.role is Role.SIGNAL:
            self._undo.append(connect(self.engine, hook, label, getattr(parent, name)))
            return None
        if not callable(getattr(parent, name)):
            return f"{name} is not callable"
        self._wrap(hook, label, parent, name)
        if inspect.isclass(parent) and hook.overrides:
            wrap = partial(self._wrap_if_active, hook, label)
            self._undo.append(follow_subclasses(parent, name, hook, wrap))
        return None

    def _wrap_if_active(self, hook: Hook, label: str, parent: type, name: str) -> None:
        if self.engine.active:
            self._wrap(hook, label, parent, name)

    def _wrap(self, hook: Hook, label: str, parent: Any, name: str) -> None:
        before = vars(parent).get(name, ABSENT)
        stored = raw(parent, name)
        kind = type(stored) if isinstance(stored, (classmethod, staticmethod)) else None
        function = stored if kind is None else stored.__func__
        bound = inspect.isclass(parent) and kind is not staticmethod
        wrapper = Watched.around(Watch(self.engine, hook, label, function, bound=bound), before)
        after: Any = wrapper if kind is None else kind(wrapper)
        setattr(parent, name, after)
        self._undo.append(partial(_restore, weakref.ref(parent), name, wrapper.token))
        if not inspect.isclass(parent):  # point every `from module import function` of the loaded modules at the wrapper
            self._tokens.add(wrapper.token)
            self._unswept[id(before)] = before, wrapper
            if not self._together:
                self._sweep()

    def _sweep(self) -> None:
        found, self._unswept = self._unswept, {}
        with guard("install.sweep"):
            for module, name, (_, wrapper) in _copies_of(found):
                while id(wrapper) in found:  # two rows look at one function: the copy gets the outer wrapper
                    wrapper = found[id(wrapper)][1]  # noqa: PLW2901
                setattr(module, name, wrapper)


def _restore(parent: Callable[[], Any], name: str, token: object) -> None:
    """Put back what stood there, unless somebody wrapped on top of us or the place is gone."""
    place = parent()
    ours = None if place is None else watched(vars(place).get(name))
    if ours is None or ours.token is not token:
        return
    if ours.before is ABSENT:
        delattr(place, name)
    else:
        setattr(place, name, ours.before)


def _copies_of(functions: Mapping[int, _Swept]) -> Iterator[tuple[ModuleType, str, _Swept]]:
    """Where in modules these functions stand, by their ids."""
    for module in _modules() if functions else ():
        for name, found in [(name, functions[id(value)]) for name, value in list(vars(module).items()) if id(value) in functions]:
            yield module, name, found


def _wrappers_in_modules() -> Iterator[tuple[ModuleType, str, Watched]]:
    """Copies that were made before us and after us alike: `from module import function` also copies a wrapper."""
    for module in _modules():
        for name, value in list(vars(module).items()):
            if type(value) is Watched:
                yield module, name, value


def _modules() -> Iterator[ModuleType]:
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and module.__name__.partition(".")[0] not in (_OURS, "wrapt"):
            yield module


def _when_imported(module: str, arrive: Callable[[ModuleType], None]) -> None:
    wrapt.register_post_import_hook(arrive, module)


def _then(module: str, arrive: Callable[[ModuleType], None], _trigger: ModuleType) -> None:
    with guard(f"install:{module}"):
        _when_imported(module, arrive)


def applies(hook: Hook, label: str) -> bool:
    """Whether the row is meant for the version in *label* (`flask-login 0.6.3`)."""
    return not hook.versions or SpecifierSet(hook.versions, prereleases=True).contains(label.rpartition(" ")[2])
