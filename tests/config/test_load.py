"""Reading the options: every one of them, from every source, and every mistake explained in one message."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.config import (
    OPTIONS,
    Config,
    ConfigError,
    Exporter,
    Fsync,
    IdentityPrivacy,
    IpPrivacy,
    OnFull,
    Option,
    RequestAuth,
    load,
    option,
    options_table,
)

GOOD: dict[str, tuple[str, Any]] = {
    "log_name": ("security", "security"),
    "include_fields": ("email, username", frozenset({"email", "username"})),
    "include_strategies": ("password,github", frozenset({"password", "github"})),
    "exclude_strategies": ("magic_link,oauth", frozenset({"magic_link", "oauth2", "oidc"})),
    "include_actions": ("sign_in_with_*,link_github", ("sign_in_with_*", "link_github")),
    "exclude_actions": ("sign_in_with_token", ("sign_in_with_token",)),
    "include_events": ("session.create,custom.*", ("session.create", "custom.*")),
    "exclude_events": ("password.rehash", ("password.rehash",)),
    "instrumentors": ("flask_login,django_auth", frozenset({"flask_login", "django_auth"})),
    "disabled_instrumentors": ("pyjwt", frozenset({"pyjwt"})),
    "hooks": ("app.auth:check -> sign_in password", ("app.auth:check -> sign_in password",)),
    "ip_privacy_mode": ("Truncate", IpPrivacy.TRUNCATE),
    "ipv4_truncation_mask": ("16", 16),
    "ipv6_truncation_mask": ("32", 32),
    "identity_privacy_mode": ("domain", IdentityPrivacy.DOMAIN),
    "unknown_identity_mode": ("exclude", IdentityPrivacy.EXCLUDE),
    "hash_key": ("k1:a secret of ours", "k1:a secret of ours"),
    "hash_key_file": ("/etc/authaudit/keys", Path("/etc/authaudit/keys")),
    "hash_compat": ("ash", "ash"),
    "tenant_claim": ("org_id", "org_id"),
    "trusted_proxies": ("10.0.0.0/8,fd00::/8", (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))),
    "request_auth": ("all", RequestAuth.ALL),
    "request_auth_dedup": ("0", 0.0),
    "journal_dir": ("/var/lib/app/audit", Path("/var/lib/app/audit")),
    "fsync": ("always", Fsync.ALWAYS),
    "log_lifetime": ("infinity", None),
    "max_journal_bytes": ("2G", 2 << 30),
    "on_full": ("block", OnFull.BLOCK),
    "write_batching_enabled": ("no", False),
    "write_batching_timeout": ("500ms", 0.5),
    "write_batching_max_size": ("50", 50),
    "exporter": ("console", Exporter.CONSOLE),
    "strict": ("auth.sign_in", frozenset({"auth.sign_in"})),
    "signing_key_file": ("/etc/authaudit/signing", Path("/etc/authaudit/signing")),
    "severity": ("false", False),
}
"""For each option something written, and what it means."""

BAD = {
    "ip_privacy_mode": "hsah",
    "ipv4_truncation_mask": "33",
    "ipv6_truncation_mask": "-1",
    "identity_privacy_mode": "clear",
    "unknown_identity_mode": "",
    "hash_key_file": "relative/path",
    "hash_compat": "elixir",
    "trusted_proxies": "10.0.0.0/99",
    "request_auth": "some",
    "request_auth_dedup": "soon",
    "journal_dir": "audit",
    "fsync": "sometimes",
    "log_lifetime": "0",
    "max_journal_bytes": "0",
    "on_full": "panic",
    "write_batching_enabled": "maybe",
    "write_batching_timeout": "-1",
    "write_batching_max_size": "0",
    "exporter": "kafka",
    "checkpoint_interval": "1000",
    "severity": "high",
}


def env(**options: str) -> dict[str, str]:
    """An environment that sets *options*."""
    return {option(name).variable: value for name, value in options.items()}


def test_every_option_has_an_example() -> None:
    """Nothing in the table is left untested."""
    assert set(GOOD) | {"checkpoint_interval"} == {row.name for row in OPTIONS}


@pytest.mark.parametrize("name", GOOD)
def test_option_from_the_environment(name: str) -> None:
    """What is written in the environment means what it says."""
    key = {"HASH_KEY": "x"} if name == "hash_compat" else {}
    environ = {**env(**{name: GOOD[name][0]}), **{f"OTEL_PYTHON_AUTHAUDIT_{k}": v for k, v in key.items()}}
    assert getattr(load(environ, raises=True), name) == GOOD[name][1]


@pytest.mark.parametrize("name", GOOD)
def test_option_as_a_keyword(name: str) -> None:
    """The same as a keyword argument, as text and as the Python value itself."""
    written, meant = GOOD[name]
    more: dict[str, Any] = {"hash_key": "x"} if name == "hash_compat" else {}
    assert getattr(load({}, raises=True, **more, **dict[str, Any]({name: written})), name) == meant
    if meant is not None:
        again = list(meant) if isinstance(meant, (frozenset, tuple)) else meant
        assert getattr(load({}, raises=True, **more, **dict[str, Any]({name: again})), name) == meant


def test_defaults() -> None:
    """Nothing set: the values of the table."""
    config = load({}, raises=True)
    assert (config.log_name, config.log_lifetime, config.ip_privacy_mode) == ("audit_log", 90, IpPrivacy.NONE)
    assert (config.identity_privacy_mode, config.unknown_identity_mode) == (IdentityPrivacy.HASH, IdentityPrivacy.HASH)
    assert (config.ipv4_truncation_mask, config.ipv6_truncation_mask) == (24, 48)
    assert (config.write_batching_enabled, config.write_batching_timeout, config.write_batching_max_size) == (True, 5.0, 512)
    assert (config.checkpoint_records, config.checkpoint_seconds, config.request_auth_dedup) == (1000, 300.0, 60.0)
    assert (config.exporter, config.instrumentors, config.trusted_proxies) == (Exporter.NONE, None, ())


def test_keyword_beats_file_beats_environment_beats_default() -> None:
    """The nearer word wins; None is no word."""
    environ = env(log_lifetime="1", fsync="never", request_auth="off")
    config = load(environ, raises=True, file={"log_lifetime": 2, "fsync": "always"}, log_lifetime=3, fsync=None)
    assert (config.log_lifetime, config.fsync, config.request_auth, config.on_full) == (
        3,
        Fsync.ALWAYS,
        RequestAuth.OFF,
        OnFull.DROP,
    )


def test_checkpoint_interval_is_records_and_seconds() -> None:
    """Whichever comes first."""
    config = load(env(checkpoint_interval="50,10s"), raises=True)
    assert (config.checkpoint_records, config.checkpoint_seconds) == (50, 10.0)


@pytest.mark.parametrize("name", [name for name, bad in BAD.items() if bad])
def test_bad_value_is_explained(name: str) -> None:
    """The message names the variable, the value, what is allowed and what is used instead."""
    with pytest.raises(ConfigError) as told:
        load(env(**{name: BAD[name]}), raises=True)
    message = str(told.value)
    assert option(name).variable in message
    assert (repr(BAD[name]) in message) is not option(name).secret
    assert "allowed:" in message
    assert "used instead:" in message


def test_all_faults_are_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Started by opentelemetry-instrument nothing raises: one ERROR with every fault, and the safest values."""
    environ = {**env(**BAD), "OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIM": "30"}
    config = load(environ)
    (record,) = [record for record in caplog.records if "configuration" in record.getMessage()]
    assert record.levelname == "ERROR"
    assert record.getMessage().count("\n  - ") == len([bad for bad in BAD.values() if bad]) + 1
    assert "did you mean OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME?" in record.getMessage()
    assert config.ip_privacy_mode is IpPrivacy.EXCLUDE
    assert config.identity_privacy_mode is IdentityPrivacy.EXCLUDE
    assert (config.ipv4_truncation_mask, config.ipv6_truncation_mask, config.log_lifetime) == (0, 0, 90)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"exclude_strategies": "pasword"}, "did you mean 'password'?"),
        ({"exclude_actions": "sing_in_with_password"}, "did you mean 'sign_in_with_password'?"),
        ({"exclude_events": "auth.signin"}, "did you mean 'auth.sign_in'?"),
        ({"strict": "sign_in"}, "did you mean 'auth.sign_in'?"),
        ({"instrumentors": "flask_logn"}, "did you mean 'flask_login'?"),
        ({"include_fields": "emial"}, "did you mean 'email'?"),
        ({"log_lifetim": "3"}, "did you mean log_lifetime?"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(given: dict[str, Any], says: str) -> None:
    """A typo in a list costs its own item and is explained."""
    with pytest.raises(ConfigError, match=says.replace("?", r"\?")):
        load({}, raises=True, libraries=frozenset({"flask_login", "django_auth"}), fields={"email": True}, **given)


def test_provider_that_is_no_strategy_is_accepted() -> None:
    """Providers are the users' own: only a word close to a strategy is taken for a typo."""
    assert load({}, raises=True, exclude_strategies="github,acme-sso").exclude_strategies == {"github", "acme-sso"}


def test_including_a_secret_is_warned_of_and_works(caplog: pytest.LogCaptureFixture) -> None:
    """Who asks for a token in clear gets it, and is told."""
    config = load({}, raises=True, include_fields=["reset_token", "email"])
    assert config.include_fields == {"reset_token", "email"}
    assert [record.levelname for record in caplog.records if "reset_token" in record.getMessage()] == ["WARNING"]


def test_compatible_hashes_need_a_key() -> None:
    """With the reference's public default salt every IPv4 address can be found in minutes."""
    with pytest.raises(ConfigError, match="hash_compat: ash needs hash_key"):
        load({}, raises=True, hash_compat="ash")


def test_secret_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Not in `repr`, not in a complaint."""
    config = load({}, hash_key="c4n4ry")
    assert "c4n4ry" not in repr(config)
    assert "c4n4ry" not in caplog.text


STANDARD: list[tuple[dict[str, str], str, Any]] = [
    ({"OTEL_SERVICE_NAME": "shop"}, "service_name", "shop"),
    ({"OTEL_RESOURCE_ATTRIBUTES": "a=b,service.name=my%20shop"}, "service_name", "my shop"),
    ({"OTEL_SERVICE_NAME": "../../etc"}, "service_folder", "_.._etc"),
    ({"OTEL_SERVICE_NAME": "..."}, "service_folder", "unknown_service"),
    ({"OTEL_SDK_DISABLED": "True"}, "sdk_disabled", True),
    ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask, authaudit"}, "sdk_disabled", True),
    ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}, "sdk_disabled", True),
    ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask,authaudit_pyjwt"}, "disabled_instrumentors", frozenset({"pyjwt"})),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317"}, "exporter", Exporter.OTLP),
    ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://localhost:4318/v1/logs"}, "exporter", Exporter.OTLP),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317", "OTEL_LOGS_EXPORTER": "none"}, "exporter", Exporter.NONE),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "otlp_protocol", "http/json"),
    (
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/protobuf"},
        "otlp_protocol",
        "http/protobuf",
    ),
    ({}, "otlp_protocol", "grpc"),
    ({"OTEL_BLRP_SCHEDULE_DELAY": "250"}, "write_batching_timeout", 0.25),
    ({"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "64"}, "write_batching_max_size", 64),
    ({"OTEL_BLRP_SCHEDULE_DELAY": "250", **env(write_batching_timeout="2")}, "write_batching_timeout", 2.0),
    ({"STATE_DIRECTORY": "/var/lib/shop:/var/lib/other"}, "journal_dir", Path("/var/lib/shop/authaudit/journal")),
]


@pytest.mark.parametrize(("environ", "name", "meant"), STANDARD)
def test_standard_variables_are_honoured(environ: dict[str, str], name: str, meant: Any) -> None:
    """What OpenTelemetry and systemd already say is heard."""
    assert getattr(load(environ, raises=True), name) == meant


def test_journal_is_never_in_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """That may be a repository or a web root."""
    monkeypatch.chdir(tmp_path)
    assert not load({}).journal_dir.is_relative_to(tmp_path)


def test_switched_libraries() -> None:
    """All but those disabled; or only those named."""
    config = load({}, disabled_instrumentors="pyjwt")
    assert (config.watches("flask_login"), config.watches("pyjwt")) == (True, False)
    config = load({}, instrumentors="flask_login")
    assert (config.watches("flask_login"), config.watches("pyjwt")) == (True, False)


def test_table_lists_every_option() -> None:
    """README's table is this one."""
    assert [line.split("`")[1] for line in options_table().splitlines()[2:]] == [row.name for row in OPTIONS]


STRICTER: dict[str, dict[Any, int]] = {
    "ip_privacy_mode": {IpPrivacy.NONE: 0, IpPrivacy.TRUNCATE: 1, IpPrivacy.HASH: 1, IpPrivacy.EXCLUDE: 2},
    "identity_privacy_mode": {
        IdentityPrivacy.NONE: 0,
        IdentityPrivacy.HASH: 1,
        IdentityPrivacy.DOMAIN: 1,
        IdentityPrivacy.EXCLUDE: 2,
    },
}


@given(row=st.sampled_from(OPTIONS), value=st.text(max_size=40))
def test_no_environment_stops_an_application(row: Option, value: str) -> None:
    """Whatever is in a variable: a configuration comes out, and a garbled privacy option is never the weaker for it."""
    config = load({row.variable: value})
    assert isinstance(config, Config)
    strictness = STRICTER.get(row.name)
    if strictness and value.strip().lower() not in {mode.value for mode in strictness} | {""}:
        assert strictness[getattr(config, row.name)] == 2
