"""The smallest application of each web framework: one door at which a password is wrong, on a real server on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from .. import servers
from ..doors import WRONG, check

Served = Callable[[], AbstractAsyncContextManager[str]]


def _django_urls() -> tuple[Any, ...]:
    from django.http import HttpResponse
    from django.urls import path

    return (path("door/<n>", lambda _request, n: HttpResponse(str(check(WRONG)))),)


@asynccontextmanager
async def _django(server: Any, handler: str) -> AsyncIterator[str]:
    from django.test import override_settings
    from django.utils.module_loading import import_string

    with override_settings(ROOT_URLCONF=_django_urls(), MIDDLEWARE=[]):
        async with server(import_string(handler)()) as address:
            yield address


def django_wsgi() -> AbstractAsyncContextManager[str]:
    return _django(servers.waitress, "django.core.handlers.wsgi.WSGIHandler")


def django_asgi() -> AbstractAsyncContextManager[str]:
    return _django(servers.uvicorn, "django.core.handlers.asgi.ASGIHandler")


def flask() -> AbstractAsyncContextManager[str]:
    from flask import Flask

    app = Flask(__name__)
    app.get("/door/<n>")(lambda n: str(check(WRONG)))
    return servers.waitress(app)


def quart() -> AbstractAsyncContextManager[str]:
    from quart import Quart

    app = Quart(__name__)

    @app.get("/door/<n>")
    async def door(n: str) -> str:
        return str(check(WRONG))

    return servers.hypercorn(app)


def starlette() -> AbstractAsyncContextManager[str]:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def door(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(check(WRONG)))

    return servers.uvicorn(Starlette(routes=[Route("/door/{n}", door)]))


def fastapi() -> AbstractAsyncContextManager[str]:
    from fastapi import FastAPI

    app = FastAPI()
    app.get("/door/{n}")(lambda n: str(check(WRONG)))
    return servers.uvicorn(app)


def litestar() -> AbstractAsyncContextManager[str]:
    from litestar import Litestar, get

    @get("/door/{n:str}")
    async def door() -> str:
        return str(check(WRONG))

    return servers.uvicorn(Litestar([door], logging_config=None))


def aiohttp() -> AbstractAsyncContextManager[str]:
    from aiohttp import web

    async def door(request: web.Request) -> web.Response:
        return web.Response(text=str(check(WRONG)))

    app = web.Application()
    app.router.add_get("/door/{n}", door)
    return servers.aiohttp(app)


def tornado() -> AbstractAsyncContextManager[str]:
    from tornado.web import Application, RequestHandler

    class Door(RequestHandler):
        def get(self, n: str) -> None:
            self.write(str(check(WRONG)))

    return servers.tornado(Application([(r"/door/(\d+)", Door)], log_function=lambda _handler: None))


def pyramid() -> AbstractAsyncContextManager[str]:
    from pyramid.config import Configurator
    from pyramid.response import Response

    config = Configurator()
    config.add_route("door", "/door/{n}")
    config.add_view(lambda _request: Response(str(check(WRONG))), route_name="door")
    return servers.waitress(config.make_wsgi_app())


FRAMEWORKS: dict[str, Served] = {
    made.__name__: made
    for made in (django_wsgi, django_asgi, flask, quart, starlette, fastapi, litestar, aiohttp, tornado, pyramid)
}
