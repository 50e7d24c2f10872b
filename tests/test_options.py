"""What options do, seen from the journal: what is excluded is absent, what is asked for is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit import audit
from opentelemetry_instrumentation_authaudit.testing import AuditTrail, audit_trail_of

EVENTS: dict[str, dict[str, Any]] = {
    "password": {"event": "auth.sign_in", "strategy": "password", "subject": "1"},
    "wrong": {
        "event": "auth.sign_in",
        "strategy": "password",
        "identity": "ann@example.org",
        "status": "failure",
        "reason": "wrong_password",
    },
    "magic": {"event": "auth.sign_in", "strategy": "magic_link", "subject": "1"},
    "github": {"event": "auth.sign_in", "strategy": "oauth2", "provider": "github", "subject": "1"},
    "google": {"event": "auth.sign_in", "strategy": "oidc", "provider": "google", "subject": "1"},
    "token": {"event": "auth.sign_in", "strategy": "token", "action": "sign_in_with_token", "subject": "1"},
    "link": {"event": "account.link", "strategy": "oauth2", "provider": "github", "subject": "1"},
    "out": {"event": "auth.sign_out", "strategy": "session", "subject": "1"},
    "session": {"event": "session.create", "strategy": "session", "subject": "1"},
    "verified": {"event": "auth.verify", "strategy": "token", "subject": "1"},
    "refused": {"event": "auth.verify", "strategy": "token", "status": "failure", "reason": "token_expired"},
    "door": {"event": "custom.door_opened", "strategy": "api_key", "subject": "1"},
}
BY_DEFAULT = ["password", "wrong", "magic", "github", "google", "token", "link", "out", "refused", "door"]


def without(*names: str) -> list[str]:
    """What is recorded by default, but for these."""
    return [name for name in BY_DEFAULT if name not in names]


CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, BY_DEFAULT),
    ({"exclude_strategies": "magic_link,oauth"}, without("magic", "github", "google", "link")),
    ({"exclude_strategies": "github"}, without("github", "link")),
    ({"exclude_actions": "sign_in_with_token"}, without("token")),
    ({"exclude_actions": "link_{p}"}, without("link")),
    ({"exclude_actions": "sign_in_with_*"}, ["link", "out", "refused", "door"]),
    ({"exclude_actions": "custom.*"}, without("door")),
    ({"exclude_events": "auth.sign_out,account.*"}, without("out", "link")),
    ({"include_strategies": "password"}, ["password", "wrong"]),
    ({"include_strategies": "password,google", "exclude_strategies": "password"}, ["google"]),
    ({"include_actions": "sign_out,link_github"}, ["link", "out"]),
    (
        {"include_events": "session.create"},
        ["password", "wrong", "magic", "github", "google", "token", "link", "out", "session", "refused", "door"],
    ),
    ({"request_auth": "off"}, without("refused")),
    ({"request_auth": "all"}, [*BY_DEFAULT[:8], "verified", "refused", "door"]),
]


def tell(trail: AuditTrail, *names: str) -> list[dict[str, str]]:
    """Let the application tell these events, and read what was recorded."""
    for name in names:
        audit.record(**{**EVENTS[name], "params": {"name": name}})
    return trail.records


@pytest.mark.parametrize(("options", "recorded"), CASES, ids=str)
def test_what_is_recorded(tmp_path: Path, options: dict[str, Any], recorded: list[str]) -> None:
    """Exclude beats include; what is excluded is absent from the journal, and counted."""
    with audit_trail_of(tmp_path, **options) as trail:
        found = [record["audit.params.name"] for record in tell(trail, *EVENTS)]
        assert found == recorded
        assert trail.pipeline.filtered == len(EVENTS) - len(recorded)


def one(tmp_path: Path, name: str, **options: Any) -> dict[str, str]:
    """One event with those options, as recorded."""
    with audit_trail_of(tmp_path, **options) as trail:
        (record,) = tell(trail, name)
        return record


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({}, "hashed:test:"),
        ({"unknown_identity_mode": "none"}, "ann@example.org"),
        ({"unknown_identity_mode": "domain"}, "*@example.org"),
        ({"include_fields": "username"}, "ann@example.org"),
        ({"include_fields": "email"}, "hashed:test:"),
    ],
)
def test_how_an_identity_is_written(tmp_path: Path, options: dict[str, Any], written: str) -> None:
    """Hashed unless an option says otherwise; the field that carried it may be named."""
    assert one(tmp_path, "wrong", **options)["audit.identity"].startswith(written)


def test_identity_may_be_left_out(tmp_path: Path) -> None:
    """Excluded means absent."""
    assert "audit.identity" not in one(tmp_path, "wrong", unknown_identity_mode="exclude")


def test_log_name_and_severity(tmp_path: Path) -> None:
    """The seed's audit log instance; SeverityNumber can be switched off."""
    record = one(tmp_path, "wrong", log_name="accounts")
    assert (record["audit.log"], record["severity"]) == ("accounts", "13")
    assert "severity" not in one(tmp_path / "quiet", "wrong", severity=False)


def test_repetitions_are_counted(tmp_path: Path) -> None:
    """The same refused token again and again: the first at once, then one record with their number."""
    with audit_trail_of(tmp_path, request_auth_dedup=60) as trail:
        for _ in range(5):
            tell(trail, "refused")
        assert len(trail.records) == 1
        trail.pipeline.shutdown()
        assert [record.get("audit.repeat.count") for record in trail.records] == [None, "4"]


def test_repetitions_of_a_failed_sign_in_are_told_one_by_one(tmp_path: Path) -> None:
    """Each guess at a password is a fact of its own."""
    with audit_trail_of(tmp_path, request_auth_dedup=60) as trail:
        for _ in range(5):
            tell(trail, "wrong")
        assert len(trail.records) == 5
