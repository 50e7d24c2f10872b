"""PostgreSQL as a store: what is written comes back as it was, whatever it is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.config import load
from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.journal.streams import Batch
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.pipeline.answers import ACCEPTED, Answer, Verdict
from opentelemetry_instrumentation_authaudit.pipeline.otlp import Sender
from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Keyring
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable, read
from opentelemetry_instrumentation_authaudit.query.verify import Keys, Verification
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.store import Store, open_store

from .postgresql_server import Server
from .recorded import FIRST_SIGNING_KEY, HASH_KEY, MIDNIGHT, batch_of, recorded


@pytest.fixture
def store(postgresql: Server, database: str) -> Iterator[Store]:
    """The table as its reader sees it."""
    opened = open_store(postgresql.url(database, "auditor"))
    yield opened
    opened.close()


@pytest.fixture
def sender(postgresql: Server, database: str) -> Iterator[Sender]:
    """The table as its writer sees it."""
    opened = open_store(postgresql.url(database, "app")).sender()
    yield opened
    opened.close()


def canonical(number: int = 1, *, time: int = MIDNIGHT, event: str = "auth.sign_in", **attributes: str | int) -> bytes:
    """A record; `__` in a name stands for a dot."""
    found: dict[str, str | int] = {
        names.RECORD_ID: f"id-{number}",
        names.OUTCOME: "success",
        names.SUBJECT: "auth.user:1",
        **{name.replace("__", "."): value for name, value in attributes.items()},
    }
    return encode(CanonicalRecord(event=event, time=time, attributes=found, severity=9))


def batch(*records: bytes) -> Batch:
    """Records of one stream."""
    return batch_of("a" * 16, "shop", records)


def send(sender: Sender, *records: bytes) -> Answer:
    """The answer to one batch."""
    return sender.send(batch(*records))


def everything(store: Store) -> list[Record]:
    """All records of the store."""
    return list(store.records(Filters()))


def put(sender: Sender, batches: Iterable[Batch]) -> None:
    """All of them, accepted."""
    for one in batches:
        assert sender.send(one) == ACCEPTED


def test_what_was_sent_comes_back_as_files_give_it(sender: Sender, store: Store, tmp_path: Path) -> None:
    """A recorded day in the database and in journals: the same records in the same order, with what stood around them."""
    day = recorded()
    put(sender, day.batches())
    files = sorted(day.journal(tmp_path).rglob("*.jsonl"))
    wanted, found = list(read(files, Unreadable())), everything(store)
    assert [replace(record, file="", around=None) for record in found] == [
        replace(record, file="", around=None) for record in wanted
    ]
    assert [record.around for record in found] == [record.around for record in wanted]
    assert {record.file for record in found} == {"audit.auth_audit_20261120"}


def test_the_chain_is_whole_and_tampering_is_found(sender: Sender, store: Store, postgresql: Server, database: str) -> None:
    """The hashed bytes are made again from the rows; a superuser who gets past the triggers is found out."""
    put(sender, recorded().batches())

    def faults() -> list[str]:
        verification = Verification(Keys([FIRST_SIGNING_KEY]))
        for record in store.copies(Filters()):
            verification.feed(record, None)
        return [finding.kind.value for finding in verification.findings() if finding.kind.fault]

    assert faults() == []
    with postgresql.connect(database) as admin:
        admin.execute("ALTER TABLE audit.auth_audit DISABLE TRIGGER USER")
        admin.execute("""UPDATE audit.auth_audit SET attributes = attributes || '{"audit.outcome": "success"}'
                         WHERE id = (SELECT min(id) FROM audit.auth_audit WHERE status = 'failure')""")
    assert faults() == ["modified"]


def test_what_is_sent_again_is_kept_once(sender: Sender, store: Store) -> None:
    """The same batch twice, and one that overlaps: a writer who may not read still adds nothing twice."""
    put(
        sender,
        [batch(canonical(1), canonical(2)), batch(canonical(1), canonical(2)), batch(canonical(2), canonical(3), canonical(3))],
    )
    assert [record.id for record in everything(store)] == ["id-1", "id-2", "id-3"]


QUESTIONS = [
    Filters(subject=("auth.user:1", "auth.user:4")),
    Filters(status=("failure",)),
    Filters(status=("failure", "unknown")),
    Filters(action=("sign_in_with_password",)),
    Filters(action=("sign_in_with_*", "verify_with_{s}")),
    Filters(action=("",)),
    Filters(event=("auth.sign_in",)),
    Filters(event=("auth.*",), without=("auth.sign_out",)),
    Filters(strategy=("password", "github")),
    Filters(provider=("github",)),
    Filters(tenant=("acme",)),
    Filters(service=("admin",)),
    Filters(identity=("ann@example.org",), keys=Keyring.of(load({}, hash_key=HASH_KEY))),
    Filters(ip=("203.0.113.0/24",)),
    Filters(ip=("198.51.100.7", "2001:db8::/32")),
    Filters(since=MIDNIGHT + 9 * 3_600_000_000_000),
    Filters(until=MIDNIGHT + 9 * 3_600_000_000_000 + 1),
    Filters(since=MIDNIGHT + 8 * 3_600_000_000_001, until=MIDNIGHT + 12 * 3_600_000_000_000, status=("success",)),
    Filters(until=1 << 80),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_every_question_has_the_answer_that_files_give(
    question: Filters, answered: tuple[Store, list[Record]], request: pytest.FixtureRequest
) -> None:
    """Filters are answered by the database as they are answered by reading everything."""
    store, records = answered
    wanted = [record.id for record in records if all(test(record) for test in question.tests())]
    assert [record.id for record in store.records(question)] == wanted
    assert [record.id for record in store.last(question, 3)] == wanted[-3:]


@pytest.fixture(scope="module")
def answered(postgresql: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, list[Record]]]:
    """The recorded day in a database, and as files give it."""
    day, name = recorded(), postgresql.make_database("asked", "template")
    sender = open_store(postgresql.url(name, "app")).sender()
    put(sender, day.batches())
    sender.close()
    files = sorted(day.journal(tmp_path_factory.mktemp("asked")).rglob("*.jsonl"))
    store = open_store(postgresql.url(name, "auditor"))
    yield store, list(read(files, Unreadable()))
    store.close()


def test_two_questions_at_once(answered: tuple[Store, list[Record]]) -> None:
    """An answer that nobody has read to its end is in no other's way."""
    store, records = answered
    slow = store.records(Filters())
    assert next(slow).id == records[0].id
    assert [record.id for record in store.records(Filters())] == [record.id for record in records]
    assert [record.id for record in slow] == [record.id for record in records[1:]]


STRANGE = [
    pytest.param({"note": "a\0b"}, id="a NUL"),
    pytest.param({"n\0te": "a", "user.id": "x\0"}, id="a NUL in a name"),
    pytest.param({"note": '\\u0000 \\ " \x01 \x7f \u2028 \ufffe \U0001f600'}, id="what must be escaped"),
    pytest.param({"user.id": "u" * 100_000}, id="a subject of 100 kB"),
    pytest.param({"audit.tenant": "\U0001f600" * 5000, "client.address": "c" * 5000}, id="long values in indexed columns"),
    pytest.param({"note": "n" * 5_000_000}, id="a value of 5 MB"),
    pytest.param({f"name{number}": "v" for number in range(3000)}, id="3000 attributes"),
    pytest.param({"": ""}, id="an empty name"),
    pytest.param({"audit.outcome": "perhaps"}, id="an outcome that is none"),
    pytest.param({"audit.sequence.number": 10**30}, id="a number that is too large"),
    pytest.param({"audit.sequence.number": "x"}, id="a number that is none"),
]


@pytest.mark.parametrize("attributes", STRANGE)
def test_values_that_a_database_does_not_like(attributes: dict[str, str | int], sender: Sender, store: Store) -> None:
    """What others wrote into a collector's file is kept exactly, too, and can be asked for."""
    found = {names.RECORD_ID: "id-1", names.OUTCOME: "failure", **attributes}
    given = encode(CanonicalRecord(event="e\0vent" if "note" in attributes else "event", time=MIDNIGHT, attributes=found))
    assert send(sender, given) == ACCEPTED
    (record,) = everything(store)
    assert record.attributes == {name: str(value) for name, value in found.items()}
    assert (
        encode(CanonicalRecord(event=record.event, time=record.time, attributes={**record.attributes, **_number(found)})) == given
    )
    if names.SUBJECT in found:
        assert [one.id for one in store.records(Filters(subject=(str(found[names.SUBJECT]),)))] == ["id-1"]


def _number(found: dict[str, Any]) -> dict[str, int]:
    number = found.get(names.SEQUENCE_NUMBER)
    return {names.SEQUENCE_NUMBER: number} if isinstance(number, int) else {}


def test_half_a_pair(sender: Sender, store: Store) -> None:
    """A lone surrogate cannot be written as UTF-8: it comes back as it was, from the bytes that are kept beside."""
    given = canonical(1, note="MARK").replace(b"MARK", rb"\ud800")
    assert send(sender, given) == ACCEPTED
    assert everything(store)[0].attributes["note"] == "\ud800"


TIMES = [0, 1000, 999, MIDNIGHT + 1, 253_402_300_799_999_999_000, 253_402_300_799_999_999_999]


@pytest.mark.parametrize("time", TIMES)
def test_times_at_the_ends_of_calendars(time: int, sender: Sender, store: Store) -> None:
    """From 1970 to 9999, to the nanosecond, wherever the partitions are."""
    assert send(sender, canonical(1, time=time)) == ACCEPTED
    assert [record.time for record in everything(store)] == [time]


BAD = [
    pytest.param(b"no JSON", id="no JSON"),
    pytest.param(b"[" * 100_000, id="nested without an end"),
    pytest.param(canonical(9, time=-1), id="a time before 1970"),
    pytest.param(canonical(9, time=253_402_300_800_000_000_000), id="a time after 9999"),
    pytest.param(canonical(9).replace(b"audit.record.id", b"another.name..."), id="no id"),
    pytest.param(canonical(9).replace(b"id-9", b"i" * 257), id="an id that is none"),
    pytest.param(canonical(9).replace(b'"severityNumber":9', b'"severityNumber":99999'), id="a severity that is none"),
    pytest.param(canonical(9).replace(b'"severityNumber":9', b'"severityNumber":"x"'), id="a severity that is no number"),
]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_record_costs_itself(bad: bytes, sender: Sender, store: Store) -> None:
    """It is refused, so that Delivery isolates it; its neighbours go in without it."""
    assert send(sender, canonical(1), bad, canonical(2)).verdict is Verdict.REJECTED
    assert everything(store) == []
    assert send(sender, bad).verdict is Verdict.REJECTED
    assert sender.send(None) == ACCEPTED
    assert send(sender, canonical(1), canonical(2)) == ACCEPTED
    assert [record.id for record in everything(store)] == ["id-1", "id-2"]


def test_a_resource_that_is_no_document(sender: Sender) -> None:
    """A damaged line costs its batch."""
    assert sender.send(replace(batch(canonical(1)), resource=b"{")).verdict is Verdict.REJECTED


@pytest.mark.parametrize("user", ["auditor", "keeper", "stranger"])
def test_who_may_not_write_is_misconfigured(user: str, postgresql: Server, database: str, store: Store) -> None:
    """The records wait; they are not set aside."""
    sender = open_store(postgresql.url(database, user)).sender()
    assert sender.send(None).verdict is Verdict.MISCONFIGURED
    assert send(sender, canonical(1)).verdict is Verdict.MISCONFIGURED
    sender.close()
    assert everything(store) == []


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({"user": "locked"}, Verdict.MISCONFIGURED),
        ({"user": "nobody_at_all"}, Verdict.MISCONFIGURED),
        ({"user": "app", "table": "audit.other"}, Verdict.MISCONFIGURED),
        ({"user": "app", "table": "account_audit_logs"}, Verdict.MISCONFIGURED),
        ({"user": "app", "dbname": "nowhere"}, Verdict.MISCONFIGURED),
        ({"user": "app", "port": "1"}, Verdict.RETRY),
        ({"user": "app", "sslmode": "require"}, Verdict.RETRY),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_apart(options: dict[str, str], verdict: Verdict, postgresql: Server, database: str) -> None:
    """Who is refused entry, or names what is not there, waits longer than who finds nobody at home."""
    sender = open_store(postgresql.url(database, **options)).sender()
    answer = send(sender, canonical(1))
    sender.close()
    assert answer.verdict is verdict
    assert "a secret" not in answer.detail


def test_a_password_file(postgresql: Server, database: str, tmp_path: Path) -> None:
    """A password need not stand in the command line; where it cannot be read, that is said."""
    (tmp_path / "password").write_text("a secret\n", encoding="utf-8")
    url = postgresql.url(database, "locked", password_file=str(tmp_path / "password"))
    sender = open_store(url).sender()
    assert sender.send(None) == ACCEPTED
    sender.close()
    with pytest.raises(StoreError, match=r"password_file=.*missing cannot be read"):
        open_store(postgresql.url(database, "locked", password_file=str(tmp_path / "missing")))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"user": "app"}, "GRANT audit_reader"),
        ({"user": "stranger"}, "GRANT audit_reader"),
        ({"user": "auditor", "table": "audit.other"}, "authaudit store init"),
        ({"user": "auditor", "port": "1"}, "onnection"),
    ],
    ids=str,
)
def test_a_reader_is_told_what_to_do(change: dict[str, str], says: str, postgresql: Server, database: str) -> None:
    """No traceback, no password: one sentence."""
    store = open_store(postgresql.url(database, **change))
    for ask in (lambda: everything(store), store.size, lambda: store.last(Filters(), 1), lambda: list(store.copies(Filters()))):
        with pytest.raises(StoreError, match=says):
            ask()


@pytest.mark.parametrize(
    "option", ["tabel=x", "table=no-name", "table=a.b.c", "table=pg_catalog.x", f"table={'x' * 41}", "table=x;y"]
)
def test_an_option_that_is_none(option: str) -> None:
    """A typo does not read from another table."""
    with pytest.raises(StoreError):
        open_store(f"postgresql://h/db?{option}")


def test_progress_and_size(answered: tuple[Store, list[Record]]) -> None:
    """`verify` knows how far it has come."""
    store, records = answered
    told: list[int] = []
    assert sum(1 for _ in store.copies(Filters(), told.append)) == len(records) == store.size() == sum(told)


def test_without_psycopg() -> None:
    """Who has not installed the extra is told how to."""
    code = """
import sys
sys.modules["psycopg"] = None
from opentelemetry_instrumentation_authaudit.stores.store import open_store
open_store("postgresql://h/db")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "StoreError" in done.stderr
    assert "pip install 'opentelemetry-instrumentation-authaudit[postgres]'" in done.stderr


def test_asking_loads_no_protobuf() -> None:
    """Who only asks does not wait for what sending needs."""
    code = """
import sys
from opentelemetry_instrumentation_authaudit.stores.store import open_store
open_store("postgresql://h/db")
print(*[name for name in sys.modules if name.startswith(("google.protobuf", "grpc"))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


def test_a_forked_child_leaves_the_connection_alone(sender: Sender, store: Store) -> None:
    """It makes one of its own; its parent's goes on."""
    assert send(sender, canonical(1)) == ACCEPTED
    child = os.fork()
    if not child:
        answer = send(sender, canonical(2))
        sender.close()
        os._exit(answer != ACCEPTED)
    assert os.waitpid(child, 0)[1] == 0
    assert send(sender, canonical(3)) == ACCEPTED
    assert [record.id for record in everything(store)] == ["id-1", "id-2", "id-3"]
