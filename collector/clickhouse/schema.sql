-- The audit table in ClickHouse. The first 16 columns are what the OpenTelemetry Collector's clickhouseexporter writes, with
-- `create_schema: false`; the MATERIALIZED ones are worked out by the server, so no writer can set them, and because they are in the
-- key, no ALTER UPDATE can change the attributes of a row. `authaudit query` and the cookbook use their names.
-- Not a ReplacingMergeTree, in which a later row replaces an earlier one: a repeated INSERT of the same rows is dropped by the
-- deduplication window, what is still doubled is single in every question by `LIMIT 1 BY RecordId`. There is no column of the time of
-- arrival: older servers compare blocks with it, and no two would be the same. An INSERT is answered when it is on the disk. A granule
-- is small, because one person's records lie far apart: of each, a whole granule is read.
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
    PeerIp String MATERIALIZED LogAttributes['network.peer.address'],
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
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- Three roles, none of which can change or delete a row: grant them to users of your own. Whoever runs this needs access management.
-- NOT RUN in the project's tests: the engine embedded there keeps no users, its parser reads them. The writer's INSERT may hold rows of
-- more than 100 days, of a process that rarely has something to say; both settings are what the collector's exporter cannot say itself.
CREATE ROLE IF NOT EXISTS audit_writer SETTINGS async_insert = 0, max_partitions_per_insert_block = 0;
GRANT INSERT, SHOW COLUMNS ON audit.auth_audit TO audit_writer;
CREATE ROLE IF NOT EXISTS audit_reader;
GRANT SELECT ON audit.auth_audit TO audit_reader;
CREATE ROLE IF NOT EXISTS audit_retention;
GRANT ALTER TTL, SHOW COLUMNS ON audit.auth_audit TO audit_retention;
