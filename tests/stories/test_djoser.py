"""djoser: tokens, accounts, passwords, names and mails over an API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .web import Record, record

LIBRARY = "djoser"
ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
BOB = {**ANN, "user__id": "auth.user:2"}
ROOT = {"audit__actor__id": "auth.user:3", "audit__actor__type": "user"}
BACKEND = {"audit__params__backend": "django.contrib.auth.backends.ModelBackend"}
WRONG, NEW = "wrong-horse-77-staple", "kT4!-pWq9"
LINKS = dict.fromkeys(("PASSWORD_RESET_CONFIRM_URL", "USERNAME_RESET_CONFIRM_URL", "ACTIVATION_URL"), "x/{uid}/{token}")
MAILS = {"activation": "djoser.email.ActivationEmail", "password_reset": "djoser.email.PasswordResetEmail"}
STOCK: dict[str, Any] = {**LINKS, "EMAIL": MAILS}  # said each time: djoser 2.2 keeps what another story said
ACTIONS = {
    "account.verify": "confirm",
    "account.verify_request": "request_confirmation",
    "account.identity.change": "change_username",
    "account.delete": "destroy",
    "auth.register": "register_with_password",
    "password.change": "change_password",
    "password.reset": "password_reset_with_password",
    "password.reset_request": "request_password_reset_with_password",
}


def told(event: str, outcome: str = "success", *, at: str, **more: str) -> Record:
    """What happened to an account."""
    strategy = "unknown" if event.startswith("account.") else "password"
    facts = {"audit__action": ACTIONS[event], "audit__strategy": strategy}
    return record(LIBRARY, event, outcome, at=f"/users/{at}/$", **{**facts, **more})


def sign_in(outcome: str = "success", *, at: str = "/login/", **more: str) -> Record:
    """A sign-in by password."""
    facts = {"audit__action": "sign_in_with_password", "audit__strategy": "password", "audit__identity": "ann"}
    facts |= {**BACKEND, "audit__token__id": "token-1"} if outcome == "success" else {}
    return record(LIBRARY, "auth.sign_in", outcome, at=at, **{**facts, **more})


Setting = Callable[..., None]


@pytest.fixture
def setting() -> Iterator[Setting]:
    """Changes djoser's settings until the story is over."""
    from django.test import override_settings

    changed: list[Any] = []

    def change(**options: Any) -> None:
        changed.append(override_settings(DJOSER={**STOCK, **options}))
        changed[-1].enable()

    yield change
    for one in reversed(changed):
        one.disable()


@pytest.fixture
def api(audit_trail: AuditTrail) -> Iterator[Any]:
    """A client of the API."""
    from .apps.django_site import site

    with site("djoser_app", "rest_framework", "rest_framework.authtoken", "djoser", DJOSER=STOCK):
        from rest_framework.authtoken.models import Token
        from rest_framework.test import APIClient

        audit_trail.story()
        yield APIClient(raise_request_exception=False)
        audit_trail.assert_no_secret(PASSWORD, WRONG, NEW, *Token.objects.values_list("key", flat=True))


@pytest.fixture
def ann(api: Any, audit_trail: AuditTrail) -> Any:
    """Ann's client."""
    return enter(api, audit_trail, "ann")


def user(name: str = "ann") -> Any:
    """The stored user."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username=name)


def enter(api: Any, audit_trail: AuditTrail, name: str) -> Any:
    """Give *name* a token, and use it."""
    from rest_framework.authtoken.models import Token

    api.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=user(name)).key}")
    audit_trail.story()
    return api


def link(name: str = "ann") -> dict[str, str]:
    """What a mail would contain."""
    from django.contrib.auth.tokens import default_token_generator
    from djoser.utils import encode_uid

    return {"uid": encode_uid(user(name).pk), "token": default_token_generator.make_token(user(name))}


class Away:
    """A mail that cannot be sent."""

    def __init__(self, request: Any, context: Any) -> None:
        pass

    def send(self, to: Any) -> None:
        raise ConnectionRefusedError


# Tokens


@pytest.mark.parametrize("session", [False, True])
def test_login(api: Any, audit_trail: AuditTrail, setting: Setting, session: bool) -> None:
    """Password, token, session perhaps, and Django's signal twice: one sign-in."""
    setting(CREATE_SESSION_ON_LOGIN=session)
    for flow in ("flow-1", "flow-2"):
        assert api.post("/login/", {"username": "ann", "password": PASSWORD}).status_code == 200
        (entered,) = audit_trail.story()
        more = {"session__id": "session-1"} if session else {}
        assert entered == sign_in(**ANN, **more), flow


@pytest.mark.parametrize(
    ("name", "secret", "why"),
    [
        ("ann", WRONG, {"audit__reason": "wrong_password", **ANN}),
        ("bob", PASSWORD, {"audit__reason": "inactive_account", **BOB}),
        ("eve", PASSWORD, {"audit__reason": "invalid_credentials"}),
    ],
)
def test_login_refused(api: Any, audit_trail: AuditTrail, name: str, secret: str, why: dict[str, str]) -> None:
    """One failure."""
    assert api.post("/login/", {"username": name, "password": secret}).status_code == 400
    why = {**why, "audit__identity": name, "error__type": "invalid_credentials"}
    assert audit_trail.story() == [sign_in("failure", **why)]


def test_login_refused_by_the_application(api: Any, audit_trail: AuditTrail) -> None:
    """A serializer of its own, after the password was right."""
    assert api.post("/picky/", {"username": "root", "password": PASSWORD}).status_code == 400
    (failed,) = audit_trail.story()
    assert (failed["event"], failed["audit.outcome"], failed["user.id"]) == ("auth.sign_in", "failure", "auth.user:3")


def test_login_broken(api: Any, audit_trail: AuditTrail) -> None:
    """The backend breaks: nobody knows."""
    assert api.post("/login/", {"username": "crash", "password": PASSWORD}).status_code == 500
    why = {"audit__reason": "backend_error", "error__type": "ConnectionError", "audit__identity": "crash"}
    assert audit_trail.story() == [sign_in("unknown", **why)]


def test_login_without_credentials(api: Any, audit_trail: AuditTrail) -> None:
    """Nothing was tried."""
    assert api.post("/login/", {}).status_code == 400
    assert audit_trail.story() == []


def test_throttled(api: Any, audit_trail: AuditTrail) -> None:
    """The framework answers in the place of the view."""
    assert api.post("/busy/", {"username": "ann", "password": PASSWORD}).status_code == 429
    (failed,) = audit_trail.story()
    assert (failed["event"], failed["audit.reason"]) == ("auth.sign_in", "rate_limited")


@pytest.mark.parametrize("session", [False, True])
def test_logout(ann: Any, audit_trail: AuditTrail, setting: Setting, session: bool) -> None:
    """Django's signal once or twice: one sign-out, of the token that was shown."""
    setting(CREATE_SESSION_ON_LOGIN=session)
    if session:
        ann.login(username="ann", password=PASSWORD)
        audit_trail.story()
    assert ann.post("/logout/").status_code == 204
    facts = {"audit__action": "sign_out", "audit__strategy": "token", "audit__token__id": "token-1"}
    more = {"session__id": "session-1"} if session else {}
    assert audit_trail.story() == [record(LIBRARY, "auth.sign_out", at="/logout/", **facts, **ANN, **more)]


def test_logout_of_nothing(ann: Any, audit_trail: AuditTrail, setting: Setting) -> None:
    """Neither tokens nor sessions are djoser's business here."""
    setting(TOKEN_MODEL=None)
    assert ann.post("/logout/").status_code == 204
    assert audit_trail.story() == []


# Accounts


@pytest.mark.parametrize("mail", [False, True])
def test_register(api: Any, audit_trail: AuditTrail, setting: Setting, mail: bool) -> None:
    """One event, also where a mail goes out to activate the account."""
    setting(SEND_ACTIVATION_EMAIL=mail)
    body = {"username": "cleo", "email": "cleo@example.org", "password": NEW}
    assert api.post("/users/", body).status_code == 201
    cleo = {"user__id": "auth.user:4", "audit__resource": "auth.User", "audit__identity": "cleo"}
    expected = told("auth.register", at="", **cleo) | {"http.route": "/users/$"}
    assert audit_trail.story() == [expected]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"username": "ann", "password": NEW}, {"audit__reason": "identity_in_use", "error__type": "unique"}),
        ({"username": "cleo", "password": "abc"}, {"audit__reason": "weak_password", "error__type": "password_too_short"}),
        ({"username": "c l e o", "password": NEW}, {"audit__reason": "invalid_input", "error__type": "invalid"}),
    ],
)
def test_register_refused(api: Any, audit_trail: AuditTrail, body: dict[str, str], why: dict[str, str]) -> None:
    """The name is taken, the password weak, the name no name."""
    assert api.post("/users/", body).status_code == 400
    expected = told("auth.register", "failure", at="", audit__identity=body["username"], **why) | {"http.route": "/users/$"}
    assert audit_trail.story() == [expected]


def test_register_and_no_mail(api: Any, audit_trail: AuditTrail, setting: Setting) -> None:
    """The account is there, whatever became of the mail."""
    setting(SEND_ACTIVATION_EMAIL=True, EMAIL={"activation": f"{__name__}.Away"})
    assert api.post("/users/", {"username": "cleo", "email": "cleo@example.org", "password": NEW}).status_code == 500
    (registered,) = audit_trail.story()
    assert (registered["event"], registered["audit.outcome"], registered["user.id"]) == (
        "auth.register",
        "success",
        "auth.user:4",
    )


def test_activation(api: Any, audit_trail: AuditTrail) -> None:
    """The link of the mail, once."""
    mailed = link("bob")
    assert api.post("/users/activation/", mailed).status_code == 204
    assert audit_trail.story() == [told("account.verify", at="activation", **BOB)]
    assert api.post("/users/activation/", link("bob")).status_code == 403
    why = {"audit__reason": "code_reused", "error__type": "stale_token"}
    assert audit_trail.story() == [told("account.verify", "failure", at="activation", **why, **BOB)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"token": WRONG}, {"error__type": "invalid_token", **BOB}),
        ({"uid": "OTk"}, {"error__type": "invalid_uid"}),
    ],
)
def test_activation_refused(api: Any, audit_trail: AuditTrail, change: dict[str, str], why: dict[str, str]) -> None:
    """A link that was not mailed."""
    assert api.post("/users/activation/", {**link("bob"), **change}).status_code == 400
    assert audit_trail.story() == [told("account.verify", "failure", at="activation", audit__reason="invalid_code", **why)]


def test_activation_mail_again(api: Any, audit_trail: AuditTrail, setting: Setting) -> None:
    """For bob, who is not active; not for ann; not at all where djoser sends none."""
    setting(SEND_ACTIVATION_EMAIL=True)
    bob = {"audit__identity": "bob@example.org", **BOB}
    api.post("/users/resend_activation/", {"email": "bob@example.org"})
    assert audit_trail.story() == [told("account.verify_request", at="resend_activation", **bob)]
    api.post("/users/resend_activation/", {"email": "ann@example.org"})
    why = {"audit__identity": "ann@example.org", "audit__reason": "unknown_identity"}
    assert audit_trail.story() == [told("account.verify_request", "failure", at="resend_activation", **why)]
    setting(SEND_ACTIVATION_EMAIL=False)
    assert api.post("/users/resend_activation/", {"email": "bob@example.org"}).status_code == 400
    why = {"audit__reason": "policy_denied"}
    assert audit_trail.story() == [told("account.verify_request", "failure", at="resend_activation", **bob, **why)]


# Passwords


def test_change_password(ann: Any, audit_trail: AuditTrail) -> None:
    """Django's own word about it is inside."""
    assert ann.post("/users/set_password/", {"new_password": NEW, "current_password": PASSWORD}).status_code == 204
    assert audit_trail.story() == [told("password.change", at="set_password", **ANN)]


@pytest.mark.parametrize(
    ("new", "current", "why"),
    [
        (NEW, WRONG, {"audit__reason": "wrong_password", "error__type": "invalid_password"}),
        ("abc", PASSWORD, {"audit__reason": "weak_password", "error__type": "invalid"}),
    ],
)
def test_change_password_refused(ann: Any, audit_trail: AuditTrail, new: str, current: str, why: dict[str, str]) -> None:
    """The old one is wrong, or the new one weak."""
    assert ann.post("/users/set_password/", {"new_password": new, "current_password": current}).status_code == 400
    assert audit_trail.story() == [told("password.change", "failure", at="set_password", **why, **ANN)]


def test_change_password_mistyped(ann: Any, audit_trail: AuditTrail, setting: Setting) -> None:
    """The new password twice, and not the same."""
    setting(SET_PASSWORD_RETYPE=True)
    body = {"new_password": NEW, "re_new_password": WRONG, "current_password": PASSWORD}
    assert ann.post("/users/set_password/", body).status_code == 400
    why = {"audit__reason": "password_mismatch", "error__type": "password_mismatch"}
    assert audit_trail.story() == [told("password.change", "failure", at="set_password", **why, **ANN)]


def test_change_password_and_sign_out(ann: Any, audit_trail: AuditTrail, setting: Setting) -> None:
    """Two things happened."""
    setting(LOGOUT_ON_PASSWORD_CHANGE=True)
    assert ann.post("/users/set_password/", {"new_password": NEW, "current_password": PASSWORD}).status_code == 204
    assert [one["event"] for one in audit_trail.story()] == ["auth.sign_out", "password.change"]


def test_reset_request(api: Any, audit_trail: AuditTrail) -> None:
    """The answer is the same for an address that nobody has; the record is not."""
    for address, outcome in (("ann@example.org", "success"), ("eve@example.org", "failure")):
        assert api.post("/users/reset_password/", {"email": address}).status_code == 204
        why = {**ANN} if outcome == "success" else {"audit__reason": "unknown_identity"}
        assert audit_trail.story() == [
            told("password.reset_request", outcome, at="reset_password", audit__identity=address, **why)
        ]


def test_reset_request_for_nobody_says_so(api: Any, audit_trail: AuditTrail, setting: Setting) -> None:
    """Where djoser tells the client."""
    setting(PASSWORD_RESET_SHOW_EMAIL_NOT_FOUND=True)
    assert api.post("/users/reset_password/", {"email": "eve@example.org"}).status_code == 400
    why = {"audit__identity": "eve@example.org", "audit__reason": "unknown_identity", "error__type": "email_not_found"}
    assert audit_trail.story() == [told("password.reset_request", "failure", at="reset_password", **why)]


def test_reset_request_without_a_mail_server(api: Any, audit_trail: AuditTrail, setting: Setting) -> None:
    """The mail is not sent."""
    setting(EMAIL={"password_reset": f"{__name__}.Away"})
    assert api.post("/users/reset_password/", {"email": "ann@example.org"}).status_code == 500
    why = {"audit__identity": "ann@example.org", "audit__reason": "send_failed", "error__type": "ConnectionRefusedError"}
    assert audit_trail.story() == [told("password.reset_request", "failure", at="reset_password", **why, **ANN)]


@pytest.mark.parametrize("body", [{}, {"email": "no address"}])
def test_reset_request_for_no_address(api: Any, audit_trail: AuditTrail, body: dict[str, str]) -> None:
    """Nothing was tried."""
    assert api.post("/users/reset_password/", body).status_code == 400
    assert audit_trail.story() == []


def test_reset(api: Any, audit_trail: AuditTrail) -> None:
    """The link of the mail; it works once."""
    mailed = link()
    for outcome in ("success", "failure"):
        api.post("/users/reset_password_confirm/", {**mailed, "new_password": NEW})
        why = {} if outcome == "success" else {"audit__reason": "invalid_code", "error__type": "invalid_token"}
        assert audit_trail.story() == [told("password.reset", outcome, at="reset_password_confirm", **why, **ANN)]


def test_reset_to_a_weak_password(api: Any, audit_trail: AuditTrail) -> None:
    """The password is looked at before the link, so whose it is, is not known."""
    assert api.post("/users/reset_password_confirm/", {**link(), "new_password": "abc"}).status_code == 400
    why = {"audit__reason": "weak_password", "error__type": "invalid"}
    assert audit_trail.story() == [told("password.reset", "failure", at="reset_password_confirm", **why)]


# Names and addresses


def test_rename(ann: Any, audit_trail: AuditTrail) -> None:
    """The new name is what was given."""
    assert ann.post("/users/set_username/", {"new_username": "anna", "current_password": PASSWORD}).status_code == 204
    facts = {"audit__identity": "anna", "audit__strategy": "password"}  # which was compared
    assert audit_trail.story() == [told("account.identity.change", at="set_username", **facts, **ANN)]


@pytest.mark.parametrize(
    ("name", "current", "why"),
    [
        ("anna", WRONG, {"audit__reason": "wrong_password", "error__type": "invalid_password"}),
        ("bob", PASSWORD, {"audit__reason": "identity_in_use", "error__type": "unique"}),
    ],
)
def test_rename_refused(ann: Any, audit_trail: AuditTrail, name: str, current: str, why: dict[str, str]) -> None:
    """The password is wrong, or the name taken."""
    assert ann.post("/users/set_username/", {"new_username": name, "current_password": current}).status_code == 400
    facts = {"audit__identity": name, "audit__strategy": "password", **why}
    assert audit_trail.story() == [told("account.identity.change", "failure", at="set_username", **facts, **ANN)]


def test_rename_by_link(api: Any, audit_trail: AuditTrail) -> None:
    """A mailed link that needs no password."""
    assert api.post("/users/reset_username_confirm/", {**link(), "new_username": "anna"}).status_code == 204
    assert audit_trail.story() == [told("account.identity.change", at="reset_username_confirm", audit__identity="anna", **ANN)]


def test_change_of_address(ann: Any, audit_trail: AuditTrail) -> None:
    """A new address; another field, or the same address again, is no event."""
    for body in ({"email": "ann@example.org"}, {}, {"email": "ann@example.net"}):
        assert ann.patch("/users/me/", body).status_code == 200
    more = {"audit__action": "change_email", "audit__identity": "ann@example.net", "method": "PATCH"}
    assert audit_trail.story() == [told("account.identity.change", at="me", **more, **ANN)]


# The end


def test_delete(ann: Any, audit_trail: AuditTrail) -> None:
    """Who deletes her own account is signed out first."""
    assert ann.delete("/users/me/", {"current_password": PASSWORD}).status_code == 204
    left, gone = audit_trail.story()
    assert left["event"] == "auth.sign_out"
    assert gone == told("account.delete", at="me", method="DELETE", **ANN)


def test_delete_somebody_else(api: Any, audit_trail: AuditTrail) -> None:
    """The subject is whose account it is, the actor who did it; both stay who they are where it is refused."""
    root = enter(api, audit_trail, "root")
    for secret, outcome in ((WRONG, "failure"), (PASSWORD, "success")):
        root.delete("/users/2/", {"current_password": secret})
        (one,) = audit_trail.story()
        facts = ("event", "audit.outcome", "user.id", "audit.actor.id", "audit.reason")
        reason = "wrong_password" if outcome == "failure" else None
        assert tuple(map(one.get, facts)) == ("account.delete", outcome, "auth.user:2", "auth.user:3", reason)


def test_delete_refused(ann: Any, audit_trail: AuditTrail) -> None:
    """The password is wrong."""
    assert ann.delete("/users/me/", {"current_password": WRONG}).status_code == 400
    why = {"audit__reason": "wrong_password", "error__type": "invalid_password", "audit__strategy": "password"}
    assert audit_trail.story() == [told("account.delete", "failure", at="me", method="DELETE", **why, **ANN)]
