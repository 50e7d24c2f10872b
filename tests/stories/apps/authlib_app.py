"""A provider on Authlib's authorization server in Flask, and applications in Flask, Starlette and Django that people enter with it."""

from __future__ import annotations

import json
import time
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

from authlib.integrations.flask_client import OAuth
from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6749.models import TokenMixin
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7591 import ClientRegistrationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE, DeviceCodeGrant
from flask import Flask, Response, jsonify, redirect, request, session
from flask_login import LoginManager, UserMixin, login_user
from werkzeug.security import check_password_hash, generate_password_hash

PASSWORD = "correct-horse-42-battery"
SECRET = "kestrel-quarry-71-lantern"
REGISTRATION = "registrar-otter-88-sandbar"
NONCE = "porcelain-ferry-64-gannet"
CALLBACK = "http://127.0.0.1/callback"
VERSION = tuple(int(part) for part in version("Authlib").split(".")[:2])


class User:
    """A user of the provider."""

    def __init__(self, number: int) -> None:
        self.id = number
        self.hash = generate_password_hash(PASSWORD, method="pbkdf2:sha256:1000")

    def get_user_id(self) -> int:
        return self.id


ANN = User(1)


class Client:
    """A client that may do everything its list says."""

    def __init__(self, client_id: str, *grant_types: str, public: bool = False) -> None:
        self.client_id, self.grant_types, self.public = client_id, grant_types, public

    def check_client_secret(self, secret: str) -> bool:
        return secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return (method == "none") is self.public

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types

    def check_response_type(self, response_type: str) -> bool:
        return True

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.endswith("/callback")

    def get_default_redirect_uri(self) -> str:
        return CALLBACK

    def get_allowed_scope(self, scope: str | None) -> str:
        return " ".join(word for word in (scope or "").split() if word in {"openid", "email", "read", "write"})

    def get_client_id(self) -> str:
        return self.client_id


class Token(TokenMixin):
    """A token in the provider's table."""

    def __init__(self, client: Client, user: User | None, **token: Any) -> None:
        self.client_id, self.user_id = client.client_id, None if user is None else user.id
        self.access_token, self.refresh_token = token["access_token"], token.get("refresh_token")
        self.scope, self.revoked, self.until = token.get("scope") or "", False, time.time() + 60

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id

    def get_scope(self) -> str:
        return self.scope

    def get_expires_in(self) -> int:
        return 60

    def is_expired(self) -> bool:
        return self.until < time.time()

    def is_revoked(self) -> bool:
        return self.revoked


class Store:
    """What the provider remembers."""

    def __init__(self) -> None:
        everything = ("authorization_code", "password", "client_credentials", "refresh_token", "implicit")
        shop, phone = Client("shop", *everything, DEVICE_CODE_GRANT_TYPE), Client("phone", *everything, public=True)
        self.clients = {"shop": shop, "phone": phone, "kiosk": Client("kiosk")}
        self.codes: dict[str, Any] = {}
        self.tokens: list[Token] = []
        self.approved: set[str] = set()

    def token(self, text: str) -> Token | None:
        return next((token for token in self.tokens if text in {token.access_token, token.refresh_token}), None)


class Keys:
    """The provider's signing key, and one of somebody else's."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import rsa

        self.key, self.other = (rsa.generate_private_key(65537, 2048) for _ in range(2))

    def public(self) -> dict[str, Any]:
        from jwt.algorithms import RSAAlgorithm

        published = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        return {**published, "kid": "one", "use": "sig"}

    def sign(self, claims: dict[str, Any], *, forged: bool) -> str:
        import jwt

        return jwt.encode(claims, self.other if forged else self.key, algorithm="RS256", headers={"kid": "one"})


_keys: list[Keys] = []


def keys() -> Keys:
    """Made once, at first use."""
    if not _keys:
        _keys.append(Keys())
    return _keys[0]


def _grants(store: Store, server: Any) -> None:
    class Code(grants.AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "none")

        def save_authorization_code(self, code: str, request: Any) -> None:
            asked = getattr(request, "payload", None) or request
            data = asked.data
            uri, words = asked.redirect_uri, asked.scope or ""
            store.codes[code] = SimpleNamespace(
                code=code,
                client=request.client.client_id,
                nonce=data.get("nonce"),
                code_challenge=data.get("code_challenge"),
                code_challenge_method=data.get("code_challenge_method"),
                get_redirect_uri=lambda: uri,
                get_scope=lambda: words,
            )

        def query_authorization_code(self, code: str, client: Client) -> Any:
            known = store.codes.get(code)
            return known if known is not None and known.client == client.client_id else None

        def delete_authorization_code(self, authorization_code: Any) -> None:
            del store.codes[authorization_code.code]

        def authenticate_user(self, authorization_code: Any) -> User:
            return ANN

    class Password(grants.ResourceOwnerPasswordCredentialsGrant):
        def authenticate_user(self, username: str, password: str) -> User | None:
            if username == "crash":
                raise ConnectionError(password)
            return ANN if username == "ann" and check_password_hash(ANN.hash, password) else None

    class Refresh(grants.RefreshTokenGrant):
        INCLUDE_NEW_REFRESH_TOKEN = True

        def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
            known = store.token(refresh_token)
            return None if known is None or known.revoked else known

        def authenticate_user(self, credential: Token) -> User:
            return ANN

        def revoke_old_credential(self, credential: Token) -> None:
            credential.revoked = True

    class Device(DeviceCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

        def query_device_credential(self, device_code: str) -> Any:
            if device_code == "unknown-device-45-birch":
                return None
            owner = SimpleNamespace(get_client_id=lambda: "shop", get_scope=lambda: "read", get_user_code=lambda: device_code)
            owner.is_expired = lambda: False
            return owner

        def query_user_grant(self, user_code: str) -> Any:
            return (ANN, True) if user_code in store.approved else None

        def should_slow_down(self, credential: Any) -> bool:
            return False

    server.register_grant(Code, [CodeChallenge(required=True)])
    for made in (grants.ImplicitGrant, grants.ClientCredentialsGrant, Password, Refresh, Device):
        server.register_grant(made)


def _endpoints(store: Store, server: Any) -> None:
    class Query:
        CLIENT_AUTH_METHODS = ("client_secret_basic",)

        def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:
            return store.token(token_string)

    class Revoke(Query, RevocationEndpoint):
        def revoke_token(self, token: Token, request: Any) -> None:
            token.revoked = True

    class Introspect(Query, IntrospectionEndpoint):
        def check_permission(self, token: Token, client: Client, request: Any) -> bool:
            return True

        def introspect_token(self, token: Token) -> dict[str, Any]:
            return {"active": True, "client_id": token.client_id, "sub": str(token.user_id), "scope": token.scope}

    class Register(ClientRegistrationEndpoint):
        def authenticate_token(self, request: Any) -> str | None:
            return "registrar" if request.headers.get("Authorization") == f"Bearer {REGISTRATION}" else None

        def get_server_metadata(self) -> dict[str, Any]:
            return {"scopes_supported": ["read"]}

        def generate_client_id(self, request: Any = None) -> str:
            return "new-client"

        def save_client(self, client_info: Any, client_metadata: Any, request: Any) -> Client:
            return Client(client_info["client_id"])

    for made in (Revoke, Introspect, Register):
        server.register_endpoint(made)


def create_provider() -> Flask:
    """The provider: authorization, tokens, revocation, introspection, registration, and an API."""
    app, store = Flask("provider"), Store()
    app.config |= {"OAUTH2_REFRESH_TOKEN_GENERATOR": True, "SECRET_KEY": "story"}
    app.extensions["store"] = store

    def save(token: dict[str, Any], incoming: Any) -> None:
        store.tokens.append(Token(incoming.client, incoming.user, **token))

    server = AuthorizationServer(app, query_client=store.clients.get, save_token=save)
    _grants(store, server)
    _endpoints(store, server)

    class Bearer(BearerTokenValidator):
        def authenticate_token(self, token_string: str) -> Token | None:
            return store.token(token_string)

    protector = ResourceProtector()
    protector.register_token_validator(Bearer())

    @app.get("/.well-known/openid-configuration")
    def configuration() -> Any:
        root = request.host_url.rstrip("/")
        paths = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        answer = {f"{name}_endpoint": f"{root}/{path}" for name, path in paths.items()}
        return {**answer, "issuer": root, "jwks_uri": f"{root}/keys", "id_token_signing_alg_values_supported": ["RS256"]}

    @app.get("/keys")
    def published() -> Any:
        return {"keys": [keys().public()]}

    @app.route("/authorize", methods=["GET", "POST"])
    def authorize() -> Any:
        try:
            grant = server.get_consent_grant(end_user=ANN)
        except OAuth2Error as error:
            return jsonify(dict(error.get_body())), 400
        if request.method == "GET" and "at_once" not in request.args:
            return "consent?"
        user = None if "deny" in request.values else ANN
        more = {"grant": grant} if VERSION >= (1, 6) else {}
        return server.create_authorization_response(grant_user=user, **more)

    @app.post("/token")
    def token() -> Any:
        nonce = getattr(store.codes.get(request.form.get("code", "")), "nonce", None)
        answer: Any = server.create_token_response()
        return with_id_token(answer, nonce) if nonce else answer

    def with_id_token(answer: Response, nonce: str) -> Any:
        """What the providers of the stories are good at, and some are bad at: the nonce says which."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": request.host_url.rstrip("/"),
            "aud": "shop",
            "sub": "ann-at-provider",
            "email": "ann@example.org",
        }
        claims |= {"iat": now - 600, "exp": now + (-600 if "late" in app.extensions else 60)}
        claims["nonce"] = "another-nonce" if "nonce" in app.extensions else nonce
        signed = keys().sign(claims, forged="forged" in app.extensions)
        return jsonify({**(answer.get_json() or {}), "id_token": signed})

    @app.post("/revoke")
    def revoke() -> Any:
        return server.create_endpoint_response("revocation")

    @app.post("/introspect")
    def introspect() -> Any:
        return server.create_endpoint_response("introspection")

    @app.post("/register")
    def register() -> Any:
        return server.create_endpoint_response("client_registration")

    @app.get("/api")
    @protector("write")
    def api() -> Any:
        return "welcome"

    @app.get("/open")
    @protector("write", optional=True)
    def open_() -> Any:
        return "welcome"

    return app


def settings(provider: str) -> dict[str, Any]:
    """How an application knows the provider."""
    return {
        "client_id": "shop",
        "client_secret": SECRET,
        "server_metadata_url": f"{provider}/.well-known/openid-configuration",
        "client_kwargs": {"scope": "openid email"},
        "authorize_params": {"at_once": "1"},
    }


class Member(UserMixin):
    """A user of the shop."""

    def __init__(self, number: str) -> None:
        self.id = number


def create_flask_shop(provider: str) -> Flask:
    """An application in Flask: with Flask-Login, or with a session of its own."""
    app = Flask("shop")
    app.secret_key = "story"
    LoginManager(app).user_loader(Member)
    oauth = OAuth(app)
    oauth.register("acme", **settings(provider))

    @app.get("/enter")
    def enter() -> Any:
        more = {"deny": "1"} if "deny" in request.args else {}
        return oauth.acme.authorize_redirect(f"{request.host_url}callback", **more)

    @app.get("/callback")
    def callback() -> Any:
        token = oauth.acme.authorize_access_token()
        login_user(Member("7"))
        return token["userinfo"]["email"]

    @app.post("/one-tap")
    def one_tap() -> Any:
        """An ID token that the page's script was given."""
        claims = oauth.acme.parse_id_token(request.form.to_dict(), nonce=NONCE)
        return "nobody" if claims is None else claims["sub"]

    @app.get("/own")
    def own() -> Any:
        return oauth.acme.authorize_redirect(f"{request.host_url}own/callback")

    @app.get("/own/callback")
    def own_callback() -> Any:
        session["user"] = oauth.acme.authorize_access_token()["userinfo"]["sub"]
        return redirect("/")

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Any:
        return type(error).__name__, 400

    return app


def create_starlette_shop(provider: str) -> Any:
    """The same in Starlette, with a session of its own."""
    from authlib.integrations.starlette_client import OAuth as StarletteOAuth
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    oauth = StarletteOAuth()
    oauth.register("acme", **settings(provider))

    async def enter(incoming: Any) -> Any:
        more = {"deny": "1"} if "deny" in incoming.query_params else {}
        return await oauth.acme.authorize_redirect(incoming, str(incoming.url_for("callback")), **more)

    async def callback(incoming: Any) -> Any:
        try:
            token = await oauth.acme.authorize_access_token(incoming)
        except Exception as error:  # noqa: BLE001 -- any way of failing is a failed sign-in
            return PlainTextResponse(type(error).__name__, 400)
        return PlainTextResponse(token["userinfo"]["email"])

    async def one_tap(incoming: Any) -> Any:
        """An ID token that the page's script was given."""
        form = await incoming.form()
        try:
            claims = await oauth.acme.parse_id_token(dict(form), nonce=NONCE)
        except Exception as error:  # noqa: BLE001 -- any way of failing is a failed sign-in
            return PlainTextResponse(type(error).__name__, 400)
        return PlainTextResponse("nobody" if claims is None else claims["sub"])

    routes = [
        Route("/enter", enter),
        Route("/callback", callback, name="callback"),
        Route("/one-tap", one_tap, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, secret_key="story")])
