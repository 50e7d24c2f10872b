"""OTLP over HTTP, Protobuf or JSON."""

from __future__ import annotations

import gzip
import os
import ssl
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final

import requests
from opentelemetry.exporter.otlp.proto.http import _common
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from requests.structures import CaseInsensitiveDict

from ..journal.backlog import Batch
from .answers import Answer, Verdict, of_http
from .otlp import NOT_ENCODABLE, UNENCODABLE, json_request, protobuf_request

__all__ = ("HttpSender", "Target")

_LONGEST_ANSWER: Final = 1 << 20
_CREDENTIALS: Final = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_LOGS_CREDENTIAL_PROVIDER"
_PIECE: Final = 1 << 16
_COMPRESS: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {"gzip": lambda data: gzip.compress(data, compresslevel=6, mtime=0), "deflate": zlib.compress},
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how the official exporter would send, by the `OTEL_EXPORTER_OTLP_*` variables."""

    url: str
    headers: CaseInsensitiveDict[str] = field(repr=False)
    verify: bool | str
    """Whether, or by which CA file, the receiver's certificate is checked."""
    cert: str | tuple[str, str] | None
    """Our own certificate (mTLS)."""
    timeout: float
    """Seconds."""

    @classmethod
    def ask(cls) -> Target:
        """Let the exporter send an empty export into a session of ours, which goes nowhere, and look at what it would have sent."""
        session = _Listening()
        OTLPLogExporter(session=session).export([])
        if session.heard is None:
            raise LookupError("the OTLP/HTTP exporter of this OpenTelemetry version does not use the session it is given")
        return session.heard


class _Listening(requests.Session):
    """Answers every request with 200 itself. The exporter of 1.39 puts its settings into the request, that of 1.45 into the session."""

    heard: Target | None = None

    def request(self, method: str | bytes, url: str | bytes, **settings: Any) -> requests.Response:  # type: ignore[override]
        self.heard = Target(
            url=str(url),
            headers=CaseInsensitiveDict({**self.headers, **(settings.get("headers") or {})}),
            verify=self.verify if settings.get("verify") is None else settings["verify"],
            cert=settings.get("cert") or self.cert,
            timeout=round(float(settings["timeout"]), 1),
        )
        response = requests.Response()
        response.status_code, response.raw = HTTPStatus.OK, BytesIO()
        return response


def _credentialed() -> requests.Session | None:
    """The session of the credential provider that `OTEL_PYTHON_EXPORTER_OTLP_HTTP_[LOGS_]CREDENTIAL_PROVIDER` names.

    The exporter takes it only where it is given no other, and has no public door to it; the function is there from 1.39 to 1.45.
    """
    session: requests.Session | None = _common._load_session_from_envvar(_CREDENTIALS)  # noqa: SLF001
    return session


class HttpSender:
    """Sends over one kept-alive connection. See `otlp.Sender`."""

    def __init__(self, *, as_json: bool, target: Target | None = None, titled: bool = False) -> None:
        """Without a *target*, it is the one of the `OTEL_EXPORTER_OTLP_*` variables; *titled*: see `otlp.protobuf_request`."""
        self._as_json = as_json
        self._titled = titled
        self._target = target
        self._by_variables = target is None
        self._session: requests.Session | None = None
        self._process = 0

    def send(self, batch: Batch | None, timeout: float | None = None) -> Answer:
        """See `otlp.Sender`."""
        try:
            body = json_request(batch) if self._as_json else protobuf_request(batch, titled=self._titled)
        except NOT_ENCODABLE:
            return UNENCODABLE
        session, target = self._open()
        compress = _COMPRESS.get(target.headers.get("content-encoding", ""))
        try:
            with session.post(
                target.url,
                data=compress(body) if compress else body,
                headers=target.headers,
                verify=target.verify,
                cert=target.cert,
                timeout=target.timeout if timeout is None else min(timeout, target.timeout),
                allow_redirects=False,
                stream=True,
            ) as response:
                return of_http(response.status_code, response.headers, _read(response))
        except OSError as error:  # every exception of `requests` is one
            return _of_error(error)

    def close(self) -> None:
        """See `otlp.Sender`."""
        session, self._session = self._session, None
        if session is not None and self._process == os.getpid():
            session.close()

    def _open(self) -> tuple[requests.Session, Target]:
        if self._target is None:
            self._target = Target.ask()
            if self._as_json:
                self._target.headers["Content-Type"] = "application/json"
        if self._session is None or self._process != os.getpid():
            # After a fork the old connection is the parent's: two processes writing into it would garble both streams.
            session = _credentialed() if self._by_variables else None
            self._session, self._process = session or requests.Session(), os.getpid()
        return self._session, self._target


def _read(response: requests.Response) -> bytes:
    """The answer's body; what is longer than any OTLP answer is not read to its end."""
    body = b""
    for piece in response.iter_content(_PIECE):
        body += piece
        if len(body) > _LONGEST_ANSWER:
            break
    return body


def _of_error(error: OSError) -> Answer:
    if not isinstance(error, requests.RequestException):
        return Answer(Verdict.MISCONFIGURED, "a certificate file that cannot be read")
    if isinstance(error, ValueError):
        return Answer(Verdict.MISCONFIGURED, "an endpoint that is no URL")
    if _caused_by(error, ssl.SSLCertVerificationError):
        return Answer(Verdict.MISCONFIGURED, "a certificate that is not trusted")
    if isinstance(error, requests.Timeout):
        return Answer(Verdict.RETRY, "timeout", shrink=isinstance(error, requests.ReadTimeout))
    return Answer(Verdict.RETRY, "no connection", shrink=_caused_by(error, ConnectionResetError, BrokenPipeError))


def _caused_by(error: BaseException, *kinds: type[BaseException]) -> bool:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kinds):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
