"""Setting up on a machine that lacks something: the scripts behind `make` say what, and choose well."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
from pathlib import Path

from opentelemetry_instrumentation_authaudit.instrumentors.registry import LIBRARIES

SCRIPTS = Path(__file__).parents[2] / "scripts"
OLD = "echo 3.9 /nowhere/python3.9 >&2; exit 0"
BROKEN = "echo pyenv: command not found >&2; exit 127"


def interpreter(path: Path, body: str) -> Path:
    """A program at *path* that does what *body* says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def sh(
    script: str, *arguments: str | Path, path: Path | None = None, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a script of ours, with *path* before everything else in PATH."""
    environment = {"PATH": f"{path or ''}:/usr/bin:/bin", "HOME": str(home or "/nonexistent")}
    return subprocess.run(["/bin/sh", SCRIPTS / script, *arguments], env=environment, text=True, capture_output=True, check=False)


def test_the_newest_python_comes_first_and_each_version_once(tmp_path: Path) -> None:
    """A machine has several Pythons, some twice, one too old, one only a shim: the list is clean, newest first."""
    for name, version in (("python3.10", "3.10"), ("python3.12", "3.12"), ("python3", "3.12")):
        interpreter(tmp_path / "bin" / name, f"echo {version} /opt/{name}")
    interpreter(tmp_path / "bin" / "python3.11", BROKEN)
    interpreter(tmp_path / ".pyenv" / "versions" / "3.13.0" / "bin" / "python3", "echo 3.13 /pyenv/python3")
    interpreter(tmp_path / ".pyenv" / "versions" / "3.9.0" / "bin" / "python3", OLD)
    lines = sh("pythons.sh", path=tmp_path / "bin", home=tmp_path).stdout.splitlines()
    expected = ["3.13 /pyenv/python3", "3.12 /opt/python3.12", "3.10 /opt/python3.10"]
    assert [line for line in lines if line.split()[1].startswith(("/opt", "/pyenv"))] == expected
    assert len({line.split()[0] for line in lines}) == len(lines)


def test_no_python_is_told_with_its_cure() -> None:
    """No Python is new enough: one line says what to install."""
    done = sh("venv.sh", "", "/nowhere/.venv")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "apt-get install python3 python3-venv" in done.stderr


def test_missing_ensurepip_is_told_with_its_cure(tmp_path: Path) -> None:
    """Debian splits `venv` off Python: one line names the package, and nothing is made."""
    python = interpreter(tmp_path / "python3", "exit 1")
    done = sh("venv.sh", python, tmp_path / "venv")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "apt-get install python3-venv" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_the_oldest_set_has_every_library_once() -> None:
    """A library joins the registry: the matrix tests its oldest version without being told."""
    pins = runpy.run_path(str(SCRIPTS / "matrix.py"))["oldest"]()
    assert {library.distributions[-1] for library in LIBRARIES} <= set(pins)
    assert {"opentelemetry-sdk", "wrapt"} <= set(pins)
    assert pins["Django"] == next(x.versions for x in LIBRARIES if x.name == "django_auth").removeprefix(">=")


def test_the_newest_set_has_every_library_too() -> None:
    """A library joins the registry and not pyproject.toml: its tests would find nothing to test."""
    extras = r"^(?:test|native) = \[(.*?)^\]"  # what needs a compiler is apart
    listed = re.findall(extras, (SCRIPTS.parent / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    wanted = dict(re.findall(r'"([\w-]+)(?:\[[\w,]+\])? (>= [\w.]+)"', "".join(listed)))
    for library in LIBRARIES:
        found = {name: wanted[name].replace(" ", "") for name in library.distributions if name in wanted}
        assert found, f"{library.distributions} of the registry is missing in pyproject.toml"
        assert len(library.distributions) > 1 or library.versions in found.values()


def test_the_scripts_need_no_more_than_sh() -> None:
    """Debian's /bin/sh is dash: the scripts parse there."""
    for script in (*SCRIPTS.glob("*.sh"), SCRIPTS.parent / ".ci" / "run"):
        assert subprocess.run(["/bin/sh", "-n", script], check=False).returncode == 0
        assert os.access(script, os.X_OK)
