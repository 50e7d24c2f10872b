"""The catalogue: data that everything else leans on."""

from __future__ import annotations

import re

import pytest

from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.catalog import EVENTS, Severity, action_of, lookup, matches, severity_of
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Status, Strategy


def event(name: str, *, strategy: Strategy = Strategy.UNKNOWN, status: Status = Status.SUCCESS, **more: str) -> AuditEvent:
    """An event with a name, a strategy, and little else."""
    return AuditEvent(event=name, status=status, time=1, library="story 1.0", strategy=strategy, **more)  # type: ignore[arg-type]


def test_numbers_are_unique() -> None:
    """`idx` is for machines that store numbers: one each, never reused."""
    assert len({spec.idx for spec in EVENTS.values()}) == len(EVENTS)


def test_event_names_carry_no_outcome() -> None:
    """Low cardinality: dotted words, and nothing that says how it ended."""
    for name in EVENTS:
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", name)
        assert not re.search(r"success|fail", name.replace("success_after_failures", ""))


@pytest.mark.parametrize(
    ("made", "action"),
    [
        (event("auth.sign_in", strategy=Strategy.PASSWORD), "sign_in_with_password"),
        (event("auth.sign_in", strategy=Strategy.OAUTH2, provider="github"), "sign_in_with_github"),
        (event("auth.sign_in", strategy=Strategy.OIDC), "sign_in_with_oidc"),
        (event("auth.sign_in", strategy=Strategy.PASSWORD, provider="corporate"), "sign_in_with_password"),
        (event("auth.sign_in"), "sign_in_with_unknown"),
        (event("auth.sign_in", action="sign_in_with_token"), "sign_in_with_token"),
        (event("account.link", strategy=Strategy.OAUTH2, provider="google"), "link_google"),
        (event("mfa.enroll", strategy=Strategy.TOTP), "setup_with_totp"),
        (event("password.reset_request"), "request_password_reset_with_password"),
        (event("custom.badge_swiped"), "badge_swiped"),
        (event("nobody.knows"), "nobody.knows"),
    ],
)
def test_action_is_filled_in(made: AuditEvent, action: str) -> None:
    """Verb, mechanism, and the provider where the mechanism has one."""
    assert action_of(made) == action


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("sign_in_with_token", "sign_in_with_token", True),
        ("sign_in_with_{s}", "sign_in_with_github", True),
        ("link_{p}", "link_github", True),
        ("link_{p}", "unlink_github", False),
        ("*", "anything", True),
        ("sign_in_*", "sign_out", False),
        ("custom.*", "custom.x", True),
        ("sign.in", "signXin", False),
    ],
)
def test_pattern_of_actions(pattern: str, action: str, *, expected: bool) -> None:
    """`{s}`, `{p}`, `{f}` and `*` stand for any word; a dot is a dot."""
    assert matches(pattern, action) is expected


def test_custom_events_are_known() -> None:
    """An application's own event has the row `custom`; a bare prefix is no name."""
    assert lookup("custom.badge") is EVENTS["custom"]
    assert lookup("custom.") is None
    assert lookup("auth.sing_in") is None


def test_failure_warns() -> None:
    """A failure is at least WARN, a success what the catalogue says."""
    assert severity_of(event("auth.sign_in", status=Status.FAILURE)) is Severity.WARN
    assert severity_of(event("auth.sign_in")) is Severity.INFO
    assert severity_of(event("impersonation.start")) is Severity.WARN
    assert severity_of(event("audit.records_lost", status=Status.FAILURE)) is Severity.ERROR


def test_attribute_names_are_scrubber_safe() -> None:
    """Names of ours avoid the words that common scrubbers blank (`session.id` is OpenTelemetry's own)."""
    ours = [value for key, value in vars(names).items() if key.isupper() and str(value).startswith("audit.")]
    assert ours
    scrubbed = [name for name in ours if re.search(r"auth|session|secret|cookie|password|credential", name)]
    assert scrubbed == []
