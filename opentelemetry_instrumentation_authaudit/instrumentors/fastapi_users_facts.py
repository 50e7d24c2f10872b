"""What the rows of `fastapi_users` say: its extractors, and how a user of any database is read without asking the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Reason, Status

__all__ = (
    "ERRORS",
    "associate",
    "authenticate",
    "authorize_callback",
    "create",
    "get",
    "get_by_email",
    "login",
    "oauth_callback",
    "of_user",
    "profile",
    "registered",
    "reset",
    "set_by_admin",
    "update_of",
    "verify",
    "verify_account",
)

_FORBIDDEN: Final = 403


def authenticate(call: Call) -> Flow:
    identity = _text(call.arg("credentials"), "username")
    outcome = yield
    if outcome.error is None and outcome.result is None:
        return Facts(status=Status.FAILURE, identity=identity, fallback=Reason.INVALID_CREDENTIALS)
    return _of(outcome.result, identity=identity, fallback=_state(outcome.result))


def get_by_email(_call: Call) -> Flow:
    outcome = yield
    if _failed(outcome.error, "UserNotExists"):
        return Facts(reason=Reason.UNKNOWN_IDENTITY, identity_known=False)
    return _of(outcome.result)


def get(_call: Call) -> Flow:
    outcome = yield
    if _failed(outcome.error, "UserNotExists"):
        return Facts(reason=Reason.UNKNOWN_IDENTITY)
    return _of(outcome.result, reason=_state(outcome.result))


def oauth_callback(call: Call) -> Flow:
    provider, identity = call.arg("oauth_name"), call.arg("account_email")
    outcome = yield
    return _of(outcome.result, provider=provider, identity=identity, identity_field="email", fallback=_state(outcome.result))


def associate(call: Call) -> Flow:
    provider, identity = call.arg("oauth_name"), call.arg("account_email")
    facts = _of(call.arg("user"), provider=provider, identity=identity, identity_field="email")
    yield
    return facts


def authorize_callback(call: Call) -> Flow:
    provider, said = _text(call.instance.client, "name"), call.arg("error")
    outcome = yield
    if outcome.error is not None and said is None and call.arg("code") is None:
        return Facts(provider=provider, reason=Reason.INVALID_CODE)
    return Facts(provider=provider, reason=Reason.PROVIDER_DENIED if said == "access_denied" else None)


def profile(call: Call) -> Flow:
    yield
    return Facts(provider=_text(call.instance, "name"))


def create(call: Call) -> Flow:
    identity = _text(call.arg("user_create"), "email")
    outcome = yield
    return _of(outcome.result, identity=identity, identity_field="email")


def registered(call: Call) -> Flow:
    """Inside `create` this folds away; alone it tells of an account that an OAuth sign-in made."""
    user = call.arg("user")
    accounts = _loaded(user, "oauth_accounts") or ()
    provider = next((_loaded(account, "oauth_name") for account in accounts), None)
    facts = _of(user, identity=_loaded(user, "email"), identity_field="email", provider=provider)
    yield
    return facts


def of_user(call: Call) -> Flow:
    facts = _of(call.arg("user"))  # before it: afterwards the row may be gone
    yield
    return facts


def verify_account(_call: Call) -> Flow:
    outcome = yield
    return _of(outcome.result, reason=Reason.TOKEN_REUSED if _failed(outcome.error, "UserAlreadyVerified") else None)


def reset(_call: Call) -> Flow:
    outcome = yield
    reason = _meaning(outcome.error)
    if reason is Reason.INVALID_CODE:  # the check inside knows better, or the token was good and made for an earlier password
        reason = Reason.TOKEN_REVOKED if getattr(outcome.error, "__context__", None) is None else None
    return _of(outcome.result, reason=reason)


def update_of(field: str, *, to: bool | None = None) -> Callable[[Call], Flow]:
    """An update that changes *field*, to the value *to* if that is given; a password counts whenever it is set."""

    def extract(call: Call) -> Flow:
        user, value = call.arg("user"), (call.arg("update_dict") or {}).get(field)
        if value is None or to not in (None, value) or _loaded(user, field) == value:
            return None
        before = _of(user)
        outcome = yield
        return Facts(subject=before.subject, resource=before.resource, reason=_meaning(outcome.error))

    return extract


def set_by_admin(call: Call) -> Flow:
    if call.arg("safe", default=False) or getattr(call.arg("user_update"), "password", None) is None:
        return None
    facts = _of(call.arg("user"))
    yield
    return facts


def login(call: Call) -> Flow:
    facts = _of(call.arg("user"), params={"backend": _text(call.instance, "name")})
    yield
    return facts


def verify(call: Call) -> Flow:
    """The tokens are those keyword arguments that are text; without one nobody tried anything."""
    shown = any(isinstance(value, str) for value in call.kwargs.values())
    outcome = yield
    code = getattr(outcome.error, "status_code", None)
    if not shown:
        return SKIP
    if outcome.error is None:
        user = outcome.result[0]
        return _of(user) if user is not None else Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS)
    if code == _FORBIDDEN and call.arg("superuser") and not call.arg("verified"):
        return Facts(event="authz.deny", reason=Reason.PERMISSION_DENIED)  # the token was good
    return Facts(fallback=Reason.PERMISSION_DENIED) if code == _FORBIDDEN else None


def _of(user: Any, **more: Any) -> Facts:
    if user is None:
        return Facts(**more)
    kind = type(user)
    return Facts(subject=_subject(user), resource=f"{kind.__module__}:{kind.__qualname__}", **more)


def _subject(user: Any) -> str | None:
    """The primary key; SQLAlchemy knows it without the query that reading an expired attribute would make."""
    key = getattr(_loaded(user, "_sa_instance_state"), "identity", None)
    ident = key[0] if isinstance(key, tuple) and len(key) == 1 else getattr(user, "id", None)
    return None if ident is None else str(ident)


def _state(user: Any) -> Reason | None:
    """What would explain that this user is refused after all."""
    if user is None:
        return None
    if not getattr(user, "is_active", True):
        return Reason.INACTIVE_ACCOUNT
    return None if getattr(user, "is_verified", True) else Reason.UNVERIFIED_ACCOUNT


def _loaded(user: Any, name: str) -> Any:
    """An attribute as far as it is there: reading one that is not may ask the database."""
    return getattr(user, "__dict__", {}).get(name)


def _text(holder: Any, name: str) -> str | None:
    value = getattr(holder, name, None)
    return value if isinstance(value, str) else None


def _meaning(error: BaseException | None) -> Reason | None:
    """Said outright where notes about the user would otherwise be taken for the reason."""
    return next((ERRORS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in ERRORS), None)


def _failed(error: BaseException | None, name: str) -> bool:
    return any(kind.__name__ == name for kind in type(error).__mro__)


ERRORS: Final = {
    "InvalidPasswordException": Reason.WEAK_PASSWORD,
    "InvalidResetPasswordToken": Reason.INVALID_CODE,
    "InvalidVerifyToken": Reason.INVALID_CODE,
    "UserAlreadyExists": Reason.ACCOUNT_EXISTS,
    "UserAlreadyVerified": Reason.INVALID_INPUT,
    "UserInactive": Reason.INACTIVE_ACCOUNT,
    "UserNotExists": Reason.UNKNOWN_IDENTITY,
}
