"""Pyramid: the request scope, auth tickets and sessions (`remember`, `forget`), and Basic credentials.

`remember` hands out a ticket: that is the sign-in, whoever checked the password. A ticket that is renewed on the way is none.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from functools import partial
from typing import Any, Final
from uuid import UUID

from ..hooks import SKIP, Call, Closing, Facts, Family, Flow, Hook, Opening, Reason, Request, Role, Status, Strategy
from ..hooks.request import from_wsgi
from .submitted import claimed

__all__ = ("BLIND", "HOOKS")

_PARSED_FORM: Final = "webob._parsed_post_vars"
_USERID_TYPE: Final = "userid_type:"
_helpers: ContextVar[list[Any]] = ContextVar("authaudit_pyramid_helpers")
"""The helpers that a call of `remember` reached."""


def _invoked(call: Call) -> Flow:
    from pyramid.threadlocal import manager  # noqa: PLC0415 -- the application has imported it

    request = call.arg("request")
    if any(layer.get("request") not in (None, request) for layer in manager.stack):
        return None  # a view asks its own application
    outcome = yield Opening(partial(_read, request))
    response = outcome.result if outcome.error is None else outcome.error
    return Closing(getattr(response, "status_int", None))


def _read(request: Any, flow_id: str) -> Request:
    route = getattr(request, "matched_route", None)
    return from_wsgi(request.environ, flow_id, route=None if route is None else route.pattern)


def _viewed(call: Call) -> Flow:
    request = call.arg("request")
    yield
    return Facts(**_typed(request))


def _typed(request: Any) -> dict[str, Any]:
    """What the form says that the application has parsed."""
    environ = getattr(request, "environ", None)
    parsed = environ.get(_PARSED_FORM) if isinstance(environ, dict) else None
    return claimed(parsed[0]) if isinstance(parsed, tuple) else {}


def _remembered(call: Call) -> Flow:
    """By a policy of any kind: a helper of Pyramid's speaks for itself, and one that keeps nothing (Basic) hands out no headers."""
    request, subject = call.arg("request"), _text(call.arg("userid"))
    helpers: list[Any] = []
    token = _helpers.set(helpers)
    try:
        outcome = yield
    finally:
        _helpers.reset(token)
    kept = outcome.error is not None or bool(outcome.result)
    return Facts(subject=subject, **_typed(request)) if kept and not helpers else SKIP


def _ticket_handed_out(call: Call) -> Flow:
    request, subject = call.arg("request"), _text(call.arg("userid"))
    renewed = (
        request.environ.get("REQUEST_METHOD") == "GET" and subject is not None and subject == _holder(call.instance, request)
    )
    _helpers.get([]).append(call.instance)
    yield
    more: dict[str, Any] = {"event": "session.renew", "action": "renew_session"} if renewed else {}
    return Facts(subject=subject, **_typed(request), **more)


def _ticket_forgotten(call: Call) -> Flow:
    subject = _holder(call.instance, call.arg("request"))
    yield
    return SKIP if subject is None else Facts(subject=subject)


def _session_named(call: Call) -> Flow:
    request, subject = call.arg("request"), _text(call.arg("userid"))
    _helpers.get([]).append(call.instance)
    yield
    return Facts(subject=subject, **_typed(request))


def _session_forgotten(call: Call) -> Flow:
    subject = _text(call.arg("request").session.get(call.instance.userid_key))  # the library asks for it too
    yield
    return SKIP if subject is None else Facts(subject=subject)


def _identified(call: Call) -> Flow:
    """The ticket that a request carries; an old one is renewed inside, and that is no sign-in."""
    shown = bool(call.arg("request").cookies.get(call.instance.cookie_name))
    outcome = yield
    if not shown:
        return SKIP
    if outcome.error is None and outcome.result is None:
        return Facts(event="session.reject", status=Status.FAILURE, fallback=Reason.SESSION_EXPIRED)
    return Facts(subject=_text((outcome.result or {}).get("userid")))


def _parsed(_call: Call) -> Flow:
    outcome = yield
    return None if outcome.error is None else Facts(reason=Reason.SESSION_INVALID)


def _holder(helper: Any, request: Any) -> str | None:
    """Whose the ticket is that came with the request, read as the helper does; None for none, a forged or an old one."""
    cookie = request.cookies.get(helper.cookie_name)
    if cookie is None:
        return None
    address = request.environ.get("REMOTE_ADDR", "") if helper.include_ip else "0.0.0.0"  # noqa: S104 -- what stands in the ticket
    try:
        issued, userid, _, data = helper.parse_ticket(helper.secret, cookie, address, helper.hashalg)
    except helper.BadTicket:
        return None
    if helper.timeout and issued + helper.timeout < time.time():
        return None
    kind = next((part.removeprefix(_USERID_TYPE) for part in data.split("|") if part.startswith(_USERID_TYPE)), None)
    return _text(helper.userid_type_decoders.get(kind, str)(userid))


def _basic(call: Call) -> Flow:
    name = _text(call.arg("username"))
    outcome = yield
    if outcome.error is None and outcome.result is None:
        return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS, identity=name)
    return Facts(identity=name, subject=name if outcome.error is None else None)


def _extracted(_call: Call) -> Flow:
    outcome = yield
    return SKIP if outcome.result is None else Facts(identity=outcome.result.username)


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, (str, int, UUID)) and value != "" else None


_M = "pyramid.authentication:"
_TICKET, _SESSION = f"{_M}AuthTktCookieHelper.", f"{_M}SessionAuthenticationHelper."
_SIGN_IN = partial(Hook, event="auth.sign_in", strategy=Strategy.SESSION, establishes_session=True)
_SIGN_OUT = partial(Hook, event="auth.sign_out", strategy=Strategy.SESSION)
_BASIC = partial(Hook, event="auth.verify", strategy=Strategy.BASIC)

HOOKS = (
    Hook(target="pyramid.router:Router.invoke_request", extract=_invoked, role=Role.REQUEST),
    Hook(target="pyramid.view:_call_view", extract=_viewed, role=Role.HINT, optional=True),
    _SIGN_IN(target="pyramid.security:remember", extract=_remembered),
    _SIGN_IN(target=f"{_TICKET}remember", extract=_ticket_handed_out),
    _SIGN_OUT(target=f"{_TICKET}forget", extract=_ticket_forgotten),
    Hook(
        target=f"{_TICKET}identify",
        extract=_identified,
        event="auth.verify",
        strategy=Strategy.SESSION,
        absorbs=frozenset({Family.SESSION}),
    ),
    Hook(target=f"{_TICKET}parse_ticket", extract=_parsed, role=Role.NOTE),
    _SIGN_IN(target=f"{_SESSION}remember", extract=_session_named),
    _SIGN_OUT(target=f"{_SESSION}forget", extract=_session_forgotten),
    _BASIC(target=f"{_M}BasicAuthAuthenticationPolicy.callback", extract=_basic),
    _BASIC(target=f"{_M}extract_http_basic_credentials", extract=_extracted, role=Role.HINT),
)

BLIND = (
    "A wrong password never reaches Pyramid: it is concluded from the hash that was checked, with the name in the form.",
    "A sign-out is seen where a ticket or session of Pyramid's own helpers is forgotten; that of a policy with cookies of its own is "
    "not, nor is a sign-in by one that hands out no headers.",
    "An auth ticket that is renewed on the way (`reissue_time`) is no event; a session that has expired is not told from none.",
    "A request that is run again after a conflict (`pyramid_retry`) is told once for each time.",
)
