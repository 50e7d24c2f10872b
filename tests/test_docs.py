"""The papers tell the truth: tables come from the code, Python blocks run, what they name exists."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.config.options import OPTIONS
from opentelemetry_instrumentation_authaudit.model import names

from .canaries import found_in

PACKAGE = "opentelemetry_instrumentation_authaudit"
ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAPERS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
)


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in *language*."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_generated_parts_are_up_to_date() -> None:
    """Somebody adds a library, an option or an event: the tables follow, or this test names the command that makes them."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "readme.py", "--check"],
        env=dict(os.environ),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_python_blocks_run(tmp_path: Path) -> None:
    """Somebody copies the README's lines into a program: it runs, and what it records is in the journal."""
    program = "\n".join(block for block in blocks("python") if "def test_" not in block)
    environment = os.environ | {"OTEL_PYTHON_AUTHAUDIT_JOURNAL_DIR": str(tmp_path), "OTEL_PYTHON_AUTHAUDIT_HASH_KEY": "k"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    journal = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.jsonl"))
    assert "auth.sign_in" in journal
    assert "custom.vault_opened" in journal


def test_the_example_of_a_test_passes(pytester: pytest.Pytester) -> None:
    """Somebody copies the README's test, with the function it is about: it passes."""
    pytester.makepyfile(test_readme="\n".join(block for block in blocks("python") if "check_badge" in block))
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_record_shown_is_a_record() -> None:
    """A reader builds on the record that the README shows: every key is an attribute's name, or one that `query` adds."""
    record = json.loads(blocks("json")[0])
    known = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    added = {"logged_at", "event", "service", "severity", "trace_id", "span_id"}
    assert {key for key in record if not key.startswith(names.PARAM_PREFIX)} <= known | added
    assert set(names.MANDATORY) <= set(record)


@pytest.mark.parametrize("secret", ["correct-horse-battery-31", "83kd-93mx-tok", "k8n3v0q2x7-session"])
def test_no_record_in_print_holds_a_secret(secret: str) -> None:
    """The pipeline made the records of README and docs/privacy.md of an event full of secrets: none of them is in print."""
    assert secret in (ROOT / "scripts" / "privacy.py").read_text(encoding="utf-8")
    assert list(found_in(b"".join((ROOT / paper).read_bytes() for paper in PAPERS), secret)) == []


def test_every_mode_is_shown() -> None:
    """A reader chooses by what they see: docs/privacy.md has a record in every mode of every option of privacy."""
    shown = re.findall(r"^### (.*)\n\n```json\n", (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8"), re.MULTILINE)
    modes = {
        f"`{row.name}={mode}`"
        for row in OPTIONS
        if row.name.endswith("_mode")
        for mode in row.values.split(", ")
        if mode != row.default
    }
    assert modes < set(shown)


@pytest.mark.parametrize("paper", PAPERS)
def test_links_lead_somewhere(paper: str) -> None:
    """Every relative link names a file of the repository."""
    text = (ROOT / paper).read_text(encoding="utf-8")
    beside = (ROOT / paper).parent
    missing = [target for target in re.findall(r"\]\((?!https?:)([^)#]+)", text) if not (beside / target).exists()]
    assert missing == []


@pytest.mark.parametrize("paper", PAPERS)
def test_tests_that_are_named_exist(paper: str) -> None:
    """Whoever follows a claim to its test finds it."""
    text = (ROOT / paper).read_text(encoding="utf-8")
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), f"{path}::{name}"


def test_make_targets_exist() -> None:
    """Every `make` command that a paper names is a target."""
    named = {
        target
        for paper in PAPERS
        for target in re.findall(r"\bmake ([a-z][a-z-]*)\b(?=[`\s]*(?:$|#|`|\())", _code(paper), re.MULTILINE)
    }
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test", "lint"} <= named <= targets


def test_commands_and_flags_exist() -> None:
    """Every `authaudit` command of a paper, with its flags, is one the real command knows."""
    papers = "\n".join((ROOT / paper).read_text(encoding="utf-8") for paper in PAPERS)
    lines = re.findall(r"(?:`|^)authaudit( [^`\n#]*)", papers, re.MULTILINE)
    commands = {
        tuple(re.findall(r"(?<=\s)(?:[a-z]+(?:-[a-z]+)*\b|--?[a-z-]+)", f" {line.partition(' -- ')[0]}")) for line in lines
    }
    for command, *rest in commands:
        knows = _help(command) + (_help(command, rest[0]) if rest and rest[0][0] != "-" else "")
        assert [flag for flag in rest if flag.startswith("-") and flag not in knows] == [], f"authaudit {command} {rest}"


@lru_cache
def _help(*command: str) -> str:
    """What `authaudit COMMAND --help` prints."""
    done = subprocess.run([sys.executable, "-m", PACKAGE, *command, "--help"], text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"authaudit {command}: {done.stderr}"
    return done.stdout


def _code(paper: str) -> str:
    """The parts of a paper that are set as code."""
    text = (ROOT / paper).read_text(encoding="utf-8")
    return "\n".join(
        re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + [f"{span}`" for span in re.findall(r"`(make [^`]*)`", text)]
    )
