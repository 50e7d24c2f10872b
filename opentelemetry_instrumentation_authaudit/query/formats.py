"""How records are printed: a table for people, JSON lines for programs, CSV for spreadsheets.

What came from outside may hold control characters that drive a terminal, or formulas that drive a spreadsheet: neither gets through.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any, Final

from ..model import names
from .reader import Record

__all__ = ("as_csv", "as_json", "as_rows", "as_table", "brief", "printable", "table")

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_CSV_COLUMNS: Final = (
    "logged_at", "event", names.OUTCOME, names.ACTION, names.STRATEGY, names.PROVIDER, names.SUBJECT, names.IDENTITY, names.REASON,
    names.CLIENT_ADDRESS, names.TENANT, names.ACTOR_ID, names.RESOURCE, names.METHOD, names.ROUTE, names.PATH, names.USER_AGENT,
    names.LIBRARY, "service", names.FLOW_ID, names.RECORD_ID,
)  # fmt: skip
_COLUMNS: Final = ("time", "outcome", "action", "who", "from", "why", "seen by")
_TYPICAL: Final = (
    "2026-11-24 10:00:00",
    "FAILED",
    "sign_in_with_password",
    "auth.user:1234",
    "203.0.113.250",
    "wrong_password",
    "django 6.1.3",
)
_FULL_WIDTH: Final = 110
"""Of a terminal: a narrower one goes without the year, and without who saw it."""
_NARROWEST: Final = 4
_MOST_LINES: Final = 4
_BREAKS: Final = " _-.:@/?"
_HASH: Final = re.compile(r"hashed:(?:[^:]+:)?([0-9a-f]{8})[0-9a-f]+")
_MARKS: Final = {"success": "ok", "failure": "FAILED", "unknown": "?"}


def printable(text: str) -> str:
    """*text* on one line, with control, formatting and line-breaking characters shown as their code points."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] != "C" and category not in {"Zl", "Zp"}:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 -- as Python writes them


def as_json(records: Iterable[Record]) -> Iterator[str]:
    """One flat object a line: keys are attribute names, and `logged_at`, `event`, `service`."""
    for record in records:
        yield json.dumps(record.flat(), ensure_ascii=True)


def as_csv(records: Iterable[Record]) -> Iterator[str]:
    """Quoted as RFC 4180 has it, with a header; the columns are fixed, so that answers to different questions can be joined."""
    yield _csv_line(_CSV_COLUMNS)
    for record in records:
        flat = record.flat()
        yield _csv_line([_harmless(flat.get(name, "")) for name in _CSV_COLUMNS])


def as_table(records: Iterable[Record], width: int = 120, window: int | None = None) -> Iterator[str]:
    """A table for people, as wide as the terminal. With *window* its widths are settled after that many records, for answers
    that never end; they are then at least those of a typical record.
    """
    columns = slice(0, None if width >= _FULL_WIDTH else -1)
    rows = (_row(record, short=width < _FULL_WIDTH)[columns] for record in records)
    typical = () if window is None else (_TYPICAL[columns],)
    window = 200 if window is None else max(window, 1)
    yield from table(_COLUMNS[columns], rows, width, window=window, typical=typical, fixed=2)


def as_rows(header: Sequence[str], rows: Iterable[Sequence[Any]], form: str, width: int) -> Iterator[str]:
    """Rows of any kind in one of the three formats; times as in records, nothing as empty (JSON: null)."""
    if form == "json":
        yield from (json.dumps(dict(zip(header, map(_plain, row), strict=True))) for row in rows)
        return
    texts = (["" if (value := _plain(cell)) is None else str(value) for cell in row] for row in rows)
    if form == "csv":
        yield _csv_line(header)
        yield from (_csv_line(list(map(_harmless, row))) for row in texts)
    else:
        yield from table(header, texts, width)


def _plain(cell: Any) -> Any:
    """What JSON has a form for; everything else as text."""
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%dT%H:%M:%S.%f}Z"
    return cell if cell is None or isinstance(cell, (str, int, float)) else str(cell)


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    width: int,
    *,
    window: int = 200,
    typical: Sequence[Sequence[str]] = (),
    fixed: int = 0,
) -> Iterator[str]:
    """Lines of a table. Columns fit the first *window* rows, and the *typical* ones; what is longer takes several lines.

    The first *fixed* columns never give way to a narrow terminal.
    """
    pending: list[Sequence[str]] = []
    widths: list[int] = []
    for row in rows:
        if widths:
            yield from _lines(row, widths, width)
            continue
        pending.append(row)
        if len(pending) == window:
            widths = _widths([header, *pending, *typical], width, fixed)
            yield from _block([header, *pending], widths, width)
    if pending and not widths:
        yield from _block([header, *pending], _widths([header, *pending, *typical], width, fixed), width)


def _row(record: Record, *, short: bool) -> Sequence[str]:
    get = record.attributes.get
    outcome = get(names.OUTCOME, "")
    time = record.logged_at[:19].replace("T", " ")
    return (
        time[5:] if short else time,
        _MARKS.get(outcome, outcome),
        get(names.ACTION) or record.event,
        _who(record.attributes),
        brief(get(names.CLIENT_ADDRESS) or get(names.PEER_ADDRESS) or ""),
        get(names.REASON, "") + (" (inferred)" if get(names.INFERRED) else ""),
        get(names.LIBRARY, ""),
    )


def _who(attributes: dict[str, str]) -> str:
    """The subject, in brackets what was typed where it is in clear; else what was typed; and who did it, if somebody else."""
    subject, identity, actor = (attributes.get(name, "") for name in (names.SUBJECT, names.IDENTITY, names.ACTOR_ID))
    who = subject or brief(identity)
    if subject and identity not in {"", subject} and brief(identity) == identity:
        who = f"{who} ({identity})"
    return f"{who} by {actor}" if actor else who


def brief(text: str) -> str:
    """A hash by its beginning: enough to see that two are the same."""
    match = _HASH.fullmatch(text)
    return f"hashed:{match[1]}" if match else text


def _widths(rows: Sequence[Sequence[str]], width: int, fixed: int) -> list[int]:
    """The natural width of each column; where they do not fit, the widest give way first."""
    widths = [max(len(printable(cell)) for cell in column) for column in zip(*rows, strict=True)]
    kept, widths = widths[:fixed], widths[fixed:]
    room = width - sum(kept) - 2 * (fixed + len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return kept + widths


def _block(rows: Iterable[Sequence[str]], widths: Sequence[int], width: int) -> Iterator[str]:
    return (line for row in rows for line in _lines(row, widths, width))


def _lines(row: Sequence[str], widths: Sequence[int], width: int) -> Iterator[str]:
    """The lines of one row. What is longer than its column pushes the others aside while there is room, then takes further lines."""
    cells = [printable(cell) for cell in row]
    room = width - sum(widths) - 2 * (len(widths) - 1)
    fitting = []
    for cell, usual in zip(cells, widths, strict=True):
        fitting.append(max(usual, min(len(cell), usual + max(room, 0))))
        room -= fitting[-1] - usual
    for pieces in zip_longest(*map(_pieces, cells, fitting), fillvalue=""):
        yield "  ".join(piece.ljust(space) for piece, space in zip(pieces, fitting, strict=True)).rstrip()


def _pieces(text: str, width: int) -> list[str]:
    """*text* in pieces of that width, broken behind a separator where there is one; what nobody would read is left out."""
    pieces: list[str] = []
    while len(text) > width:
        if len(pieces) == _MOST_LINES - 1:
            return [*pieces, f"{text[: width - 1]}…"]
        cut = max(text.rfind(separator, width // 2, width) for separator in _BREAKS) + 1 or width
        pieces.append(text[:cut].rstrip())
        text = text[cut:]
    return [*pieces, text]


def _harmless(text: str) -> str:
    """A spreadsheet runs a cell that begins like a formula: a quote in front makes it text (OWASP, CSV injection)."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _csv_line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()
