"""The URLs of a Django site that hands out tokens with django-oauth-toolkit, and of an API that they open."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from oauth2_provider.decorators import protected_resource

SECRET = "kestrel-quarry-71-lantern"
CALLBACK = "http://127.0.0.1/callback"
LOGGED_OUT = "http://127.0.0.1/bye"


@lru_cache
def signing_key() -> str:
    """The key of the server's ID tokens."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def options() -> dict[str, Any]:
    """The settings of django-oauth-toolkit."""
    return {
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": signing_key(),
        "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
        "OIDC_RP_INITIATED_LOGOUT_ALWAYS_PROMPT": False,
        "ROTATE_REFRESH_TOKEN": True,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "SCOPES": {"read": "Read", "write": "Write", "openid": "Who you are", "introspection": "Look at tokens"},
        "DEFAULT_SCOPES": ["read"],
        "OAUTH_DEVICE_VERIFICATION_URI": "/o/device/",
    }


def populate() -> dict[str, Any]:
    """One client for each grant type."""
    from django.contrib.auth import get_user_model
    from oauth2_provider.models import get_application_model

    model: Any = get_application_model()
    owner = get_user_model().objects.get(username="root")
    grants = {
        "shop": "authorization-code",
        "form": "password",
        "job": "client-credentials",
        "page": "implicit",
        "tv": getattr(model, "GRANT_DEVICE_CODE", "device"),
    }
    return {
        name: model.objects.create(
            name=name,
            client_id=name,
            client_secret=SECRET,
            client_type="public" if name == "tv" else "confidential",
            authorization_grant_type=grant,
            redirect_uris=CALLBACK,
            post_logout_redirect_uris=LOGGED_OUT,
            algorithm="RS256" if grant == "authorization-code" else "",
            user=owner,
        )
        for name, grant in grants.items()
    }


@protected_resource(scopes=["write"])
def api(request: HttpRequest) -> HttpResponse:
    return HttpResponse("welcome")


def me(request: Any) -> HttpResponse:
    """Open to all; OAuth2TokenMiddleware says who it is."""
    return HttpResponse(str(request.user.pk), status=int(request.GET.get("answer", "200")))


urlpatterns = [
    path("login/", LoginView.as_view(template_name="form.html")),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("api/", api),
    path("me/", me),
]
