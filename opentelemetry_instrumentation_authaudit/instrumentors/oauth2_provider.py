"""django-oauth-toolkit: what its views decide by themselves. Grants, revocation and checks of tokens are oauthlib's (`oauthlib.py`).

Consent that is refused never reaches oauthlib, nor do introspection, logout by a client, or a device that asks while nobody has
decided. The rows of tokens say whose they are.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from . import django_facts as django
from . import oauth_facts as oauth
from .credentials import carried

__all__ = ("BLIND", "HOOKS")

_USER_CODES: Final = {
    "incorrect_user_code": Reason.INVALID_CODE,
    "expired_user_code": Reason.CODE_EXPIRED,
    "user_code_already_used": Reason.CODE_REUSED,
}
_LOGOUT: Final = {
    "InvalidIDTokenError": Reason.TOKEN_MALFORMED,
    "ClientIdMissmatch": Reason.TOKEN_WRONG_AUDIENCE,
    "InvalidOIDCClientError": Reason.UNKNOWN_IDENTITY,
    "InvalidOIDCRedirectURIError": Reason.REDIRECT_MISMATCH,
}


def _consent(call: Call) -> Flow:
    """Granted, oauthlib tells; refused, it is not asked."""
    if call.arg("allow"):
        return None
    request, credentials = call.arg("request"), call.arg("credentials")
    scopes = oauth.scope(call.arg("scopes"))
    yield
    params = {"client_id": oauth.text(credentials.get("client_id")), "scope": scopes}
    return Facts(params=params, **oauth.refused("access_denied"), **oauth.owner(getattr(request, "user", None)))


def _device(call: Call) -> Flow:
    """A user approves or denies a device."""
    view, form = call.instance, call.arg("form")
    action = form.cleaned_data.get("action")
    outcome = yield
    if outcome.error is not None or action not in {"accept", "deny"}:
        return SKIP
    facts: dict[str, Any] = oauth.refused("access_denied") if action == "deny" else {}
    grant = oauth.stored(view, "_device_grant")
    params = {"client_id": oauth.text(view.kwargs.get("client_id")), "scope": oauth.scope(oauth.stored(grant, "scope"))}
    return Facts(params=params, **facts, **oauth.owner(view.request.user))


def _user_code(_call: Call) -> Flow:
    outcome = yield
    code = oauth.text(getattr(outcome.error, "code", None))
    if code is None or code not in _USER_CODES:
        return SKIP
    who = django.actor(None)
    return Facts(status=Status.FAILURE, reason=_USER_CODES[code], error_type=code, subject=None if who is None else who.id)


def _device_token(call: Call) -> Flow:
    request = call.arg("request")
    outcome = yield
    if outcome.error is not None:
        return None
    code, _ = oauth.answer(outcome.result.status_code, outcome.result.content)
    if code in oauth.WAITING:
        return SKIP
    params = {"client_id": oauth.text(request.POST.get("client_id")), "grant_type": oauth.text(request.POST.get("grant_type"))}
    better = {"device_not_found": Reason.INVALID_CODE, "invalid_grant": Reason.INVALID_CODE}
    return Facts(params=params, **({} if code is None else oauth.refused(code, **better)))


def _introspected(_call: Call) -> Flow:
    outcome = yield
    if outcome.error is not None:
        return None
    code, content = oauth.answer(outcome.result.status_code, outcome.result.content)
    if code is not None:
        return Facts(**oauth.refused(code))
    return Facts(status=None if content.get("active") else Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS)


def _client(call: Call) -> Flow:
    """A client that shows its own credentials to an API; one that shows none brings a token instead."""
    request = call.arg("request")
    outcome = yield
    if outcome.error is not None:
        return None
    basic = carried(request.META.get("HTTP_AUTHORIZATION"))
    form = vars(request).get("_post") or {}
    name = basic["identity"] or (oauth.text(form.get("client_id")) if form.get("client_secret") else None)
    if name is None:
        return SKIP
    facts: dict[str, Any] = {"params": {"client_id": name}, "strategy": basic["strategy"] if basic["identity"] else None}
    return Facts(subject=oauth.client(name), **facts) if outcome.result else Facts(**facts, **oauth.refused("invalid_client"))


def _expired(call: Call) -> Flow:
    token = call.instance
    outcome = yield
    return Facts(reason=Reason.TOKEN_EXPIRED if outcome.result else None, **oauth.whose(token))


def _scopes(_call: Call) -> Flow:
    outcome = yield
    return Facts(reason=Reason.INSUFFICIENT_SCOPE) if outcome.result is False else None


def _revoke(call: Call) -> Flow:
    facts = oauth.whose(call.instance)  # before it: the row may be gone afterwards
    yield
    return Facts(actor=django.actor(facts.get("subject")), **facts)


def _revoke_both(call: Call) -> Flow:
    facts = oauth.whose(call.arg("access_token"))
    yield
    return Facts(actor=django.actor(facts.get("subject")), **facts)


def _withdrawn(call: Call) -> Flow:
    """On the page of what one has allowed; before 3.4 it deletes the row and revokes nothing."""
    facts = oauth.whose(call.instance.object)
    yield
    return Facts(actor=django.actor(facts.get("subject")), **facts)


def _reused(_call: Call) -> Flow:
    """A refresh token was used up before: the whole family of it is revoked."""
    yield
    return Facts(reason=Reason.TOKEN_REUSED)


def _logged_out(call: Call) -> Flow:
    view, application, whose = call.instance, call.arg("application"), call.arg("token_user")
    facts = oauth.owner(whose) or oauth.owner(getattr(view.request, "user", None))
    session_key = django.session_key(view.request)
    yield
    if not facts.get("subject"):
        return SKIP
    return Facts(session_key=session_key, params={"client_id": oauth.text(oauth.stored(application, "client_id"))}, **facts)


def _logout_refused(call: Call) -> Flow:
    view, error = call.instance, type(call.arg("error")).__name__
    yield
    if error not in _LOGOUT:
        return SKIP  # somebody chose to stay
    return Facts(
        status=Status.FAILURE, reason=_LOGOUT[error], error_type=error, **oauth.owner(getattr(view.request, "user", None))
    )


def _application(call: Call) -> Flow:
    application = call.instance
    if not application._state.adding:  # noqa: SLF001 -- Django's documented name
        return None
    outcome = yield
    name = oauth.text(application.client_id)
    params = {"client_id": name, **{key: oauth.text(getattr(application, key, None)) for key in _KINDS}}
    subject = oauth.client(name) if outcome.error is None else None
    return Facts(subject=subject, actor=django.actor(None), resource=django.resource(application), params=params)


_P, _KINDS = "oauth2_provider.", ("client_type", "authorization_grant_type")
_OAUTH = partial(Hook, strategy=Strategy.OAUTH2, params={"client_id": False, "scope": False, "grant_type": False}, overrides=True)
_REVOKE = partial(_OAUTH, event="token.revoke")
_VERIFY = partial(_OAUTH, event="auth.verify", strategy=Strategy.TOKEN)
_NOTE = partial(Hook, role=Role.NOTE, overrides=True)
_CONSENT = partial(_OAUTH, event="consent.grant")

HOOKS: tuple[Hook, ...] = (
    _CONSENT(target=f"{_P}oauth2_backends:OAuthLibCore.create_authorization_response", extract=_consent),
    _CONSENT(target=f"{_P}views.device:DeviceConfirmView.form_valid", extract=_device, versions=">=3.1", optional=True),
    _CONSENT(target=f"{_P}views.device:DeviceGrantForm.clean_user_code", extract=_user_code, versions=">=3.1", optional=True),
    _OAUTH(
        target=f"{_P}views.base:TokenView.device_flow_token_response",
        extract=_device_token,
        event="token.issue",
        versions=">=3.1",
    ),
    _VERIFY(target=f"{_P}views.introspect:IntrospectTokenView.get_token_response", extract=_introspected),
    _VERIFY(target=f"{_P}oauth2_backends:OAuthLibCore.authenticate_client", extract=_client),
    _NOTE(target=f"{_P}models:AbstractAccessToken.is_expired", extract=_expired),
    _NOTE(target=f"{_P}models:AbstractAccessToken.allow_scopes", extract=_scopes),
    _NOTE(target=f"{_P}models:AbstractRefreshToken.revoke_family", extract=_reused, optional=True),
    _REVOKE(target=f"{_P}models:AbstractAccessToken.revoke", extract=_revoke),
    _REVOKE(target=f"{_P}models:AbstractRefreshToken.revoke", extract=_revoke),
    Hook(
        target=f"{_P}models:revoke_access_token",
        extract=_revoke_both,
        event="token.revoke",
        strategy=Strategy.OAUTH2,
        optional=True,
    ),
    _REVOKE(target=f"{_P}views.token:AuthorizedTokenDeleteView.form_valid", extract=_withdrawn),
    Hook(
        target=f"{_P}views.oidc:RPInitiatedLogoutView.do_logout",
        extract=_logged_out,
        event="auth.sign_out",
        strategy=Strategy.OIDC,
        params={"client_id": False},
        overrides=True,
    ),
    Hook(
        target=f"{_P}views.oidc:RPInitiatedLogoutView.error_response",
        extract=_logout_refused,
        event="auth.sign_out",
        strategy=Strategy.OIDC,
        overrides=True,
    ),
    Hook(
        target=f"{_P}models:AbstractApplication.save",
        extract=_application,
        event="oauth.client.register",
        strategy=Strategy.OAUTH2,
        params={"client_id": False, **dict.fromkeys(_KINDS, False)},
        overrides=True,
    ),
)

BLIND = (
    "Before 3.4 a refresh token that had been used up is told from one that never was only by its reason `invalid_credentials`.",
    "A revocation of a token that does not exist, or is another client's, is a success without a subject: the endpoint hides it.",
    "That an application is changed, gets another secret or is deleted is not seen; nor are tokens that `cleartokens` sweeps away.",
    "`OAuth2ExtraTokenMiddleware` only looks a token up and checks nothing: it is not watched.",
)
