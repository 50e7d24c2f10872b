from __future__ import annotations

import ipaddress
import os
import threading
import uuid
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.config import Config, load
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.event import Actor, AuditEvent, Param, Reason, Request, Status, Strategy
from opentelemetry_instrumentation_authaudit.pipeline.record import RecordIds, attributes, record_id, severity

BARE = AuditEvent(event="auth.sign_in", status=Status.SUCCESS, time=0, library="lib 1.0")
REQUEST = Request(
    flow_id="f" * 32, peer="10.0.0.1", peer_port=47011, method="POST", host="app.example", route="/login", path="/login"
)


def config(**options: Any) -> Config:
    """The default options, and those the test gives."""
    return load({}, raises=True, hash_key="1:k", journal_dir=Path("/nonexistent/journal"), **options)


def raw(event: AuditEvent, **options: Any) -> dict[str, Any]:
    """The raw attributes of the event's record."""
    return attributes(event, record_id="id", config=config(**options))


def test_a_bare_event_has_the_mandatory_attributes_and_no_others() -> None:
    """Nothing is written of what is not known: no empty value stands for it."""
    assert raw(BARE, log_name="staff") == {
        names.RECORD_ID: "id",
        names.LOG: "staff",
        names.SCHEMA: "1.0.0",
        names.ACTION: "sign_in_with_unknown",
        names.STRATEGY: "unknown",
        names.OUTCOME: "success",
        names.LIBRARY: "lib 1.0",
    }


def test_a_full_event_has_them_all() -> None:
    """Every fact of an event under its own name, raw: hashing and hiding come later."""
    event = AuditEvent(
        event="auth.sign_in",
        status=Status.FAILURE,
        time=0,
        library="lib 1.0",
        strategy=Strategy.OAUTH2,
        provider="github",
        reason=Reason.PROVIDER_DENIED,
        error_type="OAuthError",
        inferred=True,
        subject="app.User:1",
        identity="ann",
        actor=Actor("app.User:2", "service"),
        tenant="acme",
        resource="app.User",
        token_id="jti",
        session_key="sk",
        attempts=3,
        repeats=7,
        params={"scope": Param("openid"), "email": Param("ann@example.com", sensitive=True)},
        request=replace(REQUEST, forwarded=("for=1.1.1.1",), x_forwarded_for=("2.2.2.2",), user_agent="curl"),
    )
    assert raw(event) == {
        names.RECORD_ID: "id",
        names.LOG: "audit_log",
        names.SCHEMA: "1.0.0",
        names.ACTION: "sign_in_with_github",
        names.STRATEGY: "oauth2",
        names.PROVIDER: "github",
        names.OUTCOME: "failure",
        names.REASON: "provider_denied",
        names.ERROR_TYPE: "OAuthError",
        names.INFERRED: "true",
        names.ATTEMPTS: "3",
        names.REPEATS: "7",
        names.LIBRARY: "lib 1.0",
        names.SUBJECT: "app.User:1",
        names.IDENTITY: "ann",
        names.ACTOR_ID: "app.User:2",
        names.ACTOR_TYPE: "service",
        names.TENANT: "acme",
        names.RESOURCE: "app.User",
        names.SESSION_ID: "sk",
        names.TOKEN_ID: "jti",
        names.CLIENT_ADDRESS: "10.0.0.1",
        names.CLIENT_PORT: "47011",
        names.CLIENT_SOURCE: "peer",
        names.PEER_ADDRESS: "10.0.0.1",
        names.X_FORWARDED_FOR: ("2.2.2.2",),
        names.FORWARDED: ("for=1.1.1.1",),
        names.METHOD: "POST",
        names.SERVER_ADDRESS: "app.example",
        names.ROUTE: "/login",
        names.USER_AGENT: "curl",
        names.FLOW_ID: "f" * 32,
        "audit.params.scope": "openid",
        "audit.params.email": "ann@example.com",
    }


def test_a_success_has_no_reason() -> None:
    """Neither why nor which error, even if an extractor left one behind; an unknown outcome may have both."""
    facts: dict[str, Any] = {"reason": Reason.UNKNOWN, "error_type": "Odd"}
    assert not {names.REASON, names.ERROR_TYPE} & raw(replace(BARE, **facts)).keys()
    for status in (Status.FAILURE, Status.UNKNOWN):
        assert {names.REASON, names.ERROR_TYPE} <= raw(replace(BARE, status=status, **facts)).keys()


def test_attempts_are_counted_where_they_say_something() -> None:
    """More than one; a single one is what everybody expects."""
    assert names.ATTEMPTS not in raw(BARE)
    assert names.ATTEMPTS not in raw(replace(BARE, inferred=True))
    assert raw(replace(BARE, attempts=2))[names.ATTEMPTS] == "2"


def test_the_actor_is_told_where_it_is_another() -> None:
    """Who signs in is not somebody who acts on somebody."""
    assert names.ACTOR_ID not in raw(replace(BARE, subject="u:1", actor=Actor("u:1")))
    assert raw(replace(BARE, subject="u:1", actor=Actor("u:2")))[names.ACTOR_ID] == "u:2"


def test_a_route_stands_for_the_path() -> None:
    """A template holds no token; a path only where there is no template."""
    with_route = raw(replace(BARE, request=replace(REQUEST, route="/reset/<token>", path="/reset/abc")))
    assert (with_route[names.ROUTE], names.PATH in with_route) == ("/reset/<token>", False)
    without = raw(replace(BARE, request=replace(REQUEST, route=None, path="/reset/abc")))
    assert (without[names.PATH], names.ROUTE in without) == ("/reset/abc", False)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("app.example:8443", "app.example"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("a:b:c", None),
        ("", None),
        (None, None),
        (":80", None),
    ],
)
def test_the_server_address_has_no_port(host: str | None, address: str | None) -> None:
    """RFC 9110, 7.2; what is no host at all is left out."""
    assert raw(replace(BARE, request=replace(REQUEST, host=host))).get(names.SERVER_ADDRESS) == address


@pytest.mark.parametrize(("method", "recorded"), [("GET", "GET"), ("BREW", "_OTHER"), ("get", "_OTHER"), (None, None)])
def test_an_unknown_method_is_other(method: str | None, recorded: str | None) -> None:
    """As the semantic conventions want it: a client must not choose the value."""
    assert raw(replace(BARE, request=replace(REQUEST, method=method))).get(names.METHOD) == recorded


def test_the_client_is_found_behind_trusted_proxies() -> None:
    """And the record says where its address was read; without any peer there is none."""
    event = replace(BARE, request=replace(REQUEST, x_forwarded_for=("198.51.100.7",)))
    trusted = raw(event, trusted_proxies="10.0.0.0/8")
    assert (trusted[names.CLIENT_ADDRESS], trusted[names.CLIENT_SOURCE]) == ("198.51.100.7", "x_forwarded_for")
    assert names.CLIENT_PORT not in trusted
    assert config(trusted_proxies="10.0.0.0/8").trusted_proxies == (ipaddress.ip_network("10.0.0.0/8"),)
    nowhere = raw(replace(BARE, request=Request(flow_id="f" * 32)))
    assert {names.CLIENT_ADDRESS, names.CLIENT_SOURCE, names.PEER_ADDRESS} & nowhere.keys() == set()


def test_a_parameter_has_a_name_that_can_be_one() -> None:
    """Applications name parameters of their own events as they like."""
    event = replace(BARE, params={"a b\u00e9\n": Param(1), "x" * 100: Param(2)})
    assert {"audit.params.a_b__": 1, f"audit.params.{'x' * 64}": 2}.items() <= raw(event).items()


def test_the_truth_of_an_application_s_value_is_not_asked() -> None:
    """An empty list is a value; an object that cannot say whether it is true is one too."""

    class Undecided:
        def __bool__(self) -> bool:
            raise RuntimeError

        __eq__ = None  # type: ignore[assignment]
        __hash__ = object.__hash__

    odd = Undecided()
    kept = raw(replace(BARE, params={"odd": Param(odd), "empty": Param([]), "zero": Param(0), "none": Param(None)}))
    assert kept["audit.params.odd"] is odd
    assert (kept["audit.params.empty"], kept["audit.params.zero"]) == ([], 0)
    assert "audit.params.none" not in kept


def test_severity_follows_the_catalogue_and_can_be_switched_off() -> None:
    """INFO for a success, at least WARN for a failure."""
    assert severity(BARE, config()) == 9
    assert severity(replace(BARE, status=Status.FAILURE), config()) == 13
    assert severity(BARE, config(severity=False)) is None


def test_an_id_is_a_uuid_of_version_7() -> None:
    """RFC 9562, 5.7: milliseconds first, then the fraction of the millisecond, version, variant, random rest."""
    ids = RecordIds(clock=lambda: 1_645_557_742_000_500_000, random=lambda count: b"\xff" * count)
    parsed = uuid.UUID(ids())
    assert (parsed.version if parsed.variant == uuid.RFC_4122 else None) == 7
    assert parsed.int >> 80 == 1_645_557_742_000
    assert (parsed.int >> 64) & 0xFFF == 2048
    assert str(parsed) == "017f22e2-79b0-7800-bfff-ffffffffffff"


@given(st.lists(st.integers(0, 2**47 * 1_000_000), min_size=2, max_size=50))
def test_ids_are_in_the_order_they_were_made(moments: list[int]) -> None:
    """Whatever the clock does: stand still, jump back, jump ahead."""
    clock = chain(moments, repeat(moments[-1]))
    ids = RecordIds(clock=lambda: next(clock))
    made = [ids() for _ in range(len(moments) + 5)]
    assert made == sorted(set(made))


def test_ids_are_unique_across_threads_and_forks() -> None:
    """10,000 from eight threads, and the next ones of a child and its parent."""
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend(record_id() for _ in range(1250))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 10_000
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, record_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 36).decode() not in {record_id(), *made}
    os.close(reader)
    os.close(writer)
