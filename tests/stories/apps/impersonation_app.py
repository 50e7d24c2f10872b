"""What the sites of the three libraries that impersonate have in common: a user does a few things, whoever it really is."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model, logout, views
from django.http import HttpRequest, HttpResponse
from django.urls import path


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


def new_password(request: HttpRequest) -> HttpResponse:
    """Sets the user's own password, or somebody else's."""
    user: Any = request.user
    if not user.is_authenticated:
        return HttpResponse(status=403)
    if "whose" in request.POST:
        user = get_user_model().objects.get(username=request.POST["whose"])
    user.set_password(request.POST["password"])
    user.save()
    return HttpResponse("set")


def leave(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("out")


urlpatterns = [
    path("", home),
    path("login/", views.LoginView.as_view(template_name="form.html")),
    path("new-password/", new_password),
    path("leave/", leave),
]
