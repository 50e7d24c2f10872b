"""Reading the options: keywords beat the declarative file, the file beats the environment, the environment beats the defaults.

All faults are told in one message. Under auto-instrumentation nothing raises: a bad value becomes the default, that of a privacy
option the strictest there is, because the default would record what somebody meant to hide.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import platformdirs

from .declarative import UNRECOGNISED, file_options
from .options import OPTIONS, PREFIX, Option
from .values import Config, Exporter
from .vocabulary import Vocabulary, nearest

__all__ = ("ConfigError", "load", "otlp_endpoint")

_log = logging.getLogger("opentelemetry_instrumentation_authaudit")
_PROTOCOLS: Final = ("grpc", "http/protobuf", "http/json")
_NEVER_CLEAR: Final = (
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "otp",
    "code",
    "key",
    "signature",
    "cookie",
    "assertion",
    "credential",
)
_BATCHING: Final[dict[str, tuple[str, Callable[[str], str]]]] = {
    "write_batching_timeout": ("OTEL_BLRP_SCHEDULE_DELAY", lambda value: f"{value}ms"),
    "write_batching_max_size": ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", str),
}
"""OpenTelemetry's own variables, heard where ours are silent."""


class ConfigError(ValueError):
    """The options cannot be used as given; the message names every fault and says what is allowed."""


@dataclass(slots=True)
class _Reader:
    """One reading of all options, and the faults found on the way."""

    sources: tuple[tuple[str, Mapping[str, Any]], ...]
    vocabulary: Vocabulary
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def value(self, row: Option) -> Any:
        """The value of one option."""
        origin, given = next(
            ((label, values[row.name]) for label, values in self.sources if values.get(row.name) is not None), ("", row.default)
        )
        named = row.variable if origin == "environment" else f"{origin} {row.name!r}"
        if not origin or given == "":
            return None if row.default == "" and row.vocabulary is None and row.name != "hooks" else row.convert(row.default)
        try:
            value = row.convert(given)
        except ValueError as allowed:
            chosen = row.default if row.strictest is None else row.strictest
            shown = "the value" if row.secret else repr(given)
            self.faults.append(f"{named}: {shown} is not allowed; allowed: {allowed}; used instead: {chosen or 'nothing'}")
            return row.convert(chosen) if chosen else None
        return value if row.vocabulary is None else self._known(row, named, value)

    def _known(self, row: Option, named: str, value: Iterable[str]) -> Any:
        kind = row.vocabulary or ""
        bad = {word: self.vocabulary.complaint(kind, word) for word in value}
        self.faults += [f"{named}: {complaint}; left out" for complaint in bad.values() if complaint]
        return type(value)(word for word in value if not bad[word])  # type: ignore[call-arg]

    def unknown(self) -> None:
        """Refuse options that do not exist, with the nearest that does."""
        known = {row.name for row in OPTIONS} | {"logger_provider"}
        for label, values in self.sources:
            for name in sorted(set(values) - known):
                near = nearest(name, known)
                shown = f"{PREFIX}{name.upper()}" if label == "environment" else f"{label} {name!r}"
                right = (f"{PREFIX}{near.upper()}" if label == "environment" else near) if near else None
                self.faults.append(f"{shown}: there is no such option" + (f"; did you mean {right}?" if right else ""))


def load(
    environ: Mapping[str, str] | None = None,
    *,
    file: Mapping[str, Any] | None = None,
    libraries: frozenset[str] | None = None,
    fields: Mapping[str, bool] | None = None,
    raises: bool = False,
    **keywords: Any,
) -> Config:
    """Read the configuration. *file* holds the keys of a declarative file; *libraries* and *fields* are what names are checked against.

    With *raises*, faults raise ConfigError; else they are logged as one ERROR and the safest values are used.
    """
    env = os.environ if environ is None else environ
    ours = {name[len(PREFIX) :].lower(): value for name, value in env.items() if name.startswith(PREFIX)}
    in_file, why_not = (dict(file), None) if file is not None else file_options(env)
    enabled = in_file.pop("enabled", True)
    keywords |= keywords.pop(UNRECOGNISED, None) or {}
    sources = (("keyword", keywords), ("file key", in_file), ("environment", {**_from_sdk(env), **ours}))
    reader = _Reader(sources, Vocabulary(libraries, fields))
    values = {row.name: reader.value(row) for row in OPTIONS}
    reader.unknown()
    provider = next((source["logger_provider"] for _, source in sources[:2] if source.get("logger_provider") is not None), None)
    if why_not:
        reader.faults.append(why_not)
    config = _assemble(values, env, reader, provider)
    if enabled is False:
        config = replace(config, sdk_disabled=True)
    _report(reader, raises=raises)
    return config


def _from_sdk(env: Mapping[str, str]) -> dict[str, str]:
    return {name: convert(env[variable]) for name, (variable, convert) in _BATCHING.items() if env.get(variable)}


def _assemble(values: dict[str, Any], env: Mapping[str, str], reader: _Reader, provider: object | None) -> Config:
    records, seconds = values.pop("checkpoint_interval")
    service = env.get("OTEL_SERVICE_NAME") or _resource_attributes(env).get("service.name") or "unknown_service"
    disabled_all, disabled = _disabled(env)
    values["disabled_instrumentors"] |= disabled
    values["journal_dir"] = values["journal_dir"] or _default_journal_dir(env)
    values["exporter"] = values["exporter"] or _auto_exporter(env)
    if values["instrumentors"] == frozenset():
        values["instrumentors"] = None
    if values["hash_compat"] and not (values["hash_key"] or values["hash_key_file"]):
        reader.faults.append(
            "hash_compat: ash needs hash_key or hash_key_file: without a secret of yours such hashes can be undone; left out"
        )
        values["hash_compat"] = None
    clear = sorted(name for name in values["include_fields"] if any(word in name.lower() for word in _NEVER_CLEAR))
    if clear:
        reader.warnings.append(
            f"include_fields: {', '.join(clear)} will be recorded in clear, and the name says that it is a secret"
        )
    return Config(
        **values,
        checkpoint_records=records,
        checkpoint_seconds=seconds,
        otlp_protocol=_protocol(env, reader),
        service_name=service,
        sdk_disabled=disabled_all or env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true",
        logger_provider=provider,
    )


def _report(reader: _Reader, *, raises: bool) -> None:
    if reader.warnings:
        _log.warning("authaudit: %s", "; ".join(reader.warnings))
    if not reader.faults:
        return
    message = "authaudit: the configuration has faults:\n" + "\n".join(f"  - {fault}" for fault in reader.faults)
    if raises:
        raise ConfigError(message)
    _log.error("%s", message)


def _default_journal_dir(env: Mapping[str, str]) -> Path:
    """Where systemd or the user keeps state; never the working directory, which may be a repository or a web root."""
    state = env.get("STATE_DIRECTORY", "").partition(":")[0]
    home = Path(state) / "authaudit" if state else Path(platformdirs.user_state_dir("authaudit", appauthor=False))
    return home / "journal"


def _auto_exporter(env: Mapping[str, str]) -> Exporter:
    endpoint = env.get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    wanted = env.get("OTEL_LOGS_EXPORTER", "").strip().lower() != "none"
    return Exporter.OTLP if endpoint and wanted else Exporter.NONE


def otlp_endpoint(protocol: str, environ: Mapping[str, str] | None = None) -> str:
    """Where the exporters send logs, by the standard variables and their defaults."""
    env = os.environ if environ is None else environ
    named = env.get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return named or ("http://localhost:4317" if protocol == "grpc" else "http://localhost:4318")


def _protocol(env: Mapping[str, str], reader: _Reader) -> str:
    for variable in ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        given = env.get(variable, "").strip().lower()
        if given in _PROTOCOLS:
            return given
        if given:
            reader.faults.append(f"{variable}: {given!r} is not allowed; allowed: {', '.join(_PROTOCOLS)}; used instead: grpc")
            return "grpc"
    return "grpc"


def _resource_attributes(env: Mapping[str, str]) -> dict[str, str]:
    pairs = (item.partition("=") for item in env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    return {name.strip(): unquote(value.strip()) for name, equals, value in pairs if equals}


def _disabled(env: Mapping[str, str]) -> tuple[bool, frozenset[str]]:
    """Whether we are switched off as a whole, and the libraries that are: `authaudit`, `authaudit_<library>`, `*`."""
    named = {item.strip() for item in env.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    ours = frozenset(item.removeprefix("authaudit_") for item in named if item.startswith("authaudit_"))
    return bool(named & {"authaudit", "*"}), ours
