"""The default road: our pipeline, the real collector, its files; and what happens when one of them dies or has no room."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList

from opentelemetry_instrumentation_authaudit.model import names
from tests.cli.command import authaudit

from .conftest import fill, post
from .running import Collector, missing, until
from .traffic import application, attribute, record, request

PROTOCOLS = ("grpc", "http/protobuf", "http/json")


def verified(folder: Path, home: Path) -> dict[str, int]:
    """What `authaudit verify` counts in *folder*, which must be whole."""
    done = authaudit("verify", "--format", "json", "--store", str(folder), home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return summary


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_records_arrive(collector: Collector, tmp_path: Path, protocol: str) -> None:
    """An application tells 200 sign-ins by any protocol: each is once in the collector's files, and the chain is whole."""
    with application(tmp_path, collector.client(protocol)) as running:
        running.tell(200)
        assert running.finish()
    found = collector.ids()
    assert missing(running.told, found) == set()
    assert len(found) == len(set(found))
    verified(collector.files, tmp_path)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_collector_is_killed_in_the_traffic(collector: Collector, tmp_path: Path, protocol: str) -> None:
    """Somebody kills the collector four times while an application is telling: nothing is lost, what is doubled is found by its id."""
    with application(tmp_path, collector.client(protocol), pause=0.001) as running:
        for _ in range(4):
            running.begin(150)
            time.sleep(0.1)
            collector.kill()
            collector.start()
            running.tell(50)
        assert running.finish()
    assert missing(running.told, collector.ids()) == set()
    assert verified(collector.files, tmp_path)["records"] >= 800


def test_the_application_is_killed_too(collector: Collector, tmp_path: Path) -> None:
    """Application and collector die one after the other: what neither delivered lies in the journal, and the next process brings it."""
    with application(tmp_path, collector.client(), pause=0.001) as first:
        first.tell(100)
        collector.kill()
        first.tell(100)
    collector.start()
    with application(tmp_path, collector.client()) as second:
        second.tell(1)
        assert second.finish()
    assert missing(first.told + second.told, collector.ids()) == set()
    verified(collector.files, tmp_path)


def test_only_audit_records_reach_the_audit_files(collector: Collector) -> None:
    """Somebody sends other telemetry in the same request, under our scope's name too, and audit records under none: id decides."""
    mixed = request([record(f"id-{number}" if number % 2 else None, service="other") for number in range(100)])
    mixed.resource_logs[0].scope_logs[0].scope.name = "opentelemetry_instrumentation_authaudit"
    assert post(f"{collector.http}/v1/logs", mixed) == 200
    assert sorted(collector.ids()) == sorted(f"id-{number}" for number in range(1, 100, 2))
    written = b"".join(path.read_bytes() for path in collector.files.iterdir())
    assert written.count(b'"timeUnixNano"') == 50


def test_audit_records_reach_no_other_pipeline(tmp_path: Path) -> None:
    """The operator sends other telemetry on to a place of their own: exactly that goes there, and no audit record."""
    overlay = tmp_path / "other.yaml"
    overlay.write_text(
        'exporters: {file/other: {path: "${env:OTHER}", create_directory: true, rotation: {max_backups: 0}}}\n'
        "service: {pipelines: {logs/other: {exporters: [file/other]}}}\n",
        encoding="utf-8",
    )
    other = tmp_path / "other" / "other.jsonl"
    with Collector(tmp_path / "collector", "embedded", str(overlay), OTHER=str(other)) as collector:
        mixed = [record(f"id-{number}" if number % 2 else None, attribute("n", str(number))) for number in range(100)]
        assert post(f"{collector.http}/v1/logs", request(mixed)) == 200
        numbers = re.findall(r'"key":"n","value":{"stringValue":"(\d+)"', other.read_text(encoding="utf-8"))
        assert sorted(map(int, numbers)) == list(range(0, 100, 2))
        assert names.RECORD_ID not in other.read_text(encoding="utf-8")
        assert len(collector.ids()) == 50


@pytest.mark.parametrize("value", ["", AnyValue(int_value=0), AnyValue(kvlist_value=KeyValueList()), AnyValue()])
def test_a_strange_id_is_no_way_out(collector: Collector, value: str | AnyValue) -> None:
    """An id that is empty, a number or a map is one nevertheless; without a value there is none: nothing goes both ways or none."""
    sent: list[KeyValue] = [attribute(names.RECORD_ID, value)]
    assert post(f"{collector.http}/v1/logs", request([record(None, *sent)])) == 200
    is_audit = value != AnyValue()
    text = "".join(path.read_text(encoding="utf-8") for path in collector.files.iterdir())
    assert (names.RECORD_ID in text) == is_audit
    assert collector.metric("otelcol_receiver_accepted_log_records") == 1


def test_the_volume_is_full(small_volume: Path, tmp_path: Path) -> None:
    """The audit volume is full for a while: the application is told so and keeps its records; with room again all of them arrive.

    The line that was torn by the full disk goes on with a good one, in one line: the reader finds both ends.
    """
    ballast = small_volume / "ballast"
    with Collector(tmp_path / "collector", AUTHAUDIT_DIR=str(small_volume / "files")) as collector:
        collector.files = small_volume / "files"
        with application(tmp_path, collector.client()) as running:
            running.tell(50)
            with ballast.open("wb") as file:
                fill(file.fileno())
            running.tell(200)
            until("the collector refuses", lambda: collector.metric("otelcol_exporter_send_failed_log_records") > 0)
            ballast.unlink()
            running.tell(50)
            assert running.finish()
        assert missing(running.told, collector.ids()) == set()
        verified(collector.files, tmp_path)


def test_what_was_acknowledged_survives_a_kill(collector: Collector) -> None:
    """The collector is killed right after an answer, without a second's grace: the record is in the file."""
    for number in range(8):
        assert post(f"{collector.http}/v1/logs", request([record(f"id-{number}")])) == 200
        collector.kill()
        collector.start()
    assert len(set(collector.ids())) == 8


def test_a_broken_request_costs_nothing(collector: Collector) -> None:
    """Somebody sends no OTLP at all: it is refused, and what others send goes on arriving."""
    headers = {"Content-Type": "application/x-protobuf"}
    assert httpx.post(f"{collector.http}/v1/logs", content=b"\xff\xff", headers=headers).status_code == 400
    assert post(f"{collector.http}/v1/logs", ExportLogsServiceRequest()) == 200
    assert post(f"{collector.http}/v1/logs", request([record("id-1")])) == 200
    assert collector.ids() == ["id-1"]


def test_files_are_for_their_owner(collector: Collector) -> None:
    """Another account of the machine cannot read the trail: the folder is closed to it."""
    assert post(f"{collector.http}/v1/logs", request([record("id-1")])) == 200
    assert collector.files.stat().st_mode & 0o777 == 0o750
