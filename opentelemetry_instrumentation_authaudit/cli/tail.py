"""The newest records; with -f also those to come, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from ..query.reader import Record, Unreadable, files_in, parse, read
from .main import CliError
from .places import looked_in, places, quiet_config
from .query import add_filter_flags, filters_of, lines_of

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = """\
examples:
  authaudit tail                          the newest 20 records
  authaudit tail -f --status failure      watch failures
  authaudit tail -f --format json | jq .
"""

_PAUSE = 0.2  # seconds between looks


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    add_filter_flags(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    parser.add_argument("-n", "--lines", type=int, default=20, metavar="N", help="how many of the newest to begin with (20)")


def run(options: argparse.Namespace) -> int:
    """Print the newest records, then follow."""
    if options.store is not None and not options.store.exists():
        raise CliError(f"there is no {options.store}; --store names a journal folder or file")
    filters = filters_of(options)
    tests = filters.tests()
    found = places(options.store, quiet_config())
    ends = _Ends(found)
    files = [file for place in found for file in files_in(place)]
    if options.store is None or not files:
        looked_in(found, len(files))
    records = (r for r in read(files, Unreadable(), may_match=filters.needles(), since=filters.since) if all(t(r) for t in tests))
    newest = deque(records, maxlen=max(options.lines, 0))
    for line in lines_of(newest, options.format):
        print(line, flush=True)
    seen = {record.id for record in newest}
    header = 1 if options.format != "json" else 0
    while options.follow:
        arrived = [record for record in ends.arrived() if record.id not in seen and all(test(record) for test in tests)]
        for line in list(lines_of(arrived, options.format))[header if arrived else 0 :]:
            print(line, flush=True)
        if not arrived:
            time.sleep(_PAUSE)
    return 0


class _Ends:
    """How far each file has been read; new files are read from their beginning, so rotation loses nothing."""

    def __init__(self, found: list[Path]) -> None:
        self._places = found
        self._offsets = {file: file.stat().st_size for file in self._files()}

    def _files(self) -> Iterator[Path]:
        return (file for place in self._places for file in files_in(place))

    def arrived(self) -> list[Record]:
        """The records of the whole lines that came since the last look."""
        records: list[Record] = []
        for path in self._files():
            try:
                with path.open("rb") as file:
                    file.seek(self._offsets.get(path, 0))
                    whole, newline, _ = file.read().rpartition(b"\n")
            except OSError as error:
                print(f"could not read {path}: {error.strerror}", file=sys.stderr)
                continue
            self._offsets[path] = self._offsets.get(path, 0) + len(whole) + len(newline)
            for line in whole.split(b"\n"):
                records.extend(parse(line, Unreadable(), path.name))
        return sorted(records, key=lambda record: record.time)
