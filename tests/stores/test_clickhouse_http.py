"""ClickHouse's answers as they come over the wire, whole and broken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from opentelemetry_instrumentation_authaudit.stores.clickhouse import open_address
from opentelemetry_instrumentation_authaudit.stores.clickhouse.connection import ClickHouseError, Connection, rows_of
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.store import Address

WHOLE = b"""{
\t"meta":
\t[
\t\t{
\t\t\t"name": "EventName",
\t\t\t"type": "String"
\t\t}
\t],

\t"data":
\t[
\t\t["auth.sign_in", {"user.id":"a\\n\\t[\\"b"}],
\t\t["auth.sign_out", {}]
\t],

\t"rows": 2,

\t"statistics":
\t{
\t\t"elapsed": 0.001
\t}
}
"""
ROWS = [["auth.sign_in", {"user.id": 'a\n\t["b'}], ["auth.sign_out", {}]]
WORDS = b"Code: 396. DB::Exception: Limit for result exceeded, max rows: 1. (TOO_MANY_ROWS_OR_BYTES) (version 26.9.2.1)\n"
FRAME = b"__exception__\r\nPU1FNUFH98\r\n" + WORDS + b"112 PU1FNUFH98\r\n__exception__\r\n"


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_an_answer_comes_in_pieces_of_any_size(size: int) -> None:
    """Rows are rows, wherever the network cuts them."""
    pieces = (WHOLE[start : start + size] for start in range(0, len(WHOLE), size))
    assert list(rows_of(pieces, "here")) == ROWS


def test_an_answer_that_stops_anywhere_is_not_whole() -> None:
    """Wherever a server hangs up, its answer is refused; only the last newline may be missing."""
    for end in range(len(WHOLE) - 1):
        with pytest.raises(ClickHouseError, match="broke off"):
            list(rows_of([WHOLE[:end]], "here"))
    assert list(rows_of([WHOLE[:-1]], "here")) == ROWS


def interrupted(ending: bytes) -> bytes:
    """The answer after its first row, and how a server then ends it."""
    return WHOLE[: WHOLE.index(b",\n\t\t[")] + ending


@pytest.mark.parametrize(
    "answer",
    [
        interrupted(WORDS),
        interrupted(b",\n" + WORDS),
        interrupted(b',\n\t\t["auth.si' + WORDS),
        interrupted(b"\n" + FRAME),
        interrupted(b'\n\t],\n\n\t"rows": 1,\n\n\t"exception": "' + WORDS.strip() + b'"\n}\n'),
        WHOLE + FRAME,
    ],
    ids=["words", "words on a line of their own", "words in a row", "frame", "in the format", "frame behind everything"],
)
def test_an_error_in_the_middle_is_an_error(answer: bytes) -> None:
    """However a server says that it could not go on, its reason is told, and what to do."""
    with pytest.raises(
        ClickHouseError, match=r"broke off after \d records: here says: Limit for result exceeded.*--since"
    ) as caught:
        list(rows_of([answer], "here"))
    assert caught.value.code == 396


def test_a_wrong_count_is_an_error() -> None:
    """Rows that were lost between the server and us, by whatever means, are missed."""
    with pytest.raises(ClickHouseError, match="broke off after 1 records"):
        list(rows_of([WHOLE.replace(b'\t\t["auth.sign_out", {}]\n', b"")], "here"))


def test_what_is_no_utf8_costs_its_own_field() -> None:
    """A value of bytes that are no text is shown as such: `verify` then says that the record is not what it was."""
    assert next(rows_of([WHOLE.replace(b"a\\n", b"\xff")], "here"))[1] == {"user.id": '\ufffd\t["b'}


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server on loopback that answers so; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer(self)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"clickhouse://ann:secret@127.0.0.1:{server.server_port}/audit"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def says(status: int, body: bytes, **headers: str) -> Answer:
    """An answer that is closed."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    """Half an answer in chunks, and no end."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    piece = interrupted(b",\n")
    handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))


@pytest.mark.parametrize(
    ("answer", "says_so"),
    [
        (hangs_up, "broke off: connection refused or lost"),
        (says(200, b"<html>Welcome</html>"), "broke off after 0 records"),
        (says(502, b"<html>Bad gateway</html>"), "with HTTP 502, but not as ClickHouse does"),
        (says(307, b"", Location="http://192.0.2.1/"), "with HTTP 307, but not as ClickHouse does"),
        (
            says(403, b"Code: 516. DB::Exception: ann: Authentication failed. (AUTHENTICATION_FAILED) (version 26.9)\n"),
            "password_file",
        ),
        (says(404, b"Code: 60. DB::Exception: Table audit.x does not exist. (UNKNOWN_TABLE) (version 26.9)\n"), "store init"),
        (says(403, b"Code: 497. DB::Exception: ann: Not enough privileges. (ACCESS_DENIED) (version 26.9)\n"), "audit_reader"),
    ],
)
def test_what_is_no_answer_is_told_with_what_to_do(answer: Answer, says_so: str) -> None:
    """A proxy, another program, a wrong password: one sentence, without the password."""
    with answering(answer) as url, pytest.raises(ClickHouseError) as caught:
        list(Connection(Address.parse(url)).rows("SELECT 1"))
    assert says_so in str(caught.value)
    assert "secret" not in str(caught.value)


def test_nobody_there_is_told() -> None:
    """A closed port: what was tried, and where ClickHouse usually listens."""
    with pytest.raises(ClickHouseError, match=r"127\.0\.0\.1:1/audit cannot be reached.*8123"):
        list(Connection(Address.parse("clickhouse://127.0.0.1:1/audit")).rows("SELECT 1"))


def test_values_are_bound_and_never_part_of_the_question() -> None:
    """A value with everything that means something in SQL travels as a parameter, in the escapes of ClickHouse's TSV."""
    heard: list[tuple[str, dict[str, list[str]]]] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        heard.append((handler.headers["X-ClickHouse-User"], parse_qs(urlsplit(handler.path).query)))
        says(200, WHOLE)(handler)

    with answering(answer) as url:
        assert list(Connection(Address.parse(url)).rows("SELECT {p0:String}", {"p0": "a'; DROP\t\\N\n"})) == ROWS
    assert heard == [("ann", {"param_p0": ["a'; DROP\\t\\\\N\\n"]})]


def test_a_statement_that_says_something_was_not_done() -> None:
    """An INSERT's answer is empty; words in it, though the status is 200, are a refusal."""
    with answering(says(200, WORDS)) as url, pytest.raises(ClickHouseError, match="Limit for result exceeded"):
        Connection(Address.parse(url)).run("INSERT INTO audit.auth_audit FORMAT JSONEachRow", data=b"{}")


@pytest.mark.parametrize(
    ("url", "says_so"),
    [
        ("clickhouse://h/audit?tabel=x", r"\?tabel= is no option"),
        ("clickhouse://h/audit?timeout=soon", "no number of seconds"),
        ("clickhouse://h/audit?timeout=nan", "no number of seconds"),
        ("clickhouse://h/audit?table=a%20b", "no name of a database or table"),
        ("clickhouse://h/au-dit", "no name of a database or table"),
        ("clickhouse://h,i/audit", "one host"),
        ("clickhouse://h/audit?password_file=/nowhere", "cannot be read"),
    ],
)
def test_a_url_that_means_nothing_is_told_before_anything_is_asked(url: str, says_so: str) -> None:
    """A typing error is not passed over in silence."""
    with pytest.raises(StoreError, match=says_so):
        open_address(Address.parse(url))


def test_the_password_is_taken_from_its_file(tmp_path: Path) -> None:
    """The first line of a file is the password; the URL that is shown has none."""
    file = tmp_path / "password"
    file.write_text("from a file\nand more\n", encoding="utf-8")
    heard: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        heard.append(handler.headers["X-ClickHouse-Key"])
        says(200, WHOLE)(handler)

    with answering(answer) as url:
        address = Address.parse(url.replace(":secret", "") + f"?password_file={file}")
        list(Connection(address).rows("SELECT 1"))
    assert heard == ["from a file"]
    assert "from a file" not in str(open_address(address))
