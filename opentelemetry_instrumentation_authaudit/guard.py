"""The one place that swallows an exception of ours: auditing never breaks the application.

    with guard("django_auth.authenticate") as caught:
        ...our code, never the application's...
    if caught.failed: ...

Only `Exception` is caught: `KeyboardInterrupt`, `SystemExit`, `GeneratorExit` and `asyncio.CancelledError` pass through, and so
does `RecordingRefused`, which exists to stop a sign-in. Each site is counted always and logged once.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from types import TracebackType
from typing import Final

from .model.event import RecordingRefused

__all__ = ("Guard", "errors", "guard", "warn")

_log = logging.getLogger("opentelemetry_instrumentation_authaudit")
_AGAIN: Final = 60.0  # seconds
_warned: dict[str, float] = {}
errors: Counter[str] = Counter()
"""How many exceptions each site swallowed since the process started."""


class Guard:
    """A context manager around code of ours; `failed` tells afterwards whether it raised. It is used by the name `guard`.

    *site* names the block in the count and in the log (`library.extractor`).
    """

    __slots__ = ("failed", "site")

    def __init__(self, site: str) -> None:
        self.site = site
        self.failed = False

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> bool:
        if error is None or not isinstance(error, Exception) or isinstance(error, RecordingRefused):
            return False
        self.failed = True
        _count(self.site, error)
        return True


guard = Guard
"""No function around it: there are ten of them on the way of every record."""


def warn(cause: str, message: str, *args: object) -> None:
    """Tell the operator, once a minute for each *cause* (`django_auth.missing_target`); *args* are for `%` and hold no secret."""
    now = time.monotonic()
    if now - _warned.get(cause, -_AGAIN) < _AGAIN:
        return
    _warned[cause] = now
    with guard("guard.warn"):  # an application's logging handler may raise
        _log.warning(message, *args)


def _count(site: str, error: Exception) -> None:
    errors[site] += 1
    if errors[site] > 1:
        return
    # The message and the traceback of an exception may quote a password: the type and our own place must do.
    place = _own_line(error)
    with guard("guard.log"):  # an application's logging handler may raise
        _log.error(
            "authaudit failed in %s: %s%s. The application is not affected; one audit fact may be missing. "
            "Please report it (this is logged once).",
            site,
            type(error).__name__,
            place,
        )


def _own_line(error: Exception) -> str:
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
