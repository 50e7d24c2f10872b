from __future__ import annotations

import csv
import hashlib
import hmac
import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.config import IpPrivacy
from opentelemetry_instrumentation_authaudit.privacy.addresses import AddressPrivacy, parse, parse_with_port
from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Key, Keyring

from .conftest import Configured

with (Path(__file__).parents[1] / "data" / "addresses.csv").open(newline="") as _file:
    VECTORS = list(csv.DictReader(_file))

KEYS = Keyring((Key("k1", b"a-key-for-tests-only"),))


def privacy(mode: IpPrivacy, ipv4_mask: int = 24, ipv6_mask: int = 48) -> AddressPrivacy:
    """A mode with the tests' key."""
    return AddressPrivacy(mode, ipv4_mask, ipv6_mask, KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.43",
        " 192.0.2.43 ",
        "192.0.2.43:47011",
        "192.0.2.43:_http",
        "::ffff:192.0.2.43",
        "[::ffff:192.0.2.43]:80",
        "::FFFF:C000:22B",
    ],
)
def test_an_ipv4_address_has_one_canonical_form(text: str) -> None:
    """Blanks, ports and the IPv6 disguise of a dual-stack socket do not make another address of it."""
    assert parse(text) == ipaddress.ip_address("192.0.2.43")


@pytest.mark.parametrize(
    "text",
    [
        "2001:db8::1",
        "2001:DB8:0:0::1",
        "2001:0db8:0000:0000:0000:0000:0000:0001",
        "[2001:db8::1]",
        "[2001:db8::1]:443",
        "2001:db8::1%eth0",
        "[2001:db8::1%25eth0]:1",
    ],
)
def test_an_ipv6_address_has_one_canonical_form(text: str) -> None:
    """Brackets, ports, zone ids, case and zeros do not make another address of it."""
    assert parse(text) == ipaddress.ip_address("2001:db8::1")


@pytest.mark.parametrize(
    "text",
    [
        "", "unknown", "_hidden", "not-an-ip", "testclient", "unix:", "127.1", "010.0.0.1", "0x7f.1", "2130706433", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4/24",
        "[1.2.3.4]", "[2001:db8::1", "2001:db8::1]", "1.2.3.4:", "1.2.3.4:123456", "[::1]:x", "1.2.3.4 5.6.7.8", "\u0661.\u0662.\u0663.\u0664", "::1::", "1.2.3.4\n5", "1.2.3.4" * 1000,
    ],
)  # fmt: skip
def test_what_is_no_address_is_invalid(text: str) -> None:
    """Octal, short and numeric forms mean different hosts to different programs, so they mean none to us."""
    assert parse_with_port(text) == (None, None)
    assert privacy(IpPrivacy.HASH)(text) == privacy(IpPrivacy.TRUNCATE)(text) == "invalid"


def test_a_port_is_read_beside_its_address() -> None:
    """What a proxy writes behind the address is not lost."""
    assert parse_with_port("192.0.2.43:47011")[1] == "47011"
    assert parse_with_port("[2001:db8::1]:443")[1] == "443"
    assert parse_with_port("2001:db8::1")[1] is None


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: "-".join(row.values()))
def test_the_reference_is_matched_where_it_is_right(row: dict[str, str], configured: Configured) -> None:
    """Its hashes bit for bit (`hash_compat=ash`); its networks too, but IPv6 compressed, and only of true addresses."""
    config = configured(
        hash_compat="ash",
        hash_key="1:golden-salt",
        ip_privacy_mode=row["mode"],
        ipv4_truncation_mask=int(row["ipv4_mask"] or 24),
        ipv6_truncation_mask=int(row["ipv6_mask"] or 48),
    )
    result = AddressPrivacy.of(config, Keyring.of(config))(row["address"])
    assert result == row["ours"]
    if row["mode"] == "hash":
        assert result == row["reference"]


def test_the_reference_form_needs_a_salt(configured: Configured) -> None:
    """Its own default salt is public: without a key of the user's the mode is refused, not weakened."""
    config = replace(configured(hash_key=None), hash_compat="ash")
    with pytest.raises(ValueError, match="hash_key"):
        AddressPrivacy.of(config, KEYS)


def test_a_hash_is_an_hmac_of_the_packed_address() -> None:
    """Anyone who holds the key can recompute it: HMAC-SHA256 over the 4 or 16 bytes, cut to 32 hex digits."""
    expected = hmac.new(b"a-key-for-tests-only", bytes([192, 0, 2, 43]), hashlib.sha256).hexdigest()[:32]
    assert privacy(IpPrivacy.HASH)("192.0.2.43") == f"hashed:k1:{expected}"
    assert privacy(IpPrivacy.HASH)("[::ffff:192.0.2.43]:1") == f"hashed:k1:{expected}"


@pytest.mark.parametrize("text", ["192.0.2.43", "not-an-ip", "2001:DB8::1"])
def test_none_records_as_sent_and_exclude_nothing(text: str) -> None:
    """The two modes without arithmetic."""
    assert privacy(IpPrivacy.NONE)(text) == text
    assert privacy(IpPrivacy.EXCLUDE)(text) is None


def test_truncation_is_written_as_the_tutorial_shows() -> None:
    """`192.168.1.0/24` and `2001:db8:85a3::/48`."""
    assert privacy(IpPrivacy.TRUNCATE)("192.168.1.100") == "192.168.1.0/24"
    assert privacy(IpPrivacy.TRUNCATE)("2001:db8:85a3::8a2e:370:7334") == "2001:db8:85a3::/48"


@given(st.ip_addresses(), st.integers(0, 32), st.integers(0, 128))
def test_truncation_agrees_with_the_standard_library(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, ipv4: int, ipv6: int
) -> None:
    """Every address under every mask is its network in CIDR notation."""
    address = getattr(address, "ipv4_mapped", None) or address
    network = ipaddress.ip_network((address, ipv4 if address.version == 4 else ipv6), strict=False)
    assert privacy(IpPrivacy.TRUNCATE, ipv4, ipv6)(str(address)) == str(network)


@pytest.mark.parametrize(
    ("text", "truncated"),
    [
        ("192.0.2.43", "192.0.2.0/24"),
        ("from 192.0.2.43.", "from 192.0.2.0/24."),
        ("http://192.0.2.43:8080/x", "http://192.0.2.0/24/x"),
        ("[2001:DB8::1]:443, ::ffff:192.0.2.43", "2001:db8::/48, 192.0.2.0/24"),
        ("ip192.0.2.43_", "ip192.0.2.0/24_"),
        ("fe80::1%eth0", "fe80::/48"),
        ('{"ip":"2001:db8::"}', '{"ip":"2001:db8::/48"}'),
        ("at 12:30:45", "at 12:30:45"),
        ("auth.user:42", "auth.user:42"),
        ("1.2.3.4.5 and 1.2.3", "1.2.3.4.5 and 1.2.3"),
        ("00:1b:63:84:45:e6", "00:1b:63:84:45:e6"),
        ("std::string", "std::string"),
    ],
)
def test_addresses_within_a_text(text: str, truncated: str) -> None:
    """An application puts one into a parameter, a path or an identifier: it is treated there as everywhere."""
    assert privacy(IpPrivacy.TRUNCATE).within(text) == truncated
    assert privacy(IpPrivacy.NONE).within(text) == text


@given(st.ip_addresses(), st.text(alphabet=" ,;()[]'\"/=", max_size=3), st.text(alphabet=" ,;()[]'\"/=", max_size=3))
def test_no_address_within_a_text_is_missed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, before: str, behind: str
) -> None:
    """Whatever stands around it."""
    for mode in (IpPrivacy.HASH, IpPrivacy.EXCLUDE):
        assert str(address) not in privacy(mode).within(f"{before}{address}{behind}")


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_text_raises(text: str) -> None:
    """What a client sends as its address may cost the address, never the record."""
    for mode in IpPrivacy:
        result = privacy(mode)(text)
        assert result is None or mode is IpPrivacy.NONE or result == "invalid" or "/" in result or result.startswith("hashed:")
