"""Quart: the request around everything that is checked inside, over HTTP and WebSockets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import Any

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import servers
from .doors import PASSWORD, WRONG, Doors
from .servers import shake_hands
from .web import told

pytestmark = pytest.mark.skipif(find_spec("quart") is None, reason="Quart needs Flask 3")


class TestQuart(Doors):
    """Quart on Hypercorn."""

    template = "<n>"

    @pytest.fixture
    def app(self, audit_trail: AuditTrail) -> Any:
        """The application."""
        from .apps.quart_app import create_app

        app = create_app(lambda: audit_trail.records)
        app.logger.setLevel(logging.CRITICAL)
        return app

    @pytest.fixture
    async def address(self, app: Any) -> AsyncIterator[str]:
        """Where it is served."""
        async with servers.hypercorn(app) as address:
            yield address

    async def test_refused_websocket(self, address: str, audit_trail: AuditTrail) -> None:
        """Answered with a response instead of a handshake."""
        assert await shake_hands(address, f"/closed/1?given={WRONG}") == 403
        assert told(audit_trail) == [self.refused("closed")]

    async def test_plain_function_in_a_thread(self, address: str, audit_trail: AuditTrail) -> None:
        """Below a blueprint: the template of all of it."""
        for given in (WRONG, PASSWORD):
            await self.get(address, "team/blue/sync", params={"given": given})
        assert told(audit_trail) == [self.refused("sync", http__route="/team/<team>/sync/<int:n>")]

    async def test_answer_before_the_view(self, address: str, audit_trail: AuditTrail) -> None:
        """A function before the view answers."""
        assert (await self.get(address, "team/blue/sync", params={"stop": "1"})).status_code == 403
        assert told(audit_trail) == [self.refused("sync", http__route="/team/<team>/sync/<int:n>")]

    async def test_path_below_a_mount(self, app: Any, audit_trail: AuditTrail) -> None:
        """Behind a proxy that strips a prefix, or mounted in another application, the template has the prefix."""
        transport = httpx.ASGITransport(app=app, root_path="/app", client=("127.0.0.1", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            await client.get("/app/crash/1")
        assert told(audit_trail) == [self.refused("crash", http__route="/app/crash/<n>")]

    async def test_own_test_client(self, app: Any, audit_trail: AuditTrail) -> None:
        """Quart's test client, whose address is no address; a page that does not exist has no template, and nothing is checked."""
        await app.test_client().get("/nowhere")
        await app.test_client().post("/enter/1", form={"login": "ann", "password": WRONG})
        (record,) = told(audit_trail)
        assert (record["audit.identity"], record["http.route"]) == ("ann", "/enter/<n>")
