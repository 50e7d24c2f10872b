"""`authaudit retention`: what is kept, what goes, what is held, and that all of it is recorded."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest

from opentelemetry_instrumentation_authaudit.cli.main import main
from opentelemetry_instrumentation_authaudit.journal.holds import HOLDS_FILE, changing
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.lifetime import Hold
from opentelemetry_instrumentation_authaudit.pipeline.life import Sources
from opentelemetry_instrumentation_authaudit.pipeline.sink import Pipeline
from tests.pipeline.telling import NOON, SIGN_IN, config, service
from tests.pipeline.test_evidence import DAY, Clock, long_life, told

from .command import authaudit

Command: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]
NOW = "2026-11-24T12:00:00Z"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, in a home of its own, for the journals of the test, at noon of 24 November 2026."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR", str(tmp_path / "journal"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0, lifetime: str = "") -> subprocess.CompletedProcess[str]:
        monkeypatch.setenv("OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME", lifetime)
        ended = main(["retention", *arguments, "--now", NOW])
        said = capsys.readouterr()
        assert ended == code, said.out + said.err
        return subprocess.CompletedProcess(arguments, ended, said.out, said.err)

    return run


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What was printed as JSON."""
    return [json.loads(row) for row in done.stdout.splitlines()]


def days(folder: Path) -> list[str]:
    """The days of the journal files of the old process."""
    return sorted(path.name[:10] for path in service(folder).glob("*.0*.jsonl") if path.name < "2026-11-20")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The journal of a process of four months: its first three files are over, the last is not."""
    long_life(tmp_path, [-115, -110, -105, -20], checkpoint_seconds=1e9)
    return service(tmp_path)


def test_show_says_what_is_kept_and_what_would_go(command: Command, old: Path, tmp_path: Path) -> None:
    """For people and for programs; nothing is changed, and `apply --dry-run` says the same."""
    before = sorted(tmp_path.rglob("*"))
    (shown,) = rows(command("show", "--format", "json"))
    names_of = [path.name for path in sorted(old.glob("*.jsonl"))]
    assert shown == {
        "place": str(old),
        "kind": "journal",
        "lifetime": 90,
        "oldest": "2026-08-01T12:00:00Z",
        "newest": "2026-11-04T12:00:00Z",
        "bytes": sum(path.stat().st_size for path in old.glob("*.jsonl")),
        "would_go": names_of[:3],
        "would_go_bytes": sum((old / name).stat().st_size for name in names_of[:3]),
        "waits": {},
        "held": [],
        "holds": [],
        "notes": [],
    }
    text = command("show").stdout
    for part in (
        f"{old} (journal)",
        "kept     90 days",
        "2026-08-01T12:00:00Z to 2026-11-04T12:00:00Z",
        "3 (2026-08-01",
        "would go",
    ):
        assert part in text
    assert command("apply", "--dry-run").stdout == text
    assert rows(command("show", "--format", "json", "--lifetime", "infinity"))[0]["would_go"] == []
    assert rows(command("show", "--format", "json", lifetime="107"))[0]["would_go"] == names_of[:2]
    assert sorted(tmp_path.rglob("*")) == before


def test_where_there_is_nothing_it_says_where_it_looked(command: Command, tmp_path: Path) -> None:
    """Exit code 0: nothing is kept, nothing is over."""
    (tmp_path / "journal").mkdir()
    done = command("show")
    assert (done.stdout, f"looked in {tmp_path / 'journal'}" in done.stderr) == ("", True)


def test_apply_archives_deletes_records_and_is_idempotent(command: Command, old: Path, tmp_path: Path) -> None:
    """What is over is in the archive, told with who did it, and gone; the second time there is nothing to do; all verifies."""
    safe = tmp_path / "archive"
    (done,) = rows(command("apply", "--archive", str(safe), "--format", "json"))
    assert len(done["deleted"]) == 3
    assert days(tmp_path) == ["2026-11-04"]
    (record,) = told(tmp_path, "audit.records_expired")
    assert record.attributes[names.EXPIRED_ARCHIVE] == str(safe / old.name)
    assert record.attributes[names.ACTOR_ID]
    assert "nothing was over" in command("apply", "--archive", str(safe)).stdout
    assert len(told(tmp_path, "audit.records_expired")) == 1
    for stores in (("--store", str(old)), ("--store", str(old), "--store", str(safe))):
        verified = authaudit("verify", *stores, home=tmp_path)
        assert verified.returncode == 0, verified.stdout
    asked = authaudit("query", "--store", str(safe), "--event", "auth.sign_in", "--format", "json", home=tmp_path)
    assert len(asked.stdout.splitlines()) == 3, asked.stderr


def test_a_hold_keeps_what_would_go_until_it_is_released(command: Command, old: Path, tmp_path: Path) -> None:
    """Set, shown, listed, obeyed, released; both changes are recorded, with who, whom, why; the file is its owner's alone."""
    (held,) = rows(command("hold", "--subject", "user:42", "--reason", "case 7", "--until", "2027-01-31", "--format", "json"))
    assert (held["subject"], held["reason"], held["until"]) == ("user:42", "case 7", "2027-02-01T00:00:00Z")
    assert stat.S_IMODE((tmp_path / "journal" / HOLDS_FILE).stat().st_mode) == 0o600
    shown = {row["place"]: row for row in rows(command("show", "--format", "json"))}[str(old)]
    assert (len(shown["held"]), shown["would_go"], [hold["id"] for hold in shown["holds"]]) == (3, [], [held["id"]])
    assert f"hold     {held['id']}  subject user:42" in command("show").stdout
    assert held["id"] in command("list").stdout
    command("apply")
    assert len(days(tmp_path)) == 4
    assert "released" in command("release", held["id"], "--reason", "case closed").stdout
    assert command("list").stdout == ""
    command("apply")
    assert days(tmp_path) == ["2026-11-04"]
    asked = authaudit(
        "query", "--store", str(tmp_path / "journal"), "--event", "audit.config_change", "--format", "json", home=tmp_path
    )
    found = [
        (row[names.ACTION], row[names.SUBJECT], row[names.RESOURCE], row[f"{names.PARAM_PREFIX}reason"]) for row in rows(asked)
    ]
    assert sorted(found) == [
        ("hold_records", "user:42", f"hold:{held['id']}", "case 7"),
        ("release_records", "user:42", f"hold:{held['id']}", "case closed"),
    ]
    assert all(row[names.ACTOR_ID] for row in rows(asked))


def test_a_hold_by_tenant_ends_by_itself(command: Command, old: Path, tmp_path: Path) -> None:
    """The day it is over what it held goes; `list` shows it no more."""
    with changing(tmp_path / "journal") as holds:
        holds.append(Hold(id="t", tenant="acme", until=NOON - DAY))
    assert command("list").stdout == ""
    assert len(rows(command("show", "--format", "json"))[0]["would_go"]) == 3
    assert rows(command("hold", "--tenant", "acme", "--format", "json"))[0]["tenant"] == "acme"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("hold",), "either --subject or --tenant"),
        (("hold", "--subject", "a", "--tenant", "b"), "either --subject or --tenant"),
        (("hold", "--subject", "a", "--until", "2020-01-01"), "is over"),
        (("hold", "--subject", "a", "--until", "soon"), "is no time"),
        (("release",), "needs the id"),
        (("release", "nobody"), "there is no hold nobody"),
        (("show", "--archive", "x"), "show takes no --archive"),
        (("apply", "--lifetime", "0"), "a number of days (1 or more), or infinity"),
        (("apply", "--store", "nowhere"), "there is no"),
        (("apply", "--store", "redis://host"), "redis:"),
        (("list", "--subject", "a"), "list takes no --subject"),
    ],
)
def test_used_wrongly(command: Command, old: Path, arguments: tuple[str, ...], says: str) -> None:
    """Exit code 2, a sentence that says what to do, and nothing is done."""
    before = sorted(old.parent.rglob("*"))
    assert says in command(*arguments, code=2).stderr
    assert sorted(old.parent.rglob("*")) == before


def test_without_a_lifetime_the_longest_counts(command: Command, old: Path, tmp_path: Path) -> None:
    """The application keeps 400 days, the shell knows nothing of that: nothing goes, and `show` says who deletes by itself;
    what is asked for explicitly counts."""
    running = Pipeline(config(tmp_path, log_lifetime=400), sources=Sources(now=Clock(NOON)))
    running.begin()
    (shown,) = rows(command("show", "--format", "json"))
    assert (shown["lifetime"], shown["would_go"], shown["notes"]) == (400, [], [])
    command("apply")
    assert len(days(tmp_path)) == 4
    (shown,) = rows(command("show", "--format", "json", "--lifetime", "90"))
    assert shown["notes"] == [f"process {os.getpid()} keeps records 400 days: it deletes by itself"]
    command("apply", "--lifetime", "90")
    assert days(tmp_path) == ["2026-11-04"]
    running.shutdown()


def test_while_an_application_writes(command: Command, old: Path, tmp_path: Path) -> None:
    """Records come all the time while old files go: none is lost, the chain is whole, and the file in use stays."""
    sink = Pipeline(config(tmp_path, log_lifetime="infinity"), sources=Sources(now=Clock(NOON)))
    told_ids: list[str | None] = []
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            told_ids.append(sink(replace(SIGN_IN, time=NOON)))

    writing = threading.Thread(target=write)
    writing.start()
    command("apply", "--lifetime", "90")
    command("apply", "--lifetime", "1", lifetime="1")
    done.set()
    writing.join()
    sink.shutdown()
    assert days(tmp_path) == []
    kept = {record.id for record in told(tmp_path, "auth.sign_in")}
    assert len(told_ids) > 10
    assert set(told_ids) == kept
    verified = authaudit("verify", "--store", str(old), home=tmp_path)
    assert verified.returncode == 0, verified.stdout


def test_holds_that_cannot_be_read_stop_everything(command: Command, old: Path, tmp_path: Path) -> None:
    """Exit code 3, the file is named, nothing goes."""
    (tmp_path / "journal" / HOLDS_FILE).write_text("{")
    done = command("apply", code=3)
    assert HOLDS_FILE in done.stdout
    assert len(days(tmp_path)) == 4
    assert HOLDS_FILE in command("hold", "--subject", "a", code=3).stderr


def test_an_archive_that_cannot_be_written_stops_the_deletion(command: Command, old: Path, tmp_path: Path) -> None:
    """Exit code 3, and the originals are there."""
    (tmp_path / "archive").write_text("a file")
    done = command("apply", "--archive", str(tmp_path / "archive"), code=3)
    assert "could not be archived" in done.stdout
    assert len(days(tmp_path)) == 4


def test_what_is_over_and_waits_is_named(command: Command, tmp_path: Path) -> None:
    """A process of four months ago was killed before its collector took everything: its file is over, and stays."""
    sink = Pipeline(config(tmp_path, exporter="otlp"), sources=Sources(now=Clock(NOON - 120 * DAY)))
    assert sink(replace(SIGN_IN, time=NOON - 120 * DAY)) is not None
    (path,) = service(tmp_path).glob("*.jsonl")
    lock = next(service(tmp_path).glob("*.lock")).read_bytes()
    sink.shutdown(0.1)
    (service(tmp_path) / f"{path.name[11:27]}.lock").write_bytes(lock)
    (shown,) = rows(command("show", "--format", "json"))
    assert (shown["would_go"], shown["waits"]) == ([], {path.name: "it waits for delivery"})
    assert f"waits    {path.name} is over, and it waits for delivery" in command("show").stdout
    command("apply")
    assert path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts for others")
def test_root_leaves_nothing_of_its_own() -> None:
    """The administrator sets a hold and applies the lifetime to the journals of a service's user, who can read, and delete, all of
    what came of it."""
    with TemporaryDirectory() as place:  # where others may look, which the folders of pytest are not
        folder, home = Path(place), "/"
        long_life(folder, [-115, -20], checkpoint_seconds=1e9)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534)
        for arguments in (("hold", "--subject", "nobody at all"), ("apply",)):
            store = ("--store", str(folder / "journal"), "--now", NOW)
            done = authaudit("retention", *arguments, *store, home=Path(home))
            assert done.returncode == 0, done.stdout + done.stderr
        assert len(told(folder, "audit.records_expired")) == 1
        assert {path.stat().st_uid for path in folder.rglob("*")} == {65534}
