"""`make demo-collector` does what it says, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.collector.running import needed

from .test_demo import descendants

ROOT = Path(__file__).parents[2]


@pytest.mark.stores
def test_collector_and_store_are_killed_and_nothing_is_missing() -> None:
    """A newcomer runs it: four applications, a collector and a store that are killed in the traffic, and ids counted at the end."""
    needed("otelcol-authaudit")
    marked = os.environ | {"AUTHAUDIT_TEST": uuid.uuid4().hex}
    done = subprocess.run(
        [sys.executable, "-m", "examples.collector"],
        cwd=ROOT,
        env=marked,
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is killed (-9)") == 3
    assert "Nothing is missing, and files and store answer alike." in done.stderr
    assert done.stderr.count("every chain is whole") == 2
    assert "/select/vmui/" in done.stderr
    assert descendants(marked) == set()
