"""Authlib: sign-in with accounts of a provider in Flask, Django and Starlette; authorization servers and protected APIs.

A client knows who somebody is at the provider's; whom the application takes that for is told by its sign-in. A server's grants are
watched one by one: they hold their request, which the server itself makes and keeps.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from ..hooks import Family, Hook, Reason, Role, Strategy
from . import authlib_client as client
from . import authlib_server as server

__all__ = ("BLIND", "HOOKS")

_APPS, _OAUTH2, _OAUTH1 = "authlib.integrations.", "authlib.oauth2.", "authlib.oauth1.rfc5849."
_GRANTS: Final = f"{_OAUTH2}rfc6749.grants.base:"
_CLIENT: Final = {"client_id": False}
_ASKED: Final = {**_CLIENT, "scope": False, "grant_type": False, "response_type": False}

_CALLBACK = partial(
    Hook,
    extract=client.callback,
    event="auth.authenticate",
    strategy=Strategy.OAUTH2,
    params={"scope": False},
    errors=client.ERRORS,
    defer=True,
    foreign=True,
)
_CALLBACK_1 = partial(_CALLBACK, extract=client.callback_1)
_ID_TOKEN = partial(_CALLBACK, extract=client.id_token, strategy=Strategy.OIDC)
_TOKEN = partial(
    Hook,
    event="token.issue",
    strategy=Strategy.OAUTH2,
    params=_ASKED,
    absorbs=frozenset({Family.SIGN_OUT}),
    overrides=True,
)
_AUTHORIZE = partial(Hook, event="oauth.authorize", strategy=Strategy.OAUTH2, params=_ASKED, overrides=True)
_ENDPOINT = partial(Hook, params=_CLIENT, overrides=True)
_NOTE = partial(Hook, role=Role.NOTE, params=_CLIENT, overrides=True)

HOOKS: tuple[Hook, ...] = (
    *(_CALLBACK(target=f"{_APPS}{place}") for place in (
        "flask_client.apps:FlaskOAuth2App.authorize_access_token",
        "django_client.apps:DjangoOAuth2App.authorize_access_token",
        "starlette_client.apps:StarletteOAuth2App.authorize_access_token",
    )),
    *(_CALLBACK_1(target=f"{_APPS}{place}") for place in (
        "flask_client.apps:FlaskOAuth1App.authorize_access_token",
        "django_client.apps:DjangoOAuth1App.authorize_access_token",
        "starlette_client.apps:StarletteOAuth1App.authorize_access_token",
    )),
    _ID_TOKEN(target=f"{_APPS}base_client.sync_openid:OpenIDMixin.parse_id_token"),
    _ID_TOKEN(target=f"{_APPS}base_client.async_openid:AsyncOpenIDMixin.parse_id_token"),
    _TOKEN(target=f"{_GRANTS}TokenEndpointMixin.validate_token_request", extract=server.validated),
    _TOKEN(target=f"{_GRANTS}TokenEndpointMixin.create_token_response", extract=server.issued, establishes_session=True),
    _TOKEN(target=f"{_OAUTH2}rfc6749.authorization_server:AuthorizationServer.get_token_grant", extract=server.wished),
    _AUTHORIZE(target=f"{_GRANTS}AuthorizationEndpointMixin.validate_authorization_request", extract=server.validated),
    _AUTHORIZE(target=f"{_GRANTS}AuthorizationEndpointMixin.create_authorization_response", extract=server.grant),
    _AUTHORIZE(
        target=f"{_OAUTH2}rfc6749.authorization_server:AuthorizationServer.get_authorization_grant", extract=server.wished
    ),
    _NOTE(target=f"{_GRANTS}AuthorizationEndpointMixin.validate_authorization_redirect_uri", extract=server.redirect),
    _NOTE(target=f"{_OAUTH2}rfc7636.challenge:CodeChallenge.validate_code_challenge", extract=server.challenge),
    _NOTE(target=f"{_OAUTH2}rfc7636.challenge:CodeChallenge.validate_code_verifier", extract=server.challenge),
    _ENDPOINT(
        target=f"{_OAUTH2}rfc7009.revocation:RevocationEndpoint.create_endpoint_response",
        extract=server.revoked,
        event="token.revoke",
        strategy=Strategy.OAUTH2,
    ),
    _NOTE(target=f"{_OAUTH2}rfc7009.revocation:RevocationEndpoint.authenticate_token", extract=server.token_of_client),
    _ENDPOINT(
        target=f"{_OAUTH2}rfc7662.introspection:IntrospectionEndpoint.create_endpoint_response",
        extract=server.introspected,
        event="auth.verify",
        strategy=Strategy.TOKEN,
    ),
    _NOTE(target=f"{_OAUTH2}rfc7662.introspection:IntrospectionEndpoint.authenticate_token", extract=server.token_of_client),
    _ENDPOINT(
        target=f"{_OAUTH2}rfc7591.endpoint:ClientRegistrationEndpoint.create_registration_response",
        extract=server.registered,
        event="oauth.client.register",
        strategy=Strategy.OAUTH2,
    ),
    _ENDPOINT(
        target=f"{_OAUTH2}rfc6749.resource_protector:ResourceProtector.validate_request",
        extract=server.verified,
        event="auth.verify",
        strategy=Strategy.TOKEN,
    ),
    _NOTE(target=f"{_OAUTH2}rfc6749.models:TokenMixin.is_expired", extract=server.expired(Reason.TOKEN_EXPIRED)),
    _NOTE(target=f"{_OAUTH2}rfc6749.models:TokenMixin.is_revoked", extract=server.expired(Reason.TOKEN_REVOKED)),
    _ENDPOINT(
        target=f"{_OAUTH1}resource_protector:ResourceProtector.validate_request",
        extract=server.signed,
        event="auth.verify",
        strategy=Strategy.CUSTOM,
    ),
    _ENDPOINT(
        target=f"{_OAUTH1}authorization_server:AuthorizationServer.validate_token_request",
        extract=server.issued_1,
        event="token.issue",
        strategy=Strategy.CUSTOM,
    ),
    _NOTE(target=f"{_OAUTH1}base_server:BaseServer.validate_timestamp_and_nonce", extract=server.signer),
)  # fmt: skip

BLIND = (
    "Whether a provider's account became a session only the application knows: where no library makes one, a good callback is "
    "recorded as `auth.authenticate`.",
    "Without OpenID Connect a callback does not say who it is: the application asks the provider by a request of its own.",
    "`fetch_access_token` and the sessions of `requests_client` and `httpx_client` are not watched: they serve sign-ins and service "
    "tokens alike.",
    "A revocation of a token that does not exist is answered alike and recorded as a success without a subject.",
    "An OAuth 1 server's temporary credentials, and the user's consent to them, are not watched: its tokens are.",
    "A user who approves or denies a device does so in a view of the application's own.",
)
