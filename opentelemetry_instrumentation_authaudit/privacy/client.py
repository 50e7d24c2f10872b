"""Which address is the client: the socket's peer, unless proxies that the operator trusts say otherwise.

Every proxy appends the address it was called from. So the walk goes from the peer leftwards and stops at the first hop that is
not trusted: that one is the client, and what stands further left is its own claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from ..model.event import Request
from .addresses import Address, parse, parse_with_port
from .forwarded import parse_forwarded, split_list

__all__ = ("Client", "Source", "TrustedProxies", "client_of")

TrustedProxies: TypeAlias = tuple[IPv4Network | IPv6Network, ...] | int
"""Networks whose addresses are proxies, or how many proxies stand before the application; 0 or empty for none."""


class Source(str, Enum):
    """Where the client's address was read."""

    PEER = "peer"
    FORWARDED = "forwarded"
    X_FORWARDED_FOR = "x_forwarded_for"
    X_REAL_IP = "x_real_ip"


@dataclass(frozen=True, slots=True)
class Client:
    """The client's address and port as text, and where they were read; no address where even the peer is unknown."""

    address: str | None
    port: str | None
    source: Source


def client_of(request: Request, trusted: TrustedProxies) -> Client:
    """The client of *request*.

    `X-Forwarded-For` is read before `Forwarded`: nearly every proxy writes the former and passes the latter through, so a
    forged `Forwarded` must not win. A proxy should remove whichever of the two it does not write.
    """
    peer = Client(request.peer or None, None if request.peer_port is None else str(request.peer_port), Source.PEER)
    if not trusted:
        return peer
    source, hops = _claims(request)
    found = _by_count(hops, trusted) if isinstance(trusted, int) else _by_network(peer.address, hops, trusted)
    if found is None:
        return peer
    address, port = parse_with_port(found)
    return Client(str(address), port if port and port.isdecimal() else None, source)


def _claims(request: Request) -> tuple[Source, Sequence[str]]:
    """The proxies' chain, the nearest hop last, and the header it comes from."""
    if request.x_forwarded_for:
        return Source.X_FORWARDED_FOR, split_list(request.x_forwarded_for)
    if request.forwarded:
        return Source.FORWARDED, [element.for_ or "" for element in parse_forwarded(request.forwarded)]
    return Source.X_REAL_IP, split_list(request.x_real_ip)


def _by_count(hops: Sequence[str], count: int) -> str | None:
    """The element that the outermost of *count* proxies wrote; None if fewer wrote one, or if it is no address."""
    if count > len(hops):
        return None
    return hops[-count] if parse(hops[-count]) else None


def _by_network(peer: str | None, hops: Sequence[str], trusted: Iterable[IPv4Network | IPv6Network]) -> str | None:
    """The first hop, from the peer leftwards, outside *trusted* (the leftmost if none is); None if that is the peer itself.

    A peer without an address is a Unix socket, and only a local proxy opens one. A trusted proxy that does not tell an address
    (`unknown`, an obfuscated identifier) ends the walk at the last address known.
    """
    networks = tuple(trusted)
    if peer and not _within(parse(peer), networks):
        return None
    last = None
    for hop in reversed(hops):
        address = parse(hop)
        if address is None:
            break
        last = hop
        if not _within(address, networks):
            break
    return last


def _within(address: Address | None, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return address is not None and any(address in network for network in networks)
