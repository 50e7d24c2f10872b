"""What makes and upgrades the tables of a store: `authaudit store init|upgrade`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Protocol

from .errors import StoreError
from .store import SCHEMES, Address

__all__ = ("DEFAULT_ROLES", "Installer", "Wishes", "open_installer")

DEFAULT_ROLES: Final = "audit"
"""What the names of the roles begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How the tables are to be."""

    roles: str = DEFAULT_ROLES
    """What the names of the roles begin with."""
    monthly: bool = False
    """Partitions of a month, not of a day."""
    lifetime: int | None
    """Days that records are kept; None: for ever."""


class Installer(Protocol):
    """For one place. Every method raises StoreError where it cannot be done, and says what is missing."""

    @property
    def table(self) -> str:
        """What is made."""

    def scripts(self, *, after: int = 0) -> Mapping[str, str]:
        """Scripts in their order, by file name, but for the first *after*; what they do is what `apply` does."""

    def apply(self, *, fresh: bool, dry_run: bool = False) -> Mapping[str, str]:
        """Apply, in one transaction, what is missing; which scripts those were. With *dry_run* everything is taken back.

        *fresh*: there may be nothing yet.
        """

    def advice(self) -> str:
        """What the operator does next."""


def open_installer(address: Address, wishes: Wishes) -> Installer:
    """StoreError for a store that has no tables to make."""
    module = import_module(f".{SCHEMES[address.scheme]}", __package__) if address.scheme in SCHEMES else None
    if module is None or not hasattr(module, "installer"):
        raise StoreError(f"{address.scheme}:// has no tables that could be made")
    installer: Installer = module.installer(address, wishes)
    return installer
