"""The alert rules that we ship, run by vmalert over recorded days: each attack raises its alert, and an honest day none."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import yaml

from opentelemetry_instrumentation_authaudit.journal.canonical import encode
from opentelemetry_instrumentation_authaudit.model.event import Status
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.reports.rules import BruteForce, Spraying, Stuffing, every

from ..collector.running import needed
from .happenings import ANN, ATTACKS, OFFICE, PEOPLE, Happening, refused, second_factor, signed_in, told
from .recorded import MIDNIGHT, SECOND, Recorder, Recording, Stream, honest_day, recorded
from .victorialogs_server import SETTINGS, VictoriaLogs

HOUR = 3600 * SECOND
GROUPS = yaml.safe_load((SETTINGS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
RULES = {
    rule["alert"]: (group, rule["expr"])
    for group in GROUPS
    for rule in group["rules"]
    if group["eval_offset"] == "0s" and group["name"] != "trail"
}


def test_an_honest_day_raises_none(victorialogs: VictoriaLogs) -> None:
    """Typos, second factors, an office behind one address: nobody is woken up."""
    assert alerts(victorialogs, honest_day()) == set()


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_raises_its_alert(victorialogs: VictoriaLogs, attack: str) -> None:
    """Exactly that, in a day of which the rest is honest."""
    assert alerts(victorialogs, recorded(attack)) == {attack}


def test_all_attacks_of_a_day(victorialogs: VictoriaLogs) -> None:
    """Each has its alert, and there is no other."""
    assert alerts(victorialogs, recorded()) == set(ATTACKS)


@pytest.mark.parametrize("minutes", [26, *(pytest.param(minutes, marks=pytest.mark.stores) for minutes in (1, 4, 11, 57))])
def test_no_attack_hides_on_an_edge(victorialogs: VictoriaLogs, minutes: int) -> None:
    """The day begins some minutes later: an attack that an edge of one window cuts in two lies in the middle of another."""
    assert alerts(victorialogs, recorded(midnight=MIDNIGHT + minutes * 60 * SECOND)) >= set(ATTACKS)


def test_lockouts(victorialogs: VictoriaLogs) -> None:
    """The one rule that no recorded attack raises: an account locked three times in three hours."""
    lock = told("account.lock", subject="auth.user:7", address=OFFICE)
    assert alerts(victorialogs, day_of(*(Happening(number * 3000.0, lock) for number in range(2)))) == set()
    assert alerts(victorialogs, day_of(*(Happening(number * 3000.0, lock) for number in range(3)))) == {"lockouts"}


TRAIL = {
    "records_lost": told("audit.records_lost", address=OFFICE),
    "records_refused": told("audit.records_refused", address=OFFICE),
    "secret_masked_by_the_collector": told("auth.sign_in", subject="auth.user:7", address=OFFICE),
    "store_incomplete": told("audit.reconciled", Status.FAILURE, address=OFFICE),
}


@pytest.mark.parametrize("what", TRAIL)
def test_the_state_of_the_trail_itself(victorialogs: VictoriaLogs, what: str) -> None:
    """Losses, what the collector's backstop changed, and a store with gaps wake somebody up; that nothing is wrong does not."""
    added = {"redaction.masked.keys": "audit.params.note"} if what.startswith("secret") else {}
    fine = (told(f"audit.{event}", address=OFFICE) for event in ("reconciled", "checkpoint", "records_expired"))
    assert alerts(victorialogs, day_of(*(Happening(60.0, event) for event in fine))) == set()
    expected = "records_lost" if what == "records_refused" else what
    assert alerts(victorialogs, day_of(Happening(60.0, TRAIL[what]), **added)) == {expected}


NEARLY = {
    "nine failures": [Happening(number * 20.0, refused(ANN.identity, OFFICE)) for number in range(9)],
    "four failures, then the right password": [
        *(Happening(number * 20.0, refused(ANN.identity, OFFICE)) for number in range(4)),
        Happening(90.0, signed_in(ANN, OFFICE, session="s")),
    ],
    "many failures after a success": [
        Happening(1.0, signed_in(ANN, OFFICE, session="s")),
        *(Happening(60 + number * 20.0, refused(ANN.identity, OFFICE)) for number in range(9)),
    ],
    "four second factors refused": [Happening(number * 60.0, second_factor(ANN, OFFICE, Status.FAILURE)) for number in range(4)],
    "an office that mistypes a lot": [
        happening
        for number, person in enumerate(PEOPLE[:40])
        for happening in (
            Happening(number * 60.0, refused(person.identity, OFFICE)),
            Happening(number * 60 + 20.0, signed_in(person, OFFICE, session="s")),
            Happening(number * 60 + 40.0, signed_in(person, OFFICE, session="t")),
        )
    ],
}


@pytest.mark.parametrize("shape", NEARLY)
def test_what_is_not_yet_an_attack(victorialogs: VictoriaLogs, shape: str) -> None:
    """Just below the thresholds nobody is woken up."""
    assert alerts(victorialogs, day_of(*NEARLY[shape])) == set()


def test_repeats_that_were_recorded_as_one_count(victorialogs: VictoriaLogs) -> None:
    """Two records of five refusals each are ten failures."""
    five = replace(refused(ANN.identity, OFFICE), repeats=5)
    assert alerts(victorialogs, day_of(Happening(1.0, five), Happening(2.0, five))) == {"brute_force"}


def test_names_and_thresholds_are_those_of_the_report() -> None:
    """A finding of `authaudit report` and an alert are one word."""
    brute, spray, stuff = BruteForce(), Spraying(), Stuffing()
    assert RULES.keys() == {detection.rule.name for detection in every()}
    assert {name: seconds(group["interval"]) for name, (group, _) in RULES.items()} == {
        detection.rule.name: detection.rule.span for detection in every()
    }
    told_of = {
        "brute_force": f"failures:>={brute.failures}",
        "brute_force_many_sources": f"failures:>={brute.failures} addresses:>={brute.sources}",
        "lockouts": f"locked:>={brute.lockouts}",
        "success_after_failures": f"failures:>={brute.before_success}",
        "mfa_fatigue": f"failures:>={brute.denials}",
        "spraying": f"failures:>={spray.tries} accounts:>={spray.users} mean:>=2 few_share:>={spray.few} "
        f"failed_share:>={spray.failed} seconds:>={spray.spread}",
        "spraying_many_sources": f"failures:>={spray.sources_tries} accounts:>={spray.sources_users} "
        f"addresses:>={spray.sources} failed_share:>={spray.failed}",
        "stuffing": f"failures:>={stuff.tries} accounts:>={stuff.users} few_share:>={stuff.few} failed_share:>={stuff.failed}",
    }
    for name, thresholds in told_of.items():
        assert f"filter {thresholds}" in RULES[name][1]


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_same_question_finds_it_while_it_happens(victorialogs: VictoriaLogs, attack: str) -> None:
    """Not in replay, vmalert asks for the last span of time; the argument that shifts windows in replay does not harm there."""
    tenant, recording = victorialogs.tenant(), recorded(attack)
    tenant.put(recording.batches())
    group, question = RULES[attack]
    last = max(record.time for record in tenant.open().records(Filters()) if record.id in recording.ids(attack))
    span = {"start": str(last // SECOND + 1 - seconds(group["interval"])), "end": str(last // SECOND + 1), "offset": "150s"}
    answer = httpx.get(
        f"{victorialogs.url}/select/logsql/stats_query",
        params={"query": question, **span},
        headers={"AccountID": str(tenant.account)},
    )
    (found,) = answer.json()["data"]["result"]
    assert float(found["value"][1]) >= 5


def day_of(*happened: Happening, **added: str) -> Recording:
    """A recording of nothing but what *happened*, in one stream, each record with the attributes *added*."""
    recorder = Recorder(MIDNIGHT)
    made = (recorder.record(one, number) for number, one in enumerate(happened))
    records = tuple(encode(replace(record, attributes={**record.attributes, **added})) for record in made)
    return Recording((Stream("s", "shop", records),), {})


def seconds(interval: str) -> int:
    """Of a duration as vmalert writes it."""
    return int(interval[:-1]) * {"s": 1, "m": 60, "h": 3600}[interval[-1]]


def alerts(server: VictoriaLogs, recording: Recording) -> set[str]:
    """The names of the alerts that *recording* raises when vmalert goes over it."""
    tenant = server.tenant()
    tenant.put(recording.batches())
    with Written() as written:
        command = [
            str(needed("vmalert")), f"-rule={SETTINGS / 'alerts.yml'}", f"-datasource.url={server.url}",
            f"-datasource.headers=AccountID:{tenant.account}", f"-remoteWrite.url=http://127.0.0.1:{written.port}",
            f"-replay.timeFrom={_at(MIDNIGHT)}", f"-replay.timeTo={_at(MIDNIGHT + 26 * HOUR)}", "-replay.rulesDelay=0",
            "-replay.disableProgressBar", "-remoteWrite.flushInterval=50ms", "-httpListenAddr=127.0.0.1:0",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return {
        labels["alertname"] for labels in written.series if labels["__name__"] == "ALERTS" and labels["alertstate"] == "firing"
    }


def _at(time: int) -> str:
    return f"{datetime.fromtimestamp(time // SECOND, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


class Written:
    """A place for vmalert to write what it finds (Prometheus remote write, version 1): the labels of every series."""

    def __init__(self) -> None:
        self.series: list[dict[str, str]] = []
        written = self.series

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                understood = self.headers["Content-Encoding"] == "snappy"  # it tries a newer compression first
                if understood:
                    written.extend(_labels(_snappy(body)))
                self.send_response(204 if understood else 415)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Written:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _snappy(data: bytes) -> bytes:
    """A block of the Snappy format taken apart (github.com/google/snappy, format_description.txt)."""
    size, place = _varint(data, 0)
    found = bytearray()
    while place < len(data):
        tag = data[place]
        place += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                more = length - 59
                length = int.from_bytes(data[place : place + more], "little")
                place += more
            found += data[place : place + length + 1]
            place += length + 1
            continue
        if tag & 3 == 1:
            length, back = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[place]
            place += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length, back = (tag >> 2) + 1, int.from_bytes(data[place : place + width], "little")
            place += width
        for _ in range(length):
            found.append(found[-back])
    assert len(found) == size
    return bytes(found)


def _labels(request: bytes) -> Iterator[dict[str, str]]:
    """The labels of each series of a `WriteRequest`."""
    for series in _messages(request, 1):
        labels = (list(_messages(label)) for label in _messages(series, 1))
        yield {name.decode(): value.decode() for name, value in labels}


def _messages(data: bytes, field: int | None = None) -> Iterator[bytes]:
    """The values of the fields with a length in a Protobuf message, of all or of one of them."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        assert key & 7 == 2, "only fields with a length were expected"
        length, place = _varint(data, place)
        if field in {None, key >> 3}:
            yield data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[place]
        value, shift, place = value | (byte & 0x7F) << shift, shift + 7, place + 1
        if byte < 0x80:
            return value, place
