"""The words of the trail: every event with its actions, every strategy, reason and attribute."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from ..model import names
from ..model.catalog import EVENTS
from ..model.event import Reason, Status, Strategy
from ..query.formats import table

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = """\
examples:
  authaudit schema                         all of it, as tables
  authaudit schema --format json | jq .events
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text")


def run(options: argparse.Namespace) -> int:
    """Print the schema."""
    if options.format == "json":
        print(json.dumps(_schema(), indent=2))
        return 0
    for title, header, rows in _tables():
        print(f"## {title}\n" if options.format == "markdown" else f"{title.upper()}\n")
        lines = (
            _markdown(header, rows) if options.format == "markdown" else table(header, rows, shutil.get_terminal_size().columns)
        )
        print("\n".join(lines), end="\n\n")
    return 0


def _schema() -> dict[str, Any]:
    return {
        "version": names.SCHEMA_VERSION,
        "events": [
            {
                "idx": spec.idx,
                "name": spec.name,
                "actions": spec.actions,
                "recorded": spec.default.value,
                "severity": spec.severity.value,
                "family": spec.family.value,
                "summary": spec.summary,
            }
            for spec in EVENTS.values()
        ],
        "strategies": [strategy.value for strategy in Strategy],
        "outcomes": [status.value for status in Status],
        "reasons": [reason.value for reason in Reason],
        "attributes": _attributes(),
    }


def _tables() -> Iterator[tuple[str, Sequence[str], list[Sequence[str]]]]:
    events: list[Sequence[str]] = [(e.name, ", ".join(e.actions), e.default.value, e.summary) for e in EVENTS.values()]
    yield "Events", ("event", "actions", "recorded", "what happened"), events
    for title, kind in (("Strategies", Strategy), ("Outcomes", Status), ("Reasons", Reason)):
        yield title, (title.lower(),), [(member.value,) for member in kind]
    yield "Attributes", ("attribute",), [(name,) for name in _attributes()]


def _attributes() -> list[str]:
    ours = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    return sorted(ours - {names.SCHEMA_VERSION, names.SCHEMA_URL, names.PARAM_PREFIX} | {f"{names.PARAM_PREFIX}<name>"})


def _markdown(header: Sequence[str], rows: list[Sequence[str]]) -> Iterator[str]:
    for row in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(row)} |"
