"""A site on social-auth-app-django, with two backends of its own kind, and the steps of a pipeline that pause and refuse."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from social_core.backends.oauth import BaseOAuth2
from social_core.backends.open_id_connect import OpenIdConnectAuth
from social_core.exceptions import AuthException
from social_core.pipeline.partial import partial
from social_django.utils import load_backend, load_strategy

address = ""
"""Of the provider."""


class Village(BaseOAuth2):
    """OAuth 2.0."""

    name = "village"
    ACCESS_TOKEN_METHOD = "POST"
    REDIRECT_STATE = False
    ID_KEY = "id"

    def authorization_url(self) -> str:
        return f"{address}/authorize"

    def access_token_url(self) -> str:
        return f"{address}/token"

    def get_user_details(self, response: Any) -> dict[str, Any]:
        return {"username": response["login"], "email": response["email"]}

    def user_data(self, access_token: str, *args: Any, **kwargs: Any) -> Any:
        return self.get_json(f"{address}/userinfo")


class Town(OpenIdConnectAuth):
    """OpenID Connect, all of it discovered."""

    name = "town"

    def oidc_endpoint(self) -> str:
        return address

    def oidc_config(self) -> Any:  # kept for a day, while the provider is another one for each story
        return self.get_json(f"{address}/.well-known/openid-configuration")

    def get_jwks_keys(self) -> Any:
        return self.get_remote_jwks_keys()


@partial
def ask_for_more(strategy: Any, details: Any, *args: Any, **kwargs: Any) -> Any:
    """Pauses until a form has been sent."""
    if strategy.request_data().get("colour") is None and strategy.session_get("ask"):
        return strategy.redirect(f"/colour?{kwargs['current_partial'].token}")
    return None


def refuse(strategy: Any, *args: Any, **kwargs: Any) -> Any:
    """A step that lets nobody in, or breaks."""
    mood = strategy.session_get("mood")
    if mood == "crash":
        raise RuntimeError
    if mood == "policy":
        raise AuthException(kwargs["backend"])
    return HttpResponse("later") if mood == "page" else None


def prepare(request: HttpRequest) -> HttpResponse:
    """Sets what the steps look at."""
    request.session.update(request.GET.dict())
    return HttpResponse("prepared")


def by_token(request: HttpRequest, backend: str) -> HttpResponse:
    """An application that was given a token itself."""
    made: Any = load_backend(load_strategy(request), backend, "/")  # type: ignore[no-untyped-call]
    user = made.do_auth(request.POST["token"])
    return HttpResponse(str(user.pk), status=403 if "refuse" in request.POST else 200)


urlpatterns = [
    path("", include("social_django.urls", namespace="social")),
    path("prepare", prepare),
    path("by-token/<backend>", by_token),
]
