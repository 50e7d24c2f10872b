"""python-ldap: binds by name and by SASL, with and without waiting for the answer, and passwords changed or set in the directory.

A bind and its answer are two calls underneath, also where one function makes both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakKeyDictionary

from ..hooks import SKIP, Call, Facts, Flow, Hook, Outcome, Reason, Skip, Status, Strategy
from .ldap_results import BIND_PARAMS, bound, password_event, refused, text

__all__ = ("BLIND", "HOOKS")

_ANY: Final = -1  # RES_ANY
_BIND_RESPONSE: Final = 0x61  # RES_BIND
_AUTHENTICATION_NAME, _USER = 0x4002, 0x4001  # CB_AUTHNAME, CB_USER of Cyrus SASL
_OPERATION: Final = 0x7F  # MOD_* without the flag MOD_BVALUES

_asked: WeakKeyDictionary[Any, tuple[Any, str, bool]] = WeakKeyDictionary()
"""The bind that a connection waits for (there can be one at most): number of the message, who, with a password or without."""
_again: ContextVar[bool] = ContextVar("authaudit_ldap_again", default=False)


def _bind(call: Call) -> Flow:
    """The question and the answer."""
    identity, password = text(_given(call, 0, "who")), _given(call, 1, "cred")
    if identity is None:
        return SKIP
    outcome = yield
    return _told(outcome, identity, named=bool(password))


def _bind_request(call: Call) -> Flow:
    """The question alone, which fails only where the server cannot be asked."""
    identity, password = text(_given(call, 0, "who")), _given(call, 1, "cred")
    if identity is None:
        return SKIP
    outcome = yield
    if outcome.error is not None:
        return _told(outcome, identity)
    _asked[call.instance] = (outcome.result, identity, bool(password))
    return SKIP


def _result(call: Call) -> Flow:
    """The answer alone, to a bind or to anything else."""
    asked = _asked.get(call.instance) if _asked else None
    if asked is None or _given(call, 0, "msgid") not in {asked[0], _ANY, None}:
        return SKIP
    outcome = yield
    if not _answered(outcome, asked[0]):
        return SKIP
    _asked.pop(call.instance, None)
    return _told(outcome, asked[1], named=asked[2])


def _answered(outcome: Outcome, number: Any) -> bool:
    if outcome.error is not None:
        details = _details(outcome.error)
        return type(outcome.error).__name__ != "TIMEOUT" and details.get("msgid", number) == number
    return isinstance(outcome.result, tuple) and outcome.result[0] == _BIND_RESPONSE


def _sasl(call: Call) -> Flow:
    """The credentials are answers to questions of the mechanism: only the name is taken."""
    auth = _given(call, 1, "auth")
    answers = getattr(auth, "cb_value_dict", None)
    outcome = yield
    named = [answers.get(key) for key in (_AUTHENTICATION_NAME, _USER)] if isinstance(answers, Mapping) else []
    identity = next((name for name in map(text, named) if name is not None), None)
    return _told(outcome, identity, text(getattr(auth, "mech", None)))


def _sasl_step(call: Call) -> Flow:
    """One step of a mechanism that the application speaks itself: bytes are the server's next question."""
    outcome = yield
    if isinstance(outcome.result, (bytes, str)) or type(outcome.error).__name__ == "SASL_BIND_IN_PROGRESS":
        return SKIP
    return _told(outcome, text(_given(call, 0, "dn")), text(_given(call, 1, "mechanism")))


def _reconnection(_call: Call) -> Flow:
    """A connection that was lost repeats its last bind: only a refusal is new."""
    token = _again.set(True)
    yield
    _again.reset(token)
    return SKIP


def _passwd(call: Call) -> Flow:
    """The extended operation (RFC 3062): without a name, one's own."""
    user, old = text(_given(call, 0, "user")), _given(call, 1, "oldpw")
    outcome = yield
    return _changed(outcome, user, "password.change" if old or user is None else "password.set")


def _modify(call: Call) -> Flow:
    dn, changes = text(_given(call, 0, "dn")), _given(call, 1, "modlist")
    event = password_event((change[0] & _OPERATION, change[1]) for change in changes if _is_change(change)) if changes else None
    if event is None:
        return SKIP
    outcome = yield
    return _changed(outcome, dn, event)


def _is_change(change: Any) -> bool:
    return isinstance(change, (list, tuple)) and len(change) > 1 and isinstance(change[0], int)


def _changed(outcome: Outcome, dn: str | None, event: str) -> Facts:
    return Facts(event=event, subject=dn, **_failure(outcome.error))


def _told(outcome: Outcome, identity: str | None, mechanism: str | None = None, *, named: bool = True) -> Facts | Skip:
    failure = _failure(outcome.error)
    if _again.get() and failure.get("status") is not Status.FAILURE:
        return SKIP
    if outcome.error is not None:
        return Facts(identity=identity, params={"mechanism": mechanism}, **failure)
    return bound(identity, mechanism, named=named)


def _failure(error: BaseException | None) -> dict[str, Any]:
    """What the server said; nothing where it said nothing (its class then speaks)."""
    details = _details(error)
    code = details.get("result")
    return refused(code, details.get("info")) if isinstance(code, int) else {}


def _details(error: BaseException | None) -> Mapping[str, Any]:
    details = error.args[0] if error is not None and error.args else None
    return details if isinstance(details, Mapping) else {}


def _given(call: Call, at: int, name: str) -> Any:
    """An argument by place or name, also of a method that hands all of them on."""
    return call.args[at] if len(call.args) > at else call.kwargs.get(name)


_ERRORS: Final = {
    "STRONG_AUTH_NOT_SUPPORTED": Reason.POLICY_DENIED,
    "STRONG_AUTH_REQUIRED": Reason.POLICY_DENIED,
    "CONFIDENTIALITY_REQUIRED": Reason.POLICY_DENIED,
    "CONSTRAINT_VIOLATION": Reason.POLICY_DENIED,
    "NO_SUCH_OBJECT": Reason.UNKNOWN_IDENTITY,
    "INVALID_DN_SYNTAX": Reason.INVALID_INPUT,
    "INAPPROPRIATE_AUTH": Reason.INVALID_CREDENTIALS,
    "INVALID_CREDENTIALS": Reason.INVALID_CREDENTIALS,
    "INSUFFICIENT_ACCESS": Reason.PERMISSION_DENIED,
    "UNWILLING_TO_PERFORM": Reason.POLICY_DENIED,
}


def _bind_row(method: str, extract: Callable[[Call], Flow], *, overrides: bool = True) -> Hook:
    return Hook(
        target=f"ldap.ldapobject:{method if '.' in method else f'SimpleLDAPObject.{method}'}",
        extract=extract,
        event="auth.authenticate",
        strategy=Strategy.LDAP,
        params=BIND_PARAMS,
        errors=_ERRORS,
        defer=True,
        foreign=True,
        relay=True,
        overrides=overrides,
    )


def _password_row(method: str, extract: Callable[[Call], Flow]) -> Hook:
    return Hook(
        target=f"ldap.ldapobject:SimpleLDAPObject.{method}",
        extract=extract,
        event="password.change",
        strategy=Strategy.LDAP,
        errors=_ERRORS,
        overrides=True,
    )


HOOKS = (
    _bind_row("simple_bind_s", _bind),
    _bind_row("bind_s", _bind),
    _bind_row("simple_bind", _bind_request),
    _bind_row("result4", _result),
    _bind_row("sasl_interactive_bind_s", _sasl),
    _bind_row("sasl_bind_s", _sasl_step),
    _bind_row("ReconnectLDAPObject._apply_last_bind", _reconnection, overrides=False),
    _password_row("passwd_s", _passwd),
    _password_row("modify_ext_s", _modify),
)

BLIND = (
    "Nobody says which identity is a service account's: of two that bind in one request, the first is taken for it and is not told.",
    "Whether a service account found somebody is not seen: a name that was typed and a response that refuses it are told as a failure "
    "with `audit.inferred`; where no name is known, the service account is told as having bound.",
    "Outside a request every bind that reaches the server is told, a service account's too, except what a connection repeats by itself.",
    "EXTERNAL and GSSAPI find out by themselves who somebody is: the record has no name. An anonymous bind is no event.",
    "Who changes a password is not known, and one that is changed without waiting for the answer (`passwd`, `modify`) is not seen.",
    "Whether an account is locked or a password has expired, a server other than Active Directory does not say in a bind's result.",
)
