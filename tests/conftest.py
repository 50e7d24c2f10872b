"""Two rules for every test: nothing leaves this machine, and our guard has nothing to swallow."""

from __future__ import annotations

import ipaddress
import signal
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from opentelemetry_instrumentation_authaudit import guard


def _stay_home(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook of the interpreter: refuse to talk to anything but loopback addresses and Unix sockets."""
    if event not in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        return
    sock, address = arguments[0], arguments[1]
    if sock.family not in {socket.AF_INET, socket.AF_INET6} or address is None:
        return
    host = str(address[0])
    if host != "localhost" and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        message = f"A test tried to reach {host}: tests use loopback addresses only."
        raise PermissionError(message)


sys.addaudithook(_stay_home)
hypothesis.settings.register_profile("house", deadline=None)  # how long an example takes depends on who else uses the machine
hypothesis.settings.load_profile("house")
# A run in the background of a shell ignores SIGINT, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _nothing_swallowed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which the guard swallowed an exception of ours, unless it is marked `guarded` because that is its story."""
    before = Counter(guard.errors)
    yield
    swallowed = guard.errors - before
    if swallowed and request.node.get_closest_marker("guarded") is None:
        pytest.fail(f"The guard swallowed exceptions of ours: {dict(swallowed)}. Their places are in the log above.")
