"""An application on Flask-Security with everything it has, on plain SQLAlchemy; mails are kept instead of sent."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from flask import Flask, jsonify
from flask_security import MailUtil, Security, SQLAlchemySessionUserDatastore, auth_required, auth_token_required, current_user
from flask_security.decorators import http_auth_required
from flask_security.models import sqla
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

try:
    models: Any = import_module("flask_security.models.sqla_v2")
except ImportError:  # before 5.9 there are no refresh tokens
    models = sqla

REFRESHES = models is not sqla


class Base(DeclarativeBase):
    """The application's tables."""


shared: Any = sqla.FsModels
shared.set_db_info(base_model=Base)


class Role(Base, models.FsRoleMixin):
    __tablename__ = "role"


class WebAuthn(Base, models.FsWebAuthnMixin):
    __tablename__ = "webauthn"


if REFRESHES:

    class FsRefreshTracker(Base, models.FsRefreshTrackerMixin):
        __tablename__ = "fs_refresh_tracker"


class User(Base, models.FsUserMixin):
    __tablename__ = "user"


class Mails(MailUtil):
    """Keeps what it is given to send; `broken` mail servers refuse."""

    sent: ClassVar[list[dict[str, Any]]] = []
    broken = False

    def send_mail(self, template: str, subject: str, recipient: Any, sender: Any, body: Any, html: Any, **context: Any) -> None:
        if type(self).broken:
            raise ConnectionRefusedError
        type(self).sent.append({"template": template, "to": recipient, **context})


OPTIONS = {
    "SECRET_KEY": "story-secret-of-thirty-two-bytes!",
    "WTF_CSRF_ENABLED": False,
    "SECURITY_PASSWORD_SALT": "story-saltofthestory-app",
    "SECURITY_PASSWORD_HASH": "pbkdf2_sha512",
    "SECURITY_PASSWORD_HASH_OPTIONS": {"pbkdf2_sha512": {"rounds": 10}},
    "SECURITY_PASSWORD_SINGLE_HASH": False,
    "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
    "SECURITY_TOTP_SECRETS": {"1": "story-totp-secretofthestory"},
    "SECURITY_TOTP_ISSUER": "story",
    "SECURITY_REGISTERABLE": True,
    "SECURITY_RECOVERABLE": True,
    "SECURITY_CHANGEABLE": True,
    "SECURITY_CHANGE_EMAIL": True,
    "SECURITY_CHANGE_USERNAME": True,
    "SECURITY_USERNAME_ENABLE": True,
    "SECURITY_TWO_FACTOR": True,
    "SECURITY_TWO_FACTOR_ALWAYS_VALIDATE": True,
    "SECURITY_MULTI_FACTOR_RECOVERY_CODES": True,
    "SECURITY_WEBAUTHN": True,
    "SECURITY_WAN_ALLOW_AS_FIRST_FACTOR": True,
    "SECURITY_US_ENABLED_METHODS": ["password", "email", "authenticator"],
    "SECURITY_TWO_FACTOR_ENABLED_METHODS": ["email", "authenticator"],
    "SECURITY_REFRESH_TOKEN_COOKIE_NAME": None,
    "SECURITY_USE_REGISTER_V2": True,
    "SECURITY_RETURN_GENERIC_RESPONSES": True,
    "SECURITY_SEND_REGISTER_EMAIL": True,
    "SECURITY_API_ENABLED_METHODS": ["session", "token"],
}


def create_app(password: str, **options: Any) -> tuple[Flask, type[Mails]]:
    """The application, with users ann, bob (disabled) and eve (an administrator); the mails that it sends."""
    app = Flask(__name__)
    app.config.update(OPTIONS)
    app.config.update({f"SECURITY_{name}": value for name, value in options.items() if name.isupper()})
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    session = scoped_session(sessionmaker(bind=engine))
    Base.metadata.create_all(engine)
    app.teardown_appcontext(lambda _error: session.remove())
    tables: Any = (User, Role, WebAuthn, *([FsRefreshTracker] if REFRESHES else []))
    store: Any = SQLAlchemySessionUserDatastore(session, *tables)
    Mails.sent, Mails.broken = [], False
    security = Security(app, store, mail_util_cls=Mails)
    app.extensions["engine"] = engine
    with app.app_context():
        from flask_security import hash_password

        store.find_or_create_role(name="admin")
        for name in ("ann", "bob", "eve"):
            store.create_user(
                email=f"{name}@example.org",
                username=f"{name}ofthestory",
                password=hash_password(password),
                active=name != "bob",
                confirmed_at=security.datetime_factory() if hasattr(security, "datetime_factory") else None,
            )
        store.commit()

    @app.get("/token")
    @auth_token_required
    def token() -> Any:
        return jsonify(user=current_user.email)

    @app.get("/basic")
    @http_auth_required
    def basic() -> Any:
        return jsonify(user=current_user.email)

    @app.get("/fresh")
    @auth_required(within=-1)
    def fresh() -> Any:
        return jsonify(user=current_user.email)

    @app.post("/admin/<verb>/<name>")
    @auth_required("session")
    def admin(verb: str, name: str) -> Any:
        user = store.find_user(email=f"{name}@example.org")
        if verb == "password":
            security_password(user)
        elif verb == "role":
            store.add_role_to_user(user, "admin")
        elif verb == "no-role":
            store.remove_role_from_user(user, "admin")
        else:
            getattr(store, f"{verb}_user" if verb != "toggle" else "toggle_active")(user)
        store.commit()
        return jsonify(done=verb)

    def security_password(user: Any) -> None:
        from flask_security import admin_change_password

        admin_change_password(user, "horse-correct-24-yrettab", notify=False)

    return app, Mails
