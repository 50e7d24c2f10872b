"""What stores that speak HTTP have in common: an address of one host, a kept-alive connection, words for a network that fails."""

from __future__ import annotations

import os
from collections.abc import Set as AbstractSet
from typing import Any, Final

import requests

from .errors import StoreError
from .store import Address

__all__ = ("CONNECT_SECONDS", "PIECE", "Http", "reason")

CONNECT_SECONDS: Final = 10.0
PIECE: Final = 1 << 18
"""Bytes of an answer that are read at once."""
_REASONS: Final = {
    "ReadTimeout": "no answer in time",
    "ConnectTimeout": "no answer in time",
    "SSLError": "its certificate was refused",
}


class Http:
    """For one thread; a forked child makes itself a new connection. Connects to nothing before it is asked."""

    def __init__(self, address: Address, *, port: int, options: AbstractSet[str], several: str) -> None:
        """StoreError for an option that is none of *options*, and for several hosts: *several* says what to name instead."""
        kind, _, secure = address.scheme.partition("+")
        unknown = address.options.keys() - options
        if unknown:
            raise StoreError(f"?{min(unknown)}= is no option of {kind}://; there are {', '.join(sorted(options))}")
        if address.others:
            raise StoreError(f"{kind}:// has one host: name {several}")
        host = f"[{address.host}]" if ":" in address.host else address.host
        self.name = str(address)
        self.base = f"{'https' if secure else 'http'}://{host or 'localhost'}:{address.port or port}"
        self.verify: bool | str = address.options.get("ca_file", True)
        """Whether, or by which CA file, its certificate is checked."""
        self._session: requests.Session | None = None
        self._process = 0

    def post(self, path: str, *, timeout: float, **request: Any) -> requests.Response:
        """The answer, whose body is read by whoever asked. OSError, for which `reason` has words, where there is none."""
        if self._session is None or self._process != os.getpid():
            self._session, self._process = requests.Session(), os.getpid()
        return self._session.post(
            self.base + path,
            verify=self.verify,
            timeout=(min(CONNECT_SECONDS, timeout), timeout),
            allow_redirects=False,
            stream=True,
            **request,
        )

    def close(self) -> None:
        """Let go of the connection."""
        session, self._session = self._session, None
        if session is not None and self._process == os.getpid():
            session.close()


def reason(error: OSError) -> str:
    """Why there is no answer, in a few words."""
    return _REASONS.get(type(error).__name__, "connection refused or lost")
