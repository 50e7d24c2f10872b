"""Retention beside the real collector at work: what it has closed goes, what it writes stays, nothing is lost on the way."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from opentelemetry_instrumentation_authaudit.model.lifetime import DAY
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, every_record, files_in
from opentelemetry_instrumentation_authaudit.query.verify import Keys, Verification
from opentelemetry_instrumentation_authaudit.stores.collected_retention import is_closed
from opentelemetry_instrumentation_authaudit.stores.retained_files import apply_folder
from tests.pipeline.telling import config

from .running import Collector, until
from .traffic import application


def closed(folder: Path) -> set[str]:
    """The names of the files that the collector has done with."""
    return {path.name for path in folder.glob("*.jsonl") if is_closed(path.name)}


def ids(folder: Path) -> set[str]:
    """Of all records in its files."""
    return {record.id for record, _ in every_record(files_in(folder), Unreadable())}


def faults(*folders: Path) -> list[str]:
    """What the verifier has to say against them."""
    verification = Verification(Keys([]))
    for record, path in every_record(_files(folders), Unreadable()):
        verification.feed(record, path)
    return [f"{finding.kind.value}: {finding.says}" for finding in verification.findings() if finding.kind.fault]


def _files(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in files_in(folder)]


def test_closed_files_go_while_the_collector_writes(tmp_path: Path) -> None:
    """An application tells 3,000 records, the collector begins a new file at each megabyte; 92 days later by the clock that we
    give, its closed files are archived and deleted in the midst of it, twice. Every id is in the archive or in the files; both
    together are whole, and the files alone, too, since the evidence says what is gone."""
    small = tmp_path / "small.yaml"
    small.write_text("exporters: {file/audit: {rotation: {max_megabytes: 1}}}\n", encoding="utf-8")
    archive, settings = tmp_path / "archive", config(tmp_path)
    later = time.time_ns() + 92 * DAY
    with (
        Collector(tmp_path / "collector", "embedded", str(small)) as collector,
        application(tmp_path / "application", collector.client()) as app,
    ):
        deleted: list[str] = []
        for _ in range(2):
            app.begin(1500)
            until("a file is closed", lambda: bool(closed(collector.files)))
            for done in apply_folder(collector.files, settings, 90, later, archive_in=archive):
                assert not done.failure
                deleted += done.deleted
            app.gather()
        assert app.finish()
        assert collector.running
    assert deleted
    assert all(map(is_closed, deleted))
    assert (collector.files / "audit.jsonl").exists()
    assert set(app.told) <= ids(collector.files) | ids(archive)
    assert not set(app.told) <= ids(collector.files)
    assert faults(collector.files, archive) == []
    assert faults(collector.files) == []
