"""Tornado: the request scope, sign-ins at other sites (`tornado.auth`), and the signed cookie that says who is signed in.

Tornado leaves the cookie's name to the application: it is one that the handler's own `get_current_user` names.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from types import CodeType
from typing import Any, Final

from ..hooks import IDENTITY_FIELDS, SKIP, Call, Closing, Facts, Flow, Hook, Opening, Reason, Request, Role, Status, Strategy
from .submitted import claimed

__all__ = ("BLIND", "HOOKS")

_SERVER_ERROR: Final = 500


def _execute(call: Call) -> Flow:
    handler = call.instance
    context = getattr(handler.request.connection, "context", None)  # gone once the response is out
    yield Opening(partial(_read, handler, context))
    return Closing(handler.get_status())


def _read(handler: Any, context: Any, flow_id: str) -> Request:
    request, headers = handler.request, handler.request.headers
    address = getattr(context, "address", None)  # `remote_ip` may come from a header (`xheaders`)
    if not isinstance(address, tuple):  # a Unix socket's is none
        address = (request.remote_ip if context is None else None, None)
    return Request(
        flow_id=flow_id,
        peer=address[0],
        peer_port=address[1],
        forwarded=tuple(headers.get_list("Forwarded")),
        x_forwarded_for=tuple(headers.get_list("X-Forwarded-For")),
        x_real_ip=tuple(headers.get_list("X-Real-IP")),
        user_agent=headers.get("User-Agent"),
        method=request.method,
        host=headers.get("Host"),
        route=_template(handler.application.default_router.rules, type(handler), request.path),
        path=request.path,
    )


def _template(rules: Iterable[Any], kind: type, path: str) -> str | None:
    """The pattern that leads to a handler of *kind* on *path*: the nearest to a template that Tornado has."""
    for rule in rules:
        regex = getattr(rule.matcher, "regex", None)
        below = getattr(rule.target, "rules", None)
        found = _template(below, kind, path) if below is not None else None
        if rule.target is kind and regex is not None and regex.match(path):
            found = regex.pattern.removesuffix("$")
        if found is not None:
            return str(found)
    return None


def _head(call: Call) -> Flow:
    if call.instance._headers_written:  # noqa: SLF001 -- tells the first chunk from those after it
        return None
    yield Closing(call.instance.get_status())
    return None


def _submitted(call: Call) -> Flow:
    yield
    return Facts(**_claimed(call.instance))


def _asked_for(call: Call) -> Flow:
    name = call.arg("name")
    yield
    return Facts(**_claimed(call.instance.request)) if name in IDENTITY_FIELDS else SKIP


def _claimed(request: Any) -> dict[str, Any]:
    form = request.body_arguments
    return claimed({name: form[name][-1].decode("utf-8", "replace") for name in IDENTITY_FIELDS if form.get(name)})


def _signed_cookie_set(call: Call) -> Flow:
    handler = call.instance
    ours, value = call.arg("name") in _names_of_user(handler), _text(call.arg("value"))
    yield
    return Facts(**_who(handler, value), **_claimed(handler.request)) if ours and value else SKIP


def _cookie_cleared(call: Call) -> Flow:
    handler, name = call.instance, call.arg("name")
    shown = name in _names_of_user(handler) and name in handler.request.cookies
    value = _text(handler.get_signed_cookie(name)) if shown else None
    yield
    return Facts(**_who(handler, value)) if value else SKIP  # a forged one is nobody's


def _names_of_user(handler: Any) -> set[str]:
    """Every text that the code of `get_current_user` holds, or a global variable that it names."""
    function = type(handler).get_current_user
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return set()
    named = [*code.co_consts, *(function.__globals__.get(name) for name in code.co_names)]
    return {text for text in named if isinstance(text, str)}


def _who(handler: Any, value: str) -> dict[str, Any]:
    """A number in the cookie is an account's, and so is what was typed; anything may be the key of a session."""
    if value.isdecimal():
        return {"subject": value}
    typed = _claimed(handler.request).get("identity")
    return {"subject": value if value == typed else None, "session_key": value}


def _elsewhere(call: Call) -> Flow:
    handler, kind = call.instance, {base.__name__ for base in type(call.instance).__mro__}
    provider = next((word for name, word in _PROVIDERS.items() if name in kind), None)
    began = "OAuthMixin" not in kind or "_oauth_request_token" in handler.request.cookies
    outcome = yield
    code = getattr(outcome.error, "code", None)
    if isinstance(code, int):
        reason = Reason.INVALID_CODE if code < _SERVER_ERROR else Reason.PROVIDER_ERROR
        return Facts(status=Status.FAILURE, reason=reason, provider=provider)
    if outcome.error is not None or outcome.result is None:
        failed = None if outcome.error is not None else Status.FAILURE
        return Facts(status=failed, reason=None if began else Reason.STATE_MISMATCH, provider=provider)
    user = outcome.result
    subject = next((str(user[name]) for name in ("id", "id_str", "claimed_id", "username") if user.get(name)), None)
    return Facts(subject=subject, provider=provider)


def _text(value: Any) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else None


_PROVIDERS: Final = {"GoogleOAuth2Mixin": "google", "FacebookGraphMixin": "facebook", "TwitterMixin": "twitter"}
_WEB = "tornado.web:RequestHandler."
_COOKIE = partial(Hook, strategy=Strategy.SESSION)
_ELSEWHERE = partial(
    Hook,
    extract=_elsewhere,
    event="auth.authenticate",
    strategy=Strategy.OAUTH2,
    errors={"AuthError": Reason.PROVIDER_ERROR},
    defer=True,
    foreign=True,
)

HOOKS = (
    Hook(target=f"{_WEB}_execute", extract=_execute, role=Role.REQUEST),
    Hook(target=f"{_WEB}flush", extract=_head, role=Role.RESPONSE),
    Hook(target="tornado.httputil:HTTPServerRequest._parse_body", extract=_submitted, role=Role.HINT, versions=">=6.5"),
    Hook(target=f"{_WEB}_get_arguments", extract=_asked_for, role=Role.HINT, versions="<6.5"),  # parsed before there is a handler
    _COOKIE(target=f"{_WEB}set_signed_cookie", extract=_signed_cookie_set, event="auth.sign_in"),
    _COOKIE(target=f"{_WEB}set_secure_cookie", extract=_signed_cookie_set, event="auth.sign_in"),
    _COOKIE(target=f"{_WEB}clear_cookie", extract=_cookie_cleared, event="auth.sign_out"),
    _ELSEWHERE(target="tornado.auth:GoogleOAuth2Mixin.get_authenticated_user"),
    _ELSEWHERE(target="tornado.auth:FacebookGraphMixin.get_authenticated_user"),
    _ELSEWHERE(target="tornado.auth:OAuthMixin.get_authenticated_user"),
)

BLIND = (
    "A sign-in is seen where a signed cookie is set that the handler's own `get_current_user` names; where that takes the name from "
    "elsewhere, or the session is kept otherwise, right credentials are no event.",
    "A wrong password never reaches Tornado: it is concluded from the hash that was checked, with the name in the form; a name in a "
    "JSON body is not found, since applications parse it themselves.",
    "A user who declines at another site comes back with an error that only the handler reads, and is no event; nor is OpenID 2.0.",
    "Passwords that are checked after a WebSocket was accepted, or after the first `flush`, are not seen.",
)
