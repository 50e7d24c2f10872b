"""A site with django-impersonate."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import include, path
from impersonate.helpers import check_allow_for_user

from .impersonation_app import urlpatterns as pages


def asks(request: Any) -> HttpResponse:
    """Only asks whether a button should be shown."""
    return HttpResponse(str(check_allow_for_user(request, request.user)))


urlpatterns = [path("impersonate/", include("impersonate.urls")), path("asks/", asks), *pages]
