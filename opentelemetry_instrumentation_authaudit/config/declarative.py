"""`OTEL_CONFIG_FILE`, OpenTelemetry's declarative configuration: our options stand under `instrumentation/development: python: authaudit:`.

The package opentelemetry-configuration converts the keys by the instrumentor's attribute `configuration` and then calls
`instrument(**options)`. With an ordinary dataclass a typo there costs *all* options, and addresses would be recorded raw: this one
takes whatever it is given and leaves the judgement to `load`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any, Final

from .options import OPTIONS

__all__ = ("DECLARED", "UNRECOGNISED", "Configuration", "file_options")

UNRECOGNISED: Final = "unrecognised"
"""The field of `Configuration` that holds keys which are no options, for `load` to refuse with the nearest right one."""
DECLARED: Final = "declared"
"""The field of `Configuration` that tells `instrument` who calls: a fault must then not raise, or nothing would be recorded."""

_PATH: Final = ("instrumentation/development", "python", "authaudit")
_NAMES: Final = tuple(row.name for row in OPTIONS)


def _take(self: Any, **given: Any) -> None:
    for name in _NAMES:
        setattr(self, name, given.pop(name, None))
    setattr(self, UNRECOGNISED, given or None)
    setattr(self, DECLARED, True)


Configuration: Any = make_dataclass(
    "Configuration",
    [(name, Any) for name in (*_NAMES, UNRECOGNISED, DECLARED)],
    init=False,
    repr=False,
    namespace={"__init__": _take, "__doc__": "The keys of the declarative file, as given.", "__module__": __name__},
)


def file_options(environ: Mapping[str, str] | None = None) -> tuple[dict[str, Any], str | None]:
    """Our options in `OTEL_CONFIG_FILE`, read by ourselves, and what prevented it, if anything did.

    Without a distro nobody else reads the file, and with one `enabled: false` is not passed on.
    """
    name = (os.environ if environ is None else environ).get("OTEL_CONFIG_FILE")
    if not name:
        return {}, None
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        return {}, f"OTEL_CONFIG_FILE={name} was not read: install PyYAML (pip install opentelemetry-configuration)"
    try:
        found: Any = yaml.safe_load(os.path.expandvars(Path(name).read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        return {}, f"OTEL_CONFIG_FILE={name} was not read: {type(error).__name__}"
    for step in _PATH:
        found = found.get(step) if isinstance(found, Mapping) else None
    return (dict(found) if isinstance(found, Mapping) else {}), None
