"""`make bench`: what a record costs, beside the stock SDK, in one run.

python -m benchmarks                    10,000 records each, three rounds, the best counts
python -m benchmarks --count 1000000    more of them
python -m benchmarks --scale            1,000 to 1,000,000 records of the stock SDK and of ours
python -m benchmarks --queries          what questions cost on a million records, in every store
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.pipeline.otlp_server import OtlpServer

from .subjects import SUBJECTS

ROOT: Final = Path(__file__).resolve().parents[1]
STOCK: Final = next(iter(SUBJECTS))
OURS: Final = "ours, http/json, fsync=interval (default)"


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, metavar="N", help="records a round (10000)")
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="the cheapest round counts: others are the machine's noise (3)"
    )
    parser.add_argument("--scale", action="store_true", help="how cost and memory grow with the number of records")
    parser.add_argument("--queries", action="store_true", help="what questions cost in every store (on a million records)")
    options = parser.parse_args()
    if options.queries:
        from . import queries

        queries.main(1_000_000 if options.count == parser.get_default("count") else options.count)
    elif options.scale:
        for count in (1_000, 10_000, 100_000, 1_000_000):
            measure([STOCK, OURS], count, 1)
    else:
        measure(list(SUBJECTS), options.count, options.rounds)
    return 0


def measure(names: list[str], count: int, rounds: int) -> None:
    """A table. Rounds go through all names in turn, so that a busy minute of the machine hits each."""
    print(f"\n{count:,} records, CPU from the first record to the last acknowledgement\n")
    found: dict[str, dict[str, Any]] = {}
    for _ in range(rounds):
        for name in names:
            one = run(name, count)
            found[name] = min(one, found.get(name, one), key=lambda measured: measured["cpu"])
    stock = found[STOCK]["cpu"]
    print("| | CPU, µs a record | of the stock SDK's | memory, MB |\n| --- | --- | --- | --- |")
    for name, one in found.items():
        print(f"| {name} | {one['cpu']:.1f} | {one['cpu'] / stock:.2f} | {one['rss'] / 1024:.0f} |", flush=True)


def run(name: str, count: int) -> dict[str, Any]:
    """One measurement, in a process of its own, against a receiver in this one."""
    protocol = "grpc" if "grpc" in name else "http/protobuf" if "protobuf" in name or "stock" in name else "http/json"
    with OtlpServer("grpc" if protocol == "grpc" else "http") as server:
        environ = {**os.environ, **server.environment, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        command = [sys.executable, "-m", "benchmarks.subjects", name, str(count)]
        done = subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
