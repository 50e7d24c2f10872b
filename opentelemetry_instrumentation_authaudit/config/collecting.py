"""What `authaudit collector run` finds in the environment, and what it adds for the collector it starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import platformdirs

__all__ = ("FILES", "QUEUE", "RETENTION_DAYS", "collector_environment", "collector_path", "collector_programs")

FILES: Final = "AUTHAUDIT_DIR"
"""The variable of our configurations that says where the collector's files go."""
QUEUE: Final = "AUTHAUDIT_QUEUE_DIR"
RETENTION_DAYS: Final = "AUTHAUDIT_RETENTION_DAYS"
_DEFAULTS: Final = {FILES: "/var/lib/authaudit", QUEUE: "/var/lib/authaudit-queue", "OTEL_SERVICE_NAME": "authaudit-collector"}


def collector_environment(**given: str) -> dict[str, str]:
    """The whole environment of the collector: ours, and what is *given* by the command. What says nowhere where to, goes to /var/lib."""
    return {**_DEFAULTS, **os.environ, **given}


def collector_path(name: str) -> Path | None:
    """The program *name* on PATH; None if it is not there."""
    for folder in os.get_exec_path():
        found = Path(folder, name)
        if found.is_file() and os.access(found, os.X_OK):
            return found
    return None


def collector_programs() -> Path:
    """Where `make collector` puts links to what it built."""
    return platformdirs.user_cache_path("authaudit", appauthor=False) / "collector" / "bin"
