"""FastAPI Users: what its user manager, its authentication backends and its authenticator do. Its routers are closures.

A good password is parked until `AuthenticationBackend.login`; where the router refuses the account after all (inactive, not
verified), the response turns it into a failure, and the user says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..hooks import Call, Flow, Hook, Reason, Role, Strategy
from . import fastapi_users_facts as facts

__all__ = ("BLIND", "HOOKS")


def _manager(method: str, extract: Callable[[Call], Flow], event: str | None = None, **more: Any) -> Hook:
    return Hook(
        target=f"fastapi_users.manager:BaseUserManager.{method}",
        extract=extract,
        event=event,
        overrides=True,
        **{"errors": facts.ERRORS, **more},
    )


def _callback(target: str, extract: Callable[[Call], Flow], *errors: str, overrides: bool = False) -> Hook:
    return Hook(
        target=f"httpx_oauth.{target}",
        extract=extract,
        event="oauth.callback",
        strategy=Strategy.OAUTH2,
        errors=dict.fromkeys(errors, Reason.PROVIDER_ERROR),
        overrides=overrides,
        optional=True,
    )


HOOKS = (
    _manager("authenticate", facts.authenticate, "auth.authenticate", strategy=Strategy.PASSWORD, defer=True),
    _manager("oauth_callback", facts.oauth_callback, "auth.authenticate", strategy=Strategy.OAUTH2, defer=True),
    _manager("oauth_associate_callback", facts.associate, "account.link", strategy=Strategy.OAUTH2),
    _manager("create", facts.create, "auth.register", strategy=Strategy.PASSWORD),
    _manager("on_after_register", facts.registered, "auth.register", strategy=Strategy.OAUTH2),
    _manager("forgot_password", facts.of_user, "password.reset_request", strategy=Strategy.PASSWORD),
    _manager("reset_password", facts.reset, "password.reset", strategy=Strategy.PASSWORD),
    _manager("request_verify", facts.of_user, "account.verify_request"),
    _manager("verify", facts.verify_account, "account.verify"),
    _manager("delete", facts.of_user, "account.delete"),
    _manager("update", facts.set_by_admin, "password.set", strategy=Strategy.PASSWORD),
    _manager("_update", facts.update_of("password"), "password.change", strategy=Strategy.PASSWORD),
    _manager("_update", facts.update_of("email"), "account.identity.change"),
    _manager("_update", facts.update_of("is_active", to=False), "account.disable"),
    _manager("_update", facts.update_of("is_active", to=True), "account.enable"),
    _manager("_update", facts.update_of("is_superuser"), "account.role.change"),
    _manager("get", facts.get, role=Role.NOTE),
    _manager("get_by_email", facts.get_by_email, role=Role.NOTE),
    Hook(
        target="fastapi_users.authentication.backend:AuthenticationBackend.login",
        extract=facts.login,
        event="auth.sign_in",
        strategy=Strategy.TOKEN,
        params={"backend": False},
        overrides=True,
        establishes_session=True,
    ),
    Hook(
        target="fastapi_users.authentication.backend:AuthenticationBackend.logout",
        extract=facts.login,
        event="auth.sign_out",
        strategy=Strategy.TOKEN,
        params={"backend": False},
        overrides=True,
    ),
    Hook(
        target="fastapi_users.authentication.authenticator:Authenticator._authenticate",
        extract=facts.verify,
        event="auth.verify",
        strategy=Strategy.TOKEN,
        errors={"HTTPException": Reason.INVALID_CREDENTIALS},
        overrides=True,
    ),
    _callback(
        "integrations.fastapi:OAuth2AuthorizeCallback.__call__", facts.authorize_callback, "HTTPException", "GetAccessTokenError"
    ),
    _callback("oauth2:BaseOAuth2.get_id_email", facts.profile, "GetIdEmailError", "GetProfileError", overrides=True),
)

BLIND = (
    "Asking for a password reset or a verification mail for an unknown address ends inside a router before anything is called: "
    "such requests are not recorded.",
    "In an OAuth callback a forged or expired `state` is recorded as a refused token (`auth.verify`, concluded); a missing CSRF "
    "cookie and a provider that gives no e-mail address are decided inside the router and not recorded.",
    "A token of the database or redis strategy that is unknown and one that has expired look the same.",
    "Which administrator changed another user's account is not known to the user manager.",
)
