"""An identity provider on loopback: OAuth 2.0 and OpenID Connect, with a person at it who consents or declines."""

from __future__ import annotations

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CODE = "authorization-code-4711-abracadabra"
TOKEN = "access-token-0815-hocus-pocus-fidibus"
SECRET = "client-secret-of-thirty-two-bytes!"


class Provider:
    """What the provider knows; `mood` is what goes wrong there."""

    def __init__(self) -> None:
        self.person: dict[str, Any] = {"sub": "provider-17", "id": "provider-17", "email": "ann@example.org", "login": "ann"}
        self.mood = ""
        self.nonce = ""
        self.address = ""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.other = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        self.nonce = query.get("nonce", "")
        answer = {"code": CODE} if self.mood != "declines" else {"error": "access_denied", "error_description": "No, thanks"}
        return f"{query['redirect_uri']}?{urlencode({**answer, 'state': query['state']})}"

    def token(self) -> tuple[int, dict[str, Any]]:
        """For a code."""
        if self.mood == "bad code":
            return 400, {"error": "invalid_grant"}
        if self.mood == "down":
            return 503, {}
        now = int(time.time()) - (9000 if self.mood == "late" else 0)
        claims = {**self.person, "iss": self.address, "aud": "client", "iat": now, "exp": now + 600, "nonce": self.nonce}
        half = sha256(TOKEN.encode()).digest()[:16]
        claims["at_hash"] = urlsafe_b64encode(half).rstrip(b"=").decode()  # OpenID Connect Core, 3.1.3.6
        if self.mood == "other nonce":
            claims["nonce"] = "another"
        key = self.other if self.mood == "forged" else self.key
        return 200, {"access_token": TOKEN, "token_type": "bearer", "id_token": jwt.encode(claims, key, "RS256", {"kid": "k"})}

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Every page but `authorize`."""
        if path == "/token":
            return self.token()
        if path == "/jwks":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return 200, {"keys": [{**public, "kid": "k", "use": "sig", "alg": "RS256"}]}
        if path == "/.well-known/openid-configuration":
            ends = {f"{name}_endpoint": f"{self.address}/{name}" for name in ("token", "userinfo")}
            ends["authorization_endpoint"] = f"{self.address}/authorize"
            return 200, {"issuer": self.address, "jwks_uri": f"{self.address}/jwks", **ends}
        return 200, self.person


@contextmanager
def served() -> Iterator[Provider]:
    """The provider behind a real server."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer any request."""
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if url.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(query))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            status, body = provider.answer(url.path, query)
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815 -- the server's name for it

        def log_message(self, *_args: Any) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
