"""Stories show what was typed, and every repetition: privacy and folding of repetitions have tests of their own."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def audit_trail_options() -> dict[str, Any]:
    """Identities in clear, nothing counted away."""
    return {"identity_privacy_mode": "none", "unknown_identity_mode": "none", "request_auth_dedup": 0}
