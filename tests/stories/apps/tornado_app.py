"""A Tornado application with the doors of `stories/doors.py`, a session in a signed cookie, and sign-ins at sites of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from tornado import gen
from tornado.auth import FacebookGraphMixin, GoogleOAuth2Mixin, OAuthMixin
from tornado.routing import HostMatches, Rule
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from ..doors import PASSWORD, WRONG, check, subject_of

COOKIE = "member"


class Base(RequestHandler):
    """What all handlers share: who is signed in stands in a signed cookie."""

    def get_current_user(self) -> Any:
        """The name or number in the cookie."""
        return self.get_signed_cookie("user") or self.get_signed_cookie(COOKIE)

    def answer(self, *, right: bool) -> None:
        if not right:
            raise HTTPError(401)
        self.redirect("/")


class Enter(Base):
    """A coroutine of Python's own."""

    async def post(self, n: str) -> None:
        assert self.get_body_argument("username")
        await asyncio.sleep(0.01)
        self.answer(right=check(self.get_body_argument("password")))


class Json(Base):
    """A coroutine of Tornado's."""

    @gen.coroutine
    def post(self, n: str) -> Any:
        yield gen.sleep(0.01)
        self.answer(right=check(json.loads(self.request.body)["password"]))


class Stream(Base):
    def initialize(self, seen: Callable[[], list[Any]]) -> None:
        self.seen = seen

    async def get(self, n: str) -> None:
        check(WRONG)
        await self.flush()
        self.write(f"{len(self.seen())} records")
        await self.flush()


class Crash(Base):
    """A plain function."""

    def get(self, n: str) -> None:
        check(WRONG)
        raise RuntimeError


class Token(Base):
    def get(self, n: str) -> None:
        if subject_of(self.request.headers["Authorization"]) is None:
            self.send_error(401)


class Keyword(Base):
    def get(self, n: str) -> None:
        check(WRONG)


class Socket(WebSocketHandler):
    def prepare(self) -> None:
        check(self.get_query_argument("given"))
        if self.path_args[0] == "2":
            raise HTTPError(403)

    def open(self, n: str) -> None:
        self.close()


class Login(Base):
    """Sets the cookie: `kind` says what is in it, and under which name."""

    async def post(self) -> None:
        typed = self.get_body_argument("username")
        if not check(self.get_body_argument("password")):
            raise HTTPError(401)
        name, value = {
            "name": ("user", typed),
            "number": (COOKIE, b"7"),
            "key": ("user", "random-session-key-of-forty-characters-x"),
            "other": ("theme", "dark"),
        }[self.get_query_argument("kind")]
        getattr(self, self.get_query_argument("method", "set_signed_cookie"))(name, value)
        self.redirect("/")


class Logout(Base):
    def post(self) -> None:
        self.clear_all_cookies()


class Elsewhere(Base):
    """Where the other site sends the browser back to."""

    async def get(self) -> None:
        code = self.get_query_argument("code", "")
        here = f"{self.request.protocol}://{self.request.host}/site"
        self._OAUTH_ACCESS_TOKEN_URL = f"{here}/token"
        self._FACEBOOK_BASE_URL = here
        mixin: Any = self
        if isinstance(self, OAuthMixin):
            user = await mixin.get_authenticated_user()
        elif isinstance(self, GoogleOAuth2Mixin):
            user = await mixin.get_authenticated_user(redirect_uri=here, code=code)
        else:
            user = await mixin.get_authenticated_user(redirect_uri=here, client_id="id", client_secret=PASSWORD, code=code)
        if self.get_query_argument("refuse", "") or user is None:
            raise HTTPError(403)
        if self.get_query_argument("keep", ""):
            self.set_signed_cookie("user", json.dumps(user))
        self.write("in")


class Google(Elsewhere, GoogleOAuth2Mixin):
    _OAUTH_SETTINGS_KEY = "google_oauth"


class Facebook(Elsewhere, FacebookGraphMixin):
    pass


class OAuth1(Elsewhere, OAuthMixin):
    def _oauth_consumer_token(self) -> dict[str, Any]:
        return {"key": "id", "secret": PASSWORD}

    async def _oauth_get_user_future(self, access_token: dict[str, Any]) -> dict[str, Any]:
        return {"id": 12, "name": "Ann"}


class SiteToken(RequestHandler):
    """The other site hands out its token, unless the code is bad or it has its own troubles."""

    def answer(self) -> None:
        form = parse_qs(self.request.body.decode())
        code = (form.get("code") or self.get_query_arguments("code") or ["good-code"])[0]
        if code == "bad":
            raise HTTPError(400)
        if code == "down":
            raise HTTPError(502)
        if "oauth_nonce" in self.request.arguments:
            self.write(f"oauth_token=one&oauth_token_secret={PASSWORD}")
        else:
            self.write({"access_token": PASSWORD, "expires_in": 60})

    get = post = answer


class SiteUser(RequestHandler):
    def get(self) -> None:
        self.write({"id": "4711", "name": "Ann"})


def create_app(seen: Callable[[], list[Any]]) -> Application:
    """The application; *seen* are the records so far."""
    quiet: Any = {"log_function": lambda _handler: None, "cookie_secret": "story-secret-of-thirty-two-bytes!"}
    app = Application(
        [
            (r"/enter/([^/]+)", Enter),
            (r"/json/([^/]+)", Json),
            (r"/stream/([^/]+)", Stream, {"seen": seen}),
            (r"/crash/([^/]+)", Crash),
            (r"/token/([^/]+)", Token),
            (r"/ws/([^/]+)", Socket),
            (r"/login", Login),
            (r"/logout", Logout),
            (r"/google", Google),
            (r"/facebook", Facebook),
            (r"/oauth1", OAuth1),
            (r"/site/token", SiteToken),
            (r"/site/oauth/access_token", SiteToken),
            (r"/site/me", SiteUser),
        ],
        google_oauth={"key": "id", "secret": PASSWORD},
        **quiet,
    )
    app.add_handlers(r"team\.example", [(r"/of/(?P<n>\d+)/crash/1$", Keyword)])
    app.default_router.rules.insert(0, Rule(HostMatches("never.example"), Application([(r"/crash/1", Crash)], **quiet)))
    return app
