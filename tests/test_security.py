"""The chapter on security: its examples are taken from it as they stand, and done."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from .cli.command import authaudit, records
from .stores.postgresql_server import Server, running
from .stores.postgresql_server import init as store_init
from .stores.recorded import recorded

CHAPTER = (Path(__file__).parents[1] / "docs" / "security.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The chapter's examples in *language*."""
    return re.findall(rf"^```{language}\n(.*?)^```", CHAPTER, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL that was set up as the chapter says, with a recorded day in it."""
    home = tmp_path_factory.mktemp("home")
    with running(fsync="off") as server:
        server.make_database("audit")
        store_init(server.url("audit"))
        with server.connect("audit") as admin:
            for block in blocks("sql"):
                admin.execute(block)
        day = recorded().collected(home)
        done = authaudit("ship", "--to", server.url("audit", "shop"), "--store", str(day), home=home)
        assert done.returncode == 0, done.stderr
        yield server


def seen(server: Server, login: str, home: Path) -> int:
    """How many records *login* finds that asks for everything."""
    return len(records(authaudit("query", "--format", "json", "--store", server.url("audit", login), home=home)))


def test_a_reader_of_one_tenant(server: Server, tmp_path: Path) -> None:
    """By the command, by hand, and in the view: its tenant's records and no others; auditors see them all, writers none."""
    with server.connect("audit") as admin:
        count = "SELECT count(*), count(*) FILTER (WHERE tenant = 'acme') FROM audit.auth_audit"
        everything, of_acme = admin.execute(count).fetchone() or (0, 0)
    assert 0 < of_acme < everything
    assert seen(server, "auditor", tmp_path) == everything
    assert seen(server, "acme", tmp_path) == of_acme
    with server.connect("audit", "acme") as acme:
        for table in ("auth_audit", "auth_audit_entries"):
            found = acme.execute(sql.SQL("SELECT count(*) FROM audit.{}").format(sql.Identifier(table))).fetchone()
            assert found == (of_acme,)
    with server.connect("audit", "shop") as writer, pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer.execute("SELECT 1 FROM audit.auth_audit")


@pytest.mark.parametrize("login", ["auditor", "acme", "shop", "keeper"])
def test_nobody_grants_themselves_more(login: str, server: Server) -> None:
    """The tables that say who reads what are the administrator's."""
    with server.connect("audit", login) as somebody:
        for attempt in (
            "INSERT INTO audit.tenant_readers VALUES (current_user, 'shop')",
            "ALTER TABLE audit.auth_audit DISABLE ROW LEVEL SECURITY",
            "CREATE POLICY mine ON audit.auth_audit FOR SELECT USING (true)",
            "GRANT audit_everything TO acme",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                somebody.execute(attempt)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
def test_folder_of_a_collector() -> None:
    """The owner writes, the group reads, others do not get in, whatever the mode of the file itself."""
    owner, group, other, nobody = 60001, 60002, 60003, 60004
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        (command,) = [block for block in blocks("sh") if block.startswith("install -d")]
        named = {"otelcol": str(owner), "auditors": str(group), "/var/lib/authaudit": f"{top}/audit"}
        for name, here in named.items():
            command = command.replace(name, here)
        subprocess.run(["/bin/sh", "-ec", command], check=True)
        file = Path(top, "audit", "audit.jsonl")
        file.write_text("a record")
        file.chmod(0o644)
        os.chown(file, owner, -1)

        def look(user: int, *groups: int) -> tuple[str, bool]:
            """What they read, and whether they may write."""
            who: dict[str, Any] = {"user": user, "group": groups[0], "extra_groups": groups[1:], "cwd": "/"}
            done = subprocess.run(
                ["/bin/sh", "-c", f"cat {file}; : >> {file}"], capture_output=True, text=True, check=False, **who
            )
            return done.stdout, not done.returncode

        assert look(owner, owner) == ("a record", True)
        assert look(other, other, group) == ("a record", False)
        assert look(nobody, nobody) == ("", False)
