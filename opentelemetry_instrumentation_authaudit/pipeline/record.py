"""From an event to the raw attributes of its record, its id and its severity. Nothing is redacted here: that is the policy's."""

from __future__ import annotations

import os
import re
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from ..config import Config
from ..model import names
from ..model.catalog import action_of, severity_of
from ..model.event import AuditEvent, Request, Status
from ..privacy.client import client_of
from ..privacy.sanitise import parameter_name

__all__ = ("RecordIds", "attributes", "record_id", "severity")

_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_KINDS: Final = frozenset({str, tuple})
_OTHER_METHOD = "_OTHER"  # semantic conventions 1.44, http.request.method
_TAIL: Final = struct.Struct(">Q")
_TAILS: Final = 128
_HOST = re.compile(r"\[([^\]]*)\](?::\d*)?|([^:]*)(?::\d*)?")


def attributes(event: AuditEvent, *, record_id: str, config: Config) -> dict[str, Any]:
    """The attributes of the event's record by the names of `model.names`, in the order of their weight, none empty."""
    found = {
        names.RECORD_ID: record_id,
        names.LOG: config.log_name,
        names.SCHEMA: names.SCHEMA_VERSION,
        **_what(event),
        **_who(event),
    }
    if event.request is not None:
        found.update(_where(event.request, config))
    if event.params:
        found.update({f"{names.PARAM_PREFIX}{parameter_name(name)}": param.value for name, param in event.params.items()})
    # Only our own kinds are asked whether they are empty: the truth of an application's object may be costly.
    return {name: value for name, value in found.items() if value is not None and (type(value) not in _KINDS or value)}


def severity(event: AuditEvent, config: Config) -> int | None:
    """OpenTelemetry's SeverityNumber of the record; None where option `severity` is off."""
    return severity_of(event).value if config.severity else None


# Whole tables, with None for what there is not: a table is built at once, a generator is resumed for each of its items.


def _what(event: AuditEvent) -> dict[str, Any]:
    failed = event.status is not Status.SUCCESS
    return {
        names.ACTION: action_of(event),
        names.STRATEGY: event.strategy.value,
        names.PROVIDER: event.provider,
        names.OUTCOME: event.status.value,
        names.REASON: event.reason.value if failed and event.reason else None,
        names.ERROR_TYPE: event.error_type if failed else None,
        names.INFERRED: "true" if event.inferred else None,
        names.ATTEMPTS: str(event.attempts) if event.attempts > 1 else None,
        names.REPEATS: str(event.repeats) if event.repeats else None,
        names.LIBRARY: event.library,
    }


def _who(event: AuditEvent) -> dict[str, Any]:
    actor = event.actor if event.actor is not None and event.actor.id != event.subject else None
    return {
        names.SUBJECT: event.subject,
        names.IDENTITY: event.identity,
        names.ACTOR_ID: actor and actor.id,
        names.ACTOR_TYPE: actor and actor.type,
        names.TENANT: event.tenant,
        names.RESOURCE: event.resource,
        names.SESSION_ID: event.session_key,
        names.TOKEN_ID: event.token_id,
    }


def _where(request: Request, config: Config) -> dict[str, Any]:
    client = client_of(request, config.trusted_proxies)
    known = client.address is not None
    return {
        names.CLIENT_ADDRESS: client.address,
        names.CLIENT_PORT: client.port if known else None,
        names.CLIENT_SOURCE: client.source.value if known else None,
        names.PEER_ADDRESS: request.peer,
        names.X_FORWARDED_FOR: request.x_forwarded_for,
        names.FORWARDED: request.forwarded,
        names.METHOD: _OTHER_METHOD if request.method and request.method not in _METHODS else request.method,
        names.SERVER_ADDRESS: _host(request.host),
        names.ROUTE: request.route,
        names.PATH: None if request.route else request.path,
        names.USER_AGENT: request.user_agent,
        names.FLOW_ID: request.flow_id,
    }


def _host(host: str | None) -> str | None:
    """The host without its port (RFC 9110, 7.2); what is no host at all is left out."""
    if not host or not ("[" in host or ":" in host):
        return host
    match = _HOST.fullmatch(host)
    return match and (match[1] or match[2])


class RecordIds:
    """UUIDs of version 7 (RFC 9562, 5.7), in the order they were made within this process, also within one millisecond.

    The 12 bits behind the milliseconds are the fraction of the millisecond (6.2, method 3); a clock that stands still or goes
    back is answered by counting on.
    """

    __slots__ = ("_clock", "_last", "_lock", "_random", "_tails")

    def __init__(self, clock: Callable[[], int] = time.time_ns, random: Callable[[int], bytes] = os.urandom) -> None:
        """*clock* gives nanoseconds since the epoch, *random* as many random bytes as asked for."""
        self._clock = clock
        self._random = random
        self._last = 0
        self.unlock()

    def unlock(self) -> None:
        """In a forked child: a new lock, since the old one may be held by a thread that is not there, and random bits of its own."""
        self._lock = threading.Lock()
        self._tails: list[str] = []

    def __call__(self) -> str:
        """The next id, in the usual form of 36 characters."""
        milliseconds, rest = divmod(self._clock(), 1_000_000)
        moment = (milliseconds << 12) | (rest << 12) // 1_000_000
        with self._lock:
            self._last = moment = max(moment, self._last + 1)
            if not self._tails:  # the system is asked once for many
                self._tails = [_tail(bits) for (bits,) in _TAIL.iter_unpack(self._random(_TAIL.size * _TAILS))]
            tail = self._tails.pop()
        return f"{moment >> 28 & 0xFFFF_FFFF:08x}-{moment >> 12 & 0xFFFF:04x}-{0x7000 | moment & 0xFFF:04x}-{tail}"


def _tail(bits: int) -> str:
    """The variant and 62 random *bits*."""
    return f"{0x8000 | bits >> 48 & 0x3FFF:04x}-{bits & 0xFFFF_FFFF_FFFF:012x}"


record_id: Final = RecordIds()
"""The ids of this process. Two processes of one fork share the counter's start and nothing else: the tail is random."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=record_id.unlock)
