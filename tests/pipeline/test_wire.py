"""The wire format: byte for byte what the Protobuf library writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, decode, encode
from opentelemetry_instrumentation_authaudit.pipeline.otlp import NOT_ENCODABLE, protobuf_request
from opentelemetry_instrumentation_authaudit.pipeline.wire import encoded, log_record

from .delivering import batch

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
records = st.builds(
    CanonicalRecord,
    event=texts,
    time=st.integers(0, 2**64 - 1),
    attributes=st.dictionaries(texts, texts | st.integers(-(2**63), 2**63 - 1), max_size=8),
    severity=st.none() | st.integers(0, 24),
    trace_id=st.integers(0, 2**128 - 1),
    span_id=st.integers(0, 2**64 - 1),
)


def by_the_library(record: CanonicalRecord, *, titled: bool) -> bytes:
    """The same, made of the library's objects."""

    def value(of: str | int) -> AnyValue:
        return AnyValue(string_value=of) if isinstance(of, str) else AnyValue(int_value=of)

    return LogRecord(
        time_unix_nano=record.time,
        severity_number=SeverityNumber.ValueType(record.severity or 0),
        attributes=[KeyValue(key=name, value=value(of)) for name, of in record.attributes.items()],
        event_name=record.event,
        body=value(record.event) if titled else None,
        trace_id=record.trace_id.to_bytes(16, "big") if record.trace_id else b"",
        span_id=record.span_id.to_bytes(8, "big") if record.span_id else b"",
    ).SerializeToString()


@given(records, st.booleans())
@example(CanonicalRecord(event="", time=0, attributes={"": "", "long": "x" * 200_000, "none": 0, "less": -1}), True)
@example(CanonicalRecord(event="é" * 64, time=1, attributes={"at the bound": "y" * 1093, "behind": "y" * 1100}), False)
def test_the_bytes_are_the_librarys(record: CanonicalRecord, titled: bool) -> None:
    """Whatever stands in the record."""
    assert log_record(record, titled=titled) == by_the_library(record, titled=titled)


plain_texts = st.text(st.characters(codec="ascii"), max_size=20)
canonical_records = st.builds(
    CanonicalRecord,
    event=plain_texts | texts,
    time=st.integers(0, 2**63 - 1),
    attributes=st.dictionaries(plain_texts, plain_texts | texts | st.integers(0, 2**63 - 1), max_size=8),
    severity=st.none() | st.integers(1, 24),
    trace_id=st.just(0) | st.integers(0, 2**128 - 1),
    span_id=st.just(0) | st.integers(0, 2**64 - 1),
)


@given(canonical_records, st.booleans())
@example(CanonicalRecord(event='}],"eventName":"', time=1, attributes={"a": '"}},{"key":"b","value":{"stringValue":"c'}), False)
def test_what_is_read_off_the_bytes_is_the_same(record: CanonicalRecord, titled: bool) -> None:
    """Escapes, braces and quotes in the values included."""
    canonical = encode(record)
    assert encoded(canonical, titled=titled) == log_record(decode(canonical), titled=titled)


@given(canonical_records, st.data())
def test_a_damaged_line_is_never_read_as_something_else(record: CanonicalRecord, data: st.DataObject) -> None:
    """Whatever is cut out of a record or put into it: either it says the same as its JSON, or it is refused."""
    canonical = encode(record)
    at, length = data.draw(st.integers(0, len(canonical))), data.draw(st.integers(0, 40))
    damaged = (
        canonical[:at]
        + data.draw(st.sampled_from([b"", b"{", b'"', b"}},", b'"},{"', b"\0", b"\xff"]))
        + canonical[at + length :]
    )
    try:
        expected = log_record(decode(damaged))
    except NOT_ENCODABLE:
        with pytest.raises(NOT_ENCODABLE):
            encoded(damaged)
    else:
        assert encoded(damaged) == expected


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "a time before 1970": lambda found: found | {"time": -1},
    "a time of more than 64 bits": lambda found: found | {"time": 2**64},
    "a severity of no enumeration": lambda found: found | {"severity": 2**31},
    "a severity that is text": lambda found: found | {"severity": "WARN"},
    "a trace of more than 128 bits": lambda found: found | {"trace_id": 2**128},
    "a span of more than 64 bits": lambda found: found | {"span_id": 2**64},
    "a number of more than 64 bits": lambda found: found | {"attributes": {"number": 2**63}},
    "half a character": lambda found: found | {"attributes": {"text": "\ud800"}},
    "a list": lambda found: found | {"attributes": {"text": ["a"]}},
}


@pytest.mark.parametrize("spoiled", WRONG.values(), ids=WRONG)
def test_what_no_message_can_say_is_refused(spoiled: Callable[[dict[str, Any]], Any]) -> None:
    """Never written in some other way: the sender answers for such a record, and it is set aside."""
    record = CanonicalRecord(**spoiled({"event": "auth.sign_in", "time": 1}))
    with pytest.raises(NOT_ENCODABLE):
        log_record(record)


def test_a_damaged_identifier_is_not_encodable() -> None:
    """One digit too many in a journal's line costs that line, not the delivery."""
    whole = encode(CanonicalRecord(event="auth.sign_in", time=1, trace_id=1 << 127))
    with pytest.raises(NOT_ENCODABLE):
        protobuf_request(batch(whole.replace(b'"traceId":"', b'"traceId":"f')))
