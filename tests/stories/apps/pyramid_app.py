"""A Pyramid application with the doors of `stories/doors.py`, and one with a login for each kind of security policy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from pyramid.authentication import (
    AuthTktCookieHelper,
    BasicAuthAuthenticationPolicy,
    SessionAuthenticationHelper,
    extract_http_basic_credentials,
)
from pyramid.authorization import ACLAuthorizationPolicy
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound, HTTPUnauthorized
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget, remember
from pyramid.session import SignedCookieSessionFactory

from ..doors import PASSWORD, WRONG, check, subject_of

SECRET = "story-secret-of-thirty-two-bytes!"


def enter(request: Any) -> Response:
    if not check(request.POST["password"]):
        raise HTTPUnauthorized
    raise HTTPFound("/")


def json(request: Any) -> Response:
    return HTTPFound("/") if check(request.json_body["password"]) else HTTPUnauthorized()


def crash(request: Any) -> Response:
    check(WRONG)
    raise RuntimeError


def token(request: Any) -> Response:
    return HTTPUnauthorized() if subject_of(request.headers["Authorization"]) is None else Response("good")


def inside(request: Any) -> Response:
    """Asks its own application."""
    answer = request.invoke_subrequest(Request.blank("/crash/secret"), use_tweens=True)
    return Response(str(answer.status_int), status=200)


def failed(error: Exception, request: Any) -> Response:
    return Response("failed", status=500)


def timing(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """A tween that answers by itself."""

    def tween(request: Any) -> Any:
        if "stop" in request.GET:
            check(WRONG)
            return HTTPForbidden()
        return handler(request)

    return tween


def create_doors(seen: Callable[[], list[Any]]) -> Any:
    """The application; *seen* are the records so far."""

    def stream(request: Any) -> Response:
        def parts() -> Iterator[bytes]:
            yield f"{len(seen())} records".encode()

        check(WRONG)
        return Response(app_iter=parts())

    config = Configurator()
    for view in (enter, json, stream, crash, token, inside):
        config.add_route(view.__name__, f"/{view.__name__}/{{n}}")
        config.add_view(view, route_name=view.__name__)
    config.add_view(failed, context=RuntimeError)
    config.add_view(crash, name="traversed")
    config.add_tween(f"{__name__}.timing")
    return config.make_wsgi_app()


class Policy:
    """A policy as Pyramid's documentation shows one, on one of its helpers."""

    def __init__(self, helper: Any) -> None:
        self.helper = helper

    def identity(self, request: Any) -> Any:
        if isinstance(self.helper, AuthTktCookieHelper):
            return self.helper.identify(request)
        return self.helper.authenticated_userid(request)

    def authenticated_userid(self, request: Any) -> Any:
        identity = self.identity(request)
        return identity["userid"] if isinstance(identity, dict) else identity

    def permits(self, request: Any, context: Any, permission: str) -> bool:
        return self.identity(request) is not None

    def remember(self, request: Any, userid: Any, **kw: Any) -> Any:
        return self.helper.remember(request, userid, **kw)

    def forget(self, request: Any, **kw: Any) -> Any:
        return self.helper.forget(request, **kw)


class OwnCookie(Policy):
    """A policy with a cookie of its own."""

    def __init__(self) -> None:
        super().__init__(None)

    def remember(self, request: Any, userid: Any, **kw: Any) -> Any:
        return [("Set-Cookie", f"mine={PASSWORD}")]


class OwnBasic(Policy):
    """A policy that checks Basic credentials itself."""

    def __init__(self) -> None:
        super().__init__(None)

    def identity(self, request: Any) -> Any:
        credentials = extract_http_basic_credentials(request)
        return credentials.username if credentials is not None and check(credentials.password) else None


def groups(username: str, password: str, request: Any) -> list[str] | None:
    """The check of Pyramid's own Basic policy."""
    if username == "crash":
        raise RuntimeError
    return [] if check(password) else None


USERS: dict[str, Any] = {"ann": 7, "uuid": UUID(int=9), "text": "ann@example.org", "bytes": b"ann"}


def login(request: Any) -> Response:
    if not check(request.POST["password"]):
        raise HTTPUnauthorized
    return HTTPFound("/", headers=remember(request, USERS[request.POST["username"]]))


def again(request: Any) -> Response:
    """Lengthens the session on the way."""
    return Response("again", headers=remember(request, request.authenticated_userid))


def logout(request: Any) -> Response:
    return HTTPFound("/", headers=forget(request))


def me(request: Any) -> Response:
    if not request.has_permission("view"):
        raise HTTPForbidden
    return Response(str(request.authenticated_userid))


def create_app(kind: str, **options: Any) -> Any:
    """The application with one kind of policy."""
    config = Configurator(session_factory=SignedCookieSessionFactory(SECRET))
    if kind == "basic":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the policies of Pyramid 1, still there
            config.set_authentication_policy(BasicAuthAuthenticationPolicy(groups))
            config.set_authorization_policy(ACLAuthorizationPolicy())
    else:
        made: dict[str, Callable[[], Any]] = {
            "ticket": lambda: Policy(AuthTktCookieHelper(SECRET, wild_domain=False, **options)),
            "session": lambda: Policy(SessionAuthenticationHelper()),
            "own cookie": OwnCookie,
            "own basic": OwnBasic,
        }
        config.set_security_policy(made[kind]())
    for view in (login, again, logout, me):
        config.add_route(view.__name__, f"/{view.__name__}")
        config.add_view(view, route_name=view.__name__)
    return config.make_wsgi_app()
