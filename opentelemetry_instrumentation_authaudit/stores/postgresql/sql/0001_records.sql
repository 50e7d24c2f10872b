CREATE TABLE @migrations@ (
    version int PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE @migrations@ IS 'Migrations of opentelemetry-instrumentation-authaudit that were applied to @schema_name@.@table_name@';

CREATE TABLE @settings@ (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    partitioning text NOT NULL CHECK (partitioning IN ('daily', 'monthly')),
    lifetime_days int CHECK (lifetime_days > 0)
);
COMMENT ON COLUMN @settings@.lifetime_days IS 'How long records are kept; NULL: for ever';
INSERT INTO @settings@ (partitioning, lifetime_days) VALUES ('@partitioning@', @lifetime@);

-- What stands around records in OTLP: once for each day and process, not in every row.
CREATE TABLE @sources@ (
    day date NOT NULL,
    source uuid NOT NULL,
    resource json NOT NULL,
    scope json NOT NULL,
    schema_url text NOT NULL,
    PRIMARY KEY (source, day),
    CHECK (source = substr(encode(sha256(convert_to(resource::text || E'\n' || scope::text || E'\n' || schema_url, 'UTF8')), 'hex'), 1, 32)::uuid)
);
COMMENT ON TABLE @sources@ IS 'OTLP resource and scope of records, named by their digest';

-- A writer gives an event, its time and its attributes; every other column is worked out from these, so no two can disagree.
CREATE TABLE @table@ (
    logged_at timestamptz NOT NULL CHECK (logged_at >= '1970-01-01T00:00:00Z' AND logged_at < '10000-01-01T00:00:00Z'),
    id text COLLATE "C" NOT NULL GENERATED ALWAYS AS (attributes->>'audit.record.id') STORED CHECK (length(id) BETWEEN 1 AND 256),
    audit_log text COLLATE "C" GENERATED ALWAYS AS (attributes->>'audit.log') STORED,
    event text COLLATE "C" NOT NULL,
    action_name text COLLATE "C" GENERATED ALWAYS AS (left(attributes->>'audit.action', 256)) STORED,
    strategy text COLLATE "C" GENERATED ALWAYS AS (attributes->>'audit.strategy') STORED,
    provider text COLLATE "C" GENERATED ALWAYS AS (attributes->>'audit.provider') STORED,
    status text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
        CASE WHEN attributes->>'audit.outcome' IN ('success', 'failure') THEN attributes->>'audit.outcome' ELSE 'unknown' END
    ) STORED,
    reason text COLLATE "C" GENERATED ALWAYS AS (attributes->>'audit.reason') STORED,
    subject text COLLATE "C" GENERATED ALWAYS AS (left(attributes->>'user.id', 256)) STORED,
    identity text COLLATE "C" GENERATED ALWAYS AS (left(attributes->>'audit.identity', 256)) STORED,
    resource text COLLATE "C" GENERATED ALWAYS AS (attributes->>'audit.resource') STORED,
    tenant text COLLATE "C" GENERATED ALWAYS AS (left(attributes->>'audit.tenant', 256)) STORED,
    client_address text COLLATE "C" GENERATED ALWAYS AS (left(attributes->>'client.address', 256)) STORED,
    service text COLLATE "C" NOT NULL DEFAULT '',
    severity smallint,
    trace_id text COLLATE "C",
    span_id text COLLATE "C",
    stream_id text COLLATE "C" GENERATED ALWAYS AS (left(attributes->>'audit.sequence.stream_id', 256)) STORED,
    sequence bigint GENERATED ALWAYS AS (
        CASE WHEN attributes->>'audit.sequence.number' ~ '^[0-9]{1,18}$' THEN (attributes->>'audit.sequence.number')::bigint END
    ) STORED,
    source uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attributes jsonb NOT NULL CHECK (jsonb_typeof(attributes) = 'object'),
    canonical bytea,
    PRIMARY KEY (logged_at, id)
) PARTITION BY RANGE (logged_at);
COMMENT ON TABLE @table@ IS 'Audit records of authentication events; append-only';
COMMENT ON COLUMN @table@.attributes IS 'The whole record';
COMMENT ON COLUMN @table@.canonical IS 'The record''s bytes, where attributes cannot hold them exactly (NUL characters, fractions of a microsecond)';

CREATE INDEX ON @table@ (subject, logged_at) WHERE subject IS NOT NULL;
CREATE INDEX ON @table@ (action_name, logged_at);
CREATE INDEX ON @table@ (status, logged_at) WHERE status <> 'success';
CREATE INDEX ON @table@ (identity, logged_at) WHERE status <> 'success';
CREATE INDEX ON @table@ (tenant, logged_at) WHERE tenant IS NOT NULL;
CREATE INDEX ON @table@ (client_address, logged_at) WHERE client_address IS NOT NULL;
CREATE INDEX ON @table@ (stream_id, sequence);

-- Each entry as the seed has it; extra_data is put together when it is asked for: it repeats a quarter of what attributes hold.
CREATE VIEW @entries@ WITH (security_invoker) AS
SELECT r.id, r.subject, r.strategy, r.audit_log, r.logged_at, r.action_name, r.status, jsonb_strip_nulls(jsonb_build_object(
    'actor', r.attributes->'audit.actor.id',
    'tenant', r.attributes->'audit.tenant',
    'request', (
        SELECT jsonb_object_agg(a.key, a.value) FROM jsonb_each(r.attributes) AS a
        WHERE a.key ~ '^(client|network|http|url|user_agent|server|audit\.request|audit\.flow)\.'
    ),
    'params', (SELECT jsonb_object_agg(substr(a.key, 14), a.value) FROM jsonb_each(r.attributes) AS a WHERE a.key LIKE 'audit.params.%')
)) AS extra_data, r.resource
FROM @table@ AS r;
COMMENT ON VIEW @entries@ IS 'id, subject, strategy, audit_log, logged_at, action_name, status, extra_data (actor, tenant, request, params), resource';

-- Rows are only ever added. ALWAYS: also where session_replication_role says that triggers rest. Row triggers pass on to partitions
-- by themselves, statement triggers do not.
CREATE FUNCTION @append_only@() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON @table@ FOR EACH ROW EXECUTE FUNCTION @append_only@();
ALTER TABLE @table@ ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON @table@ FOR EACH STATEMENT EXECUTE FUNCTION @append_only@();
ALTER TABLE @table@ ENABLE ALWAYS TRIGGER no_truncate;

-- Those rows of a table for which "keep" is true into another of the same form, where they are not there yet.
CREATE FUNCTION @copy@(part text, origin regclass, keep text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    columns text := (
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = '@table@'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    );
BEGIN
    EXECUTE format('INSERT INTO @schema@.%I (%s) SELECT %s FROM %s AS r WHERE %s ON CONFLICT DO NOTHING', part, columns, columns, origin, keep);
END $$;

-- A table of the same form, with those rows of another, if one is named, for which "keep" is true; not a partition yet.
CREATE FUNCTION @build@(part text, origin regclass, keep text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TABLE @schema@.%I (LIKE @table@ INCLUDING ALL)', part);
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON @schema@.%I FOR EACH STATEMENT EXECUTE FUNCTION @append_only@()', part);
    EXECUTE format('ALTER TABLE @schema@.%I ENABLE ALWAYS TRIGGER no_truncate', part);
    IF origin IS NOT NULL THEN
        PERFORM @copy@(part, origin, keep);
    END IF;
END $$;

-- Put a table that "build" has made into the place of a partition, with the same bounds.
CREATE FUNCTION @replace@(part text, built text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bounds text := (SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = format('@schema@.%I', part)::regclass);
BEGIN
    EXECUTE format('DROP TABLE @schema@.%I', part);
    EXECUTE format('ALTER TABLE @schema@.%I RENAME TO %I', built, part);
    EXECUTE format('ALTER TABLE @table@ ATTACH PARTITION @schema@.%I %s', part, bounds);
END $$;

-- The partition for a day. True: it was made; false: it was there, or the day is so old, or so far ahead, that its records belong into
-- the partition for all others: whoever may write may not litter. Rows that are there already move. Writers go on meanwhile.
CREATE FUNCTION @ensure_partition@(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    rule record;
    begins timestamp;
    ends timestamp;
    part text;
    found boolean;
BEGIN
    SELECT * INTO STRICT rule FROM @settings@;
    IF rule.partitioning = 'monthly' THEN
        begins := date_trunc('month', day::timestamp);
        ends := begins + interval '1 month';
        part := '@table_name@_' || to_char(begins, 'YYYYMM');
    ELSE
        begins := day::timestamp;
        ends := begins + interval '1 day';
        part := '@table_name@_' || to_char(begins, 'YYYYMMDD');
    END IF;
    IF day > today + 31 OR day < today - coalesce(rule.lifetime_days, 3650)
        OR EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = '@schema@'::regnamespace) THEN
        RETURN false;
    END IF;
    PERFORM FROM @settings@ FOR UPDATE;  -- one at a time
    IF EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = '@schema@'::regnamespace) THEN
        RETURN false;
    END IF;
    SELECT EXISTS (SELECT FROM @rest@ AS r WHERE r.logged_at >= begins AT TIME ZONE 'UTC' AND r.logged_at < ends AT TIME ZONE 'UTC') INTO found;
    IF found THEN
        LOCK TABLE @table@ IN ACCESS EXCLUSIVE MODE;
        PERFORM @build@(part, '@rest@', format('r.logged_at >= %1$L AND r.logged_at < %2$L', begins || 'Z', ends || 'Z'));
        PERFORM @build@('@rest_name@_new', '@rest@', format('NOT (r.logged_at >= %1$L AND r.logged_at < %2$L)', begins || 'Z', ends || 'Z'));
        PERFORM @replace@('@rest_name@', '@rest_name@_new');
    ELSE
        PERFORM @build@(part, NULL, NULL);
    END IF;
    EXECUTE format('ALTER TABLE @table@ ATTACH PARTITION @schema@.%I FOR VALUES FROM (%L) TO (%L)', part, begins || 'Z', ends || 'Z');
    RETURN true;
END $$;

SELECT @build@('@rest_name@', NULL, NULL);
ALTER TABLE @table@ ATTACH PARTITION @rest@ DEFAULT;
SELECT @ensure_partition@((now() AT TIME ZONE 'UTC')::date + ahead) FROM generate_series(0, 1) AS ahead;

-- Who may do what. received_at is nobody's to give.
REVOKE ALL ON FUNCTION @append_only@(), @copy@(text, regclass, text), @build@(text, regclass, text), @replace@(text, text), @ensure_partition@(date) FROM PUBLIC;
GRANT USAGE ON SCHEMA @schema@ TO @writer@, @reader@, @retention@;
GRANT INSERT (logged_at, event, service, severity, trace_id, span_id, source, attributes, canonical) ON @table@ TO @writer@;
GRANT INSERT ON @sources@ TO @writer@;
GRANT EXECUTE ON FUNCTION @ensure_partition@(date) TO @writer@, @retention@;
GRANT SELECT ON @table@, @entries@, @sources@ TO @reader@;
GRANT SELECT ON @migrations@, @settings@ TO @writer@, @reader@, @retention@;
