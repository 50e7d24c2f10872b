"""Watches a test suite of somebody else: a pytest plugin to be loaded with `-p`, and a runner for suites that use another tool.

    PYTHONPATH=scripts python -m pytest -p peers_plugin tests      # prints the records by event and status, and what was swallowed
    python scripts/peers_plugin.py watched runtests.py auth_tests  # the same for a script
    python scripts/peers_plugin.py plain unittest discover         # without us, but the outcomes are heard in the same way

Everything is watched from before the first import of any library, as under `opentelemetry-instrument`. With PEERS_REPORT in the
environment the counts are written to that file as JSON.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import unittest
from collections import Counter
from pathlib import Path
from typing import Any

__all__ = ("Tally", "pytest_terminal_summary", "pytest_unconfigure", "watch")


class Tally:
    """A sink that counts records by event and status."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def begin(self) -> None:
        """Part of the sink."""

    def wants(self, _event: str, _status: Any) -> bool:
        """Everything is counted."""
        return True

    def admit(self, event: str) -> None:
        """Part of the sink."""

    def __call__(self, event: Any) -> str:
        """Count *event*."""
        self.counts[f"{event.event} {event.status.value}"] += 1
        return "counted"


_tally = Tally()
_swallowed: Counter[str] = Counter()


def watch() -> None:
    """Put every row in place."""
    from opentelemetry_instrumentation_authaudit import guard  # noqa: PLC0415 -- a plain run must not even import us
    from opentelemetry_instrumentation_authaudit.hooks.engine import Engine  # noqa: PLC0415
    from opentelemetry_instrumentation_authaudit.instrumentor import listen  # noqa: PLC0415

    global _swallowed  # noqa: PLW0603 -- one for the process, as the rows are
    listen(Engine(_tally))
    _swallowed = guard.errors


def report(results: dict[str, str]) -> None:
    """Write down what was seen, if somebody wants it."""
    if place := os.environ.get("PEERS_REPORT"):
        told = {"results": results, "records": _tally.counts, "swallowed": _swallowed}
        Path(place).write_text(json.dumps(told), encoding="utf-8")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was seen; part of pytest."""
    terminalreporter.section("authaudit")
    for title, counts in (("records", _tally.counts), ("swallowed", _swallowed)):
        terminalreporter.write_line(f"{title}: {sum(counts.values())}")
        for name, count in sorted(counts.items()):
            terminalreporter.write_line(f"  {count:6} {name}")


def pytest_unconfigure() -> None:
    """Write down what was seen; part of pytest."""
    report({})


def hear_unittest(results: dict[str, str]) -> None:
    """Note the outcome of every test that `unittest` runs in this process, whatever prints them."""

    def listen(method: str, outcome: str) -> None:
        theirs = getattr(unittest.TestResult, method)

        def hear(result: unittest.TestResult, test: Any, *more: Any) -> None:
            results.setdefault(test.id(), outcome)
            theirs(result, test, *more)

        setattr(unittest.TestResult, method, hear)

    listen("addSuccess", "success")
    listen("addFailure", "failure")
    listen("addError", "error")
    listen("addSkip", "skipped")
    listen("addExpectedFailure", "expected failure")
    listen("addUnexpectedSuccess", "unexpected success")
    theirs = unittest.TestResult.addSubTest

    def hear_subtest(result: unittest.TestResult, test: Any, subtest: Any, error: Any) -> None:
        if error is not None:
            results.setdefault(test.id(), "failure" if issubclass(error[0], test.failureException) else "error")
        theirs(result, test, subtest, error)

    unittest.TestResult.addSubTest = hear_subtest  # type: ignore[assignment, method-assign]


def main(mode: str, start: str, *arguments: str) -> None:
    """Run the script or module *start* in this process and write down what was heard."""
    if mode == "watched":
        watch()
    results: dict[str, str] = {}
    hear_unittest(results)
    sys.argv = [start, *arguments]
    sys.path[0] = str(Path(start).parent.resolve()) if start.endswith(".py") else ""
    try:
        if start.endswith(".py"):
            runpy.run_path(start, run_name="__main__")
        else:
            runpy.run_module(start, run_name="__main__", alter_sys=True)
    finally:
        report(results)


if __name__ == "__main__":
    main(*sys.argv[1:])
else:
    watch()
