"""Records in PostgreSQL, read through cursors of the server: a million of them do not come at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import psycopg

from ...query.documents import Around
from ...query.filters import Filters
from ...query.reader import Record
from ..store import Address, Progress, Store
from .connection import Connection, Target, explained, statement
from .questions import condition
from .rows import SELECTED, record_of

if TYPE_CHECKING:  # who only asks need not load Protobuf
    from ...pipeline.otlp import Sender

__all__ = ("PostgresStore",)

_AT_ONCE: Final = 2000
"""Rows a fetch."""
_FEWEST: Final = 50
_FIRST: Final = """
SELECT set_config('search_path', 'pg_catalog', true), set_config('jit', 'off', true), set_config('cursor_tuple_fraction', '0.01', true)"""
"""Partitions are told with their schema; rows come from indexes, at once: the server would else compile for seconds before the first."""
_ORDER: Final = "r.logged_at {0}, r.stream_id {0} NULLS {1}, r.sequence {0} NULLS {1}"
_OLDEST_FIRST: Final = _ORDER.format("ASC", "FIRST")
_NEWEST_FIRST: Final = _ORDER.format("DESC", "LAST")


class PostgresStore(Store):
    """An audit table. It connects when it is asked; every question sees one moment of the table."""

    def __init__(self, address: Address) -> None:
        """StoreError for an option that nobody knows."""
        self.target = Target(address)
        self._idle: list[Connection] = []

    def __str__(self) -> str:
        return str(self.target)

    def records(self, filters: Filters) -> Iterator[Record]:
        """See `Store`."""
        return self._passing(filters, f"ORDER BY {_OLDEST_FIRST}")

    def last(self, filters: Filters, count: int) -> list[Record]:
        """See `Store`."""
        found = self._passing(filters, f"ORDER BY {_NEWEST_FIRST}", at_once=min(max(count, _FEWEST), _AT_ONCE))
        return list(islice(found, count))[::-1]

    def copies(self, filters: Filters, progress: Progress = lambda _done: None) -> Iterator[Record]:
        """See `Store`; progress in records. `Record.file` is the partition."""
        return self._passing(filters, "", progress=progress)

    def size(self) -> int:
        """Records."""
        with self._connection() as connection, connection.transaction():
            connection.execute(_FIRST)
            row = connection.execute(statement(f"SELECT count(*) FROM {self.target.table.with_name()}")).fetchone()
            return int(row[0]) if row else 0

    def sender(self) -> Sender:
        """See `Store`."""
        from .sender import PostgresSender  # noqa: PLC0415

        return PostgresSender(self.target)

    def close(self) -> None:
        """See `Store`."""
        while self._idle:
            self._idle.pop().close()

    def _passing(
        self, filters: Filters, order: str, *, at_once: int = _AT_ONCE, progress: Progress = lambda _done: None
    ) -> Iterator[Record]:
        tests: list[Callable[[Record], bool]] = filters.tests()
        where, values = condition(filters)
        query = f"SELECT {', '.join(SELECTED)} FROM {self.target.table.with_name()} AS r WHERE {where} {order}"
        with self._connection() as connection, connection.transaction(), connection.cursor(name="authaudit") as cursor:
            connection.execute(_FIRST)
            around = _Surroundings(connection, self.target.table.with_name("sources"))
            cursor.execute(statement(query), values)
            while rows := cursor.fetchmany(at_once):
                around.learn(rows)
                found = (record_of(row, around.of(row)) for row in rows)
                yield from (record for record in found if all(test(record) for test in tests))
                progress(len(rows))

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """An idle connection, or a new one; questions may be asked while others are still being answered."""
        try:
            connection = self._idle.pop() if self._idle else self._connect()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            if not connection.closed:
                self._idle.append(connection)
        except psycopg.Error as error:
            raise explained(error, self.target) from None

    def _connect(self) -> Connection:
        connection = self.target.connect()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return connection


class _Surroundings:
    """What stood around records, asked for once for each source."""

    def __init__(self, connection: Connection, table: str) -> None:
        self._connection = connection
        self._query = (
            f"SELECT DISTINCT ON (source) source, resource, scope, schema_url FROM {table} WHERE source = ANY(%s) ORDER BY source"
        )
        self._known: dict[UUID, Around | None] = {}

    def learn(self, rows: list[tuple[Any, ...]]) -> None:
        """Ask for those that are not known yet."""
        new = {row[-1] for row in rows} - self._known.keys()
        if new:
            self._known |= dict.fromkeys(new)
            for source, resource, scope, schema_url in self._connection.execute(statement(self._query), [list(new)]):
                self._known[source] = Around(_object(resource), _object(scope), schema_url)

    def of(self, row: tuple[Any, ...]) -> Around | None:
        """What stood around the record in *row*."""
        return self._known[row[-1]]


def _object(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}
