"""Reading the options: every one of them, from every source, and every mistake explained in one message."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk._logs import LoggerProvider

from opentelemetry_instrumentation_authaudit.config import (
    OPTIONS,
    Config,
    ConfigError,
    Exporter,
    Fsync,
    IdentityPrivacy,
    InstrumentOptions,
    IpPrivacy,
    OnFull,
    Option,
    RequestAuth,
    load,
    option,
    options_table,
)
from opentelemetry_instrumentation_authaudit.model.catalog import EVENTS
from opentelemetry_instrumentation_authaudit.model.event import Strategy

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


DEFAULTS: dict[str, Any] = {
    "log_name": "audit_log",
    "include_fields": frozenset(),
    "include_strategies": frozenset(),
    "exclude_strategies": frozenset(),
    "include_actions": (),
    "exclude_actions": (),
    "include_events": (),
    "exclude_events": (),
    "instrumentors": None,
    "disabled_instrumentors": frozenset(),
    "hooks": (),
    "ip_privacy_mode": IpPrivacy.NONE,
    "ipv4_truncation_mask": 24,
    "ipv6_truncation_mask": 48,
    "identity_privacy_mode": IdentityPrivacy.HASH,
    "unknown_identity_mode": IdentityPrivacy.HASH,
    "hash_key": None,
    "hash_key_file": None,
    "hash_compat": None,
    "tenant_claim": None,
    "trusted_proxies": (),
    "request_auth": RequestAuth.FAILURES,
    "request_auth_dedup": 60.0,
    "fsync": Fsync.INTERVAL,
    "log_lifetime": 90,
    "max_journal_bytes": None,
    "on_full": OnFull.DROP,
    "write_batching_enabled": True,
    "write_batching_timeout": 5.0,
    "write_batching_max_size": 512,
    "exporter": Exporter.NONE,
    "logger_provider": None,
    "strict": frozenset(),
    "signing_key_file": None,
    "checkpoint_records": 1000,
    "checkpoint_seconds": 300.0,
    "severity": True,
    "otlp_protocol": "grpc",
    "service_name": "unknown_service",
    "sdk_disabled": False,
}
"""The whole configuration where nobody said anything, but for the folder."""


def test_defaults() -> None:
    """Nothing set, or everything set to an empty text, which OpenTelemetry counts as not set: the values of the table."""
    for environ in ({}, {row.variable: "" for row in OPTIONS}):
        config = load(environ, raises=True)
        assert {field.name: getattr(config, field.name) for field in fields(Config) if field.name != "journal_dir"} == DEFAULTS


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


@pytest.mark.parametrize("name", GOOD)
def test_every_option_obeys_the_precedence(name: str) -> None:
    """A value in the environment, the file or a keyword is heard, and a nearer one silences it, bad as the farther one may be."""
    written, meant = GOOD[name]
    more: dict[str, Any] = {"hash_key": "x"} if name == "hash_compat" else {}
    shouted = env(**{name: BAD.get(name) or "\0"})
    assert getattr(load(shouted, raises=True, file={name: written}, **more), name) == meant
    given: dict[str, Any] = {**more, name: written}
    assert getattr(load(shouted, raises=True, file={name: BAD.get(name) or "\0"}, **given), name) == meant


def test_empty_text_lets_the_next_speak_and_an_empty_list_does_not() -> None:
    """`ip_privacy_mode=os.environ.get("X", "")` must not undo what the operator set; `[]` is a word."""
    environ = env(ip_privacy_mode="exclude", exclude_strategies="password", write_batching_timeout="")
    config = load(environ | {"OTEL_BLRP_SCHEDULE_DELAY": "250"}, raises=True, ip_privacy_mode="", exclude_strategies="")
    assert (config.ip_privacy_mode, config.exclude_strategies) == (IpPrivacy.EXCLUDE, frozenset({"password"}))
    assert config.write_batching_timeout == 0.25
    assert load(environ, raises=True, exclude_strategies=[]).exclude_strategies == frozenset()


def test_checkpoint_interval_is_records_and_seconds() -> None:
    """Whichever comes first."""
    config = load(env(checkpoint_interval="50,10s"), raises=True)
    assert (config.checkpoint_records, config.checkpoint_seconds) == (50, 10.0)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("checkpoint_interval", "1000,0"),
        ("checkpoint_interval", "0,300"),
        ("journal_dir", "~nobody-of-that-name/audit"),
        ("journal_dir", "/var/\0"),
        ("include_events", [True]),
        ("hash_key", b"bytes"),
        ("hash_key", 83),
        ("hash_key", "\udcff\udcfe"),
        ("exclude_strategies", {"password": True}),
        ("exclude_strategies", True),
        ("exclude_actions", 5),
        ("include_fields", ["email", None]),
        ("log_name", ["audit_log"]),
        ("trusted_proxies", 99999),
        ("trusted_proxies", True),
        ("write_batching_timeout", float("nan")),
        ("write_batching_timeout", float("inf")),
        ("write_batching_max_size", True),
        ("ipv4_truncation_mask", 24.5),
        ("request_auth", True),
    ],
    ids=repr,
)
def test_value_of_the_wrong_kind_is_refused(name: str, given: Any) -> None:
    """What YAML or a programmer can write and an environment cannot; what would spin, crash or mean something else."""
    with pytest.raises(ConfigError, match=f"keyword '{name}': .* is not allowed; allowed: "):
        load({}, raises=True, **dict[str, Any]({name: given}))
    assert isinstance(load({}, **dict[str, Any]({name: given})), Config)


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("request_auth", False, RequestAuth.OFF),
        ("checkpoint_interval", (50, 10), None),
        ("log_lifetime", 10**9, None),
        ("log_lifetime", ":infinity", None),
        ("trusted_proxies", 2, 2),
        ("trusted_proxies", 0, ()),
        ("trusted_proxies", ["10.1.2.3/8"], (ip_network("10.0.0.0/8"),)),
        ("request_auth_dedup", 0.00001, 0.00001),
        ("max_journal_bytes", "500 MB", 500 << 20),
        ("exclude_strategies", {"OAuth", " Password "}, {"oauth2", "oidc", "password"}),
        ("exclude_strategies", "password,,password, ", {"password"}),
        ("journal_dir", "~/audit", Path("~/audit").expanduser()),
    ],
    ids=repr,
)
def test_other_ways_to_say_it(name: str, given: Any, meant: Any) -> None:
    """What somebody would try, and what it means."""
    config = load({}, raises=True, **dict[str, Any]({name: given}))
    if name == "checkpoint_interval":
        assert (config.checkpoint_records, config.checkpoint_seconds) == given
    else:
        assert getattr(config, name) == meant


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
        ({"exclude_actions": "sign_in_with_pasword"}, "did you mean 'sign_in_with_password'?"),
        ({"exclude_actions": "request_magic_lnk"}, "did you mean 'request_magic_link'?"),
        ({"exclude_actions": "request_confirmaton"}, "did you mean 'request_confirmation'?"),
        ({"exclude_actions": "sing_in_with_*"}, "did you mean 'sign_in_with_*'?"),
        ({"include_actions": "Sign_Out"}, "did you mean 'sign_out'?"),
        ({"exclude_events": "AUTH.SIGN_IN"}, "did you mean 'auth.sign_in'?"),
        ({"exclude_events": "zzz"}, "`authaudit schema` lists the events"),
        ({"exclude_events": "auth.signin"}, "did you mean 'auth.sign_in'?"),
        ({"strict": "sign_in"}, "did you mean 'auth.sign_in'?"),
        ({"instrumentors": "flask_logn"}, "did you mean 'flask_login'?"),
        ({"include_fields": "emial"}, "did you mean 'email'?"),
        ({"log_lifetim": "3"}, "did you mean log_lifetime?"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(given: dict[str, Any], says: str) -> None:
    """A typo in a list costs its own item and is explained."""
    with pytest.raises(ConfigError, match=re.escape(says)):
        load({}, raises=True, libraries=frozenset({"flask_login", "django_auth"}), fields={"email": True}, **given)


PROVIDERS = (
    "amazon apple auth0 authentik azure basecamp bitbucket_oauth2 clever discord dropbox facebook figma github gitlab google "
    "keycloak line linkedin_oauth2 microsoft okta openid openid_connect orcid paypal reddit salesforce shopify slack steam "
    "telegram twitch twitter_oauth2 vk workos yahoo yandex zoom acme-sso acme_saml corp_ldap"
)


@pytest.mark.parametrize("provider", PROVIDERS.split())
def test_provider_that_is_no_strategy_is_accepted(provider: str) -> None:
    """Providers are the users' own, alone and inside an action: only a word close to a strategy is taken for a typo."""
    assert load({}, raises=True, exclude_strategies=f"{provider},password").exclude_strategies == {provider, "password"}
    actions = tuple(f"{start}_{provider}" for start in ("sign_in_with", "register_with", "link", "unlink", "request", "callback"))
    assert load({}, raises=True, exclude_actions=list(actions)).exclude_actions == actions


def test_every_action_of_the_catalogue_can_be_named() -> None:
    """As it is printed, as its template, and with a wildcard."""
    templates = [action for spec in EVENTS.values() for action in spec.actions]
    printed = [template.format(s=word.value, p=word.value, f=word.value, name="x") for template in templates for word in Strategy]
    actions = tuple(dict.fromkeys([*(word for word in printed if word != "x"), *templates, "*", "link_git*", "custom.*"]))
    assert load({}, raises=True, exclude_actions=actions).exclude_actions == actions


def test_list_of_which_nothing_remains_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """An empty list to include means everything: that must not come as a surprise."""
    config = load({}, instrumentors="flask_logn", libraries=frozenset({"flask_login"}))
    assert config.instrumentors is None
    assert "keyword 'instrumentors': no name in it is known; used instead: all" in caplog.text


@pytest.mark.parametrize(
    "variable",
    [
        "OTEL_PYTHON_AUTHAUDIT_IP_PRIVACY_MOD",
        "OTEL_PYTHON_AUTHAUDIT_ip_privacy_mode",
        "OTEL_PYTHON_AUTH_AUDIT_IP_PRIVACY_MODE",
        "OTEL_AUTHAUDIT_IP_PRIVACY_MODE",
        "OTEL_PYTHON_INSTRUMENTATION_AUTHAUDIT_IP_PRIVACY_MODE",
    ],
)
def test_misspelt_privacy_option_hides(variable: str, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody meant to hide addresses: until the name is right they are left out, unless something else says what to do."""
    assert load({variable: "hash"}).ip_privacy_mode is IpPrivacy.EXCLUDE
    assert f"{variable}: there is no such option; did you mean OTEL_PYTHON_AUTHAUDIT_IP_PRIVACY_MODE?" in caplog.text
    assert "Until then ip_privacy_mode is exclude, if nothing else sets it" in caplog.text
    assert load({variable: "hash"}, ip_privacy_mode="truncate").ip_privacy_mode is IpPrivacy.TRUNCATE


def test_other_peoples_variables_are_not_ours() -> None:
    """Only what begins like ours was meant for us."""
    load({"OTEL_PYTHON_LOG_LEVEL": "x", "AUTHAUDIT": "x", "OTEL_AUDIT_LOG_NAME": "x", "MY_AUTHAUDIT_LOG_NAME": "x"}, raises=True)


def test_logger_provider_is_a_keyword_and_an_object() -> None:
    """A text would silently turn delivery off."""
    theirs = LoggerProvider()
    assert load({}, raises=True, logger_provider=theirs).logger_provider is theirs
    for more in ({"logger_provider": "theirs"}, {"file": {"logger_provider": "theirs"}}):
        with pytest.raises(ConfigError, match="logger_provider"):
            load({}, raises=True, **dict[str, Any](more))
    with pytest.raises(ConfigError, match="OTEL_PYTHON_AUTHAUDIT_LOGGER_PROVIDER: it can only be a keyword"):
        load({"OTEL_PYTHON_AUTHAUDIT_LOGGER_PROVIDER": "theirs"}, raises=True)
    assert load({}, logger_provider="theirs").logger_provider is None


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
    load({}, hash_key="c4n4ry\n", hash_key_file="c4n4ry", signing_key_file="c4n4ry", hash_keyy="c4n4ry")
    load({}, hash_key=["c4n4ry"])
    load(env(hash_key="c4n4ry\x07") | {"OTEL_PYTHON_AUTHAUDIT_HASH_KYE": "c4n4ry"})
    assert caplog.text.count("the value is not allowed") == 4
    assert caplog.text.count("did you mean") == 2
    assert "c4n4ry" not in caplog.text


def test_long_value_is_not_repeated_at_length() -> None:
    """A certificate pasted into the wrong variable does not fill the log."""
    with pytest.raises(ConfigError) as told:
        load(env(log_lifetime="x" * 5000), raises=True)
    assert len(str(told.value)) < 300


OTHERS = (
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_CONFIG_FILE",
    "STATE_DIRECTORY",
)
STANDARD: list[tuple[dict[str, str], str, Any]] = [
    ({"OTEL_SERVICE_NAME": "shop"}, "service_name", "shop"),
    ({"OTEL_RESOURCE_ATTRIBUTES": "a=b,service.name=my%20shop"}, "service_name", "my shop"),
    ({"OTEL_SERVICE_NAME": "../../etc"}, "service_folder", "_.._etc-74ccf3c5"),
    ({"OTEL_SERVICE_NAME": "shop"}, "service_folder", "shop"),
    ({"OTEL_SERVICE_NAME": "..."}, "service_folder", "service-ab5df625"),
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
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, "exporter", Exporter.NONE),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http"}, "otlp_protocol", "grpc"),
    ({"OTEL_SDK_DISABLED": "1"}, "sdk_disabled", False),
    ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask"}, "sdk_disabled", False),
    ({"STATE_DIRECTORY": "/var/lib/shop:/var/lib/other"}, "journal_dir", Path("/var/lib/shop/authaudit/journal")),
]


@pytest.mark.parametrize(("environ", "name", "meant"), STANDARD)
def test_standard_variables_are_honoured(environ: dict[str, str], name: str, meant: Any) -> None:
    """What OpenTelemetry and systemd already say is heard."""
    assert getattr(load(environ, raises=True), name) == meant


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        (
            {"OTEL_BLRP_SCHEDULE_DELAY": "5s"},
            "OTEL_BLRP_SCHEDULE_DELAY: '5s' is not allowed; allowed: a whole number of milliseconds",
        ),
        (
            {"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "0"},
            "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE: '0' is not allowed; allowed: a whole number of records",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: 'http' is not allowed; allowed: grpc, http/protobuf, http/json; used instead: grpc",
        ),
        (
            {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "authaudit_flask_logn"},
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: authaudit_flask_logn: 'flask_logn' is not one of the libraries; did you mean 'flask_login'",
        ),
    ],
)
def test_faults_of_standard_variables_bear_their_own_names(environ: dict[str, str], says: str) -> None:
    """Who set the SDK's variable looks for that one; one that is not used is not complained of."""
    with pytest.raises(ConfigError) as told:
        load(environ, raises=True, libraries=frozenset({"flask_login"}))
    assert says in str(told.value)


@pytest.mark.parametrize("home", ["relative", "", ".", "~"])
@pytest.mark.parametrize(
    "state", [{}, {"STATE_DIRECTORY": "relative"}, {"STATE_DIRECTORY": ""}, {"STATE_DIRECTORY": "."}], ids=repr
)
def test_journal_is_never_in_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str, state: dict[str, str]
) -> None:
    """That may be a repository or a web root; a process without a home of its own does not make one there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("XDG_STATE_HOME", home)
    found = load(state, raises=True).journal_dir
    assert found.is_absolute()
    assert not found.is_relative_to(tmp_path)
    assert found == load({}).journal_dir


def test_process_without_a_home_has_the_systems_folder(tmp_path: Path) -> None:
    """A container under a uid that no user has: no exception, and no folder called `~` in the working directory."""
    code = (
        "import pwd; pwd.getpwuid = {}.__getitem__\n"  # a list of users without this one
        "from opentelemetry_instrumentation_authaudit.config import load\n"
        "print(load({}, journal_dir='~/audit').journal_dir)\n"
    )
    environ = {key: value for key, value in os.environ.items() if key not in {"HOME", "XDG_STATE_HOME", "OTEL_CONFIG_FILE"}}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "/var/lib/authaudit/journal\n"
    assert "keyword 'journal_dir': '~/audit' is not allowed; allowed: an absolute path; used instead: the default" in done.stderr


def test_switched_libraries() -> None:
    """All but those disabled; or only those named."""
    config = load({}, disabled_instrumentors="pyjwt")
    assert (config.watches("flask_login"), config.watches("pyjwt")) == (True, False)
    config = load({}, instrumentors="flask_login")
    assert (config.watches("flask_login"), config.watches("pyjwt")) == (True, False)


def test_table_lists_every_option() -> None:
    """README's table is this one."""
    assert [line.split("`")[1] for line in options_table().splitlines()[2:]] == [row.name for row in OPTIONS]


def test_keyword_arguments_are_the_options() -> None:
    """What editors complete and mypy checks is the table, and the one object."""
    assert set(InstrumentOptions.__annotations__) == {row.name for row in OPTIONS} | {"logger_provider"}


STRICTNESS: dict[str, Callable[[Any], int]] = {
    "ip_privacy_mode": [IpPrivacy.NONE, IpPrivacy.TRUNCATE, IpPrivacy.HASH, IpPrivacy.EXCLUDE].index,
    "identity_privacy_mode": [IdentityPrivacy.NONE, IdentityPrivacy.HASH, IdentityPrivacy.DOMAIN, IdentityPrivacy.EXCLUDE].index,
    "unknown_identity_mode": [IdentityPrivacy.NONE, IdentityPrivacy.HASH, IdentityPrivacy.DOMAIN, IdentityPrivacy.EXCLUDE].index,
    "ipv4_truncation_mask": lambda bits: -int(bits),
    "ipv6_truncation_mask": lambda bits: -int(bits),
    "include_fields": lambda fields: -len(fields),
    "trusted_proxies": lambda proxies: 0 if proxies == () else -1,
}
"""How much of what was recorded a value of a privacy option hides: more is stricter."""

WORDS = st.one_of(
    st.sampled_from([written for written, _ in GOOD.values()]), st.text(st.characters(), max_size=30), st.text(max_size=5)
)
THINGS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(inner.filter(lambda key: key.__hash__ is not None), inner, max_size=2)
    ),
    max_leaves=4,
)
NAMES = (
    st.sampled_from([row.name for row in OPTIONS])
    | st.sampled_from(["enabled", "logger_provider", "ip_mode"])
    | st.text(max_size=9)
)


def understood(row: Option, value: Any) -> bool:
    """Whether the option can be so."""
    try:
        row.convert(value)
    except ValueError:
        return False
    return True


@given(row=st.sampled_from(OPTIONS), value=WORDS)
def test_no_environment_stops_an_application(row: Option, value: str) -> None:
    """Whatever is in a variable: a configuration comes out, and a garbled privacy option never hides less than the default."""
    config = load({row.variable: value}, fields={"email": True, "username": True})
    strictness = STRICTNESS.get(row.name)
    if strictness and not understood(row, value):
        assert strictness(getattr(config, row.name)) >= strictness(DEFAULTS[row.name])
        if value and row.strictest:
            assert getattr(config, row.name) == row.convert(row.strictest)


@given(environ=st.dictionaries(st.sampled_from([*(row.variable for row in OPTIONS), *OTHERS]), WORDS, max_size=4))
def test_no_combination_of_variables_stops_an_application(environ: dict[str, str]) -> None:
    """Also those of OpenTelemetry and systemd; the folder stays outside of the working directory and below the journals' root."""
    config = load(environ, libraries=frozenset({"flask_login"}))
    assert config.journal_dir.is_absolute()
    assert config.service_dir.parent == config.journal_dir
    assert config.service_folder.isascii()


@given(options=st.dictionaries(NAMES, THINGS, max_size=3))
def test_no_file_stops_an_application(options: dict[str, Any]) -> None:
    """Whatever YAML can hold; and whoever asks for exceptions gets this one only."""
    assert isinstance(load({}, file=options), Config)
    with contextlib.suppress(ConfigError):
        load({}, file=options, raises=True)
