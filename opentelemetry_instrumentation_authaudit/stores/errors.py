"""How a store fails."""

from __future__ import annotations

__all__ = ("StoreError",)


class StoreError(Exception):
    """A store cannot be used; the message says why and what to do, and holds no password."""
