from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.model.event import Request
from opentelemetry_instrumentation_authaudit.privacy.client import Client, Source, client_of

PROXIES = tuple(ipaddress.ip_network(text) for text in ("10.0.0.0/8", "fd00::/8"))
PEER, FORWARDED, XFF, REAL = Source.PEER, Source.FORWARDED, Source.X_FORWARDED_FOR, Source.X_REAL_IP


def request(peer: str | None = "10.0.0.1", **headers: Any) -> Request:
    """A request from *peer*, by default a proxy."""
    return Request(flow_id="f" * 32, peer=peer, peer_port=47011, **headers)


def test_without_trust_the_peer_is_the_client() -> None:
    """Headers are recorded, not believed: anybody can send them."""
    forged = request("203.0.113.9", x_forwarded_for=("1.1.1.1",), forwarded=("for=1.1.1.1",), x_real_ip=("1.1.1.1",))
    for trusted in ((), 0):
        assert client_of(forged, trusted) == Client("203.0.113.9", "47011", PEER)


def test_a_peer_outside_the_networks_is_not_believed() -> None:
    """Whoever reaches the application beside the proxy cannot choose an address."""
    assert client_of(request("203.0.113.9", x_forwarded_for=("1.1.1.1",)), PROXIES) == Client("203.0.113.9", "47011", PEER)


@pytest.mark.parametrize(
    ("headers", "address", "source"),
    [
        ({"x_forwarded_for": ("198.51.100.7",)}, "198.51.100.7", XFF),
        ({"x_forwarded_for": ("6.6.6.6, 198.51.100.7, 10.9.9.9",)}, "198.51.100.7", XFF),
        ({"x_forwarded_for": ("6.6.6.6", "198.51.100.7")}, "198.51.100.7", XFF),
        ({"x_forwarded_for": ("10.1.1.1, 10.2.2.2",)}, "10.1.1.1", XFF),
        ({"x_forwarded_for": ("[2001:DB8::7]:443",)}, "2001:db8::7", XFF),
        ({"x_forwarded_for": ("::ffff:198.51.100.7",)}, "198.51.100.7", XFF),
        ({"x_forwarded_for": ("6.6.6.6, unknown, 10.3.3.3",)}, "10.3.3.3", XFF),
        ({"x_forwarded_for": ("6.6.6.6, garbage",)}, "10.0.0.1", PEER),
        ({"forwarded": ('for=6.6.6.6, for="[2001:db8::7]:4711", for=10.1.1.1',)}, "2001:db8::7", FORWARDED),
        ({"forwarded": ("for=_hidden",)}, "10.0.0.1", PEER),
        ({"forwarded": ("proto=https",)}, "10.0.0.1", PEER),
        ({"x_real_ip": ("198.51.100.7",)}, "198.51.100.7", REAL),
        ({"forwarded": ("for=6.6.6.6",), "x_forwarded_for": ("198.51.100.7",)}, "198.51.100.7", XFF),
        ({"x_real_ip": ("6.6.6.6",), "x_forwarded_for": ("198.51.100.7",)}, "198.51.100.7", XFF),
        ({}, "10.0.0.1", PEER),
    ],
)
def test_the_walk_ends_at_the_first_hop_that_is_not_trusted(headers: dict[str, Any], address: str, source: Source) -> None:
    """From the peer leftwards; what stands left of the client is its own claim, and what a proxy will not tell stays unknown."""
    client = client_of(request(**headers), PROXIES)
    assert (client.address, client.source) == (address, source)


@pytest.mark.parametrize(("hops", "address"), [(1, "10.1.1.1"), (2, "198.51.100.7"), (3, "6.6.6.6"), (4, "10.0.0.1")])
def test_a_hop_count_takes_the_element_the_outermost_proxy_wrote(hops: int, address: str) -> None:
    """With fewer elements than proxies somebody came in behind them: then only the peer is sure."""
    assert client_of(request(x_forwarded_for=("6.6.6.6, 198.51.100.7", "10.1.1.1")), hops).address == address


def test_a_port_in_the_header_is_the_clients_port() -> None:
    """The peer's port belongs to the proxy; it is not the client's."""
    assert client_of(request(x_forwarded_for=("198.51.100.7:4711",)), 1).port == "4711"
    assert client_of(request(x_forwarded_for=("198.51.100.7",)), 1).port is None
    assert client_of(request(forwarded=('for="198.51.100.7:_obfuscated"',)), 1).port is None


def test_a_unix_socket_belongs_to_a_local_proxy() -> None:
    """A server behind a Unix socket has no peer address; whoever names proxies means the one that opened it."""
    behind = request(None, x_forwarded_for=("198.51.100.7",))
    assert client_of(behind, PROXIES).address == "198.51.100.7"
    assert client_of(behind, ()).address is None


@given(st.lists(st.text(max_size=30), max_size=3), st.text(max_size=20))
def test_no_forged_header_makes_a_client_of_an_untrusted_peer(lines: list[str], peer: str) -> None:
    """Fuzz: without a trusted proxy in front, no header decides, and none raises."""
    forged = request(f"203.0.113.9{peer}", x_forwarded_for=tuple(lines), forwarded=tuple(lines), x_real_ip=tuple(lines))
    assert client_of(forged, PROXIES).source is PEER
    client_of(forged, 1)
