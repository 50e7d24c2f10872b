"""Shipped into ClickHouse, damaged there, compared and repaired: by the commands, on the real engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.pipeline.answers import Verdict
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Record

from ..cli.command import authaudit
from .clickhouse_server import Server, made, opened, running
from .recorded import recorded

pytestmark = pytest.mark.stores


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own."""
    with running(tmp_path / "data") as one:
        yield one


def test_ship_lose_repair(tmp_path: Path, server: Server) -> None:
    """Journals are shipped; an hour of them is deleted in the store; `reconcile` says which, `--repair` brings them back, `verify` agrees."""
    recorded().journal(tmp_path / "journal")
    store, url = made(opened(server)), server.url()
    assert authaudit("ship", "--to", url, "--store", "journal", home=tmp_path).stdout == f"{len(recorded())} delivered\n"
    lost = asked_for(store.records(Filters(status=("failure",))))
    store.connection.run(f"ALTER TABLE {store.table} DELETE WHERE Outcome = 'failure' SETTINGS mutations_sync = 2")
    compare = ("reconcile", "--store", url, "--against", "journal", "--lifetime", "infinity", "--format", "json")
    done = authaudit(*compare, home=tmp_path)
    assert done.returncode == 1, done.stderr
    assert {one for line in done.stdout.splitlines()[:-1] for one in json.loads(line)["ids"]} == set(lost)
    assert authaudit(*compare, "--repair", home=tmp_path).returncode == 0
    assert asked_for(store.records(Filters(status=("failure",)))) == lost
    assert authaudit(*compare, home=tmp_path).returncode == 0
    assert authaudit("verify", "--store", url, home=tmp_path).returncode == 0


def asked_for(records: Iterable[Record]) -> list[str]:
    """Their ids."""
    return [record.id for record in records]


def test_a_repair_is_not_taken_for_a_repetition(server: Server) -> None:
    """The table remembers a batch whose rows were deleted: sent again by somebody else it is stored all the same."""
    store = made(opened(server))
    batch = max(recorded("spraying").batches(40), key=lambda one: len(one.records))
    assert store.sender().send(batch).verdict is Verdict.ACCEPTED
    store.connection.run(f"ALTER TABLE {store.table} DELETE WHERE 1 SETTINGS mutations_sync = 2")
    assert store.size() == 0
    assert store.sender().send(batch).verdict is Verdict.ACCEPTED
    assert store.size() == len(batch.records)
