"""A Quart application with the doors of `stories/doors.py`, and some of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from quart import Blueprint, Quart, redirect, request, websocket

from ..doors import WRONG, check, subject_of


def create_app(seen: Callable[[], list[Any]]) -> Quart:
    """The application; *seen* are the records so far."""
    app = Quart(__name__)

    @app.post("/enter/<n>")
    async def enter(n: str) -> Any:
        form = await request.form
        await asyncio.sleep(0.01)
        return redirect("/") if check(form["password"]) else ("wrong", 401)

    @app.post("/json/<n>")
    async def json(n: str) -> Any:
        return redirect("/") if check((await request.get_json())["password"]) else ("wrong", 401)

    @app.get("/stream/<n>")
    async def stream(n: str) -> Any:
        async def parts() -> AsyncIterator[bytes]:
            yield f"{len(seen())} records".encode()

        check(WRONG)
        return parts()

    @app.get("/crash/<n>")
    async def crash(n: str) -> Any:
        check(WRONG)
        raise RuntimeError

    @app.get("/token/<n>")
    async def token(n: str) -> Any:
        return ("bad", 401) if subject_of(request.headers["Authorization"]) is None else "good"

    @app.websocket("/ws/<n>")
    async def ws(n: str) -> None:
        check(websocket.args["given"])
        await websocket.accept()

    @app.websocket("/closed/<n>")
    async def closed(n: str) -> Any:
        check(websocket.args["given"])
        return "no", 403

    team = Blueprint("team", __name__, url_prefix="/team/<team>")

    @team.get("/sync/<int:n>")
    def sync(team: str, n: int) -> str:
        """A plain function runs in a thread."""
        return str(check(request.args["given"]))

    @team.before_request
    async def before() -> Any:
        return ("early", 403) if "stop" in request.args and not check(WRONG) else None

    app.register_blueprint(team)
    return app
