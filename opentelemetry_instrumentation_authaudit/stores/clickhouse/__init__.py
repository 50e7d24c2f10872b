"""ClickHouse as a store: `clickhouse://user@host:8123/audit?table=auth_audit&password_file=...`, `clickhouse+https://`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..store import Address
from .store import ClickHouseStore

if TYPE_CHECKING:
    from ..installer import Wishes
    from .installing import ClickHouseInstaller

__all__ = ("installer", "open_address")


def open_address(address: Address) -> ClickHouseStore:
    """The store at *address*. StoreError for an option that nobody knows."""
    return ClickHouseStore(address)


def installer(address: Address, wishes: Wishes) -> ClickHouseInstaller:
    """Who makes and upgrades the table at *address*. StoreError likewise."""
    from .installing import ClickHouseInstaller  # noqa: PLC0415 -- who only asks makes no table

    return ClickHouseInstaller(open_address(address), wishes)
