"""How records are printed: a table for people, JSON lines for programs, CSV for spreadsheets.

What came from outside may hold control characters that drive a terminal, or formulas that drive a spreadsheet: neither gets through.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from ..model import names
from .reader import Record

__all__ = ("FORMATS", "as_csv", "as_json", "as_table", "printable", "table")

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_CSV_COLUMNS: Final = (
    "logged_at", "event", names.OUTCOME, names.ACTION, names.STRATEGY, names.PROVIDER, names.SUBJECT, names.IDENTITY, names.REASON,
    names.CLIENT_ADDRESS, names.TENANT, names.ACTOR_ID, names.RESOURCE, names.METHOD, names.ROUTE, names.PATH, names.USER_AGENT,
    names.LIBRARY, "service", names.FLOW_ID, names.RECORD_ID,
)  # fmt: skip
_NARROWEST: Final = 4
_MARKS: Final = {"success": "ok", "failure": "FAILED", "unknown": "?"}


def printable(text: str) -> str:
    """*text* on one line, with control and formatting characters shown as their code points."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if unicodedata.category(c)[0] != "C" else f"\\u{ord(c):04x}" for c in text)


def as_json(records: Iterable[Record]) -> Iterator[str]:
    """One flat object a line: keys are attribute names, and `logged_at`, `event`, `service`."""
    for record in records:
        yield json.dumps(record.flat(), ensure_ascii=True)


def as_csv(records: Iterable[Record]) -> Iterator[str]:
    """RFC 4180 with a header line; the columns are fixed, so that files of different days can be joined."""
    yield _csv_line(_CSV_COLUMNS)
    for record in records:
        flat = record.flat()
        yield _csv_line([_harmless(flat.get(name, "")) for name in _CSV_COLUMNS])


def as_table(records: Iterable[Record], width: int = 120) -> Iterator[str]:
    """A table for people, as wide as the terminal."""
    yield from table(("time", "outcome", "action", "who", "from", "why", "seen by"), (_row(record) for record in records), width)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], width: int, window: int = 200) -> Iterator[str]:
    """Lines of a table. Columns fit the first *window* rows; then they stay, and what is longer is cut."""
    pending: list[Sequence[str]] = []
    widths: list[int] | None = None
    for row in rows:
        if widths is None and len(pending) < window:
            pending.append(row)
            continue
        if widths is None:
            widths = _widths([header, *pending], width)
            yield from (_line(one, widths) for one in (header, *pending))
            pending = []
        yield _line(row, widths)
    if widths is None and pending:
        widths = _widths([header, *pending], width)
        yield from (_line(one, widths) for one in (header, *pending))


def _row(record: Record) -> Sequence[str]:
    get = record.attributes.get
    who = get(names.SUBJECT) or get(names.IDENTITY) or ""
    if get(names.SUBJECT) and get(names.IDENTITY):
        who = f"{who} ({get(names.IDENTITY)})"
    if get(names.ACTOR_ID):
        who = f"{who} by {get(names.ACTOR_ID)}"
    outcome = get(names.OUTCOME, "")
    why = get(names.REASON, "") + (" (inferred)" if get(names.INFERRED) else "")
    return (
        record.logged_at[:19].replace("T", " "),
        _MARKS.get(outcome, outcome),
        get(names.ACTION) or record.event,
        who,
        get(names.CLIENT_ADDRESS) or get(names.PEER_ADDRESS) or "",
        why,
        get(names.LIBRARY, ""),
    )


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The natural width of each column; where they do not fit, the widest give way first."""
    widths = [max(len(printable(cell)) for cell in column) for column in zip(*rows, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(_fit(printable(cell), width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def _harmless(text: str) -> str:
    """A spreadsheet runs a cell that begins like a formula: a quote in front makes it text (OWASP, CSV injection)."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _csv_line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()


FORMATS: Final[dict[str, Callable[[Iterable[Record]], Iterator[str]]]] = {"text": as_table, "json": as_json, "csv": as_csv}
