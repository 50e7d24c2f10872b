"""VictoriaLogs as a store gives the answers that files give, says so where it cannot, and takes what senders send."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.cli.main import main
from opentelemetry_instrumentation_authaudit.config import load
from opentelemetry_instrumentation_authaudit.journal.backlog import Batch
from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.pipeline.otlp import protobuf_request
from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Keyring
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Record, Unreadable
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.files import FileStore
from opentelemetry_instrumentation_authaudit.stores.store import Address, open_store
from opentelemetry_instrumentation_authaudit.stores.victorialogs.store import VictoriaLogsStore

from ..collector.running import until
from ..ports import free_port
from .door import Answered, door
from .happenings import ANN, OFFICE
from .recorded import FIRST_SIGNING_KEY, HASH_KEY, MIDNIGHT, SECOND, batch_of, recorded
from .victorialogs_server import Tenant, VictoriaLogs

NOON = MIDNIGHT + 12 * 3600 * SECOND
KEYS = Keyring.of(load({}, hash_key=HASH_KEY))
QUESTIONS = {
    "everything": Filters(),
    "a subject": Filters(subject=(ANN.subject,)),
    "two subjects": Filters(subject=(ANN.subject, "auth.user:2")),
    "failures": Filters(status=("failure",)),
    "an action": Filters(action=("sign_in",)),
    "patterns": Filters(action=("*_sign_in", "verify_{f}"), event=("auth.*",)),
    "an event": Filters(event=("mfa.verify", "auth.sign_out")),
    "a strategy or provider": Filters(strategy=("github", "totp")),
    "a provider": Filters(provider=("github",)),
    "a tenant": Filters(tenant=("acme",)),
    "a service": Filters(service=("api", "admin")),
    "an address": Filters(ip=(OFFICE,)),
    "a network": Filters(ip=("203.0.113.0/24",)),
    "an identity": Filters(identity=(ANN.identity,), keys=KEYS),
    "the morning": Filters(until=NOON),
    "the afternoon": Filters(since=NOON, without=("auth.sign_out", "audit.stop")),
    "all at once": Filters(status=("failure",), event=("auth.*",), ip=("203.0.113.66",), since=MIDNIGHT, until=NOON),
    "nobody": Filters(subject=("nobody",)),
    "a time that is over": Filters(until=0),
    "a time without end": Filters(since=1 << 70),
}


@pytest.fixture(scope="module")
def day(victorialogs: VictoriaLogs) -> Tenant:
    """The recorded day."""
    tenant = victorialogs.tenant()
    tenant.put(recorded().batches())
    return tenant


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> FileStore:
    """The same as a file."""
    path = recorded().collected(tmp_path_factory.mktemp("files"))
    return FileStore([path], [path], Unreadable())


def plain(records: Iterable[Record]) -> list[Record]:
    """Records without the place where they stand."""
    return [replace(record, file="", around=None) for record in records]


@pytest.mark.parametrize("question", QUESTIONS)
def test_it_gives_the_answers_that_files_give(day: Tenant, files: FileStore, question: str) -> None:
    """The same records, whole, in the same order; the newest three; and every copy."""
    filters, store = QUESTIONS[question], day.open()
    expected = plain(files.records(filters))
    assert plain(store.records(filters)) == expected
    assert plain(store.last(filters, 3)) == expected[-3:]
    assert sorted(record.id for record in store.copies(filters)) == sorted(record.id for record in expected)


def test_it_walks_through_time_in_small_steps(day: Tenant, files: FileStore) -> None:
    """With room for seven records at once, it asks day by day, hour by hour, minute by minute, and misses none."""
    store = VictoriaLogsStore(Address.parse(day.store), at_once=7, a_few=7)
    expected = plain(files.records(Filters()))
    assert plain(store.records(Filters())) == expected
    assert plain(store.last(Filters(), 100)) == expected[-100:]
    assert sum(1 for _ in store.copies(Filters())) == len(expected)


def test_what_was_sent_twice_is_one_record_in_two_copies(tenant: Tenant) -> None:
    """As often as it was delivered, it stands there."""
    first = next(recorded().batches(10))
    tenant.put([first, first])
    store, told, count = tenant.open(), list[int](), len(first.records)
    assert len(list(store.records(Filters()))) == len(store.last(Filters(), 100)) == count
    assert len(list(store.copies(Filters(), told.append))) == sum(told) == store.size() == 2 * count


def test_the_chains_are_whole(day: Tenant, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verifier makes every record's bytes again from what the store keeps, and checks every signature."""
    key = tmp_path / "first.key"
    key.write_text(FIRST_SIGNING_KEY)
    assert main(["verify", "--store", day.store, "--key", str(key)]) == 0
    assert f"{len(recorded())} records in {len(recorded().streams)} streams; " in capsys.readouterr().out


def test_a_gap_is_found(tenant: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody took three records out."""
    tenant.put(recorded().with_gap().batches())
    assert main(["verify", "--store", tenant.store]) == 1
    assert "FAULT deleted" in capsys.readouterr().out


def test_the_commands_ask_it(day: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    """`authaudit query` and `tail` take its URL."""
    assert main(["query", "--store", day.store, "--subject", ANN.subject, "--format", "json"]) == 0
    assert {json.loads(line)[names.SUBJECT] for line in capsys.readouterr().out.splitlines()} == {ANN.subject}
    assert main(["tail", "--store", day.store, "-n", "3", "--format", "json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


HOSTILE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.text(
    st.sampled_from("\"'`\\{}()[]|*:=<>!~,.# \t\n\r\x00aA0ß\u212a\ufffd\U0001f600"), min_size=1, max_size=12
)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(HOSTILE, min_size=1, max_size=6, unique=True), asked=HOSTILE)
def test_no_value_breaks_a_question(victorialogs: VictoriaLogs, values: list[str], asked: str) -> None:
    """Quotes, braces, pipes, backslashes, line ends, anything: what is asked for is found, and nothing else."""
    tenant = victorialogs.tenant()
    records = [made(number, value) for number, value in enumerate(values)]
    tenant.put([batch(*records, **{"service.name": values[0]})])
    store = tenant.open()
    found = {record.id: record for record in store.records(Filters())}
    assert [found[str(number)].attributes for number in range(len(values))] == [
        {name: str(value) for name, value in record.attributes.items()} for record in records
    ]
    for value in (*values, asked):
        for filters in (
            Filters(subject=(value,)),
            Filters(tenant=("other", value)),
            Filters(identity=(value,), keys=KEYS),
            Filters(action=(f"{value}*",)),
            Filters(service=(value,)),
        ):
            assert [record.id for record in store.records(filters)] == passing(found.values(), filters)


ADDRESSES = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=4).map(lambda address: f"{address}:443"),
    st.ip_addresses(v=4).map(lambda address: f"::ffff:{address}"),
    st.ip_addresses(v=4, network="192.0.2.0/29").map(str),
    st.sampled_from(
        ["192.0.2.0/24", "2001:db8::/48", "invalid", "192.0.2.256", "1.2.3", "::192.0.2.1", " 192.0.2.1", "192.0.2.1%0"]
    ),
)


@settings(max_examples=25, deadline=None)
@given(stored=st.lists(ADDRESSES, min_size=1, max_size=8, unique=True))
def test_no_spelling_of_an_address_hides_it(victorialogs: VictoriaLogs, stored: list[str]) -> None:
    """Addresses, with ports, mapped, as networks, hashed, or none at all: the store never leaves out one that fits."""
    tenant = victorialogs.tenant()
    hashes = [KEYS.address(b"\xc0\x00\x02\x01"), KEYS.address(b"\xc0\x00\x02\x02")]
    records = [made(number, "s", **{names.CLIENT_ADDRESS: text}) for number, text in enumerate([*stored, *hashes])]
    tenant.put([batch(*records)])
    store = tenant.open()
    found = list(store.records(Filters()))
    for asked in ("192.0.2.1", "192.0.2.0/29", "0.0.0.0/0", "2001:db8::/32", "::ffff:192.0.2.1"):
        filters = Filters(ip=(asked,), keys=KEYS)
        assert [record.id for record in store.records(filters)] == passing(found, filters), asked


def test_more_values_than_fit_into_a_question(day: Tenant, files: FileStore) -> None:
    """The server refuses questions of more than 16 KiB; what does not fit is asked of what comes back."""
    filters = Filters(subject=tuple(f"auth.user:{number}" for number in range(2, 5000)), status=("failure",))
    assert plain(day.open().records(filters)) == plain(files.records(filters))


def made(number: int, value: str, **more: str) -> CanonicalRecord:
    """A record in which *value* stands wherever something comes from outside."""
    attributes: dict[str, str | int] = {
        names.RECORD_ID: str(number), names.ACTION: f"{value}!", names.SUBJECT: value, names.IDENTITY: value, names.TENANT: value,
        names.SEQUENCE_NUMBER: number, names.STREAM_ID: "s", f"{names.PARAM_PREFIX}x": value, **more,
    }  # fmt: skip
    return CanonicalRecord(event="auth.sign_in", time=MIDNIGHT + number * 1000, attributes=attributes)


def batch(*records: CanonicalRecord, **resource: str) -> Batch:
    """Records under a resource with these attributes."""
    described = {"attributes": [{"key": name, "value": {"stringValue": value}} for name, value in resource.items()]}
    found = batch_of("s", "", tuple(map(encode, records)))
    return replace(found, resource=json.dumps(described).encode())


def passing(records: Iterable[Record], filters: Filters) -> list[str]:
    """The ids of those that pass."""
    return [
        record.id for record in sorted(records, key=lambda record: record.time) if all(test(record) for test in filters.tests())
    ]


def test_names_that_the_store_needs_for_itself(tenant: Tenant) -> None:
    """An attribute `service.name` would make it panic; such names are left out, the rest of the record arrives."""
    taken = dict.fromkeys(("service.name", "_msg", "_time", "_stream", "event_name", "trace_id", "scope.name", ""), "taken")
    kept: dict[str, str | int] = {names.RECORD_ID: "1", names.SUBJECT: "ann", names.SEQUENCE_NUMBER: 1}
    record = CanonicalRecord(
        event="auth.sign_in", time=MIDNIGHT, attributes={**kept, **taken}, severity=9, trace_id=0xABC, span_id=0xDEF
    )
    tenant.put([batch(record, **{"service.name": "shop", names.SUBJECT: "the resource's", "trace_id": "0", "host.name": "h1"})])
    (found,) = tenant.open().records(Filters())
    assert found == Record(
        event="auth.sign_in",
        time=MIDNIGHT,
        attributes={name: str(value) for name, value in kept.items()},
        number=1,
        service="shop",
        severity=9,
        trace_id=f"{0xABC:032x}",
        span_id=f"{0xDEF:016x}",
        file=found.file,
    )
    assert list(tenant.open().records(Filters(service=("shop",), subject=("ann",)))) == [found]


def test_logs_of_others_are_no_records(tenant: Tenant) -> None:
    """A store may hold other logs, too: what has no id is none of ours, whatever else it is called."""
    others = [{names.LOG: "audit_log", names.SUBJECT: "ann"}, {names.SUBJECT: "ann"}, {names.OUTCOME: "failure"}]
    ours = {names.RECORD_ID: "1", names.SUBJECT: "ann", names.OUTCOME: "failure"}
    records = [CanonicalRecord(event="e", time=MIDNIGHT, attributes=found) for found in (*others, ours)]
    tenant.put([batch(*records)])
    store = tenant.open()
    for filters in (Filters(), Filters(subject=("ann",)), Filters(status=("failure",))):
        assert [record.attributes for record in store.records(filters)] == [ours]
        assert [record.attributes for record in store.last(filters, 3)] == [ours]
        assert [record.attributes for record in store.copies(filters)] == [ours]


def test_a_resource_that_names_its_service_twice(tenant: Tenant) -> None:
    """Once more, and nested: flat, that is a stream field doubled, of which it dies."""
    twice = [{"key": "service.name", "value": {"stringValue": text}} for text in ("shop", "other")]
    nested = {"key": "service", "value": {"kvlistValue": {"values": [{"key": "name", "value": {"stringValue": "third"}}]}}}
    record = CanonicalRecord(event="e", time=MIDNIGHT, attributes={names.RECORD_ID: "1"})
    tenant.put([replace(batch(record), resource=json.dumps({"attributes": [nested, *twice]}).encode())])
    (found,) = tenant.open().records(Filters())
    assert found.service == "shop"


def test_without_that_it_would_panic(tmp_path: Path) -> None:
    """The reason for it: one such record ends the process, and with it what it had only in memory."""
    record = CanonicalRecord(event="e", time=MIDNIGHT, attributes={names.RECORD_ID: "1", "service.name": "other"})
    server = VictoriaLogs(tmp_path, "single", "-futureRetention=100y")
    with server:
        request = protobuf_request(batch(record, **{"service.name": "shop"}))
        headers = {"Content-Type": "application/x-protobuf", "VL-Stream-Fields": "service.name"}
        with contextlib.suppress(httpx.TransportError):
            httpx.post(f"{server.url}/insert/opentelemetry/v1/logs", content=request, headers=headers)
        until("it is gone", lambda: not server.running)
        assert "panic" in server.log.read_text()


def test_its_own_page_shows_the_event(tenant: Tenant) -> None:
    """The message of a record, which the chain does not know, is its event."""
    tenant.put(recorded().batches())
    asked = {"query": "* | uniq by (_msg, event_name)"}
    answer = httpx.get(f"{tenant.server.url}/select/logsql/query", params=asked, headers={"AccountID": str(tenant.account)})
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert told
    assert all(one["_msg"] == one["event_name"] for one in told)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("victorialogs://h?accoutn=1", "?accoutn= is no option"),
        ("victorialogs://h?account=-1", "?account=-1 is no number of a tenant"),
        ("victorialogs://h?project=4294967296", "is no number of a tenant"),
        ("victorialogs://one,two", "has one host"),
        ("victorialogs://h?password_file=/nowhere", "/nowhere cannot be read"),
    ],
)
def test_a_url_that_cannot_be_meant(url: str, says: str) -> None:
    """Nothing is asked before it is understood."""
    with pytest.raises(StoreError, match=re.escape(says)):
        open_store(url)


def test_nobody_is_there() -> None:
    """It says so, and not with an empty answer."""
    with pytest.raises(StoreError, match="cannot be reached: connection refused or lost; its port is usually 9428"):
        list(open_store(f"victorialogs://127.0.0.1:{free_port()}").records(Filters()))


ONE = b'{"_time":"2026-11-20T00:00:00Z","n":"1","audit.record.id":"1"}\n'


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Answered(404, b"no such page"), r"says: no such page \[404\]; check host, port and prefix"),
        (
            Answered(502, b"cannot connect to storage node h2"),
            r"says: cannot connect to storage node h2 \[502\]; .*allow_partial=1",
        ),
        (Answered(200, b"<html>"), "broke off: <html>"),
        (Answered(200, b"{}\n"), "answers not as VictoriaLogs does"),
        (Answered(200, b""), "answers not as VictoriaLogs does"),
        (Answered(200, ONE.replace(b'"n":"1"', b'"n":"2"')), "broke off after 1 of 2 records; ask again"),
        (Answered(200, ONE, cut=True), "broke off: connection refused or lost; ask again"),
        (
            Answered(200, ONE + b"\ncannot execute query: context deadline exceeded\n"),
            "broke off: cannot execute query: context deadline",
        ),
    ],
)
def test_half_an_answer_is_none(reply: Answered, says: str) -> None:
    """It answers 200 first and may fail afterwards; a proxy may answer for it."""
    with door(reply) as port, pytest.raises(StoreError, match=says):
        list(open_store(f"victorialogs://127.0.0.1:{port}").records(Filters()))
