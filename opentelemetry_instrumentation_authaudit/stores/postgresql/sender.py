"""Writes batches into PostgreSQL: COPY into a temporary table, then INSERT ... ON CONFLICT DO NOTHING, accepted after the commit.

A conflict target would need the right to read the table, which a writer does not have. What is sent again is recognised by its time
and id, and changes nothing.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from typing import Final
from uuid import UUID

import psycopg
from psycopg import errors

from ...journal.backlog import Batch
from ...pipeline.answers import ACCEPTED, Answer, Verdict
from ...pipeline.otlp import NOT_ENCODABLE, UNENCODABLE
from .connection import Connection, Target, explained, statement
from .rows import COLUMNS, Row, Source, row_of
from .verdicts import answer_to

__all__ = ("PostgresSender",)

_TIMEOUT: Final = 30.0
"""Seconds, where the caller names none."""
_GRACE: Final = 2.0
"""Seconds after the time-out, in which the server should have said so itself."""
_LATER: Final = 60.0
"""Seconds until a partition is asked for again that could not be made, because somebody reads the whole table."""
_FIRST: Final = """
SELECT set_config('search_path', 'pg_catalog', true), set_config('statement_timeout', %s, true),
    set_config('synchronous_commit', CASE WHEN s IN ('off', 'local') THEN 'on' ELSE s END, true)
FROM current_setting('synchronous_commit') AS s"""
"""An answer means that the record is written: who runs the server otherwise has not meant the audit trail. Stronger promises stay."""
_STAGING: Final = "pg_temp.authaudit_staging"
_STAGE: Final = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS {_STAGING} (
    logged_at timestamptz, event text, service text, severity int, trace_id text, span_id text, source uuid, attributes jsonb,
    canonical bytea
) ON COMMIT DELETE ROWS"""


class PostgresSender:
    """One connection, from one thread; see `pipeline.otlp.Sender`. A connection that has died since the last batch is made again."""

    def __init__(self, target: Target) -> None:
        self._target = target
        table, columns = target.table, ", ".join(COLUMNS)
        self._copy = statement(f"COPY {_STAGING} ({columns}) FROM STDIN")
        self._insert = statement(
            f"INSERT INTO {table.with_name()} ({columns}) SELECT {columns} FROM {_STAGING} ON CONFLICT DO NOTHING"
        )
        self._ensure = statement(f"SELECT {table.with_name('ensure_partition')}(%s)")
        around = (
            f"INSERT INTO {table.with_name('sources')} (source, day, resource, scope, schema_url) VALUES (%s, %s, %s, %s, %s)"
        )
        self._put_around = statement(f"{around} ON CONFLICT DO NOTHING")
        self._connection: Connection | None = None
        self._process = 0
        self._next_ask: dict[date, float] = {}
        self._put: set[tuple[UUID, date]] = set()
        self._parents: list[Connection] = []

    def send(self, batch: Batch | None, timeout: float | None = None) -> Answer:
        """See `pipeline.otlp.Sender`; without a batch it is asked whether one would be taken."""
        try:
            source = Source.of(batch) if batch is not None else None
            rows = [row_of(record, source) for record in batch.records] if batch is not None and source is not None else []
        except (*NOT_ENCODABLE, RecursionError):
            return UNENCODABLE
        seconds = _TIMEOUT if timeout is None else min(timeout, _TIMEOUT)
        used = self._has_connection()
        answer = self._try(rows, source, seconds)
        if used and self._connection is None and answer.verdict is Verdict.RETRY and not answer.shrink:
            return self._try(rows, source, seconds)  # it had died since the last batch, as a restart of the server leaves it
        return answer

    def close(self) -> None:
        """See `pipeline.otlp.Sender`."""
        if self._has_connection():
            self._drop()

    def _has_connection(self) -> bool:
        if self._connection is not None and self._process != os.getpid():
            # The parent's. It is kept: to close it, which being collected would do, would end the parent's session.
            self._parents.append(self._connection)
            self._connection = None
        return self._connection is not None

    def _try(self, rows: list[Row], source: Source | None, seconds: float) -> Answer:
        connection = None
        try:
            connection = self._connection or self._connect(seconds)
            with _watched(connection, seconds + _GRACE):
                days = {row.logged_at.date() for row in rows}
                self._make_partitions(connection, days)
                with connection.transaction():
                    connection.execute(_FIRST, [str(int(seconds * 1000))])
                    self._write(connection, rows)
                    new = self._put_source(connection, source, days)
        except psycopg.Error as error:
            answer = answer_to(error)
            if error.sqlstate is None or answer.verdict is Verdict.MISCONFIGURED:  # it speaks of the server, not of records
                answer = replace(answer, detail=str(explained(error, self._target)))
            if connection is not None and (connection.closed or isinstance(error, errors.ReadOnlySqlTransaction)):
                self._drop()
            return answer
        self._put |= new
        return ACCEPTED

    def _connect(self, seconds: float) -> Connection:
        """To a host that takes records, where several are named."""
        wait = str(max(2, int(seconds)))
        self._connection = self._target.connect(connect_timeout=wait, target_session_attrs="read-write")
        self._process = os.getpid()
        self._next_ask.clear()
        self._put.clear()
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _make_partitions(self, connection: Connection, days: set[date]) -> None:
        """Those of *days*, and tomorrow's. While there is none, the partition for all others takes the records."""
        today = datetime.now(timezone.utc).date()
        for day in sorted(days | ({today + timedelta(days=1)} if today in days else set())):
            if time.monotonic() < self._next_ask.get(day, 0.0):
                continue
            try:
                connection.execute(self._ensure, [day])
                self._next_ask[day] = float("inf")
            except errors.LockNotAvailable:
                self._next_ask[day] = time.monotonic() + _LATER

    def _write(self, connection: Connection, rows: Iterable[Row]) -> None:
        connection.execute(_STAGE)
        with connection.cursor() as cursor, cursor.copy(self._copy) as copy:
            for row in rows:
                copy.write_row(row.values())
        connection.execute(self._insert)

    def _put_source(self, connection: Connection, source: Source | None, days: set[date]) -> set[tuple[UUID, date]]:
        if source is None:
            return set()
        new = {(source.digest, day) for day in days} - self._put
        for digest, day in sorted(new):
            connection.execute(self._put_around, [digest, day, source.resource, source.scope, source.schema_url])
        return new


@contextmanager
def _watched(connection: Connection, seconds: float) -> Iterator[None]:
    """Cut the connection if the block takes longer: a server that has stopped does not notice its own time-outs."""
    with socket.socket(fileno=os.dup(connection.fileno())) as sock:

        def cut() -> None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
