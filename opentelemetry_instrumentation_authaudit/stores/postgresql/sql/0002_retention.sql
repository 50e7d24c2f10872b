-- How long records are kept stands in a table that only the retention role may change: whoever writes may ask for what is due to be
-- done, not shorten it.
ALTER TABLE @settings@
    ADD archive_before_delete boolean NOT NULL DEFAULT false,
    ADD archived_until timestamptz;
COMMENT ON COLUMN @settings@.archive_before_delete IS 'Nothing is deleted that is not older than archived_until';

CREATE TABLE @holds@ (
    id text COLLATE "C" PRIMARY KEY DEFAULT gen_random_uuid(),
    subject text COLLATE "C",
    tenant text COLLATE "C",
    reason text NOT NULL DEFAULT '',
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz,
    placed_by text NOT NULL DEFAULT session_user,
    CHECK ((subject IS NULL) <> (tenant IS NULL))
);
COMMENT ON TABLE @holds@ IS 'Legal holds: records of a subject, or of a tenant, are kept whatever their age; until: it ends, or was released, then';

-- Removes the records from before today (UTC, at "moment") minus the lifetime, but for those under a legal hold. Rows are never
-- deleted: a partition is dropped, or made again with what is kept. What is kept is copied while others go on writing; they wait only
-- while partitions change places, and what they have added meanwhile is copied then. One row for each partition that was touched, or
-- with "dry_run" would be.
CREATE FUNCTION @expire@(moment timestamptz, dry_run boolean DEFAULT false)
RETURNS TABLE (partition text, removed bigint, kept bigint, dropped boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' SET "TimeZone" = 'UTC' AS $$
DECLARE
    rule record;
    part record;
    cutoff timestamptz;
    keep text;
    counting text := 'SELECT count(*) FILTER (WHERE NOT k), count(*) FILTER (WHERE k) FROM (SELECT %s AS k FROM @schema@.%I AS r) AS counted';
    found jsonb := '[]';
BEGIN
    SELECT * INTO STRICT rule FROM @settings@;
    IF NOT dry_run THEN
        SELECT * INTO STRICT rule FROM @settings@ FOR UPDATE;  -- one at a time
    END IF;
    cutoff := date_trunc('day', moment) - rule.lifetime_days * interval '1 day';
    IF rule.archive_before_delete THEN
        cutoff := least(cutoff, coalesce(rule.archived_until, '-infinity'));
    END IF;
    IF cutoff IS NULL THEN
        RETURN;
    END IF;
    keep := format(
        '(r.logged_at >= %L OR EXISTS (SELECT FROM @holds@ AS h WHERE (h.until IS NULL OR h.until > %L)
          AND (h.subject IN (r.attributes->>''user.id'', r.attributes->>''audit.actor.id'') OR h.tenant = r.attributes->>''audit.tenant'')))', cutoff, moment
    );
    FOR part IN
        SELECT c.relname AS name, b.bounds = 'DEFAULT' AS rest,
            substring(b.bounds FROM 'FROM \(''([^'']*)''\)')::timestamptz AS begins, substring(b.bounds FROM 'TO \(''([^'']*)''\)')::timestamptz AS ends
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid, LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds) AS b
        WHERE i.inhparent = '@table@'::regclass AND c.relnamespace = '@schema@'::regnamespace
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
            PERFORM @build@(part.name || '_new', format('@schema@.%I', part.name)::regclass, keep);
        END IF;
        found := found || jsonb_build_object('name', part.name, 'count', removed + kept, 'dropped', dropped);
    END LOOP;
    IF found = '[]' THEN
        RETURN;
    END IF;
    LOCK TABLE @table@ IN ACCESS EXCLUSIVE MODE;
    FOR part IN SELECT f->>'name' AS name, (f->>'count')::bigint AS count, (f->>'dropped')::boolean AS dropped FROM jsonb_array_elements(found) AS f LOOP
        EXECUTE format(counting, keep, part.name) INTO removed, kept;
        partition := part.name;
        dropped := part.dropped AND kept = 0;
        IF dropped THEN
            EXECUTE format('DROP TABLE @schema@.%I', part.name);
        ELSE
            IF part.dropped THEN
                PERFORM @build@(part.name || '_new', format('@schema@.%I', part.name)::regclass, keep);
            ELSIF removed + kept <> part.count THEN
                PERFORM @copy@(part.name || '_new', format('@schema@.%I', part.name)::regclass, keep);
            END IF;
            PERFORM @replace@(part.name, part.name || '_new');
        END IF;
        RETURN NEXT;
    END LOOP;
    DELETE FROM @sources@ AS s WHERE s.day < cutoff::date AND NOT EXISTS (
        SELECT FROM @table@ AS r WHERE r.logged_at >= s.day::timestamptz AND r.logged_at < (s.day + 1)::timestamptz
    );
END $$;

-- The same, now: what whoever writes may call.
CREATE FUNCTION @apply_retention@() RETURNS TABLE (partition text, removed bigint, kept bigint, dropped boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM @expire@(now()) $$;

REVOKE ALL ON FUNCTION @expire@(timestamptz, boolean), @apply_retention@() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @expire@(timestamptz, boolean) TO @retention@;
GRANT EXECUTE ON FUNCTION @apply_retention@() TO @writer@, @retention@;
GRANT UPDATE (lifetime_days, archive_before_delete, archived_until) ON @settings@ TO @retention@;
GRANT SELECT, INSERT, UPDATE (until) ON @holds@ TO @retention@;
