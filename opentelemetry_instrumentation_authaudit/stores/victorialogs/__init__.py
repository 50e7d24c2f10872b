"""VictoriaLogs as a store: `victorialogs://user@host:9428/prefix?account=0&project=0&password_file=...`, `victorialogs+https://`."""

from __future__ import annotations

from ..store import Address
from .store import VictoriaLogsStore

__all__ = ("open_address",)


def open_address(address: Address) -> VictoriaLogsStore:
    """The store at *address*. StoreError for an option that nobody knows."""
    return VictoriaLogsStore(address)
