"""Who may do what with VictoriaLogs behind vmauth, with the configuration that we ship: each forbidden action is tried."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.pipeline.answers import Verdict
from opentelemetry_instrumentation_authaudit.pipeline.otlp import protobuf_request
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.store import open_store

from ..pipeline import certificates
from .door import Answered, door
from .recorded import MIDNIGHT, SECOND, recorded
from .victorialogs_server import SECRETS, SETTINGS, VictoriaLogs, send, vmauth

WRITER: Final = {"Authorization": f"Bearer {SECRETS['AUTHAUDIT_WRITER_TOKEN']}"}
INSERT, QUERY = "/insert/opentelemetry/v1/logs", "/select/logsql/query"
DAY: Final = {"start": str(MIDNIGHT // SECOND), "end": str(MIDNIGHT // SECOND + 86_400)}
REFUSED: Final = {400, 401}
"""400: the path is not for this user; 401: nobody knows this user."""


@dataclass(frozen=True)
class Door:
    """vmauth, with the recorded day behind it."""

    auth: VictoriaLogs
    behind: VictoriaLogs

    def url(self, login: str) -> str:
        """The store's URL with a login of `USER:PASSWORD`."""
        return f"victorialogs://{login}@127.0.0.1:{self.auth.port}"

    def ask(self, user: str, path: str, asked: Mapping[str, str], headers: Mapping[str, str] | None = None) -> httpx.Response:
        """The answer that *user* has, for the day of the records."""
        login = (user, SECRETS[f"AUTHAUDIT_{user.upper()}_PASSWORD"])
        return httpx.post(f"{self.auth.url}{path}", auth=login, headers=headers, data={**DAY, **asked}, timeout=30)

    def tenants(self, user: str, question: str, **more: str) -> set[str]:
        """The tenants that *user* finds in the answer to *question*."""
        answer = self.ask(user, QUERY, {"query": question, **more})
        assert answer.status_code == 200, answer.text
        found = map(json.loads, answer.text.splitlines())
        return {one.get(names.TENANT, "") for one in found if one.get("_msg") != "---"}  # what stands between contexts


@pytest.fixture(scope="module")
def entrance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A store of its own: behind vmauth, everything is of the first tenant."""
    folder = tmp_path_factory.mktemp("vmauth")
    behind = VictoriaLogs(folder, "single", "-futureRetention=100y")
    with behind, vmauth(folder, behind) as auth:
        found = Door(auth, behind)
        send(open_store(found.url(f":{SECRETS['AUTHAUDIT_WRITER_TOKEN']}")), recorded().batches())
        behind.flush()
        yield found


def test_writer_and_auditor(entrance: Door, tmp_path: Path) -> None:
    """What the writer sent with its token, the auditor reads with his password, also from a file."""
    (tmp_path / "password").write_text(SECRETS["AUTHAUDIT_AUDITOR_PASSWORD"])
    store = open_store(f"{entrance.url('auditor')}?password_file={tmp_path / 'password'}")
    assert len(list(store.records(Filters()))) == len(recorded())


@pytest.mark.parametrize(
    "path",
    [
        QUERY, "/select/logsql/tail", "/select/logsql/stats_query", "/select/vmui/", "/select/tenant_ids",
        "/insert/jsonline", "/insert/loki/api/v1/push", "/insert/elasticsearch/_bulk", "/insert/native", "/insert/multitenant/native",
        "/insert/opentelemetry/v1/logs/../../../select/logsql/query", "/delete/run_task", "/internal/force_flush",
        "/internal/insert", "/internal/partition/list", "/metrics", "/flags", "/debug/pprof/heap", "/-/reload",
    ],
)  # fmt: skip
def test_a_writer_does_nothing_but_write(entrance: Door, path: str) -> None:
    """It reads nothing, not even through other doors, and writes in one way only."""
    answer = httpx.post(f"{entrance.auth.url}{path}", headers=WRITER, data={"query": "*"})
    assert answer.status_code in REFUSED, answer.text
    assert names.RECORD_ID not in answer.text


@pytest.mark.parametrize("user", ["auditor", "acme", "shop", "vmalert"])
@pytest.mark.parametrize(
    "path",
    [
        INSERT, "/insert/jsonline", "/internal/insert", "/delete/run_task", "/delete/active_tasks", "/internal/delete/run_task",
        "/internal/force_flush", "/internal/force_merge", "/internal/partition/detach", "/internal/partition/snapshot/create",
        "/internal/select/query", "/internal/log_new_streams", "/select/tenant_ids", "/select/vmalert/api/v1/rules",
        "/metrics", "/flags", "/debug/pprof/heap", "/-/reload",
    ],
)  # fmt: skip
def test_a_reader_does_nothing_but_read(entrance: Door, user: str, path: str) -> None:
    """It writes nothing, deletes nothing, and does not reach what is meant for operators."""
    assert entrance.ask(user, path, {"query": "*"}).status_code in REFUSED


def test_strangers(entrance: Door) -> None:
    """Without a login, or with a wrong one, every path is refused."""
    logins = (None, ("auditor", "wrong"), ("auditor", ""), ("writer", "x"))
    tries = [(login, path) for login in logins for path in (QUERY, INSERT, "/", "/health", "/metrics")]
    with ThreadPoolExecutor(len(tries)) as pool:  # a refusal is kept back for two or three seconds
        answers = pool.map(lambda one: httpx.post(f"{entrance.auth.url}{one[1]}", auth=one[0], timeout=30).status_code, tries)
        assert set(answers) == {401}


def test_a_sender_that_may_not_write_waits(entrance: Door) -> None:
    """Nobody's records are set aside as faulty because a login is wrong."""
    batch = next(recorded().batches())
    for login in (f"auditor:{SECRETS['AUTHAUDIT_AUDITOR_PASSWORD']}", ":wrong"):
        assert open_store(entrance.url(login)).sender().send(batch).verdict is Verdict.MISCONFIGURED


def test_a_question_that_is_refused(entrance: Door) -> None:
    """It is an error, not an empty answer."""
    with pytest.raises(StoreError, match=r"\[401\]; give user and password"):
        list(open_store(entrance.url("auditor:wrong")).records(Filters()))
    with pytest.raises(StoreError, match=r"missing route.* \[400\]"):
        list(open_store(entrance.url(f":{SECRETS['AUTHAUDIT_WRITER_TOKEN']}")).records(Filters()))


def test_a_writer_cannot_choose_where_its_records_go(entrance: Door) -> None:
    """Tenant, stream and fields are set for it, whatever it asks for in headers or arguments."""
    batch = next(recorded(midnight=MIDNIGHT + 86_400 * SECOND).batches())
    asked = {
        "AccountID": "5",
        "VL-Stream-Fields": "user.id",
        "VL-Ignore-Fields": names.OUTCOME,
        "VL-Extra-Fields": f"{names.TENANT}=forged",
        "VL-Debug": "1",
        "VL-Msg-Field": names.ACTION,
    }
    arguments = {
        "_stream_fields": "user.id", "ignore_fields": names.OUTCOME, "extra_fields": f"{names.TENANT}=forged", "debug": "1",
        "_msg_field": names.ACTION,
    }  # fmt: skip
    answer = httpx.post(
        f"{entrance.auth.url}{INSERT}",
        params=arguments,
        headers={**WRITER, **asked, "Content-Type": "application/x-protobuf"},
        content=protobuf_request(batch),
    )
    assert answer.status_code == 200
    entrance.behind.flush()
    tomorrow = {"query": "*", "start": str(MIDNIGHT // SECOND + 86_400)}
    found = [json.loads(line) for line in httpx.post(f"{entrance.behind.url}{QUERY}", data=tomorrow).text.splitlines()]
    assert len(found) == len(batch.records)
    assert all("service.name" in one["_stream"] and "user.id" not in one["_stream"] for one in found)
    assert all(names.OUTCOME in one and names.ACTION in one and one.get(names.TENANT) != "forged" for one in found)
    elsewhere = httpx.post(f"{entrance.behind.url}{QUERY}", data=tomorrow, headers={"AccountID": "5"})
    assert elsewhere.text == ""


ONE: Final = b'{"_time":"2026-11-20T00:00:00Z","n":"2","audit.record.id":"1"}\n'


@pytest.mark.parametrize("answer", [ONE, ONE + b"\ncannot execute query: timeout\n"])
def test_half_an_answer_stays_half_behind_vmauth(tmp_path: Path, answer: bytes) -> None:
    """Where the store is killed in the middle, vmauth ends the answer as if it were whole; the records are counted."""
    with door(Answered(200, answer, cut=True)) as port:
        server = VictoriaLogs(tmp_path, "auth", AUTHAUDIT_VICTORIALOGS_URL=f"http://127.0.0.1:{port}", **SECRETS)
        with server, pytest.raises(StoreError, match="broke off"):
            store = open_store(f"victorialogs://auditor:{SECRETS['AUTHAUDIT_AUDITOR_PASSWORD']}@127.0.0.1:{server.port}")
            list(store.records(Filters()))


class Encrypted(VictoriaLogs):
    """Says also over TLS only that it serves."""

    def healthy(self) -> bool:
        """See `Server`."""
        trusted = ssl.create_default_context(cafile=self.log.with_name("ca.pem"))
        try:
            return httpx.get(self.health.replace("http:", "https:"), verify=trusted, timeout=2).status_code == 200
        except httpx.TransportError:
            return False


def test_over_tls(entrance: Door, tmp_path: Path) -> None:
    """Logins and records travel encrypted, and who answers is known by its certificate: for questions and for senders."""
    certificates.make(tmp_path)
    flags = ("-tls", f"-tlsCertFile={tmp_path / 'server.pem'}", f"-tlsKeyFile={tmp_path / 'server.key'}")
    server = Encrypted(tmp_path, "auth", *flags, AUTHAUDIT_VICTORIALOGS_URL=entrance.behind.url, **SECRETS)
    with server:
        place = f"127.0.0.1:{server.port}"
        reader = f"victorialogs+https://auditor:{SECRETS['AUTHAUDIT_AUDITOR_PASSWORD']}@{place}"
        writer = f"victorialogs+https://:{SECRETS['AUTHAUDIT_WRITER_TOKEN']}@{place}"
        trusted = f"?ca_file={tmp_path / 'ca.pem'}"
        assert len(list(open_store(f"{reader}{trusted}").records(Filters(until=MIDNIGHT + 86_400 * SECOND)))) == len(recorded())
        assert open_store(f"{writer}{trusted}").sender().send(None).verdict is Verdict.ACCEPTED
        with pytest.raises(StoreError, match="its certificate was refused"):
            list(open_store(reader).records(Filters()))
        assert open_store(writer).sender().send(None).detail == "a certificate that is not trusted"
        with pytest.raises(StoreError, match=r"cannot be reached|says: "):
            list(open_store(reader.replace("+https", "")).records(Filters()))


ACME: Final = [
    "*",
    '"audit.tenant":="globex"',
    "* or *",
    '* | union ("audit.tenant":="globex")',
    '"audit.record.id":in("audit.tenant":="globex" | fields "audit.record.id")',
    '* | join by ("audit.action") ("audit.tenant":="globex" | fields "audit.action", "audit.tenant")',
    "options(ignore_global_time_filter=true) *",
    'options(global_filter=("audit.tenant":="globex")) *',
    '* | fields "audit.tenant" | uniq by ("audit.tenant")',
    '* | stats by ("audit.tenant") count() n',
    "* | stream_context before 10 after 10",
]
"""What somebody may try who is to see the records of acme only."""


@pytest.mark.parametrize("question", ACME)
def test_a_reader_of_one_tenant(entrance: Door, question: str) -> None:
    """No way of asking leads to the records of another: not unions, joins, subqueries, options, contexts."""
    assert entrance.tenants("acme", question) <= {"acme"}
    assert entrance.tenants("acme", question, extra_filters='{"audit.tenant":"globex"}', hidden_fields_filters="") <= {"acme"}


@pytest.mark.parametrize(
    "path", ["hits", "facets", "field_names", "field_values", "streams", "stream_ids", "stats_query", "stats_query_range", "tail"]
)
def test_other_questions_of_a_reader_of_one_tenant(entrance: Door, path: str) -> None:
    """What is counted or listed is of its own tenant, too."""
    asked = {
        "query": '* | stats by ("audit.tenant") count() n' if path.startswith("stats") else "*",
        "field": "audit.tenant",
        "step": "1d",
    }
    if path == "tail":
        asked = {"query": "*", "start_offset": "3650d", "refresh_interval": "100ms"}
    text = ""
    with (
        contextlib.suppress(httpx.ReadTimeout),  # it never ends where it is followed
        httpx.stream(
            "POST",
            f"{entrance.auth.url}/select/logsql/{path}",
            auth=("acme", SECRETS["AUTHAUDIT_ACME_PASSWORD"]),
            data={**DAY, **asked, "extra_filters": '"audit.tenant":*'},
            timeout=5,
        ) as answer,
    ):
        assert answer.status_code == 200
        for piece in answer.iter_text():
            text += piece
            if path == "tail" and "acme" in text:
                break
    assert "acme" in text or path in {"hits", "facets", "field_names", "stream_ids"}
    assert "globex" not in text


def test_another_account_cannot_be_asked(entrance: Door) -> None:
    """The headers that name a tenant of the store are set by vmauth."""
    every = entrance.ask("auditor", QUERY, {"query": "* | count() n"}).text
    assert entrance.ask("auditor", QUERY, {"query": "* | count() n"}, {"AccountID": "5", "ProjectID": "7"}).text == every


def test_a_reader_of_one_service(entrance: Door) -> None:
    """It sees what its service recorded."""
    for question in ("*", '{"service.name"="api"} or *', '* | union ({"service.name"="api"})'):
        lines = entrance.ask("shop", QUERY, {"query": question, "extra_stream_filters": "{service.name=api}"}).text.splitlines()
        assert {json.loads(line)["service.name"] for line in lines} <= {"shop"}
    store = open_store(entrance.url(f"shop:{SECRETS['AUTHAUDIT_SHOP_PASSWORD']}"))
    assert {record.service for record in store.records(Filters())} == {"shop"}
    assert list(store.records(Filters(service=("api",)))) == []


def test_vmalert_counts_and_reads_nothing(entrance: Door) -> None:
    """Its questions are answered, a record is not given to it."""
    assert entrance.ask("vmalert", "/select/logsql/stats_query", {"query": "* | stats count() n"}).status_code == 200
    assert entrance.ask("vmalert", QUERY, {"query": "*"}).status_code == 400


@pytest.mark.parametrize(
    ("arguments", "environ", "says"),
    [
        ((), {}, "single, storage, insert, select, auth or alert URL"),
        (("double",), {}, "single, storage, insert, select, auth or alert URL"),
        (("alert",), {}, "the address of an Alertmanager"),
        (("select",), {}, "AUTHAUDIT_VICTORIALOGS_NODES"),
        (("single",), {"OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME": "0"}, "neither a number of days nor infinity"),
        (("single",), {"OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME": "90d"}, "neither a number of days nor infinity"),
    ],
)
def test_started_wrongly(arguments: tuple[str, ...], environ: dict[str, str], says: str) -> None:
    """It says what is wrong, and starts nothing: a lifetime that was misread would delete."""
    command = [str(SETTINGS / "run.sh"), *arguments]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"], **environ}, capture_output=True, text=True, check=False)
    assert (done.returncode, says in done.stderr) == (2, True)


@pytest.mark.parametrize(("days", "flag"), [("30", "30d"), ("infinity", "100y"), (None, "90d")])
def test_the_one_variable_of_retention(tmp_path: Path, days: str | None, flag: str) -> None:
    """The store that `run.sh` starts keeps records as long as the variable says."""
    environ = {} if days is None else {"OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME": days}
    server = VictoriaLogs(tmp_path, "single", **environ)
    if days is None:
        del server.environ["OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME"]
    with server:
        flags = httpx.get(f"{server.url}/flags").text
        assert f'-retentionPeriod="{flag}"' in flags


def test_what_nobody_may_reach_is_switched_off_besides(entrance: Door) -> None:
    """Even past vmauth: nothing can be deleted, and there is no protocol of clusters."""
    for path in ("/delete/run_task", "/internal/delete/run_task", "/internal/select/query", "/internal/insert"):
        assert httpx.post(f"{entrance.behind.url}{path}", data={"filter": "*", "query": "*"}).status_code == 400
