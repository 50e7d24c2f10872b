"""`authaudit store init|upgrade` on a real server: as often as one likes, by whoever may, in one transaction or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from opentelemetry_instrumentation_authaudit.cli import main
from opentelemetry_instrumentation_authaudit.pipeline.answers import ACCEPTED, Verdict
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.installer import Wishes
from opentelemetry_instrumentation_authaudit.stores.postgresql.installing import PostgresInstaller
from opentelemetry_instrumentation_authaudit.stores.store import Address, open_store
from tests.cli.command import authaudit

from .postgresql_server import Server, init
from .recorded import recorded


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: str) -> Done:
    """The command within this process, which is a second faster."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = main(arguments)
    return Done(code, out.getvalue(), err.getvalue())


ALL = ["0001_records.sql", "0002_retention.sql", "0003_sessions.sql"]


@pytest.fixture
def empty(postgresql: Server) -> Iterator[str]:
    """The name of an empty database."""
    name = postgresql.make_database("empty")
    yield name
    with postgresql.connect("postgres") as connection:
        connection.execute("DROP DATABASE empty WITH (FORCE)")


def dump(server: Server, database: str, *flags: str) -> str:
    """Everything there is in a database but its rows, as SQL."""
    text = server.run("pg_dump", "--schema-only", *flags, "-d", server.url(database))
    return re.sub(r"\\(un)?restrict \w+", "", text)


def tables(server: Server, database: str) -> set[str]:
    """The tables and partitions of the database."""
    with server.connect(database) as connection:
        rows = connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text IN ('audit', 'public')"
        )
        return {name for (name,) in rows}


def test_it_can_be_repeated(postgresql: Server, empty: str) -> None:
    """The second time there is nothing to do, and nothing is changed."""
    assert init(postgresql.url(empty)) == ALL
    before = dump(postgresql, empty)
    assert init(postgresql.url(empty)) == []
    assert dump(postgresql, empty) == before


def test_a_dry_run_shows_what_it_would_do_and_takes_it_back(postgresql: Server, empty: str, tmp_path: Path) -> None:
    """It has been done once, so it can be done; the database is as it was."""
    before = dump(postgresql, empty)
    done = authaudit("store", "init", "--store", postgresql.url(empty), "--dry-run", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "CREATE TABLE" in done.stdout
    assert "0001_records, 0002_retention, 0003_sessions would be applied" in done.stderr
    assert dump(postgresql, empty) == before


@pytest.mark.parametrize(
    ("table", "together"),
    [
        pytest.param("audit.auth_audit", True, id="one file"),
        pytest.param("account_audit_logs", False, id="a folder, the seed's table"),
    ],
)
def test_what_is_generated_is_what_init_does(table: str, together: bool, postgresql: Server, empty: str, tmp_path: Path) -> None:
    """The generated scripts in psql, and init, leave databases that pg_dump cannot tell apart."""
    place = tmp_path / ("all.sql" if together else "migrations")
    flags = ["--table", table, "--partition", "monthly", "--log-lifetime", "30"]
    done = command("store", "init", "--generate", str(place), *flags)
    assert done.returncode == 0, done.stderr
    files = [Path(line) for line in done.stdout.splitlines()]
    assert [file.name for file in files] == (["all.sql"] if together else ALL)
    other = postgresql.make_database("other")
    for file in files:
        postgresql.run(
            "psql", "-qX1", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d", postgresql.url(other), text=file.read_text("utf-8")
        )
    applied = command("store", "init", "--store", postgresql.url(empty), *flags)
    assert applied.returncode == 0, applied.stderr
    assert dump(postgresql, other) == dump(postgresql, empty)
    assert init(postgresql.url(other, table=table)) == []
    for name in (empty, other):
        with postgresql.connect(name) as connection:
            settings = sql.SQL("SELECT partitioning, lifetime_days FROM {}").format(
                sql.Identifier(*f"{table}_settings".split("."))
            )
            assert connection.execute(settings).fetchone() == ("monthly", 30)
    with postgresql.connect("postgres") as connection:
        connection.execute("DROP DATABASE other WITH (FORCE)")


def test_the_schema_to_read_is_the_one_that_is_made(tmp_path: Path) -> None:
    """Who reads `collector/postgresql/schema.sql` reads what `authaudit store init` does, to the letter."""
    place = tmp_path / "schema.sql"
    assert command("store", "init", "--generate", str(place)).returncode == 0
    kept = Path(__file__).parents[2] / "collector" / "postgresql" / "schema.sql"
    assert place.read_text(encoding="utf-8") == kept.read_text(encoding="utf-8")


def test_generated_scripts_are_never_overwritten(tmp_path: Path) -> None:
    """A script may have been applied: what differs is refused, what is the same may be written again."""
    place = tmp_path / "migrations"
    assert command("store", "init", "--generate", str(place)).returncode == 0
    assert command("store", "init", "--generate", str(place)).returncode == 0
    done = command("store", "init", "--generate", str(place), "--log-lifetime", "30")
    assert (done.returncode, "0001_records.sql exists" in done.stderr) == (2, True)


def test_the_seeds_table_by_the_seeds_command(postgresql: Server, empty: str, tmp_path: Path) -> None:
    """`authaudit init --store` writes the env file and makes the table; the seed's four queries find what was recorded."""
    url = postgresql.url(empty, table="account_audit_logs")
    done = authaudit("init", "--store", url, "--log-lifetime", "30", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "LOG_LIFETIME=30" in (tmp_path / "authaudit.env").read_text(encoding="utf-8")
    assert "GRANT audit_writer TO" in done.stdout
    sender = open_store(postgresql.url(empty, "app", table="account_audit_logs")).sender()
    for batch in recorded().batches():
        assert sender.send(batch) == ACCEPTED
    sender.close()
    with postgresql.connect(empty, "auditor") as reader:

        def count(condition: str) -> int:
            row = reader.execute(sql.SQL("SELECT count(*) FROM account_audit_logs WHERE ") + sql.SQL(condition)).fetchone()
            return int(row[0]) if row else 0

        assert count("true") == len(recorded())
        assert 0 < count("subject = 'auth.user:1'") < count("action_name = 'sign_in_with_password'") < count("true")
        assert 0 < count("status = 'failure'") < count("true")
        row = reader.execute(
            "SELECT id, subject, strategy, audit_log, logged_at, action_name, status, extra_data, resource FROM account_audit_logs_entries"
            " WHERE status = 'failure' ORDER BY logged_at LIMIT 1"
        ).fetchone()
        assert row is not None
        assert {"client.address", "http.request.method"} <= row[7]["request"].keys()
    assert authaudit("init", "--store", url, "--force", home=tmp_path).returncode == 0


def test_an_upgrade_keeps_what_is_there(postgresql: Server, empty: str, tmp_path: Path) -> None:
    """A table of version 1 with a recorded day becomes one of today; nothing is lost, and what is new works for old rows."""
    url = postgresql.url(empty)
    installer = PostgresInstaller(Address.parse(url), Wishes(lifetime=None))
    assert list(installer.apply(fresh=True, upto=1)) == ALL[:1]
    sender = open_store(postgresql.url(empty, "app")).sender()
    batches = list(recorded().batches())
    for batch in batches[:-1]:
        assert sender.send(batch) == ACCEPTED
    store = open_store(postgresql.url(empty, "auditor"))
    before = list(store.records(Filters()))
    generated = authaudit("store", "upgrade", "--store", url, "--generate", str(tmp_path / "more"), home=tmp_path)
    assert sorted(path.name for path in (tmp_path / "more").iterdir()) == ALL[1:], generated.stderr
    done = authaudit("store", "upgrade", "--store", url, home=tmp_path)
    assert "applied 0002_retention, 0003_sessions" in done.stderr
    assert list(store.records(Filters())) == before
    assert sender.send(batches[-1]) == ACCEPTED  # over the connection of before
    sender.close()
    store.close()
    with postgresql.connect(empty) as connection:
        row = connection.execute("SELECT count(session_id), count(attributes->'session.id') FROM audit.auth_audit").fetchone()
        assert row is not None
        assert row[0] == row[1] > 0
    fresh = postgresql.make_database("fresh")
    init(postgresql.url(fresh), lifetime=None)
    but = "--exclude-table=audit.auth_audit_2*"  # partitions of the recorded day are in one only
    assert dump(postgresql, empty, but) == dump(postgresql, fresh, but)
    with postgresql.connect("postgres") as connection:
        connection.execute("DROP DATABASE fresh WITH (FORCE)")
    assert "nothing to do" in authaudit("store", "upgrade", "--store", url, home=tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["store", "init"], 2, "--store names the database"),
        (["store", "upgrade", "--store", "URL"], 3, "no audit table audit.auth_audit to upgrade"),
        (["store", "upgrade", "--generate", "x"], 2, "needs --store"),
        (["store", "init", "--store", "URL", "--table", "a-b"], 3, "no name for an audit table"),
        (["store", "init", "--store", "URL", "--roles", "pg_x"], 3, "no beginning for names of roles"),
        (["store", "init", "--store", "URL", "--log-lifetime", "0"], 2, "log_lifetime"),
        (["store", "init", "--store", "URL&port=1"], 3, "onnection"),
        (["store", "init", "--store", "victorialogs://localhost:9428"], 3, "no tables that could be made"),
        (["store", "init", "--store", "journal"], 3, "no tables that could be made"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_used_wrongly(arguments: list[str], code: int, says: str, postgresql: Server, empty: str) -> None:
    """One sentence, an exit code, no traceback."""
    given = [word.replace("URL", postgresql.url(empty, connect_timeout="2")) for word in arguments]
    done = command(*given)
    assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr


def test_a_table_of_others_is_left_alone(postgresql: Server, empty: str) -> None:
    """The name is taken by a table that we did not make: nothing is done to it."""
    with postgresql.connect(empty) as connection:
        connection.execute("CREATE TABLE account_audit_logs (id uuid)")
    with pytest.raises(StoreError, match="authaudit has not made"):
        init(postgresql.url(empty, table="account_audit_logs"))
    assert tables(postgresql, empty) == {"account_audit_logs"}


def test_it_is_done_whole_or_not_at_all(postgresql: Server, empty: str) -> None:
    """The second migration fails: the first, the schema and its rights are gone, too."""
    with postgresql.connect(empty) as connection:
        connection.execute("CREATE SCHEMA audit CREATE TABLE audit.auth_audit_holds ()")
        connection.execute("GRANT ALL ON SCHEMA audit TO audit_owner")
    before = dump(postgresql, empty)
    with pytest.raises(StoreError, match='"auth_audit_holds" already exists'):
        init(postgresql.url(empty))
    assert dump(postgresql, empty) == before


def test_a_newer_table_is_not_touched(postgresql: Server, database: str) -> None:
    """An old package does not think that a table of a newer one is its own."""
    with postgresql.connect(database) as connection:
        connection.execute("INSERT INTO audit.auth_audit_migrations (version, name) VALUES (99, 'future')")
    with pytest.raises(StoreError, match="upgrade the package"):
        init(postgresql.url(database))


def test_two_tables_of_different_roles_in_one_database(postgresql: Server, empty: str) -> None:
    """Two applications share a database; the writer of one may not write for the other."""
    init(postgresql.url(empty, table="one.log"), roles="one")
    init(postgresql.url(empty, table="two.log"), roles="two")
    with postgresql.connect("postgres") as connection:
        connection.execute("CREATE ROLE first LOGIN IN ROLE one_writer")
    answers = []
    for table in ("one.log", "two.log"):
        sender = open_store(postgresql.url(empty, "first", table=table)).sender()
        answers.append(sender.send(None).verdict)
        sender.close()
    assert answers == [Verdict.ACCEPTED, Verdict.MISCONFIGURED]


class TestRights:
    """Somebody who is no superuser makes the table."""

    @pytest.fixture
    def plain(self, postgresql: Server) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """An administrator's connection to the database `plain`, where `installer` may nothing, and no role of `house_*` is there."""
        with postgresql.connect("postgres") as admin:
            admin.execute("CREATE ROLE installer LOGIN")
            postgresql.make_database("plain")
            yield admin
            admin.execute("DROP DATABASE plain WITH (FORCE)")
            for role in ("installer", "house_owner", "house_writer", "house_reader", "house_retention"):
                admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))

    def install(self, server: Server) -> list[str]:
        """As `installer`."""
        return init(server.url("plain", "installer"), roles="house")

    def test_everything_that_is_missing_is_said_at_once(
        self, postgresql: Server, plain: psycopg.Connection[tuple[object, ...]]
    ) -> None:
        """With the statements that an administrator needs; when they were done, it works."""
        with pytest.raises(StoreError) as told:
            self.install(postgresql)
        statements = re.findall(r": ((?:CREATE ROLE|GRANT) .*;)", str(told.value))
        assert len(statements) == 3
        for statement in statements:
            plain.execute(sql.SQL(statement))
        assert self.install(postgresql) == ALL

    def test_createrole_and_create_are_enough(self, postgresql: Server, plain: psycopg.Connection[tuple[object, ...]]) -> None:
        """And afterwards nobody is a member of the owner, not even who made it."""
        plain.execute("ALTER ROLE installer CREATEROLE")
        plain.execute("GRANT CREATE ON DATABASE plain TO installer")
        assert self.install(postgresql) == ALL
        members = "SELECT count(*) FROM pg_auth_members WHERE roleid = 'house_owner'::regrole AND NOT admin_option"
        assert plain.execute(members).fetchone() == (0,)
        assert self.install(postgresql) == []
        with postgresql.connect("plain", "installer") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM audit.auth_audit")

    def test_a_schema_of_somebody_else(self, postgresql: Server, plain: psycopg.Connection[tuple[object, ...]]) -> None:
        """In `public` the owner must be allowed to make tables, and that is said."""
        plain.execute("ALTER ROLE installer CREATEROLE")
        with pytest.raises(StoreError, match="GRANT USAGE, CREATE ON SCHEMA public TO house_owner"):
            init(postgresql.url("plain", "installer", table="account_audit_logs"), roles="house")


def test_help_teaches(tmp_path: Path) -> None:
    """The examples are in --help."""
    done = authaudit("store", "--help", home=tmp_path)
    assert "authaudit store init --store postgresql://" in done.stdout


def test_the_entries_keep_the_seeds_extra_data(postgresql: Server, database: str) -> None:
    """actor, tenant, request and params of a record, put together from its attributes."""
    found = {
        "audit.record.id": "1",
        "audit.actor.id": "auth.user:9",
        "audit.tenant": "acme",
        "audit.params.remember": "true",
        "client.address": "192.0.2.1",
        "audit.request.forwarded": "for=192.0.2.1",
        "audit.library": "x",
    }
    with postgresql.connect(database) as admin:
        insert = "INSERT INTO audit.auth_audit (logged_at, event, source, attributes) VALUES (now(), 'e', gen_random_uuid(), %s)"
        admin.execute(insert, [json.dumps(found)])
        assert admin.execute("SELECT extra_data FROM audit.auth_audit_entries").fetchone() == (
            {
                "actor": "auth.user:9",
                "tenant": "acme",
                "request": {"client.address": "192.0.2.1", "audit.request.forwarded": "for=192.0.2.1"},
                "params": {"remember": "true"},
            },
        )
