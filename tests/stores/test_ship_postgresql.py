"""`authaudit ship --to postgresql://`: the real server, killed shippers, killed servers, and ids counted at the end."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import authaudit, patiently

from .exporter import FileExporter, ids, request
from .million import collected
from .postgresql_server import Server, init, running
from .recorded import recorded
from .shipping import copies, following, until, writing

MANY = 100_000


def ship(home: Path, url: str, place: str, *more: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it once."""
    return authaudit("ship", "--to", url, "--store", place, *more, home=home, **environ)


def test_journals_and_collected_files(tmp_path: Path, postgresql: Server, database: str) -> None:
    """The same day from journals and from a collector's file: by a writer who may not read, each record is there once."""
    day = recorded()
    day.journal(tmp_path / "journal")
    (tmp_path / "collected").mkdir()
    day.collected(tmp_path / "collected")
    url = postgresql.url(database, "app")
    assert ship(tmp_path, url, "journal").stdout == f"{len(day)} delivered\n"
    assert ship(tmp_path, url, "collected").stdout == f"{len(day)} delivered\n"
    found = copies(postgresql.url(database, "auditor"))
    assert len(found) == len(set(found)) == len(day)
    assert authaudit("verify", "--store", postgresql.url(database, "auditor"), home=tmp_path).returncode == 0


def test_what_is_wrong_is_said_at_once(tmp_path: Path, postgresql: Server, database: str) -> None:
    """A wrong password, no table, a role that may not write: exit code 3, what to do, no password, nothing counted as shipped."""
    FileExporter(tmp_path / "collected").write(request(1))
    locked = postgresql.url(database, "locked").replace("locked@", "locked:wrong-pa55@")
    empty = postgresql.make_database(f"empty_{database}")
    for url, says in (
        (locked, "password"),
        (postgresql.url(empty, "admin"), "authaudit store init"),
        (postgresql.url(database, "auditor"), "permission denied"),
        (postgresql.url("nowhere", "app"), "does not exist"),
    ):
        done = ship(tmp_path, url, "collected", *(("--follow",) if url == locked else ()))
        assert (done.returncode, says in done.stderr) == (3, True), done.stderr
        assert "wrong-pa55" not in done.stderr
        assert "Traceback" not in done.stderr
    assert ship(tmp_path, postgresql.url(database, "app"), "collected").stdout == "1 delivered\n"


@pytest.mark.stores
def test_password_by_the_environment(tmp_path: Path, postgresql: Server, database: str) -> None:
    """`PGPASSWORD`, as libpq takes it: it need not stand in a command line."""
    FileExporter(tmp_path / "collected").write(request(1))
    done = ship(tmp_path, postgresql.url(database, "locked"), "collected", PGPASSWORD="a secret")
    assert (done.returncode, done.stdout) == (0, "1 delivered\n")


@pytest.mark.stores
def test_rotation_while_it_ships(tmp_path: Path, postgresql: Server, database: str) -> None:
    """The collector writes and renames its file as fast as it can; the shipper misses nothing."""
    exporter = FileExporter(tmp_path / "collected")
    exporter.write(request(1))
    url = postgresql.url(database, "app")
    with following(tmp_path, "--to", url, "--store", "collected") as shipper:
        for number in range(2, 302):
            exporter.write(request(number))
            if number % 17 == 0:
                exporter.rotate()
            time.sleep(0.01)
        shipper.send_signal(signal.SIGTERM)
        output, errors = shipper.communicate(timeout=60)
    assert (shipper.returncode, output, errors) == (0, "301 delivered\n", "")
    assert sorted(copies(postgresql.url(database))) == ids(*range(1, 302))


def test_shipper_killed_at_random_moments(tmp_path: Path, postgresql: Server, database: str) -> None:
    """SIGKILL six times while a process records: none is missing, none is doubled."""
    url = postgresql.url(database, "app")
    chance = random.Random(7)
    with writing(tmp_path) as end:
        until("it records", lambda: any((tmp_path / "journal").glob("*/*.jsonl")))
        for _ in range(6):
            with following(tmp_path, "--to", url, "--store", "journal"):
                time.sleep(chance.uniform(0.0, 0.6))
        told = end()
    assert ship(tmp_path, url, "journal").returncode == 0
    found = copies(postgresql.url(database))
    assert len(found) == len(set(found))
    assert set(told) <= set(found)
    assert len(told) > 100


@pytest.fixture
def safe_server() -> Iterator[Server]:
    """A server that writes as safely as it does by default, to be killed."""
    with running() as server:
        server.make_database("audit")
        init(server.url("audit"))
        yield server


def test_server_killed_under_load(tmp_path: Path, safe_server: Server) -> None:
    """SIGKILL of PostgreSQL and all its backends, three times, while a process records and a shipper ships; then it catches up."""
    url = safe_server.url("audit")
    with writing(tmp_path) as end:
        until("it records", lambda: any((tmp_path / "journal").glob("*/*.jsonl")))
        with following(tmp_path, "--to", url, "--store", "journal") as shipper:
            for pause in (0.5, 1.3, 0.2):
                time.sleep(pause)
                safe_server.kill()
                time.sleep(0.3)
                safe_server.start()
            told = end()
            until("it has everything", lambda: set(told) <= set(copies(url)))
            shipper.send_signal(signal.SIGTERM)
            shipper.communicate(timeout=60)
    found = copies(url)
    assert len(found) == len(set(found))
    done = authaudit("reconcile", "--store", url, "--against", "journal", "--grace", "0", home=tmp_path)
    assert (done.returncode, " 0 missing" in done.stdout) == (0, True), done.stdout


def test_a_database_from_an_old_backup_is_repaired(tmp_path: Path, postgresql: Server, database: str) -> None:
    """What was shipped since, no cursor will ship again; a reader and a writer mend it together."""
    day = recorded()
    day.journal(tmp_path / "journal")
    assert ship(tmp_path, postgresql.url(database, "app"), "journal/shop").returncode == 0
    restored = postgresql.make_database(f"restored_{database}", database)
    assert ship(tmp_path, postgresql.url(database, "app"), "journal").returncode == 0
    lost = len(day) - len(copies(postgresql.url(restored)))
    assert lost > 0
    arguments = ("reconcile", "--store", postgresql.url(restored, "auditor"), "--against", "journal", "--lifetime", "infinity")
    done = authaudit(*arguments, home=tmp_path)
    assert (done.returncode, f" {lost} missing" in done.stdout) == (1, True), done.stdout
    done = authaudit(*arguments, "--repair", home=tmp_path)
    assert (done.returncode, "permission denied" in done.stderr) == (3, True), done.stderr
    done = authaudit(*arguments, "--repair", "--writer", postgresql.url(restored, "app"), home=tmp_path)
    assert (done.returncode, f"{lost} were missing, {lost} repaired, 0 left" in done.stdout) == (0, True), done.stdout
    found = copies(postgresql.url(restored))
    assert len(found) == len(set(found)) == len(day) + 3  # what the repair recorded of itself


@pytest.mark.stores
def test_a_hundred_thousand(tmp_path: Path, postgresql: Server, database: str) -> None:
    """From a collector's files, at a fair rate; then every one is there, and reconcile agrees."""
    place, url = str(collected(MANY)), postgresql.url(database)
    begun = time.monotonic()
    done = patiently(1200, ("ship", "--to", url, "--store", place, "--state", "state"), tmp_path, {})
    rate = MANY / (time.monotonic() - begun)
    assert done.stdout == f"{MANY} delivered\n", done.stderr
    arguments = ("reconcile", "--store", url, "--against", place, "--lifetime", "infinity")
    done = patiently(600, arguments, tmp_path, {})
    assert (done.returncode, " 0 missing" in done.stdout) == (0, True), done.stdout
    assert rate > 300, f"{rate:,.0f} records/s"
