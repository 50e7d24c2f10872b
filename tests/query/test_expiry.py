"""Retention and verifier together: whatever was kept, held, released and deleted in order is believed, and no file more than that."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.journal.holds import changing
from opentelemetry_instrumentation_authaudit.journal.names import JournalFile, files
from opentelemetry_instrumentation_authaudit.journal.retention import Retention
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.lifetime import DAY, Hold
from opentelemetry_instrumentation_authaudit.pipeline.evidence import Evidence
from opentelemetry_instrumentation_authaudit.query.links import Finding

from .history import Process, chained, collected, stream, verification

BEGIN = 20_000 * DAY
_SHORT = 8
"""Days: what the tests keep, at most."""


@dataclass
class Trail:
    """A folder of journals, and what was told of it."""

    folder: Path
    told: list[CanonicalRecord] = field(default_factory=list)

    def write(self, number: int, days: list[int]) -> None:
        """A process that recorded as many times as *days* says on each of its days; subjects count over all records."""
        made = stream(number, Process(sum(days), stopped=False, checkpoint_every=1000))[: sum(days)]
        day_of = [day for day, count in enumerate(days) for _ in range(count)]
        records = chained([replace(record, time=BEGIN + day * DAY) for record, day in zip(made, day_of, strict=True)], None)
        for part, day in enumerate(sorted(set(day_of)), 1):
            lines = [record for record, its_day in zip(records, day_of, strict=True) if its_day == day]
            collected(self.folder, lines, JournalFile(f"{number:016x}", part, f"{_date(day)}").name)

    def apply(self, lifetime: int, day: int) -> None:
        """Apply retention on that day; the evidence is told in a stream of its own."""
        retention = Retention(self.folder, lifetime, None, delivering=False)
        retention.tidy(BEGIN + day * DAY, lambda: Evidence(retention.expired).tell(self._tell))

    def hold(self, subjects: list[int]) -> None:
        """From now on these are held, and nobody else."""
        with changing(self.folder) as holds:
            holds[:] = [Hold(id=str(subject), subject=f"auth.user:{subject}") for subject in subjects]

    def findings(self) -> Iterator[Finding]:
        """What accuses, believing nothing but what is told."""
        paths = [self.folder / file.name for file in files(self.folder)]
        aside = [collected(self.folder, chained(self.told, None), "told.jsonl")] if self.told else []
        return (finding for finding in verification([*paths, *aside], key=False).findings() if finding.kind.fault)

    def _tell(self, event: str, facts: Mapping[str, str]) -> bool:
        number = len(self.told) + 1
        own = {names.RECORD_ID: f"told-{number}", names.STREAM_ID: "f" * 16}
        self.told.append(CanonicalRecord(event=event, time=BEGIN + 999 * DAY + number * 1000, attributes={**own, **facts}))
        return True


def _date(day: int) -> str:

    return (date(1970, 1, 1) + timedelta(days=20_000 + day)).isoformat()


HISTORIES = st.lists(
    st.lists(st.integers(0, 3), min_size=2, max_size=12).filter(lambda days: sum(days) > 1), min_size=1, max_size=3
)
APPLICATIONS = st.lists(
    st.tuples(st.integers(1, _SHORT), st.integers(0, 30), st.lists(st.integers(1, 20), max_size=3)), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(HISTORIES, APPLICATIONS, st.randoms(use_true_random=False))
def test_what_is_told_is_believed_and_nothing_more(
    histories: list[list[int]], applications: list[tuple[int, int, list[int]]], chance: random.Random
) -> None:
    """Applications on rising days with changing holds accuse nobody; then any file that others of its stream follow is deleted by
    hand, and that is reported."""
    with TemporaryDirectory() as place:
        trail = Trail(Path(place))
        for number, days in enumerate(histories, 1):
            trail.write(number, days)
        for lifetime, day, held in sorted(applications, key=lambda found: found[1]):
            trail.hold(held)
            trail.apply(lifetime, day)
            assert not list(trail.findings())
        last = {file.stream: file for file in files(trail.folder)}
        followed = [file for file in files(trail.folder) if file != last[file.stream]]
        if followed:
            gone = chance.choice(followed)
            (trail.folder / gone.name).unlink()
            assert [(finding.kind.value, finding.stream) for finding in trail.findings()] == [("deleted", gone.stream)]


def test_the_same_application_told_twice_is_believed() -> None:
    """Killed after the evidence, before the deletion: the ranges overlap, and cover the same."""
    with TemporaryDirectory() as place:
        trail = Trail(Path(place))
        trail.write(1, [2, 2, 2, 2, 2])
        copies = {path: path.read_bytes() for path in trail.folder.iterdir()}
        trail.apply(1, 3)
        for path, content in copies.items():
            path.write_bytes(content)
        assert not list(trail.findings())
        trail.apply(1, 4)
        assert not list(trail.findings())
        assert len(trail.told) == 2
        assert b"records_expired" in encode(trail.told[0])
