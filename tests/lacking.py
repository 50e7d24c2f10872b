"""What a test needs and a machine may lack: servers, programs, a browser."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ("lacking",)


def lacking(what: str, says: str) -> NoReturn:
    """Skip the test, which needs *what*; fail it where AUTHAUDIT_TESTS_REQUIRE (a comma-separated list) names that."""
    required = what in os.environ.get("AUTHAUDIT_TESTS_REQUIRE", "").split(",")
    (pytest.fail if required else pytest.skip)(says)
