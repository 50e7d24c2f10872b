from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.config import IpPrivacy
from opentelemetry_instrumentation_authaudit.privacy.forwarded import (
    Element,
    parse_forwarded,
    rebuild_forwarded,
    rebuild_list,
    split_list,
)

from .headers import canonical, faults
from .test_addresses import privacy

TRUNCATE, EXCLUDE = privacy(IpPrivacy.TRUNCATE), privacy(IpPrivacy.EXCLUDE)


def truncated(*lines: str) -> str:
    """The header in mode truncate: short enough to read."""
    return rebuild_forwarded(lines, TRUNCATE)


def test_names_are_matched_in_any_case() -> None:
    """Hole 1 of the reference: `For=` and `FOR=` passed in clear (RFC 7239, 4: names are case-insensitive)."""
    assert truncated("For=192.0.2.43;Proto=https") == 'for="192.0.2.0/24";proto=https'
    assert truncated('FOR="192.0.2.43:47011"') == 'for="192.0.2.0/24"'


def test_every_element_is_treated() -> None:
    """Hole 2: elements are separated by commas, and only the first was treated."""
    header = "for=192.0.2.43;proto=https, for=198.51.100.17;by=203.0.113.60"
    assert truncated(header) == 'for="192.0.2.0/24";proto=https, for="198.51.100.0/24";by="203.0.113.0/24"'


def test_blanks_around_the_equals_sign_hide_nothing() -> None:
    """Hole 3: `for = 192.0.2.43` passed in clear."""
    assert truncated("for = 192.0.2.43") == truncated("for\t=192.0.2.43 ") == 'for="192.0.2.0/24"'


def test_a_host_that_is_an_address_is_treated() -> None:
    """Hole 4: `host=` may be an address."""
    assert truncated("for=192.0.2.43;host=192.168.1.100") == 'for="192.0.2.0/24";host="192.168.1.0/24"'
    assert truncated('host="[2001:db8::1]:8080"') == 'host="2001:db8::/48"'


def test_several_elements_survive_truncation() -> None:
    """Hole 5: two elements became `for=invalid-ip`, the evidence destroyed."""
    assert truncated("for=192.0.2.43, for=198.51.100.17") == 'for="192.0.2.0/24", for="198.51.100.0/24"'


def test_an_unbracketed_ipv6_address_is_one() -> None:
    """Hole 6: it became `for=0.0.7.0/24`."""
    assert truncated("for=2001:db8:cafe:0:0:0:0:17") == 'for="2001:db8:cafe::/48"'


def test_several_header_lines_are_one_list() -> None:
    """Hole 7: RFC 9110, 5.3: lines of one name are elements of one list."""
    assert truncated("for=192.0.2.43", 'for="[2001:db8:cafe::17]:4711"') == 'for="192.0.2.0/24", for="2001:db8:cafe::/48"'


@pytest.mark.parametrize(
    ("header", "elements"),
    [
        ('for="_gazonk"', [Element("_gazonk")]),
        ('For="[2001:db8:cafe::17]:4711"', [Element("[2001:db8:cafe::17]:4711")]),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", [Element("192.0.2.60", "203.0.113.43", None, "http")]),
        ("for=192.0.2.43, for=198.51.100.17", [Element("192.0.2.43"), Element("198.51.100.17")]),
        ("for=unknown, for=_hidden, for=_SEVKISEK", [Element("unknown"), Element("_hidden"), Element("_SEVKISEK")]),
        (r'for="192.0.2.\43"', [Element("192.0.2.43")]),
        (r'for="a,b;c=d\"e"', [Element('a,b;c=d"e')]),
        (" , ,for=1.2.3.4;;proto=http; ,", [Element("1.2.3.4", None, None, "http")]),
        ("for=1.2.3.4;secret=x;proto=http", [Element("1.2.3.4", None, None, "http")]),
        ("for=1.2.3.4;for=5.6.7.8", [Element("5.6.7.8")]),
        ('for="never ends, by=1.2.3.4', []),
        ('by=1.2.3.4, for="ends in a backslash\\', [Element(None, "1.2.3.4")]),
        ("for=a=b", []),
        ("for", []),
        ("=1.2.3.4", []),
        ("", []),
    ],
)
def test_the_grammar_of_rfc_7239(header: str, elements: list[Element]) -> None:
    """The RFC's own examples, quoting and escapes, and what to do with the malformed: leave it out."""
    assert list(parse_forwarded([header])) == elements


@pytest.mark.parametrize(
    ("header", "rebuilt"),
    [
        ("for=_hidden;by=unknown", "for=_hidden;by=unknown"),
        ('for="_hidden:_port"', "for=_hidden"),
        ("for=_192.0.2.43", "for=invalid"),
        ("host=_ip-192-0-2-43", "host=invalid"),
        ("host=Example.COM:8443", "host=example.com"),
        ("host=ip-192-0-2-43.internal", "host=invalid"),
        ("for=_2001-db8--1", "for=invalid"),
        ("for=_--1;host=x2001--c7https", "for=invalid;host=invalid"),
        ("host=2001-db8-cafe-0-0-0-0-17.ip.example", "host=invalid"),
        ("host=c000022b.example", "host=invalid"),
        ("host=xn--bcher-kva.example", "host=xn--bcher-kva.example"),
        ("for=_a-b-c;host=a-b-c.d-e.example", "for=_a-b-c;host=a-b-c.d-e.example"),
        ("host=127.1", "host=invalid"),
        ("host=0x7f000001", "host=invalid"),
        ("host=2130706433", "host=invalid"),
        ("host=a/192.0.2.43", "host=invalid"),
        ("proto=javascript:1.2.3.4", ""),
        ("for=bogus;proto=HTTPS", "for=invalid;proto=https"),
        ("ext=192.0.2.43", ""),
    ],
)
def test_only_what_is_understood_is_rebuilt(header: str, rebuilt: str) -> None:
    """An address may hide in an obfuscated identifier, a host name, a scheme or an extension: none of them carries it out."""
    assert truncated(header) == rebuilt


def test_x_forwarded_for_is_treated_element_by_element() -> None:
    """Lines, ports, quotes and empty elements; an obfuscated or unknown hop stays what it is."""
    lines = ['192.0.2.43:80, "2001:DB8::1"', "unknown,,_hidden, bogus"]
    assert split_list(lines) == ("192.0.2.43:80", "2001:DB8::1", "unknown", "_hidden", "bogus")
    assert rebuild_list(lines, TRUNCATE) == "192.0.2.0/24, 2001:db8::/48, unknown, _hidden, invalid"
    assert rebuild_list(lines, EXCLUDE) == "unknown, _hidden"


def test_of_a_long_header_the_end_is_read() -> None:
    """What a client puts in front cannot push out what the proxies append behind."""
    assert split_list(["6.6.6.6, " * 5000 + "192.0.2.43"])[-1] == "192.0.2.43"
    assert parse_forwarded(["for=6.6.6.6, " * 5000 + "for=192.0.2.43"])[-1] == Element("192.0.2.43")
    assert len(split_list(["6.6.6.6, " * 5000])) == 32


headers = st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: raw.decode("latin-1"))
noise = st.text(alphabet='forbyhstp=;,"\\ :[]_.-%\t0123456789abcdefFOR', max_size=30)
addresses = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str) | st.ip_addresses(v=6).map(lambda a: a.exploded.upper())
templates = st.sampled_from(
    [
        "{}",
        "for={}",
        'For = "{}"',
        "for=[{}]:80",
        'by="[{}]:_p"',
        "host={}",
        "proto={}",
        "for=_{}",
        "for={},for={}",
        "x={}",
        'for="\\{}"',
        "{}:80",
        "host=a.{}.b",
    ]
)


@given(st.lists(headers, max_size=4))
def test_no_header_raises(lines: list[str]) -> None:
    """Fuzz: any text, any bytes, any number of lines; what comes out is made of known parts only."""
    assert faults(lines) == []


@given(addresses, templates, noise, noise)
@example("192.0.2.43", "for=_{}", "", "")
@example("0.0.0.1", "{}", "", "")
def test_no_address_of_the_input_is_in_the_output(address: str, template: str, before: str, behind: str) -> None:
    """Fuzz: in hash, truncate (below the full mask) and exclude no address gets through, wherever it stood."""
    header = before + template.replace("{}", address) + behind
    assert faults([header], [canonical(ipaddress.ip_address(address))]) == []
