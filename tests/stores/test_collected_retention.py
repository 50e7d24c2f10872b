"""Retention of a collector's files: by the newest record in them, never the open one, told exactly, held ones kept."""

from __future__ import annotations

import gzip
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.journal.holds import HOLDS_FILE, changing
from opentelemetry_instrumentation_authaudit.journal.targets import Target
from opentelemetry_instrumentation_authaudit.model.lifetime import Fate, Hold
from opentelemetry_instrumentation_authaudit.query.links import Finding
from opentelemetry_instrumentation_authaudit.stores.collected_retention import CollectedRetention
from opentelemetry_instrumentation_authaudit.stores.retained_files import apply_folder
from tests.pipeline.telling import config
from tests.query.history import Process, collected, stream, verification
from tests.query.trail import DAY as BEGIN
from tests.query.trail import line

DAY = 86_400 * 1_000_000_000
MIDNIGHT = BEGIN // DAY * DAY
"""2025-11-24T00:00:00Z."""
NINETY = MIDNIGHT + 90 * DAY
"""The first moment at which 23 November is over, and 24 November is not."""


def name(day: int, number: int = 1) -> str:
    """The name of a file that was closed on that day of November."""
    return f"audit-2025-11-{day:02}T23-59-{number:02}.000-size.jsonl"


def file(folder: Path, day: int, *times: int, more: bytes = b"") -> Path:
    """A closed file with records of these times."""
    path = folder / name(day)
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [encode(CanonicalRecord(event="auth.sign_in", time=at, attributes={"audit.record.id": str(at)})) for at in times]
    path.write_bytes(b"".join(map(line, records)) + more)
    return path


def fate(folder: Path, path: Path, now: int, lifetime: int | None = 90) -> Fate:
    """What becomes of the file."""
    retention = CollectedRetention(folder, lifetime)
    return retention.plan(now, retention.units(now)).of(path.name).fate


def test_the_newest_record_decides_to_the_nanosecond(tmp_path: Path) -> None:
    """However old the others are, and whatever the file's name and date say."""
    over = file(tmp_path, 22, MIDNIGHT - 50 * DAY, MIDNIGHT - 1)
    kept = file(tmp_path, 23, MIDNIGHT - 50 * DAY, MIDNIGHT)
    os.utime(over)
    os.utime(kept, (0, 0))
    assert [fate(tmp_path, path, NINETY) for path in (over, kept)] == [Fate.LIFETIME, Fate.YOUNG]
    assert [fate(tmp_path, path, NINETY - 1) for path in (over, kept)] == [Fate.YOUNG, Fate.YOUNG]
    assert [fate(tmp_path, path, NINETY + DAY) for path in (over, kept)] == [Fate.LIFETIME, Fate.LIFETIME]
    assert [fate(tmp_path, path, NINETY + 9999 * DAY, None) for path in (over, kept)] == [Fate.FOREVER, Fate.FOREVER]


@pytest.mark.parametrize("split", [0, 1, 40, 90, 150])
def test_torn_and_joined_lines_are_read_all_the_same(tmp_path: Path, split: int) -> None:
    """A full disk tore a line, the next object follows on it, and holds the newest record; NUL bytes of a crash before all."""
    young = line(encode(CanonicalRecord(event="e", time=MIDNIGHT, attributes={"audit.record.id": "young"})))
    path = file(tmp_path, 22, MIDNIGHT - DAY, more=young[:split] + young)
    path.write_bytes(b"\0" * 100 + path.read_bytes().rstrip(b"\n"))
    assert fate(tmp_path, path, NINETY) is Fate.YOUNG
    path.write_bytes(b"\0" * 100 + b'{"resourceLogs":[{' + young[:split])
    assert fate(tmp_path, path, NINETY + 500 * DAY) is Fate.UNKNOWN


def test_times_are_found_wherever_the_file_is_cut_for_reading(tmp_path: Path) -> None:
    """The newest record lies across two of the pieces that the file is read in."""
    for shift in range(0, 120, 7):
        padding = b'{"body":"' + b"x" * ((1 << 20) - 300 - shift) + b'"}\n'
        path = file(tmp_path, 22, MIDNIGHT - DAY)
        path.write_bytes(padding + line(encode(CanonicalRecord(event="e", time=MIDNIGHT - 77, attributes={}))))
        (unit,) = CollectedRetention(tmp_path, 90).units(NINETY)
        assert (unit.oldest, unit.newest) == (MIDNIGHT - 77, MIDNIGHT - 77)


def test_a_text_of_a_client_is_no_time(tmp_path: Path) -> None:
    """A user agent that looks like a time of the year 9000 does not keep the file."""
    agent = '"timeUnixNano":"221845000000000000000",'
    record = CanonicalRecord(event="e", time=MIDNIGHT - 1, attributes={"user_agent.original": agent})
    path = file(tmp_path, 22, more=line(encode(record)))
    assert fate(tmp_path, path, NINETY) is Fate.LIFETIME


def test_the_open_file_and_foreign_files_never_go(tmp_path: Path) -> None:
    """The open one has the oldest records of all; exports and journals of others are not ours to judge."""
    opened = tmp_path / "audit.jsonl"
    export = tmp_path / "export.jsonl"
    journal = tmp_path / f"2000-01-01.{'a' * 16}.0001.jsonl"
    for path in (opened, export, journal):
        path.write_bytes(file(tmp_path, 22, 1).read_bytes())
    assert CollectedRetention(tmp_path, 1).tidy(NINETY, lambda: True) == [name(22)]
    assert all(path.exists() for path in (opened, export, journal))


def test_a_record_from_the_future_is_as_old_as_its_file(tmp_path: Path) -> None:
    """A sender's clock stood in 2099: the file was closed on the 22nd, so its records are from before; `show` says so no more
    than needed: while nothing else is known, it stays."""
    year_2099 = MIDNIGHT + 73 * 365 * DAY
    path = file(tmp_path, 22, MIDNIGHT - 40 * DAY, year_2099)
    assert fate(tmp_path, path, NINETY) is Fate.LIFETIME
    assert fate(tmp_path, path, NINETY - 5 * DAY) is Fate.YOUNG
    unnamed = tmp_path / "audit-2125-01-01T00-00-00.000-size.jsonl"
    path.rename(unnamed)
    retention = CollectedRetention(tmp_path, 90)
    assert fate(tmp_path, unnamed, NINETY) is Fate.YOUNG
    assert list(retention.remarks(retention.units(NINETY), NINETY)) == [
        f"{unnamed.name}: its newest record comes from the future; a clock is wrong, or was"
    ]


def test_a_clock_set_back_deletes_nothing(tmp_path: Path) -> None:
    """In 1970 again: everything is from the future."""
    path = file(tmp_path, 22, MIDNIGHT - DAY)
    assert fate(tmp_path, path, DAY) is Fate.YOUNG


def test_what_a_target_lacks_waits(tmp_path: Path) -> None:
    """`authaudit ship --to` has registered here and not come yet."""
    path = file(tmp_path, 22, MIDNIGHT - DAY)
    assert Target(tmp_path, "db").hold("postgresql://db")
    assert fate(tmp_path, path, time.time_ns()) is Fate.NEEDED


def test_held_files_stay_whole(tmp_path: Path) -> None:
    """By subject, by what the subject did to others, by tenant; however the collector writes the text. Damaged holds keep all."""
    found = {"user.id": "auth.user:42", "audit.actor.id": "auth.user:42", "audit.tenant": "Ä & <b>"}
    paths = []
    for day, (key, value) in enumerate(found.items(), 1):
        record = CanonicalRecord(event="e", time=MIDNIGHT - day * DAY, attributes={"audit.record.id": key, key: value})
        text = line(encode(record)).decode().replace("Ä & <b>", "\\u00c4 \\u0026 \\u003cb\\u003e")  # as some writers of JSON do
        paths.append(file(tmp_path, day, more=text.encode()))
    free = file(tmp_path, 20, MIDNIGHT - DAY)
    with changing(tmp_path) as holds:
        holds += [Hold(id="s", subject="auth.user:42"), Hold(id="t", tenant="Ä & <b>")]
    assert [fate(tmp_path, path, NINETY) for path in (*paths, free)] == [Fate.HELD] * 3 + [Fate.LIFETIME]
    (tmp_path / HOLDS_FILE).write_text("[]")
    assert fate(tmp_path, free, NINETY) is Fate.UNKNOWN


def traffic(folder: Path) -> tuple[list[Path], Sequence[CanonicalRecord]]:
    """Two processes; one lives over three files, in which a record came late; the other ended in the first. Four days a file."""
    long, short = stream(1, Process(10, stopped=False)), stream(2, Process(3))
    first = [*long[:3], *short, long[4]]
    second = [long[3], *long[5:8]]
    third = long[8:]
    paths = [collected(folder, records, name(day)) for day, records in ((1, first), (2, second), (3, third))]
    return paths, long


def findings(folder: Path, registry: str = "") -> list[Finding]:
    """What the verifier says of everything that is there."""
    return list(verification(sorted(folder.rglob("*.jsonl")), key=False, registry=registry).findings())


def apply(folder: Path, now: int, **options: Path) -> list[tuple[tuple[str, ...], str]]:
    """Apply 90 days."""
    return [(done.deleted, done.failure) for done in apply_folder(folder, config(folder), 90, now, **options)]


def test_what_goes_is_told_and_the_verifier_believes_it(tmp_path: Path) -> None:
    """The first file goes: runs 1-3 and 5 of the long stream, and the short one whole. The rest verifies; without the evidence
    it does not."""
    paths, _ = traffic(tmp_path)
    late = BEGIN + 92 * DAY
    young = [b'{"timeUnixNano":"%d"}\n' % (late - DAY)]
    for path in paths[1:]:
        path.write_bytes(path.read_bytes() + young[0])
    assert apply(tmp_path, late) == [((paths[0].name,), "")]
    assert [f.kind.value for f in findings(tmp_path) if f.kind.fault] == []
    told = [path.read_text() for path in (tmp_path / "authaudit").glob("*.jsonl")]
    assert sum(text.count('"eventName":"audit.records_expired"') for text in told) == 3
    assert apply(tmp_path, late) == [((), ""), ((), "")]
    for path in (tmp_path / "authaudit").glob("*.jsonl"):
        path.unlink()
    assert [(f.kind.value, f.number) for f in findings(tmp_path) if f.kind.fault] == [("deleted", 6), ("deleted", 4)]


def test_a_deletion_by_hand_is_reported_beside_one_by_us(tmp_path: Path) -> None:
    """The first file goes by retention, the second by somebody: the evidence covers the first alone."""
    paths, _ = traffic(tmp_path)
    late = BEGIN + 92 * DAY
    for path in paths[1:]:
        path.write_bytes(path.read_bytes() + b'{"timeUnixNano":"%d"}\n' % (late - DAY))
    apply(tmp_path, late)
    paths[1].unlink()
    assert [(f.kind.value, f.number) for f in findings(tmp_path) if f.kind.fault] == [("deleted", 9)]


def test_archive_before_delete(tmp_path: Path) -> None:
    """Everything is in the archive, and archive and evidence together are as whole as the files were; a file that is not safe
    there stays."""
    folder, safe = tmp_path / "collector", tmp_path / "archive"
    folder.mkdir()
    safe.mkdir()
    paths, _ = traffic(folder)
    (safe / f"{paths[1].name}.gz").write_bytes(gzip.compress(b"another collector's"))
    ((deleted, failure),) = apply(folder, BEGIN + 92 * DAY, archive_in=safe)
    assert deleted == (paths[0].name, paths[2].name)
    assert "choose another folder" in failure
    (safe / f"{paths[1].name}.gz").unlink()
    assert apply(folder, BEGIN + 92 * DAY, archive_in=safe)[0] == ((paths[1].name,), "")
    found = verification([*safe.glob("*.gz"), *sorted(folder.rglob("*.jsonl"))], key=False)
    assert [f.kind.value for f in found.findings() if f.kind.fault] == []
    assert found.records >= 19


def test_nothing_is_deleted_that_cannot_be_told(tmp_path: Path) -> None:
    """There is no place for the evidence: the files stay, and the caller hears why."""
    paths, _ = traffic(tmp_path)
    (tmp_path / "authaudit").write_text("a file where the folder should be")
    ((deleted, failure),) = apply(tmp_path, BEGIN + 92 * DAY)
    assert deleted == ()
    assert "cannot be recorded" in failure
    assert all(path.exists() for path in paths)


@settings(max_examples=12)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=3),
    st.sets(st.integers(1, 4), min_size=1),
    st.randoms(use_true_random=False),
)
def test_whatever_order_records_came_in_nobody_is_accused(events: list[int], young: set[int], chance: random.Random) -> None:
    """Consumers shuffle records over four files, some come twice; any of the files go, and the rest verifies by the evidence."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        records = [record for number, count in enumerate(events, 1) for record in stream(number, Process(count, stopped=False))]
        records += chance.choices(records, k=3)
        chance.shuffle(records)
        late = BEGIN + 92 * DAY
        where = [chance.randint(1, 4) for _ in records]
        for day in range(1, 5):
            path = collected(folder, [record for record, its in zip(records, where, strict=True) if its == day], name(day))
            if day in young:
                path.write_bytes(path.read_bytes() + b'{"timeUnixNano":"%d"}\n' % (late - DAY))
        assert not [finding for finding in findings(folder) if finding.kind.fault]
        apply(folder, late)
        assert not [finding for finding in findings(folder) if finding.kind.fault]
