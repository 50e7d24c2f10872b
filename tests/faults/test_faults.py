"""Every path on which the stock pipeline loses records: with ours, each record for which the call returned arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from .paths import PATHS, Path_
from .run import possible, run


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_no_record_is_lost(path: Path_, tmp_path: Path) -> None:
    """Counted by ids: what was told is at the receiver, at the latest after the next start."""
    if not possible(path):
        pytest.skip(f"{path.needs} is not installed")
    outcome = run(path, "ours", tmp_path, flood=20_000)
    assert len(outcome.told) >= 20, (tmp_path / "output").read_text()
    assert not outcome.lost, (tmp_path / "output").read_text()
