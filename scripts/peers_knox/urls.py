"""knox's own endpoints, and a page behind its tokens."""

from __future__ import annotations

from typing import Any

from django.urls import include, path
from knox.auth import TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView


class Root(APIView):  # type: ignore[misc]  # the framework ships no types
    """Says that it was reached."""

    authentication_classes = (TokenAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, _request: Any) -> Response:
        """Answer."""
        return Response("api root")


urlpatterns = [path("", Root.as_view(), name="api-root"), path("api/", include("knox.urls"))]
