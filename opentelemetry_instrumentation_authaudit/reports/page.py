"""A report as one page for a browser: nothing is fetched, nothing runs, everything from outside is text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from typing import Final

from ..query.formats import printable
from .sections import Bar, Bars, Report, Table, moment

__all__ = ("as_page",)

_STYLE: Final = """
:root { color-scheme: light dark; --paper: #fbfbfa; --card: #fff; --ink: #1d2125; --soft: #5c6670; --line: #dfe3e6;
  --good: #3b7dbd; --bad: #c8442c; --alarm: #fdecea; --alarm-ink: #8a1f11; --calm: #e8f4ea; --calm-ink: #1c5a2b; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --card: #1c2024; --ink: #e6e9ec; --soft: #9aa4ae; --line: #31373d;
    --good: #5b9bd6; --bad: #ee7b63; --alarm: #46201b; --alarm-ink: #ffc9bf; --calm: #1b3523; --calm-ink: #bfe8c9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(.75rem, 3vw, 2.5rem) 3rem; max-width: 90rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
header { margin-bottom: 1.25rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1rem; margin: 0 0 .75rem; }
p { margin: .25rem 0; color: var(--soft); }
.verdict { display: inline-block; margin: .25rem 0; padding: .4rem .8rem; border-radius: .5rem; font-weight: 600;
  background: var(--calm); color: var(--calm-ink); overflow-wrap: anywhere; }
.alarming { background: var(--alarm); color: var(--alarm-ink); }
main { display: grid; gap: 1rem; align-items: start; grid-template-columns: repeat(2, minmax(0, 1fr)); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem 1.1rem; min-width: 0; }
.wide { grid-column: 1 / -1; }
@media (max-width: 50rem) { main { grid-template-columns: minmax(0, 1fr); } h1 { font-size: 1.3rem; } section { padding: .8rem; } }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; max-width: 26rem; }
tr:last-child td { border-bottom: 0; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.time { white-space: nowrap; font-variant-numeric: tabular-nums; }
td:last-child, th:last-child { padding-right: 0; }
@media (max-width: 50rem) {
  .many thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .many tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .many tr:last-child { border-bottom: 0; }
  .many td { display: flex; max-width: none; overflow-wrap: anywhere;
    gap: 1rem; justify-content: space-between; text-align: right; border: 0; padding: .1rem 0; }
  .many td::before { content: attr(data-is); color: var(--soft); flex: none; text-align: left; }
  .many td:empty { display: none; } }
.bars td { border: 0; padding: .18rem .75rem .18rem 0; vertical-align: middle; }
.bars .label { width: 38%; overflow-wrap: anywhere; }
.bars .number { width: 1%; padding-right: 0; }
@media (max-width: 50rem) {
  .bars tr { display: grid; grid-template-columns: 1fr auto; padding: .2rem 0; border: 0; }
  .bars td { display: block; }
  .bars .label { grid-column: 1; width: auto; text-align: left; } .bars .number { grid-row: 1; grid-column: 2; width: auto; }
  .bars .bar { grid-column: 1 / -1; } }
svg { display: block; width: 100%; overflow: visible; }
svg .good { fill: var(--good); } svg .bad { fill: var(--bad); }
svg text { fill: var(--soft); font-size: 11px; } svg line { stroke: var(--line); }
.key { display: flex; gap: 1.2rem; margin-bottom: .6rem; font-size: .87rem; color: var(--soft); }
.key span::before { content: ""; display: inline-block; width: .75rem; height: .75rem; border-radius: 2px; margin-right: .4rem;
  vertical-align: -1px; background: var(--good); }
.key .failed::before { background: var(--bad); }
footer { margin-top: 1.5rem; color: var(--soft); font-size: .85rem; }
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'"
_HEIGHT: Final = 160
_MOST_LABELS: Final = 6
_FEW: Final = 4
"""Columns that fit on the screen of a telephone."""
_TIMES: Final = frozenset({"from", "last used", "lasted", "time"})


def as_page(report: Report, made: int) -> str:
    """The whole page; *made* is the time it is made at, in nanoseconds."""
    kind = "verdict alarming" if report.alarming else "verdict"
    verdict = f'<p class="{kind}">{_text(report.headline)}</p>'
    over = f"{report.records:,} records from {moment(report.first)} to {moment(report.last)}" if report.records else "no records"
    sections = "\n".join(filter(None, map(_section, report.sections)))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{_text(report.title)} · authaudit</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{_text(report.title)}</h1>\n{verdict}\n<p>{_text(over)}</p>\n</header>\n"
        f"<main>\n{sections}\n</main>\n<footer>authaudit report {_text(report.name)}, {moment(made)}</footer>\n</body>\n</html>\n"
    )


def _section(section: Bars | Table) -> str:
    if isinstance(section, Table):
        return _framed(section.title, _table(section), wide=len(section.header) > _FEW)
    if not section.bars:
        return ""
    return _framed(section.title, _timeline(section) if section.timeline else _bars(section), wide=section.timeline)


def _framed(title: str, inner: str, *, wide: bool) -> str:
    kind = ' class="wide"' if wide else ""
    return f"<section{kind}>\n<h2>{_text(title)}</h2>\n{inner}\n</section>"


def _table(section: Table) -> str:
    if not section.rows:
        return f"<p>{_text(section.empty)}</p>"
    numeric = [isinstance(cell, int) for cell in section.rows[0]]
    head = "".join(
        f"<th{_class(name, number=number)}>{_text(name)}</th>" for name, number in zip(section.header, numeric, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(_cells(section.header, row))}</tr>" for row in section.rows)
    kind = ' class="many"' if len(section.header) > _FEW else ""
    return f'<div class="scroll"><table{kind}>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _cells(header: tuple[str, ...], row: tuple[str | int, ...]) -> Iterator[str]:
    for name, cell in zip(header, row, strict=True):
        shown = f"{cell:,}" if isinstance(cell, int) else cell
        yield f'<td{_class(name, number=isinstance(cell, int))} data-is="{_text(name)}">{_text(shown)}</td>'


def _class(name: str, *, number: bool) -> str:
    return ' class="number"' if number else ' class="time"' if name in _TIMES else ""


def _bars(section: Bars) -> str:
    greatest = max(bar.count for bar in section.bars)
    kinds = ["bad" if bar.failed else "good" for bar in section.bars]
    rows = "\n".join(
        f'<tr><td class="label">{_text(bar.label)}</td><td class="bar"><svg height="14" aria-hidden="true">'
        f'<rect class="{kind}" width="{bar.count / greatest:.2%}" height="14" rx="2"/></svg></td>'
        f'<td class="number">{bar.count:,}</td></tr>'
        for bar, kind in zip(section.bars, kinds, strict=True)
    )
    return f'<table class="bars"><tbody>\n{rows}\n</tbody></table>'


def _timeline(section: Bars) -> str:
    """Columns, the failed part on top of the others; positions in per cent, so that letters keep their form at any width."""
    greatest, share = max([1, *(bar.count for bar in section.bars)]), 100 / len(section.bars)
    columns = "\n".join(_column(bar, place * share, share, greatest) for place, bar in enumerate(section.bars))
    every = -(-len(section.bars) // _MOST_LABELS)
    labels = "".join(
        f'<text x="{place * share:.2f}%" y="{_HEIGHT + 16}">{_text(_axis(bar.label))}</text>'
        for place, bar in enumerate(section.bars)
        if place % every == 0
    )
    failed = sum(bar.failed for bar in section.bars)
    says = f"{sum(bar.count for bar in section.bars):,} events, {failed:,} failed; at most {greatest:,} at a time"
    return (
        f'<div class="key"><span>others</span><span class="failed">failed</span></div>\n'
        f'<svg height="{_HEIGHT + 22}" role="img" aria-label="{_text(says)}">\n<line x1="0" y1="0.5" x2="100%" y2="0.5"/>'
        f'<line x1="0" y1="{_HEIGHT}.5" x2="100%" y2="{_HEIGHT}.5"/>\n{columns}\n<text x="0" y="12">{greatest:,}</text>{labels}\n</svg>'
    )


def _column(bar: Bar, x: float, width: float, greatest: int) -> str:
    whole, failed = (max(round(count / greatest * _HEIGHT), 2) if count else 0 for count in (bar.count, bar.failed))
    where = f'x="{x + width * 0.08:.2f}%" width="{width * 0.84:.2f}%"'
    good = max(whole - failed, 0)
    shapes = f'<rect class="good" {where} y="{_HEIGHT - good}" height="{good}"/>' if good else ""
    shapes += f'<rect class="bad" {where} y="{_HEIGHT - good - failed}" height="{failed}"/>' if failed else ""
    return f"<g><title>{_text(bar.label)}: {bar.count:,} events, {bar.failed:,} failed</title>{shapes}</g>"


def _axis(label: str) -> str:
    """Of an hour the time, of a day the date without its year."""
    day, _, hour = label.partition(" ")
    return hour or day[5:]


def _text(text: str) -> str:
    """*text* as text and nothing else, also within quotes."""
    return escape(printable(text))
