"""Retention of ClickHouse by the command, on the real engine: shown, set only when asked for, recorded, for ever and back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.cli.main import main
from opentelemetry_instrumentation_authaudit.model.lifetime import DAY
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, every_record

from .clickhouse_server import Server, made, opened, running
from .test_clickhouse_engine import filled, left

pytestmark = pytest.mark.stores


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all, as its start takes seconds."""
    with running(tmp_path_factory.mktemp("clickhouse") / "data") as one:
        yield one


def test_it_is_shown_set_and_recorded(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """120 days: a variable alone changes nothing in the table; `--lifetime` does, is recorded before, and may be repeated."""
    monkeypatch.setenv("OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR", str(tmp_path / "journal"))
    monkeypatch.setenv("OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME", "60")
    store = filled(made(opened(server), lifetime=90), 120)
    url = server.url()

    def asked(*arguments: str, code: int = 0) -> str:
        assert main(["retention", *arguments, "--store", url]) == code
        return capsys.readouterr().out

    (shown,) = [json.loads(line) for line in asked("show", "--format", "json").splitlines()]
    assert (shown["kind"], shown["lifetime"], shown["bytes"] > 0) == ("ClickHouse", 90, True)
    assert shown["notes"][0] == "the table keeps 90 days, log_lifetime says 60 days: retention apply --lifetime sets it"
    assert "no legal holds" in shown["notes"][1]
    today = time.time_ns() // DAY
    assert shown["newest"][:10] in {time.strftime("%Y-%m-%d", time.gmtime((today - back) * 86_400)) for back in (0, 1)}
    assert "keeps records 90 days by itself" in asked("apply")
    assert "keeps records 30 days from now on, not 90 days" in asked("apply", "--lifetime", "30")
    assert "keeps records 30 days by itself" in asked("apply", "--lifetime", "30")
    assert (store.lifetime(), left(store)) == (30, 300)
    assert "for ever" in asked("apply", "--lifetime", "infinity")
    assert store.lifetime() is None
    files = sorted((tmp_path / "journal" / "authaudit").glob("*.jsonl"))
    told = [record.attributes for record, _ in every_record(files, Unreadable()) if record.event == "audit.config_change"]
    assert sorted(found["audit.params.log_lifetime"] for found in told) == ["30", "infinity"]
    assert {found["audit.resource"].partition("?")[0] for found in told} == {url.partition("?")[0]}
