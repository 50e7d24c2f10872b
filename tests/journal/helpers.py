"""Journals as the tests need them: small records, a clock to turn, and processes that really die."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.journal.follow import follow
from opentelemetry_instrumentation_authaudit.journal.line import Envelope
from opentelemetry_instrumentation_authaudit.journal.writer import Journal
from opentelemetry_instrumentation_authaudit.model import names

OWN: Final = "00000000000000aa"
OTHER: Final = "00000000000000bb"
ENVELOPE: Final = Envelope(b'{"attributes":[]}', b'{"name":"test"}', b"https://schema.example/1")
DAY: Final = 86_400 * 1_000_000_000
MORNING: Final = 1_795_500_000 * 1_000_000_000
"""2026-11-24, 06:00 UTC."""


@dataclass
class Clock:
    """A clock that stands still until it is turned."""

    now: int = MORNING

    def __call__(self) -> int:
        return self.now


def record(number: int, text: str = "") -> bytes:
    """A small record with that sequence number."""
    return encode(CanonicalRecord(event="e", time=number, attributes={names.SEQUENCE_NUMBER: number, names.ACTION: text}))


def journal(folder: Path, stream: str = OWN, **options: Any) -> Journal:
    """A journal with the usual envelope."""
    return Journal(folder, stream, ENVELOPE, **options)


def fill(folder: Path, count: int, stream: str = OWN, **options: Any) -> Journal:
    """A journal with records 1 to *count* in it."""
    opened = journal(folder, stream, **options)
    for number in range(1, count + 1):
        opened.append(record(number))
    return opened


def written(folder: Path, stream: str = OWN) -> list[bytes]:
    """All whole records of a stream."""
    return [found.record for found in follow(folder, stream, None)]


@contextmanager
def process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs *code*; killed at the end of the block, if it still lives."""
    head = "from pathlib import Path\nimport os, signal, sys\nfrom tests.journal.helpers import *\n"
    with subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line_of(running: subprocess.Popen[str]) -> str:
    """The next line that the process prints, without its end."""
    assert running.stdout is not None
    return running.stdout.readline().strip()


def run(code: str, *arguments: object) -> str:
    """What a process prints that runs *code* to its end; its exit code must be 0."""
    with process(code, *arguments) as running:
        output, _ = running.communicate(timeout=60)
        assert running.returncode == 0, output
        return output.strip()
