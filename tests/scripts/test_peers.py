"""Running a library's own tests both ways: every outcome is heard, and every difference is named."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PEERS = Path(__file__).parents[2] / "scripts" / "peers.py"
PLUGIN = PEERS.with_name("peers_plugin.py")
SUITE = """
import unittest

class Suite(unittest.TestCase):
    def test_good(self):
        pass

    def test_bad(self):
        self.fail()

    def test_broken(self):
        raise LookupError

    def test_parts(self):
        for part in range(3):
            with self.subTest(part=part):
                self.assertNotEqual(part, 1)

    @unittest.skip("not here")
    def test_skipped(self):
        pass

    @unittest.expectedFailure
    def test_known(self):
        self.fail()

    def test_sign_in(self):
        import bcrypt
        self.assertFalse(bcrypt.checkpw(b"wrong", bcrypt.hashpw(b"right", bcrypt.gensalt(4))))

if __name__ == "__main__":
    unittest.main()
"""
OUTCOMES = {
    "good": "success",
    "bad": "failure",
    "broken": "error",
    "parts": "failure",
    "skipped": "skipped",
    "known": "expected failure",
    "sign_in": "success",
}


@pytest.fixture(scope="module")
def peers() -> dict[str, Any]:
    """The names of the script."""
    return runpy.run_path(str(PEERS))


@pytest.mark.parametrize("mode", ["plain", "watched"])
def test_every_outcome_is_heard(tmp_path: Path, mode: str) -> None:
    """Whatever a test comes to, with us and without us, and although the runner ends the process."""
    (tmp_path / "suite.py").write_text(SUITE)
    report = tmp_path / "report.json"
    command = [sys.executable, str(PLUGIN), mode, "suite.py"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PEERS_REPORT": str(report)}, check=False, capture_output=True)
    told = json.loads(report.read_text())
    assert told["results"] == {f"__main__.Suite.test_{name}": outcome for name, outcome in OUTCOMES.items()}
    assert (told["records"], told["swallowed"]) == ({}, {})


def test_report_of_pytest_is_read(tmp_path: Path, peers: dict[str, Any]) -> None:
    """The same for libraries that use pytest."""
    (tmp_path / "test_suite.py").write_text(SUITE)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", "test_suite.py"]
    subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    results = peers["junit"](report, {})
    assert results["test_suite.Suite.test_good"] == "success"
    assert results["test_suite.Suite.test_bad"] == "failure"
    assert results["test_suite.Suite.test_skipped"] == "skipped"


def test_plugin_tells_what_it_saw(tmp_path: Path) -> None:
    """Any suite of pytest, with the plugin loaded by `-p`: the records and what was swallowed are printed and written down."""
    (tmp_path / "test_suite.py").write_text(SUITE)
    report = tmp_path / "report.json"
    environ = {**os.environ, "PEERS_REPORT": str(report), "PYTHONPATH": str(PLUGIN.parent)}
    command = [sys.executable, "-m", "pytest", "-p", "peers_plugin", "-k", "sign_in", "test_suite.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, text=True, check=False, capture_output=True)
    assert "records: 0\nswallowed: 0\n" in done.stdout
    assert json.loads(report.read_text()) == {"results": {}, "records": {}, "swallowed": {}}


def test_random_parameters_are_the_same_tests(tmp_path: Path, peers: dict[str, Any]) -> None:
    """A salted hash in a test's name differs in every run; its place does not."""
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuite><testcase classname='t' name='test_verify[$2b$04$x]'/><testcase classname='t' name='test_verify[$2b$04$y]'>"
        "<failure/></testcase><testcase classname='t' name='test_other'/></testsuite>"
    )
    assert peers["junit"](report, {}) == {"t.test_verify[1]": "success", "t.test_verify[2]": "failure", "t.test_other": "success"}


def test_runner_that_wrote_no_report(tmp_path: Path, peers: dict[str, Any]) -> None:
    """Then nothing ran."""
    assert peers["junit"](tmp_path / "report.xml", {}) == {}


def test_every_difference_is_named(peers: dict[str, Any]) -> None:
    """A test that fails with us, and one that is not even there."""
    plain = peers["Run"](1.0, {"a": "success", "b": "failure", "c": "success"})
    watched = peers["Run"](1.0, {"a": "failure", "b": "failure"})
    assert list(peers["differences"](plain, watched)) == [
        "a: success without us, failure with us",
        "c: success without us, absent with us",
    ]


def test_unknown_library_is_refused() -> None:
    """The message says which there are."""
    done = subprocess.run([sys.executable, str(PEERS), "nolib"], text=True, capture_output=True, check=False)
    assert done.returncode == 2
    assert "no tests are known of nolib; there are: django" in done.stderr
