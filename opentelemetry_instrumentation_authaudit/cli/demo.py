"""Three small real applications, unchanged, driven over HTTP, and the audit trail of what was done. Needs a checkout of
the project."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from .main import CliError

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = "In a checkout `make demo` sets up what it needs and does the same."
_ROOT = Path(__file__).parent.parent.parent


def add_flags(parser: argparse.ArgumentParser) -> None:
    """No flags."""


def run(_options: argparse.Namespace) -> int:
    """Run the demo of the checkout."""
    if not (_ROOT / "examples" / "demo.py").is_file():
        raise CliError("the demo is not part of the installed package; in a checkout of the project: make demo")
    return subprocess.run([sys.executable, "-m", "examples.demo"], cwd=_ROOT, check=False).returncode
