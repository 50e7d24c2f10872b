"""A Flask application with Flask-Login: sign up, sign in (and be remembered), sign out, close the account.

Data goes to the folder that EXAMPLE_DATA names. Run it: `flask --app examples.flask_app run`.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from flask import Flask, redirect, request
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from werkzeug.security import check_password_hash, generate_password_hash

app = Flask(__name__)
app.secret_key = "an example needs no secret"
login_manager = LoginManager(app)
login_manager.login_view = "login"

database = sqlite3.connect(Path(os.environ["EXAMPLE_DATA"]) / "flask.sqlite3", check_same_thread=False, isolation_level=None)
database.execute(
    "create table if not exists user (id integer primary key, email text unique, password text, active integer default 1)"
)


class User(UserMixin):
    def __init__(self, row: tuple[int, str, str, int]) -> None:
        self.id, self.email, self.password, self.active = row

    @property
    def is_active(self) -> bool:
        return bool(self.active)


def by_email(email: str) -> User | None:
    row = database.execute("select id, email, password, active from user where email = ?", (email,)).fetchone()
    return User(row) if row else None


@login_manager.user_loader
def by_id(user_id: str) -> User | None:
    row = database.execute("select id, email, password, active from user where id = ?", (user_id,)).fetchone()
    return User(row) if row else None


@app.get("/")
def home() -> ResponseReturnValue:
    return f"Hello {current_user.email if current_user.is_authenticated else 'stranger'}"


@app.post("/signup")
def signup() -> ResponseReturnValue:
    email = request.form["email"]
    database.execute(
        "insert into user (email, password) values (?, ?)", (email, generate_password_hash(request.form["password"]))
    )
    login_user(by_email(email))
    return redirect("/")


@app.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    if request.method == "POST":
        user = by_email(request.form["email"])
        if user is None or not check_password_hash(user.password, request.form["password"]):
            return "Wrong address or password", 401
        if not login_user(user, remember="remember" in request.form):
            return "This account is closed", 403
        return redirect("/")
    return "<form method=post><input name=email><input name=password type=password><button>Sign in</button></form>"


@app.post("/logout")
@login_required
def logout() -> ResponseReturnValue:
    logout_user()
    return redirect("/")


@app.post("/close")
@login_required
def close() -> ResponseReturnValue:
    database.execute("update user set active = 0 where id = ?", (current_user.id,))
    logout_user()
    return redirect("/")


@app.get("/private")
@login_required
def private() -> ResponseReturnValue:
    return "For your eyes only"
