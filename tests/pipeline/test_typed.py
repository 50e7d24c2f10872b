from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.event import Actor, AuditEvent, Param, Request
from opentelemetry_instrumentation_authaudit.pipeline.sink import Pipeline
from opentelemetry_instrumentation_authaudit.pipeline.typed import typed
from tests.chain import chain
from tests.privacy.hostile import HARMLESS, RAISING, LyingStr

from .telling import SIGN_IN, pipeline, service

REQUEST = Request(flow_id="f" * 32, peer="203.0.113.7", peer_port=4711, forwarded=("for=1.2.3.4",), method="POST")
EVENT = replace(
    SIGN_IN, request=REQUEST, params={"remember": Param(value=True)}, actor=Actor("admin"), tenant="acme", trace_id=1, span_id=1
)
ENUMS = {"status", "strategy", "reason"}
"""Set by the engine, never by an extractor's value."""


def test_a_usual_event_is_not_even_copied() -> None:
    """Every record takes this way: it costs a look at each field."""
    assert typed(EVENT) is EVENT


@pytest.mark.parametrize(
    ("facts", "become"),
    [
        ({"subject": 42}, {"subject": "42"}),
        ({"subject": LyingStr("ann")}, {"subject": "ann"}),
        ({"identity": b"ann\xff"}, {"identity": "ann\ufffd"}),
        ({"tenant": object()}, {"tenant": "<object>"}),
        ({"library": None}, {"library": "unknown"}),
        ({"actor": "admin"}, {"actor": Actor("admin")}),
        ({"actor": Actor(7, "user")}, {"actor": Actor("7")}),  # type: ignore[arg-type]
        ({"identity_known": "yes", "inferred": 1}, {"identity_known": None, "inferred": False}),
        ({"trace_id": -1, "span_id": 1 << 64}, {"trace_id": 0, "span_id": 0}),
        ({"attempts": True, "repeats": "3"}, {"attempts": 0, "repeats": 0}),
        ({"params": {"x": "no param"}}, {"params": {}}),
        ({"request": "none"}, {"request": None}),
        ({"request": replace(REQUEST, peer_port="80")}, {"request": replace(REQUEST, peer_port=None)}),  # type: ignore[arg-type]
        ({"request": replace(REQUEST, forwarded=["a", 2])}, {"request": replace(REQUEST, forwarded=("a", "2"))}),  # type: ignore[arg-type]
    ],
)
def test_a_fact_of_another_type_becomes_the_right_one(facts: dict[str, Any], become: dict[str, Any]) -> None:
    """An application hands a number over as the subject, a framework a list as header lines."""
    assert typed(replace(EVENT, **facts)) == replace(EVENT, **become)


def test_a_time_that_is_none_is_now() -> None:
    """Of a record without a time nobody could say when it was."""
    assert typed(replace(EVENT, time="yesterday")).time > SIGN_IN.time - (1 << 60)  # type: ignore[arg-type]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline of its own."""
    made = pipeline(tmp_path, request_auth_dedup=0)
    yield made
    made.shutdown()


@pytest.mark.guarded
@pytest.mark.parametrize("hostile", [*HARMLESS, *RAISING])
def test_a_hostile_value_in_any_field_costs_that_field(hostile: str, sink: Pipeline, tmp_path: Path) -> None:
    """In every fact of an event and of its request, one after the other: a record each, and the others' fields are in it."""
    value = {**HARMLESS, **RAISING}[hostile]
    events = [replace(EVENT, **{field.name: value}) for field in fields(AuditEvent) if field.name not in ENUMS]
    events += [replace(EVENT, request=replace(REQUEST, **{field.name: value})) for field in fields(Request)]
    assert None not in [sink(event) for event in events]
    records = chain(service(tmp_path))[1:]
    assert len(records) == len(events)
    assert all(record.attributes[names.OUTCOME] == "success" for record in records)
    assert not [record for record in records if "*:failed" in str(record.attributes.get(names.REDACTED))]
    assert sum(record.attributes.get(names.SUBJECT) == "user:42" for record in records) == len(events) - 1
    assert "hunter2" not in str(records)
