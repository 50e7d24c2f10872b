"""The run of all stories that `test_early.py` judges. It takes as long as all other stories together, so it begins with the session
and goes on beside it: two cores are there."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from .secrets_seen import SUPPORTED

__all__ = ("CANARIES", "abandon", "begin", "finish", "stories")

ROOT = Path(__file__).parents[2]
CANARIES = ("-p", "tests.stories.canary")
_running: list[tuple[subprocess.Popen[bytes], str]] = []


def stories(*arguments: str) -> list[str]:
    """The command that runs stories in a process of their own."""
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]


def begin() -> None:
    """Begin, unless it has begun."""
    if _running:
        return
    with tempfile.NamedTemporaryFile(prefix="authaudit-early-", suffix=".txt", delete=False) as output:
        command = stories(str(ROOT / "tests" / "stories"), "--authaudit-early", *(CANARIES if SUPPORTED else ()))
        _running.append((subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT), output.name))


def finish() -> tuple[int, str]:
    """Wait for the end; exit code and what was printed."""
    begin()
    process, name = _running[0]
    try:
        code = process.wait(1800)
        return code, Path(name).read_text(encoding="utf-8", errors="replace")
    finally:
        abandon()


def abandon() -> None:
    """End it, if it runs."""
    while _running:
        process, name = _running.pop()
        process.kill()
        process.wait()
        Path(name).unlink()
