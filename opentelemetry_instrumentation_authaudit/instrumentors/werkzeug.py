"""Werkzeug's password hashes: evidence of what a sign-in proved, or did not."""

from __future__ import annotations

from .password_hashes import NOT_WHOSE, check

__all__ = ("BLIND", "HOOKS")

HOOKS = (check("werkzeug.security:check_password_hash"),)

BLIND = (NOT_WHOSE,)
