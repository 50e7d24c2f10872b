"""djoser: accounts over an API: tokens, registration, activation, passwords, names, deletion.

Its functions `login_user` and `logout_user` send Django's signals by themselves, a second time where a session is started too. That
an account is stored or its password changed, Django tells; the views say what was asked for and why it was refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Outcome, Reason, Role, Skip, Status, Strategy
from . import django_facts as django
from . import rest_facts as rest

__all__ = ("BLIND", "HOOKS")

_MAILS: Final = {"reset_password": "password.reset_request", "resend_activation": "account.verify_request"}
"""Action of the view set that mails a link -> event."""
_SENDS: Final = {"SMTPException": Reason.SEND_FAILED, "OSError": Reason.SEND_FAILED}


def _login(call: Call) -> Flow:
    user = call.arg("user")
    outcome = yield
    return Facts(token_id=rest.key_of(outcome.result), **rest.who(user))


def _logout(call: Call) -> Flow:
    from djoser.conf import settings  # noqa: PLC0415 -- the application has imported it, else this would not run

    request = call.arg("request")
    facts = rest.who(rest.user_of(request)) | {"token_id": rest.key_of(getattr(request, "__dict__", {}).get("_auth"))}
    outcome = yield
    if outcome.error is None and not (settings.TOKEN_MODEL or settings.CREATE_SESSION_ON_LOGIN):
        return SKIP  # there is nothing to end
    return Facts(**facts)


def _credentials(call: Call) -> Flow:
    serializer, attrs = call.instance, rest.first(call, "attrs")
    facts = _identity(attrs)
    if facts["identity"] is None and attrs.get("password") is None:
        return None
    outcome = yield
    return rest.verdict(outcome.error, **facts, **rest.who(vars(serializer).get("user")))


def _register(call: Call) -> Flow:
    request = rest.first(call, "request")
    outcome = yield
    return _verdict(outcome, **_identity(vars(request).get("_full_data")))


def _password(call: Call) -> Flow:
    facts = rest.who(rest.user_of(rest.first(call, "request")))
    outcome = yield
    return _verdict(outcome, **facts)


def _by_link(_call: Call) -> Flow:
    """Whose link it is, the serializer finds out."""
    outcome = yield
    return _verdict(outcome)


def _activate(_call: Call) -> Flow:
    outcome = yield
    if rest.is_a(outcome.error, "PermissionDenied"):
        return Facts(status=Status.FAILURE, reason=Reason.CODE_REUSED, error_type="stale_token")
    return _verdict(outcome, told=False)


def _whose_link(call: Call) -> Flow:
    yield
    return Facts(**rest.who(vars(call.instance).get("user")))


def _rename(call: Call, *, by_link: bool = False) -> Flow:
    request = rest.first(call, "request")
    facts = {} if by_link else rest.who(rest.user_of(request))
    outcome = yield
    named = _identity(vars(request).get("_full_data"), prefix="new_")
    action = "change_email" if named["identity_field"] == "email" else "change_username"
    return _verdict(outcome, told=False, action=action, **named, **facts)


def _update(call: Call) -> Flow:
    serializer = rest.first(call, "serializer")
    user, field = serializer.instance, type(serializer.instance).get_email_field_name()
    before, after = getattr(user, field, None), (vars(serializer).get("_validated_data") or {}).get(field)
    if after is None or after == before:
        return None
    yield
    facts = rest.who(user)
    named: dict[str, Any] = {"identity": django.text(after), "identity_field": "email"}
    return Facts(action="change_email", actor=django.actor(facts["subject"]), **named, **facts)


def _destroyed(call: Call) -> Flow:
    facts = rest.who(rest.first(call, "instance"))
    yield
    return Facts(actor=django.actor(facts["subject"]), **facts)


def _destroy(call: Call) -> Flow:
    """Only that it was refused; what is deleted is told where that happens."""
    view, user = call.instance, rest.user_of(rest.first(call, "request"))
    outcome = yield
    if outcome.error is None:
        return SKIP
    key = (getattr(view, "kwargs", None) or {}).get(view.lookup_field)
    facts = rest.who(user)
    if key is not None and getattr(view, "action", None) != "me":
        facts["subject"] = f"{view.queryset.model._meta.concrete_model._meta.label_lower}:{key}"  # noqa: SLF001
    return _verdict(outcome, actor=django.actor(facts["subject"]), **facts)


def _mail(_call: Call) -> Flow:
    """A link is asked for: the serializer tells for whom, here only that the mail could not be sent."""
    outcome = yield
    if outcome.error is not None and not rest.complaint(outcome.error):
        return Facts()
    verdict = rest.answered(outcome.result)
    return Facts(status=Status.FAILURE, fallback=Reason.POLICY_DENIED) if verdict.status is Status.FAILURE else SKIP


def _addressee(call: Call) -> Flow:
    """The user with that address, if there is one who has a password: the answer is the same either way."""
    serializer = call.instance
    event = _MAILS.get(getattr(serializer.context.get("view"), "action", None) or "")
    if event is None:
        return None
    outcome = yield
    address = django.text((vars(serializer).get("_validated_data") or {}).get(serializer.email_field))
    facts: dict[str, Any] = {"event": event, "identity": address, "identity_field": "email", **rest.who(outcome.result)}
    facts["strategy"] = Strategy.PASSWORD if event == "password.reset_request" else None
    if outcome.error is not None:
        return Facts(**facts, **rest.complaint(outcome.error))
    return Facts(**facts) if outcome.result is not None else Facts(**facts, status=Status.FAILURE, reason=Reason.UNKNOWN_IDENTITY)


def _verdict(outcome: Outcome, *, told: bool = True, **facts: Any) -> Facts | Skip:
    """Accepted or refused; where it broke off, what had been done before is *told* by what did it."""
    if outcome.error is None:
        return rest.answered(outcome.result, **facts)
    return SKIP if told and not rest.complaint(outcome.error) else rest.verdict(outcome.error, **facts)


def _identity(data: Any, prefix: str = "") -> dict[str, Any]:
    """What was given as the identity."""
    from djoser.conf import settings  # noqa: PLC0415

    name = settings.LOGIN_FIELD
    value = data.get(f"{prefix}{name}") if hasattr(data, "get") else None
    return {"identity": django.text(value), "identity_field": "email" if name == "email" else "username"}


def _row(target: str, extract: Callable[[Call], Flow], event: str | None = None, **more: Any) -> Hook:
    return Hook(target=f"djoser.{target}", extract=extract, event=event, overrides=True, **{"errors": rest.ERRORS, **more})


_view = partial(_row, strategy=Strategy.PASSWORD)
_USERS = "views:UserViewSet."

HOOKS = (
    _row("utils:login_user", _login, "auth.sign_in", strategy=Strategy.TOKEN, establishes_session=True),
    _row("utils:logout_user", _logout, "auth.sign_out", strategy=Strategy.TOKEN),
    _view("serializers:TokenCreateSerializer.validate", _credentials, "auth.authenticate", defer=True),
    _row("views:TokenCreateView.handle_exception", rest.throttled, "auth.sign_in", strategy=Strategy.TOKEN),
    _view(f"{_USERS}create", _register, "auth.register"),
    _row(f"{_USERS}activation", _activate, "account.verify"),
    _view(f"{_USERS}set_password", _password, "password.change"),
    _view(f"{_USERS}reset_password_confirm", _by_link, "password.reset"),
    _row(f"{_USERS}set_username", _rename, "account.identity.change"),
    _row(f"{_USERS}reset_username_confirm", partial(_rename, by_link=True), "account.identity.change"),
    _row(f"{_USERS}perform_update", _update, "account.identity.change"),
    _row(f"{_USERS}perform_destroy", _destroyed, "account.delete"),
    _row(f"{_USERS}destroy", _destroy, "account.delete"),
    _view(f"{_USERS}reset_password", _mail, "password.reset_request", errors=_SENDS),
    _row(f"{_USERS}resend_activation", _mail, "account.verify_request", errors=_SENDS),
    _row("serializers:UserFunctionsMixin.get_user", _addressee, "password.reset_request"),
    _row("serializers:UidAndTokenSerializer.validate", _whose_link, role=Role.NOTE),
)

BLIND = (
    "A mailed link to change the user name (`reset_username`) is not recorded when it is asked for, only when it is used.",
    "A password reset for a user who is inactive or has no password looks like one for an address that nobody has.",
    "The mail to activate or confirm an account that djoser sends after a registration is part of that, and no event.",
    "djoser's own WebAuthn and social views are seen as far as the libraries below them are watched.",
)
