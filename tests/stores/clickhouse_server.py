"""ClickHouse for tests: the real engine (`chdb`, embedded) behind a small HTTP door of our own.

No ClickHouse server is to be had here, but its engine is: parser, tables, merges, TTL, deduplication, parameters, formats and error
messages are ClickHouse's. What is ours, and therefore proves nothing about the server, is the door: it takes query, parameters,
settings and data apart as the documentation of the HTTP interface says, checks user and password (the engine has no users), gives
errors the status codes that it knows, and ends broken answers in one of the ways that servers end them.

`python -m tests.stores.clickhouse_server FOLDER` prints its port. It dies with the process that started it.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from opentelemetry_instrumentation_authaudit.stores.clickhouse import open_address
from opentelemetry_instrumentation_authaudit.stores.clickhouse.schema import schema
from opentelemetry_instrumentation_authaudit.stores.clickhouse.store import ClickHouseStore
from opentelemetry_instrumentation_authaudit.stores.store import Address

from ..lacking import lacking

PASSWORD: Final = "pass w0rd/?"
_STATUS: Final = {60: 404, 81: 404, 497: 403, 516: 403, 62: 400, 457: 400, 47: 404, 241: 500}
_NOT_SETTINGS: Final = {
    "query",
    "database",
    "default_format",
    "client_protocol_version",
    "wait_end_of_query",
    "compress",
    "session_id",
}
_VERSION: Final = "(version 26.9.2.1)"
_PIECE: Final = 1 << 16
_CODE: Final = re.compile(r"Code: (\d+)")
_HELLO: Final = "SELECT displayName(), version(), revision(), timezone()"


@dataclass
class Server:
    """The door and how to talk to it."""

    folder: Path
    port: int = 0
    ending: str = "words"
    """How an answer that breaks off ends: in `words` (older servers), in a `frame` (newer ones), or `cut`."""
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> Server:
        """Start it, on what is in the folder."""
        command = [sys.executable, "-m", "tests.stores.clickhouse_server", str(self.folder), str(self.port), self.ending]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.strip().isdecimal(), f"no port, but {line!r}"
        self.port = int(line)
        return self

    def kill(self) -> None:
        """End it like `kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def url(self, **options: str) -> str:
        """Its URL for `--store`, with a password in a file."""
        secret = self.folder.with_suffix(".password")
        secret.write_text(f"{PASSWORD}\n", encoding="utf-8")
        shown = "&".join(f"{name}={value}" for name, value in {"password_file": str(secret), **options}.items())
        return f"clickhouse://auditor@127.0.0.1:{self.port}/audit?{shown}"


@contextmanager
def running(folder: Path, ending: str = "words") -> Iterator[Server]:
    """A server with an empty or a kept *folder*."""
    if find_spec("chdb") is None:
        lacking(
            "clickhouse",
            "the engine of ClickHouse is not installed: pip install '.[stores]' (half a gigabyte), or make test-stores",
        )
    server = Server(folder, ending=ending).start()
    try:
        yield server
    finally:
        server.kill()


def opened(server: Server, **options: str) -> ClickHouseStore:
    """Its store, as the command opens it."""
    return open_address(Address.parse(server.url(**options)))


def made(store: ClickHouseStore, lifetime: int | None = None, *, monthly: bool = False) -> ClickHouseStore:
    """The same, with a new table."""
    for statement in schema(store.table, lifetime, monthly=monthly):
        store.connection.run(statement)
    return store


def asked(store: ClickHouseStore, sql: str) -> list[list[object]]:
    """An answer of the engine; `{table}` is the store's."""
    return list(store.connection.rows(sql.format(table=store.table)))


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: str
    ending: str

    def do_GET(self) -> None:
        self._text(200, "Ok.\n")

    def do_POST(self) -> None:
        body = self._body()
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if self._who() != ("auditor", PASSWORD):
            self._refuse(
                "Code: 516. DB::Exception: auditor: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)"
            )
            return
        statement, data = (asked["query"], body) if "query" in asked else (body.decode(), b"")
        try:
            self._answer(statement, data, asked)
        except RuntimeError as error:  # chdb's own
            self._refuse(f"{error} {_VERSION}\n")

    def _who(self) -> tuple[str | None, str | None]:
        """Name and password: from ClickHouse's headers, or from HTTP's."""
        kind, _, basic = self.headers.get("Authorization", "").partition(" ")
        if kind != "Basic":
            return self.headers.get("X-ClickHouse-User"), self.headers.get("X-ClickHouse-Key")
        user, _, password = b64decode(basic).decode().partition(":")
        return user, password

    def _answer(self, statement: str, data: bytes, asked: dict[str, str]) -> None:
        if statement == _HELLO:
            self._send(200, _hello())
            return
        session = _session(self.folder)
        try:
            session.query(f"USE {asked['database']}" if asked.get("database", "default") != "default" else "SELECT 1")
            for name, value in asked.items():
                if name not in _NOT_SETTINGS and not name.startswith("param_"):
                    session.query(f"SET {name} = '{value}'")
            parameters = {name.removeprefix("param_"): value for name, value in asked.items() if name.startswith("param_")}
            text = statement.rstrip().rstrip(";")
            if text.upper().startswith("INSERT") and " FORMAT " in text:
                self._insert(session, text, data)
            elif text.upper().startswith(("SELECT", "DESC", "SHOW", "WITH", "EXPLAIN")):
                self._stream(session, text, parameters, asked.get("default_format", "TabSeparated"))
            else:
                session.query(text)
                self._text(200, "")
        finally:
            session.close()

    def _insert(self, session: Any, text: str, data: bytes) -> None:
        head, _, form = text.rpartition("FORMAT ")
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".rows") as file:
            file.write(data)
            file.flush()
            session.query(f"{head.strip()} FROM INFILE '{file.name}' FORMAT {form}")
        self._text(200, "")

    def _stream(self, session: Any, text: str, parameters: dict[str, str], form: str) -> None:
        """The engine writes its answer into a pipe, in its own format and its own pace, and this passes it on."""
        select, _, said = text.rpartition("FORMAT ")
        select, form = (select.strip(), said.strip()) if select and " " not in said.strip() else (text, form)
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        pipe = folder / "answer"
        os.mkfifo(pipe)
        answer = os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb")
        kept = os.open(pipe, os.O_WRONLY)  # until the engine has ended, there is one who writes
        os.set_blocking(answer.fileno(), True)
        failed: list[str] = []
        writer = threading.Thread(
            target=_write, args=(session, f"{select} INTO OUTFILE '{pipe}' APPEND FORMAT {form}", parameters, kept, failed)
        )
        writer.start()
        try:
            with answer:
                self._pass_on(answer, failed)
        except OSError:  # whoever asked has enough: the engine finds the pipe closed
            self.close_connection = True
        finally:
            writer.join()
            shutil.rmtree(folder)

    def _pass_on(self, answer: io.BufferedReader, failed: list[str]) -> None:
        piece = answer.read1(_PIECE)
        if not piece and failed:
            self._refuse(f"{failed[0]} {_VERSION}\n")
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece:
            self._chunk(piece)
            piece = answer.read1(_PIECE)
        self._end(failed)

    def _end(self, failed: list[str]) -> None:
        if failed and self.ending == "cut":
            self.close_connection = True
            return
        if failed:
            words = f"{failed[0]} {_VERSION}\n"
            frame = f"__exception__\r\nabcdefgh\r\n{words}{len(words)} abcdefgh\r\n__exception__\r\n"
            self._chunk((frame if self.ending == "frame" else words).encode())
        self._chunk(b"")

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.flush()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _refuse(self, words: str) -> None:
        found = _CODE.search(words)
        code = int(found[1]) if found else 0
        self._send(_STATUS.get(code, 500), words.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def _text(self, status: int, words: str) -> None:
        self._send(status, words.encode())

    def _send(self, status: int, words: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(words))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(words)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


class _Doorman(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked may go away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _session(folder: str) -> Any:
    return import_module("chdb.session").Session(folder)  # half a gigabyte, which not everybody has


def _write(session: Any, select: str, parameters: dict[str, str], kept: int, failed: list[str]) -> None:
    try:
        session.query(select, params=parameters or None)
    except RuntimeError as error:
        failed.append(str(error).rstrip())
    finally:
        os.close(kept)


def _hello() -> bytes:
    """The answer to a driver's first question, in `Native` with today's block header; it says that we speak the oldest dialect."""
    head = b"\x01\x00\x02\xff\xff\xff\xff\x00"
    texts = {"displayName()": b"door", "version()": b"26.9.2", "timezone()": b"UTC"}
    columns = [
        (name, b"UInt32", (0).to_bytes(4, "little")) if name == "revision()" else (name, b"String", _varied(texts[name]))
        for name in ("displayName()", "version()", "revision()", "timezone()")
    ]
    body = b"".join(_varied(name.encode()) + _varied(kind) + b"\x00" + value for name, kind, value in columns)
    return head + bytes([len(columns), 1]) + body


def _varied(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def main() -> None:
    """Serve until standard input is closed."""
    folder, port, ending = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    door = type("Door", (_Door,), {"folder": folder, "ending": ending})
    Path(folder).mkdir(parents=True, exist_ok=True)
    kept = _session(folder)  # else the engine would end with every answer, and begin with every question
    server = _Doorman(("127.0.0.1", port), door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()
    kept.close()
    os._exit(0)


if __name__ == "__main__":
    main()
