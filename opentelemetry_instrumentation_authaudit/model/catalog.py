"""The catalogue of events: what each is called, which action it prints, what it folds with, when it is recorded.

Data only. Tables shown to users (README, `authaudit schema`) are printed from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from .event import AuditEvent, Status, Strategy

__all__ = ("EVENTS", "Default", "EventSpec", "Family", "Severity", "action_of", "lookup", "matches", "severity_of")


class Family(str, Enum):
    """Events that are the same thing seen from different heights; inside one family an inner one folds into the outer."""

    SIGN_IN = "sign_in"
    REQUEST_AUTH = "request_auth"
    TOKEN = "token"  # noqa: S105 -- a family, not a secret
    SIGN_OUT = "sign_out"
    SESSION = "session"
    PASSWORD = "password"  # noqa: S105
    PASSWORD_REQUEST = "password_request"  # noqa: S105
    REGISTER = "register"
    EMAIL_VERIFY = "email_verify"
    EMAIL_VERIFY_REQUEST = "email_verify_request"
    LINK_REQUEST = "link_request"
    MFA_MANAGE = "mfa_manage"
    API_KEY = "api_key"
    LINK = "link"
    OAUTH = "oauth"
    IMPERSONATE = "impersonate"
    LOCK = "lock"
    ACCOUNT = "account"
    CONSENT = "consent"
    AUTHZ = "authz"
    ALERT = "alert"
    AUDIT = "audit"
    CUSTOM = "custom"


class Default(str, Enum):
    """What is recorded of an event unless options say otherwise."""

    ALL = "all"
    FAILURES = "failures"
    OFF = "off"


class Severity(int, Enum):
    """OpenTelemetry SeverityNumber (logs data model, "Severity Fields")."""

    INFO = 9
    WARN = 13
    ERROR = 17


@dataclass(frozen=True, slots=True)
class EventSpec:
    """A row of the catalogue. In `actions` (the first is the default) `{s}` is the strategy, `{p}` the provider, `{f}` the factor."""

    idx: int
    name: str
    actions: tuple[str, ...]
    family: Family
    default: Default
    summary: str
    severity: Severity = Severity.INFO
    """Of a success; a failure is at least WARN."""


_Y, _F, _N = Default.ALL, Default.FAILURES, Default.OFF
_F_ = Family
_WARN, _ERROR = Severity.WARN, Severity.ERROR

_ROWS: Final = (
    EventSpec(1, "auth.sign_in", ("sign_in_with_{s}", "sign_in"), _F_.SIGN_IN, _Y, "A session or token was established, or refused"),
    EventSpec(2, "auth.sign_out", ("sign_out", "log_out_everywhere"), _F_.SIGN_OUT, _Y, "A session was ended by its user"),
    EventSpec(3, "auth.register", ("register_with_{s}", "register"), _F_.REGISTER, _Y, "An account was created"),
    EventSpec(4, "auth.verify", ("verify_with_{s}",), _F_.REQUEST_AUTH, _F, "Credentials carried by a request were checked"),
    EventSpec(5, "auth.challenge", ("challenge_{s}",), _F_.SIGN_IN, _N, "A further proof was asked for"),
    EventSpec(6, "auth.reauthenticate", ("reauthenticate_with_{s}",), _F_.SIGN_IN, _Y, "A signed-in user proved identity again"),
    EventSpec(7, "auth.authenticate", ("authenticate_with_{s}",), _F_.SIGN_IN, _Y, "Credentials were right and no session followed, or were checked outside a request"),
    EventSpec(10, "mfa.verify", ("verify_with_{s}",), _F_.SIGN_IN, _Y, "A second factor was checked"),
    EventSpec(11, "mfa.enroll", ("setup_with_{f}", "confirm_setup_with_{f}", "store_webauthn_credential"), _F_.MFA_MANAGE, _Y, "A factor was added"),
    EventSpec(12, "mfa.remove", ("remove_{f}", "delete_webauthn_credential"), _F_.MFA_MANAGE, _Y, "A factor was removed"),
    EventSpec(13, "mfa.recovery_codes.generate", ("generate_recovery_codes",), _F_.MFA_MANAGE, _Y, "Recovery codes were made"),
    EventSpec(14, "mfa.recovery_code.use", ("verify_with_recovery_code",), _F_.SIGN_IN, _Y, "A recovery code was checked"),
    EventSpec(15, "mfa.code.send", ("request_{f}",), _F_.MFA_MANAGE, _Y, "A one-time code was sent"),
    EventSpec(20, "password.change", ("change_password",), _F_.PASSWORD, _Y, "A user changed the password"),
    EventSpec(21, "password.reset_request", ("request_password_reset_with_password",), _F_.PASSWORD_REQUEST, _Y, "A password reset was asked for"),
    EventSpec(22, "password.reset", ("password_reset_with_password",), _F_.PASSWORD, _Y, "A password was reset by a link or code"),
    EventSpec(23, "password.set", ("set_password",), _F_.PASSWORD, _Y, "An administrator set a password", _WARN),
    EventSpec(24, "password.rehash", ("upgrade_password_hash",), _F_.PASSWORD, _N, "A stored hash was upgraded"),
    EventSpec(30, "auth.magic_link.request", ("request_magic_link", "request_otp"), _F_.LINK_REQUEST, _Y, "A sign-in link or code was asked for"),
    EventSpec(31, "account.verify_request", ("request_confirmation",), _F_.EMAIL_VERIFY_REQUEST, _Y, "A confirmation mail was asked for"),
    EventSpec(32, "account.verify", ("confirm",), _F_.EMAIL_VERIFY, _Y, "An address was confirmed"),
    EventSpec(33, "account.identity.change", ("change_email", "change_username", "change_phone"), _F_.ACCOUNT, _Y, "An e-mail, user name or phone changed"),
    EventSpec(34, "account.link", ("link_{p}",), _F_.LINK, _Y, "An external identity was linked"),
    EventSpec(35, "account.unlink", ("unlink_{p}",), _F_.LINK, _Y, "An external identity was unlinked"),
    EventSpec(40, "oauth.authorize", ("request_{p}",), _F_.OAUTH, _N, "A browser was sent to a provider"),
    EventSpec(41, "oauth.callback", ("callback_{p}",), _F_.OAUTH, _F, "A provider sent a browser back"),
    EventSpec(42, "token.issue", ("issue_token", "sign_in_with_token"), _F_.SIGN_IN, _Y, "A token was handed out"),
    EventSpec(43, "token.refresh", ("refresh_token",), _F_.TOKEN, _F, "A token was exchanged for a newer one"),
    EventSpec(44, "token.revoke", ("revoke_token",), _F_.SIGN_OUT, _Y, "A token was revoked"),
    EventSpec(45, "token.reuse", ("reuse_token",), _F_.TOKEN, _Y, "A token was used that had been used up", _WARN),
    EventSpec(46, "token.delete", ("delete_token",), _F_.SIGN_OUT, _Y, "A stored token was deleted"),
    EventSpec(50, "api_key.create", ("create_api_key",), _F_.API_KEY, _Y, "An API key was created"),
    EventSpec(53, "api_key.revoke", ("revoke_api_key",), _F_.API_KEY, _Y, "An API key was revoked"),
    EventSpec(51, "api_key.verify", ("sign_in_with_api_key",), _F_.REQUEST_AUTH, _F, "An API key carried by a request was checked"),
    EventSpec(52, "oauth.client.register", ("register_client",), _F_.OAUTH, _Y, "An OAuth client registered itself"),
    EventSpec(60, "session.create", ("create_session",), _F_.SESSION, _N, "A session was created"),
    EventSpec(61, "session.renew", ("sign_in_with_{s}", "renew_session"), _F_.SESSION, _Y, "A session was renewed, e.g. from a remember-me cookie"),
    EventSpec(62, "session.expire", ("expire_session",), _F_.SESSION, _N, "A session expired"),
    EventSpec(63, "session.revoke", ("revoke_session", "revoke_sessions"), _F_.SESSION, _Y, "A session was ended by somebody else"),
    EventSpec(64, "session.reject", ("reject_session",), _F_.REQUEST_AUTH, _F, "A session cookie was refused"),
    EventSpec(70, "account.lock", ("lock",), _F_.LOCK, _Y, "An account was locked", _WARN),
    EventSpec(75, "account.unlock", ("unlock",), _F_.LOCK, _Y, "An account was unlocked"),
    EventSpec(71, "account.disable", ("disable",), _F_.ACCOUNT, _Y, "An account was disabled"),
    EventSpec(76, "account.enable", ("enable",), _F_.ACCOUNT, _Y, "An account was enabled"),
    EventSpec(72, "account.update", ("update",), _F_.ACCOUNT, _N, "An account was changed"),
    EventSpec(77, "account.delete", ("destroy",), _F_.ACCOUNT, _Y, "An account was deleted", _WARN),
    EventSpec(73, "account.role.change", ("change_role",), _F_.ACCOUNT, _Y, "Roles or permissions changed", _WARN),
    EventSpec(74, "consent.grant", ("grant_consent",), _F_.CONSENT, _N, "A user consented to a client"),
    EventSpec(78, "consent.revoke", ("revoke_consent",), _F_.CONSENT, _N, "A consent was withdrawn"),
    EventSpec(80, "impersonation.start", ("impersonate",), _F_.IMPERSONATE, _Y, "Somebody began to act as somebody else", _WARN),
    EventSpec(82, "impersonation.end", ("stop_impersonating",), _F_.IMPERSONATE, _Y, "Somebody stopped acting as somebody else"),
    EventSpec(81, "authz.deny", ("authorize",), _F_.AUTHZ, _N, "Access was denied", _WARN),
    EventSpec(90, "alert.brute_force", ("detect_brute_force",), _F_.ALERT, _Y, "Many failures for one account", _ERROR),
    EventSpec(91, "alert.credential_stuffing", ("detect_credential_stuffing",), _F_.ALERT, _Y, "Many accounts tried from one place", _ERROR),
    EventSpec(97, "alert.password_spray", ("detect_password_spray",), _F_.ALERT, _Y, "Few guesses on many accounts", _ERROR),
    EventSpec(92, "alert.new_device", ("detect_new_device",), _F_.ALERT, _Y, "A sign-in from somewhere new", _WARN),
    EventSpec(93, "alert.success_after_failures", ("detect_success_after_failures",), _F_.ALERT, _Y, "A sign-in after many failures", _ERROR),
    EventSpec(94, "alert.rate_limited", ("detect_rate_limit",), _F_.ALERT, _Y, "A limit was exceeded", _WARN),
    EventSpec(95, "audit.start", ("start_audit",), _F_.AUDIT, _Y, "This process began to audit"),
    EventSpec(100, "audit.stop", ("stop_audit",), _F_.AUDIT, _Y, "This process stopped in good order"),
    EventSpec(101, "audit.config_change", ("change_audit_config", "rotate_hash_key", "destroy_hash_key", "hold_records", "release_records"), _F_.AUDIT, _Y, "What is recorded was changed", _WARN),
    EventSpec(96, "audit.records_lost", ("lose_records",), _F_.AUDIT, _Y, "Records could not be kept", _ERROR),
    EventSpec(103, "audit.records_expired", ("expire_records",), _F_.AUDIT, _Y, "Records were deleted: their time was over, or room was needed"),
    EventSpec(104, "audit.records_refused", ("refuse_records",), _F_.AUDIT, _Y, "The receiver refused a record for good", _ERROR),
    EventSpec(105, "audit.reconciled", ("reconcile_store",), _F_.AUDIT, _Y, "A store was compared with what it should hold, and repaired if asked to"),
    EventSpec(98, "audit.checkpoint", ("checkpoint",), _F_.AUDIT, _Y, "State of the chain, signed where a key is configured"),
    EventSpec(102, "audit.summary", ("summarize",), _F_.AUDIT, _Y, "Counts of what was not recorded one by one"),
    EventSpec(99, "custom", ("{name}",), _F_.CUSTOM, _Y, "An application's own event, named custom.<name>"),
)  # fmt: skip

EVENTS: Final = {row.name: row for row in _ROWS}
"""Every event by its name. Numbers (`idx`) are stable and never reused."""

_NAMED_BY_PROVIDER = frozenset({Strategy.OAUTH2, Strategy.OIDC, Strategy.SAML})


def lookup(event: str) -> EventSpec | None:
    """The row of *event* (`custom.<name>` finds the row `custom`), or None if the catalogue has no such event."""
    return EVENTS.get(event) or (EVENTS["custom"] if event.startswith("custom.") and len(event) > len("custom.") else None)


def action_of(event: AuditEvent) -> str:
    """The action a record prints: what the event says itself, else the catalogue's template filled in."""
    if event.action:
        return event.action
    if event.provider is None:
        return _usual_action(event.event, event.strategy)
    return _filled(event)


@lru_cache(maxsize=256)
def _usual_action(event: str, strategy: Strategy) -> str:
    """Filled in once: an event of a name and a strategy comes again and again."""
    return _filled(AuditEvent(event=event, status=Status.SUCCESS, time=0, library="", strategy=strategy))


def _filled(event: AuditEvent) -> str:
    spec = lookup(event.event)
    if spec is None:
        return event.event
    named = event.provider if event.strategy in _NAMED_BY_PROVIDER and event.provider else event.strategy.value
    words = {"s": named, "f": named, "p": event.provider or named, "name": event.event.partition(".")[2]}
    return spec.actions[0].format_map(words)


def severity_of(event: AuditEvent) -> Severity:
    """Severity of a record: the catalogue's, and at least WARN where the event did not succeed."""
    spec = lookup(event.event)
    usual = spec.severity if spec else Severity.INFO
    return Severity.WARN if event.status is Status.FAILURE and usual is Severity.INFO else usual


def matches(pattern: str, action: str) -> bool:
    """Whether *action* is an instance of *pattern*: `{s}`, `{p}`, `{f}` and `*` stand for any word, the rest for itself."""
    parts = re.split(r"\{\w+\}|\*", pattern)
    return re.fullmatch(".+".join(map(re.escape, parts)), action) is not None
