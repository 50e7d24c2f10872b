"""Pipelines as the tests need them, on real folders; and what a process prints that tells something and then dies."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from opentelemetry_instrumentation_authaudit.config import Config, load
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Reason, Status, Strategy
from opentelemetry_instrumentation_authaudit.pipeline.life import Sources
from opentelemetry_instrumentation_authaudit.pipeline.sink import Pipeline

ROOT: Final = Path(__file__).parents[2]
NOON: Final = 1_795_521_600_000_000_000
"""2026-11-24, 12:00 UTC."""
SIGN_IN: Final = AuditEvent(
    event="auth.sign_in",
    status=Status.SUCCESS,
    time=NOON,
    library="flask-login 0.6.3",
    strategy=Strategy.PASSWORD,
    subject="user:42",
    identity="ann@example.org",
    identity_known=True,
)
FAILURE: Final = replace(SIGN_IN, status=Status.FAILURE, reason=Reason.WRONG_PASSWORD)


def config(folder: Path, **options: Any) -> Config:
    """The default options with a journal in *folder*, and those the test gives; fields that no option can set so low too."""
    fields = {
        name: options.pop(name) for name in ("checkpoint_records", "checkpoint_seconds", "otlp_protocol") if name in options
    }
    defaults: dict[str, Any] = {"journal_dir": folder / "journal", "hash_key": "k1:secret", "exporter": "none"}
    return replace(load({}, raises=True, **{**defaults, **options}), **fields)


def pipeline(folder: Path, **options: Any) -> Pipeline:
    """A pipeline with the default options, and those the test gives."""
    return Pipeline(config(folder, **options))


def service(folder: Path) -> Path:
    """Where its journals lie."""
    return config(folder).service_dir


def fixed() -> Sources:
    """A clock that stands still, and ids that count."""
    ids = iter(range(1, 1000))
    return Sources(now=lambda: NOON, record_id=lambda: f"id-{next(ids)}", stream_id=lambda: f"{next(ids):016x}")


@contextmanager
def process(code: str, *arguments: object, environ: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs *code* with everything of this module at hand; killed at the end of the block."""
    head = "import os, resource, signal, sys, threading, time\nfrom pathlib import Path\nfrom tests.pipeline.telling import *\n"
    with subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line_of(running: subprocess.Popen[str]) -> str:
    """The next line that the process prints, without its end."""
    assert running.stdout is not None
    return running.stdout.readline().strip()


def run(code: str, *arguments: object, environ: dict[str, str] | None = None) -> str:
    """What a process prints that runs *code* to its end; its exit code must be 0."""
    with process(code, *arguments, environ=environ) as running:
        output, _ = running.communicate(timeout=60)
        assert running.returncode == 0, output
        return output.strip()
