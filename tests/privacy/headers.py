"""What must hold of every forwarding header whatsoever, for Hypothesis and for the fuzzer (`make fuzz`)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final

from opentelemetry_instrumentation_authaudit.config import IpPrivacy
from opentelemetry_instrumentation_authaudit.privacy.addresses import Address, AddressPrivacy, parse
from opentelemetry_instrumentation_authaudit.privacy.forwarded import rebuild_forwarded, rebuild_host, rebuild_list
from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Key, Keyring

_KEYS: Final = Keyring((Key("k1", b"a-key-for-tests-only"),))
MODES: Final = {mode: AddressPrivacy(mode, 24, 48, _KEYS) for mode in (IpPrivacy.HASH, IpPrivacy.TRUNCATE, IpPrivacy.EXCLUDE)}

_NODE: Final = {
    IpPrivacy.HASH: r"hashed:k1:[0-9a-f]{32}|invalid",
    IpPrivacy.TRUNCATE: r"[0-9.]+/24|[0-9a-f:]+/48|invalid",
    IpPrivacy.EXCLUDE: r"invalid",
}
_NAME: Final = r"unknown|_[A-Za-z0-9._-]{1,64}"
_HOST: Final = r"[a-z0-9_][a-z0-9_.-]*"


def rebuilt(lines: Sequence[str], mode: IpPrivacy) -> tuple[str, str, str]:
    """What is recorded of *lines*: as `Forwarded`, as `X-Forwarded-For`, and as a host."""
    privacy = MODES[mode]
    return rebuild_forwarded(lines, privacy), rebuild_list(lines, privacy), rebuild_host(",".join(lines), privacy) or ""


def faults(lines: Sequence[str], planted: Iterable[Address] = ()) -> list[str]:
    """How the rebuilt headers break the rules: each is made of known parts only, and no *planted* address is in it."""
    found = []
    for mode in MODES:
        forwarded, listed, host = rebuilt(lines, mode)
        found += [f"{mode.value}: unknown form: {part}" for part in forwarded.split(", ") if part and not _element(part, mode)]
        found += [f"{mode.value}: unknown form: {part}" for part in listed.split(", ") if part and not _node(part, mode)]
        if host and not re.fullmatch(rf"{_HOST}|{_NODE[mode]}", host):
            found.append(f"{mode.value}: unknown form: {host}")
        for output in (forwarded, listed, host):
            found += [f"{mode.value}: {address} in {output}" for address in planted if _names(output, address)]
    return found


def _element(text: str, mode: IpPrivacy) -> bool:
    node = rf"(?:{_NODE[mode]}|{_NAME})"
    parts = {"for": node, "by": node, "host": rf"(?:{_HOST}|{_NODE[mode]})", "proto": r"[a-z]{1,10}"}
    pairs = [pair.partition("=") for pair in text.split(";")]
    return all(re.fullmatch(parts.get(name, "(?!)"), value.strip('"')) for name, _, value in pairs)


def _node(text: str, mode: IpPrivacy) -> bool:
    return re.fullmatch(rf"{_NODE[mode]}|{_NAME}", text) is not None


def _names(output: str, address: Address) -> bool:
    """Whether *output* names *address*, in whatever spelling; a network's own address is what truncation gives."""
    if not int(address) & 0xFF:
        return False
    spellings = {str(address), address.exploded, str(address).replace(".", "-").replace(":", "-")}
    words = re.split(r"[^0-9A-Fa-f:.-]", re.sub(r"[0-9a-f:.]+/\d+|hashed:k1:[0-9a-f]{32}", " ", output))
    return not spellings.isdisjoint(words) or address in {parse(word.strip(".-")) for word in words if word}


def canonical(address: Address) -> Address:
    """IPv4 in IPv6's disguise is IPv4."""
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
