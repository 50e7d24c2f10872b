"""An application on Flask-Login as its documentation shows one, with a few doors more."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, abort, jsonify, redirect, request
from flask_login import (
    LoginManager,
    UserMixin,
    confirm_login,
    current_user,
    fresh_login_required,
    login_required,
    login_user,
    logout_user,
)
from werkzeug.security import check_password_hash, generate_password_hash


class User(UserMixin):
    """A user of a table that is a dictionary."""

    def __init__(self, ident: str, password: str, *, active: bool = True) -> None:
        self.id = ident
        self.hash = generate_password_hash(password, method="pbkdf2:sha256:1000")
        self.active = active

    @property
    def is_active(self) -> bool:
        """Whether the account is in use."""
        return self.active


def create_app() -> Flask:
    """The application, with its own users."""
    app = Flask(__name__)
    app.secret_key = "story"
    users = {"1": User("1", "right"), "2": User("2", "right", active=False)}
    by_name = {"ann": users["1"], "bob": users["2"]}
    manager = LoginManager(app)
    manager.login_view = "login"
    manager.blueprint_login_views = {"team": "team.enter"}
    manager.user_loader(users.get)

    @manager.request_loader
    def by_key(incoming: Any) -> User | None:
        return users["1"] if incoming.headers.get("X-Key") == "open sesame" else None

    def check(form: Any) -> User | None:
        user = by_name.get(form.get("username"))
        return user if user and check_password_hash(user.hash, form["password"]) else None

    @app.route("/login", methods=["GET", "POST"])
    def login() -> Any:
        if request.method == "GET":
            return "form"
        if "abort" in request.args:
            abort(int(request.args["abort"]))
        user = check(request.get_json() if request.is_json else request.form)
        if user is None:
            return "wrong"
        if not login_user(user, remember="remember" in request.form):
            return "disabled"
        if "crash" in request.args:
            raise RuntimeError
        return redirect("/")

    @app.post("/crash")
    def crash() -> Any:
        raise RuntimeError

    @app.post("/logout")
    def logout() -> Any:
        logout_user()
        return "bye"

    @app.get("/")
    def home() -> Any:
        return jsonify(user=current_user.get_id())

    @app.get("/inside")
    @login_required
    def inside() -> Any:
        return "inside"

    @app.get("/fresh")
    @fresh_login_required
    def fresh() -> Any:
        return "fresh"

    @app.post("/confirm")
    @login_required
    def confirm() -> Any:
        if check_password_hash(current_user.hash, request.form["password"]):
            confirm_login()
        return "confirmed"

    @app.post("/async-login")
    async def async_login() -> Any:
        user = check(request.form)
        return "in" if user and login_user(user) else "wrong"

    @app.post("/stream")
    def stream() -> Any:
        login_user(users["1"])
        return iter(["a", "b"])

    team = Blueprint("team", __name__, url_prefix="/team")

    @team.post("/enter/<name>")
    def enter(name: str) -> Any:
        return f"no {name}"

    app.register_blueprint(team)
    return app
