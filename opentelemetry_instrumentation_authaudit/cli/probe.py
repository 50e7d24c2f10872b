"""Looking for what is watched in each library. That imports the libraries, so it is done in another process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Final

from ..guard import guard
from ..hooks import Hook
from ..hooks.install import applies
from ..hooks.wrapper import find
from ..instrumentors.registry import LIBRARIES, Library

__all__ = ("Probe", "main", "probes")

_TIMEOUT: Final = 60
_BY_NAME: Final = {library.name: library for library in LIBRARIES}


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found of a library's rows."""

    library: str
    found: int = 0
    missing: tuple[str, ...] = ()
    """Targets that are not there, with the reason."""
    unknown: int = 0
    """Rows that say nothing outside the application: its settings are not here."""


def probes(names: Iterable[str]) -> dict[str, Probe | None]:
    """A probe of each library; None for one whose import ends the process, or does not end."""
    waiting = list(names)
    answers: dict[str, Probe | None] = {}
    while waiting:
        answers |= _ask(waiting)
        rest = [name for name in waiting if name not in answers]
        if rest:  # it got no further than this one: go on behind it
            answers[rest[0]] = None
        waiting = rest[1:]
    return answers


def _ask(names: list[str]) -> dict[str, Probe]:
    command = [sys.executable, "-c", f"from {__name__} import main; main()", *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace") as process:  # noqa: S603 -- ourselves
        try:
            said, _ = process.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    found = [Probe(**answer) for answer in map(_answer, said.splitlines()) if answer]
    return {probe.library: probe for probe in found}


def _answer(line: str) -> dict[str, Any] | None:
    """An answer of `main`; None for what a library prints when it is imported."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("library") in _BY_NAME else None


def main() -> None:
    """In the other process: probe the libraries named on the command line, an answer a line."""
    for name in sys.argv[1:]:
        print("\n" + json.dumps(asdict(_probe(_BY_NAME[name]))), flush=True)


def _probe(library: Library) -> Probe:
    found = unknown = 0
    missing = []
    for hook in library.hooks:
        if not applies(hook, library.label):
            continue
        with guard("doctor.probe") as caught:  # importing Django's models without settings, e.g.
            why = _why_missing(hook)
            found += why is None
            if why is not None and not hook.optional:
                missing.append(f"{hook.target} ({why})")
        unknown += caught.failed
    return Probe(library.name, found, tuple(missing), unknown)


def _why_missing(hook: Hook) -> str | None:
    try:
        place = find(import_module(hook.module), hook.path)
    except ImportError as error:
        return type(error).__name__
    return place if isinstance(place, str) else None
