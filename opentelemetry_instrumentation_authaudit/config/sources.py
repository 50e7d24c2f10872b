"""The places where options may be written, in the order in which they are heard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .options import OPTIONS, PREFIX, option
from .vocabulary import nearest

__all__ = ("KEYWORD_ONLY", "Source", "environment", "file", "keywords", "sdk")

KEYWORD_ONLY: Final = "logger_provider"
"""An object, so it can only be handed over."""

_NAMES: Final = frozenset(row.name for row in OPTIONS)
_OURS: Final = re.compile(r"OTEL_(?:\w+_)?AUTH_?AUDIT_(\w+)")
_BATCHING: Final = (
    ("write_batching_timeout", "OTEL_BLRP_SCHEDULE_DELAY", "milliseconds", "{}ms"),
    ("write_batching_max_size", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "records", "{}"),
)
"""OpenTelemetry's own variables, heard where ours are silent."""


@dataclass(frozen=True, slots=True)
class Source:
    """What was written in one place, by the options' names; a name that is no option keeps the form in which it was written."""

    values: Mapping[str, Any] = field(repr=False)
    called: Callable[[str], str]
    """How a name is written in that place, for messages."""
    accepts: frozenset[str] = _NAMES
    faults: tuple[str, ...] = ()

    def unknown(self) -> dict[str, str | None]:
        """Every name that is no option, and the option that it probably means."""
        names = {name: _OURS.fullmatch(name) for name in sorted(set(self.values) - self.accepts)}
        return {name: nearest(found[1] if found else name, self.accepts) for name, found in names.items()}

    def complaints(self) -> Iterator[str]:
        """What is wrong with the place itself, and with each unknown name in it."""
        yield from self.faults
        for name, near in self.unknown().items():
            here = KEYWORD_ONLY in self.accepts or not name.lower().endswith(KEYWORD_ONLY)
            yield f"{self.called(name)}: {_why(name, near) if here else 'it can only be a keyword'}"


def _why(name: str, near: str | None) -> str:
    if near is None or near == KEYWORD_ONLY:
        return "there is no such option" + (f"; did you mean {near}?" if near else "")
    meant = option(near)
    until = f" Until then {near} is {meant.strictest}, if nothing else sets it" if meant.strictest else ""
    return f"there is no such option; did you mean {meant.variable if _OURS.fullmatch(name) else near}?{until}"


def keywords(given: Mapping[str, Any]) -> Source:
    """The keyword arguments of `instrument()`."""
    return Source(given, lambda name: f"keyword {name!r}", _NAMES | {KEYWORD_ONLY})


def file(given: Mapping[Any, Any]) -> Source:
    """Our section of the declarative file. YAML allows keys that are no text."""
    return Source({str(key): value for key, value in given.items()}, lambda name: f"file key {name!r}")


def environment(env: Mapping[str, str]) -> Source:
    """`OTEL_PYTHON_AUTHAUDIT_*`; what is spelt almost so was meant for us too."""
    exact = {row.variable: row.name for row in OPTIONS}
    values = {exact.get(name, name): value for name, value in env.items() if _OURS.fullmatch(name) or name.startswith(PREFIX)}
    return Source(values, lambda name: option(name).variable if name in _NAMES else name)


def sdk(env: Mapping[str, str]) -> Source:
    """What the variables of OpenTelemetry's SDK say about batches."""
    values, faults = {}, []
    for name, variable, unit, form in _BATCHING:
        given = env.get(variable, "").strip()
        if re.fullmatch(r"0*[1-9][0-9]{0,8}", given):
            values[name] = form.format(given)
        elif given:
            default = option(name).default
            faults.append(
                f"{variable}: {given!r} is not allowed; allowed: a whole number of {unit}, 1 or more; option {name}: {default}"
            )
    return Source(values, lambda name: name, faults=tuple(faults))
