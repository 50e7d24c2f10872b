"""What a report consists of: tables and bars, as data. `words` and `page` show them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TypeAlias

from ..query.reader import Record

__all__ = ("Bar", "Bars", "Cell", "Report", "Table", "moment", "spoken")

Cell: TypeAlias = "str | int"


@dataclass(frozen=True, slots=True)
class Bar:
    """A count; `failed` is the part of it that failed."""

    label: str
    count: int
    failed: int = 0
    begin: int = 0
    """Of a bar of time: nanoseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Counts to compare, or (`timeline`) over time."""

    title: str
    bars: tuple[Bar, ...]
    timeline: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: str = "none"
    """What to say where there are no rows."""


@dataclass(slots=True)
class Report:
    """An answer."""

    name: str
    title: str
    headline: str = ""
    records: int = 0
    first: int = 0
    last: int = 0
    """Of the records that were looked at."""
    alarming: bool = False
    """Attacks were found."""
    sections: list[Bars | Table] = field(default_factory=list)
    attacks: list[dict[str, Any]] = field(default_factory=list)
    """Every finding in full, for programs."""

    def over(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records, which the report is then over."""
        for record in records:
            self.records += 1
            self.first = self.first or record.time
            self.last = record.time
            yield record

    def data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "report": self.name,
            "headline": self.headline,
            "records": self.records,
            "first": moment(self.first),
            "last": moment(self.last),
            "attacks": self.attacks,
            "sections": [_section(section) for section in self.sections],
        }


def moment(time: int) -> str:
    """RFC 3339, whole seconds; empty for none."""
    return datetime.fromtimestamp(time // 1_000_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if time else ""


def spoken(time: int) -> str:
    """The same as people write it."""
    return moment(time).replace("T", " ").rstrip("Z")


def _section(section: Bars | Table) -> dict[str, Any]:
    if isinstance(section, Table):
        return {"title": section.title, "rows": [dict(zip(section.header, row, strict=True)) for row in section.rows]}
    rows: list[dict[str, Cell]] = [{"label": bar.label, "count": bar.count} for bar in section.bars]
    if section.timeline:
        rows = [{**row, "failed": bar.failed} for row, bar in zip(rows, section.bars, strict=True)]
    return {"title": section.title, "rows": rows}
