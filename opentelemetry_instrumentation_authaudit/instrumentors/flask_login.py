"""Flask-Login: sign-in, sign-out and remember-me are told by the library; a wrong password never reaches it and is concluded.

A POST to the login view that ends without a sign-in is recorded as a failed one, marked `audit.inferred`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from .flask_facts import current_user, resource, said, whose

__all__ = ("BLIND", "HOOKS")

_SERVER_ERROR: Final = 500
_BY_STATUS_CODE: Final = {403: Reason.PERMISSION_DENIED, 422: Reason.INVALID_INPUT, 429: Reason.RATE_LIMITED}


def _login_user(call: Call) -> Flow:
    user, remember = call.arg("user"), call.arg("remember", default=False)
    outcome = yield
    facts: dict[str, Any] = {"resource": resource(user), **said(_login_request())}
    if outcome.result is False:
        return Facts(status=Status.FAILURE, reason=Reason.INACTIVE_ACCOUNT, subject=_subject(user), **facts)
    return Facts(subject=_session_user(user), session_key=_session_key(), params={"remember": remember or None}, **facts)


def _logged_in(call: Call) -> Flow:
    yield
    user = call.arg("user") or current_user()
    return Facts(subject=_session_user(user), session_key=_session_key(), resource=resource(user))


def _logout_user(_call: Call) -> Flow:
    subject, session_key = _session_user(current_user()), _session_key()
    yield
    return SKIP if subject is None else Facts(subject=subject, session_key=session_key)


def _logged_out(call: Call) -> Flow:
    user = call.arg("user")
    yield
    return Facts(subject=_subject(user), resource=resource(user)) if user is not None and user.is_authenticated else SKIP


def _from_request(call: Call) -> Flow:
    user = call.arg("user")
    yield
    return Facts(subject=_subject(user), resource=resource(user))


def _session_protected(_call: Call) -> Flow:
    """Basic mode lowers the session and keeps the user id in it; strong mode has emptied it. A session that a remember-me cookie
    started has no `_id` at all, and the library then protects it on every request from nobody."""
    import flask  # noqa: PLC0415

    protected = "_id" in flask.session or flask.session.get("_remember") == "clear"
    subject, session_key = _session_user(current_user()), _session_key()
    yield
    facts = Facts(status=Status.FAILURE, reason=Reason.SESSION_INVALID, subject=subject, session_key=session_key)
    return facts if protected else SKIP


def _login_view(_call: Call) -> Flow:
    request = _login_request()
    if request is None:
        return SKIP
    outcome = yield
    claims = said(request)
    code = getattr(outcome.error, "code", _SERVER_ERROR) if outcome.error is not None else None
    if isinstance(code, int) and code >= _SERVER_ERROR:
        return Facts(status=Status.UNKNOWN, fallback=Reason.BACKEND_ERROR, **claims)
    return Facts(status=Status.FAILURE, fallback=_BY_STATUS_CODE.get(code or 0, Reason.INVALID_CREDENTIALS), **claims)


def _before_view(_call: Call) -> Flow:
    """A rate limiter or a block list answers before the login view is reached."""
    request = _login_request()
    if request is None:
        return SKIP
    outcome = yield
    reason = _BY_STATUS_CODE.get(getattr(outcome.error, "code", None) or 0)
    return SKIP if reason is None else Facts(status=Status.FAILURE, fallback=reason, **said(request))


def _login_request() -> Any:
    """The request that is being answered, if it is one to sign in."""
    import flask  # noqa: PLC0415 -- the application has imported it, else this would not run

    if not flask.has_request_context() or flask.request.method != "POST":
        return None
    manager = getattr(flask.current_app, "login_manager", None)
    views = set() if manager is None else {manager.login_view, *manager.blueprint_login_views.values()} - {None}
    request: Any = flask.request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    return request if request.endpoint in views else None


def _subject(user: Any) -> str:
    return whose(user, str(user.get_id()))


def _session_user(user: Any) -> str | None:
    """The user id that Flask-Login put into the session: asking the user object again could cost a query."""
    import flask  # noqa: PLC0415

    value = flask.session.get("_user_id") if flask.has_request_context() else None
    return None if value is None else whose(user, str(value))


def _session_key() -> str | None:
    """The key of a server-side session; Flask's own sessions live in the cookie and have none."""
    import flask  # noqa: PLC0415

    key = getattr(flask.session, "sid", None) if flask.has_request_context() else None
    return key if isinstance(key, str) else None


def _signal(name: str, extract: Callable[[Call], Flow], event: str, strategy: Strategy = Strategy.SESSION) -> Hook:
    target = f"flask_login.signals:{name}"
    return Hook(target=target, extract=extract, role=Role.SIGNAL, event=event, strategy=strategy)


def _hint(method: str, extract: Callable[[Call], Flow]) -> Hook:
    target = f"flask.app:Flask.{method}"
    return Hook(target=target, extract=extract, role=Role.HINT, event="auth.sign_in", strategy=Strategy.PASSWORD)


HOOKS = (
    Hook(
        target="flask_login.utils:login_user",
        extract=_login_user,
        event="auth.sign_in",
        strategy=Strategy.SESSION,
        params={"remember": False},
        establishes_session=True,
    ),
    Hook(target="flask_login.utils:logout_user", extract=_logout_user, event="auth.sign_out", strategy=Strategy.SESSION),
    _signal("user_logged_in", _logged_in, "auth.sign_in"),
    _signal("user_logged_out", _logged_out, "auth.sign_out"),
    _signal("user_loaded_from_cookie", _logged_in, "session.renew", Strategy.REMEMBER_ME),
    _signal("user_loaded_from_request", _from_request, "auth.verify", Strategy.CUSTOM),
    _signal("user_login_confirmed", _logged_in, "auth.reauthenticate"),
    _signal("session_protected", _session_protected, "session.reject"),
    _hint("dispatch_request", _login_view),
    _hint("preprocess_request", _before_view),
)

BLIND = (
    "A wrong password or an unknown user never reaches Flask-Login: a POST to `login_view` that ends without a sign-in is recorded "
    "as a failure with `audit.inferred`.",
    "Where `login_view` is not set or not what the form is sent to, such failures are seen only if a password hash is checked, "
    "and without what was typed; a login of several requests is recorded as a failure for each step before the last.",
    "The subject is what `get_id()` says, or the primary key of a user object that holds both; where no user was loaded, an "
    "alternative id of the session stays what it is.",
    "A request loader that does not recognise a credential says the same as one that was shown none: only its successes are seen.",
)
