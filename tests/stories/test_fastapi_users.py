"""FastAPI Users: its whole life cycle of an account, on a real database, and OAuth against a real provider on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .web import Record, browser, told
from .web import record as whole

USER = "tests.stories.apps.fastapi_users_app:User"
ON_PASSLIB = int(version("fastapi-users").partition(".")[0]) < 13
MISMATCH = {} if ON_PASSLIB else {"error__type": "VerifyMismatchError"}
ANN = {"email": "ann@example.org", "password": "first-secret"}
BY_PASSWORD = {"audit__action": "sign_in_with_password", "audit__strategy": "password"}
REFUSED = {"audit__action": "sign_in_with_password", "audit__strategy": "password"}
BY_GITHUB = {"audit__action": "sign_in_with_github", "audit__strategy": "oauth2", "audit__provider": "github"}
VERIFY = {"audit__action": "verify_with_token", "audit__strategy": "token"}


def record(event: str, outcome: str = "success", *, at: str, who: str | None = None, **more: str) -> Record:
    """A record of FastAPI Users about the user with the id *who*."""
    whose = {"user__id": who, "audit__resource": USER} if who else {}
    return whole("fastapi-users", event, outcome, at=at, **whose, **more)


def signed_in(who: str, *, at: str = "/auth/login", backend: str = "jwt", **more: str) -> Record:
    """A token was handed out."""
    return record("auth.sign_in", at=at, who=who, audit__params__backend=backend, **more)


@pytest.fixture
def provider() -> Iterator[str]:
    """An OAuth provider: the code of an authorization is also its access token, and the name before the `@` the account id.

    Read backwards it is the address of the account, so that nobody takes one for the other.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Quiet."""

        def answer(self, status: int, body: dict[str, Any]) -> None:
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            code = form["code"][0]
            if code == "bad":
                self.answer(400, {"error": "invalid_grant"})
            else:
                self.answer(200, {"access_token": code, "token_type": "bearer", "expires_in": 3600})

        def do_GET(self) -> None:
            email = self.headers["Authorization"].removeprefix("Bearer ")[::-1]
            if email == "nwod":
                self.answer(503, {})
            else:
                self.answer(200, {"id": email.partition("@")[0], "email": email})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def world(audit_trail: AuditTrail) -> AsyncIterator[Any]:
    """The database, and what is mailed; imported here, so that the order of import and instrumentation is the run's."""
    from .apps.fastapi_users_app import World

    made = World()
    await made.create()
    yield made
    await made.engine.dispose()


@pytest.fixture
def app(world: Any, provider: str) -> Any:
    """The application."""
    from .apps.fastapi_users_app import create_app

    return create_app(world, provider)


@pytest.fixture
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without a name; secure cookies want https."""
    async with browser(app, base_url="https://testserver") as made:
        yield made


@pytest.fixture
async def ann(client: httpx.AsyncClient, audit_trail: AuditTrail) -> str:
    """A registered user; her id."""
    registered = await client.post("/auth/register", json=ANN)
    audit_trail.story()
    return str(registered.json()["id"])


async def login(
    client: httpx.AsyncClient, email: str = ANN["email"], password: str = ANN["password"], at: str = "/auth/login"
) -> httpx.Response:
    """Post the login form."""
    return await client.post(at, data={"grant_type": "password", "username": email, "password": password})


async def bearer(client: httpx.AsyncClient, audit_trail: AuditTrail, email: str = ANN["email"]) -> dict[str, str]:
    """The header of a user who signed in before the story begins."""
    token = (await login(client, email)).json()["access_token"]
    audit_trail.story()
    return {"Authorization": f"Bearer {token}"}


async def test_register(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """One account, one record, though the library's `create` runs the application's `on_after_register`."""
    ident = (await client.post("/auth/register", json=ANN)).json()["id"]
    facts = {"audit__action": "register_with_password", "audit__strategy": "password", "audit__identity": ANN["email"]}
    assert told(audit_trail) == [record("auth.register", at="/auth/register", who=ident, **facts)]


@pytest.mark.parametrize(
    ("given", "reason", "error"),
    [
        (ANN, "account_exists", "UserAlreadyExists"),
        ({"email": "zed@example.org", "password": "tiny"}, "weak_password", "InvalidPasswordException"),
    ],
)
async def test_refused_registration(
    client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail, *, given: Record, reason: str, error: str
) -> None:
    """A second account for an address, and a password that the application does not want."""
    await client.post("/auth/register", json=given)
    facts = {"audit__action": "register_with_password", "audit__strategy": "password", "audit__identity": given["email"]}
    refused = record("auth.register", "failure", at="/auth/register", audit__reason=reason, error__type=error, **facts)
    assert told(audit_trail) == [refused]


async def test_application_that_mails_at_once(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """Registration, and inside it the request for a verification mail: two things that happened."""
    given = {"email": "welcome@example.org", "password": "first-secret"}
    ident = (await client.post("/auth/register", json=given)).json()["id"]
    mail = {"audit__action": "request_confirmation", "audit__strategy": "unknown"}
    facts = {"audit__action": "register_with_password", "audit__strategy": "password", "audit__identity": given["email"]}
    assert told(audit_trail) == [
        record("account.verify_request", at="/auth/register", who=ident, **mail),
        record("auth.register", at="/auth/register", who=ident, **facts),
    ]


async def test_sign_in(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """Form, `authenticate`, hash and `login` of the backend are one record."""
    assert (await login(client)).status_code == 200
    assert told(audit_trail) == [signed_in(ann, audit__identity=ANN["email"], **BY_PASSWORD)]


async def test_sign_in_with_a_cookie(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """The same over a cookie with a token in the database; then out, once."""
    assert (await login(client, at="/cookie/login")).status_code == 204
    assert (await client.get("/users/me")).status_code == 200
    assert (await client.post("/cookie/logout")).status_code == 204
    out = {
        "audit__action": "sign_out",
        "audit__strategy": "token",
        "audit__params__backend": "cookie",
        "audit__flow__id": "flow-2",
    }
    assert told(audit_trail) == [
        signed_in(ann, at="/cookie/login", backend="cookie", audit__identity=ANN["email"], **BY_PASSWORD),
        record("auth.sign_out", at="/cookie/logout", who=ann, **out),
    ]


async def test_sign_out_with_a_bearer_token(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """A JWT cannot be revoked; signing out is told all the same."""
    headers = await bearer(client, audit_trail)
    await client.post("/auth/logout", headers=headers)
    out = {"audit__action": "sign_out", "audit__strategy": "token", "audit__params__backend": "jwt"}
    assert told(audit_trail) == [record("auth.sign_out", at="/auth/logout", who=ann, **out)]


async def test_wrong_password(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """Whose account was tried is known."""
    await login(client, password="wrong")
    facts = {"audit__reason": "wrong_password", "audit__identity": ANN["email"], **REFUSED, **MISMATCH}
    assert told(audit_trail) == [record("auth.sign_in", "failure", at="/auth/login", who=ann, **facts)]


async def test_unknown_user(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """The library raises inside and answers like for a wrong password; the record knows better."""
    await login(client, email="zed@example.org")
    facts = {"audit__reason": "unknown_identity", "audit__identity": "zed@example.org", **REFUSED}
    assert told(audit_trail) == [record("auth.sign_in", "failure", at="/auth/login", **facts)]


@pytest.mark.parametrize(
    ("fields", "at", "reason"),
    [({"is_active": False}, "/auth/login", "inactive_account"), ({}, "/strict/login", "unverified_account")],
)
async def test_right_password_of_an_account_that_may_not(
    client: httpx.AsyncClient, world: Any, ann: str, audit_trail: AuditTrail, *, fields: dict[str, Any], at: str, reason: str
) -> None:
    """Decided in a router's closure after the password was found right: parked, and judged by the 400."""
    if fields:
        await world.change(ANN["email"], **fields)
    assert (await login(client, at=at)).status_code == 400
    facts = {"audit__reason": reason, "audit__identity": ANN["email"], **REFUSED}
    assert told(audit_trail) == [record("auth.sign_in", "failure", at=at, who=ann, **facts)]


async def test_wrong_password_of_an_inactive_account(
    client: httpx.AsyncClient, world: Any, ann: str, audit_trail: AuditTrail
) -> None:
    """The password was wrong: that is why, whatever else is."""
    await world.change(ANN["email"], is_active=False)
    await login(client, password="wrong")
    facts = {"audit__reason": "wrong_password", "audit__identity": ANN["email"], **REFUSED, **MISMATCH}
    assert told(audit_trail) == [record("auth.sign_in", "failure", at="/auth/login", who=ann, **facts)]


@pytest.mark.parametrize(
    ("code", "event", "outcome", "reason"),
    [
        (200, "authenticate", "success", None),
        (403, "sign_in", "failure", "unverified_account"),
        (503, "sign_in", "unknown", "backend_error"),
    ],
)
async def test_password_without_a_sign_in(
    client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail, *, code: int, event: str, outcome: str, reason: str | None
) -> None:
    """An application that only checks: its response decides."""
    await login(client, at=f"/check/{code}")
    facts = {"audit__identity": ANN["email"], **REFUSED, **({"audit__reason": reason} if reason else {})}
    facts["audit__action"] = f"{event}_with_password"
    assert told(audit_trail) == [record(f"auth.{event}", outcome, at="/check/{code}", who=ann, **facts)]


async def test_crash_after_sign_in(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """The token was made, whatever the application does next."""
    given = {"email": "crash@example.org", "password": "first-secret"}
    ident = (await client.post("/auth/register", json=given)).json()["id"]
    audit_trail.story()
    assert (await login(client, given["email"])).status_code == 500
    assert told(audit_trail) == [signed_in(ident, audit__identity=given["email"], **BY_PASSWORD)]


async def test_browsing_is_silent(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """Good tokens, no tokens, pages that want somebody else: no events by default."""
    headers = await bearer(client, audit_trail)
    for path in ("/users/me", "/optional", "/admin", "/nowhere"):
        await client.get(path, headers=headers)
        await client.get(path)
    await client.post("/auth/logout")
    await client.post("/auth/login", data={"username": "ann"})
    await client.post("/auth/register", json={"email": "no address", "password": "x"})
    assert told(audit_trail) == []


@pytest.mark.parametrize("path", ["/users/me", "/optional"])
async def test_refused_bearer_token(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail, path: str) -> None:
    """A token was shown and nobody came of it, also where the page does without."""
    await client.get(path, headers={"Authorization": "Bearer nonsense"})
    refused = {"audit__reason": "token_malformed", "error__type": "HTTPException" if path == "/users/me" else "DecodeError"}
    assert told(audit_trail) == [record("auth.verify", "failure", at=path, method="GET", **VERIFY, **refused)]


async def test_refused_cookie(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """A token that the database does not know."""
    await client.get("/users/me", headers={"Cookie": "fastapiusersauth=stolen"})
    refused = {"audit__reason": "invalid_credentials", "error__type": "HTTPException"}
    assert told(audit_trail) == [record("auth.verify", "failure", at="/users/me", method="GET", **VERIFY, **refused)]


async def test_expired_token(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """The reason is the token library's; of an expired token nothing is believed."""
    from fastapi_users.jwt import generate_jwt

    from .apps.fastapi_users_app import SECRET

    token = generate_jwt({"sub": ann, "aud": ["fastapi-users:auth"]}, SECRET, -60)
    await client.get("/users/me", headers={"Authorization": f"Bearer {token}"})
    refused = {"audit__reason": "token_expired", "error__type": "HTTPException"}
    assert told(audit_trail) == [record("auth.verify", "failure", at="/users/me", method="GET", **VERIFY, **refused)]


@pytest.mark.parametrize(
    ("fields", "path", "reason"),
    [({"is_active": False}, "/users/me", "inactive_account"), ({}, "/verified", "unverified_account")],
)
async def test_good_token_of_an_account_that_may_not(
    client: httpx.AsyncClient, world: Any, ann: str, audit_trail: AuditTrail, *, fields: dict[str, Any], path: str, reason: str
) -> None:
    """Disabled since, or not verified."""
    headers = await bearer(client, audit_trail)
    if fields:
        await world.change(ANN["email"], **fields)
    await client.get(path, headers=headers)
    refused = {"audit__reason": reason, "error__type": "HTTPException"}
    assert told(audit_trail) == [record("auth.verify", "failure", at=path, method="GET", who=ann, **VERIFY, **refused)]


async def test_password_reset(client: httpx.AsyncClient, world: Any, ann: str, audit_trail: AuditTrail) -> None:
    """Asked for, done, and the link used a second time: it was made for a password that is no more."""
    assert (await client.post("/auth/forgot-password", json={"email": ANN["email"]})).status_code == 202
    for _ in range(2):
        await client.post("/auth/reset-password", json={"token": world.mailed["reset"], "password": "second-secret"})
    reset = {"audit__action": "password_reset_with_password", "audit__strategy": "password"}
    again = {"audit__reason": "token_revoked", "error__type": "InvalidResetPasswordToken", "audit__flow__id": "flow-3", **reset}
    assert told(audit_trail) == [
        record(
            "password.reset_request",
            at="/auth/forgot-password",
            who=ann,
            audit__action="request_password_reset_with_password",
            audit__strategy="password",
        ),
        record("password.reset", at="/auth/reset-password", who=ann, audit__flow__id="flow-2", **reset),
        record("password.reset", "failure", at="/auth/reset-password", who=ann, **again),
    ]


async def test_password_reset_of_an_inactive_account(
    client: httpx.AsyncClient, world: Any, ann: str, audit_trail: AuditTrail
) -> None:
    """The answer is 202 all the same; a link from before is refused."""
    await client.post("/auth/forgot-password", json={"email": ANN["email"]})
    audit_trail.story()
    await world.change(ANN["email"], is_active=False)
    await client.post("/auth/forgot-password", json={"email": ANN["email"]})
    await client.post("/auth/reset-password", json={"token": world.mailed["reset"], "password": "second-secret"})
    inactive = {"audit__strategy": "password", "audit__reason": "inactive_account", "error__type": "UserInactive"}
    action = {"audit__action": "request_password_reset_with_password"}
    reset = {"audit__action": "password_reset_with_password", "audit__flow__id": "flow-2"}
    assert told(audit_trail) == [
        record("password.reset_request", "failure", at="/auth/forgot-password", who=ann, **action, **inactive),
        record("password.reset", "failure", at="/auth/reset-password", who=ann, **reset, **inactive),
    ]


async def test_password_reset_for_nobody_is_not_seen(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """As `BLIND` says: an unknown address ends inside a router."""
    await client.post("/auth/forgot-password", json={"email": "zed@example.org"})
    await client.post("/auth/request-verify-token", json={"email": "zed@example.org"})
    assert told(audit_trail) == []


async def test_refused_password_reset(client: httpx.AsyncClient, world: Any, ann: str, audit_trail: AuditTrail) -> None:
    """A token that is none, and a new password that the application does not want."""
    await client.post("/auth/forgot-password", json={"email": ANN["email"]})
    audit_trail.story()
    await client.post("/auth/reset-password", json={"token": "nonsense", "password": "second-secret"})
    await client.post("/auth/reset-password", json={"token": world.mailed["reset"], "password": "tiny"})
    reset = {"audit__action": "password_reset_with_password", "audit__strategy": "password"}
    malformed = {"audit__reason": "token_malformed", "error__type": "InvalidResetPasswordToken"}
    weak = {"audit__reason": "weak_password", "error__type": "InvalidPasswordException", "audit__flow__id": "flow-2"}
    assert told(audit_trail) == [
        record("password.reset", "failure", at="/auth/reset-password", **reset, **malformed),
        record("password.reset", "failure", at="/auth/reset-password", who=ann, **reset, **weak),
    ]


async def test_account_verification(client: httpx.AsyncClient, world: Any, ann: str, audit_trail: AuditTrail) -> None:
    """Asked for, confirmed, confirmed again, asked for again; and a token that is none."""
    await client.post("/auth/request-verify-token", json={"email": ANN["email"]})
    for token in (world.mailed["verify"], world.mailed["verify"], "nonsense"):
        await client.post("/auth/verify", json={"token": token})
    await client.post("/auth/request-verify-token", json={"email": ANN["email"]})
    asked = {"audit__action": "request_confirmation", "audit__strategy": "unknown"}
    done = {"audit__action": "confirm", "audit__strategy": "token"}
    again = {"audit__reason": "token_reused", "error__type": "UserAlreadyVerified", "audit__flow__id": "flow-3"}
    malformed = {"audit__reason": "token_malformed", "error__type": "InvalidVerifyToken", "audit__flow__id": "flow-4"}
    late = {"audit__reason": "invalid_input", "error__type": "UserAlreadyVerified", "audit__flow__id": "flow-5"}
    assert told(audit_trail) == [
        record("account.verify_request", at="/auth/request-verify-token", who=ann, **asked),
        record("account.verify", at="/auth/verify", who=ann, audit__flow__id="flow-2", **done),
        record("account.verify", "failure", at="/auth/verify", who=ann, **done, **again),
        record("account.verify", "failure", at="/auth/verify", **done, **malformed),
        record("account.verify_request", "failure", at="/auth/request-verify-token", who=ann, **asked, **late),
    ]


async def test_password_change(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """By its owner: done, and refused."""
    headers = await bearer(client, audit_trail)
    for password in ("second-secret", "tiny"):
        await client.patch("/users/me", json={"password": password}, headers=headers)
    change = {"method": "PATCH", "audit__action": "change_password", "audit__strategy": "password"}
    weak = {"audit__reason": "weak_password", "error__type": "InvalidPasswordException", "audit__flow__id": "flow-2"}
    assert told(audit_trail) == [
        record("password.change", at="/users/me", who=ann, **change),
        record("password.change", "failure", at="/users/me", who=ann, **change, **weak),
    ]


async def test_address_change(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """To a new one, to somebody else's, to the one it is."""
    await client.post("/auth/register", json={"email": "bob@example.org", "password": "first-secret"})
    headers = await bearer(client, audit_trail)
    for email in ("new@example.org", "bob@example.org", "new@example.org"):
        await client.patch("/users/me", json={"email": email}, headers=headers)
    change = {"method": "PATCH", "audit__action": "change_email", "audit__strategy": "unknown"}
    taken = {"audit__reason": "account_exists", "error__type": "UserAlreadyExists", "audit__flow__id": "flow-2"}
    assert told(audit_trail) == [
        record("account.identity.change", at="/users/me", who=ann, **change),
        record("account.identity.change", "failure", at="/users/me", who=ann, **change, **taken),
    ]


async def test_administration(client: httpx.AsyncClient, world: Any, ann: str, audit_trail: AuditTrail) -> None:
    """An administrator renames, disables and promotes an account at once, sets its password, enables and deletes it."""
    await client.post("/auth/register", json={"email": "root@example.org", "password": ANN["password"]})
    await world.change("root@example.org", is_superuser=True)
    headers = await bearer(client, audit_trail, "root@example.org")
    changes: list[dict[str, Any]] = [
        {"email": "new@example.org", "is_active": False, "is_superuser": True},
        {"password": "second-secret"},
        {"is_active": True},
    ]
    for change in changes:
        assert (await client.patch(f"/users/{ann}", json=change, headers=headers)).status_code == 200
    assert (await client.delete(f"/users/{ann}", headers=headers)).status_code == 204
    records = told(audit_trail)
    assert {one["audit.flow.id"] for one in records[:3]} == {"flow-1"}
    assert sorted(one["event"] for one in records[:3]) == ["account.disable", "account.identity.change", "account.role.change"]
    constant = {"at": "/users/{id}", "who": ann, "method": "PATCH"}
    nothing = {"audit__strategy": "unknown"}
    assert records[3:] == [
        record("password.set", **constant, audit__action="set_password", audit__strategy="password", audit__flow__id="flow-2"),
        record("account.enable", **constant, **nothing, audit__action="enable", audit__flow__id="flow-3"),
        record(
            "account.delete", **{**constant, "method": "DELETE"}, **nothing, audit__action="destroy", audit__flow__id="flow-4"
        ),
    ]
    assert {(one["user.id"], one["http.route"]) for one in records} == {(ann, "/users/{id}")}


async def authorize(client: httpx.AsyncClient, at: str = "/github", headers: Record | None = None) -> str:
    """Be sent to the provider; the state that comes back with the browser."""
    answer = await client.get(f"{at}/authorize", headers=headers)
    return str(parse_qs(urlsplit(answer.json()["authorization_url"]).query)["state"][0])


async def test_oauth_sign_up_and_sign_in(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """The first time an account is made: two records; the second time one."""
    state = await authorize(client)
    assert told(audit_trail) == []
    for _ in range(2):
        answer = await client.get("/github/callback", params={"code": "kim@example.org"[::-1], "state": state})
        assert answer.status_code == 200
    registered, *signed = told(audit_trail)
    facts = {"method": "GET", "audit__identity": "kim@example.org"}
    provided = {"audit__strategy": "oauth2", "audit__provider": "github"}
    who = registered["user.id"]
    at = "/github/callback"
    assert registered == record("auth.register", at=at, who=who, audit__action="register_with_github", **provided, **facts)
    assert signed == [signed_in(who, at=at, **facts, **BY_GITHUB, audit__flow__id=f"flow-{number}") for number in (1, 2)]


async def test_oauth_address_of_somebody_else(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """An account with this address exists and is not the provider's."""
    state = await authorize(client)
    await client.get("/github/callback", params={"code": ANN["email"][::-1], "state": state})
    facts = {
        "method": "GET",
        "audit__action": "sign_in_with_github",
        "audit__strategy": "oauth2",
        "audit__provider": "github",
        "audit__identity": ANN["email"],
        "audit__reason": "account_exists",
        "error__type": "UserAlreadyExists",
    }
    assert told(audit_trail) == [record("auth.sign_in", "failure", at="/github/callback", who=ann, **facts)]


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ({"error": "access_denied"}, "provider_denied"),
        ({"error": "server_error"}, "provider_error"),
        ({}, "invalid_code"),
        ({"code": "bad"}, "provider_error"),
        ({"code": "down"}, "provider_error"),
    ],
)
async def test_oauth_refused_by_the_provider(
    client: httpx.AsyncClient, audit_trail: AuditTrail, *, returned: Record, reason: str
) -> None:
    """The user says no, the provider fails, the code is missing or bad, the profile is not to be had."""
    state = await authorize(client)
    await client.get("/github/callback", params={**returned, "state": state})
    (told_one,) = told(audit_trail)
    error = told_one.pop("error.type")
    assert error in ("OAuth2AuthorizeCallbackError", "HTTPException", "GetAccessTokenError", "GetIdEmailError")
    facts = {"method": "GET", "audit__action": "callback_github", "audit__strategy": "oauth2", "audit__provider": "github"}
    assert told_one == record("oauth.callback", "failure", at="/github/callback", audit__reason=reason, **facts)


async def test_oauth_with_a_forged_state(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """The state is a token: its check speaks."""
    await client.get("/github/callback", params={"code": "kim@example.org"[::-1], "state": "forged"})
    (told_one,) = told(audit_trail)
    assert (told_one["event"], told_one["audit.reason"], told_one["audit.inferred"]) == ("auth.verify", "token_malformed", "true")


async def test_oauth_link(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """A signed-in user links an account of the provider: no sign-in."""
    headers = await bearer(client, audit_trail)
    state = await authorize(client, "/associate", headers)
    answer = await client.get("/associate/callback", params={"code": "ann@github.example"[::-1], "state": state}, headers=headers)
    assert answer.status_code == 200
    facts = {"method": "GET", "audit__action": "link_github", "audit__strategy": "oauth2", "audit__provider": "github"}
    assert told(audit_trail) == [
        record("account.link", at="/associate/callback", who=ann, audit__identity="ann@github.example", **facts)
    ]


async def test_forty_interleaved_sign_ins(client: httpx.AsyncClient, ann: str, audit_trail: AuditTrail) -> None:
    """Forty at once, one of them good: forty records, each with its own name and flow."""
    names = [f"user{number}@example.org" for number in range(39)]
    await asyncio.gather(*(login(client, name) for name in names), login(client))
    records = told(audit_trail)
    assert sorted(one["audit.identity"] for one in records) == sorted([*names, ANN["email"]])
    assert len({one["audit.flow.id"] for one in records}) == 40
    assert [one["audit.identity"] for one in records if one["audit.outcome"] == "success"] == [ANN["email"]]


class TestPrivacy:
    """With the options as they are by default."""

    @pytest.fixture
    def audit_trail_options(self) -> dict[str, Any]:
        return {}

    async def test_no_secret(self, client: httpx.AsyncClient, world: Any, audit_trail: AuditTrail) -> None:
        """Through a whole life cycle: no password, token, code or address stands in the trail."""
        await client.post("/auth/register", json={**ANN, "password": "first-secret"})
        headers = {"Authorization": f"Bearer {(await login(client)).json()['access_token']}"}
        await login(client, password="mistyped-secret")
        await client.get("/users/me", headers={"Authorization": "Bearer nonsense-token"})
        await client.post("/auth/forgot-password", json={"email": ANN["email"]})
        await client.post("/auth/reset-password", json={"token": world.mailed["reset"], "password": "second-secret"})
        await client.patch("/users/me", json={"password": "third-secret"}, headers=headers)
        state = await authorize(client)
        await client.get("/github/callback", params={"code": "quuxcode@github.example"[::-1], "state": state})
        await login(client, at="/cookie/login", password="third-secret")
        cookie = client.cookies["fastapiusersauth"]
        assert len(audit_trail.records) >= 8
        audit_trail.assert_no_secret("first-secret", "second-secret", "third-secret", "mistyped-secret", "nonsense-token")
        audit_trail.assert_no_secret(
            world.mailed["reset"], headers["Authorization"], state, cookie, "edocxuuq", "client-hush-hush"
        )
        audit_trail.assert_no_secret(ANN["email"])


class Anything:
    """What applications' own tests pass as a user or a form: whatever is asked of it, it has."""

    def __getattr__(self, _name: str) -> Anything:
        return Anything()

    def __call__(self, *_args: Any, **_more: Any) -> Anything:
        return Anything()


class Store:
    """A database of users that are anything."""

    async def get_by_email(self, email: Any) -> Anything:
        return Anything()

    async def delete(self, user: Any) -> None:
        """Gone."""


class Helper:
    """A password helper that finds everything right."""

    def verify_and_update(self, *_given: Any) -> tuple[bool, None]:
        return True, None


async def test_users_that_are_anything(audit_trail: AuditTrail) -> None:
    """A user manager over stand-ins, as applications' own tests have it: nothing of ours raises."""
    from fastapi_users.manager import BaseUserManager

    manager: Any = BaseUserManager(Store(), Helper())  # type: ignore[arg-type]
    assert isinstance(await manager.authenticate(Anything()), Anything)
    await manager.delete(Anything())
    assert [one["event"] for one in told(audit_trail)] == ["auth.authenticate", "account.delete"]


class TestStrict:
    """`strict=auth.sign_in`, and a journal that cannot be written: no record, no sign-in."""

    @pytest.fixture
    def audit_trail_options(self) -> dict[str, Any]:
        """A folder that nobody can make."""
        return {"strict": "auth.sign_in", "journal_dir": "/proc/authaudit"}

    async def test_sign_in_that_cannot_be_recorded_is_refused(self, client: httpx.AsyncClient) -> None:
        """Before the token exists: the server answers for the exception, and no token goes out."""
        await client.post("/auth/register", json=ANN)
        response = await login(client)
        assert response.status_code == 500
        assert "access_token" not in response.text
