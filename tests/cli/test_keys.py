"""`authaudit keys`: which keys there are, a new one, and the end of a retired one."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from opentelemetry_instrumentation_authaudit.config import load
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.pipeline.sink import Pipeline
from tests.chain import chains
from tests.pipeline.telling import SIGN_IN

from .command import authaudit

Command: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]
IDENTITY = SIGN_IN.identity or ""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The journals of an application without a key of its operator's."""
    return tmp_path / "state" / "journal"


@pytest.fixture
def command(tmp_path: Path, journal: Path) -> Command:
    """The command, in the application's environment."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return authaudit(*arguments, home=tmp_path, OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR=str(journal), **more)

    return run


def sign_in(journal: Path) -> None:
    """A process of the application begins, records a sign-in, and ends."""
    made = Pipeline(load({}, raises=True, journal_dir=journal))
    assert made(replace(SIGN_IN)) is not None
    made.shutdown()


def listed(command: Command, **more: str) -> list[dict[str, str]]:
    """What `keys list` shows."""
    done = command("keys", "list", "--format", "json", **more)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def found(command: Command) -> list[dict[str, str]]:
    """The sign-ins of the person, looked for by name."""
    done = command("query", "--identity", IDENTITY, "--event", "auth.sign_in", "--format", "json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_retired_key_is_destroyed_and_the_evidence_stays_whole(command: Command, journal: Path) -> None:
    """A person asks to be forgotten: the key rotates, the old one goes, nobody can match its hashes, and the chain verifies."""
    sign_in(journal)
    (old,) = listed(command)
    assert old["state"] == "active"
    assert len(found(command)) == 1

    rotated = command("keys", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    new = rotated.stdout.strip()
    sign_in(journal)
    assert [(key["id"], key["state"]) for key in listed(command)] == [(new, "active"), (old["id"], "retired")]
    assert len(found(command)) == 2

    secret = Path(old["file"]).read_text().splitlines()[1].partition(":")[2]
    with Path(old["file"]).open() as opened_before:
        asked = command("keys", "destroy", old["id"])
        assert (asked.returncode, asked.stdout) == (2, "")
        assert "1 records" in asked.stderr
        assert "--yes" in asked.stderr
        assert len(found(command)) == 2
        done = command("keys", "destroy", old["id"], "--yes")
        assert done.returncode == 0, done.stderr
        assert not opened_before.read().strip("\0"), "the old file's bytes are overwritten"

    (left,) = found(command)
    assert left[names.IDENTITY].startswith(f"hashed:{new}:")
    stored = "".join(path.read_text() for path in journal.parent.rglob("*") if path.is_file())
    assert secret not in stored
    assert f"hashed:{old['id']}:" in stored, "the records are as they were"
    assert [key["id"] for key in listed(command)] == [new]

    every = chains(journal / "unknown_service")
    changes = [record.attributes for records in every.values() for record in records if record.event == "audit.config_change"]
    told = sorted((str(change[names.ACTION]), str(change[names.RESOURCE])) for change in changes)
    assert told == [("destroy_hash_key", f"hash_key:{old['id']}"), ("rotate_hash_key", f"hash_key:{new}")]
    assert all(change[names.ACTOR_ID] for change in changes)
    verified = command("verify")
    assert verified.returncode == 0, verified.stdout


def test_the_active_key_is_refused(command: Command, journal: Path) -> None:
    """It hashes: without it a new one would be made, and what it hashed would be lost by a slip."""
    sign_in(journal)
    (key,) = listed(command)
    done = command("keys", "destroy", key["id"], "--yes")
    assert done.returncode == 2
    assert "keys rotate" in done.stderr
    assert listed(command) == [key]


def test_a_key_that_a_process_still_uses_is_refused(command: Command, journal: Path) -> None:
    """The application runs since before the rotation: it is named, and has to be restarted first."""
    running = Pipeline(load({}, raises=True, journal_dir=journal))
    running(SIGN_IN)
    (key,) = listed(command)
    assert command("keys", "rotate").returncode == 0
    done = command("keys", "destroy", key["id"], "--yes")
    assert done.returncode == 2
    assert "restart it first" in done.stderr
    running.shutdown()
    assert command("keys", "destroy", key["id"], "--yes").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("destroy", "nokey", "--yes"), "there is no key nokey here"),
        (("destroy", "--yes"), "needs the id"),
        (("list", "some"), "take none"),
        (("forget",), "invalid choice"),
    ],
)
def test_a_wrong_command_is_explained(arguments: tuple[str, ...], says: str, command: Command, journal: Path) -> None:
    """What is not there, or not said."""
    sign_in(journal)
    done = command("keys", *arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_key_of_the_environment_is_the_operators(command: Command, journal: Path) -> None:
    """It is listed, and neither rotated nor destroyed here; the generated one beside it has retired."""
    sign_in(journal)
    environment = {"OTEL_PYTHON_AUTHAUDIT_HASH_KEY": "mine:a secret of ours"}
    mine, generated = listed(command, **environment)
    assert (mine["id"], mine["state"], mine["file"]) == ("mine", "active", "the environment")
    assert generated["state"] == "retired"
    for arguments in (("rotate",), ("destroy", "mine", "--yes")):
        done = command("keys", *arguments, **environment)
        assert done.returncode == 2
        assert "environment" in done.stderr
    assert command("keys", "destroy", generated["id"], "--yes", **environment).returncode == 0
    assert [key["id"] for key in listed(command, **environment)] == ["mine"]
    assert "a secret of ours" not in str(listed(command, **environment))


def test_a_key_file_keeps_everything_else(command: Command, tmp_path: Path) -> None:
    """Comments, the other keys and the file's mode are the operator's."""
    file = tmp_path / "keys.txt"
    file.write_text("# of the audit trail\nnew:1\nold:2\n# older\nolder:3\n")
    file.chmod(0o640)
    environment = {"OTEL_PYTHON_AUTHAUDIT_HASH_KEY_FILE": str(file)}
    assert command("keys", "destroy", "old", "--yes", **environment).returncode == 0
    assert file.read_text() == "# of the audit trail\nnew:1\n# older\nolder:3\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    rotated = command("keys", "rotate", **environment)
    assert rotated.returncode == 0
    assert [key["state"] for key in listed(command, **environment)] == ["active", "retired", "retired"]
    assert file.read_text().startswith(f"{rotated.stdout.strip()}:")
    assert {path.name for path in tmp_path.iterdir()} == {"keys.txt", "state"}


def test_what_cannot_be_recorded_is_not_done(command: Command, journal: Path) -> None:
    """The journal cannot be written: the key stays, and the command says why."""
    sign_in(journal)
    (key,) = listed(command)
    assert command("keys", "rotate").returncode == 0
    (journal / "blocked").write_text("a file where the service's folder should be")
    for arguments in (("destroy", key["id"], "--yes"), ("rotate",)):
        done = command("keys", *arguments, OTEL_SERVICE_NAME="blocked")
        assert done.returncode == 3
        assert "cannot be recorded" in done.stderr
    assert [each["state"] for each in listed(command)] == ["active", "retired"]


def test_a_file_that_is_none_of_keys_is_left_alone(command: Command, tmp_path: Path) -> None:
    """Nothing is guessed, and nothing of its content is shown."""
    file = tmp_path / "keys.txt"
    file.write_bytes(b"\xff\xfehunter2")
    done = command("keys", "list", OTEL_PYTHON_AUTHAUDIT_HASH_KEY_FILE=str(file))
    assert done.returncode == 3
    assert "no file of keys" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_without_a_key_yet(command: Command) -> None:
    """Nothing was recorded here so far: asking makes no key."""
    done = command("keys", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no keys yet" in done.stderr
    assert listed(command) == []


def test_help_teaches(command: Command) -> None:
    """What a key is, what its end means, what it does not reach, and the exit codes."""
    done = command("keys", "--help")
    assert done.returncode == 0
    for piece in ("keys rotate", "--yes", "cannot be undone", "backups", "audit.config_change", "Exit codes"):
        assert piece in done.stdout
