"""`make faults`: every way to lose records, done to the stock SDK's pipeline and to ours, side by side, counted by ids.

    python scripts/faults.py                    all of them; writes the table in docs/faults.md
    python scripts/faults.py SIGTERM uvicorn    those whose name holds one of these words; only prints

A record counts as told when the call returned. Exit code 1 if ours lost one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults.paths import PATHS  # noqa: E402 -- the tests' own list
from tests.faults.run import Outcome, possible, run  # noqa: E402

_PAGE: Final = ROOT / "docs" / "faults.md"
_TEXT: Final = """\
# Ways to lose a record

Made by `make faults` with opentelemetry-sdk {version} on CPython {python}. Each line is a real process (or server) that tells records
to a real OTLP receiver, while something is done to one of them; what is counted are record ids. *Stock* is `LoggerProvider` with
`BatchLogRecordProcessor` and the OTLP exporter, all by default. *Ours* is this package by default: what has not been delivered when
the process is gone lies in the journal, and the next process of the service delivers it, or `authaudit ship`.

`tests/faults` runs the column "ours" with every test run.

| what happens | stock: lost | ours: delivered at once | ours: after the next start | ours: lost |
| --- | --- | --- | --- | --- |
{rows}

A process that is killed with its disk loses what the receiver has not: put the journal on a volume. A record that the receiver refuses
for good is set aside in the journal's `.dead.jsonl`, and the chain says so (`audit.records_refused`).
"""


def main() -> int:
    """Run them; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", metavar="word", help="only those whose name holds it")
    words = parser.parse_args().words
    rows, lost = [], 0
    for path in PATHS:
        if words and not any(word.lower() in path.name.lower() for word in words):
            continue
        if not possible(path):
            print(f"{path.name}: left out, {path.needs} is not installed", file=sys.stderr)
            continue
        outcomes: dict[str, Outcome] = {}
        for side in ("stock", "ours"):
            with tempfile.TemporaryDirectory(prefix="authaudit-faults-") as folder:
                outcomes[side] = run(path, side, Path(folder))
        rows.append(row(path.name, outcomes["stock"], outcomes["ours"]))
        lost += len(outcomes["ours"].lost)
        print(rows[-1], flush=True)
    if not words:
        _PAGE.parent.mkdir(exist_ok=True)
        version, python = metadata.version("opentelemetry-sdk"), sys.version.split()[0]
        _PAGE.write_text(_TEXT.format(version=version, python=python, rows="\n".join(rows)), encoding="utf-8")
        print(f"written: {_PAGE.relative_to(ROOT)}", file=sys.stderr)
    return 1 if lost else 0


def row(name: str, stock: Outcome, ours: Outcome) -> str:
    """A line of the table."""
    cells = (
        name,
        f"{len(stock.lost):,} of {len(stock.told):,}",
        f"{len(ours.delivered):,} of {len(ours.told):,}",
        f"{len(ours.after):,}",
        f"{len(ours.lost):,}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
