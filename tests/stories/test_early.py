"""Every story once more with the rows in place before the application imports its libraries, as `opentelemetry-instrument` has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def test_stories_are_the_same_when_watched_early(request: pytest.FixtureRequest) -> None:
    """The same stories, in a process of their own, with `--authaudit-early`."""
    if request.config.getoption("--authaudit-early"):
        pytest.skip("this is that run")
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", str(here), "--authaudit-early", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=here.parent.parent, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
