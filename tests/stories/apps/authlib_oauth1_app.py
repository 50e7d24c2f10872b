"""A provider on Authlib's OAuth 1 server in Flask, and applications in Flask, Starlette and Django that people enter with it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from authlib.integrations.flask_oauth1 import (
    AuthorizationServer,
    ResourceProtector,
    create_exists_nonce_func,
    register_nonce_hooks,
    register_temporary_credential_hooks,
)
from authlib.oauth1 import ClientMixin, TokenCredentialMixin
from authlib.oauth1.errors import OAuth1Error
from flask import Flask, redirect, request

SECRET = "kestrel-quarry-71-lantern"
ANN = SimpleNamespace(id=1, get_user_id=lambda: 1)


class Client(ClientMixin):
    """The shop."""

    client_id = "shop"

    def get_default_redirect_uri(self) -> str:
        return ""

    def get_client_secret(self) -> str:
        return SECRET

    def get_rsa_public_key(self) -> None:
        return None


class Credential(TokenCredentialMixin):
    """A token in the provider's table."""

    def __init__(self, token: dict[str, str], user_id: int) -> None:
        self.token, self.secret, self.user_id = token["oauth_token"], token["oauth_token_secret"], user_id

    def get_oauth_token(self) -> str:
        return self.token

    def get_oauth_token_secret(self) -> str:
        return self.secret


class Cache(dict[str, Any]):
    """What Authlib wants of a cache."""

    def set(self, key: str, value: Any, timeout: int) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)

    def has(self, key: str) -> bool:
        return key in self


def create_provider() -> Flask:
    """The provider: temporary credentials, consent, tokens, and an API."""
    app, cache = Flask("provider"), Cache()
    tokens: dict[str, Credential] = {}
    app.extensions["cache"] = cache

    def find(client_id: str) -> Client | None:
        if client_id == "crash":
            raise ConnectionError
        return Client() if client_id == "shop" else None

    def create(token: dict[str, str], temporary: Any) -> Credential:
        made = Credential(token, temporary["user_id"])
        return tokens.setdefault(made.token, made)

    server = AuthorizationServer(app, query_client=find)
    register_nonce_hooks(server, cache)
    register_temporary_credential_hooks(server, cache)
    server.register_hook("create_token_credential", create)
    protector = ResourceProtector(
        app,
        query_client=find,
        query_token=lambda _client, token: tokens.get(token),
        exists_nonce=create_exists_nonce_func(cache),
    )

    @app.post("/initiate")
    def initiate() -> Any:
        return server.create_temporary_credentials_response()

    @app.get("/authorize")
    def authorize() -> Any:
        try:
            server.check_authorization_request()
            return server.create_authorization_response(grant_user=None if "deny" in request.args else ANN)
        except OAuth1Error as error:
            return dict(error.get_body()), 400

    @app.post("/token")
    def token() -> Any:
        return server.create_token_response()

    @app.get("/api")
    @protector()
    def api() -> Any:
        return "welcome"

    @app.errorhandler(ConnectionError)
    def down(_error: ConnectionError) -> Any:
        return "down", 500

    return app


def settings(provider: str) -> dict[str, Any]:
    """How an application knows the provider."""
    urls = {"request_token": "initiate", "authorize": "authorize", "access_token": "token"}
    return {"client_id": "shop", "client_secret": SECRET, **{f"{name}_url": f"{provider}/{path}" for name, path in urls.items()}}


def create_flask_shop(provider: str) -> Flask:
    """An application in Flask with a session of its own."""
    app = Flask("shop")
    app.secret_key = "story"
    oauth = OAuth(app)
    oauth.register("acme", **settings(provider))

    @app.get("/enter")
    def enter() -> Any:
        return oauth.acme.authorize_redirect(f"{request.host_url}callback")

    @app.get("/callback")
    def callback() -> Any:
        try:
            oauth.acme.authorize_access_token()
        except OAuthError as error:
            return type(error).__name__, 400
        return redirect("/")

    return app


def create_starlette_shop(provider: str) -> Any:
    """The same in Starlette."""
    from authlib.integrations.starlette_client import OAuth as StarletteOAuth
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.responses import PlainTextResponse, RedirectResponse
    from starlette.routing import Route

    oauth = StarletteOAuth()
    oauth.register("acme", **settings(provider))

    async def enter(incoming: Any) -> Any:
        return await oauth.acme.authorize_redirect(incoming, str(incoming.url_for("callback")))

    async def callback(incoming: Any) -> Any:
        try:
            await oauth.acme.authorize_access_token(incoming)
        except OAuthError as error:
            return PlainTextResponse(type(error).__name__, 400)
        return RedirectResponse("/")

    routes = [Route("/enter", enter), Route("/callback", callback, name="callback")]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, secret_key="story")])
