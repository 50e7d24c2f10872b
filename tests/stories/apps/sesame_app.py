"""A site with sign-in links, by every way that django-sesame has to take one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.urls import path
from sesame.decorators import authenticate
from sesame.utils import get_parameters, get_query_string, get_token, get_user
from sesame.views import LoginView


def ask(request: HttpRequest) -> HttpResponse:
    """Makes a link for whoever is asked for, if there is such a person; who is signed in is known."""
    request.user.is_authenticated  # noqa: B018 -- loads the user
    users: Any = get_user_model().objects
    user = users.filter(username=request.POST["username"]).first()
    if user is None:
        return HttpResponse("sent")
    make = {"query": get_query_string, "parameters": lambda user, scope: get_parameters(user, scope)["sesame"]}
    return HttpResponse(make.get(request.POST.get("as", ""), get_token)(user, request.POST.get("scope", "")))


@authenticate(scope="page:{name}")
def page(request: HttpRequest, name: str) -> HttpResponse:
    """For who has a link to this very page; no session begins."""
    return HttpResponse(str(request.user.pk))


@authenticate(permanent=True)
def door(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


def by_hand(request: HttpRequest, seconds: int) -> HttpResponse:
    """A link that is good for a while, wherever it comes from."""
    user = get_user(request.GET["token"], max_age=timedelta(seconds=seconds))
    return HttpResponse(str(user and user.pk))


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


urlpatterns = [
    path("", home),
    path("ask/", ask),
    path("login/", LoginView.as_view()),
    path("page/<str:name>/", page),
    path("door/", door),
    path("by-hand/<int:seconds>/", by_hand),
]
