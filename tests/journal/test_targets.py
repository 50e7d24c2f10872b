"""Targets of `authaudit ship --to`: cursors of their own, and journals that wait for them, within reason."""

from __future__ import annotations

import os
from pathlib import Path

from opentelemetry_instrumentation_authaudit.journal.backlog import Backlog
from opentelemetry_instrumentation_authaudit.journal.names import cursor_path
from opentelemetry_instrumentation_authaudit.journal.retention import Retention
from opentelemetry_instrumentation_authaudit.journal.streams import Source
from opentelemetry_instrumentation_authaudit.journal.targets import GIVEN_UP_DAYS, JournalsForTarget, Target, lacking_from

from .helpers import DAY, MORNING, OTHER, OWN, Clock, fill, record


def serving(folder: Path, name: str = "pg") -> JournalsForTarget:
    """A source for a target that nobody else serves."""
    target = Target(folder, name)
    assert target.hold(f"{name}://somewhere")
    return JournalsForTarget(folder, target)


def drained(source: Source, limit: int = 2) -> list[bytes]:
    """Everything that waits, acknowledged batch by batch."""
    source.adopt()
    found: list[bytes] = []
    while (batch := source.next(limit)) is not None:
        found += batch.records
        source.acknowledge(batch)
    return found


def registered_at(folder: Path, moment: int, name: str = "pg") -> None:
    """As if the target had been served last at *moment*."""
    os.utime(folder / "targets" / name / "target.json", (moment / 1e9, moment / 1e9))


def test_every_stream_once_whoever_writes_it(tmp_path: Path) -> None:
    """The journal of a living process and that of one that ended; later only what is new."""
    alive = fill(tmp_path, 3)
    fill(tmp_path, 2, OTHER).close(done=True)
    source = serving(tmp_path)
    assert sorted(drained(source)) == sorted([record(1), record(2), record(3), record(1), record(2)])
    alive.append(record(4))
    assert drained(source) == [record(4)]
    source.close()
    assert drained(serving(tmp_path)) == []
    alive.close(done=False)


def test_deliveries_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Two targets and the delivery to a collector each get every record; no lock of a stream is touched."""
    fill(tmp_path, 3).close(done=False)
    assert len(drained(serving(tmp_path, "one"))) == 3
    assert len(drained(serving(tmp_path, "two"))) == 3
    assert len(drained(Backlog(tmp_path))) == 3


def test_one_process_serves_a_target(tmp_path: Path) -> None:
    """A second one is told so, until the first lets go."""
    first = serving(tmp_path)
    assert not Target(tmp_path, "pg").hold("pg://somewhere")
    assert not Target(tmp_path, "pg").forget()
    first.close()
    assert Target(tmp_path, "pg").hold("pg://somewhere")


def test_what_a_target_lacks_stays(tmp_path: Path) -> None:
    """Of 90 days, after 115: the file waits for the target, and goes once the target has it."""
    fill(tmp_path, 2, now=Clock(MORNING - 115 * DAY)).close(done=True)
    source = serving(tmp_path)
    registered_at(tmp_path, MORNING)
    retention = Retention(tmp_path, 90, None, delivering=False)
    assert retention.apply(MORNING) == []
    source.adopt()
    batch = source.next(1)
    assert batch is not None
    source.acknowledge(batch)
    registered_at(tmp_path, MORNING)
    assert retention.apply(MORNING) == []  # half of the file
    drained(source)
    registered_at(tmp_path, MORNING)
    assert [file.day for file in retention.apply(MORNING)] == ["2026-08-01"]
    assert not list((tmp_path / "targets" / "pg").glob("*.cursor"))


def test_a_target_nobody_serves_holds_nothing_back(tmp_path: Path) -> None:
    """Thirty days without a `ship`, or `--forget`: retention goes on by the lifetime alone."""
    fill(tmp_path, 2, now=Clock(MORNING - 115 * DAY)).close(done=True)
    source = serving(tmp_path)
    registered_at(tmp_path, MORNING)
    assert lacking_from(tmp_path, OWN, 1, MORNING + (GIVEN_UP_DAYS - 1) * DAY) == 0
    assert lacking_from(tmp_path, OWN, 1, MORNING + GIVEN_UP_DAYS * DAY) == 2
    source.close()
    assert Target(tmp_path, "pg").forget()
    assert not Target(tmp_path, "pg").forget()
    assert [file.day for file in Retention(tmp_path, 90, None, delivering=False).apply(MORNING)] == ["2026-08-01"]


def test_a_torn_end_is_no_reason_to_keep_a_file(tmp_path: Path) -> None:
    """The process was killed within a line, which nobody will ever get."""
    fill(tmp_path, 2, now=Clock(MORNING - 115 * DAY)).close(done=True)
    (file,) = tmp_path.glob("*.jsonl")
    with file.open("ab") as torn:
        torn.write(b'{"resourceLogs":[{"reso')
    drained(serving(tmp_path))
    registered_at(tmp_path, MORNING)
    assert len(Retention(tmp_path, 90, None, delivering=False).apply(MORNING)) == 1


def test_a_refused_record_is_set_aside_for_this_target_alone(tmp_path: Path) -> None:
    """It lies in the target's own folder, and the next record follows."""
    fill(tmp_path, 2).close(done=True)
    source = serving(tmp_path)
    source.adopt()
    batch = source.next(1)
    assert batch is not None
    source.bury(batch, "no")
    assert b'"why":"no"' in (tmp_path / "targets" / "pg" / f"{OWN}.dead.jsonl").read_bytes()
    assert drained(source) == [record(2)]
    assert not cursor_path(tmp_path, OWN).exists()


def test_streams_take_turns(tmp_path: Path) -> None:
    """A stream with much to tell does not keep the other waiting."""
    fill(tmp_path, 4).close(done=True)
    fill(tmp_path, 1, OTHER).close(done=True)
    source = serving(tmp_path)
    source.adopt()
    order = []
    while (batch := source.next(1)) is not None:
        order.append(batch.stream)
        source.acknowledge(batch)
    assert order == [OWN, OTHER, OWN, OWN, OWN]
