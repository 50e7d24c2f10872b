"""Filters: every flag, alone and together; the look at the raw line never loses a match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Key, Keyring
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, parse, read

from .trail import DAY, SECOND, canonical, line, write

KEYS = Keyring((Key("new", b"new key"), Key("Old", b"old key")))
OLD = Keyring(KEYS.keys[1:])

ASH = "hashed:" + hashlib.sha256(b"old key203.0.113.10").hexdigest()[:16]
"""An address as the reference hashes it (option `hash_compat`)."""

TRAIL = [
    canonical(1, user__id="auth.user:1", audit__identity="Ann@example.org", client__address="192.0.2.7"),
    canonical(2, audit__outcome="failure", audit__identity="bob", client__address="198.51.100.0/24"),
    canonical(
        3, "auth.sign_out", audit__action="sign_out", user__id="auth.user:1", audit__tenant="acme", client__address="2001:db8::7"
    ),
    canonical(
        4,
        audit__action="sign_in_with_github",
        audit__strategy="oauth2",
        audit__provider="github",
        network__peer__address="10.0.0.1",
    ),
    canonical(5, audit__identity=OLD.identity("carol"), client__address=OLD.address(bytes([203, 0, 113, 9]))),
    canonical(6, audit__outcome="unknown", client__address="invalid", audit__identity="d/e"),
    canonical(7, "auth.sign_out", audit__action="sign_out", client__address=ASH, network__peer__address="::ffff:10.0.0.2"),
]

CASES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3, 4, 5, 6, 7]),
    ({"subject": ("auth.user:1",)}, [1, 3]),
    ({"identity": ("ann@example.org",)}, [1]),
    ({"identity": ("Carol",)}, [5]),
    ({"action": ("sign_in_with_*",)}, [1, 2, 4, 5, 6]),
    ({"action": ("sign_in_with_{p}",), "provider": ("github",)}, [4]),
    ({"event": ("auth.sign_out",)}, [3, 7]),
    ({"status": ("failure", "unknown")}, [2, 6]),
    ({"strategy": ("oauth2",)}, [4]),
    ({"strategy": ("github",)}, [4]),
    ({"strategy": ("git",)}, []),
    ({"tenant": ("acme",)}, [3]),
    ({"service": ("shop",)}, [1, 2, 3, 4, 5, 6, 7]),
    ({"service": ("other",)}, []),
    ({"ip": ("192.0.2.7",)}, [1]),
    ({"ip": ("192.0.2.0/24",)}, [1]),
    ({"ip": ("198.51.100.77",)}, [2]),
    ({"ip": ("2001:db8::/32",)}, [3]),
    ({"ip": ("10.0.0.1",)}, [4]),
    ({"ip": ("203.0.113.9",)}, [5]),
    ({"ip": ("203.0.113.8",)}, []),
    ({"ip": ("203.0.113.10",)}, [7]),
    ({"ip": ("10.0.0.2",)}, [7]),
    ({"ip": ("::ffff:10.0.0.1",)}, [4]),
    ({"ip": ("10.0.0.1", "2001:db8::7")}, [3, 4]),
    ({"since": DAY + 5 * SECOND}, [5, 6, 7]),
    ({"until": DAY + 2 * SECOND}, [1, 2]),
    ({"subject": ("auth.user:1",), "event": ("auth.sign_in",)}, [1]),
]


@pytest.mark.parametrize(("asked", "found"), CASES)
def test_flag_finds_its_records(tmp_path: Path, asked: dict[str, Any], found: list[int]) -> None:
    """Also where identities and addresses are stored as hashes of a key that was rotated, or cut to networks."""
    path = write(tmp_path, TRAIL)
    filters = Filters(**asked, keys=KEYS)
    tests = filters.tests()
    records = [r for r in read([path], Unreadable(), may_match=filters.needles()) if all(test(r) for test in tests)]
    assert [int(record.id[-4:]) for record in records] == found


def test_hashes_are_not_found_without_their_key(tmp_path: Path) -> None:
    """Who has no key cannot ask for a name behind a hash."""
    path = write(tmp_path, TRAIL)
    tests = Filters(identity=("carol",)).tests()
    assert [r for r in read([path], Unreadable()) if all(test(r) for test in tests)] == []


def test_address_that_is_none_is_explained() -> None:
    """The message shows what an address looks like."""
    with pytest.raises(ValueError, match=r"'192.0.2' is no address: write 192.0.2.7"):
        Filters(ip=("192.0.2",)).tests()


def _escaping(text: bytes) -> bytes:
    """The same JSON by a writer that also escapes what HTML gives a meaning, as Go's encoder does."""
    return text.replace(b"&", b"\\u0026").replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"/", b"\\/")


WRITERS: list[Callable[[bytes], bytes]] = [
    lambda whole: whole,
    _escaping,
    lambda whole: json.dumps(json.loads(whole), separators=(",", ":")).encode(),
    lambda whole: json.dumps(json.loads(whole)).encode(),
]


@given(value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), writer=st.sampled_from(WRITERS))
@example(value="A&B", writer=_escaping)
def test_look_at_the_raw_line_never_loses_a_match(value: str, writer: Callable[[bytes], bytes]) -> None:
    """Whatever characters a subject has, and however a collector escapes them, the line that holds it is parsed."""
    whole = writer(line(canonical(1, user__id=value)))
    filters = Filters(subject=(value,))
    (record,) = parse(whole, Unreadable())
    assert filters.needles()(whole)
    assert all(test(record) for test in filters.tests())


@given(action=st.from_regex(r"[a-z_]{1,12}", fullmatch=True), cut=st.integers(0, 12))
def test_look_at_the_raw_line_never_loses_a_pattern(action: str, cut: int) -> None:
    """`*` stands for something; the rest of the pattern is in the line."""
    filters = Filters(action=(f"{action[:cut]}*",))
    whole = line(canonical(1, audit__action=f"{action}x"))
    (record,) = parse(whole, Unreadable())
    assert filters.needles()(whole)
    assert all(test(record) for test in filters.tests())


def test_look_at_the_raw_line_spares_parsing() -> None:
    """A line of somebody else is not parsed."""
    assert not Filters(subject=("auth.user:1",)).needles()(line(canonical(1, user__id="auth.user:12")))
