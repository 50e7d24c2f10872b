"""The libraries we watch: one line each. From a line come the lazy import hook, the switch, the version check, the README table,
`authaudit doctor`, the conformance tests and the oldest/newest test matrix."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Final

from ..hooks import Hook

__all__ = ("LIBRARIES", "Library")


@dataclass(frozen=True, slots=True)
class Library:
    """A library we watch. Its rows are `HOOKS` of `instrumentors/<name>.py`; `BLIND` there says what cannot be seen."""

    name: str
    """Our name for it: the file, the switch (`disabled_instrumentors`), the story test."""
    trigger: str
    """Module whose import makes the library present."""
    distribution: str
    """Name on PyPI, for its version."""
    versions: str
    """PEP 440 range that is tested: oldest to newest."""

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The library's rows."""
        return tuple(import_module(f".{self.name}", __package__).HOOKS)

    @property
    def blind(self) -> tuple[str, ...]:
        """What cannot be seen there, a sentence each."""
        return tuple(import_module(f".{self.name}", __package__).BLIND)


LIBRARIES: Final[tuple[Library, ...]] = ()
