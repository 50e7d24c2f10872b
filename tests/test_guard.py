"""The guard: our own faults never reach the application, and nothing else is ever swallowed."""

from __future__ import annotations

import asyncio
import logging

import pytest

from opentelemetry_instrumentation_authaudit.guard import errors, guard, warn
from opentelemetry_instrumentation_authaudit.model.event import RecordingRefused

pytestmark = pytest.mark.guarded


def test_exception_is_swallowed_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Two faults at one site: counted twice, told once, without the message, which may quote a password."""
    for _ in range(2):
        with guard("site.one") as caught:
            raise ValueError("hunter2")
        assert caught.failed
    assert errors["site.one"] == 2
    lines = [record.getMessage() for record in caplog.records if "site.one" in record.getMessage()]
    assert len(lines) == 1
    assert "ValueError at test_guard.py" in lines[0]
    assert "hunter2" not in caplog.text


def test_good_code_passes() -> None:
    """Nothing failed, nothing is counted."""
    with guard("site.two") as caught:
        pass
    assert not caught.failed
    assert "site.two" not in errors


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, RecordingRefused])
def test_what_is_not_ours_passes_through(error: type[BaseException]) -> None:
    """Signals to stop, cancellation, and the one exception that is meant to reach the application."""
    with pytest.raises(error), guard("site.three"):
        raise error
    assert "site.three" not in errors


def test_logging_handler_that_raises_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    """An application's handler may break; our complaint about ourselves must not break the sign-in."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError

    handler = Broken()
    logging.getLogger().addHandler(handler)
    try:
        with guard("site.four"):
            raise LookupError
        warn("cause.broken", "a line for %s", "the operator")
    finally:
        logging.getLogger().removeHandler(handler)
    assert errors["site.four"] == 1
    assert "site.four" in caplog.text


def test_operator_is_told_once_for_each_cause(caplog: pytest.LogCaptureFixture) -> None:
    """One line a cause, however often it comes up."""
    for number in range(3):
        warn("cause.once", "seen %d", number)
    assert [record.getMessage() for record in caplog.records if "seen" in record.getMessage()] == ["seen 0"]
