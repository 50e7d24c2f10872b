"""VictoriaLogs' HTTP interface: questions, and how one knows that an answer is whole.

It answers 200 before it has found everything; what goes wrong afterwards is written behind the last record and the connection is cut.
In a cluster, an answer without the records of a storage node that is away is asked for only where the URL says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests.structures import CaseInsensitiveDict

from ...pipeline.otlp_http import Target
from ..errors import StoreError
from ..http import CONNECT_SECONDS, PIECE, Http, reason
from ..store import Address

__all__ = ("Connection", "moment")

_PORT: Final = 9428
_OPTIONS: Final = frozenset({"account", "project", "password_file", "ca_file", "allow_partial"})
_READ, _SEND = 300.0, 30.0  # seconds
_LONGEST_WORDS: Final = 400
_TENANTS: Final = 1 << 32
_ADVICE: Final[Mapping[int, str]] = MappingProxyType(
    {
        HTTPStatus.UNAUTHORIZED: "; give user and password: victorialogs://USER@HOST/?password_file=FILE (no user: a bearer token)",
        HTTPStatus.FORBIDDEN: "; give a user who may ask",
        HTTPStatus.NOT_FOUND: "; check host, port and prefix",
        HTTPStatus.BAD_GATEWAY: "; a storage node is away, so the answer would not be whole: ask again, or add ?allow_partial=1",
        HTTPStatus.SERVICE_UNAVAILABLE: "; it is busy or away: ask again",
        HTTPStatus.TOO_MANY_REQUESTS: "; it is busy: ask again",
    }
)


class Connection:
    """A connection for one thread, see `http.Http`."""

    def __init__(self, address: Address) -> None:
        """StoreError for an option that is none, or files that cannot be read."""
        several = "vmauth in front of several, which shares the questions out"
        self._http = Http(address, port=_PORT, options=_OPTIONS, several=several)
        self.name = self._http.name
        self._prefix = f"/{address.database.strip('/')}".rstrip("/")
        self._headers = {
            "AccountID": _tenant(address, "account"),
            "ProjectID": _tenant(address, "project"),
        }
        self._partial = address.options.get("allow_partial", "0") in {"1", "true"}
        self._auth = _Login(address.user, address.secret)

    def objects(self, question: str, begin: int, end: int) -> Iterator[dict[str, str]]:
        """The answer's objects as they come, of the times (nanoseconds) from *begin* to before *end*.

        StoreError also after some of them, where the answer breaks off.
        """
        asked = {
            "query": question,
            "start": moment(begin),
            "end": moment(end),
            "allow_partial_response": str(int(self._partial)),
        }
        with self._post(asked) as response:
            try:
                yield from map(self._object, filter(None, response.iter_lines(PIECE)))
            except OSError as error:  # every exception of `requests` is one
                raise StoreError(f"the answer of {self.name} broke off: {reason(error)}; ask again") from None

    def page(self, path: str) -> str:
        """What the server says of itself at *path*. StoreError."""
        try:
            response = requests.get(
                f"{self._http.base}{self._prefix}{path}",
                auth=self._auth,
                verify=self._http.verify,
                timeout=(CONNECT_SECONDS, _SEND),
                allow_redirects=False,
            )
        except OSError as error:
            raise StoreError(f"{self.name} cannot be reached: {reason(error)}; its port is usually {_PORT}") from None
        if response.status_code != HTTPStatus.OK:
            raise StoreError(
                f"{self.name} does not show {path} [{response.status_code}]: ask the store itself, not vmauth in front of it"
            )
        return response.text

    def target(self) -> Target:
        """Where records are sent to."""
        headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(
            {
                **self._headers,
                **self._auth.headers,
                "Content-Type": "application/x-protobuf",
                "Content-Encoding": "gzip",
                "VL-Stream-Fields": "service.name",
            }
        )
        url = f"{self._http.base}{self._prefix}/insert/opentelemetry/v1/logs"
        return Target(url, headers, self._http.verify, None, _SEND)

    def close(self) -> None:
        """Let go of it."""
        self._http.close()

    def _post(self, asked: Mapping[str, str]) -> requests.Response:
        try:
            response = self._http.post(
                f"{self._prefix}/select/logsql/query", timeout=_READ, data=asked, headers=self._headers, auth=self._auth
            )
        except OSError as error:
            raise StoreError(f"{self.name} cannot be reached: {reason(error)}; its port is usually {_PORT}") from None
        if response.status_code != HTTPStatus.OK:
            with response:
                words = next(response.iter_content(PIECE), b"").decode("utf-8", "replace")
            raise StoreError(f"{self.name} says: {_short(words)} [{response.status_code}]{_ADVICE.get(response.status_code, '')}")
        return response

    def _object(self, line: bytes) -> dict[str, str]:
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            words = _short(line.decode("utf-8", "replace"))
            raise StoreError(f"the answer of {self.name} broke off: {words}; narrow the question with --since and --until")
        return found


class _Login(AuthBase):
    """User and password, or a token where there is no user. Given with every request, so that no `.netrc` puts another in its place."""

    def __init__(self, user: str, secret: str) -> None:
        request = requests.Request(method="POST", url="http://localhost").prepare()
        if user:
            HTTPBasicAuth(user.encode(), secret.encode())(request)
        elif secret:
            request.headers["Authorization"] = f"Bearer {secret}"
        self.headers = {name: str(value) for name, value in request.headers.items() if name == "Authorization"}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self.headers)
        return request


def moment(time: int) -> str:
    """Nanoseconds since the epoch in RFC 3339: VictoriaLogs takes a bare number for seconds, or more, by its size."""
    seconds, rest = divmod(time, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _tenant(address: Address, option: str) -> str:
    text = address.options.get(option, "0")
    if not (text.isascii() and text.isdecimal() and int(text) < _TENANTS):
        raise StoreError(f"?{option}={text} is no number of a tenant: from 0 to {_TENANTS - 1}")
    return text


def _short(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= _LONGEST_WORDS else f"{line[:_LONGEST_WORDS]}..."
