"""From an event to the raw attributes of its record, its id and its severity. Nothing is redacted here: that is the policy's."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..config import Config
from ..model import names
from ..model.catalog import action_of, severity_of
from ..model.event import AuditEvent, Request, Status
from ..privacy.client import client_of
from ..privacy.sanitise import parameter_name

__all__ = ("RecordIds", "attributes", "record_id", "severity")

_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_OTHER_METHOD = "_OTHER"  # semantic conventions 1.44, http.request.method
_HOST = re.compile(r"\[([^\]]*)\](?::\d*)?|([^:]*)(?::\d*)?")


def attributes(event: AuditEvent, *, record_id: str, config: Config) -> dict[str, Any]:
    """The attributes of the event's record by the names of `model.names`, in the order of their weight, none empty."""
    found = {
        names.RECORD_ID: record_id,
        names.LOG: config.log_name,
        names.SCHEMA: names.SCHEMA_VERSION,
        **dict(_what(event)),
        **dict(_who(event)),
        **(dict(_where(event.request, config)) if event.request is not None else {}),
        **{f"{names.PARAM_PREFIX}{parameter_name(name)}": param.value for name, param in event.params.items()},
    }
    return {name: value for name, value in found.items() if not _empty(value)}


def severity(event: AuditEvent, config: Config) -> int | None:
    """OpenTelemetry's SeverityNumber of the record; None where option `severity` is off."""
    return severity_of(event).value if config.severity else None


def _what(event: AuditEvent) -> Iterator[tuple[str, Any]]:
    yield names.ACTION, action_of(event)
    yield names.STRATEGY, event.strategy.value
    yield names.PROVIDER, event.provider
    yield names.OUTCOME, event.status.value
    if event.status is not Status.SUCCESS:
        yield names.REASON, event.reason.value if event.reason else None
        yield names.ERROR_TYPE, event.error_type
    if event.inferred:
        yield names.INFERRED, "true"
    if event.attempts > 1:
        yield names.ATTEMPTS, str(event.attempts)
    if event.repeats:
        yield names.REPEATS, str(event.repeats)
    yield names.LIBRARY, event.library


def _who(event: AuditEvent) -> Iterator[tuple[str, Any]]:
    yield names.SUBJECT, event.subject
    yield names.IDENTITY, event.identity
    if event.actor is not None and event.actor.id != event.subject:
        yield names.ACTOR_ID, event.actor.id
        yield names.ACTOR_TYPE, event.actor.type
    yield names.TENANT, event.tenant
    yield names.RESOURCE, event.resource
    yield names.SESSION_ID, event.session_key
    yield names.TOKEN_ID, event.token_id


def _where(request: Request, config: Config) -> Iterator[tuple[str, Any]]:
    client = client_of(request, config.trusted_proxies)
    if client.address is not None:
        yield names.CLIENT_ADDRESS, client.address
        yield names.CLIENT_PORT, client.port
        yield names.CLIENT_SOURCE, client.source.value
    yield names.PEER_ADDRESS, request.peer
    yield names.X_FORWARDED_FOR, request.x_forwarded_for
    yield names.FORWARDED, request.forwarded
    if request.method:
        yield names.METHOD, request.method if request.method in _METHODS else _OTHER_METHOD
    yield names.SERVER_ADDRESS, _host(request.host)
    yield (names.ROUTE, request.route) if request.route else (names.PATH, request.path)
    yield names.USER_AGENT, request.user_agent
    yield names.FLOW_ID, request.flow_id


def _host(host: str | None) -> str | None:
    """The host without its port (RFC 9110, 7.2); what is no host at all is left out."""
    match = _HOST.fullmatch(host or "")
    return match and (match[1] or match[2])


def _empty(value: Any) -> bool:
    """Whether there is nothing to record. Only our own kinds are asked: the truth of an application's object may be costly."""
    return value is None or (type(value) in {str, tuple} and not value)


class RecordIds:
    """UUIDs of version 7 (RFC 9562, 5.7), in the order they were made within this process, also within one millisecond.

    The 12 bits behind the milliseconds are the fraction of the millisecond (6.2, method 3); a clock that stands still or goes
    back is answered by counting on.
    """

    __slots__ = ("_clock", "_last", "_lock", "_random")

    def __init__(self, clock: Callable[[], int] = time.time_ns, random: Callable[[int], bytes] = os.urandom) -> None:
        """*clock* gives nanoseconds since the epoch, *random* as many random bytes as asked for."""
        self._clock = clock
        self._random = random
        self._last = 0
        self.unlock()

    def unlock(self) -> None:
        """A new lock: in a forked child the old one may be held by a thread that is not there."""
        self._lock = threading.Lock()

    def __call__(self) -> str:
        """The next id, in the usual form of 36 characters."""
        milliseconds, rest = divmod(self._clock(), 1_000_000)
        moment = (milliseconds << 12) | (rest << 12) // 1_000_000
        with self._lock:
            self._last = moment = max(moment, self._last + 1)
        tail = int.from_bytes(self._random(8), "big") & (1 << 62) - 1
        digits = f"{moment >> 12 & (1 << 48) - 1:012x}{0x7000 | moment & 0xFFF:04x}{1 << 63 | tail:016x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


record_id: Final = RecordIds()
"""The ids of this process. Two processes of one fork share the counter's start and nothing else: the tail is random."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=record_id.unlock)
