"""An API on Flask-HTTPAuth as its documentation shows one: every scheme, with callbacks of every kind."""

from __future__ import annotations

from typing import Any

from flask import Flask, abort, jsonify
from flask_httpauth import HTTPBasicAuth, HTTPDigestAuth, HTTPTokenAuth, MultiAuth
from werkzeug.security import check_password_hash, generate_password_hash


class User:
    """A user of a table that is a dictionary."""

    def __init__(self, ident: int, name: str, password: str) -> None:
        self.id = ident
        self.name = name
        self.hash = generate_password_hash(password, method="pbkdf2:sha256:1000")


def create_app(password: str, key: str) -> Flask:
    """The API; ann has *password* and *key*."""
    app = Flask(__name__)
    app.secret_key = "story-secret-of-thirty-two-bytes!"
    ann = User(7, "ann", password)
    nobody = generate_password_hash("nobody", method="pbkdf2:sha256:1000")
    basic, plain, flaky = HTTPBasicAuth(), HTTPBasicAuth(), HTTPBasicAuth()
    digest, token = HTTPDigestAuth(), HTTPTokenAuth()
    api_key = HTTPTokenAuth(header="X-API-Key")
    multi = MultiAuth(basic, token, api_key)

    @basic.verify_password
    def verify_password(name: str, given: str) -> User | None:
        right = check_password_hash(ann.hash if name == "ann" else nobody, given)
        return ann if name == "ann" and right else None

    @basic.get_user_roles
    def roles(user: User) -> list[str]:
        return ["reader"]

    @plain.get_password
    @digest.get_password
    def get_password(name: str) -> str | None:
        return password if name == "ann" else None

    @flaky.verify_password
    async def verify_somehow(name: str, given: str) -> bool:
        if name == "crash":
            raise OSError
        if name.isdigit():
            abort(int(name))
        return given == password

    @token.verify_token
    def verify_token(given: str) -> dict[str, Any] | None:
        return {"id": 7} if given == key else None

    @api_key.verify_token
    def verify_key(given: str) -> str | bool:
        return "7" if given == key else False

    for name, auth in (("basic", basic), ("plain", plain), ("flaky", flaky), ("digest", digest)):
        app.add_url_rule(f"/{name}", name, auth.login_required(lambda: "in"), methods=["GET", "OPTIONS"])
    app.add_url_rule("/admin", "admin", basic.login_required(role="admin")(lambda: "in"))
    app.add_url_rule("/maybe", "maybe", basic.login_required(optional=True)(lambda: jsonify(user=str(basic.current_user()))))
    app.add_url_rule("/token", "token", token.login_required(lambda: "in"))
    app.add_url_rule("/key", "key", api_key.login_required(lambda: "in"))
    app.add_url_rule("/multi", "multi", multi.login_required(lambda: "in"))
    return app
