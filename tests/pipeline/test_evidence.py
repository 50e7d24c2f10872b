"""What the audit says of itself: deletions and refusals stand in the evidence, so that a verifier suspects nobody honest."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.journal import cursor
from opentelemetry_instrumentation_authaudit.journal.holds import changing
from opentelemetry_instrumentation_authaudit.journal.names import cursor_path
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.lifetime import Hold
from opentelemetry_instrumentation_authaudit.pipeline.life import Sources
from opentelemetry_instrumentation_authaudit.pipeline.sink import Pipeline
from opentelemetry_instrumentation_authaudit.query.links import Finding, link_of
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable, every_record
from opentelemetry_instrumentation_authaudit.query.registry import Registry
from opentelemetry_instrumentation_authaudit.query.verify import Keys, Verification

from .otlp_server import OK, OtlpServer, Received, Reply, partial_success
from .telling import NOON, SIGN_IN, config, service

DAY = 86_400 * 1_000_000_000


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def at(clock: Clock, folder: Path, **options: object) -> Pipeline:
    """A process whose clock is *clock*."""
    return Pipeline(config(folder, **options), sources=Sources(now=clock))


def long_life(folder: Path, days: Iterable[int], **options: object) -> None:
    """A process that told something on each of these days, counted from today."""
    clock = Clock(0)
    sink = None
    for day in days:
        clock.now = NOON + day * DAY
        sink = sink or at(clock, folder, **options)
        assert sink(replace(SIGN_IN, time=clock.now)) is not None
    assert sink is not None
    sink.shutdown()


def told(folder: Path, event: str) -> list[Record]:
    """The records of *event*."""
    return [record for record, _ in every_record(sorted(service(folder).glob("*.jsonl")), Unreadable()) if record.event == event]


def findings(paths: Iterable[Path], *, lifetime: int | None = None, registry: str = "") -> list[Finding]:
    """What the verifier says."""
    verification = Verification(Keys([]), lifetime, Registry.parse(registry) if registry else None)
    for record, path in every_record(sorted(paths), Unreadable()):
        verification.feed(record, path)
    return list(verification.findings())


def registry_of(paths: Iterable[Path]) -> str:
    """What `authaudit digest` would write now."""
    verification = Verification(Keys([]))
    for record, path in every_record(sorted(paths), Unreadable()):
        verification.feed(record, path)
    return f"{Registry().line(verification.streams, 'now', None)}\n"


def test_beginning_that_retention_deleted(tmp_path: Path) -> None:
    """A process of four months: its first days are over; the next process deletes them, and says up to which record."""
    long_life(tmp_path, [-115, -20], checkpoint_seconds=1e9)
    (first, second) = sorted(service(tmp_path).glob("*.jsonl"))
    clock = Clock(NOON)
    sink = at(clock, tmp_path)
    assert sink(SIGN_IN) is not None
    assert eventually(lambda: told(tmp_path, "audit.records_expired"))
    sink.shutdown()
    assert not first.exists()
    (record,) = told(tmp_path, "audit.records_expired")
    facts = {name: value for name, value in record.attributes.items() if name.startswith("audit.records_expired")}
    (cut, *_) = [found for found, _ in every_record([second], Unreadable())]
    assert facts == {
        names.EXPIRED_STREAM: cut.attributes[names.STREAM_ID],
        names.EXPIRED_NUMBER: str(cut.number - 1),
        names.EXPIRED_HASH: cut.attributes[names.PREVIOUS_HASH],
        names.EXPIRED_CAUSE: "log_lifetime",
    }
    everything = list(service(tmp_path).glob("*.jsonl"))
    assert [(f.kind.value, f.number) for f in findings(everything)] == [("expired", cut.number)]
    assert [(f.kind.value, f.number) for f in findings([second])] == [("deleted", cut.number)]


def test_whole_streams_are_counted(tmp_path: Path) -> None:
    """Three processes of long ago: one record tells that they are gone, and a registry of their time does not miss them."""
    for day in (-120, -110, -100):
        long_life(tmp_path, [day])
    registry = registry_of(service(tmp_path).glob("*.jsonl"))
    sink = at(Clock(NOON), tmp_path)
    sink.begin()
    assert eventually(lambda: told(tmp_path, "audit.records_expired"))
    sink.shutdown()
    (record,) = told(tmp_path, "audit.records_expired")
    assert record.attributes[names.RECORDS_EXPIRED] == "3"
    assert not findings(service(tmp_path).glob("*.jsonl"), lifetime=90, registry=registry)


def test_what_made_room_is_named(tmp_path: Path) -> None:
    """`max_journal_bytes` takes young records: which, stands in the evidence, and a registry that knew them is answered."""
    long_life(tmp_path, [-3])
    registry = registry_of(service(tmp_path).glob("*.jsonl"))
    (old,) = service(tmp_path).glob("*.jsonl")
    clock = Clock(NOON)
    sink = at(clock, tmp_path, max_journal_bytes=old.stat().st_size * 2)
    while old.exists():
        clock.now += 2_000_000_000
        assert sink(SIGN_IN) is not None
    sink.shutdown()
    (record,) = told(tmp_path, "audit.records_expired")
    assert record.attributes[names.EXPIRED_CAUSE] == "max_journal_bytes"
    assert not findings(service(tmp_path).glob("*.jsonl"), lifetime=90, registry=registry)


def refuse(subject: str) -> Callable[[Received], Reply]:
    """A receiver that never takes a record about *subject*."""

    def answer(asked: Received) -> Reply:
        return partial_success(1) if f'"{subject}"' in json.dumps(asked.document) else OK

    return answer


def test_refused_record_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver takes everything but one record; what it has is whole all the same, because the evidence says what is missing."""
    with OtlpServer("http") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.answer = refuse("user:13")
        sink = Pipeline(config(tmp_path, exporter="otlp", otlp_protocol="http/json"))
        for number in (12, 13, 14):
            sink(replace(SIGN_IN, subject=f"user:{number}"))
        sink.force_flush()
        assert eventually(lambda: told(tmp_path, "audit.records_refused"))
        assert sink.shutdown()
        collected = tmp_path / "collected.jsonl"
        collected.write_bytes(b"\n".join(received.body for received in server.requests if received.accepted))
    (record,) = told(tmp_path, "audit.records_refused")
    assert record.attributes[names.REFUSED_NUMBER] == "3"
    assert [(f.kind.value, f.says[:19]) for f in findings([collected])] == [("refused", "record 3 is missing")]
    assert not findings(service(tmp_path).glob("2*.jsonl"))


def test_refusal_of_the_news_is_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that does not take the news of a refusal either: it is not told again and again."""
    with OtlpServer("http") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.answer = lambda asked: (
            partial_success(1) if "auth.sign_in" in str(asked.document) or "refused" in str(asked.document) else OK
        )
        sink = Pipeline(config(tmp_path, exporter="otlp", otlp_protocol="http/json"))
        sink(SIGN_IN)
        sink.force_flush()
        assert eventually(lambda: told(tmp_path, "audit.records_refused"))
        sink.force_flush()
        sink.shutdown()
    assert len(told(tmp_path, "audit.records_refused")) == 1


def eventually(condition: Callable[[], object]) -> bool:
    """Whether it becomes true within some seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def told_by(folder: Path) -> Path:
    """The one file of the process that lives today."""
    (path,) = service(folder).glob("2026-11-24.*.jsonl")
    return path


def held_history(folder: Path) -> list[Path]:
    """A process of four months; a hold on whom it knew on its second day; then today's process, which applies the lifetime."""
    clock = Clock(0)
    sink = None
    for number, day in enumerate([-115, -110, -105, -20, -20]):
        clock.now = NOON + day * DAY
        sink = sink or at(clock, folder, checkpoint_seconds=1e9)
        assert sink(replace(SIGN_IN, subject=f"user:{number}", time=clock.now)) is not None
    assert sink is not None
    sink.shutdown()
    paths = sorted(service(folder).glob("*.jsonl"))
    with changing(service(folder).parent) as holds:
        holds.append(Hold(id="h", subject="user:1"))
    sink = at(Clock(NOON), folder)
    assert sink(SIGN_IN) is not None
    assert eventually(lambda: len(told(folder, "audit.records_expired")) == 2)
    sink.shutdown()
    assert [path.exists() for path in paths] == [False, True, False, True]
    return paths


def test_a_held_file_stays_provable_and_nobody_is_accused(tmp_path: Path) -> None:
    """The file under legal hold stays whole between two deletions, and the evidence accounts for both."""
    held_history(tmp_path)
    found = findings(service(tmp_path).glob("*.jsonl"), lifetime=90)
    assert [(f.kind.value, f.number, "evidence says" in f.says) for f in found] == [("expired", 5, True), ("expired", 3, True)]


def test_a_deletion_that_nobody_recorded_is_still_reported(tmp_path: Path) -> None:
    """The held file, a record of it, or the file behind it is deleted by hand: what the evidence says does not cover that."""
    _, held, _, last = held_history(tmp_path)
    content, rest = held.read_bytes(), last.read_bytes()
    held.unlink()
    assert [(f.kind.value, f.says) for f in findings([last, told_by(tmp_path)])] == [
        ("deleted", "the beginning is missing: records 1 to 3")
    ]
    held.write_bytes(content)
    last.unlink()
    (line, *more) = rest.splitlines(keepends=True)
    last.write_bytes(b"".join(more))
    found = findings([held, last, told_by(tmp_path)])
    assert [(f.kind.value, f.number) for f in found if f.kind.fault] == [("deleted", 6)]
    last.write_bytes(line + b"".join(more[1:]))
    found = findings([held, last, told_by(tmp_path)], lifetime=1)
    assert [(f.kind.value, f.number) for f in found if f.kind.fault] == [("deleted", 7)]


def test_killed_between_evidence_and_deletion(tmp_path: Path) -> None:
    """The evidence says that the file is gone, and it is there: no fault; the next process deletes it and says so again."""
    held_history(tmp_path)
    copies = tmp_path / "copies"
    copies.mkdir()
    with changing(service(tmp_path).parent) as holds:
        holds.clear()
    for path in service(tmp_path).glob("*.jsonl"):
        (copies / path.name).write_bytes(path.read_bytes())
    sink = at(Clock(NOON + DAY), tmp_path)
    assert sink(replace(SIGN_IN, time=NOON + DAY)) is not None
    assert eventually(lambda: len(told(tmp_path, "audit.records_expired")) == 3)
    sink.shutdown()
    news = list(service(tmp_path).glob("2026-11-25.*.jsonl"))
    assert not [f for f in findings([*copies.glob("*.jsonl"), *news]) if f.kind.fault]
    assert not [f for f in findings(service(tmp_path).glob("*.jsonl")) if f.kind.fault]


def test_a_registry_and_a_cursor_that_knew_more_are_answered(tmp_path: Path) -> None:
    """An old process's last file went, its first is held: the registry and the delivery knew its end, which is no truncation."""
    clock = Clock(NOON - 115 * DAY)
    sink = at(clock, tmp_path, checkpoint_seconds=1e9)
    sink(replace(SIGN_IN, subject="user:1", time=clock.now))
    clock.now += DAY
    sink(replace(SIGN_IN, subject="user:2", time=clock.now))
    sink.shutdown()
    held, last = sorted(service(tmp_path).glob("*.jsonl"))
    records = [record for record, _ in every_record([last], Unreadable())]
    registry = registry_of([held, last])
    end = link_of(records[-1], "")
    cursor.save(cursor_path(service(tmp_path), end.stream), cursor.Position(last.name, 1, end.number, end.digest.hex()))
    with changing(service(tmp_path)) as holds:
        holds.append(Hold(id="h", subject="user:1"))
    sink = at(Clock(NOON), tmp_path)
    sink(SIGN_IN)
    assert eventually(lambda: told(tmp_path, "audit.records_expired"))
    sink.shutdown()
    assert (held.exists(), last.exists()) == (True, False)
    for lifetime in (90, None):
        found = findings(service(tmp_path).glob("*.jsonl"), lifetime=lifetime, registry=registry)
        assert [f.kind.value for f in found] == ["open", "expired", "expired"]
    found = findings([held], registry=registry)
    assert [f.kind.value for f in found if f.kind.fault] == ["truncated", "truncated"]
