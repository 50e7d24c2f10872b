"""PostgreSQL as a store: `postgresql://user@host[,host]/database?table=audit.auth_audit`, and everything else that libpq understands."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import StoreError
from ..store import Address

if TYPE_CHECKING:
    from ..installer import Wishes
    from .installing import PostgresInstaller
    from .store import PostgresStore

__all__ = ("installer", "open_address")


def open_address(address: Address) -> PostgresStore:
    """The store at *address*. StoreError where psycopg is missing, or for an option that nobody knows."""
    _need_psycopg()
    from .store import PostgresStore  # noqa: PLC0415

    return PostgresStore(address)


def installer(address: Address, wishes: Wishes) -> PostgresInstaller:
    """Who makes and upgrades the table at *address*. StoreError likewise."""
    _need_psycopg()
    from .installing import PostgresInstaller  # noqa: PLC0415

    return PostgresInstaller(address, wishes)


def _need_psycopg() -> None:
    try:
        import_module("psycopg")
    except ImportError as error:  # psycopg itself, or the libpq under it
        says = "PostgreSQL needs psycopg 3: pip install 'opentelemetry-instrumentation-authaudit[postgres]'"
        raise StoreError(f"{says} ({error})") from None
