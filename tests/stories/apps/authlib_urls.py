"""The URLs of a Django site that people enter with a provider's account, through Authlib."""

from __future__ import annotations

from typing import Any

from authlib.integrations.django_client import OAuth
from django.contrib.auth import get_user_model, login
from django.http import HttpRequest, HttpResponse
from django.urls import path

oauth = OAuth()


def enter(request: HttpRequest) -> Any:
    more = {"deny": "1"} if "deny" in request.GET else {}
    return oauth.acme.authorize_redirect(request, request.build_absolute_uri("/callback"), **more)


def callback(request: HttpRequest) -> HttpResponse:
    try:
        token = oauth.acme.authorize_access_token(request)
    except Exception as error:  # noqa: BLE001 -- any way of failing is a failed sign-in
        return HttpResponse(type(error).__name__, status=400)
    ann = get_user_model().objects.get(email=token["userinfo"]["email"])
    login(request, ann, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse(str(ann.pk))


urlpatterns = [path("enter", enter), path("callback", callback)]
