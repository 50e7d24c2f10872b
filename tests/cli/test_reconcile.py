"""`authaudit reconcile`: a store that lost seconds is found out and mended, while writers go on; each run is on record."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable, every_record, files_in
from tests.query.history import Process, collected, history, journals
from tests.stores.exporter import FileExporter, ids, request
from tests.stores.recorded import Recording, recorded

from .command import authaudit
from .test_ship import application


def reconcile(home: Path, *more: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Compare the folder `store` with the journals in `journal`, whose records are months old."""
    arguments = ("--store", "store", "--against", "journal", "--lifetime", "infinity", *more)
    return authaudit("reconcile", *arguments, home=home, OTEL_PYTHON_AUTHAUDIT_HASH_KEY="k1:secret", **environ)


def told(done: subprocess.CompletedProcess[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The differences and the summary of `--format json`."""
    *differences, summary = [json.loads(row) for row in done.stdout.splitlines()]
    return differences, summary


def in_store(home: Path) -> list[Record]:
    """Every copy."""
    return [record for record, _ in every_record(files_in(home / "store"), Unreadable())]


@pytest.fixture
def day(tmp_path: Path) -> Recording:
    """A recorded day in journals, and in a store that lost some seconds of it."""
    day = recorded()
    day.journal(tmp_path / "journal")
    (tmp_path / "store").mkdir()
    batches = list(day.batches(10))
    kept = [batch for place, batch in enumerate(batches) if place % 7 != 3]
    lines = [b'{"resourceLogs":[{"resource":%b,"scopeLogs":[{"scope":%b,"logRecords":[%b]}]}]}' % (
        batch.resource, batch.scope, b",".join(batch.records)) for batch in kept]  # fmt: skip
    (tmp_path / "store" / "audit.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return day


def test_seconds_that_a_store_lost(tmp_path: Path, day: Recording) -> None:
    """Found, named by id, shipped again, looked for again; then nothing is left, and nothing is doubled."""
    before = {record.id for record in in_store(tmp_path)}
    done = reconcile(tmp_path, "--format", "json")
    differences, summary = told(done)
    assert done.returncode == 1
    assert {found["gap"] for found in differences} == {"missing"}
    lost = {record for found in differences for record in found["ids"]}
    assert len(lost) == summary["missing"] == summary["left"] == sum(found["count"] for found in differences) > 0
    assert len(lost | before) == summary["records"] == len(day)
    assert not lost & before
    done = reconcile(tmp_path, "--repair", "--format", "json")
    assert (done.returncode, told(done)[1]["repaired"], told(done)[1]["left"]) == (0, len(lost), 0)
    done = reconcile(tmp_path, "--repair", "--format", "json")
    assert (done.returncode, told(done)[1]["missing"], told(done)[1]["left"]) == (0, 0, 0)
    ids = [record.id for record in in_store(tmp_path)]
    assert len(ids) == len(set(ids))
    assert lost | before <= set(ids)


def test_each_run_is_recorded(tmp_path: Path, day: Recording) -> None:
    """What was compared, found and repaired, by whom, in a stream of the command; after a repair the store has that, too."""
    assert reconcile(tmp_path).returncode == 1
    assert reconcile(tmp_path, "--repair").returncode == 0
    found = authaudit("query", "--event", "audit.reconciled", "--format", "json", home=tmp_path)
    first, second = [json.loads(row) for row in found.stdout.splitlines()]
    assert [one[names.OUTCOME] for one in (first, second)] == ["failure", "success"]
    assert first[names.RESOURCE] == str(tmp_path / "store")
    assert first[names.RECONCILED_RECORDS] == str(len(day))
    assert first[names.RECONCILED_MISSING] == second[names.RECONCILED_REPAIRED] != "0"
    assert (first[names.RECONCILED_REPAIRED], first[names.ACTOR_TYPE]) == ("0", "user")
    stored = [record.event for record in in_store(tmp_path) if record.event.startswith("audit.reconciled")]
    assert stored == ["audit.reconciled"]
    assert authaudit("verify", "--store", "store", "--lifetime", "infinity", home=tmp_path).returncode == 0


def test_its_own_records_are_no_gap(tmp_path: Path) -> None:
    """Compared with all journals again and again, nothing accuses the store of lacking the run before."""
    (tmp_path / "store").mkdir()
    with application(tmp_path) as tell:
        tell("user:1")
    environ = {"OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR": str(tmp_path / "journal")}
    assert reconcile(tmp_path, "--grace", "0", "--repair", **environ).returncode == 0
    for _ in range(2):
        done = reconcile(tmp_path, "--grace", "0", **environ)
        assert (done.returncode, "GAP" in done.stdout) == (0, False)
    assert "note own" in done.stdout


def test_another_content_cannot_be_repaired(tmp_path: Path) -> None:
    """The store only appends: what was altered in it stays an accusation, whatever is asked."""
    streams = history([Process(8)])
    journals(tmp_path / "journal", [])
    (tmp_path / "journal").mkdir(exist_ok=True)
    (tmp_path / "store").mkdir()
    journals(tmp_path / "journal", streams)
    collected(tmp_path / "store", streams[0])
    path = tmp_path / "store" / "collected.jsonl"
    path.write_bytes(path.read_bytes().replace(b"auth.user:3", b"auth.user:9"))
    for _ in range(2):
        done = reconcile(tmp_path, "--repair", "--format", "json")
        (different,) = [found for found in told(done)[0] if found["fault"]]
        assert (done.returncode, different["gap"], different["first"]) == (1, "different", 3)
        assert different["where"] == "collected.jsonl:3"


def test_older_than_the_lifetime(tmp_path: Path, day: Recording) -> None:
    """A store may let go of what is older than the lifetime: that is no gap, and is not brought back."""
    days = (time.time_ns() - next(iter(in_store(tmp_path))).time) // (86_400 * 10**9)
    done = reconcile(tmp_path, "--lifetime", str(days + 3))
    assert done.returncode == 1
    done = reconcile(tmp_path, "--lifetime", str(max(1, days - 1)), "--format", "json")
    assert (done.returncode, told(done)[1]["records"]) == (0, 0)


def test_a_named_file_stands_for_its_rotated_ones(tmp_path: Path) -> None:
    """The collector renamed its file: what is in the older ones is compared, and repaired, too."""
    exporter = FileExporter(tmp_path / "collected")
    exporter.write(request(1, 2))
    exporter.rotate()
    exporter.write(request(3))
    (tmp_path / "store").mkdir()
    arguments = ("--store", "store", "--against", str(exporter.path), "--lifetime", "infinity", "--format", "json", "--repair")
    done = authaudit("reconcile", *arguments, home=tmp_path)
    assert (done.returncode, told(done)[1]["repaired"]) == (0, 3)
    assert {record.id for record in in_store(tmp_path)} >= set(ids(1, 2, 3))


def test_since_and_until(tmp_path: Path, day: Recording) -> None:
    """Only what is asked for is compared."""
    done = reconcile(tmp_path, "--since", "2026-11-20T12:00:00Z", "--until", "2026-11-20T13:00:00Z", "--format", "json")
    assert 0 < told(done)[1]["records"] < len(day)


def test_while_somebody_writes(tmp_path: Path) -> None:
    """Comparing again and again beside a writer and its shipper: never a gap; in the end everything is there once."""
    (tmp_path / "store").mkdir()
    ship = ("ship", "--to", "store", "--store", "journal")
    with application(tmp_path) as tell:
        known = [tell("user:0")]
        for turn in range(3):
            known += [tell(f"user:{number}") for number in range(100)]
            assert authaudit(*ship, home=tmp_path).returncode == 0
            known += [tell(f"user:{number}") for number in range(100)]
            done = reconcile(tmp_path, "--format", "json")
            assert (done.returncode, told(done)[1]["missing"]) == (0, 0), turn
            assert told(done)[1]["young"] >= 100
    assert authaudit(*ship, home=tmp_path).returncode == 0
    assert set(known) <= {record.id for record in in_store(tmp_path)}
    assert reconcile(tmp_path, "--grace", "0").returncode == 0
    assert len(in_store(tmp_path)) == len({record.id for record in in_store(tmp_path)})


def test_a_store_that_takes_nothing(tmp_path: Path, day: Recording) -> None:
    """What it still lacks is told, and recorded as a failure."""
    done = reconcile(tmp_path, "--repair", "--writer", "nowhere")
    assert (done.returncode, "there is no folder nowhere" in done.stderr) == (2, True)
    found = authaudit("query", "--event", "audit.reconciled", "--format", "json", home=tmp_path)
    assert json.loads(found.stdout)[names.OUTCOME] == "failure"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--store", "store"), "nothing to compare with"),
        (("--store", "store", "--against", "nowhere"), "nowhere that this user may read"),
        (("--store", "store", "--against", "store", "--since", "yesterday"), "is no time"),
        (("--store", "store", "--against", "store", "--lifetime", "x"), "log_lifetime"),
        ((), "required: --store"),
    ],
)
def test_used_wrongly(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """Exit code 2, and what to do."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "audit.jsonl").touch()
    done = authaudit("reconcile", *arguments, home=tmp_path)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_what_cannot_be_recorded_is_not_done(tmp_path: Path, day: Recording) -> None:
    """Its own journal cannot be written: exit code 3, and the store is as it was."""
    before = len(in_store(tmp_path))
    (tmp_path / "file").touch()
    done = reconcile(tmp_path, "--repair", OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR=str(tmp_path / "file" / "journal"))
    assert (done.returncode, "cannot be recorded" in done.stderr) == (3, True)
    assert len(in_store(tmp_path)) == before
