"""What a receiver's answer means for the records that were sent: pure functions from the answer on the wire to a verdict.

OTLP specification 1.x, "OTLP/HTTP Response" and "OTLP/gRPC Response", with two differences. They lie where the specification lets a
sender drop what was not accepted; an audit record is kept until somebody has taken it:

- what the specification calls not retryable is either about these records (rejected: they are isolated) or about this sender
  (misconfigured: they wait);
- a redirect, a page in HTML or an unreadable answer is no acknowledgement, and a partial success is a refusal.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

__all__ = ("ACCEPTED", "GRPC_VERDICTS", "Answer", "Verdict", "bounded", "of_http", "of_rejected", "retry_after")


class Verdict(str, Enum):
    """What to do with the records of a request."""

    ACCEPTED = "accepted"
    """All of them have arrived."""
    RETRY = "retry"
    """The receiver cannot at the moment: send them again."""
    MISCONFIGURED = "misconfigured"
    """It would take no record from this sender (wrong address, credentials, protocol): send them again, but rarely."""
    REJECTED = "rejected"
    """It does not take at least one of these: find out which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict and how it came about."""

    verdict: Verdict
    detail: str
    """One of few short texts, safe to log: never a header's or a body's content."""
    after: float | None = None
    """Seconds that the receiver asked to wait before the next request."""
    shrink: bool = False
    """The request may have been too much for the receiver: try with fewer records."""


ACCEPTED: Final = Answer(Verdict.ACCEPTED, "accepted")

_LONGEST_WAIT: Final = 3600.0
_REJECTED: Final = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
_RETRY_4XX: Final = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}

GRPC_VERDICTS: Final[Mapping[str, Verdict]] = MappingProxyType(
    {
        "INVALID_ARGUMENT": Verdict.REJECTED,
        "UNAUTHENTICATED": Verdict.MISCONFIGURED,
        "PERMISSION_DENIED": Verdict.MISCONFIGURED,
        "UNIMPLEMENTED": Verdict.MISCONFIGURED,
        "NOT_FOUND": Verdict.MISCONFIGURED,
    },
)
"""gRPC status codes by name; every other one but OK is `RETRY`."""


def of_http(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """What an HTTP answer means; *headers* are asked without regard to case by who gives them."""
    detail = f"HTTP {status}"
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return _of_success(headers.get("content-type", ""), body)
    if status in _REJECTED:
        return Answer(Verdict.REJECTED, detail)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _RETRY_4XX:
        return Answer(Verdict.MISCONFIGURED, detail)
    return Answer(Verdict.RETRY, detail, retry_after(headers.get("retry-after")))


def of_rejected(count: int) -> Answer:
    """What a partial success means that names *count* rejected records."""
    return Answer(Verdict.REJECTED, "partial success") if count else ACCEPTED


def retry_after(value: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110, 10.2.3: seconds or a date); None if it is unreadable."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp() - time.time()
    return bounded(seconds) if math.isfinite(seconds) else None


def bounded(seconds: float) -> float:
    """A wait that a receiver asked for, within reason: at most an hour."""
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _of_success(content_type: str, body: bytes) -> Answer:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/html":
        return Answer(Verdict.MISCONFIGURED, "a web page instead of an OTLP answer")
    read = _READERS.get(kind)
    if read is None or not body:
        return ACCEPTED
    try:
        return of_rejected(read(body))
    except (DecodeError, ValueError, TypeError, AttributeError):
        return Answer(Verdict.MISCONFIGURED, "an unreadable OTLP answer")


def _rejected_in_protobuf(body: bytes) -> int:
    return ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records


def _rejected_in_json(body: bytes) -> int:
    return int((json.loads(body).get("partialSuccess") or {}).get("rejectedLogRecords") or 0)


_READERS: Final[Mapping[str, Callable[[bytes], int]]] = {
    "application/x-protobuf": _rejected_in_protobuf,
    "application/json": _rejected_in_json,
}
