"""ClickHouse as a store.

It asks a table of our schema (`schema`), or one that the collector's exporter made for itself, which has all that is needed
but is slower. A record stands in it as often as it was delivered; a question sees it once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from ...model import names
from ...query.filters import Filters
from ...query.links import number
from ...query.reader import Record
from ..store import Address, Progress, Store
from .connection import Connection
from .questions import Question
from .schema import Table, column_of, ttl

if TYPE_CHECKING:
    from ...pipeline.otlp import Sender

__all__ = ("ClickHouseStore",)

_DATABASE: Final = "audit"
_TABLE: Final = "auth_audit"
_SHOWN: Final = (
    "EventName, toString(toUnixTimestamp64Nano(Timestamp)), LogAttributes, ServiceName, SeverityNumber, TraceId, SpanId, _part"
)
_COPIES: Final = f"SELECT {_SHOWN}\nFROM {{table}}\nWHERE {{where}}"
_SORTED: Final = f"{_COPIES}\nORDER BY Timestamp {{order}}, {{stream}} {{order}}, {{number}} {{order}}\n{{only}}"
_COUNT: Final = "SELECT count() FROM {table} WHERE {where}"
_MADE: Final = "SELECT create_table_query FROM system.tables WHERE database = {database:String} AND name = {table:String}"
_A_FEW: Final = 100
_MORE: Final = 8
_DAYS: Final = re.compile(r"\bTTL [^\n]*?toIntervalDay\((\d+)\)")


class ClickHouseStore(Store):
    """See `Store`."""

    def __init__(self, address: Address) -> None:
        """StoreError for an option that is none, a name that is none, or a password file that cannot be read."""
        self._address = address
        self.table = Table.named(address.database or _DATABASE, address.options.get("table", _TABLE))
        self.connection = Connection(address)

    def __str__(self) -> str:
        return str(self._address)

    def records(self, filters: Filters) -> Iterator[Record]:
        """See `Store`. The server sorts; it keeps its answer back only as far as it must."""
        question = Question(filters, self._column)
        once = f"LIMIT 1 BY {self._column(names.RECORD_ID)}"
        return self._passing(self._sorted(question, "ASC", once), question)

    def last(self, filters: Filters, count: int) -> list[Record]:
        """See `Store`. The server begins at the end; it is asked for more where what it could not see for itself left too few."""
        question, tests = Question(filters, self._column), filters.tests()
        asked = max(count, _A_FEW)
        while True:
            select = self._sorted(question, "DESC", f"LIMIT {asked:d}")
            newest = list(map(_record, self.connection.rows(select, question.parameters)))
            found: dict[str, Record] = {}
            for record in reversed(newest):
                if all(test(record) for test in tests):
                    found.setdefault(record.id, record)
            if len(found) >= count or len(newest) < asked:
                return list(found.values())[-count:] if count else []
            asked *= _MORE

    def copies(self, filters: Filters, progress: Progress = lambda _done: None) -> Iterator[Record]:
        """See `Store`; progress in rows. `Record.file` is the part that ClickHouse keeps the row in."""
        question = Question(filters, self._column)
        for record in self._passing(_COPIES.format(table=self.table, where=question.where), question):
            progress(1)
            yield record

    def size(self) -> int:
        """Rows."""
        question = Question(Filters(), self._column)
        ((count,),) = self.connection.rows(_COUNT.format(table=self.table, where=question.where))
        return int(count)

    def sender(self) -> Sender:
        """See `Store`."""
        from .sender import ClickHouseSender  # noqa: PLC0415 -- who only asks need not load Protobuf

        return ClickHouseSender(Connection(self._address), self.table)

    def close(self) -> None:
        """See `Store`."""
        self.connection.close()

    def lifetime(self) -> int | None:
        """After how many days the server deletes a record; None: never. The role audit_retention may ask this."""
        named = {"database": self.table.database, "table": self.table.name}
        found = list(self.connection.rows(_MADE, named))
        days = _DAYS.search(str(found[0][0])) if found else None
        return int(days[1]) if days else None

    def keep(self, lifetime: int | None) -> bool:
        """Let the server delete records after *lifetime* days, None: never; whether that is new. The role audit_retention may do it.

        The rows go in the background, a day's part at a time, when the newest of it is too old.
        """
        expiry = ttl(lifetime)
        if self.lifetime() == (lifetime if expiry else None):
            return False
        self.connection.run(f"ALTER TABLE {self.table} {f'MODIFY TTL {expiry}' if expiry else 'REMOVE TTL'}")
        return True

    def _sorted(self, question: Question, order: str, only: str) -> str:
        stream = self._column(names.STREAM_ID)
        return _SORTED.format(table=self.table, where=question.where, order=order, stream=stream, number=self._number, only=only)

    def _passing(self, select: str, question: Question) -> Iterator[Record]:
        tests: list[Callable[[Record], bool]] = question.filters.tests()
        found = map(_record, self.connection.rows(select, question.parameters))
        return (record for record in found if all(test(record) for test in tests))

    @cached_property
    def columns(self) -> frozenset[str]:
        """The names of the table's columns."""
        return frozenset(str(name) for name, *_ in self.connection.rows(f"DESCRIBE TABLE {self.table}"))

    def _column(self, attribute: str) -> str:
        return column_of(attribute, self.columns)

    @property
    def _number(self) -> str:
        column = self._column(names.SEQUENCE_NUMBER)
        return column if column in self.columns else f"toUInt64OrZero({column})"


def _record(row: list[Any]) -> Record:
    event, time, attributes, service, severity, trace_id, span_id, part = row
    found = {str(name): str(value) for name, value in dict(attributes).items()}
    return Record(
        event=event,
        time=int(time),
        attributes=found,
        number=number(found.get(names.SEQUENCE_NUMBER)),
        service=service,
        severity=int(severity) or None,
        trace_id=trace_id,
        span_id=span_id,
        file=part,
    )
