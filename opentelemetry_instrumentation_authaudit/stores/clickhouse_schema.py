"""The table that ClickHouse keeps records in, and who may do what with it: pure functions from a place to SQL.

The first sixteen columns are those that the collector's `clickhouseexporter` writes (with `create_schema: false`); the others are
worked out by the server, so whoever writes cannot make them say anything but what the record says.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ..model import names
from .errors import StoreError

__all__ = ("DERIVED", "EXPORTED", "Table", "column_of", "roles", "schema", "script", "ttl")

EXPORTED: Final = {
    "Timestamp": "DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1))",
    "TraceId": "String CODEC(ZSTD(1))",
    "SpanId": "String CODEC(ZSTD(1))",
    "TraceFlags": "UInt8",
    "SeverityText": "LowCardinality(String) CODEC(ZSTD(1))",
    "SeverityNumber": "UInt8",
    "ServiceName": "LowCardinality(String) CODEC(ZSTD(1))",
    "Body": "String CODEC(ZSTD(1))",
    "ResourceSchemaUrl": "LowCardinality(String) CODEC(ZSTD(1))",
    "ResourceAttributes": "Map(LowCardinality(String), String) CODEC(ZSTD(1))",
    "ScopeSchemaUrl": "LowCardinality(String) CODEC(ZSTD(1))",
    "ScopeName": "String CODEC(ZSTD(1))",
    "ScopeVersion": "LowCardinality(String) CODEC(ZSTD(1))",
    "ScopeAttributes": "Map(LowCardinality(String), String) CODEC(ZSTD(1))",
    "LogAttributes": "Map(LowCardinality(String), String) CODEC(ZSTD(1))",
    "EventName": "LowCardinality(String) CODEC(ZSTD(1))",
}
"""What the exporter writes, in its order."""

DERIVED: Final = {
    "RecordId": ("String", names.RECORD_ID),
    "Subject": ("String", names.SUBJECT),
    "Identity": ("String", names.IDENTITY),
    "Action": ("LowCardinality(String)", names.ACTION),
    "Outcome": ("LowCardinality(String)", names.OUTCOME),
    "Reason": ("LowCardinality(String)", names.REASON),
    "Strategy": ("LowCardinality(String)", names.STRATEGY),
    "Provider": ("LowCardinality(String)", names.PROVIDER),
    "Tenant": ("String", names.TENANT),
    "ClientIp": ("String", names.CLIENT_ADDRESS),
    "SessionId": ("String", names.SESSION_ID),
    "StreamId": ("String", names.STREAM_ID),
    "Seq": ("UInt64", names.SEQUENCE_NUMBER),
}
"""What the server works out of `LogAttributes`: column, type, attribute."""

_COLUMNS: Final = {attribute: column for column, (_, attribute) in DERIVED.items()}

_FOUND_FAST: Final = {
    "RecordId": 0.001,
    "Subject": 0.001,
    "Identity": 0.001,
    "ClientIp": 0.01,
    "Tenant": 0.01,
    "SessionId": 0.001,
}
"""Columns with a Bloom filter for each 8,192 rows, and how often it is wrong."""

_LONGEST: Final = 10_000
"""Days. The time of a TTL ends in 2106: longer than this is for ever, else what should be kept for long would be gone at once."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

_SCRIPT: Final = """\
-- Made by `authaudit store init --store clickhouse://HOST/{table.database}?table={table.name} --generate`.
--
-- The first 16 columns are what the OpenTelemetry Collector's clickhouseexporter v0.161 writes (`create_schema: false`). The
-- MATERIALIZED ones are worked out by the server: a writer cannot set them. Cookbook and `authaudit query` use their names.
-- Not a ReplacingMergeTree: there, a later row could replace an earlier one. A repeated INSERT of the same block is dropped by the
-- deduplication window, what is still doubled by `LIMIT 1 BY RecordId` in the question. No column says when a row arrived: older
-- servers compare blocks with it, and no two would be the same.

{schema}

-- Three roles, none of which can change or delete a row: give them to users of your own. NOT RUN in our tests, where the embedded
-- engine keeps no users: its parser reads them. A block may hold more than 100 days of a process that rarely has something to say.

{roles}"""

_TABLE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
{columns}
) ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (Timestamp, StreamId, Seq){ttl}
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000"""

_ROLES: Final = (
    "CREATE ROLE IF NOT EXISTS audit_ingest SETTINGS async_insert = 0, max_partitions_per_insert_block = 0",
    "GRANT INSERT, SHOW COLUMNS ON {table} TO audit_ingest",
    "CREATE ROLE IF NOT EXISTS audit_analyst",
    "GRANT SELECT ON {table} TO audit_analyst",
    "CREATE ROLE IF NOT EXISTS audit_retention",
    "GRANT ALTER TTL, SHOW COLUMNS ON {table} TO audit_retention",
)


@dataclass(frozen=True, slots=True)
class Table:
    """Database and table; written as SQL by `str`."""

    database: str
    name: str

    def __post_init__(self) -> None:
        for name in (self.database, self.name):
            if not _NAME.fullmatch(name):
                raise StoreError(f"{name!r} is no name of a database or table: write letters, digits and _")

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"


def schema(table: Table, lifetime: int | None) -> tuple[str, ...]:
    """The statements that make database and table; both may be there already. *lifetime* in days, None for ever."""
    columns = [f"    {name} {kind}" for name, kind in EXPORTED.items()]
    columns += [f"    {name} {kind} MATERIALIZED {_derived(kind, attribute)}" for name, (kind, attribute) in DERIVED.items()]
    columns += [
        f"    INDEX by_{name} {name} TYPE bloom_filter({wrong}) GRANULARITY 1"
        for name, wrong in {**_FOUND_FAST, "TraceId": 0.01}.items()
    ]
    kept = f"\nTTL {expiry}" if (expiry := ttl(lifetime)) else ""
    return (
        f"CREATE DATABASE IF NOT EXISTS {table.database}",
        _TABLE.format(table=table, columns=",\n".join(columns), ttl=kept),
    )


def roles(table: Table) -> tuple[str, ...]:
    """The statements that make three roles of which none can change a row: ingest, analyst, retention."""
    return tuple(statement.format(table=table) for statement in _ROLES)


def column_of(attribute: str, columns: Collection[str]) -> str:
    """How a table with these *columns* is asked for an attribute: our schema's column, else (the exporter's own schema) the map."""
    derived = _COLUMNS.get(attribute, "")
    return derived if derived in columns else f"LogAttributes['{attribute}']"


def ttl(lifetime: int | None) -> str:
    """When a row's time is over, *lifetime* in days; empty for never."""
    return "" if lifetime is None or lifetime > _LONGEST else f"toDateTime(Timestamp, 'UTC') + INTERVAL {lifetime:d} DAY DELETE"


def script(table: Table, lifetime: int | None) -> str:
    """Everything as one text for `clickhouse-client --multiquery`."""
    parts = {"schema": schema(table, lifetime), "roles": roles(table)}
    return _SCRIPT.format(table=table, **{name: "".join(f"{text};\n" for text in texts) for name, texts in parts.items()})


def _derived(kind: str, attribute: str) -> str:
    value = f"LogAttributes['{attribute}']"
    return f"toUInt64OrZero({value})" if kind == "UInt64" else value
