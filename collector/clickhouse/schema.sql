-- Made by `authaudit store init --store clickhouse://HOST/audit?table=auth_audit --generate`.
--
-- The first 16 columns are what the OpenTelemetry Collector's clickhouseexporter v0.161 writes (`create_schema: false`). The
-- MATERIALIZED ones are worked out by the server: a writer cannot set them. Cookbook and `authaudit query` use their names.
-- Not a ReplacingMergeTree: there, a later row could replace an earlier one. A repeated INSERT of the same block is dropped by the
-- deduplication window, what is still doubled by `LIMIT 1 BY RecordId` in the question. No column says when a row arrived: older
-- servers compare blocks with it, and no two would be the same.

CREATE DATABASE IF NOT EXISTS audit;
CREATE TABLE IF NOT EXISTS audit.auth_audit (
    Timestamp DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    TraceFlags UInt8,
    SeverityText LowCardinality(String) CODEC(ZSTD(1)),
    SeverityNumber UInt8,
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    Body String CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    EventName LowCardinality(String) CODEC(ZSTD(1)),
    RecordId String MATERIALIZED LogAttributes['audit.record.id'],
    Subject String MATERIALIZED LogAttributes['user.id'],
    Identity String MATERIALIZED LogAttributes['audit.identity'],
    Action LowCardinality(String) MATERIALIZED LogAttributes['audit.action'],
    Outcome LowCardinality(String) MATERIALIZED LogAttributes['audit.outcome'],
    Reason LowCardinality(String) MATERIALIZED LogAttributes['audit.reason'],
    Strategy LowCardinality(String) MATERIALIZED LogAttributes['audit.strategy'],
    Provider LowCardinality(String) MATERIALIZED LogAttributes['audit.provider'],
    Tenant String MATERIALIZED LogAttributes['audit.tenant'],
    ClientIp String MATERIALIZED LogAttributes['client.address'],
    SessionId String MATERIALIZED LogAttributes['session.id'],
    StreamId String MATERIALIZED LogAttributes['audit.sequence.stream_id'],
    Seq UInt64 MATERIALIZED toUInt64OrZero(LogAttributes['audit.sequence.number']),
    INDEX by_RecordId RecordId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_Subject Subject TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_Identity Identity TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_ClientIp ClientIp TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_Tenant Tenant TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_SessionId SessionId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_TraceId TraceId TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (Timestamp, StreamId, Seq)
TTL toDateTime(Timestamp, 'UTC') + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;


-- Three roles, none of which can change or delete a row: give them to users of your own. NOT RUN in our tests, where the embedded
-- engine keeps no users: its parser reads them. A block may hold more than 100 days of a process that rarely has something to say.

CREATE ROLE IF NOT EXISTS audit_ingest SETTINGS async_insert = 0, max_partitions_per_insert_block = 0;
GRANT INSERT, SHOW COLUMNS ON audit.auth_audit TO audit_ingest;
CREATE ROLE IF NOT EXISTS audit_analyst;
GRANT SELECT ON audit.auth_audit TO audit_analyst;
CREATE ROLE IF NOT EXISTS audit_retention;
GRANT ALTER TTL, SHOW COLUMNS ON audit.auth_audit TO audit_retention;
