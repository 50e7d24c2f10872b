"""Who may do what in PostgreSQL: everything that a role is not for is tried, and refused, and nothing has changed then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import psycopg
import pytest
from psycopg import errors, sql

from opentelemetry_instrumentation_authaudit.pipeline.answers import ACCEPTED
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.store import open_store

from .postgresql_server import LOGINS, Server
from .recorded import recorded

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

INSERT: Final = (
    "INSERT INTO audit.auth_audit (logged_at, event, service, source, attributes{more}) VALUES (now(), 'auth.sign_in', '', "
    'gen_random_uuid(), \'{{"audit.record.id": "forged"}}\'{values})'
)
PLAIN: Final = INSERT.format(more="", values="")

CHANGES: Final = (
    "UPDATE audit.auth_audit SET event = 'x'",
    "UPDATE audit.auth_audit SET attributes = '{}' WHERE false",
    "UPDATE audit.auth_audit_20261120 SET event = 'x'",
    "DELETE FROM audit.auth_audit",
    "DELETE FROM ONLY audit.auth_audit",
    "DELETE FROM audit.auth_audit_20261120",
    "DELETE FROM audit.auth_audit_entries",
    "TRUNCATE audit.auth_audit",
    "TRUNCATE audit.auth_audit_20261120",
    "MERGE INTO audit.auth_audit AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
    "LOCK TABLE audit.auth_audit IN ACCESS EXCLUSIVE MODE",
    "SELECT 1 FROM audit.auth_audit FOR UPDATE",
    "DROP TABLE audit.auth_audit",
    "DROP TABLE audit.auth_audit_20261120",
    "DROP SCHEMA audit CASCADE",
    "DROP FUNCTION audit.auth_audit_append_only() CASCADE",
    "DROP TRIGGER append_only ON audit.auth_audit",
    "ALTER TABLE audit.auth_audit DISABLE TRIGGER ALL",
    "ALTER TABLE audit.auth_audit_20261120 DISABLE TRIGGER append_only",
    "ALTER TABLE audit.auth_audit DETACH PARTITION audit.auth_audit_20261120",
    "ALTER TABLE audit.auth_audit ADD extra text",
    "ALTER TABLE audit.auth_audit RENAME TO gone",
    "ALTER TABLE audit.auth_audit OWNER TO CURRENT_USER",
    "ALTER TABLE audit.auth_audit ENABLE ROW LEVEL SECURITY",
    "ALTER SCHEMA audit RENAME TO gone",
    "CREATE OR REPLACE FUNCTION audit.auth_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "ALTER FUNCTION audit.auth_audit_ensure_partition(date) RESET ALL",
    "CREATE TABLE audit.mine ()",
    "CREATE TABLE audit.auth_audit_20300101 PARTITION OF audit.auth_audit FOR VALUES FROM ('2030-01-01') TO ('2030-01-02')",
    "CREATE TRIGGER mine BEFORE INSERT ON audit.auth_audit FOR EACH ROW EXECUTE FUNCTION audit.auth_audit_append_only()",
    "CREATE RULE mine AS ON INSERT TO audit.auth_audit DO INSTEAD NOTHING",
    "CREATE POLICY mine ON audit.auth_audit USING (true)",
    "CREATE INDEX mine ON audit.auth_audit (event)",
    "SET ROLE audit_owner",
    "SET ROLE admin",
    "SET SESSION AUTHORIZATION audit_owner",
    "SET session_replication_role = replica",
    "GRANT audit_owner TO CURRENT_USER",
    "GRANT ALL ON audit.auth_audit TO CURRENT_USER",
    "GRANT CREATE ON SCHEMA audit TO PUBLIC",
    "ALTER ROLE audit_owner LOGIN PASSWORD 'x'",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "CREATE ROLE mine",
    "DROP ROLE audit_owner",
    "REASSIGN OWNED BY audit_owner TO CURRENT_USER",
    "DROP OWNED BY audit_owner",
    "ALTER SYSTEM SET fsync = off",
    "COPY audit.auth_audit FROM PROGRAM 'true'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('pg_hba.conf')",
    "SELECT audit.auth_audit_build('mine', NULL, NULL)",
    "SELECT audit.auth_audit_replace('auth_audit_20261120', 'mine')",
    "SELECT audit.auth_audit_copy('mine', 'audit.auth_audit_20261120', 'true')",
    "UPDATE audit.auth_audit_settings SET partitioning = 'monthly'",
    "DELETE FROM audit.auth_audit_settings",
    "TRUNCATE audit.auth_audit_settings",
    "INSERT INTO audit.auth_audit_settings (only_row, partitioning) VALUES (true, 'daily')",
    "DELETE FROM audit.auth_audit_migrations",
    "INSERT INTO audit.auth_audit_migrations (version, name) VALUES (99, 'mine')",
    "UPDATE audit.auth_audit_sources SET schema_url = 'x'",
    "DELETE FROM audit.auth_audit_sources",
    "DELETE FROM audit.auth_audit_holds",
    "UPDATE audit.auth_audit_holds SET subject = 'x'",
)
"""What none of the roles may."""
WRITES: Final = (
    PLAIN,
    "COPY audit.auth_audit (logged_at, event, service, source, attributes) FROM STDIN",
    PLAIN.replace("audit.auth_audit ", "audit.auth_audit_20261120 "),
    "INSERT INTO audit.auth_audit_sources (source, day, resource, scope, schema_url) VALUES (gen_random_uuid(), now(), '{}', '{}', '')",
)
READS: Final = (
    "SELECT * FROM audit.auth_audit",
    "SELECT count(*) FROM audit.auth_audit",
    "SELECT id FROM audit.auth_audit_20261120",
    "SELECT * FROM audit.auth_audit_entries",
    "SELECT * FROM audit.auth_audit_sources",
    "COPY audit.auth_audit_20261120 TO STDOUT",
    "COPY (SELECT attributes FROM audit.auth_audit) TO STDOUT",
    "EXPLAIN ANALYZE SELECT * FROM audit.auth_audit",
)
KEEPS: Final = (
    "SELECT * FROM audit.auth_audit_expire(now())",
    "SELECT * FROM audit.auth_audit_expire(now() + interval '100 years')",
    "SELECT * FROM audit.auth_audit_expire(now(), true)",
    "UPDATE audit.auth_audit_settings SET lifetime_days = 1",
    "UPDATE audit.auth_audit_settings SET lifetime_days = 100000",
    "UPDATE audit.auth_audit_settings SET archived_until = now()",
    "UPDATE audit.auth_audit_settings SET archive_before_delete = false",
    "INSERT INTO audit.auth_audit_holds (subject) VALUES ('x')",
    "UPDATE audit.auth_audit_holds SET until = now()",
    "SELECT * FROM audit.auth_audit_holds",
)
ASKS: Final = ("SELECT audit.auth_audit_ensure_partition('2026-11-24')", "SELECT * FROM audit.auth_audit_apply_retention()")
SLY: Final = (
    INSERT.format(more=", received_at", values=", '2020-01-01'"),
    PLAIN + " RETURNING id",
    PLAIN + " ON CONFLICT (logged_at, id) DO NOTHING",
    PLAIN + " ON CONFLICT (logged_at, id) DO UPDATE SET event = 'x'",
    "INSERT INTO audit.auth_audit (logged_at, event, service, source, attributes) SELECT logged_at, event, service, source, attributes FROM audit.auth_audit",
    "COPY audit.auth_audit (logged_at, received_at) FROM STDIN",
)
"""What a writer might try with the right to add."""

WARNED: Final = ("GRANT ALL ON", "GRANT CREATE ON")
"""Who has any right on a thing is only warned that others cannot be passed on: what counts is that nothing has changed."""

FORBIDDEN: Final = {
    "app": (*CHANGES, *READS, *KEEPS, *SLY, WRITES[2]),
    "auditor": (*CHANGES, *WRITES, *KEEPS, *ASKS, *SLY, READS[2], READS[5]),
    "keeper": (*CHANGES, *WRITES, *READS, *SLY),
    "stranger": (*CHANGES, *WRITES, *READS, *KEEPS, *ASKS, *SLY, "SELECT * FROM audit.auth_audit_settings"),
}


@pytest.fixture(scope="module")
def guarded(postgresql: Server) -> Iterator[str]:
    """A database with a recorded day, and how it looks to the superuser."""
    name = postgresql.make_database("guarded", "template")
    sender = open_store(postgresql.url(name, "app")).sender()
    for batch in recorded().batches():
        assert sender.send(batch) == ACCEPTED
    sender.close()
    yield name
    with postgresql.connect("postgres") as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


LOOK: Final = """
SELECT (SELECT count(*) || md5(string_agg(r::text, '' ORDER BY logged_at, id)) FROM audit.auth_audit AS r),
    (SELECT string_agg(s::text, '') FROM audit.auth_audit_settings AS s), (SELECT count(*) FROM audit.auth_audit_holds),
    (SELECT string_agg(m::text, '' ORDER BY version) FROM audit.auth_audit_migrations AS m), (SELECT count(*) FROM audit.auth_audit_sources),
    (SELECT string_agg(concat(relname, relowner, relacl, relrowsecurity), '' ORDER BY relname) FROM pg_class WHERE relnamespace = 'audit'::regnamespace),
    (SELECT string_agg(concat(tgname, tgrelid, tgenabled), '' ORDER BY tgrelid, tgname) FROM pg_trigger),
    (SELECT string_agg(concat(r.rolname, r.rolsuper, r.rolcanlogin), '' ORDER BY r.rolname) FROM pg_roles AS r), (SELECT count(*) FROM pg_auth_members)
"""


def look(connection: Connection) -> tuple[Any, ...] | None:
    """Everything that must stay as it is."""
    return connection.execute(LOOK).fetchone()


def attempt(connection: Connection, statement: str) -> None:
    """Do it, whatever it is."""
    text = sql.SQL(statement)
    if statement.startswith("COPY") and "PROGRAM" not in statement:
        with connection.cursor() as cursor, cursor.copy(text) as copy:
            if "FROM STDIN" in statement:
                copy.write(b"")
            else:
                list(copy)
    elif statement.startswith("LOCK"):
        with connection.transaction():
            connection.execute(text)
    else:
        connection.execute(text)


@pytest.mark.parametrize("login", FORBIDDEN)
def test_what_a_role_is_not_for_is_refused(login: str, postgresql: Server, guarded: str) -> None:
    """Reading, changing, deleting, loosening, passing on, becoming another: each is refused, and everything is as it was."""
    not_refused: list[str] = []
    with postgresql.connect(guarded) as admin, postgresql.connect(guarded, login) as connection:
        before = look(admin)
        for statement in FORBIDDEN[login]:
            try:
                attempt(connection, statement)
            except errors.InsufficientPrivilege:
                pass
            except psycopg.Error as error:
                not_refused.append(f"{statement}: {error}")
            else:
                if not statement.startswith(WARNED):
                    not_refused.append(f"{statement}: was done")
            if look(admin) != before:
                not_refused.append(f"{statement}: has changed something")
                before = look(admin)
    assert not_refused == []


@pytest.mark.parametrize("login", ["app", "admin"])
def test_what_the_server_works_out_cannot_be_given(login: str, postgresql: Server, guarded: str) -> None:
    """A row whose subject is another than that of its attributes cannot be written, by nobody."""
    with postgresql.connect(guarded, login) as connection:
        for column, value in (
            ("id", "'x'"),
            ("subject", "'x'"),
            ("status", "'success'"),
            ("sequence", "1"),
            ("session_id", "'x'"),
        ):
            with pytest.raises((errors.GeneratedAlways, errors.InsufficientPrivilege)):
                attempt(connection, INSERT.format(more=f", {column}", values=f", {value}"))


UNDOING: Final = (
    "UPDATE audit.auth_audit SET event = 'x'",
    "UPDATE audit.auth_audit_20261120 SET event = 'x'",
    "DELETE FROM audit.auth_audit",
    "DELETE FROM audit.auth_audit_20261120",
    "DELETE FROM audit.auth_audit WHERE subject = 'auth.user:1'",
    "TRUNCATE audit.auth_audit",
    "TRUNCATE audit.auth_audit_20261120",
    "TRUNCATE audit.auth_audit_rest",
    "MERGE INTO audit.auth_audit AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
    (
        "INSERT INTO audit.auth_audit (logged_at, event, source, attributes) SELECT logged_at, event, source, attributes FROM audit.auth_audit"
        " ON CONFLICT (logged_at, id) DO UPDATE SET event = 'x'"
    ),
)


@pytest.mark.parametrize("before", ["RESET ROLE", "SET ROLE audit_owner", "SET session_replication_role = replica"])
def test_not_even_a_superuser_changes_rows_by_accident(before: str, postgresql: Server, guarded: str) -> None:
    """Triggers stop the owner and the superuser too, also when triggers are told to rest. Who removes them is found by the chain."""
    with postgresql.connect(guarded) as admin:
        seen = look(admin)
        admin.execute(sql.SQL(before))
        for statement in UNDOING:
            with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
                attempt(admin, statement)
        admin.execute("RESET ROLE")
        admin.execute("RESET session_replication_role")
        assert look(admin) == seen


def test_new_partitions_are_guarded_too(postgresql: Server, database: str) -> None:
    """Every partition has both triggers, always on, whoever made it."""
    with postgresql.connect(database, "app") as app:
        app.execute("SELECT audit.auth_audit_ensure_partition((now() AT TIME ZONE 'UTC')::date + 9)")
    with postgresql.connect(database) as admin:
        rows = admin.execute("""
            SELECT c.relname, string_agg(concat(t.tgname, t.tgenabled), ' ' ORDER BY t.tgname) FROM pg_class AS c LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid
            WHERE c.relkind IN ('r', 'p') AND c.relname ~ '^auth_audit($|_[0-9]|_rest)' GROUP BY 1""").fetchall()
    assert len(rows) == 5
    assert {triggers for _, triggers in rows} == {"append_onlyA no_truncateA"}


@pytest.mark.parametrize("login", LOGINS)
def test_each_role_can_do_what_it_is_for(login: str, postgresql: Server, guarded: str) -> None:
    """Otherwise the refusals above would prove nothing."""
    allowed = {
        "app": (*WRITES[:2], *ASKS, "SELECT * FROM audit.auth_audit_settings", PLAIN + " ON CONFLICT DO NOTHING"),
        "auditor": (*READS[:2], *READS[3:5], *READS[6:], "SELECT * FROM audit.auth_audit_migrations"),
        "keeper": (*KEEPS[2:], *ASKS, "UPDATE audit.auth_audit_settings SET lifetime_days = 90"),
        "stranger": ("SELECT 1",),
    }
    with postgresql.connect(guarded, login) as connection, connection.transaction(force_rollback=True):
        for statement in allowed[login]:
            attempt(connection, statement)


def test_a_writer_cannot_hand_over_to_a_function_of_its_own(postgresql: Server, database: str) -> None:
    """Functions that run as the owner look nowhere else: a table, an operator or a type of the same name in the caller's path is not seen."""
    with postgresql.connect(database) as admin:
        admin.execute("GRANT CREATE ON SCHEMA public TO app")
    with postgresql.connect(database, "app") as app:
        app.execute("CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '2100-01-01' $$")
        app.execute(
            "CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'DROP TABLE audit.auth_audit' $$"
        )
        app.execute("CREATE TEMPORARY TABLE auth_audit_settings AS SELECT 1 AS lifetime_days")
        app.execute("SET search_path = public, pg_temp, pg_catalog")
        app.execute("SELECT audit.auth_audit_ensure_partition('2026-11-24')")
        assert app.execute("SELECT * FROM audit.auth_audit_apply_retention()").fetchall() == []
    store = open_store(postgresql.url(database, "auditor"))
    assert list(store.records(Filters())) == []
    store.close()
