"""`authaudit verify` and `digest` over what real processes recorded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .command import authaudit

FIRST_KEY = "a long random text, put aside before anybody used it\n"
PROGRAM = """
import os, sys
from opentelemetry_instrumentation_authaudit import AuthAuditInstrumentor, audit
AuthAuditInstrumentor().instrument(journal_dir=os.path.abspath("journal"), signing_key_file=os.path.abspath("signing.key"), checkpoint_interval="10,300")
for number in range(25):
    audit.record("auth.sign_in", strategy="password", subject=f"auth.user:{number}")
if sys.argv[1:] == ["die"]:
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three processes, the last of which was killed; the first key was put aside."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "first.key").write_text(FIRST_KEY)
    (folder / "signing.key").write_text(FIRST_KEY)
    for arguments in ([], [], ["die"]):
        environ = {**os.environ, "HOME": str(folder), "OTEL_SERVICE_NAME": "shop"}
        subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=folder, env=environ, check=False, timeout=60)
    return folder


@pytest.fixture
def home(recorded: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    return shutil.copytree(recorded, tmp_path / "home")


def journals(home: Path) -> list[Path]:
    """Its files, the oldest first."""
    return sorted((home / "journal" / "shop").glob("*.jsonl"), key=lambda path: path.read_text()[:20000])


def test_whole(home: Path) -> None:
    """Nothing to accuse; the killed process's stream is open, which is said, and so is what nobody can see."""
    done = authaudit("verify", "--store", "journal", "--key", "first.key", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith(("note", "FAULT"))]
    assert kinds == ["note open", "note unsigned"]
    assert "in 3 streams; 8 signatures fit\nwhole: every record is what it was" in done.stdout
    assert "What no verifier can see from here:" in done.stdout


def test_tampered(home: Path) -> None:
    """Exit code 1, and the finding leads to the record and the line."""
    path = max(journals(home), key=lambda path: path.stat().st_size)
    lines = path.read_text().splitlines(keepends=True)
    lines[7] = lines[7].replace("success", "failure")
    path.write_text("".join(lines))
    done = authaudit("verify", "--store", "journal", home=home)
    assert done.returncode == 1
    assert f"FAULT modified: stream {path.name.split('.')[1]}, record 8, " in done.stdout
    assert f"{path.name}:8: its content is not what record 9" in done.stdout
    assert "TAMPERED OR DAMAGED: 1 modified" in done.stdout


def test_json(home: Path) -> None:
    """One object for each finding, and one that sums up."""
    journals(home)[0].unlink()
    done = authaudit("verify", "--store", "journal", "--key", "first.key", "--format", "json", home=home)
    *findings, summary = map(json.loads, done.stdout.splitlines())
    assert (summary["whole"], summary["streams"], summary["unreadable_lines"]) == (True, 2, 0)
    assert all(finding["fault"] is False for finding in findings)


def test_digest_makes_a_deleted_stream_visible(home: Path) -> None:
    """Every day a line: what is new since the line before; then a whole journal vanishes."""
    (home / "registry.key").write_text("a key of the registry's own, kept elsewhere")
    (home / "registry.first").write_text("a key of the registry's own, kept elsewhere")
    digest = ("digest", "--store", "journal", "--registry", "streams.jsonl", "--signing-key-file", "registry.key")
    assert "3 streams" in authaudit(*digest, home=home).stdout
    assert "nothing new" in authaudit(*digest, home=home).stdout
    assert len((home / "streams.jsonl").read_text().splitlines()) == 1
    check = ("verify", "--store", "journal", "--registry", "streams.jsonl", "--key", "registry.first", "--key", "first.key")
    assert authaudit(*check, home=home).returncode == 0
    journals(home)[0].unlink()
    done = authaudit(*check, home=home)
    assert done.returncode == 1
    assert "nothing of it is here" in done.stdout


def test_digest_of_a_tampered_store_is_refused(home: Path) -> None:
    """What is wrong is not written down as right."""
    path = journals(home)[0]
    path.write_text(path.read_text().replace("auth.user:3", "auth.user:4"))
    done = authaudit("digest", "--store", "journal", "--registry", "streams.jsonl", home=home)
    assert done.returncode == 1
    assert "not written: the store has" in done.stderr
    assert not (home / "streams.jsonl").read_text()


def test_registry_is_tampered_with(home: Path) -> None:
    """A line taken out, a line changed."""
    for name in ("registry.key", "registry.first"):
        (home / name).write_text("a key of the registry's own, kept elsewhere")
    digest = ("digest", "--registry", "streams.jsonl", "--signing-key-file", "registry.key", "--store")
    for store in (str(journals(home)[0]), "journal"):
        assert authaudit(*digest, store, home=home).returncode == 0
    registry = home / "streams.jsonl"
    lines = registry.read_text().splitlines(keepends=True)
    check = ("verify", "--store", "journal", "--registry", "streams.jsonl", "--key", "registry.first")
    registry.write_text(lines[1])
    assert "line 1 of the registry does not follow" in authaudit(*check, home=home).stdout
    registry.write_text(lines[0].replace('"last":', '"last":1') + lines[1])
    assert "the signature of line 1 of the registry does not fit" in authaudit(*check, home=home).stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--store", "nowhere"), "there is no "),
        (("--store", "signing.key"), "there are no audit records in "),
        (("--store", "journal", "--key", "nothing"), "--key: "),
        (("--store", "journal", "--registry", "first.key"), "line 1 is no line of a registry"),
        (("--store", "journal", "--lifetime", "soon"), "'soon' is not allowed"),
    ],
)
def test_used_wrongly(home: Path, arguments: tuple[str, ...], says: str) -> None:
    """A sentence, and exit code 2."""
    done = authaudit("verify", *arguments, home=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_export_through_a_pipe(home: Path) -> None:
    """What `query` prints is verified like the files themselves."""
    (home / "export.jsonl").write_text(authaudit("query", "--store", "journal", "--format", "json", home=home).stdout)
    done = authaudit("verify", "--store", "export.jsonl", "--key", "first.key", home=home)
    assert done.returncode == 0, done.stdout
    assert "8 signatures fit" in done.stdout
