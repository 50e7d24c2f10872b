"""The API of dj-rest-auth: registration, second factors, and a provider that needs no network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.socialaccount.models import SocialToken
from allauth.socialaccount.providers.dummy.provider import DummyProvider
from dj_rest_auth.app_settings import api_settings
from dj_rest_auth.registration.views import SocialConnectView, SocialLoginView
from django.http import HttpResponse
from django.urls import include, path
from requests.exceptions import HTTPError


class Adapter:
    """Takes a JSON document for the provider's token, as if the provider had been asked."""

    provider_id = "dummy"

    def __init__(self, request: Any) -> None:
        self.request = request

    def get_provider(self) -> Any:
        provider = DummyProvider(self.request)
        provider.app = None
        return provider

    def parse_token(self, data: Any) -> Any:
        return SocialToken(token=data["access_token"])

    def complete_login(self, request: Any, app: Any, token: Any, response: Any) -> Any:
        if not token.token.startswith("{"):
            raise HTTPError
        return self.get_provider().sociallogin_from_response(request, json.loads(token.token))


class SocialLogin(SocialLoginView):
    adapter_class = Adapter


class SocialConnect(SocialConnectView):
    adapter_class = Adapter


@contextmanager
def settings(**changed: Any) -> Iterator[None]:
    """Change settings of the library, which it reads once."""
    before = dict(api_settings.user_settings)
    _set({**before, **changed})
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, Any]) -> None:
    for name in {*values, *api_settings.user_settings}:
        vars(api_settings).pop(name, None)
    api_settings.user_settings.clear()
    api_settings.user_settings.update(values)


def page(request: Any, **parts: Any) -> HttpResponse:
    return HttpResponse("a page of the frontend")


PAGES = ("account_inactive", "account_login", "account_signup", "socialaccount_connections", "socialaccount_signup")
"""What allauth sends people to; its own pages are not there."""

urlpatterns = [
    path("auth/", include("dj_rest_auth.urls")),
    path("auth/registration/", include("dj_rest_auth.registration.urls")),
    path("auth/social/", SocialLogin.as_view()),
    path("auth/social/connect/", SocialConnect.as_view()),
    path("auth/reset/<uidb64>/<token>/", page, name="password_reset_confirm"),
    *(path(f"pages/{name}/", page, name=name) for name in PAGES),
]
try:
    from dj_rest_auth.mfa.views import MFALoginView
except ImportError:  # versions without second factors
    pass
else:
    urlpatterns += [path("auth/", include("dj_rest_auth.mfa.urls")), path("auth/two/login/", MFALoginView.as_view())]
