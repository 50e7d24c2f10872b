from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Param, Reason, Request, Status, Strategy
from opentelemetry_instrumentation_authaudit.pipeline.record import attributes
from opentelemetry_instrumentation_authaudit.privacy.policy import Policy, minimal
from opentelemetry_instrumentation_authaudit.privacy.sanitise import CUT, MAX_ATTRIBUTES, MAX_CHARS

from .conftest import Configured
from .hostile import HARMLESS, RAISING
from .test_shapes import JWT

REQUEST = Request(
    flow_id="f" * 32,
    peer="203.0.113.9",
    peer_port=47011,
    forwarded=('for="[2001:db8:cafe::17]:4711";proto=https',),
    x_forwarded_for=("198.51.100.7, 10.0.0.1",),
    user_agent="curl/8.5.0",
    method="POST",
    host="app.example:8443",
    route="/login/<next>",
    path="/login/abc",
)
EVENT = AuditEvent(
    event="auth.sign_in",
    status=Status.FAILURE,
    time=0,
    library="flask-login 0.6.3",
    strategy=Strategy.PASSWORD,
    reason=Reason.WRONG_PASSWORD,
    identity="ann@example.com",
    identity_known=True,
    session_key="the-session-key",
    token_id="the-jti",
    request=REQUEST,
    params={"remember": Param(value=True), "email": Param("ann@example.com", sensitive=True), "password": Param("hunter2")},
)


def applied(configured: Configured, event: AuditEvent = EVENT, **options: Any) -> dict[str, str]:
    """The attributes that are stored of *event* under *options*."""
    config = configured(**options)
    return Policy.of(config).apply(attributes(event, record_id="id", config=config), event)


def with_params(**params: Any) -> AuditEvent:
    """The event with other parameters, none declared sensitive."""
    return replace(EVENT, params={name: Param(value) for name, value in params.items()})


def test_a_whole_record_with_the_default_options(configured: Configured) -> None:
    """Addresses as sent, the identity, session and token hashed, no sensitive parameter, what was removed named."""
    keys = Policy.of(configured()).keys
    assert applied(configured) == {
        names.RECORD_ID: "id",
        names.LOG: "audit_log",
        names.SCHEMA: "1.0.0",
        names.ACTION: "sign_in_with_password",
        names.STRATEGY: "password",
        names.OUTCOME: "failure",
        names.REASON: "wrong_password",
        names.LIBRARY: "flask-login 0.6.3",
        names.IDENTITY: keys.identity("ann@example.com"),
        names.SESSION_ID: keys.session("the-session-key"),
        names.TOKEN_ID: keys.token("the-jti"),
        names.CLIENT_ADDRESS: "203.0.113.9",
        names.CLIENT_PORT: "47011",
        names.CLIENT_SOURCE: "peer",
        names.PEER_ADDRESS: "203.0.113.9",
        names.X_FORWARDED_FOR: "198.51.100.7, 10.0.0.1",
        names.FORWARDED: 'for="[2001:db8:cafe::17]:4711";proto=https',
        names.METHOD: "POST",
        names.SERVER_ADDRESS: "app.example",
        names.ROUTE: "/login/<next>",
        names.USER_AGENT: "curl/8.5.0",
        names.FLOW_ID: "f" * 32,
        "audit.params.remember": "true",
        names.REDACTED: "audit.params.password:key",
    }


@pytest.mark.parametrize("mode", ["hash", "truncate", "exclude"])
def test_every_address_of_a_record_is_covered(mode: str, configured: Configured) -> None:
    """Peer, client, both headers, and the port, in one go."""
    kept = applied(configured, ip_privacy_mode=mode, trusted_proxies="1")
    text = str(kept)
    for piece in ("203.0.113.9", "198.51.100.7", "10.0.0.1'", "2001:db8:cafe::17", "47011", "4711"):
        assert piece not in text
    assert (names.CLIENT_ADDRESS in kept) is (mode != "exclude")
    assert (names.FORWARDED in kept) is (mode != "exclude")
    if mode == "truncate":
        assert kept[names.X_FORWARDED_FOR] == "198.51.100.0/24, 10.0.0.0/24"
        assert kept[names.FORWARDED] == 'for="2001:db8:cafe::/48";proto=https'


@pytest.mark.parametrize("mode", ["hash", "truncate", "exclude"])
def test_an_address_in_any_other_field_is_covered(mode: str, configured: Configured) -> None:
    """The server's own, one in a path, in a parameter however deep, in an identifier; a version of four numbers is none."""
    request = replace(REQUEST, host="192.0.2.43:8443", route=None, path="/ban/192.0.2.44/")
    event = replace(
        with_params(client={"ips": ["2001:db8::45"]}, note="was 192.0.2.46"),
        request=request, subject="host:192.0.2.47", library="lib 1.2.3.4", error_type="refused 192.0.2.48",
    )  # fmt: skip
    kept = applied(configured, event, ip_privacy_mode=mode)
    text = str(kept)
    assert not [end for end in range(43, 49) if f"192.0.2.{end}" in text or f"::{end}" in text]
    assert kept[names.LIBRARY] == "lib 1.2.3.4"
    assert (names.SERVER_ADDRESS in kept) is (mode != "exclude")
    assert applied(configured, event)["audit.params.note"] == "was 192.0.2.46"
    assert applied(configured, EVENT, ip_privacy_mode=mode)[names.SERVER_ADDRESS] == "app.example"


def test_a_parameter_that_is_named_by_a_secret(configured: Configured) -> None:
    """An application keys its parameters by token: neither name nor value is recorded, and nothing names the token."""
    kept = applied(
        configured, with_params(**{JWT: "issued", "0123456789abcdef0123456789abcdef": 1, "ClientApplicationNameOfVersion2": 2})
    )
    assert JWT[:20] not in str(kept)
    assert [name for name in kept if name.startswith(names.PARAM_PREFIX)] == ["audit.params.ClientApplicationNameOfVersion2"]
    assert kept[names.REDACTED] == "audit.params.*:name"


@pytest.mark.parametrize(
    ("options", "identity", "email"),
    [
        ({}, "hashed:", None),
        ({"identity_privacy_mode": "none"}, "ann@example.com", None),
        ({"identity_privacy_mode": "domain"}, "*@example.com", None),
        ({"identity_privacy_mode": "exclude"}, None, None),
        ({"include_fields": "email,username"}, "ann@example.com", "ann@example.com"),
        ({"include_fields": "username"}, "hashed:", None),
    ],
)
def test_include_fields_lifts_the_identity_it_carried(
    options: dict[str, Any], identity: str | None, email: str | None, configured: Configured
) -> None:
    """The tutorial's `email,username`: absent without, present with, in the parameter and in the identity."""
    kept = applied(configured, **options)
    assert kept.get("audit.params.email") == email
    recorded = kept.get(names.IDENTITY)
    assert recorded == identity or (identity == "hashed:" and recorded is not None and recorded.startswith(identity))


def test_a_sensitive_parameter_stays_so_under_any_name(configured: Configured) -> None:
    """Its name may have to be changed to be an attribute's; its flag goes with it."""
    event = replace(EVENT, params={"e mail": Param("bob@example.com", sensitive=True), "usable_password": Param(value=False)})
    kept = applied(configured, event)
    assert "bob" not in str(kept)
    assert kept["audit.params.usable_password"] == "false"
    assert names.REDACTED not in kept


def test_an_included_secret_is_recorded(configured: Configured) -> None:
    """The operator said so by name, and was warned at start."""
    kept = applied(configured, include_fields="password")
    assert kept["audit.params.password"] == "hunter2"
    assert names.REDACTED not in kept


@pytest.mark.parametrize(
    "value",
    [
        "ann@example.com",
        "Ann@Example.com",
        ["x", "ann@example.com"],
        {"who": "ann@example.com"},
        "ann%40example.com",
        "for ann@example.com",
    ],
)
def test_the_identity_does_not_come_in_by_another_field(value: Any, configured: Configured) -> None:
    """What is hashed in one attribute must not stand in clear in the next."""
    kept = applied(configured, with_params(login=value))
    assert "ann@" not in str(kept).lower()
    assert "ann%40" not in str(kept)
    assert kept[names.REDACTED] == "audit.params.login:identity"
    assert "ann@example.com" in str(applied(configured, with_params(login="ann@example.com"), identity_privacy_mode="none"))


def test_a_short_user_name_does_not_blank_other_words(configured: Configured) -> None:
    """`ann` is removed where it is the value, not where it is part of another."""
    kept = applied(configured, replace(with_params(login="ann", planning="annual"), identity="ann"))
    assert kept["audit.params.planning"] == "annual"
    assert "audit.params.login" not in kept


def test_hashes_and_ids_of_ours_are_not_eaten(configured: Configured) -> None:
    """The gate runs before them: flow and record id are hex, pseudonyms too, and all arrive."""
    event = replace(EVENT, subject="app.User:0123456789abcdef0123456789abcdef")
    kept = applied(configured, event, ip_privacy_mode="hash")
    assert kept[names.SUBJECT] == "app.User:0123456789abcdef0123456789abcdef"
    assert kept[names.FLOW_ID] == "f" * 32
    assert kept[names.SESSION_ID].count(":") == kept[names.CLIENT_ADDRESS].count(":") == 2


@pytest.mark.parametrize("where", ["subject", "tenant", "resource", "provider", "error_type", "action", "library"])
def test_a_token_in_an_identifier_is_masked(where: str, configured: Configured) -> None:
    """An application that names its tenant after a JWT does not get it into the trail."""
    facts: dict[str, Any] = {where: f"x {JWT}"}
    assert JWT not in str(applied(configured, replace(EVENT, **facts)))


def test_the_name_of_an_exception_class_is_no_secret(configured: Configured) -> None:
    """However long it is and whatever digits it holds."""
    kept = applied(configured, replace(EVENT, status=Status.FAILURE, error_type="OAuth2AuthorizeCallbackError"))
    assert kept[names.ERROR_TYPE] == "OAuth2AuthorizeCallbackError"


def test_a_client_id_is_public(configured: Configured) -> None:
    """OAuth client ids look random and are no secrets; other parameters that look so go."""
    kept = applied(
        configured, with_params(client_id="0123456789abcdef0123456789abcdef", trace="0123456789abcdef0123456789abcdef")
    )
    assert kept["audit.params.client_id"] == "0123456789abcdef0123456789abcdef"
    assert "audit.params.trace" not in kept
    assert kept[names.REDACTED] == "audit.params.trace:hex"


def test_a_path_has_no_query_and_no_token(configured: Configured) -> None:
    """Where there is no route template."""
    kept = applied(configured, replace(EVENT, request=replace(REQUEST, route=None, path="/reset/MQ/c5k1ab-77?x=hunter2")))
    assert kept[names.PATH] == "/reset/[redacted]/[redacted]"
    assert f"{names.PATH}:query" in kept[names.REDACTED]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_hostile_value_costs_its_own_field(name: str, configured: Configured) -> None:
    """In a parameter, and in the places meant for text: the rest of the record is the same as ever."""
    usual = applied(configured, with_params())
    for event in (with_params(odd=HARMLESS[name]), replace(with_params(), tenant=HARMLESS[name])):
        kept = applied(configured, event)
        assert {key: value for key, value in kept.items() if key in usual} == usual
        assert all(type(value) is str and 0 < len(value) <= MAX_CHARS and value.encode() for value in kept.values())
        assert "hunter2" not in str(kept)


@pytest.mark.guarded
def test_a_value_that_raises_costs_its_own_field(configured: Configured) -> None:
    """It is named as failed; the rest of the record is the same as ever."""
    kept = applied(configured, with_params(odd=RAISING["raising mapping"]))
    assert kept == {**applied(configured, with_params()), names.REDACTED: "audit.params.odd:failed"}


def test_a_cut_value_is_marked(configured: Configured) -> None:
    """By an ellipsis, and by its name; of a header the end is kept, which the proxies wrote."""
    long = replace(
        with_params(note="word " * 400), request=replace(REQUEST, x_forwarded_for=("6.6.6.6, " * 200 + "198.51.100.7",))
    )
    for mode in ("none", "truncate"):
        kept = applied(configured, long, ip_privacy_mode=mode)
        assert kept["audit.params.note"].endswith(CUT)
        assert len(kept["audit.params.note"]) == MAX_CHARS
    kept = applied(configured, long)
    assert kept[names.X_FORWARDED_FOR].startswith(f"{CUT}, 6.6.6.6, ")
    assert kept[names.X_FORWARDED_FOR].endswith(", 198.51.100.7")
    assert kept[names.TRUNCATED] == f"audit.params.note,{names.X_FORWARDED_FOR}"


def test_too_many_parameters_cost_the_last_ones(configured: Configured) -> None:
    """64 attributes with those the chain adds; the record's own come first."""
    kept = applied(configured, with_params(**{f"p{i}": i for i in range(1000)}))
    assert len(kept) <= MAX_ATTRIBUTES - 4
    assert kept[names.TRUNCATED] == "*"
    assert kept[names.USER_AGENT] == "curl/8.5.0"


def test_a_minimal_record_says_that_something_happened(configured: Configured) -> None:
    """What is left when redaction itself crashed: nothing from outside."""
    raw = attributes(replace(EVENT, action="sign_in\ud800"), record_id="id", config=configured())
    assert minimal(raw) == {
        names.RECORD_ID: "id",
        names.LOG: "audit_log",
        names.ACTION: "sign_in\ufffd",
        names.STRATEGY: "password",
        names.OUTCOME: "failure",
        names.LIBRARY: "flask-login 0.6.3",
        names.SCHEMA: "1.0.0",
        names.REDACTED: "*:failed",
    }
    assert minimal({names.ACTION: object(), names.OUTCOME: ""}) == {names.REDACTED: "*:failed"}


def test_a_policy_shows_no_key(configured: Configured) -> None:
    """Its `repr` may end up in a log."""
    assert "a-key-for-tests-only" not in repr(Policy.of(configured()))


texts = st.none() | st.text(max_size=40)
lines = st.lists(st.text(max_size=40), max_size=2).map(tuple)
requests = st.builds(
    Request, flow_id=st.just("f" * 32), peer=texts, user_agent=texts, path=texts, host=texts, method=texts, forwarded=lines, x_forwarded_for=lines
)  # fmt: skip
values = st.text(max_size=40) | st.binary(max_size=40) | st.integers()
parameters = st.dictionaries(st.text(max_size=20), st.builds(Param, values), max_size=4)
events = st.builds(partial(replace, EVENT), subject=texts, identity=texts, tenant=texts, request=requests, params=parameters)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=events)
def test_any_event_becomes_a_record(event: AuditEvent, configured: Configured) -> None:
    """Fuzz: whatever a client sends, there is a record, it is clean UTF-8, short, and without an empty value."""
    for mode in ("none", "hash", "truncate", "exclude"):
        kept = applied(configured, event, ip_privacy_mode=mode)
        assert kept[names.OUTCOME] == "failure"
        assert all(name.encode().isascii() and 0 < len(value) <= MAX_CHARS and value.encode() for name, value in kept.items())
