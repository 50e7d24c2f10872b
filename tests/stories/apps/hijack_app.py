"""A site with django-hijack."""

from __future__ import annotations

from django.urls import include, path

from .impersonation_app import urlpatterns as pages

urlpatterns = [path("hijack/", include("hijack.urls")), *pages]
