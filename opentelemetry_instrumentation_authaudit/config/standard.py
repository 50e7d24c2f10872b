"""What the environment says beside our own options: the variables of OpenTelemetry and of systemd."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import platformdirs

from .values import Exporter

__all__ = ("auto_exporter", "disabled", "journal_dir", "otlp_endpoint", "otlp_protocol", "sdk_disabled", "service_name")

_PROTOCOLS: Final = ("grpc", "http/protobuf", "http/json")
_HOMELESS: Final = Path("/var/lib/authaudit")


def journal_dir(env: Mapping[str, str]) -> Path:
    """Where systemd or the user keeps state; never the working directory, which may be a repository or a web root."""
    state = Path(env.get("STATE_DIRECTORY", "").partition(":")[0])
    return (state / "authaudit" if state.is_absolute() else _user_state()) / "journal"


def _user_state() -> Path:
    """A process without a home (a container under a uid of its own) gets the system's folder: either that can be written, or it is told."""
    try:
        found = Path(platformdirs.user_state_dir("authaudit", appauthor=False))
    except RuntimeError:  # so do newer platformdirs say it; older ones return the `~` as it is
        return _HOMELESS
    return found if found.is_absolute() else _HOMELESS


def service_name(env: Mapping[str, str]) -> str:
    """The application's name; `unknown_service` if nobody gave it one."""
    pairs = (item.partition("=") for item in env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    attributes = {name.strip(): unquote(value.strip()) for name, equals, value in pairs if equals}
    return env.get("OTEL_SERVICE_NAME") or attributes.get("service.name") or "unknown_service"


def sdk_disabled(env: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry as a whole is switched off."""
    return env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def disabled(env: Mapping[str, str]) -> tuple[bool, frozenset[str]]:
    """Whether we are switched off, and the libraries that are: `authaudit` or `*`, `authaudit_<library>`."""
    named = {item.strip() for item in env.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    ours = frozenset(item.removeprefix("authaudit_") for item in named if item.startswith("authaudit_"))
    return bool(named & {"authaudit", "*"}), ours


def auto_exporter(env: Mapping[str, str]) -> Exporter:
    """What the option `exporter=auto` means: OTLP where an endpoint is configured and logs are not switched off."""
    wanted = env.get("OTEL_LOGS_EXPORTER", "").strip().lower() != "none"
    return Exporter.OTLP if _endpoint(env) and wanted else Exporter.NONE


def otlp_endpoint(protocol: str, environ: Mapping[str, str] | None = None) -> str:
    """Where the exporters send logs, by the standard variables and their defaults."""
    named = _endpoint(os.environ if environ is None else environ)
    return named or ("http://localhost:4317" if protocol == "grpc" else "http://localhost:4318")


def otlp_protocol(env: Mapping[str, str]) -> tuple[str, str | None]:
    """The protocol of the exporters, and what is wrong with the variable, if anything is."""
    for variable in ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        given = env.get(variable, "").strip().lower()
        if given in _PROTOCOLS:
            return given, None
        if given:
            return "grpc", f"{variable}: {given!r} is not allowed; allowed: {', '.join(_PROTOCOLS)}; used instead: grpc"
    return "grpc", None


def _endpoint(env: Mapping[str, str]) -> str:
    return (env.get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "").strip()
