"""Every path on which the stock pipeline loses records: with ours, each record for which the call returned arrives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from .paths import PATHS, Path_
from .run import Outcome, possible, run


@pytest.fixture(scope="module")
def happening(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Mapping[str, tuple[Path, Future[Outcome]]]]:
    """By name, the folder and the coming outcome of each path: most of their time they wait, so several happen at once."""
    asked = {
        item.callspec.params["path"].name
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    }
    with ThreadPoolExecutor(4) as pool:
        chosen = [(path, tmp_path_factory.mktemp("fault")) for path in PATHS if path.name in asked and possible(path)]
        yield {path.name: (folder, pool.submit(run, path, "ours", folder, flood=20_000)) for path, folder in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_no_record_is_lost(path: Path_, happening: Mapping[str, tuple[Path, Future[Outcome]]]) -> None:
    """Counted by ids: what was told is at the receiver, at the latest after the next start."""
    if not possible(path):
        pytest.skip(f"{path.needs} is not installed")
    folder, outcome = happening[path.name]
    assert len(outcome.result().told) >= 20, (folder / "output").read_text()
    assert not outcome.result().lost, (folder / "output").read_text()
