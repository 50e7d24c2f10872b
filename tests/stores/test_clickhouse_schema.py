"""The table in ClickHouse, as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.stores.clickhouse import installer
from opentelemetry_instrumentation_authaudit.stores.clickhouse.schema import (
    DERIVED,
    EXPORTED,
    Table,
    additions,
    roles,
    schema,
    ttl,
)
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.installer import Wishes
from opentelemetry_instrumentation_authaudit.stores.store import Address

PRINTED = Path(__file__).parents[2] / "collector" / "clickhouse" / "schema.sql"
AUDIT = Table("audit", "auth_audit")


def test_the_printed_schema_is_what_the_command_makes() -> None:
    """Who reads `collector/clickhouse/schema.sql` reads what `authaudit store init` does, to the letter."""
    scripts = installer(Address.parse("clickhouse://host/audit"), Wishes(lifetime=90)).scripts()
    assert PRINTED.read_text(encoding="utf-8") == "\n".join(scripts.values())


@pytest.mark.parametrize(("lifetime", "kept"), [(30, "+ INTERVAL 30 DAY DELETE"), (None, ""), (40_000, "")])
def test_one_number_of_days_decides(lifetime: int | None, kept: str) -> None:
    """30 days are 30 days; for ever has no TTL; 109 years, more than the type of a TTL can count, are for ever and not for nothing."""
    assert kept in ttl(lifetime)
    assert ("\nTTL" in schema(AUDIT, lifetime)[1]) is bool(kept)


@pytest.mark.parametrize("name", ["", "a b", "a`; DROP TABLE x", "ä", "1st", "a-b"])
def test_a_name_is_a_name(name: str) -> None:
    """Names cannot be bound as parameters, so only plain ones come through."""
    with pytest.raises(StoreError, match="letters, digits and _"):
        Table("audit", name)
    with pytest.raises(StoreError, match="letters, digits and _"):
        roles(AUDIT, name)


def test_a_table_may_name_its_database() -> None:
    """`?table=` and `--table` take `database.table`, as for PostgreSQL."""
    assert str(Table.named("audit", "logins")) == "audit.logins"
    assert str(Table.named("audit", "shop.logins")) == "shop.logins"


def test_what_the_server_works_out_no_writer_can_set() -> None:
    """Every column that is not the exporter's is materialised: an INSERT that names it is refused."""
    create = schema(AUDIT, 90)[1]
    assert create.count(" MATERIALIZED ") == len(DERIVED)
    assert not EXPORTED.keys() & DERIVED.keys()


def test_a_table_gets_what_it_lacks() -> None:
    """Of the exporter's own columns everything, of ours nothing, of an earlier version's the rest."""
    assert len(additions(AUDIT, EXPORTED)) == len(DERIVED) + 6
    assert additions(AUDIT, DERIVED) == ()
    assert additions(AUDIT, set(DERIVED) - {"Tenant"}) == (
        "ALTER TABLE audit.auth_audit ADD COLUMN IF NOT EXISTS Tenant String MATERIALIZED LogAttributes['audit.tenant']",
        "ALTER TABLE audit.auth_audit ADD INDEX IF NOT EXISTS by_Tenant Tenant TYPE bloom_filter(0.01) GRANULARITY 1",
    )


def test_no_role_can_change_a_row() -> None:
    """The writer inserts, the reader reads, retention sets the lifetime: nobody updates, deletes, truncates or drops."""
    granted = [one.removeprefix("GRANT ").partition(" ON ")[0] for one in roles(AUDIT, "audit") if one.startswith("GRANT")]
    assert granted == ["INSERT, SHOW COLUMNS", "SELECT", "ALTER TTL, SHOW COLUMNS"]
