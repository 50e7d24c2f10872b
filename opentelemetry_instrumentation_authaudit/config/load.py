"""Reading the options: keywords beat the declarative file, the file beats the environment, the environment beats the defaults.

All faults are told in one message. Under auto-instrumentation nothing raises: a bad value becomes the default, that of a privacy
option the strictest there is, because the default would record what somebody meant to hide.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from . import converters, sources, standard
from .declarative import UNRECOGNISED, file_options
from .options import OPTIONS, Option
from .values import Config, Exporter
from .vocabulary import Vocabulary

__all__ = ("ConfigError", "load")

_log = logging.getLogger("opentelemetry_instrumentation_authaudit")
_SHOWN: Final = 80
_NARROWING: Final = frozenset({"include_strategies", "include_actions", "instrumentors"})
"""Lists that mean everything when they are empty."""
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
    "authorization",
    "credential",
    "nonce",
    "passphrase",
    "sesame",
    "ticket",
    "verifier",
)


class ConfigError(ValueError):
    """The options cannot be used as given; the message names every fault and says what is allowed."""


@dataclass(slots=True)
class _Reader:
    """One reading of all options, and the faults found on the way."""

    keywords: sources.Source
    others: tuple[sources.Source, ...]
    """The file, the environment, the SDK's environment."""
    vocabulary: Vocabulary
    unread: bool = False
    """There is a file, and nobody knows what it says."""
    meant: frozenset[str] = frozenset()
    """Options whose names somebody misspelt."""
    faults: list[str] = field(default_factory=list)

    def value(self, row: Option) -> Any:
        """The value of one option. An empty text says nothing, as OpenTelemetry's specification has it of variables; `[]` does."""
        source, given = next(
            (
                (source, source.values[row.name])
                for source in (self.keywords, *self.others)
                if source.values.get(row.name) is not None and source.values[row.name] != ""
            ),
            (None, None),
        )
        hidden = self.unread and source is not self.keywords  # the file may say something stricter than the environment
        if row.strictest is not None and (hidden or (source is None and row.name in self.meant)):
            return row.meaning_of(row.strictest)
        return row.meaning_of(row.default) if source is None else self._converted(row, source.called(row.name), given)

    def _converted(self, row: Option, called: str, given: Any) -> Any:
        try:
            value = row.convert(given)
        except ValueError as allowed:
            chosen = row.default if row.strictest is None else row.strictest
            shown = "the value" if row.secret else _shortened(repr(given))
            instead = chosen or ("an empty list" if row.listed else "the default")
            self.faults.append(f"{called}: {shown} is not allowed; allowed: {allowed}; used instead: {instead}")
            return row.meaning_of(chosen)
        return value if row.vocabulary is None else self._known(row, called, value)

    def _known(self, row: Option, called: str, words: tuple[str, ...] | frozenset[str]) -> tuple[str, ...] | frozenset[str]:
        complaints = {word: self.vocabulary.complaint(row.vocabulary or "", word) for word in words}
        self.faults += [f"{called}: {complaint}; left out" for complaint in complaints.values() if complaint]
        kept = [word for word in words if not complaints[word]]
        if words and not kept and row.name in _NARROWING:
            self.faults.append(f"{called}: no name in it is known; used instead: all")
        return tuple(kept) if isinstance(words, tuple) else frozenset(kept)

    def provider(self) -> object | None:
        """The user's logger provider."""
        given = self.keywords.values.get(sources.KEYWORD_ONLY)
        if given is None or callable(getattr(given, "get_logger", None)):
            return given
        called = self.keywords.called(sources.KEYWORD_ONLY)
        self.faults.append(
            f"{called}: a {type(given).__name__} is not allowed; allowed: a LoggerProvider of OpenTelemetry; used instead: our own"
        )
        return None

    def libraries(self, disabled: frozenset[str]) -> frozenset[str]:
        """The libraries that OpenTelemetry's own variable switches off."""
        complaints = [(word, self.vocabulary.complaint("libraries", word)) for word in sorted(disabled)]
        self.faults += [
            f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: authaudit_{word}: {why}; left out" for word, why in complaints if why
        ]
        return frozenset(word for word, why in complaints if not why)

    def enabled(self, given: Any) -> bool:
        """The declarative file's own switch."""
        try:
            return given in (None, "") or converters.boolean(given)
        except ValueError as allowed:
            self.faults.append(
                f"file key 'enabled': {_shortened(repr(given))} is not allowed; allowed: {allowed}; used instead: true"
            )
            return True


def load(
    environ: Mapping[str, str] | None = None,
    *,
    file: Mapping[str, Any] | None = None,
    libraries: frozenset[str] | None = None,
    fields: Mapping[str, bool] | None = None,
    raises: bool = False,
    **keywords: Any,
) -> Config:
    """Read the configuration. *file* holds the keys of a declarative file that somebody else has read (else it is read here);
    *libraries* and *fields* are what names are checked against.

    With *raises*, faults raise ConfigError; else they are logged as one ERROR and the safest values are used.
    """
    env = os.environ if environ is None else environ
    in_file, why_not = (dict(file), None) if file is not None else file_options(env)
    in_file |= in_file.pop(UNRECOGNISED, None) or {}
    enabled = in_file.pop("enabled", None)
    places = (sources.keywords(keywords), sources.file(in_file), sources.environment(env), sources.sdk(env))
    meant = frozenset(near for place in places for near in place.unknown().values() if near)
    reader = _Reader(places[0], places[1:], Vocabulary(libraries, fields), unread=why_not is not None, meant=meant)
    values = {row.name: reader.value(row) for row in OPTIONS}
    reader.faults += [complaint for place in places for complaint in place.complaints()]
    if why_not:
        reader.faults.append(f"{why_not}; until then the privacy options that it may hold are at their strictest")
    config = _assemble(values, env, reader, enabled=reader.enabled(enabled))
    _report(reader, config, raises=raises)
    return config


def _assemble(values: dict[str, Any], env: Mapping[str, str], reader: _Reader, *, enabled: bool) -> Config:
    records, seconds = values.pop("checkpoint_interval")
    all_disabled, disabled = standard.disabled(env)
    values["disabled_instrumentors"] |= reader.libraries(disabled)
    values["instrumentors"] = values["instrumentors"] or None
    values["journal_dir"] = values["journal_dir"] or standard.journal_dir(env)
    values["exporter"] = values["exporter"] or standard.auto_exporter(env)
    protocol, fault = standard.otlp_protocol(env)
    if fault and values["exporter"] is Exporter.OTLP:
        reader.faults.append(fault)
    if values["hash_compat"] and not (values["hash_key"] or values["hash_key_file"]):
        reader.faults.append(
            "hash_compat: ash needs hash_key or hash_key_file: without a secret of yours such hashes can be undone; left out"
        )
        values["hash_compat"] = None
    return Config(
        **values,
        checkpoint_records=records,
        checkpoint_seconds=seconds,
        otlp_protocol=protocol,
        service_name=standard.service_name(env),
        sdk_disabled=not enabled or all_disabled or standard.sdk_disabled(env),
        logger_provider=reader.provider(),
    )


def _report(reader: _Reader, config: Config, *, raises: bool) -> None:
    clear = sorted(name for name in config.include_fields if any(word in name.lower() for word in _NEVER_CLEAR))
    if clear:
        _log.warning(
            "authaudit: include_fields: %s will be recorded in clear, and the name says that it is a secret", ", ".join(clear)
        )
    if not reader.faults:
        return
    message = "authaudit: the configuration has faults:\n" + "\n".join(f"  - {fault}" for fault in reader.faults)
    if raises:
        raise ConfigError(message)
    _log.error("%s", message)


def _shortened(shown: str) -> str:
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 4]} ..."
