"""`authaudit query --sql`: the trail as a table, and a question that can change nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.cli import main
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable, read
from opentelemetry_instrumentation_authaudit.query.sql import COLUMNS, SqlError, asked

from ..stores.recorded import recorded
from .trail import canonical, write


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collector's file of the recorded day."""
    return recorded().collected(tmp_path_factory.mktemp("recorded"))


def test_the_table_holds_every_record_as_it_is(store: Path) -> None:
    """Every column, every attribute, the exact time."""
    header, rows = asked(read([store], Unreadable()), "SELECT * FROM audit.auth_audit ORDER BY id")
    assert tuple(header) == tuple(COLUMNS)
    table = [dict(zip(header, row, strict=True)) for row in rows]
    records = {record.id: record for record in read([store], Unreadable())}
    assert len(table) == len(records)
    for row in table:
        record = records[row["id"]]
        assert json.loads(row["attributes"]) == record.attributes
        assert f"{row['logged_at'].isoformat(timespec='microseconds')}Z" == record.logged_at
        assert (row["event"], row["sequence"], row["severity"]) == (record.event, record.number, record.severity)


@pytest.mark.parametrize(
    "question",
    [
        "COPY audit.auth_audit TO '{folder}/stolen.csv'",
        "EXPORT DATABASE '{folder}/stolen'",
        "ATTACH '{folder}/stolen.db'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "LOAD httpfs",
    ],
)
def test_a_question_reaches_nothing_else(tmp_path: Path, question: str) -> None:
    """No file is written or read, no network asked, and the lock cannot be opened."""
    with pytest.raises(SqlError):
        list(asked([], question.format(folder=tmp_path))[1])
    assert list(tmp_path.iterdir()) == []


def test_a_question_changes_nothing(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is deleted is deleted from a copy in memory."""
    before = store.read_bytes()
    assert main(["query", "--store", str(store), "--sql", "DELETE FROM audit.auth_audit"]) == 0
    assert capsys.readouterr().out
    assert store.read_bytes() == before


def test_flags_choose_the_records(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has what the other flags let pass; the formats are those of every answer."""
    question = "SELECT status, count(*) AS n, max(logged_at) AS at, NULL AS nothing FROM audit.auth_audit GROUP BY status"
    command = [
        "query",
        "--store",
        str(store),
        "--subject",
        "auth.user:41",
        "--action",
        "sign_in_with_password",
        "--sql",
        question,
    ]
    assert main([*command, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "status": "success",
        "n": 2,
        "at": "2026-11-20T20:02:33.000353Z",
        "nothing": None,
    }
    assert main([*command, "--format", "csv"]) == 0
    assert capsys.readouterr().out == "status,n,at,nothing\nsuccess,2,2026-11-20T20:02:33.000353Z,\n"
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines() == [
        "status   n  at                           nothing",
        "success  2  2026-11-20T20:02:33.000353Z",
    ]


def test_what_came_from_outside_stays_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A formula and an escape sequence in an identity: text for the spreadsheet, code points for the terminal."""
    store = write(tmp_path, [canonical(1, audit__identity="=HYPERLINK(1)"), canonical(2, audit__identity="\x1b[31m")])
    command = ["query", "--store", str(store), "--sql", "SELECT identity FROM audit.auth_audit ORDER BY 1 DESC", "--format"]
    assert main([*command, "csv"]) == 0
    assert capsys.readouterr().out.splitlines() == ["identity", "'=HYPERLINK(1)", "\\u001b[31m"]
    assert main([*command, "text"]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("question", "says"),
    [("SELEC", "syntax error"), ("SELECT nobody FROM audit.auth_audit", "nobody"), ("SELECT * FROM trail", "trail")],
)
def test_a_wrong_question_is_explained(store: Path, question: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """DuckDB says what is wrong; the exit code is that of a command used wrongly."""
    assert main(["query", "--store", str(store), "--sql", question]) == 2
    assert says in capsys.readouterr().err


def test_without_duckdb_it_says_how_to_get_it(store: Path) -> None:
    """It is an optional part: everything else works without it."""
    program = f"""
import sys
sys.modules["duckdb"] = None
from opentelemetry_instrumentation_authaudit.cli import main
sys.exit(main(["query", "--store", {str(store)!r}, "--sql", "SELECT 1"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'opentelemetry-instrumentation-authaudit[query]'" in done.stderr


def test_records_of_any_kind_fit(tmp_path: Path) -> None:
    """A record with a surrogate in it, without a number, without a severity: a row like the others."""
    record = Record(
        "custom.x", 0, {"audit.record.id": "1", "audit.identity": "\ud800\x00\u2028é", "audit.sequence.number": "many"}
    )
    _, rows = asked([record], "SELECT event, sequence, severity, identity FROM audit.auth_audit")
    assert list(rows) == [("custom.x", None, None, "?\x00\u2028é")]
