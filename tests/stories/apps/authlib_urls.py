"""The URLs of a Django site that people enter with a provider's account, through Authlib."""

from __future__ import annotations

from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from django.contrib.auth import get_user_model, login
from django.http import HttpRequest, HttpResponse
from django.urls import path

oauth = OAuth()


def enter(request: HttpRequest) -> Any:
    return oauth.acme.authorize_redirect(request, request.build_absolute_uri("/callback"))


def callback(request: HttpRequest) -> HttpResponse:
    try:
        token = oauth.acme.authorize_access_token(request)
    except OAuthError as error:
        return HttpResponse(type(error).__name__, status=400)
    ann = get_user_model().objects.get(email=token["userinfo"]["email"])
    login(request, ann, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse(str(ann.pk))


urlpatterns = [path("enter", enter), path("callback", callback)]
