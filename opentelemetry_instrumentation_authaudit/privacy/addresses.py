"""IP addresses: one canonical form, four modes.

The same address always gives the same result, however it was written: ports, brackets and zone ids are stripped, IPv4-mapped
IPv6 is unwrapped (RFC 4291, 2.5.5.2), octal and short IPv4 forms are no addresses (RFC 6943, 3.1.1).
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from ..config import Config, IpPrivacy
from .pseudonyms import Keyring

__all__ = ("INVALID", "Address", "AddressPrivacy", "parse", "parse_with_port")

Address: TypeAlias = IPv4Address | IPv6Address

INVALID: Final = "invalid"
"""Stands for what should be an address and is none, wherever the mode forbids to record it as sent."""

_IPV4_BITS, _IPV6_BITS = 32, 128
_LONGEST = 128
"""Characters: the longest address is 45, a zone id may add an interface's name."""
_PORT = r"(?::(\d{1,5}|_[A-Za-z0-9._-]+))?"  # RFC 7239, 6: a port is a number or obfuscated
_BRACKETED = re.compile(rf"\[([^\[\]]*)\]{_PORT}")
# Candidates for an address within a text: two colons, or four numbers. `parse` decides.
_WITHIN = re.compile(
    r"(?<![\w.:])\[?(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:][\w.:%\]]{1,80}|(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\d.]*\d)"
)
_DOTTED = re.compile(rf"([0-9.]+){_PORT}")


def parse(text: str) -> Address | None:
    """The address that *text* names, None if it names none."""
    return parse_with_port(text)[0]


def parse_with_port(text: str) -> tuple[Address | None, str | None]:
    """The address and the port that *text* names; a port without an address is none."""
    text = text[: _LONGEST + 1].strip()
    if len(text) > _LONGEST:
        return None, None
    match = _BRACKETED.fullmatch(text) or _DOTTED.fullmatch(text)
    host, port = (match[1], match[2]) if match else (text, None)
    address = _canonical(host)
    if address is None or (text.startswith("[") and "." in host and ":" not in host):
        return None, None
    return address, port


@lru_cache(maxsize=4096)
def _canonical(host: str) -> Address | None:
    address_part = host.partition("%")[0] if ":" in host else host
    try:
        address = ipaddress.ip_address(address_part)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@dataclass(frozen=True, slots=True)
class AddressPrivacy:
    """What is recorded of an address: options `ip_privacy_mode`, the two masks and `hash_compat`."""

    mode: IpPrivacy
    ipv4_mask: int
    ipv6_mask: int
    keys: Keyring
    ash: bool = False
    """Hash as the reference does: `sha256(salt + text)`, 16 hex digits. It hashes the text as sent, not the address."""

    @classmethod
    def of(cls, config: Config, keys: Keyring) -> AddressPrivacy:
        """The options' choice; `hash_compat=ash` without a key of the user's is refused with a ValueError."""
        ash = config.hash_compat == "ash"
        if ash and not (config.hash_key or config.hash_key_file):
            raise ValueError("hash_compat=ash needs the reference's salt: set hash_key or hash_key_file to it.")
        return cls(config.ip_privacy_mode, config.ipv4_truncation_mask, config.ipv6_truncation_mask, keys, ash)

    def __call__(self, text: str) -> str | None:
        """What is recorded of the address *text*: None in mode exclude, *text* itself in mode none."""
        if self.mode is IpPrivacy.NONE:
            return text
        if self.mode is IpPrivacy.EXCLUDE:
            return None
        if self.mode is IpPrivacy.HASH and self.ash:
            return self._reference_hash(text)
        address = parse(text)
        if address is None:
            return INVALID
        return self.keys.address(address.packed) if self.mode is IpPrivacy.HASH else self._network(address)

    def within(self, text: str) -> str:
        """*text*, every address in it as it is recorded: a network or a hash for it, nothing in mode exclude."""
        return text if self.mode is IpPrivacy.NONE else _WITHIN.sub(self._replaced, text)

    def _replaced(self, match: re.Match[str]) -> str:
        whole, bare = match[0], match[0].strip("[]")  # of a bracket that is never closed, or of a sentence's full stop
        found = next((text for text in (whole, bare, bare.rstrip(".:")) if parse(text) is not None), None)
        return whole if found is None else whole.replace(found, self(found) or "")

    def _network(self, address: Address) -> str:
        """The network of *address* in CIDR notation, IPv6 compressed (RFC 5952)."""
        if address.version == 4:  # noqa: PLR2004 -- IP versions
            return f"{IPv4Address(_masked(int(address), self.ipv4_mask, _IPV4_BITS))}/{self.ipv4_mask}"
        return f"{IPv6Address(_masked(int(address), self.ipv6_mask, _IPV6_BITS))}/{self.ipv6_mask}"

    def _reference_hash(self, text: str) -> str:
        salted = self.keys.first.secret + text.encode("utf-8", "replace")
        return f"hashed:{hashlib.sha256(salted).hexdigest()[:16]}"


def _masked(address: int, mask: int, bits: int) -> int:
    return address >> (bits - mask) << (bits - mask)
