from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.journal.line import Envelope

EVIL = ',"scopeLogs":[{"scope":,"logRecords":[],"schemaUrl":""}]}]}\n'


def envelope(name: str = "svc") -> Envelope:
    """What stands around the records of a service of that name."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": name}}]}
    return Envelope(json.dumps(resource, separators=(",", ":")).encode(), b'{"name":"scope"}', b"https://schema.example/1")


def record(text: str = "x") -> bytes:
    """A record with that value in it."""
    return encode(CanonicalRecord(event="e", time=1, attributes={"a": text}))


def line(text: str = "x", name: str = "svc") -> bytes:
    """A whole line without its newline."""
    return (envelope(name).head + record(text) + envelope(name).tail).removesuffix(b"\n")


def test_a_line_is_an_otlp_document() -> None:
    """Any tool that reads OTLP/JSON files reads a journal."""
    logs = json.loads(line())["resourceLogs"][0]
    assert logs["resource"]["attributes"][0]["value"] == {"stringValue": "svc"}
    assert logs["scopeLogs"] == [
        {"scope": {"name": "scope"}, "logRecords": [json.loads(record())], "schemaUrl": "https://schema.example/1"}
    ]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_line_is_taken_apart_again(text: str, name: str) -> None:
    """Whatever a value or a service's name contains, record and envelope come back byte for byte."""
    assert Envelope.split(line(text, name)) == (envelope(name), record(text))


def test_values_that_look_like_the_line_itself_do_not_deceive() -> None:
    """An attacker's user name may spell our own marks; its quotes are escaped, so they are not marks."""
    assert Envelope.split(line(EVIL, EVIL)) == (envelope(EVIL), record(EVIL))


@pytest.mark.parametrize("length", [0, 1, 20, 100, 200, -2, -1])
def test_a_torn_line_is_none(length: int) -> None:
    """What a crash left half-written is not taken for a record."""
    assert Envelope.split(line()[:length]) is None


def test_a_line_of_something_else_is_none() -> None:
    """A collector's own document, or a healed torn line, is passed over."""
    assert Envelope.split(b'{"resourceLogs":[]}') is None
    assert Envelope.split(line() + b"~") is None
