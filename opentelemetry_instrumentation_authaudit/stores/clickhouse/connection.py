"""ClickHouse's HTTP interface: questions, commands, and how one knows that an answer is whole.

Nothing that comes from outside is pasted into SQL: values are bound as `{name:Type}` parameters. ClickHouse answers 200 before it has
found everything, so an answer may break off, and how it then ends depends on the server's version: with an error in words, in a frame
of its own, as a value of the format, or by hanging up. Therefore an answer counts only when it is closed and has as many rows as it
says at its end, which `FORMAT JSONCompact` does without any setting: a user who may only read need not be allowed to change some.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import requests

from ..errors import StoreError
from ..http import PIECE, Http, reason
from ..store import Address

__all__ = ("ClickHouseError", "Connection", "rows_of")

_PORT, _SECURE_PORT = 8123, 8443
_OPTIONS: Final = frozenset({"table", "password_file", "ca_file", "timeout"})
_TIMEOUT: Final = 300.0
_LONGEST_WORDS: Final = 1 << 16

_WHOLE: Final = ", ".join(
    (
        "limit = 0",
        "offset = 0",
        *(f"{what}_overflow_mode = 'throw'" for what in ("read", "result", "timeout", "sort", "distinct", "set", "transfer")),
    )
)
"""What a profile could do to cut an answer short in silence. A user without the right to change settings may name what they are."""

_ROW: Final = b"\t\t["
_TAIL: Final = 64  # lines
_COUNT: Final = re.compile(r'^\t"rows": (\d+),?$', re.MULTILINE)
_EXCEPTION: Final = re.compile(r'^\t"exception":|^__exception__|^Code: \d+', re.MULTILINE)
_SAID: Final = re.compile(r"Code: (\d+)\. DB::(?:\w*Exception): (.*?)(?:\s*\(version [^)]*\))?\s*(?:\Z|\n|\"$)", re.DOTALL)
_ESCAPES: Final = {ord(plain): f"\\{code}" for plain, code in zip("\\\t\n\r\0\b\f", "\\tnr0bf", strict=True)}

_ADVICE: Final[Mapping[int, str]] = {
    47: "the table is none of ours: `authaudit store init` makes one",
    60: "make the table with `authaudit store init --store URL`, or name it with ?table=",
    81: "make the database with `authaudit store init --store URL`",
    158: "a limit of this user's profile: narrow the question with --since and --until, or raise it",
    159: "a limit of this user's profile: narrow the question with --since and --until, or raise it",
    164: "the profile of this user cuts answers short and may not be changed: ask with one that does not",
    192: "create the user, or name another in the URL",
    193: "give the right password with ?password_file=",
    241: "the server has too little memory for it: narrow the question with --since and --until",
    307: "a limit of this user's profile: narrow the question with --since and --until, or raise it",
    396: "a limit of this user's profile: narrow the question with --since and --until, or raise it",
    497: "give the user the role audit_reader to ask, audit_writer to write, audit_retention to set the lifetime",
    516: "give user and password: clickhouse://USER@HOST:8123/audit?password_file=FILE",
}


class ClickHouseError(StoreError):
    """The server refuses, in its own words and with its code; 0 where it is not known."""

    def __init__(self, says: str, code: int = 0) -> None:
        super().__init__(says)
        self.code = code


class Connection:
    """A connection for one thread, see `http.Http`."""

    def __init__(self, address: Address) -> None:
        """StoreError for an option that is none, or files that cannot be read."""
        port = _SECURE_PORT if address.scheme.endswith("+https") else _PORT
        several = "a load balancer, or one node and a Distributed table"
        self._http = Http(address, port=port, options=_OPTIONS, several=several)
        self._login = {"X-ClickHouse-User": address.user or "default", "X-ClickHouse-Key": address.secret}
        self._timeout = _seconds(address.options.get("timeout"))

    def rows(self, question: str, parameters: Mapping[str, str | int] | None = None) -> Iterator[list[Any]]:
        """The answer's rows as they come. ClickHouseError also after some of them, where the answer breaks off."""
        text = f"{question}\nSETTINGS {_WHOLE}\nFORMAT JSONCompact"
        bound = {f"param_{name}": str(value).translate(_ESCAPES) for name, value in (parameters or {}).items()}
        with self._post(bound, text.encode(), self._timeout) as response:
            yield from rows_of(self._pieces(response), self._http.name)

    def run(
        self, statement: str, settings: Mapping[str, str] | None = None, data: bytes = b"", timeout: float | None = None
    ) -> None:
        """Have *statement* done, with the *data* of an INSERT. ClickHouseError if it was not, or if nobody can tell."""
        bound = {"query": statement, "wait_end_of_query": "1", **(settings or {})}
        with self._post(bound, data, min(timeout or self._timeout, self._timeout)) as response:
            words = b"".join(self._pieces(response)).strip()
        if words:
            raise _refusal(words.decode("utf-8", "replace"), self._http.name)

    def close(self) -> None:
        """Let go of it."""
        self._http.close()

    def _post(self, parameters: Mapping[str, str], body: bytes, timeout: float) -> requests.Response:
        try:
            response = self._http.post("/", timeout=timeout, params=parameters, data=body, headers=self._login)
        except OSError as error:  # every exception of `requests` is one
            raise ClickHouseError(
                f"{self._http.name} cannot be reached: {reason(error)}; its HTTP port is usually {_PORT}"
            ) from None
        if response.status_code != HTTPStatus.OK:
            with response:
                words = next(response.iter_content(_LONGEST_WORDS), b"").decode("utf-8", "replace")
            raise _refusal(words, self._http.name, response.status_code)
        return response

    def _pieces(self, response: requests.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_content(PIECE)
        except OSError as error:
            raise ClickHouseError(f"the answer of {self._http.name} broke off: {reason(error)}; ask again") from None


def rows_of(pieces: Iterable[bytes], name: str) -> Iterator[list[Any]]:
    """The rows of an answer in `JSONCompact`. ClickHouseError if it is not whole: not closed, or with another number of rows."""
    count, around = 0, deque[bytes](maxlen=_TAIL)
    for line in _lines(pieces):
        try:
            row = json.loads(line.decode("utf-8", "replace").strip().removesuffix(",")) if line.startswith(_ROW) else None
        except ValueError:  # torn
            row = None
        if row is None:
            around.append(line)
        else:
            count += 1
            yield row
    end = b"\n".join(around).decode("utf-8", "replace")
    said = _COUNT.search(end)
    if said is None or int(said[1]) != count or _EXCEPTION.search(end) or not end.endswith("\n}"):
        why = _SAID.search(end)
        reason = _refusal(end, name) if why else ClickHouseError(f"{name} did not say why; ask again")
        raise ClickHouseError(f"the answer broke off after {count} records: {reason}", reason.code)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _refusal(words: str, name: str, status: int = 0) -> ClickHouseError:
    """What the server says, in one sentence, and what to do about it."""
    said = _SAID.search(words)
    if said is None:
        answer = f"with HTTP {status}, but" if status else "something, but"
        return ClickHouseError(f"{name} answers {answer} not as ClickHouse does: check host and port")
    code, text = int(said[1]), " ".join(said[2].split())[:300]
    advice = f"; {_ADVICE[code]}" if code in _ADVICE else ""
    return ClickHouseError(f"{name} says: {text} [{code}]{advice}", code)


def _seconds(text: str | None) -> float:
    try:
        seconds = _TIMEOUT if text is None else float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:  # noqa: PLR2004 -- also what is no number
        raise StoreError(f"?timeout={text} is no number of seconds")
    return seconds
