"""aiohttp's server: the request around everything that is checked inside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import servers
from .doors import WRONG, Doors
from .servers import shake_hands
from .web import told


class TestAiohttp(Doors):
    """An application on aiohttp's own server."""

    template = "{n}"

    @pytest.fixture
    def app(self, audit_trail: AuditTrail, caplog: pytest.LogCaptureFixture) -> Any:
        """The application."""
        from .apps.aiohttp_app import create_app

        caplog.set_level(logging.CRITICAL, "aiohttp.server")
        return create_app(lambda: audit_trail.records)

    @pytest.fixture
    async def address(self, app: Any) -> AsyncIterator[str]:
        """Where it is served."""
        async with servers.aiohttp(app) as address:
            yield address

    async def test_refused_websocket(self, address: str, audit_trail: AuditTrail) -> None:
        """A handshake that is refused by an exception."""
        assert await shake_hands(address, f"/closed/1?given={WRONG}") == 403
        assert told(audit_trail) == [self.refused("closed")]

    async def test_application_in_an_application(self, address: str, audit_trail: AuditTrail) -> None:
        """The template of all of it; also where a middleware answers for the view."""
        assert (await self.get(address, "team/deep/check")).text == "False"
        assert told(audit_trail) == [self.refused("check", http__route="/team/deep/check/{n}")]
        assert (await self.get(address, "team/deep/check", params={"stop": "1"})).status_code == 403
        assert told(audit_trail) == [self.refused("check", http__route="/team/deep/check/{n}")]

    async def test_unknown_page(self, address: str, audit_trail: AuditTrail) -> None:
        """Below an application's prefix its middleware runs: no template, so the path is told."""
        assert (await self.get(address, "team/deep/nowhere", params={"stop": "1"})).status_code == 403
        expected = {name: value for name, value in self.refused("nowhere").items() if name != "http.route"}
        assert told(audit_trail) == [{**expected, "url.path": "/team/deep/nowhere/1"}]

    async def test_client_that_goes_away(self, address: str, audit_trail: AuditTrail) -> None:
        """The connection ends before the body is there: nothing was checked, and nothing breaks."""
        host, _, port = address.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /enter/1 HTTP/1.1\r\nHost: testserver\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await self.get(address, "crash")).status_code == 500
        assert told(audit_trail) == [self.refused("crash")]
