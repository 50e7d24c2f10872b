"""A Flask application that signs nobody in: it only checks what it is given, with the library that the path names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, request
from flask_login import LoginManager, UserMixin, login_user

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
JWT_SECRET = "story-secret-of-thirty-two-bytes!"
Check = Callable[[str], Any]
RAISED = ("ValueError", "Argon2Error", "InvalidHash", "PyJWTError", "PwdlibError")
"""Names of what the libraries raise for what they do not accept; a check of one imports none of the others."""


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
    stored = {"malformed": "broken", "nobody": None}
    newest = context.hash("right")
    return lambda given: getattr(context, method)(given, stored.get(given, newest))


def _passlib_dummy() -> Check:
    from passlib.context import CryptContext

    context = CryptContext(schemes=["pbkdf2_sha256"], pbkdf2_sha256__rounds=1000)
    return lambda _given: context.dummy_verify()


def _argon2() -> Check:
    from argon2 import PasswordHasher

    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    stored = hasher.hash("right")
    return lambda given: hasher.verify("broken" if given == "malformed" else stored, given)


def _pwdlib(method: str) -> Check:
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher
    from pwdlib.hashers.bcrypt import BcryptHasher

    argon2, bcrypt = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1), BcryptHasher(rounds=4)
    stored = {"older": bcrypt.hash("right"), "malformed": "broken"}
    newest = argon2.hash("right")

    def verify(given: str) -> Any:
        kind, _, password = given.rpartition(":")
        return getattr(PasswordHash((argon2, bcrypt)), method)(password, stored.get(kind or password, newest))

    return verify


def _pyjwt() -> Check:
    import jwt

    def verify(given: str) -> Any:
        how, _, given = given.rpartition("!")
        if how == "unverified":
            return jwt.decode(given, options={"verify_signature": False})["sub"]
        options: Any = {"require": [how]} if how == "exp" else {}
        return jwt.decode(given, JWT_SECRET, algorithms=["HS256"], issuer="story" if how == "issuer" else None, options=options)[
            "sub"
        ]

    return verify


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
    "passlib.dummy_verify": _passlib_dummy,
    "argon2": _argon2,
    "pwdlib.verify": lambda: _pwdlib("verify"),
    "pwdlib.verify_and_update": lambda: _pwdlib("verify_and_update"),
    "pyjwt": _pyjwt,
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
            except Exception as error:
                if not {kind.__name__ for kind in type(error).__mro__} & set(RAISED):
                    raise
                results.append("raised")
        if request.form.get("then") == "login":
            login_user(User())
        return " ".join(results)

    return app
