"""VictoriaLogs as a store.

A record stands in it as often as it was delivered; a question sees it once. Its answer to a sender is no promise: it keeps what it took
in memory for a while, and takes, without a word, what is older than its retention. `authaudit reconcile` finds what it lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ...model import names
from ...query.filters import Filters
from ...query.links import number
from ...query.reader import Record
from ..errors import StoreError
from ..store import Address, Progress, Store
from .connection import Connection
from .logsql import EVENT, NAMES, SERVICE, logsql, of_record, quoted

if TYPE_CHECKING:
    from ...pipeline.otlp import Sender

__all__ = ("VictoriaLogsStore",)

_SECOND: Final = 1_000_000_000
_STEPS: Final = ("1d", "1h", "1m", "1s")
_AT_ONCE: Final = 20_000
_A_FEW: Final = 1_000
_END: Final = (1 << 63) - 1
"""Of all times that VictoriaLogs knows, in the year 2262."""
_FIELDS: Final = ("_time", EVENT, SERVICE, "severity_number", "trace_id", "span_id", *sorted(NAMES))
_RECORDS: Final = f"fields {', '.join(map(quoted, _FIELDS))}, audit.*"


@dataclass(frozen=True, slots=True)
class _Window:
    """A span of time, in nanoseconds, and how many records it has at least."""

    begin: int
    end: int
    """Before which it ends."""
    count: int


class VictoriaLogsStore(Store):
    """See `Store`."""

    settling = 15.0
    """With its default `-inmemoryDataFlushInterval` of 5 s: killed 8 s after its answer it had lost everything, after 12 s nothing."""

    def __init__(self, address: Address, at_once: int = _AT_ONCE, a_few: int = _A_FEW) -> None:
        """StoreError for an option that is none, or a password file that cannot be read.

        *at_once*: records that are held in memory to be sorted (VictoriaLogs can sort, but only what fits into its own memory);
        *a_few*: likewise, where the newest are asked for.
        """
        self._address = address
        self._at_once, self._a_few = at_once, a_few
        self.connection = Connection(address)
        self._place = f"{address.scheme}://{address.host}"

    def __str__(self) -> str:
        return str(self._address)

    def records(self, filters: Filters) -> Iterator[Record]:
        """See `Store`."""
        seen: set[str] = set()
        for window in self._windows(filters, self._at_once):
            for record in sorted(self._passing(filters, window), key=_order):
                if record.id not in seen:
                    seen.add(record.id)
                    yield record

    def last(self, filters: Filters, count: int) -> list[Record]:
        """See `Store`. It begins at the end."""
        found: dict[str, Record] = {}
        for window in self._windows(filters, max(self._a_few, 2 * count), newest_first=True):
            if len(found) >= count:
                break
            found.update((record.id, record) for record in self._passing(filters, window))
        return sorted(found.values(), key=_order)[-count:] if count else []

    def copies(self, filters: Filters, progress: Progress = lambda _done: None) -> Iterator[Record]:
        """See `Store`; progress in records. `Record.file` is the store: it has no smaller places."""
        for window in self._windows(filters, self._at_once):
            for record in self._passing(filters, window):
                progress(1)
                yield record

    def size(self) -> int:
        """Records, about: others that have the name of an audit log count, too."""
        return self._count(logsql(Filters()), 0, _END)

    def sender(self) -> Sender:
        """See `Store`."""
        from .sender import VictoriaLogsSender  # noqa: PLC0415 -- who only asks need not load Protobuf

        return VictoriaLogsSender(self.connection.target())

    def close(self) -> None:
        """See `Store`."""
        self.connection.close()

    def _passing(self, filters: Filters, window: _Window) -> Iterator[Record]:
        """StoreError at its end where fewer came than there were: vmauth makes a whole answer of one that broke off before it."""
        tests, sent = filters.tests(), 0
        for found in self.connection.objects(f"{logsql(filters)} | {_RECORDS}", window.begin, window.end):
            record = _record(found, self._place)
            sent += 1
            if record.id and all(test(record) for test in tests):
                yield record
        if sent < window.count:
            raise StoreError(f"the answer of {self} broke off after {sent} of {window.count} records; ask again")

    def _windows(self, filters: Filters, most: int, *, newest_first: bool = False) -> Iterator[_Window]:
        """Spans of time that join each other, none with many more than *most* records (but for those of one second)."""
        question, begin = logsql(filters), min(max(filters.since, 0), _END)
        end = _END if filters.until is None else min(max(filters.until + 1, 0), _END)
        if begin < end:
            whole = _Window(begin, end, self._count(question, begin, end))
            yield from self._divided(question, whole, most, _STEPS, -1 if newest_first else 1)

    def _divided(self, question: str, window: _Window, most: int, steps: tuple[str, ...], direction: int) -> Iterator[_Window]:
        if window.count <= most or not steps:
            yield from [window] if window.count else []
            return
        joined = _joined(self._counts(question, window, steps[0]), most)
        edges = [window.begin, *(time for time, _ in joined[1:]), window.end]
        parts = [_Window(edges[place], edges[place + 1], count) for place, (_, count) in enumerate(joined)]
        for part in parts[::direction]:
            yield from self._divided(question, part, most, steps[1:], direction)

    def _counts(self, question: str, window: _Window, step: str) -> list[tuple[int, int]]:
        """How many records there are in each step of time, for all that have some."""
        found = self.connection.objects(f"{question} | stats by (_time:{step}) count() n", window.begin, window.end)
        counts = sorted((_time(one, self._place), number(one.get("n"))) for one in found)
        if sum(count for _, count in counts) < window.count:
            raise StoreError(f"the answer of {self} broke off; ask again")
        return counts

    def _count(self, question: str, begin: int, end: int) -> int:
        """How many records there are; the answer has one line, so it cannot be half of one."""
        found = [one.get("n", "") for one in self.connection.objects(f"{question} | stats count() n", begin, end)]
        if len(found) != 1 or not found[0].isdecimal():
            raise StoreError(f"{self._place} answers not as VictoriaLogs does: check host and port")
        return int(found[0])


def _joined(counts: Iterable[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """The same with neighbours as one, where they have no more than *most* records together."""
    joined: list[tuple[int, int]] = []
    for time, count in counts:
        if joined and joined[-1][1] + count <= most:
            joined[-1] = joined[-1][0], joined[-1][1] + count
        else:
            joined.append((time, count))
    return joined


def _record(found: dict[str, str], place: str) -> Record:
    """StoreError for an answer without a time."""
    attributes = {name: value for name, value in found.items() if of_record(name)}
    return Record(
        event=found.get(EVENT, ""),
        time=_time(found, place),
        attributes=attributes,
        number=number(attributes.get(names.SEQUENCE_NUMBER)),
        service=found.get(SERVICE, ""),
        severity=number(found.get("severity_number")) or None,
        trace_id=found.get("trace_id", ""),
        span_id=found.get("span_id", ""),
        file=place,
    )


def _time(found: dict[str, str], place: str) -> int:
    """Nanoseconds, of RFC 3339 in UTC with up to nine digits behind the point."""
    text = found.get("_time", "")
    try:
        seconds = int(datetime.fromisoformat(f"{text[:19]}+00:00").timestamp())
        return seconds * _SECOND + int(text[20:-1].ljust(9, "0"))
    except ValueError:
        raise StoreError(f"{place} answers not as VictoriaLogs does: check host and port") from None


def _order(record: Record) -> tuple[int, str, int]:
    return record.time, record.attributes.get(names.STREAM_ID, ""), record.number
