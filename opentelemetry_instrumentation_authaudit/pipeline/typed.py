"""An event with every fact of the type it is declared with: extractors and applications may hand over anything.

What is something else becomes text by the rules of `privacy.sanitise`, or is left out: a hostile value costs its own field only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final, TypeAlias, TypeVar

from ..guard import guard
from ..model.event import Actor, AuditEvent, Param, Request
from ..privacy.sanitise import plain, render

__all__ = ("typed",)

_TEXTUAL: Final = frozenset({str, type(None)})
_NUMERIC: Final = frozenset({int})
_LARGEST: Final = 1 << 63

_T = TypeVar("_T", AuditEvent, Actor, Request)
_Converters: TypeAlias = Mapping[str, Callable[[Any], Any]]
"""By field; a converter gives back the very value if that is of the right type, and never raises."""


class _Fields:
    """The converters of a class of facts. Most fields are text or None, or numbers, which is seen at once for all of them."""

    def __init__(self, texts: tuple[str, ...], numbers: _Converters, others: _Converters) -> None:
        """*texts* are the fields that are text or None; *numbers* those that are whole and small, unless they need converting."""
        self._texts, self._numbers = _getter(texts), _getter(tuple(numbers))
        self._others = others
        self._all: _Converters = {**dict.fromkeys(texts, _text), **numbers, **others}

    def of(self, facts: Any) -> _Converters:
        """The converters that may have something to do."""
        numbers = self._numbers(facts)
        usual = (
            _TEXTUAL.issuperset(map(type, self._texts(facts)))
            and _NUMERIC.issuperset(map(type, numbers))
            and min(numbers, default=0) >= 0
            and max(numbers, default=0) < _LARGEST
        )
        return self._others if usual else self._all


def _getter(fields: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """What gives the values of *fields*, which are none or several."""
    return attrgetter(*fields) if fields else lambda _facts: ()


_UNKNOWN: Final = "unknown"
_LINES: Final = 64  # of one header: servers refuse requests with more


def typed(event: AuditEvent) -> AuditEvent:
    """*event* itself if its facts are of their types, which is usual; else a copy in which they are."""
    return _converted(event, _EVENT)


def _converted(facts: _T, fields: _Fields) -> _T:
    converters = fields.of(facts)
    changed = {name: new for name, convert in converters.items() if (new := convert(old := getattr(facts, name))) is not old}
    return replace(facts, **changed) if changed else facts


def _text(value: Any) -> str | None:
    """Text or nothing."""
    if value is None or type(value) is str:
        return value
    with guard("pipeline.typed"):
        return render(plain(value)) or None
    return None


def _name(value: Any) -> str:
    """Text, where there must be one."""
    return _text(value) or _UNKNOWN


def _flow(value: Any) -> str:
    """An id of ours, which nothing looks at again."""
    return value if type(value) is str and value.isascii() and value.isalnum() else _UNKNOWN


def _lines(value: Any) -> tuple[str, ...]:
    """The lines of a header."""
    if type(value) is tuple and (not value or all(type(line) is str for line in value)):
        return value
    with guard("pipeline.typed"):
        found = plain(value)
        return tuple(filter(None, map(render, found[-_LINES:] if isinstance(found, list) else [found])))
    return ()


def _whole(limit: int) -> Callable[[Any], int]:
    """A whole number below *limit*, 0 for what is none."""
    return lambda value: value if type(value) is int and 0 <= value < limit else 0


def _port(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 1 << 16 else None


def _moment(value: Any) -> int:
    """Nanoseconds since the epoch, now for what is none."""
    return value if type(value) is int and 0 <= value < _LARGEST else time.time_ns()


def _truth(value: Any) -> bool | None:
    """Of the words only: the truth of an application's object may be costly, and may be none."""
    return value if value is True or value is False else None


def _params(value: Any) -> Mapping[str, Param]:
    if type(value) is dict and not value:
        return value
    with guard("pipeline.typed"):
        found = value if type(value) is dict else dict(value)
        return found if all(type(item) is Param for item in found.values()) else {}
    return {}


def _actor(value: Any) -> Actor | None:
    if value is None or type(value) is Actor:
        return value and _converted(value, _ACTOR)
    return Actor(_name(value))


def _request(value: Any) -> Request | None:
    return _converted(value, _REQUEST) if type(value) is Request else None


_EVENT: Final = _Fields(
    ("action", "provider", "error_type", "subject", "identity", "tenant", "resource", "token_id", "session_key"),
    {
        **dict.fromkeys(("attempts", "repeats"), _whole(_LARGEST)),
        "time": _moment,
    },
    {
        **dict.fromkeys(("event", "library"), _name),
        "identity_known": _truth,
        "inferred": lambda value: value is True,
        "actor": _actor,
        "params": _params,
        "request": _request,
        "trace_id": _whole(1 << 128),
        "span_id": _whole(1 << 64),
    },
)
_ACTOR: Final = _Fields((), {}, dict.fromkeys(("id", "type"), _name))
_REQUEST: Final = _Fields(
    ("peer", "user_agent", "method", "host", "route", "path"),
    {},
    {
        "flow_id": _flow,
        **dict.fromkeys(("forwarded", "x_forwarded_for", "x_real_ip"), _lines),
        "peer_port": _port,
    },
)
