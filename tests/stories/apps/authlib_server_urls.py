"""The URLs of a Django site that hands out tokens with Authlib's authorization server, and of an API that they open."""

from __future__ import annotations

from typing import Any

from authlib.integrations.django_oauth2 import (
    AuthorizationServer,
    BearerTokenValidator,
    ResourceProtector,
    RevocationEndpoint,
)
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import grants
from django.contrib.auth import authenticate
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from .authlib_app import CALLBACK, SECRET, VERSION
from .authlib_django.models import Client, Code, Token

MODELS = (Client, Code, Token)


class ByCode(grants.AuthorizationCodeGrant):
    """Codes in a table."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

    def save_authorization_code(self, code: str, request: Any) -> None:
        asked = getattr(request, "payload", None) or request
        facts = {"client_id": request.client.client_id, "redirect_uri": asked.redirect_uri, "scope": asked.scope}
        Code.objects.create(code=code, user=request.user, **facts)

    def query_authorization_code(self, code: str, client: Client) -> Any:
        return Code.objects.filter(code=code, client_id=client.client_id).first()

    def delete_authorization_code(self, authorization_code: Code) -> None:
        authorization_code.delete()

    def authenticate_user(self, authorization_code: Code) -> Any:
        return authorization_code.user


class ByPassword(grants.ResourceOwnerPasswordCredentialsGrant):
    """Passwords are Django's."""

    def authenticate_user(self, username: str, password: str) -> Any:
        return authenticate(username=username, password=password)


class Refresh(grants.RefreshTokenGrant):
    """Each refresh token is good once."""

    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Any:
        return Token.objects.filter(refresh_token=refresh_token, revoked=False).first()

    def authenticate_user(self, credential: Token) -> Any:
        return credential.user

    def revoke_old_credential(self, credential: Token) -> None:
        Token.objects.filter(pk=credential.pk).update(revoked=True)


server = AuthorizationServer(Client, Token)
for grant in (ByCode, ByPassword, Refresh, grants.ClientCredentialsGrant):
    server.register_grant(grant)
server.register_endpoint(RevocationEndpoint)
protector = ResourceProtector()
protector.register_token_validator(BearerTokenValidator(Token))


def populate() -> None:
    """One client, whose owner is root."""
    from django.contrib.auth import get_user_model

    every = "authorization_code password refresh_token client_credentials"
    root = get_user_model().objects.get(username="root")
    Client.objects.create(client_id="shop", client_secret=SECRET, user=root, grants=every)
    Client.objects.create(client_id="kiosk", client_secret=SECRET, user=root)


@login_required(login_url="/login")
def authorize(request: HttpRequest) -> Any:
    """Whoever has signed in decides."""
    try:
        made = server.get_consent_grant(request, end_user=request.user)
    except OAuth2Error as error:
        return JsonResponse(dict(error.get_body()), status=400)
    more = {"grant": made} if VERSION >= (1, 6) else {}
    return server.create_authorization_response(request, grant_user=None if "deny" in request.GET else request.user, **more)


def token(request: HttpRequest) -> Any:
    return server.create_token_response(request)


def revoke(request: HttpRequest) -> Any:
    assert request.body  # Werkzeug's server waits for a body that nobody reads, and a wrong secret leaves it unread
    return server.create_endpoint_response("revocation", request)


@protector("write")
def api(request: HttpRequest) -> HttpResponse:
    return HttpResponse("welcome")


@protector("write", optional=True)
def everybody(request: HttpRequest) -> HttpResponse:
    return HttpResponse("welcome")


def login(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth import login as sign_in

    sign_in(request, authenticate(request, username=request.POST["username"], password=request.POST["password"]))
    return HttpResponse(CALLBACK)


urlpatterns = [
    path("login", login),
    path("authorize", authorize),
    path("token", token),
    path("revoke", revoke),
    path("api", api),
    path("open", everybody),
]
