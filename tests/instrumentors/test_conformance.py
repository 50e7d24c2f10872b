"""What must hold for every registry line, generated from it: nothing here knows any library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.instrumentors.registry import LIBRARIES, Library

ROOT = Path(__file__).parent.parent.parent


def run(name: str, what: str) -> str:
    """Run the conformance script; what it found, or nothing."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.instrumentors.conformance", name, what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return "" if done.returncode == 0 else f"{name}: {done.stdout}{done.stderr[-2000:]}"


@pytest.fixture(params=[pytest.param(library, id=library.name) for library in LIBRARIES])
def library(request: pytest.FixtureRequest) -> Library:
    """Every library of the registry."""
    found: Library = request.param
    if found.installed is None:
        pytest.skip(f"{found.name} is not installed here")
    return found


def test_every_order_of_import_on_and_off(library: Library) -> None:
    """While on, every target is watched and looks like itself; after off, the very objects from before stand there."""
    assert not run(library.name, "orders")


def test_removed_target_costs_its_own_row(library: Library) -> None:
    """A library doctored by removing one target after the other: one row, one WARNING that names it."""
    assert not run(library.name, "doctor")


def test_file_says_what_it_cannot_see(library: Library) -> None:
    """Coverage is honest: sentences, not silence, and every row names its defining module."""
    assert all(sentence.endswith(".") for sentence in library.blind)
    assert library.hooks, f"{library.name} has no rows"
