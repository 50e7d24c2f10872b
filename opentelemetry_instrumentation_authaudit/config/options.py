"""The table of options. From it come loading, keyword arguments, the declarative file, README's table and `authaudit init`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final, TypedDict

from . import converters as to
from .values import Exporter, Fsync, IdentityPrivacy, IpPrivacy, OnFull, RequestAuth

__all__ = ("OPTIONS", "PREFIX", "InstrumentOptions", "Option", "option", "options_table")

PREFIX: Final = "OTEL_PYTHON_AUTHAUDIT_"
_LIST: Final = "comma-separated"
_Path = str | PurePath
_Names = str | list[str] | tuple[str, ...] | set[str] | frozenset[str]


@dataclass(frozen=True, slots=True)
class Option:
    """One option. *default* is written as in the environment; an empty one means that nothing is set."""

    name: str
    default: str
    values: str
    meaning: str
    convert: Callable[[Any], Any]
    strictest: str | None = None
    """Of a privacy option: what a bad value becomes. Others become their default."""
    secret: bool = False
    """A complaint must not show the value: it is a secret, or one that was written into the wrong option."""
    vocabulary: str | None = None
    """What the names in it are checked against: strategies, actions, events, fields or libraries."""

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"{PREFIX}{self.name.upper()}"

    @property
    def listed(self) -> bool:
        """Whether it is a list, which may be empty."""
        return self.values == _LIST

    def meaning_of(self, written: str) -> Any:
        """The value of *written*, which is the default or the strictest: None, or an empty list, if that is empty."""
        return self.convert(written) if written or self.listed else None


def _auto(value: Any) -> Exporter | None:
    """`auto` is None here: what it means is decided when the environment is known."""
    if str(getattr(value, "value", value)).strip().lower() == "auto":
        return None
    try:
        return to.choice(Exporter)(value)
    except ValueError:
        raise ValueError("auto, otlp, none, console") from None


def _ash(value: Any) -> str:
    if to.text(value).lower() != "ash":
        raise ValueError("ash")
    return "ash"


_MODES, _IDENTITIES = "none, hash, truncate, exclude", "none, hash, domain, exclude"
OPTIONS: Final[tuple[Option, ...]] = (
    Option("log_name", "audit_log", "text", "Name of this audit log, written to `audit.log`.", to.text),
    Option("include_fields", "", _LIST, "Sensitive fields to record in clear all the same, e.g. `email,username`.", to.names, "", vocabulary="fields"),
    Option("include_strategies", "", _LIST, "Record only these strategies or providers; `oauth` is oauth2 and oidc.", to.strategies, vocabulary="strategies"),
    Option("exclude_strategies", "", _LIST, "Never record these, e.g. `magic_link,github`; exclude beats include.", to.strategies, vocabulary="strategies"),
    Option("include_actions", "", _LIST, "Record only these actions, e.g. `sign_in_with_*`.", to.patterns, vocabulary="actions"),
    Option("exclude_actions", "", _LIST, "Never record these, e.g. `sign_in_with_token`.", to.patterns, vocabulary="actions"),
    Option("include_events", "", _LIST, "Record these events in full, also where they are off by default.", to.patterns, vocabulary="events"),
    Option("exclude_events", "", _LIST, "Never record these events.", to.patterns, vocabulary="events"),
    Option("instrumentors", "", _LIST, "Watch only these libraries (all, if empty).", to.names, vocabulary="libraries"),
    Option("disabled_instrumentors", "", _LIST, "Do not watch these libraries.", to.names, vocabulary="libraries"),
    Option("hooks", "", _LIST, "Own functions to watch: `myapp.auth:check_login -> sign_in password`.", to.patterns),
    Option("ip_privacy_mode", "none", _MODES, "How every address in a record is written.", to.choice(IpPrivacy), "exclude"),
    Option("ipv4_truncation_mask", "24", "0-32", "Bits kept of an IPv4 address by `truncate`.", to.integer(0, 32), "0"),
    Option("ipv6_truncation_mask", "48", "0-128", "Bits kept of an IPv6 address by `truncate`.", to.integer(0, 128), "0"),
    Option("identity_privacy_mode", "hash", _IDENTITIES, "How what was typed as the identity is written.", to.choice(IdentityPrivacy), "exclude"),
    Option("unknown_identity_mode", "hash", _IDENTITIES, "The same, where no account matched it: often a password in the wrong box.", to.choice(IdentityPrivacy), "exclude"),
    Option("hash_key", "", "`key` or `id:key`", "Key of all hashes; without one, one is generated for this host.", to.text, secret=True),
    Option("hash_key_file", "", "path", "File of such keys, one a line: the first is used, the others verify.", to.path, secret=True),
    Option("hash_compat", "", "ash", "Write address hashes as AshAuthentication does; needs a key.", _ash),
    Option("tenant_claim", "", "text", "Claim of a token that holds the tenant.", to.text),
    Option("trusted_proxies", "none", "none, hops, or CIDRs", "Proxies whose forwarding headers are believed.", to.proxies),
    Option("request_auth", "failures", "off, failures, all", "Which checks of credentials that requests carry are recorded.", to.choice(RequestAuth)),
    Option("request_auth_dedup", "60", "seconds, 0 = off", "Window in which the same failed check is told once, then counted.", to.duration),
    Option("journal_dir", "", "path", "Folder of the journals (the service's state directory, if empty).", to.path),
    Option("fsync", "interval", "never, interval, always", "When the journal is forced to the disk; `interval` is once a second.", to.choice(Fsync)),
    Option("log_lifetime", "90", "days, or infinity", "How long records are kept.", to.days),
    Option("max_journal_bytes", "unlimited", "bytes, or unlimited", "Size that the journals of the service may not exceed.", to.byte_count),
    Option("on_full", "drop", "drop, block, fail", "What happens to a record for which there is no place.", to.choice(OnFull)),
    Option("write_batching_enabled", "true", "true, false", "Send records in batches; else each at once.", to.boolean),
    Option("write_batching_timeout", "5", "seconds", "Longest wait before a batch is sent.", to.duration),
    Option("write_batching_max_size", "512", "records", "Most records in one request.", to.integer(1)),
    Option("exporter", "auto", "auto, otlp, none, console", "`auto` sends by OTLP where an endpoint is configured.", _auto),
    Option("strict", "", _LIST, "Events that must be recorded or refused, e.g. `auth.sign_in`.", to.names, vocabulary="events"),
    Option("signing_key_file", "", "path", "Key file that signs the checkpoints of the chain.", to.path, secret=True),
    Option("checkpoint_interval", "1000,300", "records,seconds", "How often the chain is checkpointed.", to.checkpoint),
    Option("severity", "true", "true, false", "Write OpenTelemetry's SeverityNumber.", to.boolean),
)  # fmt: skip
"""Every option but `logger_provider`, which is a keyword only: it is an object."""

_BY_NAME: Final = {row.name: row for row in OPTIONS}


def option(name: str) -> Option:
    """The option of that name; KeyError if there is none."""
    return _BY_NAME[name]


def options_table() -> str:
    """The table as Markdown."""
    lines = ["| option | default | values | meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{row.name}` | {f'`{row.default}`' if row.default else '–'} | {row.values} | {row.meaning} |" for row in OPTIONS
    ]
    return "\n".join(lines)


class InstrumentOptions(TypedDict, total=False):
    """The keyword arguments of `AuthAuditInstrumentor().instrument()`: the options, as text or as the obvious Python value."""

    log_name: str
    include_fields: _Names
    include_strategies: _Names
    exclude_strategies: _Names
    include_actions: _Names
    exclude_actions: _Names
    include_events: _Names
    exclude_events: _Names
    instrumentors: _Names
    disabled_instrumentors: _Names
    hooks: _Names
    ip_privacy_mode: str
    ipv4_truncation_mask: int
    ipv6_truncation_mask: int
    identity_privacy_mode: str
    unknown_identity_mode: str
    hash_key: str
    hash_key_file: _Path
    hash_compat: str
    tenant_claim: str
    trusted_proxies: str | int | list[str]
    request_auth: str
    request_auth_dedup: str | float
    journal_dir: _Path
    fsync: str
    log_lifetime: str | int
    max_journal_bytes: str | int
    on_full: str
    write_batching_enabled: bool
    write_batching_timeout: str | float
    write_batching_max_size: int
    exporter: str
    logger_provider: Any
    strict: _Names
    signing_key_file: _Path
    checkpoint_interval: str | tuple[int, float]
    severity: bool
