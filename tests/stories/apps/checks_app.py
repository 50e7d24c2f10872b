"""A Flask application that signs nobody in: it only checks what it is given, with the library that the path names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, request
from flask_login import LoginManager, UserMixin, login_user

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
Check = Callable[[str], Any]


def _werkzeug() -> Check:
    from werkzeug.security import check_password_hash, generate_password_hash

    stored = generate_password_hash("right", method="pbkdf2:sha256:1000")
    return lambda given: check_password_hash("broken" if given == "malformed" else stored, given)


def _bcrypt() -> Check:
    import bcrypt

    stored = bcrypt.hashpw(b"right", bcrypt.gensalt(4))
    return lambda given: bcrypt.checkpw(given.encode(), b"broken" if given == "malformed" else stored)


def _passlib(method: str) -> Check:
    from passlib.context import CryptContext

    context = CryptContext(schemes=["pbkdf2_sha256"], pbkdf2_sha256__rounds=1000)
    stored = context.hash("right")
    return lambda given: getattr(context, method)(given, "broken" if given == "malformed" else stored)


def _totp() -> Check:
    import pyotp

    totp = pyotp.TOTP(SECRET, issuer="story")
    return lambda given: totp.verify(totp.now() if given == "right" else "000000")


def _hotp() -> Check:
    import pyotp

    hotp = pyotp.HOTP(SECRET)
    return lambda given: hotp.verify(hotp.at(7) if given == "right" else "000000", 7)


CHECKS: dict[str, Callable[[], Check]] = {
    "werkzeug": _werkzeug,
    "bcrypt": _bcrypt,
    "passlib.verify": lambda: _passlib("verify"),
    "passlib.verify_and_update": lambda: _passlib("verify_and_update"),
    "pyotp.totp": _totp,
    "pyotp.hotp": _hotp,
}


class User(UserMixin):
    """Whoever signs in here."""

    id = "7"


def create_app() -> Flask:
    """The application."""
    app = Flask(__name__)
    app.secret_key = "story"
    LoginManager(app).user_loader(lambda _ident: User())

    @app.post("/check/<library>")
    def check(library: str) -> str:
        """Check every word of the form field `given`; sign in where `then` says so."""
        verify = CHECKS[library]()
        results = []
        for given in request.form["given"].split():
            try:
                results.append(str(verify(given)))
            except ValueError:
                results.append("raised")
        if request.form.get("then") == "login":
            login_user(User())
        return " ".join(results)

    return app
