"""Makes and upgrades an audit table: in one transaction, as often as one likes, also by somebody who may do little."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..errors import StoreError
from ..installer import Wishes
from ..store import Address
from .connection import Connection, Target, statement
from .migrations import MIGRATIONS, Schema, apart
from .names import Roles

__all__ = ("PostgresInstaller",)

_LOCK: Final = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('authaudit store'))"
_THERE: Final = """
SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = %s AND n.nspname = %s"""
_ADMINISTRATOR: Final = "An administrator does"
_RIGHTS: Final = """
SELECT current_user, r.rolsuper, r.rolcreaterole, has_database_privilege(current_database(), 'CREATE'), current_database(),
    ARRAY(SELECT w FROM unnest(%(roles)s::text[]) AS w WHERE to_regrole(w) IS NULL),
    coalesce(pg_has_role(to_regrole(%(owner)s), 'MEMBER'), false), to_regnamespace(%(schema)s) IS NOT NULL,
    coalesce(has_schema_privilege(to_regrole(%(owner)s), to_regnamespace(%(schema)s), 'CREATE'), false),
    coalesce((SELECT pg_has_role(n.nspowner, 'USAGE') FROM pg_namespace AS n WHERE n.oid = to_regnamespace(%(schema)s)), false)
FROM pg_roles AS r WHERE r.rolname = current_user"""


class PostgresInstaller:
    """See `stores.installer.Installer`."""

    def __init__(self, address: Address, wishes: Wishes) -> None:
        """StoreError for names that are none."""
        self._target = Target(address)
        partitioning = "monthly" if wishes.monthly else "daily"
        self._schema = Schema(self._target.table, Roles.named(wishes.roles), partitioning, wishes.lifetime)

    @property
    def table(self) -> str:
        """See `Installer`."""
        return str(self._schema.table)

    def scripts(self, *, after: int = 0) -> Mapping[str, str]:
        """See `Installer`."""
        return apart(self._schema, MIGRATIONS[after:])

    def apply(self, *, fresh: bool, dry_run: bool = False, upto: int = len(MIGRATIONS)) -> Mapping[str, str]:
        """See `Installer`; *upto* ends at an earlier version."""
        with self._target.connected() as connection, connection.transaction(force_rollback=dry_run):
            connection.execute(_LOCK)
            self._check(connection, fresh=fresh)
            connection.execute(statement(self._schema.prepare()))
            version = self._version(connection)
            for migration in MIGRATIONS[version:upto]:
                connection.execute(statement(self._schema.migration(migration)))
            connection.execute(statement(self._schema.finish()))
        return apart(self._schema, MIGRATIONS[version:upto])

    def advice(self) -> str:
        """See `Installer`."""
        roles = self._schema.roles
        return (
            "None of the roles can log in: whoever logs in is made a member of one, as often as there are services and people.\n\n"
            f"  CREATE ROLE shop LOGIN PASSWORD '...';   GRANT {roles.writer} TO shop;       -- authaudit ship --to\n"
            f"  CREATE ROLE ann LOGIN PASSWORD '...';    GRANT {roles.reader} TO ann;        -- authaudit query --store\n"
            f"  CREATE ROLE keeper LOGIN PASSWORD '...'; GRANT {roles.retention} TO keeper;  -- authaudit retention\n"
        )

    def _version(self, connection: Connection) -> int:
        """How many migrations were applied; asked as the owner, who may see it."""
        if not self._exists(connection, "migrations"):
            return 0
        row = connection.execute(statement(f"SELECT max(version) FROM {self._schema.table.with_name('migrations')}")).fetchone()
        version = row[0] if row else None
        if version is not None and version > len(MIGRATIONS):
            says = f"{self.table} is of version {version}, this package knows {len(MIGRATIONS)}: upgrade the package"
            raise StoreError(says)
        return version or 0

    def _exists(self, connection: Connection, ending: str = "") -> bool:
        """Whether there is that table; asked of the catalogue, because who asks may not be let into the schema."""
        name = f"{self._schema.table.name}_{ending}" if ending else self._schema.table.name
        return connection.execute(_THERE, [name, self._schema.table.schema]).fetchone() is not None

    def _check(self, connection: Connection, *, fresh: bool) -> None:
        """Say at once everything that is missing."""
        ours = self._exists(connection, "migrations")
        if not ours and self._exists(connection):
            raise StoreError(f"there is a table {self.table} that authaudit has not made: name another with --table")
        if not ours and not fresh:
            raise StoreError(
                f"there is no audit table {self.table} to upgrade: `authaudit store init` makes it, --table names another"
            )
        missing = list(self._missing(connection))
        if missing:
            raise StoreError(f"the audit table {self.table} cannot be made:\n" + "\n".join(f"  - {text}" for text in missing))

    def _missing(self, connection: Connection) -> Iterator[str]:
        roles, table = self._schema.roles, self._schema.table
        wanted = [roles.owner, roles.writer, roles.reader, roles.retention]
        row = connection.execute(_RIGHTS, {"roles": wanted, "owner": roles.owner, "schema": table.schema}).fetchone()
        assert row is not None  # noqa: S101 -- there is always somebody who asks
        user, superuser, may_make_roles, may_make_schemas, database, absent, member, there, owner_may, own_schema = row
        if superuser:
            return
        if absent and not may_make_roles:
            make = " ".join(f"CREATE ROLE {name} NOLOGIN;" for name in absent)
            yield f"{user} may not make roles. {_ADMINISTRATOR}: {make}"
        if not member and not may_make_roles:
            yield f"{user} may not work as {roles.owner}. {_ADMINISTRATOR}, for as long as this takes: GRANT {roles.owner} TO {user};"
        if not there and not may_make_schemas:
            yield f"{user} may not make the schema {table.schema}. {_ADMINISTRATOR}: GRANT CREATE ON DATABASE {database} TO {user};"
        if there and not owner_may and not own_schema:
            grant = f"GRANT USAGE, CREATE ON SCHEMA {table.schema} TO {roles.owner};"
            yield f"{roles.owner} may not make tables in {table.schema}. {_ADMINISTRATOR}: {grant}"
