"""Where records are looked for when nobody says."""

from __future__ import annotations

import sys
from pathlib import Path

from ..config import Config, load

__all__ = ("looked_in", "places", "quiet_config")

_SYSTEMD = Path("/var/lib")


def quiet_config() -> Config:
    """The options of this environment."""
    return load()


def places(given: Path | None, config: Config) -> list[Path]:
    """The folder that was named; else every default place: an application under systemd and a shell have different homes."""
    if given is not None:
        return [given]
    under_systemd = sorted(_SYSTEMD.glob("*/authaudit/journal"))
    return list(dict.fromkeys([config.journal_dir, load({}).journal_dir, *under_systemd]))


def looked_in(found: list[Path], files: int) -> None:
    """Say on stderr where records were looked for."""
    print(f"looked in {', '.join(map(str, found))}: {files} file{'s' if files != 1 else ''}", file=sys.stderr)
