"""Records as a table for SQL, in an embedded DuckDB: the columns are those of the table in PostgreSQL, so questions fit both."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ..model import names
from .links import number
from .reader import Record

__all__ = ("COLUMNS", "MissingDuckDB", "SqlError", "asked")

_FROM: Final = {
    "id": names.RECORD_ID, "audit_log": names.LOG, "action_name": names.ACTION, "strategy": names.STRATEGY,
    "provider": names.PROVIDER, "status": names.OUTCOME, "reason": names.REASON, "subject": names.SUBJECT,
    "identity": names.IDENTITY, "resource": names.RESOURCE, "tenant": names.TENANT, "client_address": names.CLIENT_ADDRESS,
    "stream_id": names.STREAM_ID,
}  # fmt: skip
COLUMNS: Final = {
    "logged_at": "TIMESTAMP", "id": "VARCHAR", "audit_log": "VARCHAR", "event": "VARCHAR", "action_name": "VARCHAR",
    "strategy": "VARCHAR", "provider": "VARCHAR", "status": "VARCHAR", "reason": "VARCHAR", "subject": "VARCHAR",
    "identity": "VARCHAR", "resource": "VARCHAR", "tenant": "VARCHAR", "client_address": "VARCHAR", "service": "VARCHAR",
    "severity": "SMALLINT", "trace_id": "VARCHAR", "span_id": "VARCHAR", "stream_id": "VARCHAR", "sequence": "BIGINT",
    "attributes": "JSON",
}  # fmt: skip
"""Of the table `audit.auth_audit`: names and types. Times are UTC; `attributes` is the whole record."""

Answer = tuple[Sequence[str], Iterator[tuple[Any, ...]]]


class MissingDuckDB(Exception):  # noqa: N818 -- says what is missing
    """The optional part is not installed."""


class SqlError(Exception):
    """The question cannot be answered; the message is DuckDB's."""


def asked(records: Iterable[Record], question: str) -> Answer:
    """The header and the rows of the answer. Raises MissingDuckDB, SqlError.

    The engine is in memory and, once it has the records, reads and writes no file and no network: a question can change nothing.
    """
    try:
        import duckdb  # noqa: PLC0415 -- an optional part
    except ImportError:
        raise MissingDuckDB("--sql needs DuckDB: pip install 'opentelemetry-instrumentation-authaudit[query]'") from None
    connection = duckdb.connect(":memory:")
    try:
        _load(connection.execute, records)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        answer = connection.execute(question)
        header = [str(column[0]) for column in answer.description or ()]
    except duckdb.Error as error:
        raise SqlError(str(error)) from None
    return header, _rows(answer)


def _load(execute: Callable[..., Any], records: Iterable[Record]) -> None:
    with tempfile.TemporaryDirectory(prefix="authaudit-") as folder:
        path = Path(folder) / "records.jsonl"
        with path.open("w", encoding="utf-8", errors="replace") as file:
            file.writelines(json.dumps(_row(record), ensure_ascii=False) + "\n" for record in records)
        execute("CREATE SCHEMA audit")
        read = "read_json(?, format = 'newline_delimited', columns = ?, maximum_object_size = 67108864)"
        execute(f"CREATE TABLE audit.auth_audit AS SELECT * FROM {read}", [str(path), COLUMNS])  # noqa: S608 -- constants


def _row(record: Record) -> dict[str, Any]:
    found = record.attributes
    return {
        "logged_at": record.logged_at.rstrip("Z"),
        "event": record.event,
        "service": record.service,
        "severity": record.severity,
        "trace_id": record.trace_id or None,
        "span_id": record.span_id or None,
        "sequence": number(found.get(names.SEQUENCE_NUMBER)) or None,
        **{column: found.get(name) for column, name in _FROM.items()},
        "attributes": found,
    }


def _rows(answer: Any) -> Iterator[tuple[Any, ...]]:
    while rows := answer.fetchmany(1000):
        yield from rows
