"""An API with the stock views of Simple JWT, and a few of the kind people write."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import authenticate, login
from django.contrib.auth.models import User
from django.urls import path
from rest_framework import exceptions, permissions, throttling
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt import authentication, serializers, views
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken


class Claims(serializers.TokenObtainPairSerializer):
    """Adds a claim, and refuses root."""

    @classmethod
    def get_token(cls, user: Any) -> Any:
        token = super().get_token(user)
        token["org"] = "acme"
        return token

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        data: dict[str, Any] = super().validate(attrs)
        user: Any = self.user
        if user.is_superuser:
            raise exceptions.AuthenticationFailed("use the other door", code="root")
        return {**data, "user": user.pk}


class FirstStep(serializers.TokenObtainSerializer):
    """A right password is not enough."""


class FirstStepView(views.TokenViewBase):
    """Hands out nothing yet; with a code it hands out tokens."""

    serializer_class = FirstStep

    def post(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        if "code" not in request.data:
            return Response({"next": "code"})
        return Response({"access": str(RefreshToken.for_user(serializer.user).access_token)})


class Never(throttling.BaseThrottle):
    """Has had enough."""

    def allow_request(self, request: Any, view: Any) -> bool:
        return False


class Api(APIView):
    """Says who is asking."""

    authentication_classes: tuple[Any, ...] = (authentication.JWTAuthentication,)
    permission_classes: tuple[Any, ...] = (permissions.IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response(str(request.user.pk))


class Cookie(authentication.JWTAuthentication):
    """Looks for the token in a cookie."""

    def authenticate(self, request: Any) -> Any:
        raw = request.COOKIES.get("jwt")
        if raw is None:
            return None
        token = self.get_validated_token(raw)
        return self.get_user(token), token


class Enter(APIView):
    """A login view of the application's own."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Any) -> Response:
        user: Any = authenticate(request, username=request.data["username"], password=request.data["password"])
        if user is None:
            raise exceptions.AuthenticationFailed
        refresh = RefreshToken.for_user(user)
        if "session" in request.data:
            login(request, user)
        return Response({"refresh": str(refresh), "access": str(refresh.access_token)})


class Register(APIView):
    """An account and tokens for it."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Any) -> Response:
        user = User.objects.create_user(request.data["username"], password=request.data["password"])
        return Response({"refresh": str(RefreshToken.for_user(user))})


class Leave(Api):
    """Takes one token back, or all of them."""

    def post(self, request: Any) -> Response:
        if "refresh" in request.data:
            RefreshToken(request.data["refresh"]).blacklist()
        else:
            for token in OutstandingToken.objects.filter(user=request.user):
                BlacklistedToken.objects.get_or_create(token=token)
        return Response(status=204)


def api(kind: Any) -> Any:
    """The API with this authenticator."""
    return Api.as_view(authentication_classes=(kind,))


urlpatterns = [
    path("obtain/", views.TokenObtainPairView.as_view()),
    path("sliding/", views.TokenObtainSlidingView.as_view()),
    path("claims/", views.TokenObtainPairView.as_view(serializer_class=Claims)),
    path("first/", FirstStepView.as_view()),
    path("refresh/", views.TokenRefreshView.as_view()),
    path("sliding-refresh/", views.TokenRefreshSlidingView.as_view()),
    path("verify/", views.TokenVerifyView.as_view()),
    path("blacklist/", views.TokenBlacklistView.as_view()),
    path("busy-obtain/", views.TokenObtainPairView.as_view(throttle_classes=(Never,))),
    path("busy-claims/", views.TokenObtainPairView.as_view(throttle_classes=(Never,), serializer_class=Claims)),
    path("busy-refresh/", views.TokenRefreshView.as_view(throttle_classes=(Never,))),
    path("busy-verify/", views.TokenVerifyView.as_view(throttle_classes=(Never,))),
    path("api/", api(authentication.JWTAuthentication)),
    path("stateless/", api(authentication.JWTStatelessUserAuthentication)),
    path("cookie/", api(Cookie)),
    path("enter/", Enter.as_view()),
    path("register/", Register.as_view()),
    path("leave/", Leave.as_view()),
    path("admin/", admin.site.urls),
]
