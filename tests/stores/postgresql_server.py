"""A real PostgreSQL of the tests' own: the newest that is installed, in a temporary folder, as an unprivileged user, on loopback."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql

from opentelemetry_instrumentation_authaudit.stores.installer import Wishes, open_installer
from opentelemetry_instrumentation_authaudit.stores.store import Address

from ..lacking import lacking
from ..ports import free_port

LOGINS: Final = {"app": "audit_writer", "auditor": "audit_reader", "keeper": "audit_retention", "stranger": None}
"""Who logs in on the shared server, and the role that they are a member of. `locked` (password: `a secret`) is a writer, too."""

_numbers: Final = itertools.count(1)
_OLDEST: Final = 15
_HOW: Final = "PostgreSQL 15 or newer is not here. On Debian: apt-get install postgresql"
_UNPRIVILEGED: Final = ("postgres", "nobody")
_PATIENCE: Final = 60.0
_ENDS_WITH_US: Final = ("setpriv", "--pdeathsig", "QUIT") if shutil.which("setpriv") else ()
"""However the run of the tests ends, the server does not stay."""
_ADMISSION: Final = """
host replication admin 127.0.0.1/32 trust
host all locked 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
local all all trust
"""


@lru_cache(maxsize=1)
def binaries() -> Path | None:
    """The folder with the newest server's programs, or the one that AUTHAUDIT_POSTGRESQL names; None if none is new enough."""
    if chosen := os.environ.get("AUTHAUDIT_POSTGRESQL"):
        return Path(chosen)
    found = {
        int(path.parent.name): path for path in Path("/usr/lib/postgresql").glob("[0-9]*/bin") if (path / "postgres").exists()
    }
    if found and max(found) >= _OLDEST:
        return found[max(found)]
    inside = shutil.which("pg_config")
    folder = (
        Path(subprocess.run([inside, "--bindir"], capture_output=True, text=True, check=True).stdout.strip()) if inside else None
    )
    if folder is None or not (folder / "postgres").exists():
        return None
    version = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return folder if int(version.split()[2].partition(".")[0]) >= _OLDEST else None


def needed() -> Path:
    """The same; the test is skipped where there is none, and fails where it must be there."""
    found = binaries()
    if found is None:
        lacking("postgresql", _HOW)
    return found


class Server:
    """One server. `start`, `stop` and `kill` may follow each other in any order."""

    def __init__(self, programs: Path, folder: Path, *, copy_of: Server | None = None, **settings: str) -> None:
        self.programs, self.folder, self.settings = programs, folder, settings
        self.user = (
            next((name for name in _UNPRIVILEGED if _there(name)), "nobody")
            if os.geteuid() == 0
            else pwd.getpwuid(os.geteuid()).pw_name
        )
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(folder, self.user)
        data = str(folder / "data")
        if copy_of is not None:
            self.run("pg_basebackup", "-D", data, "-R", "-c", "fast", "-d", copy_of.url("postgres"))
            return
        self.run("initdb", "-D", data, "-U", "admin", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        (folder / "data" / "pg_hba.conf").write_text(_ADMISSION, encoding="utf-8")

    def run(self, program: str, *arguments: str, text: str | None = None) -> str:
        """What one of PostgreSQL's programs prints."""
        done = subprocess.run(
            [self.programs / program, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            **self._as_whom(),
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            **self.settings,
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_ENDS_WITH_US, self.programs / "postgres", "-D", str(self.folder / "data"), *flags],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._as_whom(),
            )
        until = time.monotonic() + _PATIENCE
        while not self._answers():
            assert time.monotonic() < until, (self.folder / "log").read_text(encoding="utf-8")
            assert self._process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in order: what is being done is broken off."""
        self._end(signal.SIGINT)

    def abandon(self) -> None:
        """End it at once, for good."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """End the server and all its backends with SIGKILL, the oldest last: none of them can tidy up."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)  # so that it starts no more of them
        for child in self.children():
            os.kill(child, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def children(self) -> list[int]:
        """The processes of the server: one for each connection, and some that tidy up."""
        assert self._process is not None
        parent = str(self._process.pid)
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended meanwhile
                pid, rest = stat.parent.name, stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
                found += [int(pid)] if rest.split()[1] == parent else []
        return found

    def url(self, database: str, user: str = "admin", **options: str) -> str:
        """Where a database is, for psycopg and for `--store`."""
        asked = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}{'?' if asked else ''}{asked}"

    def connect(self, database: str, user: str = "admin") -> psycopg.Connection[tuple[Any, ...]]:
        """A connection in autocommit mode."""
        return psycopg.connect(self.url(database, user), autocommit=True)

    def make_database(self, name: str, template: str = "template1", owner: str = "admin") -> str:
        """A new database; its name."""
        with self.connect("postgres") as connection:
            make = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
            connection.execute(make.format(sql.Identifier(name), sql.Identifier(template), sql.Identifier(owner)))
        return name

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(_PATIENCE)

    def _as_whom(self) -> dict[str, Any]:
        """The server refuses to be root."""
        environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        return {
            "env": environ,
            **({"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}),
        }


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The server that all tests share, with an audit table in the database `template`, and somebody for each role."""
    with running(fsync="off", full_page_writes="off", max_connections="50") as server:
        server.make_database("template")
        init(server.url("template"), lifetime=None)  # so that days of the past never grow too old
        with server.connect("postgres") as connection:
            for login, role in {**LOGINS, "locked": "audit_writer"}.items():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'a secret'").format(sql.Identifier(login)))
                if role is not None:
                    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(login)))
        yield server


@pytest.fixture
def database(postgresql: Server) -> Iterator[str]:
    """The name of a database with an empty audit table, for one test."""
    name = postgresql.make_database(f"test_{next(_numbers)}", "template")
    yield name
    with postgresql.connect("postgres") as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def init(url: str, **wishes: Any) -> list[str]:
    """What `authaudit store init --store url` does; the names of the scripts that were applied."""
    return list(open_installer(Address.parse(url), Wishes(**{"lifetime": 90, **wishes})).apply(fresh=True))


@contextmanager
def running(**settings: str) -> Iterator[Server]:
    """A server for the block. Without *settings* it writes as safely as PostgreSQL does by default."""
    folder = Path(tempfile.mkdtemp(prefix="authaudit-pg-"))
    server = None
    try:
        server = Server(needed(), folder, copy_of=None, **settings)
        server.start()
        yield server
    finally:
        if server is not None:
            server.abandon()
        shutil.rmtree(folder)


@contextmanager
def replica(primary: Server) -> Iterator[Server]:
    """A standby of *primary*, which it follows while the block lasts, or until it is promoted."""
    folder = Path(tempfile.mkdtemp(prefix="authaudit-pg-"))
    standby = None
    try:
        standby = Server(primary.programs, folder, copy_of=primary)
        standby.start()
        yield standby
    finally:
        if standby is not None:
            standby.abandon()
        shutil.rmtree(folder)


def _there(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
