"""An API with djoser's endpoints, behind its tokens."""

from __future__ import annotations

from typing import Any

from django.urls import include, path
from djoser.serializers import TokenCreateSerializer
from djoser.views import TokenCreateView, TokenDestroyView, UserViewSet
from rest_framework import throttling
from rest_framework.authentication import TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.routers import DefaultRouter

BY_TOKEN = (TokenAuthentication,)


class Never(throttling.BaseThrottle):
    """Has had enough."""

    def allow_request(self, request: Any, view: Any) -> bool:
        return False


class Picky(TokenCreateSerializer):
    """Refuses root."""

    def validate(self, attrs: Any) -> Any:
        attrs = super().validate(attrs)
        if self.user.is_superuser:
            self.fail("invalid_credentials")
        return attrs


class Users(UserViewSet):
    """The view set, by token."""

    authentication_classes = BY_TOKEN


router = DefaultRouter()
router.register("users", Users)

urlpatterns = [
    path("login/", TokenCreateView.as_view()),
    path("busy/", TokenCreateView.as_view(throttle_classes=(Never,))),
    path("picky/", TokenCreateView.as_view(serializer_class=Picky)),
    path("logout/", TokenDestroyView.as_view(authentication_classes=BY_TOKEN, permission_classes=(IsAuthenticated,))),
    path("", include(router.urls)),
]
