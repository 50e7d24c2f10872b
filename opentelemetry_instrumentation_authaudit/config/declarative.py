"""`OTEL_CONFIG_FILE`, OpenTelemetry's declarative configuration: our options stand under `instrumentation/development: python: authaudit:`.

The package opentelemetry-configuration converts the keys by the instrumentor's attribute `configuration` and then calls
`instrument(**options)`. With an ordinary dataclass a typo there costs *all* options, and addresses would be recorded raw: this one
takes whatever it is given and leaves the judgement to `load`.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping
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
_REFERENCE: Final = re.compile(r"\$\$|\$\{(?:env:)?([A-Za-z_]\w*)(?::-([^}]*))?\}", re.ASCII)


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


def file_options(environ: Mapping[str, str] | None = None) -> tuple[dict[Any, Any], str | None]:
    """Our options in `OTEL_CONFIG_FILE`, read by ourselves, and what prevented it, if anything did.

    Without a distro nobody else reads the file, and with one `enabled: false` is not passed on. A file that does not name us is
    none of our business, however broken it is.
    """
    env = os.environ if environ is None else environ
    name = env.get("OTEL_CONFIG_FILE")
    if not name:
        return {}, None
    try:
        text = Path(name).read_text(encoding="utf-8")
        sections = list(_sections(_parse(name, text))) if _PATH[-1] in text else []
    except ImportError:
        return {}, f"OTEL_CONFIG_FILE={name} was not read: install PyYAML (pip install opentelemetry-configuration)"
    except (OSError, ValueError, RecursionError) as error:  # without its message, which may quote the file
        return {}, f"OTEL_CONFIG_FILE={name} was not read: {type(error).__name__}"
    ours = dict(sections).get(_PATH, {} if not sections else None)
    if not isinstance(ours, Mapping):
        return {}, f"OTEL_CONFIG_FILE={name} was not understood: our options must stand under {': '.join(_PATH)}:"
    return {key: _substituted(value, env) for key, value in ours.items()}, None


def _parse(name: str, text: str) -> Any:
    if name.lower().endswith(".json"):
        return json.loads(text)
    yaml = importlib.import_module("yaml")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError from error


def _sections(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Everything under a key of our name, wherever it stands: a misplaced section must not be passed over in silence."""
    for key, value in found.items() if isinstance(found, Mapping) else ():
        here = (*path, str(key))
        if key == _PATH[-1]:
            yield here, {} if value is None else value
        else:
            yield from _sections(value, here)


def _substituted(value: Any, env: Mapping[str, str]) -> Any:
    """*value* with `${VARIABLE}`, `${VARIABLE:-default}` and `$$` replaced (OpenTelemetry's configuration specification)."""
    if isinstance(value, list):
        return [_substituted(item, env) for item in value]
    if not isinstance(value, str):
        return value
    return _REFERENCE.sub(lambda found: env.get(found[1], found[2] or "") if found[1] else "$", value)
