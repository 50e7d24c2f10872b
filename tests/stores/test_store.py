"""Addresses of stores, and several stores asked as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.cli import main
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.pipeline.otlp import Sender
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Record
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.store import (
    SCHEMES,
    Address,
    Merged,
    Progress,
    Store,
    is_url,
    open_store,
)

SECRET = "S3cret-Pa55"
texts = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\t"), min_size=1, max_size=12)
hosts = st.from_regex(r"[a-z][a-z0-9]{0,8}(\.[a-z]{2,5})?", fullmatch=True) | st.sampled_from(["127.0.0.1", "::1", "2001:db8::7"])
ports = st.none() | st.integers(1, 65535)
addresses = st.builds(
    Address,
    scheme=st.sampled_from(sorted(SCHEMES)),
    host=hosts,
    port=ports,
    user=texts | st.just(""),
    password=st.just(""),
    database=texts.filter(lambda text: not text.startswith("/")) | st.just(""),
    options=st.dictionaries(
        texts.filter(lambda name: name not in {"password", "sslpassword", "password_file"}), texts, max_size=3
    ).map(MappingProxyType),
    others=st.lists(st.tuples(hosts, ports), max_size=2).map(tuple),
)


@given(addresses)
def test_an_address_is_printed_as_it_is_read(address: Address) -> None:
    """What is shown can be used again: user, hosts, ports, database and options of any kind."""
    assert Address.parse(str(address)) == address


@given(
    addresses, st.text(st.characters(codec="utf-8"), min_size=6, max_size=20).map(lambda text: f"{text[:3]}{SECRET}{text[3:]}")
)
def test_a_password_is_read_and_never_shown(address: Address, password: str) -> None:
    """In the place of passwords, or as an option that libpq knows: any characters, and no trace of them in what is printed."""
    user = f"{quote(address.user or 'app', safe='')}:{quote(password, safe='')}@"
    rest = str(replace(address, user="")).partition("://")[2]
    found = Address.parse(f"{address.scheme}://{user}{rest}")
    assert found.password == found.secret == password
    shown = str(found) + repr(found)
    assert SECRET not in shown
    option = Address.parse(str(address)).asking(password=password, sslpassword=password)
    assert SECRET not in str(option)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://app:{SECRET}/x@db/audit",
        f"postgresql://app:{SECRET}#x@db/audit",
        f"postgresql://app:{SECRET}?x@db/audit",
        f"postgresql://app:{SECRET}[x@db/audit",
        f"postgresql://app:{SECRET}]x@db/audit",
        f"postgresql://app:x@[{SECRET}/audit",
        f"postgresql://app:x@db:{SECRET}/audit",
        f"postgresql://app@db/audit?{SECRET}",
        f"mysql://app:{SECRET}@db/audit",
        f"clickhouse://app:{SECRET}@db:99999/audit",
        f"victorialogs://app:{SECRET}@db:1:2/",
    ],
)
def test_a_wrong_url_is_not_repeated(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A slash or a bracket in a password that nobody quoted: the message says what is wrong, and no part of the password."""
    with pytest.raises(StoreError) as refused:
        store = open_store(url)
        raise StoreError(str(store))  # what can be opened all the same is shown without it
    assert SECRET not in str(refused.value)
    assert SECRET not in repr(refused.value.__cause__)
    if url.partition("://")[0] in SCHEMES:
        main(["query", "--store", url, "--last", "1"])
        printed = capsys.readouterr()
        assert SECRET not in printed.out + printed.err


def test_a_password_lies_in_a_file(tmp_path: Path) -> None:
    """Its first line, whatever its end; a file that is not there is named."""
    path = tmp_path / "password"
    path.write_bytes(b"correct horse\r\nsomething else\n")
    address = Address.parse(f"victorialogs://app@db?{urlencode({'password_file': str(path)})}")
    assert (address.password, address.secret) == ("", "correct horse")
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read: No such file"):
        _ = address.secret


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("postgresql://db/audit", True),
        ("postgres://db/audit", True),
        ("victorialogs+https://logs", True),
        ("audit.jsonl", False),
        ("/var/lib/audit", False),
        ("file:/var/lib/audit", False),
        ("mysql://db", False),
        ("postgresql", False),
        ("./postgresql:x", False),
    ],
)
def test_what_is_a_url_and_what_a_path(place: str, url: bool) -> None:
    """Only the schemes of stores make a URL; everything else is a path, which may be missing."""
    assert is_url(place) is url


class Kept(Store):
    """Records in memory."""

    def __init__(self, name: str, records: Sequence[Record]) -> None:
        self.name, self.kept, self.closed = name, sorted(records, key=lambda record: (record.time, record.number)), False

    def __str__(self) -> str:
        return self.name

    def records(self, filters: Filters) -> Iterator[Record]:
        tests = filters.tests()
        seen = set()
        for record in self.kept:
            if record.id not in seen and all(test(record) for test in tests):
                seen.add(record.id)
                yield record

    def copies(self, filters: Filters, progress: Progress = lambda _done: None) -> Iterator[Record]:
        for record in self.kept:
            progress(1)
            yield record

    def size(self) -> int:
        return len(self.kept)

    def sender(self) -> Sender:
        raise StoreError("no")

    def close(self) -> None:
        self.closed = True


def record(number: int, time: int) -> Record:
    """A record of which copies are recognised by its number."""
    return Record("auth.sign_in", time, {names.RECORD_ID: f"{number:04d}", names.STREAM_ID: "a" * 16}, number=number)


parts = st.lists(st.lists(st.integers(0, 30), max_size=15), max_size=4)


@given(parts, st.integers(0, 12))
def test_several_stores_are_asked_as_one(told: list[list[int]], count: int) -> None:
    """However records are spread over stores and doubled: each comes once, in the order of time, and the newest are the newest."""
    times = {number: number * 7 % 13 for number in range(31)}
    stores = [Kept(f"store{place}", [record(number, times[number]) for number in one]) for place, one in enumerate(told)]
    merged = Merged(stores)
    everything = sorted({(times[number], number) for one in told for number in one})
    assert [(one.time, one.number) for one in merged.records(Filters())] == everything
    assert [(one.time, one.number) for one in merged.last(Filters(), count)] == (everything[-count:] if count else [])
    assert sorted(one.number for one in merged.copies(Filters())) == sorted(number for one in told for number in one)
    assert merged.size() == sum(map(len, told))


def test_several_stores_are_no_place_to_write() -> None:
    """It says which they are; closing closes all."""
    stores = [Kept("one", []), Kept("other", [])]
    merged = Merged(stores)
    with pytest.raises(StoreError, match="one store only, not into one, other"):
        merged.sender()
    merged.close()
    assert [store.closed for store in stores] == [True, True]
