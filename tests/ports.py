"""Ports for the servers that tests start: no two askers, in whatever process, are given the same one."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import Final

__all__ = ("free_port",)

_FIRST: Final = 20_000
_COUNT: Final = 12_000
"""All below those that Linux and macOS give to clients and to whoever binds to port 0: asking the kernel for a free port,
closing it and handing its number to a server loses the race against every client of the machine."""


def free_port() -> int:
    """A port of the loopback interface on which nobody listens, the next after the one given last on this machine."""
    with Path(tempfile.gettempdir(), f"authaudit-tests-port-{os.getuid()}").open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = int(file.read() or 0)
        port = next(port for step in range(1, _COUNT) if _free(port := _FIRST + (last + step) % _COUNT))
        file.truncate(0)
        file.write(str(port - _FIRST))
        return port


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
