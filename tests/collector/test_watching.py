"""Who watches the collector: Prometheus rules on metrics that it really has, and a dashboard whose questions the store can answer."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, decode
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.stores.store import open_store
from scripts.collector import SOURCES
from tests.pipeline.otlp_server import OtlpServer, Reply
from tests.stores.recorded import MIDNIGHT, recorded
from tests.stores.victorialogs_server import send

from ..lacking import lacking
from .conftest import post
from .running import Collector, until
from .traffic import record, request
from .vault import LogStore

RULES = SOURCES / "prometheus" / "rules.yaml"
DASHBOARD = SOURCES / "dashboards" / "victorialogs.json"
ENTRY = {"auth.sign_in", "auth.authenticate", "auth.reauthenticate", "auth.verify", "token.issue"}

TROUBLE = """
exporters:
  file/audit: {path: /dev/full}
  otlp_http/victorialogs: {sending_queue: {queue_size: 500, batch: {min_size: 100, max_size: 400}}}
"""
"""No room for the files, and a queue that four records fill."""


@pytest.fixture
def promtool() -> str:
    """Prometheus' own tool."""
    found = shutil.which("promtool")
    if found is None:
        lacking("promtool", "promtool is missing; on Debian: apt-get install prometheus")
    return found


def test_each_alert_fires_when_it_should(promtool: str) -> None:
    """Prometheus replays trouble of every kind, and an ordinary day with a restart: its own test of the rules passes."""
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(RULES.with_name("rules_test.yaml"))]):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested() -> None:
    """Somebody adds a rule: a test of its own says that it fires."""
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    tests = yaml.safe_load(RULES.with_name("rules_test.yaml").read_text(encoding="utf-8"))["tests"]
    fired = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in rules}


def test_the_collector_has_these_metrics(tmp_path: Path) -> None:
    """A collector in every trouble at once says so: each metric and label that a rule asks for is there, so no alert sleeps."""
    overlay = tmp_path / "trouble.yaml"
    overlay.write_text(TROUBLE, encoding="utf-8")
    with (
        OtlpServer("http") as store,
        Collector(
            tmp_path / "c", "embedded", "victorialogs", str(overlay), AUTHAUDIT_VICTORIALOGS_URL=store.endpoint
        ) as collector,
    ):
        store.answer = Reply(503)
        for number in range(8):
            assert post(f"{collector.http}/v1/logs", request([record(f"id-{number}")])) == 503
        store.answer = Reply(400)
        until("the store refuses", lambda: 'error_permanent="true"' in collector.metrics())
        store.answer = Reply(200)
        until("the store takes", lambda: collector.metric("otelcol_exporter_sent_log_records") > 0)
        text = collector.metrics()
    has: dict[str, str] = {}
    for line in text.splitlines():
        name, _, rest = line.partition("{")
        has[name] = has.get(name, "") + rest
    for rule in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]:
        for name, labels in re.findall(r"(otelcol_\w+)(\{[^}]*\})?", rule["expr"]):
            assert name in has, (rule["alert"], name)
            for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
                assert f'{label}="{value}"' in has[name], (rule["alert"], name, label)
    assert collector.metric_of(text, "otelcol_receiver_refused_log_records") == 8
    assert 'exporter="otlp_http/victorialogs"' in has["otelcol_exporter_enqueue_failed_log_records"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogStore]:
    """VictoriaLogs with a recorded day in it, every attack included."""
    with LogStore(tmp_path_factory.mktemp("store")) as running:
        send(open_store(running.store), recorded().batches())
        running.flush()
        yield running


def panels() -> dict[str, dict[str, Any]]:
    """The dashboard's panels by their titles."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return {panel["title"]: panel for panel in dashboard["panels"]}


def answer(store: LogStore, title: str, service: str = "*") -> Any:
    """What the store answers to a panel, asked as Grafana's plugin does it."""
    (target,) = panels()[title]["targets"]
    expr = target["expr"].replace("$service", service)
    ends = {"start": str(MIDNIGHT // 10**9), "end": str(MIDNIGHT // 10**9 + 86_400)}
    path, more = {
        "stats": ("stats_query", {"time": ends["end"]}),
        "statsRange": ("stats_query_range", {**ends, "step": "1h"}),
        "instant": ("query", ends),
    }[target["queryType"]]
    if target["queryType"] == "stats":
        expr = f"_time:1d {expr}"
    reply = httpx.post(f"{store.url}/select/logsql/{path}", data={"query": expr, **more})
    assert reply.status_code == 200, reply.text
    if path == "query":
        return [json.loads(line) for line in reply.text.splitlines()]
    return reply.json()["data"]["result"]


def day() -> list[CanonicalRecord]:
    """The records of the recorded day."""
    return [decode(one) for stream in recorded().streams for one in stream.records]


@pytest.mark.parametrize("title", panels())
def test_every_panel_has_an_answer(store: LogStore, title: str) -> None:
    """Somebody opens the dashboard on a day with attacks: each panel shows something, for all applications and for one."""
    if "mask" in title:
        assert [row["value"][1] for row in answer(store, title)] == ["0"]
        return
    assert answer(store, title)
    assert len(str(answer(store, title, '"shop"'))) <= len(str(answer(store, title)))


def test_the_answers_are_right(store: LogStore) -> None:
    """What is drawn is what was recorded: attempts by outcome over the day, and who was refused most."""
    found: Counter[str] = Counter()
    for series in answer(store, "Attempts to get in, by outcome"):
        found[series["metric"][names.OUTCOME]] += sum(int(value) for _, value in series["values"])
    others = {series["metric"]["event_name"] for series in answer(store, "Everything else that was recorded, by event")}
    assert others == {one.event for one in day() if one.event not in ENTRY and not one.event.startswith("audit.")}
    told = [one.attributes for one in day() if one.event in ENTRY]
    assert found == Counter(str(one[names.OUTCOME]) for one in told)
    refused = [one for one in told if one[names.OUTCOME] == "failure"]
    most = Counter(str(one.get(names.IDENTITY) or one.get(names.SUBJECT, "")) for one in refused)
    del most[""]
    top = {
        row["metric"]["account"]: int(row["value"][1])
        for row in answer(store, "Accounts that were refused most")
        if row["metric"]["__name__"] == "refused"
    }
    assert len(top) == 20
    assert all(most[account] == count for account, count in top.items())
    assert max(top.values()) == max(most.values())
