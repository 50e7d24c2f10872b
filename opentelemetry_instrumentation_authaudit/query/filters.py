"""Which records are asked for. Everything named must hold; values of one flag given several times are alternatives."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..config import IpPrivacy
from ..model import names
from ..model.catalog import matches
from ..privacy.addresses import AddressPrivacy, parse
from ..privacy.pseudonyms import Keyring, folded
from .documents import COMPACT, MayMatch
from .reader import Record
from .timescan import times_in

__all__ = ("Filters",)

_Test: TypeAlias = Callable[[Record], bool]
_Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
_PLAIN: Final = re.compile(rb"[A-Za-z0-9 ._:@-]+")
"""Characters that every writer of JSON writes as they are."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The flags of `authaudit query`. Actions and events may be patterns; a strategy may also be a provider, as in the options."""

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
    without: tuple[str, ...] = ()
    """Events that are not asked for."""
    keys: Keyring | None = field(default=None, repr=False)
    """To recognise identities and addresses that are stored as keyed hashes."""

    def tests(self) -> list[_Test]:
        """One test for each flag in use. ValueError for an address that is none."""
        exact = {
            (names.SUBJECT,): self.subject,
            (names.OUTCOME,): self.status,
            (names.STRATEGY, names.PROVIDER): self.strategy,
            (names.PROVIDER,): self.provider,
            (names.TENANT,): self.tenant,
        }
        found = [_one_of(where, frozenset(values)) for where, values in exact.items() if values]
        if self.action:
            found.append(lambda record: _any(self.action, record.attributes.get(names.ACTION, "")))
        if self.event:
            found.append(lambda record: _any(self.event, record.event))
        if self.without:
            found.append(lambda record: record.event not in self.without)
        if self.service:
            found.append(lambda record: record.service in self.service)
        if self.identity:
            found.append(_identities(self.identity, self.identity_hashes()))
        if self.ip:
            found.append(_addresses(self.networks(), self.address_hashes()))
        if self.since or self.until is not None:
            last = self.until if self.until is not None else 1 << 63
            found.append(lambda record: self.since <= record.time <= last)
        return found

    def needles(self) -> MayMatch:
        """A test on the bytes of lines, before they are parsed: false only where no record in them can match."""
        flags = (self.subject, self.status, self.strategy, self.provider, self.tenant, self.service, self.action)
        texts = [values for values in flags if values]
        events = [set(map(_needle, self.event))] if self.event else []
        loose = [set(map(_needle, values)) for values in texts] + events
        compact = [set(map(_compact_needle, values)) for values in texts] + events
        times = times_in(self.since, self.until)

        def may_match(lines: bytes | bytearray) -> bool:
            sets = compact if lines.startswith(COMPACT) else loose
            return all(any(needle in lines for needle in needles) for needles in sets) and times(lines)

        return may_match

    def identity_hashes(self) -> frozenset[str]:
        """How the wanted identities are stored where they are hashed, with any of the keys."""
        return frozenset(ring.identity(identity) for ring in self._rings() for identity in self.identity)

    def networks(self) -> list[_Network]:
        """The wanted addresses, each a network. ValueError for one that is none."""
        return [_network(text) for text in self.ip]

    def address_hashes(self) -> frozenset[str]:
        """How the wanted single addresses are stored where they are hashed, with any of the keys. ValueError as `networks`."""
        modes = [AddressPrivacy(IpPrivacy.HASH, 0, 0, ring, ash) for ring in self._rings() for ash in (False, True)]
        single = [str(network.network_address) for network in self.networks() if network.num_addresses == 1]
        return frozenset(hashed for mode in modes for text in single if (hashed := mode(text)))

    def _rings(self) -> tuple[Keyring, ...]:
        return self.keys.every() if self.keys is not None else ()


def _needle(value: str) -> bytes:
    """What is in every line that holds *value*, which may be a pattern, however its writer escapes: the longest plain part."""
    literal = max(re.split(r"\{\w+\}|\*", value), key=len).encode("utf-8", "replace")
    plain = max(_PLAIN.findall(literal), key=len, default=b"")
    return b'"%b"' % plain if plain == value.encode("utf-8", "replace") else plain


def _compact_needle(value: str) -> bytes:
    """The same where attributes are known to be written without white space. It is longer, so less has to be looked at."""
    needle = _needle(value)
    return b':{"stringValue":' + needle if needle.startswith(b'"') else needle


def _one_of(where: tuple[str, ...], values: frozenset[str]) -> _Test:
    return lambda record: any(record.attributes.get(name) in values for name in where)


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(matches(pattern, text) for pattern in patterns)


def _identities(wanted: Iterable[str], hashed: frozenset[str]) -> _Test:
    """Stored clear: the same but for case; stored as a hash: the hash of a wanted one."""
    clear = {folded(identity) for identity in wanted}

    def test(record: Record) -> bool:
        stored = record.attributes.get(names.IDENTITY, "")
        return stored in hashed or folded(stored) in clear

    return test


def _network(text: str) -> _Network:
    try:
        address = parse(text)
        return ipaddress.ip_network(text, strict=False) if address is None else ipaddress.ip_network(address)
    except ValueError:
        raise ValueError(f"{text!r} is no address: write 192.0.2.7, 2001:db8::1, or a network like 192.0.2.0/24") from None


def _addresses(wanted: list[_Network], hashed: frozenset[str]) -> _Test:
    """Stored clear: in a wanted network; stored as a network: overlapping one; stored as a hash: that of a wanted address."""

    def test(record: Record) -> bool:
        stored = (record.attributes.get(name, "") for name in (names.CLIENT_ADDRESS, names.PEER_ADDRESS))
        return any(address in hashed or _within(address, wanted) for address in stored)

    return test


def _within(stored: str, wanted: list[_Network]) -> bool:
    if "/" in stored:
        try:
            kept = ipaddress.ip_network(stored, strict=False)
        except ValueError:
            return False
        return any(kept.version == network.version and kept.overlaps(network) for network in wanted)
    address = parse(stored)
    return address is not None and any(address in network for network in wanted)
