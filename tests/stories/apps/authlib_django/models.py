"""Clients, codes and tokens, as Authlib wants them of a Django model."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.models import AuthorizationCodeMixin, ClientMixin, TokenMixin
from django.conf import settings
from django.db import models
from django.utils import timezone


class Client(models.Model, ClientMixin):
    """A client; `grants` says what it may do."""

    user: Any = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    client_id: Any = models.CharField(max_length=50, unique=True)
    client_secret: Any = models.CharField(max_length=50)
    grants: Any = models.TextField(default="")

    def __str__(self) -> str:
        return str(self.client_id)

    def get_client_id(self) -> str:
        return str(self.client_id)

    def get_default_redirect_uri(self) -> str:
        return ""

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.endswith("/callback")

    def check_client_secret(self, client_secret: str) -> bool:
        return bool(self.client_secret == client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grants.split()


class Code(models.Model, AuthorizationCodeMixin):
    """A code that a user's browser carries to a client."""

    user: Any = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    client_id: Any = models.CharField(max_length=50)
    code: Any = models.CharField(max_length=120, unique=True)
    redirect_uri: Any = models.TextField(default="")
    scope: Any = models.TextField(default="")

    def __str__(self) -> str:
        return str(self.pk)

    def get_redirect_uri(self) -> str:
        return str(self.redirect_uri)

    def get_scope(self) -> str:
        return str(self.scope)


class Token(models.Model, TokenMixin):
    """A token of somebody for a client."""

    user: Any = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    client_id: Any = models.CharField(max_length=50)
    token_type: Any = models.CharField(max_length=40)
    access_token: Any = models.CharField(max_length=255, unique=True)
    refresh_token: Any = models.CharField(max_length=255, db_index=True)
    scope: Any = models.TextField(default="")
    revoked: Any = models.BooleanField(default=False)
    issued: Any = models.DateTimeField(default=timezone.now)
    expires_in: Any = models.IntegerField(default=0)

    def __str__(self) -> str:
        return str(self.pk)

    def check_client(self, client: Client) -> bool:
        return bool(self.client_id == client.client_id)

    def get_scope(self) -> str:
        return str(self.scope)

    def get_expires_in(self) -> int:
        return int(self.expires_in)

    def is_revoked(self) -> bool:
        return bool(self.revoked)

    def is_expired(self) -> bool:
        return bool((timezone.now() - self.issued).total_seconds() > self.expires_in)
