"""Servers that the tests of the stores share: one of each for the whole run."""

from __future__ import annotations

from .postgresql_server import database, postgresql

__all__ = ("database", "postgresql")
