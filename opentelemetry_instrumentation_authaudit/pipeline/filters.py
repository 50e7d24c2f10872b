"""Which events become records: the options' include and exclude lists over the catalogue's defaults."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Final

from ..config import Config, RequestAuth
from ..model.catalog import Default, action_of, lookup, matches
from ..model.event import AuditEvent, Status

__all__ = ("PER_REQUEST", "Rule", "recorded", "refusal", "wanted")

PER_REQUEST: Final = frozenset({"auth.verify", "api_key.verify"})
"""Checks of credentials that every request carries: option `request_auth`."""


class Rule(str, Enum):
    """Why an event is not recorded: the option that says so, or the catalogue's default."""

    EXCLUDE_STRATEGIES = "exclude_strategies"
    EXCLUDE_ACTIONS = "exclude_actions"
    EXCLUDE_EVENTS = "exclude_events"
    INCLUDE_STRATEGIES = "include_strategies"
    INCLUDE_ACTIONS = "include_actions"
    REQUEST_AUTH = "request_auth"
    DEFAULT = "default"


def recorded(event: AuditEvent, config: Config) -> bool:
    """Whether the options let *event* become a record."""
    return refusal(event, config) is None


def refusal(event: AuditEvent, config: Config) -> Rule | None:
    """The rule by which *event* is not recorded, None if it is. Exclude beats include; the audit's own events always pass."""
    if event.event.startswith("audit."):
        return None
    return _excluded(event, config) or _not_included(event, config) or _off(event, config)


def wanted(event: str, status: Status, config: Config) -> bool:
    """Whether any event of that name and status may be recorded: what only name and status decide, asked before it is put together."""
    bare = AuditEvent(event=event, status=status, time=0, library="")
    return event.startswith("audit.") or not (_any(config.exclude_events, event) or _off(bare, config))


def _excluded(event: AuditEvent, config: Config) -> Rule | None:
    if config.exclude_strategies and _named(event, config.exclude_strategies):
        return Rule.EXCLUDE_STRATEGIES
    if config.exclude_actions and _acts(event, config.exclude_actions):
        return Rule.EXCLUDE_ACTIONS
    if _any(config.exclude_events, event.event):
        return Rule.EXCLUDE_EVENTS
    return None


def _not_included(event: AuditEvent, config: Config) -> Rule | None:
    if config.include_strategies and not _named(event, config.include_strategies):
        return Rule.INCLUDE_STRATEGIES
    if config.include_actions and not _acts(event, config.include_actions):
        return Rule.INCLUDE_ACTIONS
    return None


def _off(event: AuditEvent, config: Config) -> Rule | None:
    """`include_events` turns on what is off until asked for; only `request_auth=off` is stronger."""
    per_request = event.event in PER_REQUEST
    if per_request and config.request_auth is RequestAuth.OFF:
        return Rule.REQUEST_AUTH
    if _any(config.include_events, event.event):
        return None
    if per_request:
        failures_only = config.request_auth is RequestAuth.FAILURES
        return Rule.REQUEST_AUTH if failures_only and event.status is Status.SUCCESS else None
    spec = lookup(event.event)
    if spec is None or spec.default is Default.ALL:
        return None
    return None if spec.default is Default.FAILURES and event.status is not Status.SUCCESS else Rule.DEFAULT


def _named(event: AuditEvent, strategies: frozenset[str]) -> bool:
    """Whether the event's strategy, or its provider, is among *strategies*."""
    return event.strategy.value in strategies or (event.provider is not None and event.provider.lower() in strategies)


def _acts(event: AuditEvent, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern fits the event's action, or the name of an application's own event (`custom.*`)."""
    return _any(patterns, action_of(event)) or (event.event.startswith("custom.") and _any(patterns, event.event))


def _any(patterns: tuple[str, ...], text: str) -> bool:
    return bool(patterns) and _any_of(patterns, text)


@lru_cache(maxsize=1024)
def _any_of(patterns: tuple[str, ...], text: str) -> bool:
    return any(matches(pattern, text) for pattern in patterns)
