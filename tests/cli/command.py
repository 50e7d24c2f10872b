"""The `authaudit` command as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PACKAGE = "opentelemetry-instrumentation-authaudit"


def authaudit(*arguments: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a home of its own; *more* are variables of its environment."""
    return patiently(120, arguments, home, more)


def patiently(seconds: float, arguments: Sequence[str], home: Path, more: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The same, where it may take so long."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "XDG_", "STATE_"))}
    environ |= {"HOME": str(home), "COLUMNS": "160", **more}
    command = [sys.executable, "-m", "opentelemetry_instrumentation_authaudit", *arguments]
    return subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True, timeout=seconds, check=False)


def records(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The ids of the records printed as JSON."""
    assert done.returncode == 0, done.stderr
    return [json.loads(row)["audit.record.id"] for row in done.stdout.splitlines()]
