"""`OTEL_CONFIG_FILE`: our options in OpenTelemetry's declarative configuration, read by its own package and by ourselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.config import (
    DECLARED,
    Configuration,
    Fsync,
    IdentityPrivacy,
    IpPrivacy,
    RequestAuth,
    load,
)
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


def written(path: Path, content: str) -> dict[str, str]:
    """A file with *content*, and the environment that names it."""
    path.write_text(content)
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
    load(written(tmp_path / "broken.yaml", "authaudit: [s3cr3t"))
    assert "missing.yaml was not read: FileNotFoundError" in caplog.text
    assert "broken.yaml was not read: ValueError" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_broken_file_that_does_not_name_us_is_not_our_business(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """OpenTelemetry complains of it; addresses are recorded as the environment says."""
    config = load(written(tmp_path / "broken.yaml", "a: [") | {"OTEL_PYTHON_AUTHAUDIT_IP_PRIVACY_MODE": "hash"})
    assert config.ip_privacy_mode is IpPrivacy.HASH
    assert not caplog.records


@pytest.mark.parametrize(
    "content",
    [
        "instrumentation/development: {python: {authaudit: [",
        "instrumentation/development: {python: {authaudit: [ip_privacy_mode, exclude]}}",
        "instrumentation: {python: {authaudit: {ip_privacy_mode: exclude}}}",
        "instrumentation/development: {authaudit: {ip_privacy_mode: exclude}}",
    ],
    ids=["broken", "a list", "stable key", "no python"],
)
def test_file_that_is_not_understood_hides_everything(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody wrote options there, and nobody knows which: until it is mended nothing is recorded raw, unless a keyword says so."""
    environ = written(tmp_path / "otel.yaml", content) | {"OTEL_PYTHON_AUTHAUDIT_IDENTITY_PRIVACY_MODE": "none"}
    config = load(environ, unknown_identity_mode="hash")
    assert (config.ip_privacy_mode, config.ipv4_truncation_mask) == (IpPrivacy.EXCLUDE, 0)
    assert config.identity_privacy_mode is IdentityPrivacy.EXCLUDE
    assert config.unknown_identity_mode is IdentityPrivacy.HASH
    assert config.log_lifetime == 90
    assert caplog.text.count("the privacy options that it may hold are at their strictest") == 1


def test_variables_in_the_file_are_those_of_the_specification(tmp_path: Path) -> None:
    """`${NAME}`, `${env:NAME}`, a default, an escaped dollar; a bare `$NAME` is text, and an unset variable says nothing."""
    lines = [
        "ip_privacy_mode: ${MODE}",
        "log_lifetime: ${DAYS:-30}",
        'include_fields: ["${env:FIELD}", username]',
        "hash_key: a$MODE$$b",
        "fsync: ${UNSET}",
    ]
    config = load(
        write(tmp_path, *lines) | {"MODE": "hash", "FIELD": "email", "OTEL_PYTHON_AUTHAUDIT_FSYNC": "always"}, raises=True
    )
    assert (config.ip_privacy_mode, config.log_lifetime) == (IpPrivacy.HASH, 30)
    assert config.include_fields == {"email", "username"}
    assert (config.hash_key, config.fsync) == ("a$MODE$b", Fsync.ALWAYS)


def test_our_reading_of_variables_agrees_with_opentelemetrys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file must not mean two things, with a distro and without."""
    loader = pytest.importorskip("opentelemetry.configuration.file._loader")
    monkeypatch.setenv("AUTHAUDIT_TEST", "v1")
    texts = [
        "${AUTHAUDIT_TEST}",
        "x-${AUTHAUDIT_TEST}-$$-${NOT_SET_ANYWHERE:-d e}",
        "$AUTHAUDIT_TEST",
        "$${AUTHAUDIT_TEST}",
        "${1}",
    ]
    content = json.dumps({"instrumentation/development": {"python": {"authaudit": {"hooks": texts}}}})
    theirs = loader._parse_config_content(content, ".yaml", "otel.yaml")["instrumentation/development"]["python"]["authaudit"]
    assert file_options(written(tmp_path / "otel.yaml", content) | {"AUTHAUDIT_TEST": "v1"}) == (theirs, None)


def test_json_needs_no_yaml(tmp_path: Path) -> None:
    """Tabs, which YAML refuses, are fine in JSON."""
    content = '{\n\t"instrumentation/development": {"python": {"authaudit": {"fsync": "always"}}}\n}'
    assert load(written(tmp_path / "otel.json", content), raises=True).fsync is Fsync.ALWAYS


def test_what_yaml_makes_of_words(tmp_path: Path) -> None:
    """YAML reads a bare `off` as false, `no` too, and numbers as numbers."""
    lines = [
        "request_auth: off",
        "write_batching_enabled: no",
        "ipv4_truncation_mask: 16",
        "checkpoint_interval: [50, 10]",
        "hooks:",
    ]
    config = load(write(tmp_path, *lines), raises=True)
    assert (config.request_auth, config.write_batching_enabled, config.ipv4_truncation_mask) == (RequestAuth.OFF, False, 16)
    assert (config.checkpoint_records, config.checkpoint_seconds, config.hooks) == (50, 10.0, ())


def test_keys_that_are_no_text_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """YAML allows them; they must not cost the rest."""
    assert load(write(tmp_path, "1: 2", "zzz: 3", "log_lifetime: 30")).log_lifetime == 30
    assert "file key '1': there is no such option" in caplog.text


@pytest.mark.parametrize(
    ("written_as", "disabled"), [("'false'", True), ("no", True), ("${SWITCH}", True), ("true", False), ("", False)]
)
def test_enabled_in_every_spelling(tmp_path: Path, written_as: str, disabled: bool) -> None:
    """A switch that somebody turned off is off."""
    assert load(write(tmp_path, f"enabled: {written_as}") | {"SWITCH": "false"}, raises=True).sdk_disabled is disabled


def test_enabled_that_is_neither(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who cannot be understood is audited, and told."""
    assert not load(write(tmp_path, "enabled: perhaps")).sdk_disabled
    assert "file key 'enabled': 'perhaps' is not allowed; allowed: true or false; used instead: true" in caplog.text


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
    options.pop(DECLARED)
    assert load({}, file=options).ip_privacy_mode is IpPrivacy.EXCLUDE
    assert caplog.text.count("file key 'log_lifetme': there is no such option; did you mean log_lifetime?") == 1


def test_without_pyyaml_the_file_is_named(tmp_path: Path) -> None:
    """A file that names us and cannot be read is said to be so, with the command that mends it, and hides what it may want hidden."""
    code = (
        "import sys; sys.modules['yaml'] = None\n"
        "from opentelemetry_instrumentation_authaudit.config import load\n"
        "print(load().ip_privacy_mode.value)\n"
    )
    environ = {**os.environ, **write(tmp_path, "ip_privacy_mode: truncate")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "exclude\n"
    assert done.stderr.count("was not read: install PyYAML (pip install opentelemetry-configuration)") == 1
