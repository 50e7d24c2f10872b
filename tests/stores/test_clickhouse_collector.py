"""The real collector writes into the table with its own exporter, over HTTP, and what it wrote is whole."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.cli import main
from opentelemetry_instrumentation_authaudit.pipeline.otlp import protobuf_request
from opentelemetry_instrumentation_authaudit.query.filters import Filters

from ..collector.running import until
from ..collector.vault import Vault
from .clickhouse_server import PASSWORD, Server, made, opened, running
from .recorded import FIRST_SIGNING_KEY, recorded

pytestmark = pytest.mark.stores

PLAIN = """\
exporters:
  clickhouse:
    compress: none # the door of the tests knows no compressed blocks
    retry_on_failure: {max_interval: 1s}
    sending_queue: {batch: {min_size: 100, flush_timeout: 200ms}}
"""


def vault(folder: Path, server: Server) -> Vault:
    """The collector for production with the overlay for ClickHouse."""
    plain = folder / "plain.yaml"
    plain.write_text(PLAIN, encoding="utf-8")
    return Vault(
        folder / "vault",
        "clickhouse",
        str(plain),
        AUTHAUDIT_CLICKHOUSE_ENDPOINT=f"http://127.0.0.1:{server.port}",
        AUTHAUDIT_CLICKHOUSE_USER="auditor",
        AUTHAUDIT_CLICKHOUSE_PASSWORD=PASSWORD,
    )


def test_the_collector_writes_and_the_chains_are_whole(tmp_path: Path) -> None:
    """App, collector, exporter, table: kill -9 of ClickHouse in between, and every record is there once, as it was, in its chain."""
    with running(tmp_path / "data") as server:
        store = made(opened(server), lifetime=None)
        with vault(tmp_path, server) as collector, collector.writer() as writer:
            for number, batch in enumerate(recorded().batches(20)):
                if number == 5:
                    server.kill()
                answer = writer.post("/v1/audit", content=protobuf_request(batch))
                assert answer.status_code == HTTPStatus.OK
            server.start()
            until("the queue is empty", lambda: store.size() >= len(recorded()), 60)
        found = list(store.records(Filters()))
        told = {record.id for record in collector.records()}
        assert len(found) == len(recorded())
        assert {record.id for record in found} == told
        assert {record.service for record in found} == {"shop", "admin", "api"}
        key = tmp_path / "first.key"
        key.write_text(FIRST_SIGNING_KEY, encoding="utf-8")
        assert main(["verify", "--store", server.url(), "--key", str(key)]) == 0
