"""Servers that the tests of the stores share: one of each for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .postgresql_server import database, postgresql  # noqa: F401 -- fixtures
from .victorialogs_server import Tenant, VictoriaLogs


@pytest.fixture(scope="session")
def victorialogs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaLogs]:
    """VictoriaLogs on one machine."""
    with VictoriaLogs(tmp_path_factory.mktemp("victorialogs"), "single", "-futureRetention=100y") as server:
        assert isinstance(server, VictoriaLogs)
        yield server


@pytest.fixture
def tenant(victorialogs: VictoriaLogs) -> Tenant:
    """A tenant of VictoriaLogs without records."""
    return victorialogs.tenant()
