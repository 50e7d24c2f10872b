"""A report for a terminal: words, tables and bars."""

from __future__ import annotations

from collections.abc import Iterator

from ..query.formats import printable, table
from .sections import Bars, Report, Table, moment

__all__ = ("as_words",)

_WIDEST_BAR = 40
_WIDEST_LABEL = 48


def as_words(report: Report, width: int = 100, *, ascii_only: bool = False) -> Iterator[str]:
    """The lines of *report* for a terminal of *width* columns; *ascii_only* where it shows no block characters."""
    full, failed = ("#", "x") if ascii_only else ("█", "▒")
    yield f"{report.title}: {report.headline}"
    if report.records:
        yield f"{report.records:,} records from {moment(report.first)} to {moment(report.last)}"
    for section in report.sections:
        if isinstance(section, Table):
            yield from _table(section, width)
        elif section.bars:
            yield from _bars(section, width, full, failed)


def _table(section: Table, width: int) -> Iterator[str]:
    yield ""
    yield section.title
    if section.rows:
        yield from (
            f"  {line}" for line in table(section.header, [list(map(_cell, row)) for row in section.rows], width - 2, fixed=1)
        )
    else:
        yield f"  {section.empty}"


def _bars(section: Bars, width: int, full: str, failed: str) -> Iterator[str]:
    yield ""
    key = f"   {full} all but  {failed} failed" if section.timeline and any(bar.failed for bar in section.bars) else ""
    yield section.title + key
    labels = [_short(printable(bar.label)) for bar in section.bars]
    space, greatest = max(map(len, labels)), max(bar.count for bar in section.bars)
    room = max(4, min(_WIDEST_BAR, width - space - 24))
    for label, bar in zip(labels, section.bars, strict=True):
        part = bar.failed if section.timeline else 0
        says = f"{bar.count:,} ({part:,} failed)" if part else f"{bar.count:,}"
        yield f"  {label:{space}}  {_drawn(bar.count, part, max(greatest, 1) / room, full + failed):{room}} {says}"


def _drawn(count: int, part: int, unit: float, signs: str) -> str:
    """A bar, a sign for so many; the second sign is for the part. What is there at all is seen: a single failure has its sign."""
    length, bad = (max(round(number / unit), 1) if number else 0 for number in (count, part))
    return signs[0] * (length - bad) + signs[1] * min(bad, length)


def _short(label: str) -> str:
    return label if len(label) <= _WIDEST_LABEL else f"{label[: _WIDEST_LABEL - 1]}…"


def _cell(cell: str | int) -> str:
    return cell if isinstance(cell, str) else f"{cell:,}"
