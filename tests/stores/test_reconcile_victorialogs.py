"""`authaudit reconcile` with the real VictoriaLogs behind the real collector: killed under load, mended to zero."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.model import names
from tests.cli.command import authaudit
from tests.collector.running import Collector, until
from tests.collector.traffic import application

from .million import MILLION, batches, collected
from .recorded import recorded
from .shipping import copies, writing
from .victorialogs_server import Tenant, VictoriaLogs, send

_SLOW = "-inmemoryDataFlushInterval=30s"
"""What was acknowledged can be lost for half a minute."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VictoriaLogs]:
    """VictoriaLogs that keeps what it acknowledged in memory for long."""
    with VictoriaLogs(tmp_path / "store", "single", _SLOW) as server:
        assert isinstance(server, VictoriaLogs)
        yield server


def url(store: VictoriaLogs) -> str:
    """For `--store`."""
    return f"victorialogs://127.0.0.1:{store.port}"


def reconcile(home: Path, store: str, place: Path, *more: str) -> tuple[int, dict[str, Any], subprocess.CompletedProcess[str]]:
    """Exit code, summary, and all of it, of a comparison that waits for nothing."""
    arguments = ("--store", store, "--against", str(place), "--grace", "0", "--settle", "0", "--format", "json", *more)
    done = authaudit("reconcile", *arguments, home=home)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done


def test_killed_under_load_and_mended_to_zero(tmp_path: Path, store: VictoriaLogs) -> None:
    """The store is killed three times while our pipeline writes through the collector: it lacks what it had acknowledged. One repair
    brings everything back; the next finds nothing to do.
    """
    environ = {"AUTHAUDIT_VICTORIALOGS_URL": store.url}
    with Collector(tmp_path / "collector", "embedded", "victorialogs", **environ) as collector:
        with application(tmp_path, collector.client(), pause=0.001) as running:
            for _ in range(3):
                running.tell(400)
                until("the store has some", lambda: len(copies(url(store))) > 0)
                store.kill()
                store.start()
            assert running.finish()
        until("the queue is empty", lambda: collector.metric("otelcol_exporter_queue_size") == 0)
        until("all are in the files", lambda: set(running.told) <= set(collector.ids()))
        time.sleep(2)  # what the queue gave last is to be seen
        code, found, _ = reconcile(tmp_path, url(store), collector.files)
        assert (code, found["missing"] > 0, found["different"], found["unknown"]) == (1, True, 0, 0)
        code, mended, done = reconcile(tmp_path, url(store), collector.files, "--repair")
        assert (code, mended["missing"], mended["repaired"], mended["left"]) == (0, found["missing"], found["missing"], 0), done
        code, after, _ = reconcile(tmp_path, url(store), collector.files, "--repair")
        assert (code, after["missing"], after["repaired"], after["left"]) == (0, 0, 0, 0)
        assert set(running.told) <= set(copies(url(store)))
        assert authaudit("verify", "--store", url(store), home=tmp_path).returncode == 0


@pytest.mark.stores
def test_killed_again_while_the_repair_settles(tmp_path: Path, store: VictoriaLogs) -> None:
    """The store shows what was repaired, and loses it before it was on disk: reconcile looks once more, and does not call it mended."""
    place = tmp_path / "collected"
    place.mkdir()
    day = recorded()
    day.collected(place)
    command = [sys.executable, "-m", "opentelemetry_instrumentation_authaudit", "reconcile", "--store", url(store)]
    arguments = ["--against", str(place), "--lifetime", "infinity", "--repair", "--settle", "6", "--wait", "8"]
    with subprocess.Popen([*command, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as running:
        until("the repair is to be seen", lambda: len(set(copies(url(store)))) == len(day))
        store.kill()
        store.start()
        output, _ = running.communicate(timeout=60)
    assert (running.returncode, f"{len(day)} were missing, 0 repaired, {len(day)} left" in output) == (1, True), output
    code, mended, _ = reconcile(tmp_path, url(store), place, "--lifetime", "infinity", "--repair")
    assert (code, mended["left"]) == (0, 0)


@pytest.mark.stores
def test_a_store_that_is_away(tmp_path: Path, store: VictoriaLogs) -> None:
    """Exit code 3 and why; that, too, is recorded."""
    place = tmp_path / "collected"
    place.mkdir()
    recorded().collected(place)
    store.kill()
    done = authaudit("reconcile", "--store", url(store), "--against", str(place), "--repair", home=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr, str(store.port) in done.stderr) == (3, False, True), done.stderr
    found = authaudit("query", "--event", "audit.reconciled", "--format", "json", home=tmp_path)
    assert json.loads(found.stdout)[names.OUTCOME] == "failure"


@pytest.mark.stores
def test_while_a_writer_goes_on(tmp_path: Path, tenant: Tenant) -> None:
    """Journals that somebody writes, shipped now and then: between two shipments nothing is a gap but what is older than the grace."""
    journal = tmp_path / "journal"
    with writing(tmp_path, 0.005) as end:
        until("it records", lambda: any(journal.glob("*/*.jsonl")))
        for _ in range(2):
            assert authaudit("ship", "--to", tenant.store, "--store", str(journal), home=tmp_path).returncode == 0
            tenant.server.flush()
            code, found, _ = reconcile(tmp_path, tenant.store, journal, "--grace", "30")
            assert (code, found["missing"], found["unknown"]) == (0, 0, 0)
        told = end()
    code, found, _ = reconcile(tmp_path, tenant.store, journal, "--repair")
    assert (code, found["left"]) == (0, 0)
    assert set(told) <= set(copies(tenant.store))


@pytest.mark.stores
def test_a_million(tmp_path: Path, tenant: Tenant) -> None:
    """A store that lost a thousandth of a million records is mended within bounded memory."""
    lost = 0
    for number, batch in enumerate(batches()):
        if number % 1000 == 500:
            lost += len(batch.records)
        else:
            send(tenant.open(), [batch])
    tenant.server.flush()
    place = collected()
    begun = time.monotonic()
    arguments = [
        "reconcile",
        "--store",
        tenant.store,
        "--against",
        str(place),
        "--lifetime",
        "infinity",
        "--repair",
        "--settle",
        "0",
    ]
    measured = (
        "import resource, sys\n"
        "from opentelemetry_instrumentation_authaudit.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measured, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=1800, check=False
    )
    assert (done.returncode, f"{lost} were missing, {lost} repaired, 0 left" in done.stdout) == (0, True), done
    megabytes = int(done.stderr.splitlines()[-1]) // 1024
    assert megabytes < 600, f"{megabytes} MB, {MILLION / (time.monotonic() - begun):,.0f} records/s"
