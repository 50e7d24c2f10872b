from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord

from opentelemetry_instrumentation_authaudit import guard
from opentelemetry_instrumentation_authaudit.journal.canonical import GENESIS, CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.journal.names import files, locked_streams
from opentelemetry_instrumentation_authaudit.journal.signing import SigningKey
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.event import Param, RecordingRefused
from opentelemetry_instrumentation_authaudit.pipeline.provider import VERSION
from opentelemetry_instrumentation_authaudit.pipeline.sink import Pipeline
from tests.chain import chain, chains, events

from .telling import FAILURE, NOON, SIGN_IN, config, fixed, line_of, pipeline, process, run, service


def ids(records: list[CanonicalRecord]) -> list[Any]:
    """The ids of the sign-ins among them."""
    return [record.attributes[names.RECORD_ID] for record in records if record.event == "auth.sign_in"]


def every_record(folder: Path) -> list[CanonicalRecord]:
    """All records of all streams of the service, each stream whole."""
    return [record for records in chains(service(folder)).values() for record in records]


def test_nothing_is_touched_before_there_is_something_to_tell(tmp_path: Path) -> None:
    """Every `python -c` inherits the instrumentation: no folder, no key, no thread."""
    threads = threading.active_count()
    assert pipeline(tmp_path).shutdown()
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == threads


def test_a_record_is_what_it_should_be_to_the_letter(tmp_path: Path) -> None:
    """With a fixed clock and fixed ids the whole record is known before."""
    sink = Pipeline(config(tmp_path, log_name="staff"), sources=fixed())
    assert sink(SIGN_IN) == "id-3"
    start, record = chain(service(tmp_path))
    assert record == CanonicalRecord(
        event="auth.sign_in",
        time=NOON,
        severity=9,
        attributes={
            names.RECORD_ID: "id-3",
            names.LOG: "staff",
            names.SCHEMA: "1.0.0",
            names.ACTION: "sign_in_with_password",
            names.STRATEGY: "password",
            names.OUTCOME: "success",
            names.LIBRARY: "flask-login 0.6.3",
            names.SUBJECT: "user:42",
            names.IDENTITY: record.attributes[names.IDENTITY],
            names.STREAM_ID: "0000000000000001",
            names.SEQUENCE_NUMBER: 2,
            names.PREVIOUS_HASH: hashlib.sha256(encode(start)).hexdigest(),
        },
    )
    assert str(record.attributes[names.IDENTITY]).startswith("hashed:k1:")
    assert sink.shutdown()


def test_a_stream_begins_with_the_first_request(tmp_path: Path) -> None:
    """`audit.start` says that we are active, once, which version, and on which resource."""
    sink = pipeline(tmp_path)
    sink.begin()
    sink.begin()
    (start,) = chain(service(tmp_path))
    line = json.loads((service(tmp_path) / files(service(tmp_path))[0].name).read_bytes())
    resource = json.dumps(line["resourceLogs"][0]["resource"], separators=(",", ":"), ensure_ascii=False).encode()
    assert start.event == "audit.start"
    assert start.attributes[names.RESOURCE_DIGEST] == hashlib.sha256(resource).hexdigest()
    assert start.attributes[names.LIBRARY] == f"authaudit {VERSION}"
    assert start.attributes[names.PREVIOUS_HASH] == GENESIS
    assert sink.shutdown()


def test_a_stream_ends_in_good_order(tmp_path: Path) -> None:
    """`audit.stop` names the last number; the lock is gone, so nobody takes the stream for a dead one."""
    sink = pipeline(tmp_path)
    sink(SIGN_IN)
    assert len(locked_streams(service(tmp_path))) == 1
    assert sink.shutdown()
    records = chain(service(tmp_path))
    assert events(records) == ["audit.start", "auth.sign_in", "audit.stop"]
    assert records[-1].attributes[names.SEQUENCE_END] == "3"
    assert locked_streams(service(tmp_path)) == set()
    assert sink.shutdown()


def test_what_comes_after_the_end_is_recorded_all_the_same(tmp_path: Path) -> None:
    """A thread that outlives the shutdown still signs somebody in: a stream of its own."""
    sink = pipeline(tmp_path)
    sink(SIGN_IN)
    sink.shutdown()
    late = sink(SIGN_IN)
    assert late in ids(every_record(tmp_path))
    assert len(chains(service(tmp_path))) == 2
    assert sink.shutdown()


def test_what_the_options_leave_out_is_absent_and_counted(tmp_path: Path) -> None:
    """An excluded strategy leaves no trace in the journal, a recorded one does."""
    sink = pipeline(tmp_path, exclude_strategies="password")
    assert sink(SIGN_IN) is None
    assert not service(tmp_path).exists()
    assert sink(replace(SIGN_IN, event="auth.sign_out", strategy=SIGN_IN.strategy.SESSION)) is not None
    assert (sink.emitted, sink.filtered, sink.dropped) == (1, 1, 0)
    assert sink.shutdown()


def test_repeated_bad_credentials_are_told_twice(tmp_path: Path) -> None:
    """The same key refused five times: once at once, once at the end with the count."""
    sink = pipeline(tmp_path)
    refused = replace(FAILURE, event="auth.verify")
    assert [sink(refused) is None for _ in range(5)] == [False, True, True, True, True]
    sink.shutdown()
    verified = [record for record in chain(service(tmp_path)) if record.event == "auth.verify"]
    assert [record.attributes.get(names.REPEATS) for record in verified] == [None, "4"]


def test_a_disabled_sdk_tells_nothing(tmp_path: Path) -> None:
    """`OTEL_SDK_DISABLED=true` means it."""
    sink = Pipeline(replace(config(tmp_path, strict="auth.sign_in"), sdk_disabled=True))
    sink.begin()
    sink.admit("auth.sign_in")
    assert sink(SIGN_IN) is None
    assert list(tmp_path.iterdir()) == []


def test_eight_threads_keep_one_whole_chain(tmp_path: Path) -> None:
    """However they interleave, numbers have no gap, hashes link, and every id is there."""
    sink = pipeline(tmp_path)
    told: list[str | None] = []

    def tell() -> None:
        told.extend(sink(SIGN_IN) for _ in range(100))

    threads = [threading.Thread(target=tell) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sink.shutdown()
    assert sorted(ids(chain(service(tmp_path)))) == sorted(map(str, told))
    assert sink.emitted == 800


def test_a_checkpoint_every_so_many_records(tmp_path: Path) -> None:
    """Every third record is followed by where the chain stands; without a key it is not signed."""
    sink = pipeline(tmp_path, checkpoint_records=3)
    for _ in range(5):
        sink(SIGN_IN)
    sink.shutdown()
    records = chain(service(tmp_path))
    assert [number for number, record in enumerate(records, 1) if record.event == "audit.checkpoint"] == [4, 8]
    assert records[3].attributes[names.CHECKPOINT_DROPPED] == "0"
    assert names.INTEGRITY_VALUE not in records[3].attributes


def test_a_signed_checkpoint_is_verified_with_the_first_key(tmp_path: Path) -> None:
    """Two starts, two generations of the key: the verifier derives both from the text it kept offline."""
    key_file = tmp_path / "signing.key"
    key_file.write_text("first", encoding="utf-8")
    key = SigningKey.parse("first")
    for _ in range(2):
        sink = pipeline(tmp_path, signing_key_file=str(key_file), checkpoint_records=2)
        sink(SIGN_IN)
        sink.shutdown()
    for generation, records in enumerate(sorted(chains(service(tmp_path)).values(), key=lambda records: str(ids(records)))):
        for record in (records[2], records[-1]):
            said = record.attributes
            signed = key.sign(str(said[names.STREAM_ID]), int(said[names.SEQUENCE_NUMBER]), str(said[names.PREVIOUS_HASH]), 0)
            assert (record.event, said[names.INTEGRITY_VALUE]) == (record.event, signed)
            assert said[names.INTEGRITY_KEY_ID] == f"{key.id}.{generation}"
            assert said[names.INTEGRITY_ALGORITHM] == "HMAC-SHA256"
        key = key.next()


def test_an_idle_process_shows_that_it_lives(tmp_path: Path) -> None:
    """Nothing happens, and after the interval a checkpoint says so."""
    sink = pipeline(tmp_path, checkpoint_seconds=0.1)
    sink.begin()
    assert eventually(lambda: "audit.checkpoint" in events(chain(service(tmp_path))))
    sink.shutdown()


def test_old_journals_go_when_a_process_starts(tmp_path: Path) -> None:
    """`log_lifetime` is applied by itself, soon after the first record."""
    service(tmp_path).mkdir(parents=True)
    old = service(tmp_path) / "2020-01-01.00000000000000aa.0001.jsonl"
    old.touch()
    sink = pipeline(tmp_path)
    sink.begin()
    assert eventually(lambda: not old.exists())
    sink.shutdown()


def test_doctor_reads_who_is_auditing(tmp_path: Path) -> None:
    """The lock file tells pid, and what the instrumentor adds."""
    sink = Pipeline(config(tmp_path), describe=lambda: {"hooked": ["flask_login"]})
    sink.begin()
    (lock,) = service(tmp_path).glob("*.lock")
    facts = json.loads(lock.read_bytes())
    assert (facts["pid"], facts["hooked"]) == (os.getpid(), ["flask_login"])
    sink.shutdown()


KILLED = """
    sink = pipeline(Path(sys.argv[1]))
    while True:
        print(sink(SIGN_IN), flush=True)
"""


@pytest.mark.parametrize("fatal", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_loses_nothing_it_had_told(tmp_path: Path, fatal: signal.Signals) -> None:
    """Killed in the midst of it: every id that was returned is in a whole chain. It dies of the signal as it did without us."""
    with process(KILLED, tmp_path) as teller:
        told = [line_of(teller) for _ in range(50)]
        teller.send_signal(fatal)
        assert teller.stdout is not None
        told += teller.stdout.read().split()
        assert teller.wait() == -fatal
    kept = ids(chain(service(tmp_path)))
    assert [record_id for record_id in told if len(record_id) == 36 and record_id not in kept] == []
    assert len(locked_streams(service(tmp_path))) == 1  # for an heir


def test_a_process_that_ends_says_so(tmp_path: Path) -> None:
    """At the interpreter's exit the stream gets its `audit.stop`, without anybody asking."""
    run("pipeline(Path(sys.argv[1]))(SIGN_IN)", tmp_path)
    assert events(chain(service(tmp_path))) == ["audit.start", "auth.sign_in", "audit.stop"]


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    """Each writes a stream of its own, and both are whole."""
    code = "sink = pipeline(Path(sys.argv[1])); [sink(SIGN_IN) for _ in range(100)]; print('ok', flush=True); sys.stdin.read()"
    with process(code, tmp_path) as one, process(code, tmp_path) as other:
        assert line_of(one) == line_of(other) == "ok"
    assert [len(ids(records)) for records in chains(service(tmp_path)).values()] == [100, 100]


def test_a_forked_child_begins_a_stream_of_its_own(tmp_path: Path) -> None:
    """Also when other threads are telling at that very moment; the parent's stream goes on."""
    code = """
        sink = pipeline(Path(sys.argv[1]))
        sink(SIGN_IN)
        done = threading.Event()
        def tell():
            while not done.is_set():
                sink(SIGN_IN)
        threads = [threading.Thread(target=tell) for _ in range(3)]
        for thread in threads: thread.start()
        children = []
        for _ in range(5):
            child = os.fork()
            if not child:
                assert sink(SIGN_IN) is not None
                os._exit(0)
            children.append(child)
        codes = [os.waitpid(child, 0)[1] for child in children]
        done.set()
        for thread in threads: thread.join()
        sink(SIGN_IN)
        print(codes)
    """
    environ = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}  # fork with threads: what servers do all the same
    assert run(code, tmp_path, environ=environ) == "[0, 0, 0, 0, 0]"
    streams = list(chains(service(tmp_path)).values())
    assert sorted(map(events, streams), key=len)[:5] == [["audit.start", "auth.sign_in"]] * 5
    assert len(streams) == 6
    assert len(locked_streams(service(tmp_path))) == 5  # the children's, for an heir: they left without a word


FULL = """
    sink = pipeline(Path(sys.argv[1]))
    told = [sink(SIGN_IN)]
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit))
    told += [sink(SIGN_IN) for _ in range(int(sys.argv[2]))]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    told.append(sink(SIGN_IN))
    print(sum(told_id is not None for told_id in told), sink.dropped)
"""


def test_a_full_disk_loses_nothing_while_memory_lasts(tmp_path: Path) -> None:
    """100 sign-ins while the disk takes nothing: all are in the journal once it does, in order."""
    assert run(FULL, tmp_path, 100) == "102 0"
    assert events(chain(service(tmp_path))) == ["audit.start", *["auth.sign_in"] * 102, "audit.stop"]


def test_what_is_lost_is_told_in_the_evidence(tmp_path: Path) -> None:
    """More than memory holds: the chain has no gap, and a record says how many are missing."""
    kept, dropped = run(FULL, tmp_path, 2500).split()
    records = chain(service(tmp_path))
    (loss,) = (record for record in records if record.event == "audit.records_lost")
    assert len(ids(records)) == int(kept)
    assert int(kept) + int(dropped) == 2502
    assert loss.attributes[names.RECORDS_LOST] == dropped
    assert records[-1].attributes[names.CHECKPOINT_DROPPED] == dropped


def test_an_idle_process_recovers_from_a_full_disk(tmp_path: Path) -> None:
    """No new sign-in is needed: what waits in memory is written as soon as there is room."""
    code = """
        sink = pipeline(Path(sys.argv[1]))
        sink.begin()
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit))
        sink(SIGN_IN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        print("room", flush=True)
        sys.stdin.read()
    """
    with process(code, tmp_path) as teller:
        assert line_of(teller) == "room"
        assert eventually(lambda: events(chain(service(tmp_path))) == ["audit.start", "auth.sign_in"])


def test_a_place_that_cannot_be_written_does_not_disturb_the_application(tmp_path: Path) -> None:
    """`journal_dir` under a file: the record waits in memory, the operator is told, nothing is raised."""
    (tmp_path / "journal").touch()
    sink = pipeline(tmp_path)
    assert sink(SIGN_IN) is not None
    time.sleep(1.2)  # the upkeep comes by, and has nothing to complain of in our own code
    assert not sink.shutdown()


def test_strict_refuses_what_cannot_be_recorded(tmp_path: Path) -> None:
    """Asked before the session exists: the event class that must be recorded is refused, others are not."""
    (tmp_path / "journal").touch()
    sink = pipeline(tmp_path, strict="auth.sign_in")
    sink.admit("auth.sign_out")
    with pytest.raises(RecordingRefused, match="cannot be recorded in the audit journal"):
        sink.admit("auth.sign_in")
    (tmp_path / "journal").unlink()
    sink.admit("auth.sign_in")
    assert sink(SIGN_IN) is not None
    assert sink.shutdown()


class Hostile(Mapping[str, Param]):
    """Parameters that an application's library hands over, and that cannot be looked at."""

    def __getitem__(self, name: str) -> Param:
        raise LookupError(name)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("correct horse battery staple")

    def __len__(self) -> int:
        return 1


@pytest.mark.guarded
def test_parameters_that_cannot_be_looked_at_cost_themselves(tmp_path: Path) -> None:
    """That somebody signed in, and who, is recorded; what raises is not, and the exception is counted."""
    sink, before = pipeline(tmp_path), guard.errors["pipeline.typed"]
    assert sink(replace(SIGN_IN, params=Hostile())) is not None
    assert guard.errors["pipeline.typed"] == before + 1
    record = chain(service(tmp_path))[1]
    assert record.attributes[names.SUBJECT] == "user:42"
    assert names.REDACTED not in record.attributes
    sink.shutdown()


class SignsIn(LogRecordProcessor):
    """A processor of the user's that authenticates somewhere itself, with a library that we watch."""

    sink: Pipeline
    told: list[str | None]

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.told.append(self.sink(SIGN_IN))

    def shutdown(self) -> None:
        """Nothing to end."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


def test_our_own_telling_is_not_told(tmp_path: Path) -> None:
    """What signs in while it handles our record begins no endless story, and no deadlock."""
    processor = SignsIn()
    theirs = LoggerProvider(shutdown_on_exit=False)
    theirs.add_log_record_processor(processor)
    processor.sink, processor.told = pipeline(tmp_path, logger_provider=theirs), []
    assert processor.sink(SIGN_IN) is not None
    assert processor.told == [None, None]
    assert processor.sink.shutdown()
    assert events(chain(service(tmp_path))) == ["audit.start", "auth.sign_in", "audit.stop"]


def test_the_operator_may_flush(tmp_path: Path) -> None:
    """Before and after the first record, the journal alone is always flushed."""
    sink = pipeline(tmp_path)
    assert sink.force_flush()
    sink(SIGN_IN)
    assert sink.force_flush()
    sink.shutdown()


def eventually(condition: Any) -> bool:
    """Whether *condition* comes true within some seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
