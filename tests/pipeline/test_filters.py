from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.config import Config, load
from opentelemetry_instrumentation_authaudit.model.catalog import EVENTS, Default
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Status, Strategy
from opentelemetry_instrumentation_authaudit.pipeline.filters import PER_REQUEST, Rule, recorded, refusal, wanted

SIGN_IN = AuditEvent(event="auth.sign_in", status=Status.SUCCESS, time=0, library="lib", strategy=Strategy.PASSWORD)
GITHUB = replace(SIGN_IN, strategy=Strategy.OAUTH2, provider="github")
MAGIC = replace(SIGN_IN, strategy=Strategy.MAGIC_LINK)
TOKEN = replace(SIGN_IN, strategy=Strategy.TOKEN)


def config(**options: Any) -> Config:
    """The default options, and those the test gives."""
    return load({}, raises=True, hash_key="1:k", journal_dir=Path("/nonexistent/journal"), **options)


def named(event: str, status: Status = Status.SUCCESS) -> AuditEvent:
    """An event of that name."""
    return AuditEvent(event=event, status=status, time=0, library="lib")


@pytest.mark.parametrize("name", sorted(set(EVENTS) - PER_REQUEST - {"custom"}))
def test_the_catalogue_says_what_is_recorded_by_default(name: str) -> None:
    """All of it, failures only (an unknown outcome is no success), or nothing."""
    default = EVENTS[name].default
    outcomes = {status: recorded(named(name, status), config()) for status in Status}
    assert outcomes == {
        status: default is Default.ALL or (default is Default.FAILURES and status is not Status.SUCCESS) for status in Status
    }


@pytest.mark.parametrize(
    ("options", "event", "rule"),
    [
        ({"exclude_strategies": "magic_link,oauth"}, SIGN_IN, None),
        ({"exclude_strategies": "magic_link,oauth"}, MAGIC, Rule.EXCLUDE_STRATEGIES),
        ({"exclude_strategies": "magic_link,oauth"}, GITHUB, Rule.EXCLUDE_STRATEGIES),
        ({"exclude_strategies": "magic_link,oauth"}, replace(GITHUB, strategy=Strategy.OIDC), Rule.EXCLUDE_STRATEGIES),
        ({"exclude_strategies": "github"}, replace(GITHUB, provider="GitHub"), Rule.EXCLUDE_STRATEGIES),
        ({"exclude_strategies": "github"}, replace(GITHUB, provider="google"), None),
        ({"include_strategies": "password,github"}, SIGN_IN, None),
        ({"include_strategies": "password,github"}, GITHUB, None),
        ({"include_strategies": "password,github"}, MAGIC, Rule.INCLUDE_STRATEGIES),
        ({"include_strategies": "password", "exclude_strategies": "password"}, SIGN_IN, Rule.EXCLUDE_STRATEGIES),
        ({"exclude_actions": "sign_in_with_token"}, TOKEN, Rule.EXCLUDE_ACTIONS),
        ({"exclude_actions": "sign_in_with_token"}, SIGN_IN, None),
        ({"exclude_actions": "sign_in_with_*"}, MAGIC, Rule.EXCLUDE_ACTIONS),
        ({"exclude_actions": "sign_in_with_{s}"}, GITHUB, Rule.EXCLUDE_ACTIONS),
        ({"exclude_actions": "custom.*"}, named("custom.vault_opened"), Rule.EXCLUDE_ACTIONS),
        ({"exclude_actions": "custom.vault_opened"}, named("custom.vault_closed"), None),
        ({"include_actions": "sign_out"}, SIGN_IN, Rule.INCLUDE_ACTIONS),
        ({"include_actions": "sign_out"}, named("auth.sign_out"), None),
        ({"include_actions": "*", "exclude_actions": "sign_out"}, named("auth.sign_out"), Rule.EXCLUDE_ACTIONS),
        ({"include_actions": "link_{p}"}, replace(GITHUB, event="account.link"), None),
        ({"exclude_events": "auth.*"}, SIGN_IN, Rule.EXCLUDE_EVENTS),
        ({"include_events": "auth.sign_in", "exclude_events": "auth.sign_in"}, SIGN_IN, Rule.EXCLUDE_EVENTS),
        ({}, named("session.create"), Rule.DEFAULT),
        ({"include_events": "session.create"}, named("session.create"), None),
        ({"include_events": "session.*"}, named("session.expire"), None),
        ({"include_events": "session.create"}, SIGN_IN, None),
        ({"include_events": "token.refresh"}, named("token.refresh"), None),
        ({}, named("token.refresh"), Rule.DEFAULT),
        ({}, named("not.in.the.catalogue"), None),
    ],
)
def test_what_the_lists_say(options: dict[str, str], event: AuditEvent, rule: Rule | None) -> None:
    """The tutorial's own values; exclude beats include; `include_events` adds, the other two include lists choose."""
    assert refusal(event, config(**options)) is rule
    assert recorded(event, config(**options)) is (rule is None)


@pytest.mark.parametrize("name", sorted(PER_REQUEST))
@pytest.mark.parametrize(
    ("options", "outcomes"),
    [
        ({}, {Status.FAILURE, Status.UNKNOWN}),
        ({"request_auth": "failures"}, {Status.FAILURE, Status.UNKNOWN}),
        ({"request_auth": "all"}, {Status.SUCCESS, Status.FAILURE, Status.UNKNOWN}),
        ({"request_auth": "off"}, set()),
        ({"include_events": "auth.verify,api_key.verify"}, {Status.SUCCESS, Status.FAILURE, Status.UNKNOWN}),
        ({"include_events": "auth.verify,api_key.verify", "request_auth": "off"}, set()),
    ],
)
def test_request_auth_decides_over_the_credentials_of_requests(name: str, options: dict[str, str], outcomes: set[Status]) -> None:
    """They come with every request: failures by default, all or none when asked for."""
    assert {status for status in Status if recorded(named(name, status), config(**options))} == outcomes


def test_the_trail_s_own_events_always_pass() -> None:
    """A chain whose start, checkpoints or losses could be filtered out would prove nothing."""
    strict = config(exclude_events="*", exclude_actions="*", include_strategies="password")
    assert all(recorded(named(name), strict) for name in EVENTS if name.startswith("audit."))


@pytest.mark.parametrize(
    "options", [{}, {"request_auth": "all"}, {"request_auth": "off"}, {"include_events": "*"}, {"exclude_events": "auth.*"}]
)
@pytest.mark.parametrize("name", EVENTS)
def test_what_is_not_wanted_is_never_recorded(name: str, options: dict[str, str]) -> None:
    """The early question agrees with the late one, whatever else the event turns out to be."""
    for status in Status:
        assert wanted(name, status, config(**options)) == recorded(named(name, status), config(**options))
