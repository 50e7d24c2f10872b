"""An API with the stock views of knox, and the login view that its documentation recommends."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import authenticate, login
from django.urls import path
from knox import views
from knox.auth import TokenAuthentication
from knox.models import AuthToken
from rest_framework import authentication, exceptions, permissions, throttling
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.response import Response
from rest_framework.views import APIView


class Never(throttling.BaseThrottle):
    """Has had enough."""

    def allow_request(self, request: Any, view: Any) -> bool:
        return False


class BasicLogin(views.LoginView):
    """Takes Basic credentials."""

    authentication_classes = (authentication.BasicAuthentication,)

    def get_token_limit_per_user(self) -> int:
        return 2


class FormLogin(views.LoginView):
    """As documented: checks a password, signs in, then has a token made."""

    authentication_classes = ()
    permission_classes = (permissions.AllowAny,)

    def post(self, request: Any, format: Any = None) -> Any:  # noqa: A002 -- the framework's name
        serializer = AuthTokenSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        login(request, serializer.validated_data["user"])
        return super().post(request, format=None)


class Enter(APIView):
    """A login view of the application's own."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Any) -> Response:
        user = authenticate(request, username=request.data["username"], password=request.data["password"])
        if user is None:
            raise exceptions.AuthenticationFailed
        _, token = AuthToken.objects.create(user)
        return Response({"token": token})


class Leave(APIView):
    """Deletes the token that was shown."""

    authentication_classes = (TokenAuthentication,)
    permission_classes = (permissions.IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response(str(request.user.pk))

    def post(self, request: Any) -> Response:
        request.auth.delete()
        return Response(status=204)


class Broken(views.LogoutView):
    """Does not get that far."""

    def post(self, request: Any, format: Any = None) -> Any:  # noqa: A002 -- the framework's name
        raise ConnectionError


urlpatterns = [
    path("basic/", BasicLogin.as_view()),
    path("form/", FormLogin.as_view()),
    path("busy/", FormLogin.as_view(throttle_classes=(Never,))),
    path("enter/", Enter.as_view()),
    path("leave/", Leave.as_view()),
    path("logout/", views.LogoutView.as_view()),
    path("broken/", Broken.as_view()),
    path("everywhere/", views.LogoutAllView.as_view()),
    path("admin/", admin.site.urls),
]
