"""A site with django-loginas."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.http import urlencode
from loginas import views
from loginas.utils import is_impersonated_session

from .impersonation_app import urlpatterns as pages


def begin(request: HttpRequest, user_id: str) -> Any:
    return views.user_login(request, user_id)


def asks(request: HttpRequest) -> HttpResponse:
    return HttpResponse(urlencode({"impersonated": is_impersonated_session(request)}))


urlpatterns = [
    path("login/user/<str:user_id>/", begin),
    path("logout/", views.user_logout),
    path("asks/", asks),
    *pages,
]
