"""An aiohttp application with the doors of `stories/doors.py`, and some of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from ..doors import WRONG, check, subject_of


def create_app(seen: Callable[[], list[Any]]) -> web.Application:
    """The application; *seen* are the records so far."""
    routes = web.RouteTableDef()

    @routes.post("/enter/{n}")
    async def enter(request: web.Request) -> web.Response:
        form = await request.post()
        await asyncio.sleep(0.01)
        if not check(str(form["password"])):
            raise web.HTTPUnauthorized
        raise web.HTTPFound("/")

    @routes.post("/json/{n}")
    async def json(request: web.Request) -> web.Response:
        right = await asyncio.to_thread(check, (await request.json())["password"])
        return web.Response(status=302, headers={"Location": "/"}) if right else web.Response(status=401)

    @routes.get("/stream/{n}")
    async def stream(request: web.Request) -> web.StreamResponse:
        check(WRONG)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(f"{len(seen())} records".encode())
        check(WRONG)  # the response is out
        await response.write_eof()
        return response

    @routes.get("/crash/{n}")
    async def crash(request: web.Request) -> web.Response:
        check(WRONG)
        raise RuntimeError

    @routes.get("/token/{n}")
    async def token(request: web.Request) -> web.Response:
        if subject_of(request.headers["Authorization"]) is None:
            raise web.HTTPUnauthorized
        return web.Response()

    @routes.get("/ws/{n}")
    async def ws(request: web.Request) -> web.WebSocketResponse:
        check(request.query["given"])
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close()
        return socket

    @routes.get("/closed/{n}")
    async def closed(request: web.Request) -> web.Response:
        check(request.query["given"])
        raise web.HTTPForbidden

    @web.middleware
    async def early(request: web.Request, handler: Any) -> Any:
        if "stop" in request.query and not check(WRONG):
            raise web.HTTPForbidden
        return await handler(request)

    class View(web.View):
        """A view made of a class."""

        async def get(self) -> web.Response:
            return web.Response(text=str(check(WRONG)))

    deep = web.Application(middlewares=[early])
    deep.router.add_view(r"/check/{n:\d+}", View)
    team = web.Application()
    team.add_subapp("/deep", deep)
    app = web.Application()
    app.add_routes(routes)
    app.add_subapp("/team", team)
    return app
