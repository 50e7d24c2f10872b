"""What becomes of accounts and passwords in Flask-Security, by their users or by somebody else."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Actor, Call, Facts, Family, Flow, Hook, Role, Strategy
from .flask_facts import current_user, fields
from .flask_security_forms import about

__all__ = ("ROWS", "of_user")


def of_user(call: Call) -> Flow:
    """Something happened to the account of *user*; False where nothing did."""
    user = call.arg("user")
    outcome = yield
    return SKIP if outcome.result is False else Facts(**about(user))


def _by_somebody(call: Call) -> Flow:
    """The same, perhaps by an administrator."""
    user = call.arg("user")
    facts = about(user)
    outcome = yield
    return SKIP if outcome.result is False else Facts(actor=_actor(facts["subject"]), **facts)


def _actor(subject: str | None) -> Actor | None:
    who = about(current_user())["subject"]
    return None if who is None or who == subject else Actor(who)


def _password_changed(call: Call) -> Flow:
    user, mine = call.arg("user"), call.arg("autologin", default=True)
    yield
    facts = about(user)
    return Facts(event=None if mine else "password.set", actor=_actor(facts["subject"]), **facts)


def _created(call: Call) -> Flow:
    email, by = call.kwargs.get("email"), Strategy.PASSWORD if call.kwargs.get("password") is not None else None
    outcome = yield
    facts = about(outcome.result)
    typed: dict[str, Any] = {"identity": email, "identity_field": "email"} if isinstance(email, str) else {}
    return Facts(actor=_actor(facts["subject"]), strategy=by, **facts, **typed)


def _toggled(call: Call) -> Flow:
    user = call.arg("user")
    yield
    facts = about(user)
    return Facts(event="account.enable" if user.active else "account.disable", actor=_actor(facts["subject"]), **facts)


def _role(change: str, call: Call) -> Flow:
    user, role = call.arg("user"), call.arg("role")
    outcome = yield
    facts = about(user)
    if outcome.result is False:
        return SKIP
    name = role if isinstance(role, str) else fields(role).get("name")
    return Facts(actor=_actor(facts["subject"]), params={"role": name, "change": change}, **facts)


def _renamed(call: Call) -> Flow:
    user = call.arg("user")
    yield
    action = "change_email" if "old_email" in call.kwargs else "change_username"
    return Facts(action=action, **about(user))


_FUNCTION = partial(Hook, extract=of_user)
_SIGNAL = partial(Hook, extract=of_user, role=Role.SIGNAL)
_STORE = partial(Hook, extract=_by_somebody, overrides=True)
_S, _D = "flask_security.signals:", "flask_security.datastore:UserDatastore."

ROWS: Final = (
    _FUNCTION(
        target="flask_security.changeable:change_user_password",
        extract=_password_changed,
        event="password.change",
        strategy=Strategy.PASSWORD,
        absorbs=frozenset({Family.SIGN_IN}),  # its user is signed in again
    ),
    _SIGNAL(
        target=f"{_S}change_email_confirmed",
        extract=_renamed,
        event="account.identity.change",
        strategy=Strategy.MAGIC_LINK,
        optional=True,
    ),
    _SIGNAL(target=f"{_S}username_changed", extract=_renamed, event="account.identity.change", optional=True),
    _STORE(target=f"{_D}create_user", extract=_created, event="auth.register"),
    _STORE(target=f"{_D}delete_user", event="account.delete"),
    _STORE(target=f"{_D}activate_user", event="account.enable"),
    _STORE(target=f"{_D}deactivate_user", event="account.disable"),
    _STORE(target=f"{_D}toggle_active", extract=_toggled, event="account.disable"),
    *(
        _STORE(
            target=f"{_D}{method}",
            extract=partial(_role, method.partition("_")[0]),
            event="account.role.change",
            params={"role": False, "change": False},
        )
        for method in ("add_role_to_user", "remove_role_from_user")
    ),
)
