"""Connections to PostgreSQL, and what their errors mean to people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from ..errors import StoreError
from ..store import Address
from .names import DEFAULT_TABLE, Table

__all__ = ("Connection", "Target", "explained", "statement")

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

_OURS: Final = frozenset({"table", "password_file"})
_DEFAULTS: Final = {
    "application_name": "authaudit",
    "connect_timeout": "10",  # seconds, for each host
    "keepalives_idle": "30",
    "tcp_user_timeout": "30000",  # milliseconds until a host that went silent is given up
}


class Target:
    """Where to connect to, and which table there."""

    def __init__(self, address: Address) -> None:
        """StoreError for an option that neither libpq nor we know."""
        self.address = address
        self.table = Table.named(address.options.get("table", DEFAULT_TABLE))
        hosts = [(address.host, address.port), *address.others]
        given: dict[str, Any] = {
            "host": ",".join(host for host, _ in hosts),
            "port": ",".join(str(port or "") for _, port in hosts),
            "user": address.user,
            "password": address.secret,
            "dbname": address.database,
        }
        options = {name: value for name, value in address.options.items() if name not in _OURS}
        try:
            self._conninfo = make_conninfo(
                **{**_DEFAULTS, **{name: value for name, value in given.items() if value.strip(",")}, **options}
            )
        except psycopg.Error as error:
            raise StoreError(f"{address}: {_line(error)}") from None

    def __str__(self) -> str:
        return str(self.address)

    def connect(self, **more: str) -> Connection:
        """A new connection, in autocommit mode and without prepared statements (a pooler in front may not keep them).

        *more* are settings of libpq that give way to those of the URL. psycopg.Error if there is none to be had.
        """
        options = {name: value for name, value in more.items() if name not in self.address.options}
        return psycopg.connect(make_conninfo(self._conninfo, **options), autocommit=True, prepare_threshold=None)

    @contextmanager
    def connected(self, **more: str) -> Iterator[Connection]:
        """A connection for the block; every error of PostgreSQL becomes a StoreError that says what to do."""
        try:
            with self.connect(**more) as connection:
                yield connection
        except psycopg.Error as error:
            raise explained(error, self) from None


def statement(text: str) -> sql.SQL:
    """*text*, which is no literal, but made of checked names and of nothing else."""
    return sql.SQL(text)


def explained(error: psycopg.Error, target: Target) -> StoreError:
    """*error* for people."""
    says = f"{target}: {_line(error)}"
    if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName | errors.UndefinedFunction):
        return StoreError(f"{says}. Is there an audit table? `authaudit store init` makes it, ?table= names another")
    if isinstance(error, errors.UndefinedColumn):
        return StoreError(f"{says}. The table is of another version: `authaudit store upgrade`")
    if isinstance(error, errors.InsufficientPrivilege):
        return StoreError(
            f"{says}. Make the user a member of the role that may: GRANT audit_reader (or _writer, _retention) TO user"
        )
    return StoreError(says)


def _line(error: psycopg.Error) -> str:
    """The message of the server, or of libpq, on one line. It holds no password: libpq never repeats one."""
    text = error.diag.message_primary or str(error) or type(error).__name__
    return " ".join(text.split())
