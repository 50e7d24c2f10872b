"""An API on Flask-JWT-Extended as its documentation shows one: headers and cookies, refresh, block list, implicit refresh."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Flask, abort, jsonify, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt,
    get_jwt_identity,
    jwt_required,
    set_access_cookies,
    set_refresh_cookies,
    unset_jwt_cookies,
)
from werkzeug.security import check_password_hash, generate_password_hash

SECRET = "story-secret-of-thirty-two-bytes!"


class User:
    """A user of a table that is a dictionary."""

    def __init__(self, ident: int, name: str, password: str) -> None:
        self.id = ident
        self.name = name
        self.hash = generate_password_hash(password, method="pbkdf2:sha256:1000")


def create_app(password: str, *location: str) -> Flask:
    """The API; ann and bob have *password*, tokens travel in *location*."""
    app = Flask(__name__)
    app.config.update(
        JWT_SECRET_KEY=SECRET,
        JWT_TOKEN_LOCATION=list(location or ("headers",)),
        JWT_ENCODE_ISSUER="story",
        JWT_DECODE_ISSUER="story",
    )
    manager = JWTManager(app)
    users = {user.name: user for user in (User(7, "ann", password), User(8, "bob", password))}
    blocked: set[str] = set()

    @manager.user_identity_loader
    def identity(user: Any) -> str:
        return str(user.id) if isinstance(user, User) else user

    @manager.user_lookup_loader
    def lookup(_header: Any, claims: Any) -> User | None:
        return next((user for user in users.values() if str(user.id) == claims["sub"]), None)

    @manager.token_in_blocklist_loader
    def is_blocked(_header: Any, claims: Any) -> bool:
        if request.headers.get("X-Store") == "down":
            raise OSError
        return claims["jti"] in blocked

    @manager.token_verification_loader
    def acceptable(_header: Any, claims: Any) -> bool:
        return "unwanted" not in claims

    @manager.expired_token_loader
    def expired(_header: Any, _claims: Any) -> Any:
        response = jsonify(msg="expired")
        unset_jwt_cookies(response)
        return response, 401

    def user_of(credentials: Any) -> User:
        user = users.get(credentials["username"])
        if user is None or not check_password_hash(user.hash, credentials["password"]):
            abort(401)
        return user

    @app.post("/login")
    def login() -> Any:
        user = user_of(request.get_json())
        return jsonify(access=create_access_token(user, fresh=True), refresh=create_refresh_token(user))

    @app.post("/login-cookies")
    def login_cookies() -> Any:
        user = user_of(request.form)
        response = jsonify(user=user.id)
        set_access_cookies(response, create_access_token(user))
        set_refresh_cookies(response, create_refresh_token(user))
        return response

    @app.post("/refresh")
    @jwt_required(refresh=True)
    def refresh() -> Any:
        return jsonify(access=create_access_token(get_jwt_identity()))

    @app.post("/renew")
    @jwt_required()
    def renew() -> Any:
        return jsonify(access=create_access_token(get_jwt_identity()))

    @app.post("/key")
    @jwt_required()
    def key() -> Any:
        return jsonify(access=create_access_token(get_jwt_identity(), expires_delta=timedelta(days=365)))

    @app.post("/for/<name>")
    @jwt_required()
    def for_somebody(name: str) -> Any:
        return jsonify(access=create_access_token(users[name]))

    @app.get("/inside")
    @jwt_required()
    def inside() -> Any:
        return jsonify(user=get_jwt_identity())

    @app.post("/inside")
    @jwt_required()
    def change() -> Any:
        return jsonify(user=get_jwt_identity())

    @app.get("/maybe")
    @jwt_required(optional=True)
    def maybe() -> Any:
        return jsonify(user=get_jwt_identity())

    @app.get("/fresh")
    @jwt_required(fresh=True)
    def fresh() -> Any:
        return "fresh"

    @app.delete("/token")
    @jwt_required(verify_type=False)
    def block() -> Any:
        blocked.add(get_jwt()["jti"])
        return "blocked"

    @app.post("/logout")
    def logout() -> Any:
        response = jsonify(msg="bye")
        unset_jwt_cookies(response)
        return response

    @app.post("/logout-known")
    @jwt_required()
    def logout_known() -> Any:
        return logout()

    @app.delete("/account")
    @jwt_required()
    def delete() -> Any:
        for user in [user for user in users.values() if str(user.id) == get_jwt_identity()]:
            del users[user.name]
        return "gone"

    return app
