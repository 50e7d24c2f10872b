"""The production configuration: who gets in, who does not, what reaches the store, and what the last line of defence does."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.journal.canonical import encode
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.store import open_store
from tests.cli.command import authaudit
from tests.pipeline.telling import process
from tests.query.history import Process, chained, stream
from tests.stores.victorialogs_server import SECRETS as SECRETS_OF_THE_STORE
from tests.stores.victorialogs_server import VictoriaLogs

from .running import missing, until
from .traffic import application, record, request
from .vault import LogStore, Vault


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    """VictoriaLogs, running."""
    with LogStore(tmp_path / "store") as running:
        yield running


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """The collector for production, running; its store is away."""
    with Vault(tmp_path / "collector") as running:
        yield running


def stored(store: LogStore) -> set[str]:
    """The ids of the records in the store."""
    opened = open_store(store.store)
    try:
        return {found.id for found in opened.copies(Filters())}
    finally:
        opened.close()


def knock(vault: Vault, *, token: str = "first", certificate: str = "client", path: str = "/v1/audit") -> int:
    """The status with which the collector answers a writer's request; 0 if it does not even shake hands."""
    try:
        with vault.writer(token=token, certificate=certificate) as client:
            return client.post(path, content=request([record("id-1")]).SerializeToString()).status_code
    except httpx.TransportError:
        return 0


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_writer_with_certificate_and_token(store: LogStore, tmp_path: Path, protocol: str) -> None:
    """An application that has both delivers: every record is in the files and in the store, and both chains are whole."""
    with Vault(tmp_path / "collector", store=store.url) as vault:
        with application(tmp_path, vault.client(protocol)) as running:
            running.tell(200)
            assert running.finish()
        assert missing(running.told, vault.ids()) == set()
        until("the store has all", lambda: set(running.told) <= stored(store))
        for place in (str(vault.files), store.store):
            done = authaudit("verify", "--store", place, home=tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr


def test_through_the_gatekeeper_of_the_store(store: LogStore, tmp_path: Path) -> None:
    """The store lets nobody in but through vmauth, and the collector's token is a wrong one: to be refused is final, so these records
    are only in the files, and the metric of an alert says so. With the right token the next arrive, and the others are repaired.
    """
    token = tmp_path / "token"
    token.write_text("another", encoding="utf-8")
    gatekeeper = {**SECRETS_OF_THE_STORE, "AUTHAUDIT_WRITER_TOKEN": "of-writers", "AUTHAUDIT_VICTORIALOGS_URL": store.url}
    door = VictoriaLogs(tmp_path / "door", "auth", **gatekeeper)
    with (
        door,
        Vault(tmp_path / "collector", store=door.url, AUTHAUDIT_VICTORIALOGS_TOKEN_FILE=str(token)) as vault,
        application(tmp_path, vault.client()) as running,
    ):
        running.tell(20)
        refused = "otelcol_exporter_send_failed_log_records"
        until("all are refused", lambda: vault.metric(refused) >= 20)
        token.write_text("of-writers  behind a blank stands a remark", encoding="utf-8")
        time.sleep(1)  # in which it is read
        running.tell(20)
        assert running.finish()
        until("the later ones arrive", lambda: set(running.told[20:]) <= stored(store))
        assert missing(running.told, vault.ids()) == set()
        assert missing(running.told, stored(store)) == set(running.told[:20])
        flags = ("--against", str(vault.files), "--repair", "--grace", "0", "--settle", "0")
        done = authaudit("reconcile", "--store", store.store, *flags, home=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        until("none is missing", lambda: set(running.told) <= stored(store))


def test_who_gets_in(vault: Vault) -> None:
    """Somebody lacks the certificate, has one of another authority, or no good token, or takes the usual path: nothing is written."""
    assert knock(vault, certificate="") == 0
    assert knock(vault, certificate="other") == 0
    assert knock(vault, token="") == 401
    assert knock(vault, token="wrong") == 401
    assert knock(vault, token="first2") == 401
    assert knock(vault, path="/v1/logs") == 404
    assert vault.ids() == []
    assert knock(vault) == 200
    assert vault.ids() == ["id-1"]


def test_an_application_with_a_wrong_token_keeps_its_records(vault: Vault, tmp_path: Path) -> None:
    """A token was mistyped: nothing arrives, nothing is lost; with the right one the next process delivers all."""
    with application(tmp_path, vault.client(token="wrong"), patience=1) as first:
        first.tell(20)
        assert not first.finish()
    assert vault.ids() == []
    with application(tmp_path, vault.client()) as second:
        second.tell(1)
        assert second.finish()
    assert missing(first.told + second.told, vault.ids()) == set()


def test_tokens_are_rotated(vault: Vault) -> None:
    """The operator adds a token, moves the writers, takes the old one away: at no time is a writer with a listed token refused."""
    assert knock(vault) == 200
    vault.tokens.write_text("first\nsecond\n", encoding="utf-8")
    until("the second gets in", lambda: knock(vault, token="second") == 200)
    assert knock(vault) == 200
    vault.tokens.write_text("second\n", encoding="utf-8")
    until("the first is refused", lambda: knock(vault) == 401)
    assert knock(vault, token="second") == 200
    renamed = vault.tokens.with_name("renamed")
    renamed.write_text("third  of the shop\n", encoding="utf-8")
    renamed.rename(vault.tokens)
    until("the third gets in", lambda: knock(vault, token="third") == 200)
    assert knock(vault, token="second") == 401


def test_without_tokens_nobody_gets_in(tmp_path: Path) -> None:
    """The file of tokens is not there yet: everybody is refused, until it is. To empty it revokes nothing: another token does."""
    vault = Vault(tmp_path / "collector")
    vault.tokens.unlink()
    with vault:
        assert (knock(vault), knock(vault, token="")) == (401, 401)
        vault.tokens.write_text("first\n", encoding="utf-8")
        until("the file is read", lambda: knock(vault) == 200)
        vault.tokens.write_text("", encoding="utf-8")
        time.sleep(0.5)
        assert knock(vault) == 200
        vault.tokens.write_text("nobody has this one\n", encoding="utf-8")
        until("nobody gets in", lambda: knock(vault) == 401)


def test_certificates_are_rotated(vault: Vault) -> None:
    """Writers get certificates of another authority: once it is put in place, theirs get in and the old ones do not."""
    assert knock(vault) == 200
    shutil.copy(vault.tls / "other.pem", vault.tls / "clients-ca.crt")
    until("the old ones are refused", lambda: knock(vault) == 0)
    assert knock(vault, certificate="other") == 200


def test_other_telemetry_gets_nowhere(store: LogStore, tmp_path: Path) -> None:
    """Somebody sends other telemetry through the entrance for audit records: neither files nor store have it."""
    with Vault(tmp_path / "collector", store=store.url) as vault:
        mixed = request([record(f"id-{number}" if number % 2 else None) for number in range(100)])
        with vault.writer() as client:
            assert client.post("/v1/audit", content=mixed.SerializeToString()).status_code == 200
        wanted = {f"id-{number}" for number in range(1, 100, 2)}
        until("the store has them", lambda: stored(store) == wanted)
        assert set(vault.ids()) == wanted
        counted = httpx.post(f"{store.url}/select/logsql/query", data={"query": "* | stats count() n"})
        assert json.loads(counted.text)["n"] == "50"


TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
SECRETS = (TOKEN, f'{{"a":"{TOKEN}"}}', "-----BEGIN EC PRIVATE KEY-----\nMHcCAQ", "sent Basic dXNlcjpwYXNzd29yZDEyMzQ1Njc4")


def test_what_slipped_through(vault: Vault, tmp_path: Path) -> None:
    """Records with credentials arrive: each is masked and marked, `authaudit verify` names exactly these, the others are untouched."""
    for number, secret in enumerate(SECRETS, 1):
        records = stream(number, Process(events=10))
        records[4] = replace(records[4], attributes={**records[4].attributes, f"{names.PARAM_PREFIX}note": secret})
        send_json(vault, [encode(one) for one in chained(records, None)])
    text = "".join(path.read_text(encoding="utf-8") for path in vault.files.iterdir())
    assert text.count('"redaction.masked.keys"') == len(SECRETS)
    assert [secret for secret in SECRETS if json.dumps(secret)[1:-1] in text] == []
    done = authaudit("verify", "--format", "json", "--store", str(vault.files), home=tmp_path)
    assert done.returncode == 1
    faults = {
        (row["stream"], row["number"]) for row in map(json.loads, done.stdout.splitlines()) if row.get("kind") == "modified"
    }
    assert faults == {(f"{number:016x}", 5) for number in range(1, len(SECRETS) + 1)}, done.stdout


def test_no_record_of_ours_is_changed(vault: Vault, tmp_path: Path) -> None:
    """Attackers type tokens and keys into every field: our pipeline has removed them, so the last line finds nothing, and chains hold."""
    with process(HOSTILE, tmp_path, *SECRETS, environ=vault.client()) as running:
        assert running.wait(60) == 0
    found = list(vault.records())
    assert len(found) > 3 * len(SECRETS)
    assert [one.attributes for one in found if "redaction.masked.keys" in one.attributes] == []
    assert any("[redacted]" in value for one in found for value in one.attributes.values())
    done = authaudit("verify", "--store", str(vault.files), home=tmp_path)
    assert done.returncode == 0, done.stdout


HOSTILE = """
sink = pipeline(Path(sys.argv[1]), exporter="otlp", otlp_protocol="http/protobuf", include_fields="username,email")
for secret in sys.argv[2:]:
    params = {name: secret for name in ("note", "password", "client_secret", "api_key", "next")}
    sink(replace(SIGN_IN, subject=f"user:{secret}", params=params))
    sink(replace(FAILURE, identity=secret, identity_known=False, params={"password": "hunter2", "x": {"y": [secret]}}))
    sink(replace(SIGN_IN, session_key=secret, token_id=secret, tenant=secret, resource=f"https://example.org/?token={secret}"))
    sink(replace(SIGN_IN, identity=f"é{secret}", params={"note": f"ä{secret}", "other": f"x-{secret}"}))
sys.exit(not sink.shutdown(30))
"""


def send_json(vault: Vault, records: list[bytes]) -> None:
    """Deliver canonical records."""
    body = b'{"resourceLogs":[{"resource":{},"scopeLogs":[{"logRecords":[' + b",".join(records) + b"]}]}]}"
    with vault.writer() as client:
        assert client.post("/v1/audit", content=body, headers={"Content-Type": "application/json"}).status_code == 200
