"""`OTEL_CONFIG_FILE`: our options in OpenTelemetry's declarative configuration, read by its own package and by ourselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.config import Configuration, IpPrivacy, load
from opentelemetry_instrumentation_authaudit.config.declarative import file_options

FILE = """
file_format: "1.0"
instrumentation/development:
  python:
    authaudit:
{options}
"""


def write(folder: Path, *options: str) -> dict[str, str]:
    """A declarative file with *options*, and the environment that names it."""
    path = folder / "otel.yaml"
    path.write_text(FILE.format(options="\n".join(f"      {line}" for line in options)))
    return {"OTEL_CONFIG_FILE": str(path)}


def test_file_is_read_without_a_distro(tmp_path: Path) -> None:
    """Nobody else reads it then."""
    config = load(write(tmp_path, "ip_privacy_mode: truncate", "exclude_strategies: [magic_link, oauth]"), raises=True)
    assert config.ip_privacy_mode is IpPrivacy.TRUNCATE
    assert config.exclude_strategies == {"magic_link", "oauth2", "oidc"}


def test_enabled_false_switches_off(tmp_path: Path) -> None:
    """OpenTelemetry's own loader would not tell us."""
    assert load(write(tmp_path, "enabled: false")).sdk_disabled


def test_typo_in_the_file_is_refused_and_costs_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The other options stand, and the message names the nearest right one."""
    config = load(write(tmp_path, "ip_privacy_mode: exclude", "log_lifetme: 3"))
    assert config.ip_privacy_mode is IpPrivacy.EXCLUDE
    assert "file key 'log_lifetme': there is no such option; did you mean log_lifetime?" in caplog.text


def test_file_that_cannot_be_read_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Missing, or no YAML: said, not guessed."""
    load({"OTEL_CONFIG_FILE": str(tmp_path / "missing.yaml")})
    (tmp_path / "broken.yaml").write_text("a: [")
    load({"OTEL_CONFIG_FILE": str(tmp_path / "broken.yaml")})
    assert "missing.yaml was not read: FileNotFoundError" in caplog.text
    assert "broken.yaml was not read" in caplog.text


def test_other_peoples_files_say_nothing_to_us(tmp_path: Path) -> None:
    """A file without our section is no fault."""
    path = tmp_path / "otel.yaml"
    path.write_text("file_format: '1.0'\n")
    assert file_options({"OTEL_CONFIG_FILE": str(path)}) == ({}, None)


def converted(options: dict[str, Any]) -> dict[str, Any]:
    """What opentelemetry-configuration makes of *options* before it calls `instrument`."""
    conversion = pytest.importorskip("opentelemetry.configuration._conversion")
    from dataclasses import fields

    made = conversion._dict_to_dataclass(options, Configuration)
    return {field.name: value for field in fields(made) if (value := getattr(made, field.name)) is not None}


def test_opentelemetrys_own_conversion_loses_nothing() -> None:
    """Options, typos and bad values all arrive at the one validator."""
    given = {"ip_privacy_mode": "hsah", "log_lifetme": 3, "include_fields": ["email"]}
    assert converted(given) == {
        "ip_privacy_mode": "hsah",
        "include_fields": ["email"],
        "unrecognised": {"log_lifetme": 3},
        "declared": True,
    }


def test_what_the_conversion_hands_over_is_judged(caplog: pytest.LogCaptureFixture) -> None:
    """A bad value becomes the strictest, the typo is named; the application starts."""
    options = converted({"ip_privacy_mode": "hsah", "log_lifetme": 3})
    options.pop("declared")
    assert load({}, **options).ip_privacy_mode is IpPrivacy.EXCLUDE
    assert "keyword 'log_lifetme': there is no such option" in caplog.text
