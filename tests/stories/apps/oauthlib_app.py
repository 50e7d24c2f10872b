"""An authorization server on oauthlib, with OpenID Connect and OAuth 1, and an API that its tokens open: all in memory."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

from flask import Flask, Response, request
from oauthlib import oauth1, oauth2
from oauthlib.openid import RequestValidator
from oauthlib.openid.connect.core.endpoints import Server

PASSWORD = "correct-horse-42-battery"
SECRET = "kestrel-quarry-71-lantern"
CONSUMER_SECRET = "thimble-orchard-19-gravel-pylon"
CALLBACK = "http://127.0.0.1/callback"


class User:
    """A user of a table that is a dictionary."""

    def __init__(self, number: int) -> None:
        self.id = number


USERS = {"ann": User(1)}


class Clients(dict[str, Any]):
    """The clients that are known: a confidential one, a public one, and one that may do little."""

    def __init__(self) -> None:
        everything = {"authorization_code", "password", "client_credentials", "refresh_token", "implicit"}
        self["shop"] = SimpleNamespace(client_id="shop", secret=SECRET, grants=everything)
        self["phone"] = SimpleNamespace(client_id="phone", secret=None, grants=everything)
        self["kiosk"] = SimpleNamespace(client_id="kiosk", secret=SECRET, grants=set())


class Validator(RequestValidator):
    """Everything oauthlib asks."""

    def __init__(self) -> None:
        self.clients, self.codes, self.tokens, self.refresh = Clients(), {}, {}, {}  # type: ignore[var-annotated]

    # clients
    def client_authentication_required(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        client = self.clients.get(request.client_id)
        return client is None or client.secret is not None

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        name, secret = request.client_id, getattr(request, "client_secret", None)
        header = request.headers.get("Authorization", "")
        if header.startswith("Basic "):
            name, _, secret = base64.b64decode(header[6:]).decode().partition(":")
        client = self.clients.get(name)
        if client is None or client.secret is None or client.secret != secret:
            return False
        request.client = client
        return True

    def authenticate_client_id(self, client_id: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        request.client = self.clients.get(client_id)
        return request.client is not None and request.client.secret is None

    def validate_client_id(self, client_id: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        request.client = self.clients.get(client_id)
        return request.client is not None

    # authorization requests
    def validate_redirect_uri(self, client_id: Any, redirect_uri: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        return bool(redirect_uri == CALLBACK)

    def get_default_redirect_uri(self, client_id: Any, request: Any, *args: Any, **kwargs: Any) -> str:
        return CALLBACK

    def validate_scopes(self, client_id: Any, scopes: Any, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        return set(scopes) <= {"openid", "read", "write"}

    def get_default_scopes(self, client_id: Any, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        return ["read"]

    def validate_response_type(self, client_id: Any, response_type: Any, client: Any, request: Any, *a: Any, **k: Any) -> bool:
        return True

    def validate_silent_login(self, request: Any) -> bool:
        return request.user is not None

    def validate_silent_authorization(self, request: Any) -> bool:
        return True

    def validate_user_match(self, id_token_hint: Any, scopes: Any, claims: Any, request: Any) -> bool:
        return True

    def is_pkce_required(self, client_id: Any, request: Any) -> bool:
        return bool(client_id == "phone")

    def save_authorization_code(self, client_id: Any, code: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        self.codes[code["code"]] = SimpleNamespace(
            client=client_id,
            user=request.user,
            scopes=request.scopes,
            redirect_uri=request.redirect_uri,
            challenge=request.code_challenge,
            method=request.code_challenge_method,
            nonce=request.nonce,
        )

    # codes
    def validate_code(self, client_id: Any, code: Any, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        grant = self.codes.get(code)
        if grant is None or grant.client != client.client_id:
            return False
        request.user, request.scopes = grant.user, grant.scopes
        return True

    def get_code_challenge(self, code: Any, request: Any) -> Any:
        return self.codes[code].challenge

    def get_code_challenge_method(self, code: Any, request: Any) -> Any:
        return self.codes[code].method

    def confirm_redirect_uri(self, client_id: Any, code: Any, redirect_uri: Any, client: Any, *a: Any, **k: Any) -> bool:
        return bool(self.codes[code].redirect_uri == redirect_uri)

    def get_authorization_code_scopes(self, client_id: Any, code: Any, redirect_uri: Any, request: Any) -> list[str]:
        return list(self.codes[code].scopes) if code in self.codes else []

    def get_authorization_code_nonce(self, client_id: Any, code: Any, redirect_uri: Any, request: Any) -> Any:
        return self.codes[code].nonce

    def invalidate_authorization_code(self, client_id: Any, code: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        del self.codes[code]

    # passwords and tokens
    def validate_grant_type(self, client_id: Any, grant_type: Any, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        return grant_type in client.grants

    def validate_user(self, username: Any, password: Any, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        if username == "crash":
            raise ConnectionError(password)
        request.user = USERS.get(username)
        return request.user is not None and password == PASSWORD

    def save_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        self.tokens[token["access_token"]] = SimpleNamespace(user=request.user, client=request.client, scopes=request.scopes)
        if "refresh_token" in token:
            self.refresh[token["refresh_token"]] = self.tokens[token["access_token"]]

    save_bearer_token = save_token

    def validate_refresh_token(self, refresh_token: Any, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        known = self.refresh.pop(refresh_token, None)
        if known is None or known.client is not client:
            return False
        request.user, request.known = known.user, known
        return True

    def get_original_scopes(self, refresh_token: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        return request.known.scopes

    def validate_bearer_token(self, token: Any, scopes: Any, request: Any) -> bool:
        known = self.tokens.get(token)
        if known is None or not set(scopes) <= set(known.scopes):
            return False
        request.user, request.client, request.scopes = known.user, known.client, known.scopes
        return True

    def revoke_token(self, token: Any, token_type_hint: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        self.tokens.pop(token, None)
        self.refresh.pop(token, None)

    def introspect_token(self, token: Any, token_type_hint: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        known = self.tokens.get(token)
        return None if known is None else {"sub": str(known.user.id), "scope": " ".join(known.scopes)}

    def finalize_id_token(self, id_token: Any, token: Any, token_handler: Any, request: Any) -> str:
        return "signed-id-token"

    def refresh_id_token(self, request: Any) -> bool:
        return False

    def get_userinfo_claims(self, request: Any) -> dict[str, str]:
        return {"sub": str(request.user.id)}


class Consumers(oauth1.RequestValidator):
    """OAuth 1: one consumer, one token of ann's, one token that waits to be exchanged."""

    dummy_client, dummy_access_token, dummy_request_token = "dummyclient", "dummyaccess", "dummyrequest"
    enforce_ssl = False

    @property
    def client_key_length(self) -> tuple[int, int]:
        return 3, 40

    nonce_length = access_token_length = request_token_length = verifier_length = client_key_length

    def validate_timestamp_and_nonce(self, client_key: Any, timestamp: Any, nonce: Any, request: Any, *a: Any, **k: Any) -> bool:
        return True

    def validate_client_key(self, client_key: Any, request: Any) -> bool:
        return bool(client_key == "consumer")

    def get_client_secret(self, client_key: Any, request: Any) -> str:
        return CONSUMER_SECRET

    def validate_access_token(self, client_key: Any, token: Any, request: Any) -> bool:
        request.user = USERS["ann"]
        return bool(token == "anntoken")

    def get_access_token_secret(self, client_key: Any, token: Any, request: Any) -> str:
        return "token-secret-of-ann"

    def validate_realms(self, *args: Any, **kwargs: Any) -> bool:
        return True

    def validate_request_token(self, client_key: Any, token: Any, request: Any) -> bool:
        return bool(token == "waiting")

    def get_request_token_secret(self, client_key: Any, token: Any, request: Any) -> str:
        return "waiting-secret"

    def validate_verifier(self, client_key: Any, token: Any, verifier: Any, request: Any) -> bool:
        request.user = USERS["ann"]
        return bool(verifier == "verifier7731plum")

    def get_realms(self, token: Any, request: Any) -> list[str]:
        return []

    def save_access_token(self, token: Any, request: Any) -> None:
        return None

    def invalidate_request_token(self, client_key: Any, request_token: Any, request: Any) -> None:
        return None


def create_app() -> Flask:
    """The server and the API."""
    app = Flask(__name__)
    validator = Validator()
    server = Server(validator)
    consumers = Consumers()

    def asked() -> tuple[str, str, str, dict[str, str]]:
        return request.url, request.method, request.get_data(as_text=True), dict(request.headers)

    def answer(headers: Any, body: Any, status: Any) -> Response:
        return Response(body or "", status, dict(headers))

    @app.route("/authorize", methods=["GET", "POST"])
    def authorize() -> Any:
        uri, _, _, headers = asked()
        try:
            scopes, _ = server.validate_authorization_request(uri, "GET", None, headers)
            if request.method == "GET":
                return "consent?"
            credentials = {"user": USERS["ann"]}
            return answer(*server.create_authorization_response(uri, "GET", None, headers, scopes, credentials))
        except oauth2.OAuth2Error as error:
            return error.json, error.status_code

    @app.post("/token")
    def token() -> Any:
        return answer(*server.create_token_response(*asked()))

    @app.post("/revoke")
    def revoke() -> Any:
        return answer(*server.create_revocation_response(*asked()))

    @app.post("/introspect")
    def introspect() -> Any:
        return answer(*server.create_introspect_response(*asked()))

    @app.get("/userinfo")
    def userinfo() -> Any:
        try:
            return answer(*server.create_userinfo_response(*asked()))
        except oauth2.OAuth2Error as error:
            return error.json, error.status_code
        except Exception as error:  # noqa: BLE001 -- its errors of OpenID Connect are of another module
            return "refused", getattr(error, "status_code", 500)

    @app.get("/api")
    def api() -> Any:
        valid, known = server.verify_request(*asked(), scopes=["write"])
        return str(known.user.id) if valid else ("refused", 401)

    @app.get("/signed")
    def signed() -> Any:
        valid, _ = oauth1.ResourceEndpoint(consumers).validate_protected_resource_request(*asked(), realms=[])
        return "welcome" if valid else ("refused", 401)

    @app.post("/launch")
    def launch() -> Any:
        valid, _ = oauth1.SignatureOnlyEndpoint(consumers).validate_request(*asked())
        return "welcome" if valid else ("refused", 401)

    @app.post("/access_token")
    def access_token() -> Any:
        return answer(*oauth1.AccessTokenEndpoint(consumers).create_access_token_response(*asked()))

    return app
