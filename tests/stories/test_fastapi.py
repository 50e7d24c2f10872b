"""FastAPI: the applications of its security tutorial, which call no library that knows of sign-ins."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .web import Record, browser, told
from .web import record as whole

ERRORS = {
    "wrong_password": "VerifyMismatchError",
    "token_expired": "ExpiredSignatureError",
    "token_bad_signature": "InvalidSignatureError",
    "token_not_yet_valid": "ImmatureSignatureError",
    "token_wrong_audience": "InvalidAudienceError",
    "token_malformed": "DecodeError",
}
BY_PASSWORD = {"audit__action": "sign_in_with_password", "audit__strategy": "password"}


def record(event: str, outcome: str = "success", *, at: str, **more: str) -> Record:
    """A record that was concluded from what FastAPI extracted."""
    return whole("fastapi", event, outcome, at=at, audit__inferred="true", **more)


def signed_in(name: str, *, at: str = "/token", **more: str) -> Record:
    """A sign-in with a password."""
    return record("auth.sign_in", at=at, audit__identity=name, audit__params__grant_type="password", **BY_PASSWORD, **more)


def refused(name: str, reason: str, *, at: str = "/token", outcome: str = "failure", **more: str) -> Record:
    """A sign-in with a password that failed."""
    facts = {**BY_PASSWORD, "audit__identity": name, "audit__params__grant_type": "password", "audit__reason": reason}
    return record("auth.sign_in", outcome, at=at, **facts, **_library_word(reason), **more)


def _library_word(reason: str) -> Record:
    """What the library that made the check raised, if one did."""
    return {"error__type": ERRORS[reason]} if reason in ERRORS else {}


def verify_refused(reason: str, *, at: str, strategy: str = "token", **more: str) -> Record:
    """A credential that a request carried and that was refused."""
    facts = {"audit__action": f"verify_with_{strategy}", "audit__strategy": strategy, "audit__reason": reason}
    return record("auth.verify", "failure", at=at, **{"method": "GET", **facts, **_library_word(reason), **more})


@pytest.fixture
def app(audit_trail: AuditTrail) -> Any:
    """The application; imported here, so that the order of import and instrumentation is the run's."""
    from .apps.fastapi_app import create_app

    made = create_app()
    made.state.seen = lambda: audit_trail.records
    made.state.waiting = asyncio.Event()
    return made


@pytest.fixture
def client(app: Any) -> httpx.AsyncClient:
    """A browser without a name."""
    return browser(app)


def form(name: str, password: str, **more: str) -> dict[str, str]:
    """The form of the OAuth2 password flow."""
    return {"grant_type": "password", "username": name, "password": password, **more}


def bearer(name: str = "ann", **how: Any) -> dict[str, str]:
    """A header with a token for *name*."""
    from .apps.fastapi_app import token_for

    return {"Authorization": f"Bearer {token_for(name, **how)}"}


@pytest.mark.parametrize("path", ["/token", "/async-token", "/strict-token"])
async def test_sign_in(client: httpx.AsyncClient, audit_trail: AuditTrail, path: str) -> None:
    """The form names the account, the hash says that the password was right, the response that the token was handed out.

    In a worker thread, in the event loop, and through the strict form, which calls the plain one."""
    assert (await client.post(path, data=form("ann", "right"))).status_code == 200
    assert told(audit_trail) == [signed_in("ann", at=path)]


async def test_parameters_of_the_form(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """What the client asked for is on the record; its secret is not."""
    await client.post("/token", data=form("ann", "right", scope="read write", client_id="app", client_secret="hush"))
    assert told(audit_trail) == [signed_in("ann", audit__params__scope="read write", audit__params__client_id="app")]


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("ann", "wrong", "wrong_password"),
        ("zed", "wrong", "invalid_credentials"),
        ("bob", "right", "rejected_after_verification"),
    ],
)
async def test_refused_sign_in(
    client: httpx.AsyncClient, audit_trail: AuditTrail, *, name: str, password: str, reason: str
) -> None:
    """A wrong password, nobody's name, a disabled account: as much as the checks and the response say."""
    await client.post("/token", data=form(name, password))
    assert told(audit_trail) == [refused(name, reason)]


async def test_page_that_says_no_with_200(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """A rendered page answers 200 to a wrong password: the check has the last word."""
    for password in ("wrong", "right"):
        await client.post("/page", data=form("ann", password))
    first, second = told(audit_trail)
    assert first == refused("ann", "wrong_password", at="/page")
    assert second == {**signed_in("ann", at="/page"), "audit.flow.id": "flow-2"}


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        (400, "failure", "invalid_credentials"),
        (403, "failure", "permission_denied"),
        (422, "failure", "invalid_input"),
        (429, "failure", "rate_limited"),
        (503, "unknown", "backend_error"),
        (0, "unknown", "backend_error"),
    ],
)
async def test_response_alone(
    client: httpx.AsyncClient, audit_trail: AuditTrail, *, code: int, outcome: str, reason: str
) -> None:
    """No check was seen: the response says what it can; of a crash nobody knows what became."""
    await client.post(f"/broken/{code}", data=form("ann", "right"))
    assert told(audit_trail) == [refused("ann", reason, at="/broken/{code}", outcome=outcome)]


async def test_mounted_application(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """An application in an application is one request, and the template holds no value of the mount's parameter."""
    await client.post("/tenants/acme/token", data=form("ann", "wrong"))
    assert told(audit_trail) == [refused("ann", "wrong_password", at="/tenants/{tenant}/token")]


async def test_forty_interleaved_sign_ins(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """Forty at once, in threads and in the loop: forty records, each with its own name and its own flow."""
    names = [f"user{number}" for number in range(38)] + ["ann", "zed"]
    paths = ["/token", "/async-token"]
    await asyncio.gather(*(client.post(paths[n % 2], data=form(name, "wrong")) for n, name in enumerate(names)))
    records = told(audit_trail)
    assert sorted(one["audit.identity"] for one in records) == sorted(names)
    assert len({one["audit.flow.id"] for one in records}) == 40
    assert {one["audit.identity"] for one in records if one["audit.reason"] == "wrong_password"} == {"ann"}


async def test_silence(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """No credentials, a form without a name, a good token, a page nobody has: none of it is an event."""
    for path in ("/members/a/me", "/basic", "/opaque", "/key?code=401", "/key-in-query", "/cookie", "/nowhere", "/docs"):
        await client.get(path)
    await client.post("/token", data={"password": "right"})
    assert (await client.get("/members/a/me", headers=bearer())).json() == {"name": "ann"}
    for path in ("/members/a/missing", "/members/a/crash"):
        await client.get(path, headers=bearer())
    await client.get("/opaque", headers={"Authorization": "Basic YW5uOnJpZ2h0"})
    await client.get("/opaque", headers={"Authorization": "Bearer good"})
    await client.get("/basic", auth=("ann", "right"))
    await client.get("/key", headers={"X-Key": "right"})
    await client.get("/cookie", headers={"Cookie": bearer()["Authorization"].replace("Bearer ", "session=")})
    assert told(audit_trail) == []


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"lifetime": -60}, "token_expired"),
        ({"secret": "another-secret-of-thirty-two-byte"}, "token_bad_signature"),
        ({"nbf": 32503680000}, "token_not_yet_valid"),
        ({"aud": "elsewhere"}, "token_wrong_audience"),
    ],
)
async def test_refused_token(client: httpx.AsyncClient, audit_trail: AuditTrail, how: dict[str, Any], reason: str) -> None:
    """`get_current_user` of the tutorial: PyJWT knows why, and of a token that is not verified nothing else is believed."""
    assert (await client.get("/members/a/me", headers=bearer(**how))).status_code == 401
    assert told(audit_trail) == [verify_refused(reason, at="/members/{team}/me")]


async def test_malformed_token(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """Not a token at all."""
    await client.get("/members/a/me", headers={"Authorization": "Bearer nonsense"})
    assert told(audit_trail) == [verify_refused("token_malformed", at="/members/{team}/me")]


async def test_token_of_somebody_who_is_gone(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """The token is good and its owner refused: whose it was is known."""
    await client.get("/members/a/me", headers=bearer("zed"))
    assert told(audit_trail) == [verify_refused("rejected_after_verification", at="/members/{team}/me", user__id="zed")]


async def test_opaque_token(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """Nobody checks it but the application: the 401 says that it was refused."""
    await client.get("/opaque", headers={"Authorization": "Bearer bad"})
    assert told(audit_trail) == [verify_refused("invalid_credentials", at="/opaque")]


async def test_wrong_current_password_beside_a_good_token(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """The 401 is about the password, not about the token: one record, of the check."""
    await client.post("/members/a/password", params={"old": "wrong"}, headers=bearer())
    facts = {"audit__action": "authenticate_with_password", "audit__strategy": "password", "audit__inferred": "true"}
    assert told(audit_trail) == [
        whole(
            "pwdlib",
            "auth.authenticate",
            "failure",
            at="/members/{team}/password",
            audit__reason="wrong_password",
            error__type="VerifyMismatchError",
            **facts,
        )
    ]


@pytest.mark.parametrize(
    ("path", "auth", "reason"),
    [
        ("/basic", ("ann", "wrong"), "wrong_password"),
        ("/basic", ("zed", "wrong"), "invalid_credentials"),
        ("/plain-basic", ("ann", "wrong"), "invalid_credentials"),
    ],
)
async def test_refused_basic(
    client: httpx.AsyncClient, audit_trail: AuditTrail, *, path: str, auth: tuple[str, str], reason: str
) -> None:
    """HTTP Basic: the user name is what was typed; a comparison without a hash is concluded from the 401."""
    await client.get(path, auth=auth)
    assert told(audit_trail) == [verify_refused(reason, at=path, strategy="basic", audit__identity=auth[0])]


@pytest.mark.parametrize("shown", ["Basic %%%", "Basic YW5u"])
async def test_malformed_basic(client: httpx.AsyncClient, audit_trail: AuditTrail, shown: str) -> None:
    """FastAPI itself refuses what it cannot read."""
    assert (await client.get("/basic", headers={"Authorization": shown})).status_code == 401
    assert told(audit_trail) == [verify_refused("invalid_input", at="/basic", strategy="basic")]


@pytest.mark.parametrize(
    ("url", "headers", "reason", "at"),
    [
        ("/key", {"X-Key": "bad"}, "permission_denied", "/key"),
        ("/key?code=401", {"X-Key": "bad"}, "invalid_credentials", "/key"),
        ("/key-in-query?key=bad", {}, "permission_denied", "/key-in-query"),
    ],
)
async def test_refused_api_key(
    client: httpx.AsyncClient, audit_trail: AuditTrail, *, url: str, headers: dict[str, str], reason: str, at: str
) -> None:
    """A key was shown and the answer is 401 or 403; the key is nowhere on the record."""
    await client.get(url, headers=headers)
    facts = {"audit__action": "sign_in_with_api_key", "audit__strategy": "api_key", "audit__reason": reason}
    assert told(audit_trail) == [record("api_key.verify", "failure", at=at, method="GET", **facts)]


@pytest.mark.parametrize(
    ("headers", "event", "strategy"),
    [
        ({"Authorization": "Apikey bad"}, "api_key.verify", "api_key"),
        ({"Cookie": "access=bad"}, "auth.verify", "token"),
    ],
)
async def test_security_class_of_the_application(
    client: httpx.AsyncClient, audit_trail: AuditTrail, headers: dict[str, str], event: str, strategy: str
) -> None:
    """A subclass that reads the request itself, without `super()`: one record where it found something, none where it did not."""
    await client.get("/overridden")
    assert told(audit_trail) == []
    assert (await client.get("/overridden", headers=headers)).status_code == 401
    action = "sign_in_with_api_key" if strategy == "api_key" else "verify_with_token"
    facts = {"audit__action": action, "audit__strategy": strategy, "audit__reason": "invalid_credentials"}
    assert told(audit_trail) == [record(event, "failure", at="/overridden", method="GET", **facts)]


async def test_expired_cookie(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """A token in a cookie is a token."""
    cookie = bearer(lifetime=-60)["Authorization"].replace("Bearer ", "session=")
    await client.get("/cookie", headers={"Cookie": cookie})
    assert told(audit_trail) == [verify_refused("token_expired", at="/cookie")]


async def test_streaming_response(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """The record is there when the stream begins; what is checked while it runs is nobody's sign-in."""
    response = await client.post("/stream", data=form("ann", "right"))
    assert response.text == "1 records"
    assert told(audit_trail) == [signed_in("ann", at="/stream")]


async def test_background_task(client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """A check after the response belongs to no request any more."""
    await client.post("/later")
    assert told(audit_trail) == []


async def test_aborted_request(app: Any, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
    """The server gives up while the endpoint still works: nobody knows how the sign-in would have ended."""
    request = asyncio.create_task(client.post("/wait", data=form("ann", "right")))
    await app.state.waiting.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert told(audit_trail) == [refused("ann", "cancelled", at="/wait", outcome="unknown", error__type="CancelledError")]


@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")
def test_websocket(app: Any, audit_trail: AuditTrail) -> None:
    """Told at the handshake: a bad token before the connection is refused, nothing for a good one."""
    from fastapi.testclient import TestClient
    from starlette.websockets import WebSocketDisconnect

    client = TestClient(app)
    key = bearer()["Authorization"].removeprefix("Bearer ")
    with client.websocket_connect(f"/ws?key={key}") as socket:
        assert socket.receive_text() == "0 records"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws?key=bad"):
        pytest.fail("accepted")
    facts = {
        "audit__action": "verify_with_token",
        "audit__strategy": "token",
        "audit__reason": "token_malformed",
        "error__type": "DecodeError",
    }
    constant = {"client__address": "testclient", "network__peer__address": "testclient", "audit__inferred": "true"}
    assert told(audit_trail) == [whole("pyjwt", "auth.verify", "failure", at="/ws", method="GET", **facts, **constant)]


def test_fastapi_looks_the_same(audit_trail: AuditTrail) -> None:
    """Dependencies, signatures and the OpenAPI schema are what they are without us."""
    import subprocess
    import sys

    script = "import json; from tests.stories.apps.fastapi_app import create_app; print(json.dumps(create_app().openapi(), sort_keys=True))"
    watched = f"from opentelemetry_instrumentation_authaudit.testing import listen_early as on; on(); {script}"
    late = f"import tests.stories.apps.fastapi_app; {watched}"
    plain, early, afterwards = (
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True).stdout
        for code in (script, watched, late)
    )
    assert len(plain) > 1000
    assert plain == early == afterwards
    from fastapi.security import HTTPBearer, OAuth2PasswordRequestForm

    assert "username" in inspect.signature(OAuth2PasswordRequestForm).parameters
    assert list(inspect.signature(HTTPBearer()).parameters) == ["request"]
    assert inspect.iscoroutinefunction(HTTPBearer().__call__)


class TestPrivacy:
    """With the options as they are by default."""

    @pytest.fixture
    def audit_trail_options(self) -> dict[str, Any]:
        return {}

    async def test_no_secret(self, client: httpx.AsyncClient, audit_trail: AuditTrail) -> None:
        """Refused credentials of every kind: none stands in the trail, nor who was typed."""
        await client.post("/token", data=form("quentin", "mistyped-pass", client_secret="hush-hush-app"))
        await client.get("/basic", auth=("quentin", "another-pass"))
        await client.get("/key", headers={"X-Key": "guessed-key-1"})
        await client.get("/key-in-query?key=guessed-key-2")
        shown = bearer("quentin", secret="another-secret-of-thirty-two-byte")
        await client.get("/members/a/me", headers=shown)
        await client.get("/cookie", headers={"Cookie": shown["Authorization"].replace("Bearer ", "session=")})
        assert len(audit_trail.records) == 4  # two more only repeat what was told
        audit_trail.assert_no_secret(
            "mistyped-pass", "hush-hush-app", "another-pass", "guessed-key-1", "guessed-key-2", "quentin"
        )
        audit_trail.assert_no_secret(shown["Authorization"].removeprefix("Bearer "))
