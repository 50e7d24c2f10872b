"""Checking the names in a list against what there is, and finding the nearest right one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ..model.catalog import EVENTS, lookup, matches
from ..model.event import Strategy

__all__ = ("Vocabulary", "nearest")

_TYPO: Final = 0.8  # similarity from which a word is taken for a misspelt one, not for a name of its own


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that *word* probably means."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), None)


def _every_action() -> Iterable[str]:
    for spec in EVENTS.values():
        for action in spec.actions:
            if "{" in action:
                yield from (action.format_map(dict.fromkeys(("s", "p", "f", "name"), strategy.value)) for strategy in Strategy)
            else:
                yield action


_ACTIONS: Final = tuple(dict.fromkeys(_every_action()))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What names may be used. Libraries and fields are known to the instrumentors above; None is not checked."""

    libraries: frozenset[str] | None = None
    fields: Mapping[str, bool] | None = None
    """Every parameter that any library may record, and whether it is sensitive."""

    def complaint(self, kind: str, word: str) -> str | None:
        """What is wrong with *word* as a name of *kind* (`strategies`, `actions` ...); None if nothing is."""
        known, good, cutoff = self._known(kind, word)
        if good:
            return None
        near = nearest(word, known, cutoff)
        if near is None and kind == "strategies":  # the name of a provider
            return None
        hint = f"did you mean {near!r}?" if near else f"known: {', '.join(sorted(known)[:40])}"
        return f"{word!r} is not one of the {kind}; {hint}"

    def _known(self, kind: str, word: str) -> tuple[Iterable[str], bool, float]:
        if kind == "strategies":
            known = [strategy.value for strategy in Strategy]
            return known, word in known, _TYPO
        if kind == "actions":
            templates = [action for spec in EVENTS.values() for action in spec.actions if action != "{name}"]
            good = word.startswith("custom.") or any(matches(template, word) for template in templates)
            return _ACTIONS, good or any(matches(word, action) for action in _ACTIONS), 0.6
        if kind == "events":
            return EVENTS, lookup(word) is not None or any(matches(word, name) for name in EVENTS), 0.6
        names = self.libraries if kind == "libraries" else self.fields
        return names or (), names is None or word in names, 0.6
