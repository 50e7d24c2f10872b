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
_LITERAL: Final = 0.9  # ... of whole actions, which resemble each other more
_LISTED: Final = 25  # as many names as a message can hold
_STRATEGIES: Final = tuple(strategy.value for strategy in Strategy)


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that *word* probably means, in whatever case it is written."""
    folded = {name.lower(): name for name in known}
    return next((folded[name] for name in difflib.get_close_matches(word.lower(), folded, n=1, cutoff=cutoff)), None)


def _every_action() -> Iterable[str]:
    for spec in EVENTS.values():
        for action in spec.actions:
            if "{" in action:
                yield from (action.format_map(dict.fromkeys(("s", "p", "f", "name"), strategy)) for strategy in _STRATEGIES)
            else:
                yield action


_ACTIONS: Final = tuple(dict.fromkeys(_every_action()))
_OPEN: Final = sorted({action.partition("{")[0] for spec in EVENTS.values() for action in spec.actions if "{" in action} - {""})
"""What actions begin with that end in a strategy, factor or provider."""
_PATTERNS: Final = tuple(f"{start}*" for start in _OPEN)
_LITERALS: Final = tuple(action for spec in EVENTS.values() for action in spec.actions if "{" not in action)


def _misspelt(action: str) -> str | None:
    """The action that *action* probably means, if it is none: a provider may have any name, but hardly `pasword`."""
    if action in _ACTIONS:
        return None
    endings = {start: action[len(start) :] for start in _OPEN if action.startswith(start) and action != start}
    near = {start: nearest(ending, _STRATEGIES, _TYPO) for start, ending in endings.items()}
    return next((f"{start}{ending}" for start, ending in near.items() if ending), None) or nearest(action, _LITERALS, _LITERAL)


def _is_action(word: str) -> bool:
    if "*" in word or "{" in word:
        return any(matches(word, action) for action in _ACTIONS) or any(matches(pattern, word) for pattern in _PATTERNS)
    return word in _ACTIONS or (any(word.startswith(start) and word != start for start in _OPEN) and not _misspelt(word))


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
        near = (_misspelt(word) if kind == "actions" and known is _ACTIONS else None) or nearest(word, known, cutoff)
        if near is None and kind == "strategies":  # the name of a provider
            return None
        return f"{word!r} is not one of the {kind}; {f'did you mean {near!r}?' if near else _all_of(kind, known)}"

    def _known(self, kind: str, word: str) -> tuple[Iterable[str], bool, float]:
        if kind == "strategies":
            return _STRATEGIES, word in _STRATEGIES, _TYPO
        if kind == "actions":
            known = _PATTERNS if "*" in word or word in _OPEN else _ACTIONS
            return known, word.startswith("custom.") or _is_action(word), 0.6
        if kind == "events":
            return EVENTS, lookup(word) is not None or any(matches(word, name) for name in EVENTS), 0.6
        names = self.libraries if kind == "libraries" else self.fields
        return names or (), names is None or word in names, 0.6


def _all_of(kind: str, known: Iterable[str]) -> str:
    names = sorted(known)
    return f"known: {', '.join(names)}" if len(names) <= _LISTED else f"`authaudit schema` lists the {kind}"
