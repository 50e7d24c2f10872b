"""Real servers on loopback, each around an application for the length of a block; what they yield is their address."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from threading import Event, Thread
from typing import Any


def _bound() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


def _address(sock: Any) -> str:
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


@contextlib.asynccontextmanager
async def uvicorn(app: Any, **options: Any) -> AsyncIterator[str]:
    """For ASGI. By itself uvicorn believes `X-Forwarded-For` of loopback peers: `proxy_headers=False` leaves the peer as it is."""
    from uvicorn import Config, Server

    server = Server(Config(app, host="127.0.0.1", port=0, log_level="error", **{"proxy_headers": False, **options}))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield _address(server.servers[0].sockets[0])
    server.should_exit = True
    await running


@contextlib.asynccontextmanager
async def hypercorn(app: Any) -> AsyncIterator[str]:
    """For ASGI, by those who make Quart."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    sock, config, done = _bound(), Config(), asyncio.Event()
    address = _address(sock)
    config.bind, config.loglevel = [f"fd://{sock.detach()}"], "CRITICAL"
    running = asyncio.create_task(serve(app, config, shutdown_trigger=done.wait))
    await reachable(address)
    yield address
    done.set()
    await running


@contextlib.asynccontextmanager
async def waitress(app: Any) -> AsyncIterator[str]:
    """For WSGI, with threads. By itself Waitress takes headers of proxies away from what it hands on."""
    from waitress.server import create_server

    sock, done = _bound(), Event()
    server = create_server(app, sockets=[sock], threads=4, clear_untrusted_proxy_headers=False)

    def run() -> None:
        while not done.is_set():
            server.asyncore.loop(timeout=0.05, map=server._map, count=1)
        server.task_dispatcher.shutdown()
        server.close()
        server.asyncore.close_all(server._map)

    thread = Thread(target=run)
    thread.start()
    yield _address(sock)
    done.set()
    await asyncio.to_thread(thread.join)


@contextlib.asynccontextmanager
async def aiohttp(app: Any) -> AsyncIterator[str]:
    """The server of aiohttp."""
    from aiohttp import web

    runner, sock = web.AppRunner(app, access_log=None), _bound()
    await runner.setup()
    await web.SockSite(runner, sock).start()
    yield _address(sock)
    await runner.cleanup()


@contextlib.asynccontextmanager
async def tornado(app: Any, **options: Any) -> AsyncIterator[str]:
    """The server of Tornado; with `xheaders=True` it takes the client from a header of whoever sent one."""
    from tornado.httpserver import HTTPServer

    server, sock = HTTPServer(app, **options), _bound()
    sock.listen()
    sock.setblocking(False)
    server.add_sockets([sock])
    yield _address(sock)
    server.stop()
    await server.close_all_connections()


async def reachable(address: str) -> None:
    """Wait until somebody listens there."""
    host, _, port = address.removeprefix("http://").partition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            await writer.wait_closed()
            return


async def ask(address: str, path: str, *headers: str) -> bytes:
    """A GET request byte by byte, and the answer up to the end of its head."""
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", "Host: testserver", *headers, "", ""]).encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return answer


async def shake_hands(address: str, path: str, *headers: str) -> int:
    """Ask for a WebSocket (RFC 6455); the status code of the answer."""
    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    return int((await ask(address, path, *upgrade, *headers)).split()[1])


@contextlib.contextmanager
def werkzeug(app: Any, *, threaded: bool = False) -> Iterator[str]:
    """For WSGI, in a thread beside the test: for clients that are not asynchronous."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 -- Werkzeug's name
            """Say nothing."""

    server = make_server("127.0.0.1", 0, app, threaded=threaded, request_handler=Quiet)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def django() -> Iterator[str]:
    """The Django site that is set up, with this thread's database, as Django's own live tests share it."""
    from django.core.handlers.wsgi import WSGIHandler
    from django.db import connections

    shared, handler = connections["default"], WSGIHandler()

    def application(environ: Any, start_response: Any) -> Any:
        connections["default"] = shared
        return handler(environ, start_response)

    shared.inc_thread_sharing()
    try:
        with werkzeug(application) as address:
            yield address
    finally:
        shared.dec_thread_sharing()
