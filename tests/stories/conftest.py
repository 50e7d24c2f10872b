"""Stories show what was typed, and every repetition: privacy and folding of repetitions have tests of their own."""

from __future__ import annotations

from typing import Any

import pytest

from .early import abandon, begin

_ENOUGH = 100  # tests; whoever runs a few does not wait for all stories


@pytest.fixture
def audit_trail_options() -> dict[str, Any]:
    """Identities in clear, nothing counted away."""
    return {"identity_privacy_mode": "none", "unknown_identity_mode": "none", "request_auth_dedup": 0}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin the early run with the session, and judge it at the end; part of pytest."""
    early = [item for item in items if item.name == "test_stories_are_the_same_when_watched_early"]
    if early and len(items) > _ENOUGH and not config.option.collectonly and not config.getoption("--authaudit-early"):
        items.remove(early[0])
        items.append(early[0])
        begin()


def pytest_sessionfinish() -> None:
    """Nobody waits for it any more; part of pytest."""
    abandon()
