"""`make fuzz`: coverage-guided fuzzing of the forwarding headers (atheris, libFuzzer). Arguments are libFuzzer's: `-max_total_time=600`.

A header is put together from what the fuzzer finds: names, delimiters, addresses in every spelling, and raw bytes. Nothing may raise;
what comes out is made of known parts only, and none of the addresses is in it. The same rules are tested by Hypothesis with each run
of the tests (`tests/privacy/headers.py`).
"""

from __future__ import annotations

import ipaddress
import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["opentelemetry_instrumentation_authaudit.privacy"]):
    from opentelemetry_instrumentation_authaudit.privacy.addresses import Address, parse_with_port
    from tests.privacy.headers import canonical, faults

WORDS = [
    "for=", "For = ", "by=", "HOST=", "proto=", "secret=", "=", ";", ", ", ",", '"', "\\", '"[', ']"', "]:8080", ":80",
    ":_port", "%25eth0", "_", "unknown", "_hidden", "https", "::ffff:", "0x", "127.1", "example.com", "ip-", ".ip.example", "--",
    " ", "\t", "\n", "\r\n", "\x00", "\ud800", "for=_",
]  # fmt: skip


def _address(data: Any, planted: list[Address]) -> str:
    """An address in one of its spellings."""
    if data.ConsumeBool():
        four = ipaddress.IPv4Address(data.ConsumeIntInRange(1 << 24, (1 << 32) - 1))
        planted.append(four)
        spellings = [str(four), f"::ffff:{four}", str(four).replace(".", "-"), f"{int(four):08x}", str(int(four))]
    else:
        six = ipaddress.IPv6Address(data.ConsumeIntInRange(1 << 112, (1 << 128) - 1))
        planted.append(canonical(six))
        dashed = str(six).replace(":", "-")
        spellings = [str(six), six.exploded.upper(), f"[{six}]", f'"[{six}]:443"', dashed, f"{six}%eth0"]
    return str(data.PickValueInList(spellings))


def one_input(raw: bytes) -> None:
    """One header, one or more lines of it."""
    data = atheris.FuzzedDataProvider(raw)
    planted: list[Address] = []
    lines = [""]
    while data.remaining_bytes():
        kind = data.ConsumeIntInRange(0, 4)
        if kind == 0:
            lines.append("")
        elif kind == 1:
            lines[-1] += _address(data, planted)
        elif kind == 2:  # noqa: PLR2004 -- a die
            lines[-1] += data.ConsumeBytes(8).decode("latin-1")
        else:
            lines[-1] += data.PickValueInList(WORDS)
    for line in lines:
        parse_with_port(line)
    if found := faults(lines, planted):
        raise AssertionError(f"{lines!r}: {found}")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
