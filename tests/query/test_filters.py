"""Filters: every flag, alone and together; the look at the raw line never loses a match."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Key, Keyring
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, parse, read

from .trail import DAY, SECOND, canonical, line, write

KEYS = Keyring((Key("new", b"new key"), Key("old", b"old key")))
OLD = Keyring(KEYS.keys[1:])

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
]

CASES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3, 4, 5, 6]),
    ({"subject": ("auth.user:1",)}, [1, 3]),
    ({"identity": ("ann@example.org",)}, [1]),
    ({"identity": ("Carol",)}, [5]),
    ({"action": ("sign_in_with_*",)}, [1, 2, 4, 5, 6]),
    ({"action": ("sign_in_with_{p}",), "provider": ("github",)}, [4]),
    ({"event": ("auth.sign_out",)}, [3]),
    ({"status": ("failure", "unknown")}, [2, 6]),
    ({"strategy": ("oauth2",)}, [4]),
    ({"tenant": ("acme",)}, [3]),
    ({"service": ("shop",)}, [1, 2, 3, 4, 5, 6]),
    ({"service": ("other",)}, []),
    ({"ip": ("192.0.2.7",)}, [1]),
    ({"ip": ("192.0.2.0/24",)}, [1]),
    ({"ip": ("198.51.100.77",)}, [2]),
    ({"ip": ("2001:db8::/32",)}, [3]),
    ({"ip": ("10.0.0.1",)}, [4]),
    ({"ip": ("203.0.113.9",)}, [5]),
    ({"ip": ("203.0.113.8",)}, []),
    ({"since": DAY + 5 * SECOND}, [5, 6]),
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


@given(value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_look_at_the_raw_line_never_loses_a_match(value: str) -> None:
    """Whatever characters a subject has, the line that holds it is parsed."""
    whole = line(canonical(1, user__id=value))
    filters = Filters(subject=(value,))
    (record,) = parse(whole, Unreadable())
    assert filters.needles()(whole)
    assert all(test(record) for test in filters.tests())
