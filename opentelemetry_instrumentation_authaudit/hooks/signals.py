"""Rows of role SIGNAL: receivers for Django's signals and blinker's, which share `connect(receiver, weak=)` and
`disconnect(receiver)`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .engine import Engine
from .hook import Call, Hook, Outcome
from .watch import Run, Watch, start

__all__ = ("connect",)


def connect(engine: Engine, hook: Hook, library: str, signal: Any) -> Callable[[], None]:
    """Listen to *signal*; returns what undoes it. The receiver never raises: Django's `send` would pass it on to the sign-in."""
    watch = Watch(engine, hook, library, None, bound=False)

    def receive(sender: Any = None, **named: Any) -> None:
        if not engine.active:
            return
        flow, _ = start(hook, watch.site, Call(None, sender, (), named))
        if flow is not None:
            Run(watch, flow).end(Outcome())

    signal.connect(receive, weak=False)
    return partial(signal.disconnect, receive)
