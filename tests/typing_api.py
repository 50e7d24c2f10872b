"""How users' type checkers see us: mypy reads this file in `make lint`, nobody runs it."""

from __future__ import annotations

from opentelemetry_instrumentation_authaudit import (
    Actor,
    AuthAuditInstrumentor,
    Reason,
    RecordingRefused,
    audit,
)
from opentelemetry_instrumentation_authaudit.testing import AuditTrail


def switch_on() -> None:
    """Options are keyword arguments."""
    AuthAuditInstrumentor().instrument(exclude_strategies=["oauth"], ip_privacy_mode="truncate", log_lifetime=30)
    AuthAuditInstrumentor().uninstrument()


def record_your_own() -> str | None:
    """`record` takes what a record may say, and gives the record's id if there is one."""
    record_id: str | None = audit.record(
        "custom.vault_opened", status="success", subject="42", actor=Actor("7", "service"), params={"door": "left"}
    )
    return record_id


def enclose_your_own(name: str) -> bool:
    """`attempt` is a context manager; its handle says how it ended."""
    with audit.context(tenant="acme", actor="7"), audit.attempt("auth.sign_in", strategy="password", identity=name) as attempt:
        attempt.succeed(subject="42")
        attempt.fail(Reason.LOCKED_ACCOUNT)
        attempt.fail("locked_account")
    return True


def refuse() -> None:
    """What `strict` raises can be caught by name."""
    try:
        audit.record("auth.sign_in")
    except RecordingRefused as refused:
        raise SystemExit(str(refused)) from refused


def test_login(audit_trail: AuditTrail) -> None:
    """The fixture is typed too: records are flat dictionaries of strings."""
    record: dict[str, str] = audit_trail.one(event="auth.sign_in", status="success")
    records: list[dict[str, str]] = audit_trail.records
    assert record in records
    audit_trail.assert_no_secret("the password")
