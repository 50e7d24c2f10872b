"""The option `hooks`: an application's own functions, audited by dotted path and without code.

    hooks = myapp.auth:check_login -> sign_in password

The function returns something true for a success and something false for a failure; an exception leaves the outcome unknown. What is
typed as the identity is the first argument with a usual name, the subject is the `id` or `pk` of what is returned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ..hooks import Call, Facts, Flow, Hook, Reason, Status, Strategy
from ..model.catalog import EVENTS

__all__ = ("HookSyntaxError", "parse", "rows")

_SPEC: Final = re.compile(r"\s*([\w.]+:[\w.]+)\s*->\s*([\w.]+)(?:\s+(\w+))?\s*")
_IDENTITIES: Final = ("username", "email", "login", "user_name", "identity", "identifier", "name")
_SUBJECTS: Final = ("pk", "id", "uid", "user_id")


class HookSyntaxError(ValueError):
    """A configured hook that cannot be read; the message says what one looks like."""


def rows(specs: Iterable[str]) -> tuple[Hook, ...]:
    """The rows that *specs* describe; raises HookSyntaxError for the first that cannot be read."""
    return tuple(parse(spec) for spec in specs)


def parse(spec: str) -> Hook:
    """Read `module:function -> event [strategy]`; an event may lose its `auth.` prefix (`sign_in`)."""
    found = _SPEC.fullmatch(spec)
    if found is None:
        msg = f"{spec!r} is not of the form 'package.module:function -> event strategy', e.g. 'myapp.auth:check_login -> sign_in password'"
        raise HookSyntaxError(msg)
    target, event, strategy = found.groups()
    name = event if event in EVENTS or event.startswith("custom.") else f"auth.{event}"
    if name not in EVENTS and not name.startswith("custom."):
        msg = f"{spec!r}: no event is called {event!r}; `authaudit schema` lists them, an event of your own is custom.<name>"
        raise HookSyntaxError(msg)
    try:
        mechanism = Strategy(strategy or Strategy.CUSTOM)
    except ValueError:
        msg = f"{spec!r}: no strategy is called {strategy!r}; known: {', '.join(s.value for s in Strategy)}"
        raise HookSyntaxError(msg) from None
    return Hook(target=target, extract=_observe, event=name, strategy=mechanism)


def _observe(call: Call) -> Flow:
    typed = next((value for value in map(call.arg, _IDENTITIES) if isinstance(value, str)), None)
    outcome = yield
    result = outcome.result
    if outcome.error is None and not result:
        return Facts(status=Status.FAILURE, identity=typed, fallback=Reason.INVALID_CREDENTIALS)
    known = next((getattr(result, name) for name in _SUBJECTS if isinstance(getattr(result, name, None), (str, int))), None)
    subject = result if isinstance(result, str) else known
    return Facts(identity=typed, subject=None if subject is None else str(subject))
