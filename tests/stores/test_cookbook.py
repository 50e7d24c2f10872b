"""docs/queries.md: every question in it is asked, in every language that can be spoken here, and gets the answer of our own commands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.cli import main
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable, files_in, read
from opentelemetry_instrumentation_authaudit.query.sql import asked as asked_in_sql
from opentelemetry_instrumentation_authaudit.reports.detect import detect
from opentelemetry_instrumentation_authaudit.reports.rules import every
from opentelemetry_instrumentation_authaudit.reports.tallies import Clients
from opentelemetry_instrumentation_authaudit.stores.store import open_store

from .clickhouse_server import PASSWORD, made, opened, running
from .postgresql_server import Server
from .recorded import GAP, recorded
from .victorialogs_server import VictoriaLogs, send

PAPER: Final = (Path(__file__).parents[2] / "docs" / "queries.md").read_text(encoding="utf-8")
Row = dict[str, str]
Ask = Callable[[str], list[Row]]
DAY: Final = recorded().with_gap()
"""Three records are missing, so that the question for gaps has an answer."""

_SAME: Final = {
    "RecordId": "id", names.RECORD_ID: "id", "ClientIp": "client_address", names.CLIENT_ADDRESS: "client_address",
    "Subject": "subject", names.SUBJECT: "subject", "StreamId": "stream_id", names.STREAM_ID: "stream_id",
}  # fmt: skip
"""What a store calls a column that others call otherwise."""


def blocks(kind: str) -> dict[str, str]:
    """The blocks of that kind, by the heading above them."""
    found = {}
    for section in re.split(r"^## ", PAPER, flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        match = re.search(rf"^```{kind}\n(.*?)\n^```$", text, re.DOTALL | re.MULTILINE)
        if match:
            found[title] = match[1]
    return found


KINDS: Final = {"postgresql": "sql", "duckdb": "sql", "clickhouse": "sql clickhouse", "victorialogs": "text logsql"}
QUESTIONS: Final = tuple(blocks("sql"))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """What was recorded, as our own commands read it."""
    return list(read(files_in(DAY.journal(tmp_path_factory.mktemp("journal"))), Unreadable()))


@pytest.fixture(scope="module")
def duckdb(everything: list[Record]) -> Ask:
    """`authaudit query --sql`."""

    def ask(question: str) -> list[Row]:
        header, rows = asked_in_sql(everything, question)
        return [dict(zip(header, map(str, row), strict=True)) for row in rows]

    return ask


@pytest.fixture(scope="module")
def in_postgresql(postgresql: Server) -> Ask:
    """A reader in PostgreSQL."""
    database = postgresql.make_database("cookbook", "template")
    send(open_store(postgresql.url(database, "app")), DAY.batches())

    def ask(question: str) -> list[Row]:
        with postgresql.connect(database, "auditor") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            cursor = connection.execute(question.encode())
            header = [column.name for column in cursor.description or ()]
            return [dict(zip(header, map(str, row), strict=True)) for row in cursor]

    return ask


@pytest.fixture(scope="module")
def in_victorialogs(victorialogs: VictoriaLogs) -> Ask:
    """VictoriaLogs' own interface."""
    tenant = victorialogs.tenant()
    tenant.put(DAY.batches())

    def ask(question: str) -> list[Row]:
        asked = {"query": question, "limit": "100000"}
        answer = httpx.post(
            f"{victorialogs.url}/select/logsql/query", data=asked, headers={"AccountID": str(tenant.account)}, timeout=60
        )
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    return ask


@pytest.fixture(scope="module")
def in_clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """ClickHouse's engine."""
    with running(tmp_path_factory.mktemp("clickhouse")) as server:
        send(made(opened(server)), DAY.batches())

        def ask(question: str) -> list[Row]:
            answer = httpx.post(
                f"http://127.0.0.1:{server.port}/",
                params={"default_format": "JSONEachRow"},
                content=question,
                headers={"X-ClickHouse-User": "auditor", "X-ClickHouse-Key": PASSWORD},
                timeout=60,
            )
            assert answer.status_code == 200, answer.text
            return [{name: str(value) for name, value in json.loads(line).items()} for line in answer.text.splitlines()]

        yield ask


def ids(records: Iterable[Record]) -> list[tuple[str, ...]]:
    """What a list of records is compared by."""
    return [(record.id,) for record in records]


def having(name: str, value: str) -> Callable[[list[Record]], list[tuple[str, ...]]]:
    """The records of which an attribute has a value."""
    return lambda records: ids(record for record in records if record.attributes.get(name) == value)


def found(rule: str) -> Callable[[list[Record]], list[tuple[str, ...]]]:
    """What `authaudit report` finds: whom, and how many failures."""

    def answer(records: list[Record]) -> list[tuple[str, ...]]:
        detections = every()
        for _ in detect(records, detections):
            pass
        (of_rule,) = (detection for detection in detections if detection.rule.name == rule)
        return [((one.key,) if one.key != "*" else ()) + (str(one.failures),) for one in of_rule.findings()]

    return answer


def new_clients(records: list[Record]) -> list[tuple[str, ...]]:
    """What `authaudit report new-client` finds."""
    clients = Clients()
    return [(new.subject, new.address) for new in map(clients.feed, records) if new is not None]


def gaps(records: list[Record]) -> list[tuple[str, ...]]:
    """What was taken out."""
    (cut,) = (one for one, whole in zip(DAY.streams, recorded().streams, strict=True) if len(one.records) < len(whole.records))
    return [(cut.id, str(GAP))]


def newest(records: list[Record]) -> list[tuple[str, ...]]:
    """The last hundred, in their order."""
    return ids(sorted(records, key=lambda record: (record.time, record.id), reverse=True)[:100])


Expected = tuple[tuple[str, ...], Callable[[list[Record]], list[tuple[str, ...]]]]
SESSION: Final = re.search(r"session\.id' = '([^']+)'", PAPER)
assert SESSION
ANSWERS: Final[dict[str, Expected]] = {
    "Everything, newest first": (("id",), newest),
    "By subject": (("id",), having(names.SUBJECT, "auth.user:41")),
    "By action": (("id",), having(names.ACTION, "sign_in_with_password")),
    "By status": (("id",), having(names.OUTCOME, "failure")),
    "By tenant": (("id",), having(names.TENANT, "acme")),
    "By client": (("id",), having(names.CLIENT_ADDRESS, "203.0.113.99")),
    "By session": (("id",), having(names.SESSION_ID, SESSION[1])),
    "Brute force on one account": (("account", "failures"), found("brute_force")),
    "Brute force from many addresses": (("account", "failures"), found("brute_force_many_sources")),
    "Password spraying from one address": (("client_address", "failures"), found("spraying")),
    "Password spraying from many addresses": (("failures",), found("spraying_many_sources")),
    "Credential stuffing": (("client_address", "failures"), found("stuffing")),
    "A success after failures": (("account", "failures"), found("success_after_failures")),
    "A new client for a subject": (("subject", "client_address"), new_clients),
    "MFA fatigue": (("account", "failures"), found("mfa_fatigue")),
    "Gaps in a chain": (("stream_id", "missing"), gaps),
}


def compare(question: str, ask: Ask, kind: str, everything: list[Record]) -> None:
    """The answer in that language is ours, and there is one."""
    columns, expected = ANSWERS[question]
    rows = [{_SAME.get(name, name): value for name, value in row.items()} for row in ask(blocks(kind)[question])]
    answer = [tuple(re.sub(r"\.0$", "", row[column]) for column in columns) for row in rows]
    wanted = expected(everything)
    assert wanted != []
    if question.startswith("Everything"):
        assert answer == wanted
    else:
        assert sorted(answer) == sorted(wanted)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("dialect", ["duckdb", "postgresql", "victorialogs"])
def test_every_answer_is_the_same(dialect: str, question: str, everything: list[Record], request: pytest.FixtureRequest) -> None:
    """The same day, the same question, the same answer, whatever store keeps the trail."""
    ask = request.getfixturevalue(dialect if dialect == "duckdb" else f"in_{dialect}")
    compare(question, ask, KINDS[dialect], everything)


@pytest.mark.stores
@pytest.mark.parametrize("question", QUESTIONS)
def test_every_answer_is_the_same_in_clickhouse(question: str, in_clickhouse: Ask, everything: list[Record]) -> None:
    """Likewise on the engine of ClickHouse, which is half a gigabyte."""
    compare(question, in_clickhouse, KINDS["clickhouse"], everything)


def test_every_question_is_there_in_every_language() -> None:
    """No language lacks a question, and every question has an answer to compare with."""
    for kind in ("sql", "sql clickhouse", "text logsql", "text logql"):
        assert set(blocks(kind)) == set(ANSWERS), kind
    assert "**not run**" in PAPER


@pytest.mark.parametrize("question", [title for title in blocks("sh") if title in ANSWERS])
def test_our_own_commands_are_as_shown(question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the paper runs, and what lists records lists the same."""
    store, (shown, _, needle) = DAY.collected(tmp_path), blocks("sh")[question].partition(" | grep ")
    command = [*shown.removeprefix("authaudit ").split(), "--store", str(store)]
    command += ["--format", "json"] if command[0] == "query" and "--format" not in command else []
    code = main(command)
    printed = capsys.readouterr().out.splitlines()
    assert code == (1 if command[0] == "verify" or {"bruteforce", "spraying", "stuffing"} & set(command) else 0)
    if command[0] == "query":
        _, expected = ANSWERS[question]
        listed = [(json.loads(line)[names.RECORD_ID],) for line in printed if needle in line]
        assert sorted(listed) == sorted(expected(list(read([store], Unreadable()))))
    else:
        assert printed


def test_files_directly_in_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything: list[Record]) -> None:
    """The view over collector's files gives the same answers as the table."""
    duckdb = pytest.importorskip("duckdb")
    DAY.collected(tmp_path)
    monkeypatch.chdir(tmp_path)
    connection = duckdb.connect(":memory:")
    connection.execute(blocks("sql duckdb")["Files, directly in DuckDB"])

    def ask(question: str) -> list[Row]:
        answer: Any = connection.execute(question)
        header = [column[0] for column in answer.description]
        return [dict(zip(header, map(str, row), strict=True)) for row in answer.fetchall()]

    for question in QUESTIONS:
        compare(question, ask, "sql", everything)
