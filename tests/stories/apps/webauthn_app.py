"""An application with passkeys, on py_webauthn as its documentation shows it, with and without sessions of Flask-Login."""

from __future__ import annotations

from typing import Any

from flask import Flask, abort, jsonify, request, session
from flask_login import LoginManager, UserMixin, login_user
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)

RP_ID, ORIGIN = "localhost", "http://localhost"


class User(UserMixin):
    """The one user."""

    id = "7"


def create_app() -> Flask:
    """The application and its stored keys."""
    app = Flask(__name__)
    app.secret_key = "story-secret-of-thirty-two-bytes!"
    keys: dict[str, dict[str, Any]] = {}
    LoginManager(app).user_loader(lambda _ident: User())

    def answer(options: Any) -> Any:
        session["challenge"] = options.challenge.hex()
        return app.response_class(options_to_json(options), mimetype="application/json")

    @app.get("/register")
    def begin() -> Any:
        return answer(generate_registration_options(rp_id=RP_ID, rp_name="story", user_name="ann"))

    @app.post("/register")
    def register() -> Any:
        done = verify_registration_response(
            credential=request.get_data(as_text=True),
            expected_challenge=bytes.fromhex(session["challenge"]),
            expected_rp_id=RP_ID,
            expected_origin=ORIGIN,
            require_user_verification=True,
        )
        keys[done.credential_id.hex()] = {"key": done.credential_public_key, "count": done.sign_count}
        if "full" in request.args:
            abort(409)
        return "stored"

    @app.get("/login")
    def ask() -> Any:
        return answer(generate_authentication_options(rp_id=RP_ID))

    def check(credential: Any) -> None:
        known = keys.get(base64url_to_bytes(credential["id"]).hex())
        if known is None:
            abort(404)
        done = verify_authentication_response(
            credential=credential,
            expected_challenge=bytes.fromhex(session["challenge"]),
            expected_rp_id=RP_ID,
            expected_origin=[ORIGIN],
            credential_public_key=known["key"],
            credential_current_sign_count=known["count"],
            require_user_verification="strict" in request.args,
        )
        known["count"] = done.new_sign_count

    @app.post("/check")
    def only_check() -> Any:
        check(request.get_json())
        if "disabled" in request.args:
            abort(403)
        return "right"

    @app.post("/login")
    def login() -> Any:
        check(request.get_json())
        login_user(User())
        return jsonify(user="7")

    @app.post("/break")
    def broken_store() -> Any:
        for known in keys.values():
            known["key"] = b"\xa1\x01\x02"
        return "broken"

    return app
