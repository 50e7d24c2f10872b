"""What a configuration is once it has been read: closed sets as enums, everything in one frozen class."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

__all__ = ("Config", "Exporter", "Fsync", "IdentityPrivacy", "IpPrivacy", "OnFull", "RequestAuth")


class IpPrivacy(str, Enum):
    """How addresses are recorded."""

    NONE = "none"
    HASH = "hash"
    TRUNCATE = "truncate"
    EXCLUDE = "exclude"


class IdentityPrivacy(str, Enum):
    """How what was typed as an identity is recorded."""

    NONE = "none"
    HASH = "hash"
    DOMAIN = "domain"
    EXCLUDE = "exclude"


class RequestAuth(str, Enum):
    """Which checks of credentials that every request carries are recorded."""

    OFF = "off"
    FAILURES = "failures"
    ALL = "all"


class Fsync(str, Enum):
    """When the journal is forced to the disk: what survives a power cut (a killed process loses nothing either way)."""

    NEVER = "never"
    INTERVAL = "interval"
    ALWAYS = "always"


class OnFull(str, Enum):
    """What happens to a record when neither journal nor memory has a place for it."""

    DROP = "drop"
    BLOCK = "block"
    FAIL = "fail"


class Exporter(str, Enum):
    """Where records go besides the journal."""

    OTLP = "otlp"
    NONE = "none"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The options of one process. Field names are the options' names."""

    log_name: str
    include_fields: frozenset[str]
    include_strategies: frozenset[str]
    exclude_strategies: frozenset[str]
    include_actions: tuple[str, ...]
    exclude_actions: tuple[str, ...]
    include_events: tuple[str, ...]
    exclude_events: tuple[str, ...]
    instrumentors: frozenset[str] | None
    disabled_instrumentors: frozenset[str]
    hooks: tuple[str, ...]
    ip_privacy_mode: IpPrivacy
    ipv4_truncation_mask: int
    ipv6_truncation_mask: int
    identity_privacy_mode: IdentityPrivacy
    unknown_identity_mode: IdentityPrivacy
    hash_key: str | None = field(repr=False)
    hash_key_file: Path | None
    hash_compat: str | None
    tenant_claim: str | None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] | int
    request_auth: RequestAuth
    request_auth_dedup: float
    """Seconds; 0 is off."""
    journal_dir: Path
    """The folder of all services; this one's is `service_dir`."""
    fsync: Fsync
    log_lifetime: int | None
    """Days; None is infinity."""
    max_journal_bytes: int | None
    on_full: OnFull
    write_batching_enabled: bool
    write_batching_timeout: float
    """Seconds."""
    write_batching_max_size: int
    exporter: Exporter
    logger_provider: object | None
    strict: frozenset[str]
    signing_key_file: Path | None
    checkpoint_records: int
    checkpoint_seconds: float
    severity: bool
    otlp_protocol: str
    """`grpc`, `http/protobuf` or `http/json`."""
    service_name: str
    sdk_disabled: bool

    @property
    def service_folder(self) -> str:
        """The service's name as a file name; one that had to be changed ends with a digest, so that no two services share a folder."""
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", self.service_name)[:100].lstrip(".")
        if safe == self.service_name:
            return safe
        return f"{safe or 'service'}-{sha256(self.service_name.encode(errors='replace')).hexdigest()[:8]}"

    @property
    def service_dir(self) -> Path:
        """The folder of this service's journals."""
        return self.journal_dir / self.service_folder

    def watches(self, library: str) -> bool:
        """Whether the library of that name is to be watched."""
        return library not in self.disabled_instrumentors and (self.instrumentors is None or library in self.instrumentors)
