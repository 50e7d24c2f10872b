from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from opentelemetry_instrumentation_authaudit.config import Config, load
from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Keyring

Configured: TypeAlias = Callable[..., Config]


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    """A configuration with a key, its journals in a folder of the test, and whatever options the test gives."""

    def make(**options: Any) -> Config:
        return load({}, raises=True, **{"hash_key": "k1:a-key-for-tests-only", "journal_dir": tmp_path / "journal", **options})

    return make


@pytest.fixture
def keys(configured: Configured) -> Keyring:
    """The ring of the tests' key."""
    return Keyring.of(configured())
