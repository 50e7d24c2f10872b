"""Which records are asked for. Everything named must hold; values of one flag given several times are alternatives."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from typing import TypeAlias

from ..model import names
from ..model.catalog import matches
from ..privacy.addresses import parse
from ..privacy.pseudonyms import Keyring
from .reader import Record

__all__ = ("Filters",)

_Test: TypeAlias = Callable[[Record], bool]
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


@dataclass(frozen=True, slots=True)
class Filters:
    """The flags of `authaudit query`."""

    subject: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()
    action: tuple[str, ...] = ()
    event: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    strategy: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    tenant: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    since: int = 0
    until: int | None = None
    keys: Keyring | None = field(default=None, repr=False)
    """To recognise identities and addresses that are stored as keyed hashes."""

    def tests(self) -> list[_Test]:
        """One test for each flag in use. ValueError for an address that is none."""
        exact = {
            names.SUBJECT: self.subject,
            names.OUTCOME: self.status,
            names.STRATEGY: self.strategy,
            names.PROVIDER: self.provider,
            names.TENANT: self.tenant,
        }
        found = [_is(name, values) for name, values in exact.items() if values]
        if self.action:
            found.append(lambda record: _any(self.action, record.attributes.get(names.ACTION, "")))
        if self.event:
            found.append(lambda record: _any(self.event, record.event))
        if self.service:
            found.append(lambda record: record.service in self.service)
        if self.identity:
            wanted = {value.casefold() for value in self.identity} | set(self._hashed_identities())
            found.append(lambda record: record.attributes.get(names.IDENTITY, "").casefold() in wanted)
        if self.ip:
            found.append(_addresses([_network(text) for text in self.ip], self.keys))
        if self.since or self.until is not None:
            last = self.until if self.until is not None else 1 << 63
            found.append(lambda record: self.since <= record.time <= last)
        return found

    def needles(self) -> Callable[[bytes], bool]:
        """A test on the bytes of a line, before it is parsed: false only where no record in it can match."""
        sets = [
            [encode_basestring(value).encode() for value in values]
            for values in (self.subject, self.status, self.strategy, self.provider, self.tenant, self.service)
            if values
        ]
        sets += [
            [encode_basestring(pattern).encode() for pattern in patterns]
            for patterns in (self.action, self.event)
            if patterns and not any(set(pattern) & set("*{") for pattern in patterns)
        ]
        return lambda line: all(any(needle in line for needle in needles) for needles in sets)

    def _hashed_identities(self) -> Iterable[str]:
        rings = self.keys.every() if self.keys is not None else ()
        return (ring.identity(value) for ring in rings for value in self.identity)


def _is(name: str, values: tuple[str, ...]) -> _Test:
    return lambda record: record.attributes.get(name) in values


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(matches(pattern, text) for pattern in patterns)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no address: write 192.0.2.7, 2001:db8::1, or a network like 192.0.2.0/24") from None


def _addresses(wanted: list[Network], keys: Keyring | None) -> _Test:
    """Stored clear: inside a wanted network; stored as a network: overlapping one; stored as a hash: the hash of a
    wanted address."""
    single = [network.network_address.packed for network in wanted if network.num_addresses == 1]
    hashed = {ring.address(packed) for ring in (keys.every() if keys is not None else ()) for packed in single}

    def test(record: Record) -> bool:
        return any(_fits(record.attributes.get(name, ""), wanted, hashed) for name in (names.CLIENT_ADDRESS, names.PEER_ADDRESS))

    return test


def _fits(stored: str, wanted: list[Network], hashed: set[str]) -> bool:
    if stored in hashed:
        return True
    if "/" in stored:
        try:
            kept = ipaddress.ip_network(stored, strict=False)
        except ValueError:
            return False
        return any(kept.version == network.version and kept.overlaps(network) for network in wanted)
    address = parse(stored)
    return address is not None and any(address in network for network in wanted)
