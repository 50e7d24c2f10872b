"""Adapters that a site may have."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter


class Closed(DefaultAccountAdapter):
    """Takes nobody new."""

    def is_open_for_signup(self, request: Any) -> bool:
        return False
