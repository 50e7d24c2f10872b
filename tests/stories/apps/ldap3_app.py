"""An application whose users live in an LDAP directory, asked through ldap3 in the usual ways."""

from __future__ import annotations

from typing import Any

from flask import Flask, jsonify, redirect, request
from flask_login import LoginManager, UserMixin, login_user
from ldap3 import Connection, Server
from ldap3.core.exceptions import LDAPBindError
from ldap3.utils.conv import escape_filter_chars


class User(UserMixin):
    """What the application keeps of a person."""

    def __init__(self, ident: str, *, active: bool = True) -> None:
        self.id = ident
        self.active = active

    @property
    def is_active(self) -> bool:
        """Whether the account is in use."""
        return self.active


class Directory:
    """The directory, and the account that may search it."""

    def __init__(self, url: str, base: str, service: tuple[str, str]) -> None:
        self.url, self.base, self.service = url, base, service
        self.opened: list[Connection] = []

    def connection(self, user: str, password: str, **options: Any) -> Connection:
        self.opened.append(Connection(Server(self.url), user, password, **options))
        return self.opened[-1]

    def close(self) -> None:
        for connection in self.opened:
            connection.unbind()

    def find(self, connection: Connection, name: str) -> str | None:
        connection.search(self.base, f"(uid={escape_filter_chars(name)})")
        return connection.entries[0].entry_dn if connection.entries else None

    def search_then_bind(self, name: str, password: str) -> bool:
        with self.connection(*self.service) as lookup:
            found = self.find(lookup, name)
        return found is not None and self.connection(found, password).bind()


def create_app(url: str, base: str, service: tuple[str, str]) -> Flask:
    """The application."""
    app = Flask(__name__)
    app.secret_key = "story"
    directory = Directory(url, base, service)
    app.extensions["directory"] = directory
    users = {"ann": User("1"), "bob": User("2", active=False)}
    manager = LoginManager(app)
    manager.login_view = "login"
    manager.user_loader(lambda ident: next((user for user in users.values() if user.id == ident), None))
    kept = directory.connection(*service, auto_bind=True)

    @app.post("/login")
    def login() -> Any:
        name = request.form["username"]
        if directory.search_then_bind(name, request.form["password"]) and login_user(users[name]):
            return redirect("/")
        return "wrong name or password"

    @app.post("/lookup")
    def lookup() -> Any:
        good = directory.search_then_bind(request.form["username"], request.form["password"])
        return ("welcome", 200) if good else ("no", 401)

    @app.post("/direct")
    def direct() -> Any:
        name = request.form["username"]
        try:
            directory.connection(f"uid={name},{directory.base}", request.form["password"], auto_bind=True)
        except LDAPBindError:
            return "no", 401
        return ("members only", 403) if name == "bob" else jsonify(hello=name)

    @app.post("/kept")
    def on_the_kept_connection() -> Any:
        found = directory.find(kept, request.form["username"])
        good = found is not None and kept.rebind(found, request.form["password"])
        kept.rebind(*service)
        return ("welcome", 200) if good else ("no", 401)

    @app.get("/phonebook/<name>")
    def phonebook(name: str) -> Any:
        with directory.connection(*service) as connection:
            return jsonify(found=directory.find(connection, name))

    return app
