"""Whoever forges the headers of proxies is not believed: every web framework, on a real server, with bytes as a client sends them.

The peer is 127.0.0.1. `trusted_proxies` says whom to believe: nobody, networks, or a number of proxies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail, audit_trail_of

from .servers import ask

FRAMEWORKS = (
    "django_wsgi", "django_asgi", "flask", "quart", "starlette", "fastapi", "litestar", "aiohttp", "tornado", "pyramid"
)  # fmt: skip
XFF, FORWARDED, REAL = "X-Forwarded-For: ", "Forwarded: ", "X-Real-IP: "
CLIENT, FORGED, PROXY = "203.0.113.9", "198.51.100.66", "127.0.0.2"
V6 = "2001:db8::9"
PEER = ("127.0.0.1", "peer")
BY_XFF, BY_FORWARDED, BY_REAL = ((CLIENT, source) for source in ("x_forwarded_for", "forwarded", "x_real_ip"))

EVERY_HEADER = (XFF + CLIENT, FORWARDED + f"for={CLIENT}", REAL + CLIENT)
Vector = tuple[tuple[str, ...], tuple[str, str]]

NOBODY: tuple[Vector, ...] = (
    ((), PEER),
    *(((header,), PEER) for header in EVERY_HEADER),
    (EVERY_HEADER, PEER),
)
"""What is sent, and the client's address with where it was read: nobody is trusted."""

LOOPBACK: tuple[Vector, ...] = (
    ((), PEER),
    ((XFF + CLIENT,), BY_XFF),
    ((XFF.lower() + CLIENT,), BY_XFF),
    ((XFF + f"{FORGED}, {CLIENT}",), BY_XFF),  # the client's own word stands left of what the proxy saw
    ((XFF + FORGED, XFF + CLIENT), BY_XFF),  # ... in a line of its own, too
    ((XFF + f"{FORGED}, {CLIENT}, {PROXY}",), BY_XFF),  # two proxies
    ((XFF + f"{FORGED}, {CLIENT}", XFF + PROXY), BY_XFF),
    ((XFF + f"{CLIENT}:4711",), BY_XFF),
    ((XFF + f"[{V6}]:443",), (V6, "x_forwarded_for")),
    ((XFF + "unknown",), PEER),
    ((XFF + f"{FORGED}, unknown",), PEER),  # the proxy does not tell: nobody else's word counts
    ((XFF + f"{FORGED}, _hidden, {PROXY}",), (PROXY, "x_forwarded_for")),
    ((XFF + "'; drop table users --",), PEER),
    ((XFF,), PEER),
    ((FORWARDED + f"for={CLIENT};proto=https;by={PROXY}",), BY_FORWARDED),
    ((FORWARDED + f"For={FORGED}, FOR={CLIENT}",), BY_FORWARDED),
    ((FORWARDED + f"for={FORGED}", FORWARDED + f"for={CLIENT}, for={PROXY}"), BY_FORWARDED),
    ((FORWARDED + f'for="[{V6}]:443"',), (V6, "forwarded")),
    ((FORWARDED + f'for="{FORGED}, for={FORGED}',), PEER),  # a quote that never ends
    ((FORWARDED + f"for={FORGED}", XFF + CLIENT), BY_XFF),
    ((REAL + CLIENT,), BY_REAL),
    ((REAL + FORGED, XFF + CLIENT), BY_XFF),
    (("X_Forwarded_For: " + FORGED,), PEER),  # CGI's names of both are one
    (("X_Forwarded_For: " + FORGED, XFF + CLIENT), BY_XFF),
    ((XFF + CLIENT, "X_Forwarded_For: " + FORGED), BY_XFF),  # ... and stands where the proxy's own would
    (("X_Real_IP: " + FORGED,), PEER),
    (("X-Forwarded-Host: " + FORGED, "X-Client-IP: " + FORGED, "True-Client-IP: " + FORGED), PEER),
)
"""The peer is a proxy, and so is everything in its network."""

ELSEWHERE: tuple[Vector, ...] = (
    *(((header,), PEER) for header in EVERY_HEADER),
    ((XFF + f"{CLIENT}, 192.0.2.1",), PEER),
)
"""Proxies are trusted, but the peer is none of them."""

ONE_HOP: tuple[Vector, ...] = (
    ((), PEER),
    ((XFF + CLIENT,), BY_XFF),
    ((XFF + f"{FORGED}, {CLIENT}",), BY_XFF),
    ((XFF + FORGED, XFF + CLIENT), BY_XFF),
    ((XFF + f"{FORGED}, unknown",), PEER),
    ((FORWARDED + f"for={FORGED}, for={CLIENT}",), BY_FORWARDED),
    ((REAL + CLIENT,), BY_REAL),
)
"""One proxy stands before the application, wherever it is."""

TWO_HOPS: tuple[Vector, ...] = (
    ((), PEER),
    ((XFF + FORGED,), PEER),  # somebody went around a proxy
    ((XFF + f"{CLIENT}, 192.0.2.1",), BY_XFF),
    ((XFF + f"{FORGED}, {CLIENT}", XFF + "192.0.2.1"), BY_XFF),
    ((FORWARDED + f"for={FORGED}, for={CLIENT}, for=192.0.2.1",), BY_FORWARDED),
    ((REAL + FORGED,), PEER),
)
"""Two of them."""


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    """Each of the frameworks; Django is set up once a process, by the application of its own story."""
    name: str = request.param
    if name == "quart" and find_spec("quart") is None:
        pytest.skip("Quart needs Flask 3")
    if name.startswith("django"):
        from .apps.django_auth_app import start

        start()
    return name


@pytest.mark.parametrize(
    ("trusted", "vectors"),
    [(None, NOBODY), ("127.0.0.0/8", LOOPBACK), ("192.0.2.0/24, 2001:db8::/32", ELSEWHERE), ("1", ONE_HOP), ("2", TWO_HOPS)],
    ids=["nobody", "loopback", "elsewhere", "one hop", "two hops"],
)
async def test_client_address(framework: str, tmp_path: Path, trusted: str | None, vectors: tuple[Vector, ...]) -> None:
    """The client is whom the trusted proxies name, and nobody that the client names itself; the peer is always told too."""
    with audit_trail_of(tmp_path, trusted_proxies=trusted, request_auth_dedup=0) as trail:
        async for address in served(framework):
            for headers, _ in vectors:
                assert (await ask(address, "/door/1", *headers, "Connection: close")).startswith(b"HTTP/1.1 200")
        found = [(one["client.address"], one["audit.client.source"]) for one in trail.records]
        assert dict(enumerate(found)) == {number: expected for number, (_, expected) in enumerate(vectors)}
        assert {one["network.peer.address"] for one in trail.records} == {"127.0.0.1"}


OTHER_MODES = [(framework, mode) for framework in ("flask", "starlette") for mode in ("truncate", "exclude")]


@pytest.mark.parametrize(("framework", "mode"), [*((name, "hash") for name in FRAMEWORKS), *OTHER_MODES], indirect=["framework"])
async def test_no_address_is_left(framework: str, tmp_path: Path, mode: str) -> None:
    """In every other mode no address that was sent, in whatever header, stands in the journal; nor does the peer's."""
    options: dict[str, Any] = {"trusted_proxies": "127.0.0.0/8", "ip_privacy_mode": mode, "request_auth_dedup": 0}
    with audit_trail_of(tmp_path, hash_key="test:spoofing", **options) as trail:
        async for address in served(framework):
            for headers, _ in LOOPBACK:
                await ask(address, "/door/1", *headers, "Connection: close")
        kept = journal(trail)
        assert len(trail.records) == len(LOOPBACK)
        assert [sent for sent in (CLIENT, FORGED, PROXY, V6, "127.0.0.1") if sent.encode() in kept] == []


def journal(trail: AuditTrail) -> bytes:
    """All of the journal."""
    return b"".join(path.read_bytes() for path in trail.folder.rglob("*.jsonl"))


async def served(framework: str) -> AsyncIterator[str]:
    """The framework's application on its server."""
    from .apps import spoofing_apps

    async with spoofing_apps.FRAMEWORKS[framework]() as address:
        yield address
