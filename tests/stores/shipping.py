"""Shippers as processes of their own, and who writes for them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.store import open_store
from tests.pipeline.telling import process

_WRITER = """
sink = pipeline(Path(sys.argv[1]), checkpoint_records=50)
number = 0
while not Path(sys.argv[1], "enough").exists():
    print(sink(replace(SIGN_IN, time=time.time_ns(), subject=f"user:{number}")), flush=True)
    number += 1
    time.sleep(float(sys.argv[2]))
sink.shutdown()
"""


@contextmanager
def writing(folder: Path, pause: float = 0.002) -> Iterator[Callable[[], list[str]]]:
    """A living process that records as long as the block lasts; gives what returns, at its end, every id it has told."""
    told: list[str] = []

    def end() -> list[str]:
        (folder / "enough").touch()
        output, _ = running.communicate(timeout=60)
        told.extend(output.split())
        return told

    with process(_WRITER, folder, pause) as running:
        yield end


@contextmanager
def following(home: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`authaudit ship --follow` with *arguments*, at work; killed at the end of the block if it still lives."""
    command = [sys.executable, "-m", "opentelemetry_instrumentation_authaudit", "ship", "--follow", *arguments]
    environ = {**{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}, "HOME": str(home)}
    with subprocess.Popen(command, cwd=home, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        said = running.stderr.readline()
        assert said.startswith("following "), said
        try:
            yield running
        finally:
            running.kill()


def copies(url: str) -> list[str]:
    """The id of every copy of every record in the store."""
    store = open_store(url)
    try:
        return [record.id for record in store.copies(Filters())]
    finally:
        store.close()


def until(what: str, condition: Callable[[], bool], patience: float = 60.0) -> None:
    """Return when *condition* is true; fail if it never is."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
