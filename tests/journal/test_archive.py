"""Archive before delete: what is archived is on the disk, whole, and the same; else the original stays."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.journal.archive import ArchiveError, archive

from .helpers import run


def file(folder: Path, content: bytes = b"one\ntwo\n" * 1000) -> Path:
    """A closed journal file."""
    path = folder / "2026-08-01.00000000000000aa.0001.jsonl"
    path.write_bytes(content)
    return path


def listed(folder: Path) -> list[str]:
    """The names of everything in it."""
    return sorted(path.name for path in folder.iterdir())


def test_archived_file_is_plain_gzip_with_its_hash_beside(tmp_path: Path) -> None:
    """The tools of every system unpack and check it; nobody but the owner reads it."""
    path, folder = file(tmp_path), tmp_path / "archive" / "shop"
    made = archive(path, folder)
    assert listed(folder) == [f"{path.name}.gz", f"{path.name}.gz.sha256"]
    assert subprocess.run(["gzip", "-dc", made], capture_output=True, check=True).stdout == path.read_bytes()
    checked = subprocess.run(["sha256sum", "-c", f"{made.name}.sha256"], cwd=folder, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert [oct(place.stat().st_mode & 0o777) for place in (made, folder)] == ["0o600", "0o700"]
    assert path.exists()


def test_again_is_nothing_new(tmp_path: Path) -> None:
    """Killed behind the archive, before the original went: the second time finds it there, untouched."""
    path = file(tmp_path)
    made = archive(path, tmp_path / "a")
    before = made.stat().st_ino, made.stat().st_mtime_ns
    archive(path, tmp_path / "a")
    assert (made.stat().st_ino, made.stat().st_mtime_ns) == before
    assert archive(path, tmp_path / "b").read_bytes() == made.read_bytes()


def test_killed_before_the_hash_was_written(tmp_path: Path) -> None:
    """The hash is made up for."""
    path = file(tmp_path)
    made = archive(path, tmp_path / "a")
    beside = made.with_name(f"{made.name}.sha256")
    text = beside.read_bytes()
    beside.unlink()
    archive(path, tmp_path / "a")
    assert beside.read_bytes() == text


@pytest.mark.parametrize("damage", ["other", "torn", "turned"])
def test_an_archive_that_is_not_the_file_stops_everything(tmp_path: Path, damage: str) -> None:
    """Another file of that name, half of it, or a bit that turned on the disk: the original is not taken for archived."""
    path, folder = file(tmp_path, os.urandom(3000)), tmp_path / "a"
    made = archive(path, folder)
    content = bytearray(made.read_bytes())
    content[1500] ^= 1
    made.write_bytes({"other": gzip.compress(b"other"), "torn": bytes(content[:1000]), "turned": bytes(content)}[damage])
    with pytest.raises(ArchiveError, match=r"2026-08-01.*(stays|--archive)"):
        archive(path, folder)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """No half archive, no file aside (`RLIMIT_FSIZE` fails writes as a full disk does)."""
    path = file(tmp_path, os.urandom(200_000))
    code = """
        import resource
        from opentelemetry_instrumentation_authaudit.journal.archive import ArchiveError, archive
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            archive(Path(sys.argv[1]), Path(sys.argv[2]))
        except ArchiveError as error:
            print(error)
    """
    said = run(code, path, tmp_path / "a")
    assert said.endswith("(File too large), so it stays")
    assert listed(tmp_path / "a") == []


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/sys").exists(), reason="needs a place that nobody can write")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The message names file and folder."""
    place = Path("/proc/sys") if os.geteuid() == 0 else tmp_path / "closed"
    if os.geteuid():
        place.mkdir(mode=0o500)
    with pytest.raises(ArchiveError, match="could not be archived"):
        archive(file(tmp_path), place / "a")


@given(st.binary(max_size=5000))
def test_every_content_comes_back(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Empty files too."""
    folder = tmp_path_factory.mktemp("any")
    with gzip.open(archive(file(folder, content), folder)) as packed:
        assert packed.read() == content
