"""Backups: each is restored somewhere else, and there it is asked, verified and held against its source."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ..cli.command import authaudit, records
from ..pipeline.telling import line_of, process
from .postgresql_server import Server, running
from .recorded import recorded
from .victorialogs_server import Tenant

RECORDING = recorded()
KEEPING = {"OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME": "infinity"}
"""What was recorded on a day of the past has not expired."""

pytestmark = pytest.mark.stores


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    """Another PostgreSQL, on which nothing was set up."""
    with running() as server:
        yield server


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """What a collector wrote."""
    folder = tmp_path / "collected"
    folder.mkdir()
    return RECORDING.collected(folder)


def succeeds(*command: str, home: Path) -> str:
    """What the command says; it must end with 0."""
    done = authaudit(*command, home=home, **KEEPING)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def query(store: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Everything that is in *store*."""
    return authaudit("query", "--format", "json", "--store", store, home=home)


def test_a_dump_of_postgresql(postgresql: Server, database: str, elsewhere: Server, files: Path, tmp_path: Path) -> None:
    """Roles and database are restored on another server: every record, whole chains, and still nobody may change a row."""
    succeeds("ship", "--to", postgresql.url(database, "app"), "--store", str(files), home=tmp_path)
    dump = str(elsewhere.folder / "audit.dump")
    roles = postgresql.run("pg_dumpall", "-d", postgresql.url("postgres"), "--roles-only")
    postgresql.run("pg_dump", "-d", postgresql.url(database), "--format=custom", "--file", dump)

    elsewhere.run("psql", "-q", "-d", elsewhere.url("postgres"), text=roles)  # that its own administrator is there, it says
    elsewhere.run("pg_restore", "-d", elsewhere.url("postgres"), "--create", "--exit-on-error", dump)

    store = elsewhere.url(database, "auditor")
    assert records(query(store, tmp_path)) == records(query(str(files), tmp_path))
    succeeds("verify", "--store", store, home=tmp_path)
    succeeds("reconcile", "--store", store, "--against", str(files), home=tmp_path)
    with elsewhere.connect(database, "app") as writer, pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer.execute("DELETE FROM audit.auth_audit")
    with elsewhere.connect(database) as admin, pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        admin.execute("UPDATE audit.auth_audit SET received_at = now()")


def test_victorialogs_anew_from_files(tenant: Tenant, files: Path, tmp_path: Path) -> None:
    """The store is gone with its disk: an empty one is filled from the collector's files; to do it twice adds nothing of theirs."""
    for _ in range(2):
        succeeds("reconcile", "--store", tenant.store, "--against", str(files), "--repair", "--settle", "0", home=tmp_path)
    inside, own = (records(query(place, tmp_path)) for place in (tenant.store, str(files)))
    assert [record for record in inside if record in own] == own
    succeeds("verify", "--store", tenant.store, home=tmp_path)


def test_a_copy_of_a_journal_in_use(tmp_path: Path) -> None:
    """Copied while a process records: what it told before the copy is in it, and the chain is whole up to there."""
    code = """
    sink = pipeline(Path(sys.argv[1]))
    for number in range(10**6):
        sink(SIGN_IN)
        if number == 500:
            print("ready", flush=True)
    """
    journal, copy = tmp_path / "journal", tmp_path / "copy"
    with process(code, tmp_path) as told:
        assert line_of(told) == "ready"
        with tarfile.open(tmp_path / "backup.tar", "w") as backup:
            backup.add(journal, "journal")
        told.kill()
    with tarfile.open(tmp_path / "backup.tar") as backup:
        backup.extractall(copy, filter="data")
    found = records(query(str(copy / "journal"), tmp_path))
    assert len(found) > 500
    verified = succeeds("verify", "--store", str(copy / "journal"), home=tmp_path)
    assert "whole: every record is what it was" in verified
