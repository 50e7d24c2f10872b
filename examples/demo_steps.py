"""What the demo does, step by step, and what the audit trail must say of each step: data, read by `demo.py`."""

from __future__ import annotations

import quopri
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import jwt

ADMIN: Final = ("root", "quiet-river-anchor")
PATIENCE: Final = 30.0
"""Seconds that a page may take: to check a password is work, and four applications start at once."""
GOOD, BETTER, WRONG = "correct-horse-battery", "staple-battery-horse", "guess-rabbit-lantern"


@dataclass(frozen=True, slots=True)
class Record:
    """What a record must say; `{ann}` in a subject is the id the application gave ann."""

    event: str
    status: str
    reason: str = ""
    subject: str = ""
    identity: str = ""


class Client:
    """A browser: cookies, and the tokens a single-page application would keep."""

    def __init__(self, url: str, data: Path, secret: str) -> None:
        self.url, self.data, self.secret = url, data, secret
        self.http = httpx.Client(base_url=url, timeout=PATIENCE)
        self.ids: dict[str, str] = {}
        self.token = ""

    def submit(self, page: str, **fields: str) -> int:
        """Open a page with a form and send the form, as a browser does, with its CSRF token."""
        shown = self.http.get(page, follow_redirects=True)
        hidden = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', shown.text)
        fields |= {"csrfmiddlewaretoken": hidden[1]} if hidden else {}
        return self.http.post(shown.url, data=fields, headers={"Referer": str(shown.url)}).status_code

    def post(self, path: str, **fields: str) -> int:
        """Send a form without looking at a page first."""
        return self.http.post(path, data=fields).status_code

    def forget(self, *kept: str) -> None:
        """Close the browser: only the cookies named in *kept* survive."""
        cookies = {name: value for name in kept if (value := self.http.cookies.get(name))}
        self.http.close()
        self.http = httpx.Client(base_url=self.url, cookies=cookies, timeout=PATIENCE)

    def mailed_link(self) -> str:
        """The path of the link in the newest mail the application wrote."""
        newest = max((self.data / "mail").iterdir(), key=lambda p: p.stat().st_mtime_ns)
        text = quopri.decodestring(newest.read_bytes()).decode()
        return re.search(r"http://[^/]+(/\S+)", text)[1]  # type: ignore[index]


@dataclass(frozen=True, slots=True)
class Step:
    """Something a user does, the HTTP status that answers it, and the records it must leave."""

    what: str
    do: Callable[[Client], int]
    answer: int
    records: tuple[Record, ...] = field(default=())


def _sign_out_of_django(c: Client) -> int:
    # The home page has no form: the CSRF token is in the cookie.
    return c.post("/accounts/logout/", csrfmiddlewaretoken=c.http.cookies["csrftoken"])


def _come_back(c: Client) -> int:
    c.forget("remember_token")
    return c.http.get("/private").status_code


def _register(c: Client) -> int:
    answer = c.http.post("/auth/register", json={"email": "ann@example.com", "password": GOOD})
    c.ids["ann"] = answer.json()["id"]
    return answer.status_code


def _token_login(c: Client, password: str = GOOD) -> int:
    answer = c.http.post("/auth/jwt/login", data={"username": "ann@example.com", "password": password})
    c.token = answer.json().get("access_token", "")
    return answer.status_code


def _me(c: Client, token: str | None = None) -> int:
    return c.http.get("/me", headers={"Authorization": f"Bearer {c.token if token is None else token}"}).status_code


def _token(c: Client, *, secret: str, age: int = 0) -> str:
    claims = {"sub": c.ids["ann"], "aud": ["fastapi-users:auth"], "exp": int(time.time()) + 3600 - age}
    return jwt.encode(claims, secret, algorithm="HS256")


DJANGO: Final = (
    Step(
        "sign up",
        lambda c: c.submit("/accounts/register/", username="ann", email="ann@example.com", password1=GOOD, password2=GOOD),
        302,
        (Record("auth.register", "success", subject="auth.user:2"),),
    ),
    Step(
        "sign in, wrong password",
        lambda c: c.submit("/accounts/login/", username="ann", password=WRONG),
        200,
        (Record("auth.sign_in", "failure", "wrong_password", "auth.user:2", "ann"),),
    ),
    Step(
        "sign in, unknown user",
        lambda c: c.submit("/accounts/login/", username="nobody", password=WRONG),
        200,
        (Record("auth.sign_in", "failure", "invalid_credentials"),),
    ),
    Step(
        "sign in",
        lambda c: c.submit("/accounts/login/", username="ann", password=GOOD),
        302,
        (Record("auth.sign_in", "success", subject="auth.user:2", identity="ann"),),
    ),
    Step(
        "change password",
        lambda c: c.submit("/accounts/password_change/", old_password=GOOD, new_password1=BETTER, new_password2=BETTER),
        302,
        (Record("password.change", "success", subject="auth.user:2"),),
    ),
    Step("sign out", _sign_out_of_django, 302, (Record("auth.sign_out", "success", subject="auth.user:2"),)),
    Step(
        "admin, not a member of staff",
        lambda c: c.submit("/admin/login/", username="ann", password=BETTER),
        200,
        (Record("auth.sign_in", "failure", "rejected_after_verification", "auth.user:2", "ann"),),
    ),
    Step(
        "ask for a password reset",
        lambda c: c.submit("/accounts/password_reset/", email="ann@example.com"),
        302,
        (Record("password.reset_request", "success", subject="auth.user:2"),),
    ),
    Step(
        "ask for one for somebody unknown",
        lambda c: c.submit("/accounts/password_reset/", email="nobody@example.com"),
        302,
        (Record("password.reset_request", "unknown"),),
    ),
    Step(
        "follow the mailed link",
        lambda c: c.submit(c.mailed_link(), new_password1=GOOD, new_password2=GOOD),
        302,
        (Record("password.reset", "success", subject="auth.user:2"),),
    ),
    Step(
        "admin signs in",
        lambda c: c.submit("/admin/login/", username=ADMIN[0], password=ADMIN[1]),
        302,
        (Record("auth.sign_in", "success", subject="auth.user:1", identity=ADMIN[0]),),
    ),
)

_ANN = "ann@example.com"

FLASK: Final = (
    Step(
        "sign up, and be signed in",
        lambda c: c.post("/signup", email=_ANN, password=GOOD),
        302,
        (Record("auth.sign_in", "success", subject="1"),),
    ),
    Step("sign out", lambda c: c.post("/logout"), 302, (Record("auth.sign_out", "success", subject="1"),)),
    Step(
        "sign in, wrong password",
        lambda c: c.post("/login", email=_ANN, password=WRONG),
        401,
        (Record("auth.sign_in", "failure", "wrong_password"),),
    ),
    Step(
        "sign in, unknown user",
        lambda c: c.post("/login", email="nobody@example.com", password=WRONG),
        401,
        (Record("auth.sign_in", "failure", "invalid_credentials"),),
    ),
    Step(
        "sign in, to be remembered",
        lambda c: c.post("/login", email=_ANN, password=GOOD, remember="yes"),
        302,
        (Record("auth.sign_in", "success", subject="1"),),
    ),
    Step(
        "come back with the remember-me cookie",
        _come_back,
        200,
        (Record("session.renew", "success", subject="1"),),
    ),
    Step("close the account", lambda c: c.post("/close"), 302, (Record("auth.sign_out", "success", subject="1"),)),
    Step(
        "sign in to the closed account",
        lambda c: c.post("/login", email=_ANN, password=GOOD),
        403,
        (Record("auth.sign_in", "failure", "inactive_account", subject="1"),),
    ),
)

FASTAPI: Final = (
    Step("register", _register, 201, (Record("auth.register", "success", subject="{ann}", identity=_ANN),)),
    Step(
        "sign in, wrong password",
        lambda c: _token_login(c, WRONG),
        400,
        (Record("auth.sign_in", "failure", "wrong_password", "{ann}", _ANN),),
    ),
    Step("sign in", _token_login, 200, (Record("auth.sign_in", "success", subject="{ann}", identity=_ANN),)),
    Step("use the token", _me, 200),
    Step(
        "use an expired token",
        lambda c: _me(c, _token(c, secret=c.secret, age=7200)),
        401,
        (Record("auth.verify", "failure", "token_expired"),),
    ),
    Step(
        "use a forged token",
        lambda c: _me(c, _token(c, secret="a secret that the thief made up himself")),
        401,
        (Record("auth.verify", "failure", "token_bad_signature"),),
    ),
    Step(
        "sign out",
        lambda c: c.http.post("/auth/jwt/logout", headers={"Authorization": f"Bearer {c.token}"}).status_code,
        204,
        (Record("auth.sign_out", "success", subject="{ann}"),),
    ),
)
