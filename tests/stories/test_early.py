"""Every story once more, with the rows in place before the application imports its libraries, as `opentelemetry-instrument` has it,
and with a search for every secret that passed through the process (`canary.py`), which finds what it is to find."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from .early import CANARIES, ROOT, finish, stories
from .secrets_seen import SUPPORTED


def test_stories_are_the_same_when_watched_early(request: pytest.FixtureRequest) -> None:
    """The same records, and no secret in what left the process."""
    if request.config.getoption("--authaudit-early"):
        pytest.skip("this is that run")
    code, output = finish()
    assert code == 0, output[-8000:]
    if SUPPORTED:
        assert re.search(r"^canaries: \d{4} stories, \d{5} secrets, \d{4} records, ", output, re.MULTILINE), output[-8000:]
        assert "identity without a name: none" in output


LEAK = """
import base64
from opentelemetry_instrumentation_authaudit import audit

def sign_in(name, password, where):
    audit.record("custom.door", strategy="custom", identity=name, params={"remark": where(password)})

def test_door(audit_trail):
    sign_in("ann", "tulip-4711-meadow", WHERE)
    assert audit_trail.one(event="custom.door")
"""


@pytest.mark.skipif(not SUPPORTED, reason="sys.monitoring came with Python 3.12")
@pytest.mark.parametrize(
    ("where", "leaks"),
    [
        ("lambda password: 'nothing'", False),
        ("lambda password: password", True),
        ("lambda password: f'he typed {password[:9]}'", True),
        ("lambda password: base64.b64encode(password[:9].encode()).decode()", True),
        ("lambda password: password.encode().hex()", False),  # the redaction knows it by its shape
    ],
)
def test_canaries_sing(tmp_path: Path, where: str, *, leaks: bool) -> None:
    """An application that puts a password into a parameter, in this form or that: the story passes, and the search does not."""
    (tmp_path / "test_leak.py").write_text(LEAK.replace("WHERE", where))
    command = stories(str(tmp_path), "--rootdir", str(tmp_path), "-c", str(ROOT / "pyproject.toml"), *CANARIES)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ("secrets got out" in done.stdout) == leaks == bool(done.returncode), done.stdout
    assert "1 stories, 1 secrets" in done.stdout
