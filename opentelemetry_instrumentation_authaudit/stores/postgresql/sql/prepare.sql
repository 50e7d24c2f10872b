-- Roles, schema, and leave to work as the owner. Everything here is done only where it is missing, so it needs only the rights for
-- what is missing: CREATEROLE for roles, CREATE on the database for the schema.
DO $prepare$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['@owner_name@', '@writer_name@', '@reader_name@', '@retention_name@'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    BEGIN
        SET ROLE @owner@;
        RESET ROLE;
    EXCEPTION WHEN insufficient_privilege THEN
        GRANT @owner@ TO CURRENT_USER;
        PERFORM pg_catalog.set_config('authaudit.member', 'for now', false);
    END;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = '@schema_name@') THEN
        CREATE SCHEMA @schema@ AUTHORIZATION @owner@;
    ELSIF NOT pg_catalog.has_schema_privilege('@owner_name@', '@schema_name@', 'CREATE') THEN
        GRANT USAGE, CREATE ON SCHEMA @schema@ TO @owner@;
    END IF;
END
$prepare$;
SET ROLE @owner@;
