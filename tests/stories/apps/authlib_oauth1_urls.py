"""The URLs of a Django site that people enter with an OAuth 1 provider's account, through Authlib."""

from __future__ import annotations

from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path

oauth = OAuth()


def enter(request: HttpRequest) -> Any:
    return oauth.acme.authorize_redirect(request, request.build_absolute_uri("/callback"))


def callback(request: HttpRequest) -> HttpResponse:
    try:
        oauth.acme.authorize_access_token(request)
    except OAuthError as error:
        return HttpResponse(type(error).__name__, status=400)
    return HttpResponseRedirect("/")


urlpatterns = [path("enter", enter), path("callback", callback)]
