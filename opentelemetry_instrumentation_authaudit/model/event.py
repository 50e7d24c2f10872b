"""What happened, as raw facts: nothing here is redacted yet, and nothing here knows the OpenTelemetry SDK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

__all__ = (
    "Actor",
    "AuditEvent",
    "Param",
    "Reason",
    "RecordingRefused",
    "Request",
    "Sink",
    "Status",
    "Strategy",
)


class Status(str, Enum):
    """How an event ended. UNKNOWN is for outcomes nobody can know, e.g. a reset mail to an address that may not exist."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class Strategy(str, Enum):
    """The mechanism by which an identity was proved: a closed list. The instance of it (`github`) is the provider."""

    PASSWORD = "password"  # noqa: S105 -- the name of a mechanism, not a password
    BASIC = "basic"
    DIGEST = "digest"
    SESSION = "session"
    REMEMBER_ME = "remember_me"
    TOKEN = "token"  # noqa: S105 -- the name of a mechanism
    API_KEY = "api_key"
    MAGIC_LINK = "magic_link"
    OTP = "otp"
    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"
    WEBAUTHN = "webauthn"
    OAUTH2 = "oauth2"
    OIDC = "oidc"
    SAML = "saml"
    LDAP = "ldap"
    KERBEROS = "kerberos"
    RADIUS = "radius"
    MTLS = "mtls"
    ANONYMOUS = "anonymous"
    IMPERSONATION = "impersonation"
    CUSTOM = "custom"
    UNKNOWN = "unknown"

    @property
    def carrier(self) -> bool:
        """True for what carries a session rather than proves an identity; a carrier never overwrites a mechanism."""
        return self in _CARRIERS


_CARRIERS = frozenset({Strategy.SESSION, Strategy.TOKEN, Strategy.UNKNOWN})


class Reason(str, Enum):
    """Why an event did not succeed: a closed list. A library's own code goes to `error_type`, never here."""

    INVALID_CREDENTIALS = "invalid_credentials"
    UNKNOWN_IDENTITY = "unknown_identity"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105
    REJECTED_AFTER_VERIFICATION = "rejected_after_verification"
    INACTIVE_ACCOUNT = "inactive_account"
    LOCKED_ACCOUNT = "locked_account"
    UNVERIFIED_ACCOUNT = "unverified_account"
    EXPIRED_PASSWORD = "expired_password"  # noqa: S105
    MFA_REQUIRED = "mfa_required"
    MFA_INVALID = "mfa_invalid"
    CODE_EXPIRED = "code_expired"
    CODE_REUSED = "code_reused"
    TOKEN_MISSING = "token_missing"  # noqa: S105
    TOKEN_MALFORMED = "token_malformed"  # noqa: S105
    TOKEN_BAD_SIGNATURE = "token_bad_signature"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    TOKEN_REUSED = "token_reused"  # noqa: S105
    TOKEN_WRONG_AUDIENCE = "token_wrong_audience"  # noqa: S105
    TOKEN_WRONG_ISSUER = "token_wrong_issuer"  # noqa: S105
    TOKEN_WRONG_TYPE = "token_wrong_type"  # noqa: S105
    INSUFFICIENT_SCOPE = "insufficient_scope"
    PERMISSION_DENIED = "permission_denied"
    POLICY_DENIED = "policy_denied"
    SESSION_MISSING = "session_missing"
    SESSION_EXPIRED = "session_expired"
    SESSION_INVALID = "session_invalid"
    CSRF_FAILED = "csrf_failed"
    STATE_MISMATCH = "state_mismatch"
    NONCE_MISMATCH = "nonce_mismatch"
    PKCE_FAILED = "pkce_failed"
    INVALID_CODE = "invalid_code"
    REDIRECT_MISMATCH = "redirect_mismatch"
    PROVIDER_ERROR = "provider_error"
    PROVIDER_DENIED = "provider_denied"
    IDENTITY_IN_USE = "identity_in_use"
    ACCOUNT_EXISTS = "account_exists"
    WEAK_PASSWORD = "weak_password"  # noqa: S105
    PASSWORD_MISMATCH = "password_mismatch"  # noqa: S105
    INVALID_INPUT = "invalid_input"
    RATE_LIMITED = "rate_limited"
    SEND_FAILED = "send_failed"
    BACKEND_ERROR = "backend_error"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class RecordingRefused(Exception):  # noqa: N818 -- reads as what happened, where the application's own log shows it
    """An event of a class named in the `strict` option cannot be recorded, so the sign-in must not happen."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, where that is not the subject: `type` is `user`, `service` or `system`."""

    id: str = field(repr=False)
    type: str = "user"


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of the call as the library names it. A sensitive one is recorded only when `include_fields` names it."""

    value: Any = field(repr=False)
    sensitive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The inbound request as the framework saw it, unparsed: addresses and headers are the client's to forge. Its `repr` shows
    nothing of theirs."""

    flow_id: str
    """Joins the records of one request (32 hex digits, random)."""
    peer: str | None = field(default=None, repr=False)
    """Address of the socket's peer."""
    peer_port: int | None = field(default=None, repr=False)
    forwarded: tuple[str, ...] = field(default=(), repr=False)
    """Every `Forwarded` header line, in order (RFC 7239)."""
    x_forwarded_for: tuple[str, ...] = field(default=(), repr=False)
    """Every `X-Forwarded-For` header line, in order."""
    x_real_ip: tuple[str, ...] = field(default=(), repr=False)
    user_agent: str | None = field(default=None, repr=False)
    method: str | None = None
    host: str | None = field(default=None, repr=False)
    route: str | None = None
    """The framework's route template (`/reset/<uidb64>/<token>/`)."""
    path: str | None = field(default=None, repr=False)
    """The path without its query; recorded only where there is no route template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One thing that happened to an identity: raw facts, on their way from a hook to the pipeline.

    Tracebacks and error trackers show the `repr` of variables, so it tells nothing about anybody.
    """

    event: str
    """Name in the catalogue, without the outcome: `auth.sign_in`."""
    status: Status
    time: int
    """Nanoseconds since the epoch: the end of the attempt."""
    library: str
    """Library and version that observed it: `flask-login 0.6.3`."""
    action: str | None = field(default=None, repr=False)
    """Overrides the action that the catalogue derives from event, strategy and provider."""
    strategy: Strategy = Strategy.UNKNOWN
    provider: str | None = field(default=None, repr=False)
    reason: Reason | None = None
    error_type: str | None = field(default=None, repr=False)
    inferred: bool = False
    subject: str | None = field(default=None, repr=False)
    identity: str | None = field(default=None, repr=False)
    identity_known: bool | None = None
    """Whether an account matched the identity; None where nobody knows."""
    actor: Actor | None = None
    tenant: str | None = field(default=None, repr=False)
    resource: str | None = field(default=None, repr=False)
    token_id: str | None = field(default=None, repr=False)
    session_key: str | None = field(default=None, repr=False)
    attempts: int = 1
    repeats: int = 0
    params: Mapping[str, Param] = field(default_factory=dict, repr=False)
    request: Request | None = None
    trace_id: int = 0
    span_id: int = 0


class Sink(Protocol):
    """The one way from listening (`hooks`) to telling (`pipeline`)."""

    def begin(self) -> None:
        """A first request was seen: the process is being audited. Cheap when called again."""

    def wants(self, event: str, status: Status) -> bool:
        """Whether any such event may be recorded; where not, nobody needs to put it together. Cheap."""

    def admit(self, event: str) -> None:
        """Asked before a call that makes a session; raises `RecordingRefused` where `strict` forbids going on."""

    def __call__(self, event: AuditEvent) -> str | None:
        """Record *event*; returns its record id once it is appended, None if filtered or lost. Never raises."""
