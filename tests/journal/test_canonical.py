from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.journal.canonical import (
    GENESIS,
    CanonicalRecord,
    decode,
    digest,
    encode,
    number_of,
)
from opentelemetry_instrumentation_authaudit.model import names

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
RECORDS = st.builds(
    CanonicalRecord,
    event=TEXT,
    time=st.integers(0, 2**63 - 1),
    attributes=st.dictionaries(TEXT, st.one_of(TEXT, st.integers(0, 2**63 - 1)), max_size=8),
    severity=st.sampled_from([None, 9, 13, 17]),
    trace_id=st.integers(0, 2**128 - 1),
    span_id=st.integers(0, 2**64 - 1),
)


def test_a_record_is_written_to_the_letter() -> None:
    """These bytes are a promise: a verifier in another language, years later, must come to the same ones."""
    record = CanonicalRecord(
        event="auth.sign_in",
        time=1_795_521_600_000_001_000,
        severity=9,
        trace_id=0x0AF7651916CD43DD8448EB211C80319C,
        span_id=0xB7AD6B7169203331,
        attributes={names.SUBJECT: "user?id=1", names.SEQUENCE_NUMBER: 7, names.ACTION: 'a "quoted"\tÄ\x00\x7f/\\'},
    )
    assert encode(record).decode() == (
        '{"attributes":['
        '{"key":"audit.action","value":{"stringValue":"a \\"quoted\\"\\tÄ\\u0000\x7f/\\\\"}},'
        '{"key":"audit.sequence.number","value":{"intValue":"7"}},'
        '{"key":"user.id","value":{"stringValue":"user?id=1"}}'
        '],"eventName":"auth.sign_in","severityNumber":9,"spanId":"b7ad6b7169203331",'
        '"timeUnixNano":"1795521600000001000","traceId":"0af7651916cd43dd8448eb211c80319c"}'
    )


def test_what_is_not_known_is_not_written() -> None:
    """No severity, no trace: the keys are absent, as they are in a store."""
    assert encode(CanonicalRecord(event="e", time=1)) == b'{"attributes":[],"eventName":"e","timeUnixNano":"1"}'


@given(RECORDS)
def test_a_verifier_rebuilds_the_bytes(record: CanonicalRecord) -> None:
    """Decoded and encoded again, any record is the same bytes: nothing of it is outside the hash."""
    canonical = encode(record)
    assert decode(canonical) == record
    assert encode(decode(canonical)) == canonical


@given(RECORDS)
def test_the_bytes_are_what_a_general_serialiser_writes(record: CanonicalRecord) -> None:
    """Sorted keys, no blanks, shortest escapes (RFC 8785): for this shape the standard library writes the same."""
    canonical = encode(record)
    parsed: dict[str, Any] = json.loads(canonical)
    assert json.dumps(parsed, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() == canonical
    assert b"\n" not in canonical


def test_attributes_are_sorted_whatever_order_they_came_in() -> None:
    """Two processes that learn the facts in another order write the same record."""
    one = CanonicalRecord(event="e", time=1, attributes={"b": "2", "a": "1"})
    other = CanonicalRecord(event="e", time=1, attributes={"a": "1", "b": "2"})
    assert encode(one) == encode(other)


def test_a_lone_surrogate_is_refused() -> None:
    """It has no UTF-8, so there would be no bytes to hash; sanitising replaces it before."""
    with pytest.raises(UnicodeEncodeError):
        encode(CanonicalRecord(event="e", time=1, attributes={"a": "\ud800"}))


@pytest.mark.parametrize("junk", [b"", b"{}", b"[]", b"null", b'{"attributes":[{}],"eventName":"e","timeUnixNano":"1"}'])
def test_what_is_no_record_is_refused(junk: bytes) -> None:
    """A line that something else wrote is an error that a reader can catch, not a record of nothing."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode(junk)


def test_the_number_is_found_without_parsing() -> None:
    """Delivery reads it off the last record of a batch; a value that only looks like it does not deceive."""
    forged = f'{names.SEQUENCE_NUMBER}","value":{{"intValue":"9"'
    attributes: dict[str, str | int] = {names.ACTION: forged, names.SEQUENCE_NUMBER: 41}
    assert number_of(encode(CanonicalRecord(event="e", time=1, attributes=attributes))) == 41
    assert number_of(encode(CanonicalRecord(event="e", time=1))) == 0


def test_the_first_record_follows_nothing() -> None:
    """The chain begins at the hash of no bytes at all."""
    assert hashlib.sha256().hexdigest() == GENESIS == digest(b"")
