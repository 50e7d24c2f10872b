"""The table in ClickHouse, as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.stores.clickhouse_schema import DERIVED, EXPORTED, Table, roles, schema, script, ttl
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError

PRINTED = Path(__file__).parents[2] / "collector" / "clickhouse" / "schema.sql"
AUDIT = Table("audit", "auth_audit")


def test_the_printed_schema_is_what_the_command_makes() -> None:
    """Who reads `collector/clickhouse/schema.sql` reads what `authaudit store init` would do, to the letter."""
    assert PRINTED.read_text(encoding="utf-8") == script(AUDIT, 90)


@pytest.mark.parametrize(("lifetime", "kept"), [(30, "+ INTERVAL 30 DAY DELETE"), (None, ""), (40_000, "")])
def test_one_number_of_days_decides(lifetime: int | None, kept: str) -> None:
    """30 days are 30 days; for ever has no TTL; and 109 years, which the type of a TTL cannot count, are for ever and not for nothing."""
    assert kept in ttl(lifetime)
    assert ("TTL" in schema(AUDIT, lifetime)[1]) is bool(kept)


@pytest.mark.parametrize("name", ["", "a b", "a`; DROP TABLE x", "ä", "1st", "a.b"])
def test_a_name_is_a_name(name: str) -> None:
    """Names cannot be bound as parameters, so only plain ones come through."""
    with pytest.raises(StoreError, match="letters, digits and _"):
        Table("audit", name)


def test_what_the_server_works_out_no_writer_can_set() -> None:
    """Every column that is not the exporter's is materialised: an INSERT that names it is refused."""
    create = schema(AUDIT, 90)[1]
    assert create.count(" MATERIALIZED ") == len(DERIVED)
    assert not EXPORTED.keys() & DERIVED.keys()


def test_no_role_can_change_a_row() -> None:
    """Ingest inserts, analyst reads, retention sets the lifetime: nobody updates, deletes, truncates or drops."""
    granted = [
        statement.removeprefix("GRANT ").partition(" ON ")[0] for statement in roles(AUDIT) if statement.startswith("GRANT")
    ]
    assert granted == ["INSERT, SHOW COLUMNS", "SELECT", "ALTER TTL, SHOW COLUMNS"]
