"""ldap3: binds that reached the server, and passwords changed or set in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from ..hooks import SKIP, Actor, Call, Facts, Flow, Hook, Outcome, Reason, Status, Strategy
from .ldap_results import BIND_PARAMS, bound, password_event, refused, text

__all__ = ("BLIND", "HOOKS")


def _bind(call: Call) -> Flow:
    """A lazy connection only notes that it is to bind, and a pool hands the bind on to a connection of its own."""
    connection = call.instance
    before = _identity(connection) if connection.bound else None
    outcome = yield
    identity = _identity(connection)
    if connection.authentication == "ANONYMOUS" or connection.strategy.pooled or _only_noted(connection, outcome):
        return SKIP
    mechanism = None if connection.authentication == "SIMPLE" else text(_mechanism(connection))
    via = before if before != identity else None
    failure = _failure(connection, outcome)
    if _repeated(connection) and (failure is None or failure.get("status") is not Status.FAILURE):
        return SKIP
    if failure is not None:
        return Facts(identity=identity, via=via, params={"mechanism": mechanism}, **failure)
    return bound(identity, mechanism, via=via)


def _auto_bind(call: Call) -> Flow:
    """A connection that cannot even be opened never gets to its bind; what a bind said, it told itself."""
    connection = call.instance
    if connection.auto_bind in {None, "NONE", "DEFAULT"} or connection.authentication == "ANONYMOUS":
        return SKIP
    outcome = yield
    if outcome.error is None or type(outcome.error).__name__ == "LDAPBindError" or _code(outcome.error) is not None:
        return SKIP
    return Facts(identity=_identity(connection))


def _modify_password(call: Call) -> Flow:
    """The extended operation (RFC 3062): without a name, one's own."""
    connection = call.instance._connection  # noqa: SLF001
    event = "password.change" if call.arg("old_password") or not call.arg("user") else "password.set"
    outcome = yield
    return _changed(connection, text(call.arg("user")), event, outcome, accepted=bool(outcome.result))


def _unlock_account(call: Call) -> Flow:
    connection = call.instance._connection  # noqa: SLF001
    outcome = yield
    return _changed(connection, text(call.arg("user")), "account.unlock", outcome, accepted=outcome.result is True)


def _modify(call: Call) -> Flow:
    """A password is an attribute, too. An asynchronous strategy hears the answer elsewhere."""
    connection, dn = call.instance, text(call.arg("dn"))
    event = password_event(_operations(call.arg("changes")))
    if event is None or not connection.strategy.sync:
        return SKIP
    outcome = yield
    accepted = outcome.result[0] if isinstance(outcome.result, tuple) else outcome.result
    return _changed(connection, dn, event, outcome, accepted=accepted is True)


def _operations(changes: Any) -> Iterator[tuple[Any, Any]]:
    for attribute, modifications in changes.items() if isinstance(changes, Mapping) else ():
        for modification in modifications if isinstance(modifications, (list, tuple)) else ():
            operation = modification[0] if isinstance(modification, (list, tuple)) and modification else modification
            yield operation, attribute


def _changed(connection: Any, dn: str | None, event: str, outcome: Outcome, *, accepted: bool) -> Facts:
    by = _identity(connection)
    if dn == by and event == "password.set":
        event = "password.change"
    actor = Actor(by) if by is not None and dn not in {None, by} else None
    failure = None if accepted and outcome.error is None else _failure(connection, Outcome(error=outcome.error))
    return Facts(event=event, subject=dn or by, actor=actor, **(failure or {}))


def _failure(connection: Any, outcome: Outcome) -> dict[str, Any] | None:
    """Why the server refused, None if it did not; whatever kept it from answering leaves the outcome open."""
    error, result = outcome.error, outcome.result
    if error is not None:
        code = _code(error)
        return {} if code is None else refused(code, getattr(error, "message", None))
    accepted, said = result[:2] if isinstance(result, tuple) else (result, connection.result)
    if accepted:
        return None
    if isinstance(said, Mapping) and said.get("result"):
        return refused(said["result"], said.get("message"), text(said.get("description")))
    return _refused_by_name(text(connection.last_error))


def _refused_by_name(description: str | None) -> dict[str, Any]:
    """An asynchronous strategy keeps of the result nothing but its name."""
    from ldap3.core.results import RESULT_CODES  # noqa: PLC0415 -- the application has imported it, else this would not run

    codes = {name: code for code, name in RESULT_CODES.items()}
    if description in codes:
        return refused(codes[description], None, description)
    return {"status": Status.FAILURE, "fallback": Reason.INVALID_CREDENTIALS}


def _code(error: BaseException) -> int | None:
    """The result code in an exception of option `raise_exceptions`."""
    code = getattr(error, "result", None)
    return code if isinstance(code, int) else None


def _identity(connection: Any) -> str | None:
    """Who the connection says it is; nobody where the mechanism finds out by itself (a ticket, a certificate)."""
    if connection.authentication == "ANONYMOUS":
        return None
    if connection.authentication != "SASL":
        return text(connection.user)
    credentials = connection.sasl_credentials
    named = connection.sasl_mechanism in {"DIGEST-MD5", "PLAIN"} and isinstance(credentials, (list, tuple))
    return text(credentials[1]) if named and len(credentials) > 1 else None


def _mechanism(connection: Any) -> Any:
    return connection.sasl_mechanism if connection.authentication == "SASL" else connection.authentication


def _only_noted(connection: Any, outcome: Outcome) -> bool:
    """Whether no server was asked: the bind is to come, or goes to a file."""
    asked = not connection._deferred_bind and connection.strategy_type != "LDIF"  # noqa: SLF001
    return outcome.error is None and not asked


def _repeated(connection: Any) -> bool:
    """A restartable connection binds again by itself, a pool in threads of its own: only a refusal is new."""
    by_pool = type(threading.current_thread()).__name__ == "PooledConnectionThread"
    return by_pool or bool(getattr(connection.strategy, "_restarting", False))


_ERRORS = {
    "LDAPPasswordIsMandatoryError": Reason.INVALID_INPUT,
    "LDAPUserNameIsMandatoryError": Reason.INVALID_INPUT,
}


def _bind_row(method: str, extract: Any) -> Hook:
    return Hook(
        target=f"ldap3.core.connection:Connection.{method}",
        extract=extract,
        event="auth.authenticate",
        strategy=Strategy.LDAP,
        params=BIND_PARAMS,
        errors=_ERRORS,
        defer=True,
        foreign=True,
        relay=True,
    )


def _row(target: str, extract: Any, event: str) -> Hook:
    return Hook(target=f"ldap3.{target}", extract=extract, event=event, strategy=Strategy.LDAP)


HOOKS = (
    _bind_row("bind", _bind),
    _bind_row("rebind", _bind),
    _bind_row("_do_auto_bind", _auto_bind),
    _row("extend:StandardExtendedOperations.modify_password", _modify_password, "password.change"),
    _row("extend:MicrosoftExtendedOperations.modify_password", _modify_password, "password.change"),
    _row("extend:MicrosoftExtendedOperations.unlock_account", _unlock_account, "account.unlock"),
    _row("core.connection:Connection.modify", _modify, "password.change"),
)

BLIND = (
    "Nobody says which identity is a service account's: of two that bind in one request, the first is taken for it and is not told.",
    "Whether a service account found somebody is not seen: a name that was typed and a response that refuses it are told as a failure "
    "with `audit.inferred`; where no name is known, the service account is told as having bound.",
    "Outside a request every bind that reaches the server is told, a service account's too, except what a connection or pool repeats by "
    "itself.",
    "EXTERNAL and GSSAPI find out by themselves who somebody is: the record has no name. An anonymous bind is no event.",
    "With an asynchronous strategy, Active Directory's reason for a refusal is not known, and a password changed by `modify` is not seen.",
    "Whether an account is locked or a password has expired, a server other than Active Directory does not say in a bind's result.",
)
