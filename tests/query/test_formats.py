"""Printing: for people, programs and spreadsheets, and never at the mercy of what a client sent."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.query.formats import as_csv, as_json, as_table, printable, table

from .trail import all_of, canonical, write

HOSTILE = "\x1b[2J\x1b]0;pwned\x07 a\nb \u202eevil \ud7ff\U000e0041"


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Three records, one of them hostile."""
    write(
        tmp_path,
        [
            canonical(1, user__id="auth.user:1", audit__identity="ann", client__address="192.0.2.7"),
            canonical(
                2, audit__outcome="failure", audit__identity=HOSTILE, audit__reason="wrong_password", audit__inferred="true"
            ),
            canonical(
                3,
                "impersonation.start",
                audit__action="impersonate",
                user__id="2",
                audit__actor__id="1",
                user_agent__original="=cmd()",
            ),
        ],
    )
    return tmp_path


def test_table_for_people(trail: Path) -> None:
    """Time, outcome, action, who, from where, why, and who saw it."""
    assert list(as_table(all_of(trail)[:1] + all_of(trail)[2:])) == [
        "time                 outcome  action                 who                from       why  seen by",
        "2025-11-24 16:00:01  ok       sign_in_with_password  auth.user:1 (ann)  192.0.2.7       story 1.0",
        "2025-11-24 16:00:03  ok       impersonate            2 by 1                             story 1.0",
    ]


def test_table_fits_the_terminal(trail: Path) -> None:
    """In a narrow one nothing is cut: the year and who saw it are left out, and what is long takes several lines."""
    assert list(as_table(all_of(trail)[:1], width=90)) == [
        "time            outcome  action                 who                from       why",
        "11-24 16:00:01  ok       sign_in_with_password  auth.user:1 (ann)  192.0.2.7",
    ]
    assert list(as_table(all_of(trail)[:1], width=70)) == [
        "time            outcome  action         who             from       why",
        "11-24 16:00:01  ok       sign_in_with_  auth.user:1     192.0.2.7",
        "                         password       (ann)",
    ]
    assert all(len(line) <= 60 for line in as_table(all_of(trail), width=60))


def test_hash_is_shown_by_its_beginning(tmp_path: Path) -> None:
    """Enough to see that two are the same; beside a subject it would say nothing new."""
    hashed = "hashed:key-1:" + "0123456789abcdef" * 2
    write(
        tmp_path,
        [canonical(1, audit__identity=hashed, client__address=hashed), canonical(2, user__id="7", audit__identity=hashed)],
    )
    _, first, second = as_table(all_of(tmp_path))
    assert first.split()[4:6] == ["hashed:01234567", "hashed:01234567"]
    assert second.split()[4:] == ["7", "story", "1.0"]


@pytest.mark.parametrize("width", [40, 80, 160])
def test_hostile_values_cannot_drive_the_terminal(trail: Path, width: int) -> None:
    """Escape sequences, newlines and direction overrides are shown, not obeyed."""
    text = "\n".join(as_table(all_of(trail), width=width))
    assert all(character == "\n" or character.isprintable() for character in text)


def test_json_is_one_flat_object_a_line(trail: Path) -> None:
    """ASCII only, so that a terminal is safe here too; every value a string."""
    lines = list(as_json(all_of(trail)))
    assert [json.loads(line)["audit.record.id"] for line in lines] == ["aaaa-0001", "aaaa-0002", "aaaa-0003"]
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert json.loads(lines[1])["audit.identity"] == HOSTILE
    assert all(isinstance(value, str) for line in lines for value in json.loads(line).values())


def test_csv_is_for_spreadsheets(trail: Path) -> None:
    """One header, fixed columns, and no cell that runs as a formula."""
    rows = list(csv.DictReader(io.StringIO("\n".join(as_csv(all_of(trail))))))
    assert [row["audit.record.id"] for row in rows] == ["aaaa-0001", "aaaa-0002", "aaaa-0003"]
    assert rows[2]["user_agent.original"] == "'=cmd()"
    assert "\x1b" not in rows[1]["audit.identity"]


def test_columns_stay_after_the_first_window() -> None:
    """A long answer is printed as it comes; what is wider later pushes the others aside, or takes more lines."""
    rows = [[str(n), "x" * (1 if n < 10 else 50), "end"] for n in range(12)]
    lines = list(table(("a", "b", "c"), rows, width=100, window=10))
    assert lines[1] == "0  x  end"
    assert lines[-1] == f"11  {'x' * 50}  end"
    narrow = list(table(("a", "b", "c"), rows, width=24, window=10))
    assert narrow[-4:] == [f"11  {'x' * 15}  end", f"    {'x' * 15}", f"    {'x' * 15}", "    xxxxx"]


def test_what_nobody_would_read_is_cut() -> None:
    """A client sends a user name of a thousand characters: it takes four lines, not a screen."""
    lines = list(table(("a", "b"), [["x" * 1000, "end"]], width=30))
    assert len(lines) == 5
    assert lines[-1].endswith("…")


def test_printable_text_is_left_alone() -> None:
    """Letters of all scripts stay as they are."""
    assert printable("Ünïcode 名前") == "Ünïcode 名前"
    assert printable("a\x00b\u2028c\U000e0041") == "a\\u0000b\\u2028c\\U000e0041"
