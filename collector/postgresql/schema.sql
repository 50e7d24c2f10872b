-- Roles, schema, and leave to work as the owner. Everything here is done only where it is missing, so it needs only the rights for
-- what is missing: CREATEROLE for roles, CREATE on the database for the schema.
DO $prepare$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['audit_owner', 'audit_writer', 'audit_reader', 'audit_retention'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    BEGIN
        SET ROLE "audit_owner";
        RESET ROLE;
    EXCEPTION WHEN insufficient_privilege THEN
        GRANT "audit_owner" TO CURRENT_USER;
        PERFORM pg_catalog.set_config('authaudit.member', 'for now', false);
    END;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'audit') THEN
        CREATE SCHEMA "audit" AUTHORIZATION "audit_owner";
    ELSIF NOT pg_catalog.has_schema_privilege('audit_owner', 'audit', 'CREATE') THEN
        GRANT USAGE, CREATE ON SCHEMA "audit" TO "audit_owner";
    END IF;
END
$prepare$;
SET ROLE "audit_owner";

-- 0001_records.sql
CREATE TABLE "audit"."auth_audit_migrations" (
    version int PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE "audit"."auth_audit_migrations" IS 'Migrations of opentelemetry-instrumentation-authaudit that were applied to audit.auth_audit';

CREATE TABLE "audit"."auth_audit_settings" (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    partitioning text NOT NULL CHECK (partitioning IN ('daily', 'monthly')),
    lifetime_days int CHECK (lifetime_days > 0)
);
COMMENT ON COLUMN "audit"."auth_audit_settings".lifetime_days IS 'How long records are kept; NULL: for ever';
INSERT INTO "audit"."auth_audit_settings" (partitioning, lifetime_days) VALUES ('daily', 90);

-- What stands around records in OTLP: once for each day and process, not in every row.
CREATE TABLE "audit"."auth_audit_sources" (
    day date NOT NULL,
    source uuid NOT NULL,
    resource json NOT NULL,
    scope json NOT NULL,
    schema_url text NOT NULL,
    PRIMARY KEY (source, day),
    CHECK (source = substr(encode(sha256(convert_to(resource::text || E'\n' || scope::text || E'\n' || schema_url, 'UTF8')), 'hex'), 1, 32)::uuid)
);
COMMENT ON TABLE "audit"."auth_audit_sources" IS 'OTLP resource and scope of records, named by their digest';

-- A writer gives an event, its time and its attributes; every other column is worked out from these, so no two can disagree.
CREATE TABLE "audit"."auth_audit" (
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
COMMENT ON TABLE "audit"."auth_audit" IS 'Audit records of authentication events; append-only';
COMMENT ON COLUMN "audit"."auth_audit".attributes IS 'The whole record';
COMMENT ON COLUMN "audit"."auth_audit".canonical IS 'The record''s bytes, where attributes cannot hold them exactly (NUL characters, fractions of a microsecond)';

CREATE INDEX ON "audit"."auth_audit" (subject, logged_at) WHERE subject IS NOT NULL;
CREATE INDEX ON "audit"."auth_audit" (action_name, logged_at);
CREATE INDEX ON "audit"."auth_audit" (status, logged_at) WHERE status <> 'success';
CREATE INDEX ON "audit"."auth_audit" (identity, logged_at) WHERE status <> 'success';
CREATE INDEX ON "audit"."auth_audit" (tenant, logged_at) WHERE tenant IS NOT NULL;
CREATE INDEX ON "audit"."auth_audit" (client_address, logged_at) WHERE client_address IS NOT NULL;
CREATE INDEX ON "audit"."auth_audit" (stream_id, sequence);

-- Each entry as the seed has it; extra_data is put together when it is asked for: it repeats a quarter of what attributes hold.
CREATE VIEW "audit"."auth_audit_entries" WITH (security_invoker) AS
SELECT r.id, r.subject, r.strategy, r.audit_log, r.logged_at, r.action_name, r.status, jsonb_strip_nulls(jsonb_build_object(
    'actor', r.attributes->'audit.actor.id',
    'tenant', r.attributes->'audit.tenant',
    'request', (
        SELECT jsonb_object_agg(a.key, a.value) FROM jsonb_each(r.attributes) AS a
        WHERE a.key ~ '^(client|network|http|url|user_agent|server|audit\.request|audit\.flow)\.'
    ),
    'params', (SELECT jsonb_object_agg(substr(a.key, 14), a.value) FROM jsonb_each(r.attributes) AS a WHERE a.key LIKE 'audit.params.%')
)) AS extra_data, r.resource
FROM "audit"."auth_audit" AS r;
COMMENT ON VIEW "audit"."auth_audit_entries" IS 'id, subject, strategy, audit_log, logged_at, action_name, status, extra_data (actor, tenant, request, params), resource';

-- Rows are only ever added. ALWAYS: also where session_replication_role says that triggers rest. Row triggers pass on to partitions
-- by themselves, statement triggers do not.
CREATE FUNCTION "audit"."auth_audit_append_only"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON "audit"."auth_audit" FOR EACH ROW EXECUTE FUNCTION "audit"."auth_audit_append_only"();
ALTER TABLE "audit"."auth_audit" ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON "audit"."auth_audit" FOR EACH STATEMENT EXECUTE FUNCTION "audit"."auth_audit_append_only"();
ALTER TABLE "audit"."auth_audit" ENABLE ALWAYS TRIGGER no_truncate;

-- Those rows of a table for which "keep" is true into another of the same form, where they are not there yet.
CREATE FUNCTION "audit"."auth_audit_copy"(part text, origin regclass, keep text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    columns text := (
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = '"audit"."auth_audit"'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    );
BEGIN
    EXECUTE format('INSERT INTO "audit".%I (%s) SELECT %s FROM %s AS r WHERE %s ON CONFLICT DO NOTHING', part, columns, columns, origin, keep);
END $$;

-- A table of the same form, with those rows of another, if one is named, for which "keep" is true; not a partition yet.
CREATE FUNCTION "audit"."auth_audit_build"(part text, origin regclass, keep text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TABLE "audit".%I (LIKE "audit"."auth_audit" INCLUDING ALL)', part);
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON "audit".%I FOR EACH STATEMENT EXECUTE FUNCTION "audit"."auth_audit_append_only"()', part);
    EXECUTE format('ALTER TABLE "audit".%I ENABLE ALWAYS TRIGGER no_truncate', part);
    IF origin IS NOT NULL THEN
        PERFORM "audit"."auth_audit_copy"(part, origin, keep);
    END IF;
END $$;

-- Put a table that "build" has made into the place of a partition, with the same bounds.
CREATE FUNCTION "audit"."auth_audit_replace"(part text, built text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bounds text := (SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = format('"audit".%I', part)::regclass);
BEGIN
    EXECUTE format('DROP TABLE "audit".%I', part);
    EXECUTE format('ALTER TABLE "audit".%I RENAME TO %I', built, part);
    EXECUTE format('ALTER TABLE "audit"."auth_audit" ATTACH PARTITION "audit".%I %s', part, bounds);
END $$;

-- The partition for a day. True: it was made; false: it was there, or the day is so old, or so far ahead, that its records belong into
-- the partition for all others: whoever may write may not litter. Rows that are there already move. Writers go on meanwhile.
CREATE FUNCTION "audit"."auth_audit_ensure_partition"(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    rule record;
    begins timestamp;
    ends timestamp;
    part text;
    found boolean;
BEGIN
    SELECT * INTO STRICT rule FROM "audit"."auth_audit_settings";
    IF rule.partitioning = 'monthly' THEN
        begins := date_trunc('month', day::timestamp);
        ends := begins + interval '1 month';
        part := 'auth_audit_' || to_char(begins, 'YYYYMM');
    ELSE
        begins := day::timestamp;
        ends := begins + interval '1 day';
        part := 'auth_audit_' || to_char(begins, 'YYYYMMDD');
    END IF;
    IF day > today + 31 OR day < today - coalesce(rule.lifetime_days, 3650)
        OR EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = '"audit"'::regnamespace) THEN
        RETURN false;
    END IF;
    PERFORM FROM "audit"."auth_audit_settings" FOR UPDATE;  -- one at a time
    IF EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = '"audit"'::regnamespace) THEN
        RETURN false;
    END IF;
    SELECT EXISTS (SELECT FROM "audit"."auth_audit_rest" AS r WHERE r.logged_at >= begins AT TIME ZONE 'UTC' AND r.logged_at < ends AT TIME ZONE 'UTC') INTO found;
    IF found THEN
        LOCK TABLE "audit"."auth_audit" IN ACCESS EXCLUSIVE MODE;
        PERFORM "audit"."auth_audit_build"(part, '"audit"."auth_audit_rest"', format('r.logged_at >= %1$L AND r.logged_at < %2$L', begins || 'Z', ends || 'Z'));
        PERFORM "audit"."auth_audit_build"('auth_audit_rest_new', '"audit"."auth_audit_rest"', format('NOT (r.logged_at >= %1$L AND r.logged_at < %2$L)', begins || 'Z', ends || 'Z'));
        PERFORM "audit"."auth_audit_replace"('auth_audit_rest', 'auth_audit_rest_new');
    ELSE
        PERFORM "audit"."auth_audit_build"(part, NULL, NULL);
    END IF;
    EXECUTE format('ALTER TABLE "audit"."auth_audit" ATTACH PARTITION "audit".%I FOR VALUES FROM (%L) TO (%L)', part, begins || 'Z', ends || 'Z');
    RETURN true;
END $$;

SELECT "audit"."auth_audit_build"('auth_audit_rest', NULL, NULL);
ALTER TABLE "audit"."auth_audit" ATTACH PARTITION "audit"."auth_audit_rest" DEFAULT;
SELECT "audit"."auth_audit_ensure_partition"((now() AT TIME ZONE 'UTC')::date + ahead) FROM generate_series(0, 1) AS ahead;

-- Who may do what. received_at is nobody's to give.
REVOKE ALL ON FUNCTION "audit"."auth_audit_append_only"(), "audit"."auth_audit_copy"(text, regclass, text), "audit"."auth_audit_build"(text, regclass, text), "audit"."auth_audit_replace"(text, text), "audit"."auth_audit_ensure_partition"(date) FROM PUBLIC;
GRANT USAGE ON SCHEMA "audit" TO "audit_writer", "audit_reader", "audit_retention";
GRANT INSERT (logged_at, event, service, severity, trace_id, span_id, source, attributes, canonical) ON "audit"."auth_audit" TO "audit_writer";
GRANT INSERT ON "audit"."auth_audit_sources" TO "audit_writer";
GRANT EXECUTE ON FUNCTION "audit"."auth_audit_ensure_partition"(date) TO "audit_writer", "audit_retention";
GRANT SELECT ON "audit"."auth_audit", "audit"."auth_audit_entries", "audit"."auth_audit_sources" TO "audit_reader";
GRANT SELECT ON "audit"."auth_audit_migrations", "audit"."auth_audit_settings" TO "audit_writer", "audit_reader", "audit_retention";
INSERT INTO "audit"."auth_audit_migrations" (version, name) VALUES (1, 'records');

RESET ROLE;
-- Nobody is left behind as a member of the owner.
DO $finish$
BEGIN
    IF pg_catalog.current_setting('authaudit.member', true) = 'for now' THEN
        REVOKE "audit_owner" FROM CURRENT_USER;
        PERFORM pg_catalog.set_config('authaudit.member', '', false);
    END IF;
END
$finish$;

-- Roles, schema, and leave to work as the owner. Everything here is done only where it is missing, so it needs only the rights for
-- what is missing: CREATEROLE for roles, CREATE on the database for the schema.
DO $prepare$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['audit_owner', 'audit_writer', 'audit_reader', 'audit_retention'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    BEGIN
        SET ROLE "audit_owner";
        RESET ROLE;
    EXCEPTION WHEN insufficient_privilege THEN
        GRANT "audit_owner" TO CURRENT_USER;
        PERFORM pg_catalog.set_config('authaudit.member', 'for now', false);
    END;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'audit') THEN
        CREATE SCHEMA "audit" AUTHORIZATION "audit_owner";
    ELSIF NOT pg_catalog.has_schema_privilege('audit_owner', 'audit', 'CREATE') THEN
        GRANT USAGE, CREATE ON SCHEMA "audit" TO "audit_owner";
    END IF;
END
$prepare$;
SET ROLE "audit_owner";

-- 0002_retention.sql
-- How long records are kept stands in a table that only the retention role may change: whoever writes may ask for what is due to be
-- done, not shorten it.
ALTER TABLE "audit"."auth_audit_settings"
    ADD archive_before_delete boolean NOT NULL DEFAULT false,
    ADD archived_until timestamptz;
COMMENT ON COLUMN "audit"."auth_audit_settings".archive_before_delete IS 'Nothing is deleted that is not older than archived_until';

CREATE TABLE "audit"."auth_audit_holds" (
    id text COLLATE "C" PRIMARY KEY DEFAULT gen_random_uuid(),
    subject text COLLATE "C",
    tenant text COLLATE "C",
    reason text NOT NULL DEFAULT '',
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz,
    placed_by text NOT NULL DEFAULT session_user,
    CHECK ((subject IS NULL) <> (tenant IS NULL))
);
COMMENT ON TABLE "audit"."auth_audit_holds" IS 'Legal holds: records of a subject, or of a tenant, are kept whatever their age; until: it ends, or was released, then';

-- Removes the records from before today (UTC, at "moment") minus the lifetime, but for those under a legal hold. Rows are never
-- deleted: a partition is dropped, or made again with what is kept. What is kept is copied while others go on writing; they wait only
-- while partitions change places, and what they have added meanwhile is copied then. One row for each partition that was touched, or
-- with "dry_run" would be.
CREATE FUNCTION "audit"."auth_audit_expire"(moment timestamptz, dry_run boolean DEFAULT false)
RETURNS TABLE (partition text, removed bigint, kept bigint, dropped boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' SET "TimeZone" = 'UTC' AS $$
DECLARE
    rule record;
    part record;
    cutoff timestamptz;
    keep text;
    counting text := 'SELECT count(*) FILTER (WHERE NOT k), count(*) FILTER (WHERE k) FROM (SELECT %s AS k FROM "audit".%I AS r) AS counted';
    found jsonb := '[]';
BEGIN
    SELECT * INTO STRICT rule FROM "audit"."auth_audit_settings";
    IF NOT dry_run THEN
        SELECT * INTO STRICT rule FROM "audit"."auth_audit_settings" FOR UPDATE;  -- one at a time
    END IF;
    cutoff := date_trunc('day', moment) - rule.lifetime_days * interval '1 day';
    IF rule.archive_before_delete THEN
        cutoff := least(cutoff, coalesce(rule.archived_until, '-infinity'));
    END IF;
    IF cutoff IS NULL THEN
        RETURN;
    END IF;
    keep := format(
        '(r.logged_at >= %L OR EXISTS (SELECT FROM "audit"."auth_audit_holds" AS h WHERE (h.until IS NULL OR h.until > %L)
          AND (h.subject IN (r.attributes->>''user.id'', r.attributes->>''audit.actor.id'') OR h.tenant = r.attributes->>''audit.tenant'')))', cutoff, moment
    );
    FOR part IN
        SELECT c.relname AS name, b.bounds = 'DEFAULT' AS rest,
            substring(b.bounds FROM 'FROM \(''([^'']*)''\)')::timestamptz AS begins, substring(b.bounds FROM 'TO \(''([^'']*)''\)')::timestamptz AS ends
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid, LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds) AS b
        WHERE i.inhparent = '"audit"."auth_audit"'::regclass AND c.relnamespace = '"audit"'::regnamespace
        ORDER BY c.relname
    LOOP
        CONTINUE WHEN part.begins >= cutoff;
        EXECUTE format(counting, keep, part.name) INTO removed, kept;
        partition := part.name;
        dropped := kept = 0 AND part.ends <= cutoff AND NOT part.rest;
        CONTINUE WHEN removed = 0 AND dropped IS NOT TRUE;
        IF dry_run THEN
            RETURN NEXT;
            CONTINUE;
        END IF;
        IF NOT dropped THEN
            PERFORM "audit"."auth_audit_build"(part.name || '_new', format('"audit".%I', part.name)::regclass, keep);
        END IF;
        found := found || jsonb_build_object('name', part.name, 'count', removed + kept, 'dropped', dropped);
    END LOOP;
    IF found = '[]' THEN
        RETURN;
    END IF;
    LOCK TABLE "audit"."auth_audit" IN ACCESS EXCLUSIVE MODE;
    FOR part IN SELECT f->>'name' AS name, (f->>'count')::bigint AS count, (f->>'dropped')::boolean AS dropped FROM jsonb_array_elements(found) AS f LOOP
        EXECUTE format(counting, keep, part.name) INTO removed, kept;
        partition := part.name;
        dropped := part.dropped AND kept = 0;
        IF dropped THEN
            EXECUTE format('DROP TABLE "audit".%I', part.name);
        ELSE
            IF part.dropped THEN
                PERFORM "audit"."auth_audit_build"(part.name || '_new', format('"audit".%I', part.name)::regclass, keep);
            ELSIF removed + kept <> part.count THEN
                PERFORM "audit"."auth_audit_copy"(part.name || '_new', format('"audit".%I', part.name)::regclass, keep);
            END IF;
            PERFORM "audit"."auth_audit_replace"(part.name, part.name || '_new');
        END IF;
        RETURN NEXT;
    END LOOP;
    DELETE FROM "audit"."auth_audit_sources" AS s WHERE s.day < cutoff::date AND NOT EXISTS (
        SELECT FROM "audit"."auth_audit" AS r WHERE r.logged_at >= s.day::timestamptz AND r.logged_at < (s.day + 1)::timestamptz
    );
END $$;

-- The same, now: what whoever writes may call.
CREATE FUNCTION "audit"."auth_audit_apply_retention"() RETURNS TABLE (partition text, removed bigint, kept bigint, dropped boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM "audit"."auth_audit_expire"(now()) $$;

REVOKE ALL ON FUNCTION "audit"."auth_audit_expire"(timestamptz, boolean), "audit"."auth_audit_apply_retention"() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION "audit"."auth_audit_expire"(timestamptz, boolean) TO "audit_retention";
GRANT EXECUTE ON FUNCTION "audit"."auth_audit_apply_retention"() TO "audit_writer", "audit_retention";
GRANT UPDATE (lifetime_days, archive_before_delete, archived_until) ON "audit"."auth_audit_settings" TO "audit_retention";
GRANT SELECT, INSERT, UPDATE (until) ON "audit"."auth_audit_holds" TO "audit_retention";
INSERT INTO "audit"."auth_audit_migrations" (version, name) VALUES (2, 'retention');

RESET ROLE;
-- Nobody is left behind as a member of the owner.
DO $finish$
BEGIN
    IF pg_catalog.current_setting('authaudit.member', true) = 'for now' THEN
        REVOKE "audit_owner" FROM CURRENT_USER;
        PERFORM pg_catalog.set_config('authaudit.member', '', false);
    END IF;
END
$finish$;

-- Roles, schema, and leave to work as the owner. Everything here is done only where it is missing, so it needs only the rights for
-- what is missing: CREATEROLE for roles, CREATE on the database for the schema.
DO $prepare$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['audit_owner', 'audit_writer', 'audit_reader', 'audit_retention'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    BEGIN
        SET ROLE "audit_owner";
        RESET ROLE;
    EXCEPTION WHEN insufficient_privilege THEN
        GRANT "audit_owner" TO CURRENT_USER;
        PERFORM pg_catalog.set_config('authaudit.member', 'for now', false);
    END;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'audit') THEN
        CREATE SCHEMA "audit" AUTHORIZATION "audit_owner";
    ELSIF NOT pg_catalog.has_schema_privilege('audit_owner', 'audit', 'CREATE') THEN
        GRANT USAGE, CREATE ON SCHEMA "audit" TO "audit_owner";
    END IF;
END
$prepare$;
SET ROLE "audit_owner";

-- 0003_sessions.sql
-- Everything that was done in one session.
ALTER TABLE "audit"."auth_audit" ADD session_id text COLLATE "C" GENERATED ALWAYS AS (left(attributes->>'session.id', 256)) STORED;
CREATE INDEX ON "audit"."auth_audit" (session_id, logged_at) WHERE session_id IS NOT NULL;
INSERT INTO "audit"."auth_audit_migrations" (version, name) VALUES (3, 'sessions');

RESET ROLE;
-- Nobody is left behind as a member of the owner.
DO $finish$
BEGIN
    IF pg_catalog.current_setting('authaudit.member', true) = 'for now' THEN
        REVOKE "audit_owner" FROM CURRENT_USER;
        PERFORM pg_catalog.set_config('authaudit.member', '', false);
    END IF;
END
$finish$;
