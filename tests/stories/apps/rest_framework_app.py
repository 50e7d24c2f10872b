"""An API with every authenticator of the framework, and a few of the kind people write."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import authenticate, login
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.urls import path
from rest_framework import authentication, exceptions, permissions, throttling
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.views import ObtainAuthToken
from rest_framework.response import Response
from rest_framework.views import APIView

KEY = "k-7Qd2-vX9m-Lp4w"


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """A key in a header of its own, kept by the application."""

    def authenticate(self, request: Any) -> Any:
        key = request.META.get("HTTP_X_API_KEY")
        if key is None:
            return None
        if key == "boom":
            raise ConnectionError(key)
        if key == "maintenance":
            raise Maintenance
        if key != KEY:
            raise exceptions.AuthenticationFailed("no such key", code="bad_key")
        return User.objects.get(username="ann"), key


class Maintenance(exceptions.APIException):
    """A refusal of the application's own."""

    status_code = 403
    default_code = "closed"


class HeaderAuthentication(authentication.BaseAuthentication):
    """Complains of what is missing, and refuses in Django's words; the name says nothing."""

    def authenticate(self, request: Any) -> Any:
        if "HTTP_X_WHO" not in request.META:
            raise exceptions.NotAuthenticated
        raise DjangoPermissionDenied


class PartnerBasic(authentication.BasicAuthentication):
    """Accounts that are no users."""

    def authenticate_credentials(self, userid: str, password: str, request: Any = None) -> Any:
        raise exceptions.AuthenticationFailed("no partner")


class Lenient(authentication.TokenAuthentication):
    """Takes a wrong token for none at all."""

    def authenticate(self, request: Any) -> Any:
        try:
            return super().authenticate(request)
        except exceptions.AuthenticationFailed:
            return None


class LegacyToken(authentication.TokenAuthentication):
    """Knows one token, which every request may show."""

    def authenticate_credentials(self, key: str) -> Any:
        if key != KEY:
            raise exceptions.AuthenticationFailed
        return User.objects.get(username="ann"), key


class Duck:
    """Has the right method and derives from nothing."""

    def authenticate(self, request: Any) -> Any:
        return User.objects.get(username="ann"), None

    def authenticate_header(self, request: Any) -> str:
        return "Duck"


class Mixed:
    """Lends its method to an authenticator."""

    def authenticate(self, request: Any) -> Any:
        raise exceptions.AuthenticationFailed


class MixedIn(Mixed, authentication.BaseAuthentication):
    """Has its method from elsewhere."""


class Api(APIView):
    """Says who is asking."""

    permission_classes: tuple[Any, ...] = (permissions.IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response(str(request.user))

    def post(self, request: Any) -> Response:
        return Response(str(request.user))


class Open(Api):
    """For everybody."""

    permission_classes = ()
    authentication_classes = (authentication.TokenAuthentication,)


class Admins(Api):
    """Not for ann."""

    permission_classes = (permissions.IsAdminUser,)
    authentication_classes = (authentication.BasicAuthentication,)


class Never(throttling.BaseThrottle):
    """Has had enough."""

    def allow_request(self, request: Any, view: Any) -> bool:
        return False


class Throttled(ObtainAuthToken):
    """Nobody gets in."""

    throttle_classes = (Never,)


class Obtain(ObtainAuthToken):
    """As the documentation has it: an answer of one's own."""

    def post(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        if not serializer.is_valid():
            return Response(serializer.errors, status=int(request.query_params.get("code", "400")))
        user = serializer.validated_data["user"]
        token, _ = Token.objects.get_or_create(user=user)
        return Response({"key": token.key, "user": user.pk})


class Enter(APIView):
    """A login view without any of the framework's help."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Any) -> Response:
        user = authenticate(request, username=request.data["username"], password=request.data["password"])
        if user is None:
            raise exceptions.AuthenticationFailed
        if "session" in request.data:
            login(request, user)
        token, _ = Token.objects.get_or_create(user=user)
        return Response({"token": token.key})


class Leave(Api):
    """Deletes the token."""

    authentication_classes = (authentication.TokenAuthentication,)

    def post(self, request: Any) -> Response:
        request.user.auth_token.delete()
        return Response(status=204)


class Register(APIView):
    """An account and a token."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Any) -> Response:
        user = User.objects.create_user(request.data["username"], password=request.data["password"])
        return Response({"token": Token.objects.create(user=user).key})


def api(*authenticators: Any) -> Any:
    """The API with these authenticators."""
    return Api.as_view(authentication_classes=authenticators)


urlpatterns = [
    path(
        "all/", api(authentication.TokenAuthentication, authentication.BasicAuthentication, authentication.SessionAuthentication)
    ),
    path("session/", api(authentication.SessionAuthentication)),
    path("remote/", api(authentication.RemoteUserAuthentication)),
    path("key/", api(ApiKeyAuthentication, authentication.SessionAuthentication)),
    path("header/", api(HeaderAuthentication)),
    path("partner/", api(PartnerBasic)),
    path("lenient/", api(Lenient, authentication.SessionAuthentication)),
    path("legacy/", api(Lenient, LegacyToken)),
    path("duck/", api(Duck)),
    path("mixed/", api(MixedIn)),
    path("open/", Open.as_view()),
    path("admins/", Admins.as_view()),
    path("token/", ObtainAuthToken.as_view()),
    path("throttled/", Throttled.as_view()),
    path("own-token/", Obtain.as_view()),
    path("enter/", Enter.as_view()),
    path("leave/", Leave.as_view()),
    path("admin/", admin.site.urls),
    path("register/", Register.as_view()),
]
