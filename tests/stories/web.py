"""What the stories of ASGI frameworks have in common: a browser without a server, and records without what the browser chooses."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import httpx

Record = dict[str, str]


def label(distribution: str) -> str:
    """Library and version as records print them."""
    return f"{distribution.lower()} {version(distribution)}"


def browser(app: Any, base_url: str = "http://testserver") -> httpx.AsyncClient:
    """An HTTP client that speaks to *app* directly; exceptions of the application become responses, as behind a server."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("127.0.0.1", 4711))
    return httpx.AsyncClient(transport=transport, base_url=base_url)


def record(library: str, event: str, outcome: str = "success", *, at: str, method: str = "POST", **more: str) -> Record:
    """A whole record: what is constant, and *more* with `__` for dots; *at* is the route template."""
    constant = {
        "event": event,
        "audit.outcome": outcome,
        "audit.library": label(library),
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "http.request.method": method,
        "server.address": "testserver",
        "http.route": at,
        "audit.flow.id": "flow-1",
    }
    return {**constant, **{name.replace("__", "."): value for name, value in more.items()}}


def told(audit_trail: Any) -> list[Record]:
    """The story, without the client's own user agent."""
    return [{name: value for name, value in one.items() if name != "user_agent.original"} for one in audit_trail.story()]
