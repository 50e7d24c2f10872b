"""Makes and upgrades an audit table in ClickHouse, which has no transactions: every statement may be repeated instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ..errors import StoreError
from ..installer import Wishes
from .connection import ClickHouseError
from .schema import additions, roles, schema, script

if TYPE_CHECKING:
    from .store import ClickHouseStore

__all__ = ("ClickHouseInstaller",)

_ROLES: Final = "0003_roles.sql"
_THERE: Final = "SELECT count() FROM system.roles WHERE name IN ({})"
_NO_TABLE: Final = frozenset({60, 81})
_NO_ACCESS: Final = frozenset({497, 514})
"""The user, or the whole server, may not make roles."""
_ADVICE: Final = """\
Roles cannot log in: whoever logs in is granted one, as often as there are services and people.

  CREATE USER shop IDENTIFIED BY '...';    GRANT {roles}_writer TO shop;       -- the collector; authaudit ship --to
  CREATE USER ann IDENTIFIED BY '...';     GRANT {roles}_reader TO ann;        -- authaudit query --store
  CREATE USER keeper IDENTIFIED BY '...';  GRANT {roles}_retention TO keeper;  -- authaudit retention
"""


class ClickHouseInstaller:
    """See `stores.installer.Installer`."""

    def __init__(self, store: ClickHouseStore, wishes: Wishes) -> None:
        """StoreError for names that are none."""
        self._store, self._wishes = store, wishes
        self._roles = roles(store.table, wishes.roles)

    @property
    def table(self) -> str:
        """See `Installer`."""
        return str(self._store.table)

    def scripts(self, *, after: int = 0) -> Mapping[str, str]:
        """See `Installer`."""
        made = {"0001_table.sql": self._schema(), _ROLES: self._roles}
        return {name: script(name, statements) for name, statements in list(made.items())[after:]}

    def apply(self, *, fresh: bool, dry_run: bool = False) -> Mapping[str, str]:
        """See `Installer`, but without a transaction. With *dry_run* the server only parses it."""
        missing = self._missing(fresh=fresh)
        for name, statements in missing.items():
            try:
                for statement in statements:
                    self._do(statement, dry_run=dry_run)
            except ClickHouseError as error:
                if error.code not in _NO_ACCESS or name != _ROLES:
                    raise
                says = f"the table {self.table} is there, its roles are not: {error}. With access management, an administrator runs:\n\n"
                raise StoreError(says + script(name, statements)) from None
        return {name: script(name, statements) for name, statements in missing.items()}

    def advice(self) -> str:
        """See `Installer`."""
        return _ADVICE.format(roles=self._wishes.roles)

    def _missing(self, *, fresh: bool) -> Mapping[str, tuple[str, ...]]:
        try:
            columns = self._store.columns
        except ClickHouseError as error:
            if error.code not in _NO_TABLE:
                raise
            if not fresh:
                says = f"there is no audit table {self.table} to upgrade: `authaudit store init` makes it, --table names another"
                raise StoreError(says) from None
            return {"0001_table.sql": self._schema(), _ROLES: self._roles}
        if "LogAttributes" not in columns:
            raise StoreError(f"there is a table {self.table} that holds something else: name another with --table")
        added = additions(self._store.table, columns)
        lacking = {"0002_columns.sql": added} if added else {}
        return {**lacking, _ROLES: self._roles} if fresh and not self._roles_there() else lacking

    def _roles_there(self) -> bool:
        """Whether they are, as far as this user may know."""
        made = [name for name in map(_made, self._roles) if name]
        asked = {f"p{place}": name for place, name in enumerate(made)}
        try:
            ((count,),) = self._store.connection.rows(_THERE.format(", ".join(f"{{{name}:String}}" for name in asked)), asked)
        except ClickHouseError as error:
            if error.code not in _NO_ACCESS:
                raise
            return False
        return int(count) == len(made)

    def _do(self, statement: str, *, dry_run: bool) -> None:
        if dry_run:
            list(self._store.connection.rows("SELECT formatQuery({statement:String})", {"statement": statement}))
        else:
            self._store.connection.run(statement)

    def _schema(self) -> tuple[str, ...]:
        return schema(self._store.table, self._wishes.lifetime, monthly=self._wishes.monthly)


def _made(statement: str) -> str:
    """The role that a statement makes."""
    return statement.removeprefix("CREATE ROLE IF NOT EXISTS ").split()[0] if statement.startswith("CREATE ROLE") else ""
