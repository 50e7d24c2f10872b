"""Batches into ClickHouse: the rows that the collector's exporter would write of the same records."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Final

from ...journal.backlog import Batch
from ...pipeline.answers import ACCEPTED, Answer, Verdict
from ...pipeline.otlp import UNENCODABLE, json_request
from ...query.documents import Record, Unreadable, parse, texts
from .connection import ClickHouseError, Connection
from .schema import EXPORTED, Table

__all__ = ("ClickHouseSender",)

_LATEST: Final = int(datetime(2106, 1, 1, tzinfo=timezone.utc).timestamp()) * 1_000_000_000
"""From here on a TTL cannot count: such a record would be gone at once."""

_SETTINGS: Final[Mapping[str, str]] = {
    "async_insert": "0",  # an answer means that the rows are in the table
    "insert_deduplicate": "1",
    "max_partitions_per_insert_block": "0",  # a process may have little to say in 100 days
    "date_time_input_format": "basic",
}
_FAULTY: Final = frozenset({6, 26, 27, 38, 41, 53, 69, 72, 117, 130, 131, 321, 349, 441})
"""Codes that are about a value of these rows."""
_REFUSED: Final = frozenset({16, 44, 47, 60, 62, 81, 115, 164, 192, 193, 242, 497, 516})
"""Codes that are about this table or this user."""


class ClickHouseSender:
    """See `pipeline.otlp.Sender`. A batch that it sends twice is kept once, as long as the table remembers it (1,000 blocks).

    What another sender sends is never taken for the same: the table remembers blocks whose rows somebody has deleted, too, and a
    repair would be dropped without a word.
    """

    def __init__(self, connection: Connection, table: Table) -> None:
        self._connection = connection
        self._own = secrets.token_bytes(16)
        self._insert = f"INSERT INTO {table} ({', '.join(EXPORTED)}) FORMAT JSONEachRow"

    def send(self, batch: Batch | None, timeout: float | None = None) -> Answer:
        """See `Sender`."""
        unreadable = Unreadable()
        records = list(parse(json_request(batch), unreadable)) if batch is not None else []
        if batch is not None and (unreadable or len(records) != len(batch.records)):
            return UNENCODABLE
        if any(record.time >= _LATEST for record in records):
            return Answer(Verdict.REJECTED, "a time that ClickHouse cannot hold")
        settings = dict(_SETTINGS)
        if batch is not None:
            settings["insert_deduplication_token"] = hashlib.sha256(self._own + b"\n".join(batch.records)).hexdigest()
        try:
            self._connection.run(self._insert, settings, b"".join(_rows(records)), timeout)
        except ClickHouseError as error:
            return _answer(error.code)
        return ACCEPTED

    def close(self) -> None:
        """See `Sender`."""
        self._connection.close()


def _answer(code: int) -> Answer:
    detail = f"ClickHouse code {code}" if code else "no answer of ClickHouse"
    if code in _FAULTY:
        return Answer(Verdict.REJECTED, detail)
    return Answer(Verdict.MISCONFIGURED if code in _REFUSED else Verdict.RETRY, detail)


def _rows(records: list[Record]) -> Iterator[bytes]:
    around: dict[str, Any] = {}
    for record in records:
        around = around or _around(record)  # a batch has one resource and one scope
        row = {
            "Timestamp": _moment(record.time),
            "TraceId": record.trace_id,
            "SpanId": record.span_id,
            "SeverityNumber": record.severity or 0,
            "ServiceName": record.service,
            "LogAttributes": record.attributes,
            "EventName": record.event,
            **around,
        }
        yield json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _around(record: Record) -> dict[str, Any]:
    if record.around is None:
        return {}
    scope = record.around.scope
    return {
        "ResourceAttributes": texts(record.around.resource.get("attributes")),
        "ScopeSchemaUrl": record.around.schema_url,
        "ScopeName": str(scope.get("name") or ""),
        "ScopeVersion": str(scope.get("version") or ""),
        "ScopeAttributes": texts(scope.get("attributes")),
    }


def _moment(time: int) -> str:
    seconds, rest = divmod(time, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S}.{rest:09d}"
