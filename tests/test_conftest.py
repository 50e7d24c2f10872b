"""The rules of conftest.py bite."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.guard import guard


def test_a_test_cannot_reach_the_network() -> None:
    """Somebody writes a test against a real server: it fails at the first packet, with a sentence that says why."""
    with socket.socket() as sock, pytest.raises(PermissionError, match="loopback addresses only"):
        sock.connect(("192.0.2.1", 80))


def test_loopback_stays_open() -> None:
    """A test starts a real server of its own and talks to it."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


@pytest.mark.guarded
def test_a_story_about_the_guard_may_swallow() -> None:
    """A test whose story is our own failure says so with the marker, and passes."""
    with guard("tests.expected") as caught:
        raise ValueError
    assert caught.failed


def test_a_swallowed_exception_fails_its_test(pytester: pytest.Pytester) -> None:
    """An extractor of ours raises in the middle of a passing test: the guard saves the application, and the test fails all the same."""
    conftest = Path(__file__).with_name("conftest.py").read_text(encoding="utf-8")
    pytester.makeconftest(conftest)
    pytester.makepyfile("""
        from opentelemetry_instrumentation_authaudit.guard import guard

        def test_login():
            with guard("tests.extractor"):
                raise ValueError("no matter what it says")
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*The guard swallowed exceptions of ours: {'tests.extractor': 1}*"])
