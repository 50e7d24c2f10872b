"""Where listening meets telling: the instrumentor that OpenTelemetry finds, and the one place that knows both wings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from .guard import guard
from .hooks.engine import Engine
from .hooks.install import Installation
from .instrumentors.registry import LIBRARIES, Library

__all__ = ("AuthAuditInstrumentor", "listen")


def listen(engine: Engine, libraries: Iterable[Library] = LIBRARIES) -> Installation:
    """Put the rows of *libraries* in place, each when its library is imported. A fault in one library costs that library."""
    installation = Installation(engine)
    for library in libraries:
        with guard(f"install:{library.name}"):
            installation.add(library.hooks, library=partial(getattr, library, "label"), trigger=library.trigger)
    return installation


class AuthAuditInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Placeholder."""
