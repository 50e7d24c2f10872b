"""The table that ClickHouse keeps records in, and who may do what with it: pure functions from a place to SQL.

The first sixteen columns are those that the collector's `clickhouseexporter` writes (with `create_schema: false`); the others are
worked out by the server, so whoever writes cannot make them say anything but what the record says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from ...model import names
from ..errors import StoreError

__all__ = ("DERIVED", "EXPORTED", "Table", "additions", "column_of", "roles", "schema", "script", "ttl")

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
    "PeerIp": ("String", names.PEER_ADDRESS),
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
    "TraceId": 0.01,
}
"""Columns with a Bloom filter for each granule, and how often it is wrong."""

_LONGEST: Final = 10_000
"""Days. The time of a TTL ends in 2106: longer than this is for ever, else what should be kept for long would be gone at once."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

_COMMENTS: Final = {
    "0001_table.sql": """\
-- The audit table in ClickHouse. The first 16 columns are what the OpenTelemetry Collector's clickhouseexporter writes, with
-- `create_schema: false`; the MATERIALIZED ones are worked out by the server, so no writer can set them, and because they are in the
-- key, no ALTER UPDATE can change the attributes of a row. `authaudit query` and the cookbook use their names.
-- Not a ReplacingMergeTree, in which a later row replaces an earlier one: a repeated INSERT of the same rows is dropped by the
-- deduplication window, what is still doubled is single in every question by `LIMIT 1 BY RecordId`. There is no column of the time of
-- arrival: older servers compare blocks with it, and no two would be the same. An INSERT is answered when it is on the disk. A granule
-- is small, because one person's records lie far apart: of each, a whole granule is read.
""",
    "0002_columns.sql": """\
-- What a table of the clickhouseexporter's own, or of an earlier version of this one, lacks. Rows that are there have it at once.
""",
    "0003_roles.sql": """\
-- Three roles, none of which can change or delete a row: grant them to users of your own. Whoever runs this needs access management.
-- NOT RUN in the project's tests: the engine embedded there keeps no users, its parser reads them. The writer's INSERT may hold rows of
-- more than 100 days, of a process that rarely has something to say; both settings are what the collector's exporter cannot say itself.
""",
}

_TABLE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
{columns}
) ENGINE = MergeTree
PARTITION BY {partition}(Timestamp)
ORDER BY (Timestamp, StreamId, Seq){ttl}
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1"""

_ROLES: Final = (
    "CREATE ROLE IF NOT EXISTS {roles}_writer SETTINGS async_insert = 0, max_partitions_per_insert_block = 0",
    "GRANT INSERT, SHOW COLUMNS ON {table} TO {roles}_writer",
    "CREATE ROLE IF NOT EXISTS {roles}_reader",
    "GRANT SELECT ON {table} TO {roles}_reader",
    "CREATE ROLE IF NOT EXISTS {roles}_retention",
    "GRANT ALTER TTL, SHOW COLUMNS ON {table} TO {roles}_retention",
)


@dataclass(frozen=True, slots=True)
class Table:
    """Database and table; written as SQL by `str`."""

    database: str
    name: str

    @classmethod
    def named(cls, database: str, name: str) -> Table:
        """*name* may have a database of its own: `audit.auth_audit`. StoreError for what is no name."""
        own, dot, table = name.rpartition(".")
        return cls(own if dot else database, table)

    def __post_init__(self) -> None:
        for name in (self.database, self.name):
            if not _NAME.fullmatch(name):
                raise StoreError(f"{name!r} is no name of a database or table: write letters, digits and _")

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"


def schema(table: Table, lifetime: int | None, *, monthly: bool = False) -> tuple[str, ...]:
    """The statements that make database and table; both may be there already. *lifetime* in days, None for ever."""
    exported = [f"{name} {kind}" for name, kind in EXPORTED.items()]
    columns = [*exported, *map(_column, DERIVED), *map(_index, _FOUND_FAST)]
    kept = f"\nTTL {expiry}" if (expiry := ttl(lifetime)) else ""
    return (
        f"CREATE DATABASE IF NOT EXISTS {table.database}",
        _TABLE.format(
            table=table,
            columns=",\n".join(f"    {column}" for column in columns),
            partition="toYYYYMM" if monthly else "toDate",
            ttl=kept,
        ),
    )


def additions(table: Table, columns: Collection[str]) -> tuple[str, ...]:
    """The statements that give a table with these *columns*, which has at least the exporter's, those that it lacks."""
    lacking = [name for name in DERIVED if name not in columns]
    added = [f"ADD COLUMN IF NOT EXISTS {_column(name)}" for name in lacking]
    added += [f"ADD {_index(name).replace('INDEX ', 'INDEX IF NOT EXISTS ', 1)}" for name in lacking if name in _FOUND_FAST]
    return tuple(f"ALTER TABLE {table} {addition}" for addition in added)


def roles(table: Table, prefix: str) -> tuple[str, ...]:
    """The statements that make three roles of which none can change a row: writer, reader, retention."""
    if not _NAME.fullmatch(prefix):
        raise StoreError(f"{prefix!r} is no beginning of a name: write letters, digits and _")
    return tuple(statement.format(table=table, roles=prefix) for statement in _ROLES)


def script(name: str, statements: Iterable[str]) -> str:
    """The statements as a file of that name, for `clickhouse-client --multiquery`."""
    return _COMMENTS[name] + "".join(f"{statement};\n" for statement in statements)


def column_of(attribute: str, columns: Collection[str]) -> str:
    """How a table with these *columns* is asked for an attribute: our schema's column, else (the exporter's own schema) the map."""
    derived = _COLUMNS.get(attribute, "")
    return derived if derived in columns else f"LogAttributes['{attribute}']"


def ttl(lifetime: int | None) -> str:
    """When a row's time is over, *lifetime* in days; empty for never."""
    return "" if lifetime is None or lifetime > _LONGEST else f"toDateTime(Timestamp, 'UTC') + INTERVAL {lifetime:d} DAY DELETE"


def _column(name: str) -> str:
    kind, attribute = DERIVED[name]
    value = f"LogAttributes['{attribute}']"
    return f"{name} {kind} MATERIALIZED {f'toUInt64OrZero({value})' if kind == 'UInt64' else value}"


def _index(name: str) -> str:
    return f"INDEX by_{name} {name} TYPE bloom_filter({_FOUND_FAST[name]}) GRANULARITY 1"
