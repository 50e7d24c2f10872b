"""Flask-Security: every door of the library, and every way of not coming in, from an application that does not know it is watched."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from importlib.metadata import distributions, version
from typing import Any, ClassVar

import pytest
from packaging.version import Version

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from . import web
from .authenticator import Authenticator
from .web import told

pytestmark = [
    pytest.mark.filterwarnings("ignore:passing settings to:DeprecationWarning"),  # passlib, of how the library hashes
    pytest.mark.filterwarnings("ignore:Passing SelectField choices:DeprecationWarning"),  # WTForms, of the library's forms
    pytest.mark.filterwarnings("ignore:The passwordless feature:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:'get_token_status':DeprecationWarning"),  # of the library's own, before 5.6
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),
]

DISTRIBUTION = next(name for name in ("Flask-Security", "Flask-Security-Too") if next(iter(distributions(name=name)), None))
"""It has two names."""
PASSWORD = "correct-horse-42-battery"
WRONG = "wrong-mule-17-accumulator"
OTHER = "another-donkey-99-cell"
USER = "tests.stories.apps.flask_security_app:User"
WHO = {"ann": "1", "bob": "2", "eve": "3"}


def since(release: str) -> bool:
    """Whether the library is at least of *release*."""
    return Version(version(DISTRIBUTION)) >= Version(release)


def record(event: str, outcome: str = "success", *, at: str, who: str = "", typed: str = "", **more: str) -> web.Record:
    """A whole record of the library's; *who* is whose account, *typed* an address."""
    facts = {"user__id": WHO[who], "audit__resource": USER} if who else {}
    identity = {"audit__identity": f"{typed}@example.org"} if typed else {}
    more = {"server__address": "localhost", **facts, **identity, **more}
    return web.record(more.pop("library", DISTRIBUTION), event, outcome, at=at, **more)


def by(verb: str, strategy: str) -> dict[str, str]:
    """Action and strategy."""
    return {"audit__action": f"{verb}_{strategy}", "audit__strategy": strategy}


SIGN_IN = by("sign_in_with", "password")
UNKNOWN = {"audit__strategy": "unknown"}
FIRST = "flow-1"


class Door:
    """A browser that speaks JSON, and the records of what it does."""

    def __init__(self, app: Any, mails: Any, trail: AuditTrail) -> None:
        self.browser = app.test_client()
        self.mails = mails
        self.trail = trail
        self.state = ""

    def post(self, path: str, **body: Any) -> Any:
        """Send *body*; what is in the answer."""
        response = self.browser.post(path, json=body, headers={"Accept": "application/json"})
        self.status = response.status_code
        return response.json.get("response") if response.is_json else None

    def told(self) -> list[web.Record]:
        """Records since last time, each of the first flow: one request of ours is one flow."""
        return [{**one, "audit.flow.id": FIRST} for one in told(self.trail)]

    def enter(self, name: str = "ann", password: str = PASSWORD) -> Any:
        """Sign in, untold."""
        answer = self.post("/login?include_auth_token", email=f"{name}@example.org", password=password)
        self.told()
        return answer

    def mail(self, name: str) -> Any:
        """What the last mail with something called *name* had."""
        return next(mail[name] for mail in reversed(self.mails.sent) if mail.get(name))


@pytest.fixture
def make(audit_trail: AuditTrail) -> Iterator[Any]:
    """Makes the application with options; imported here, so that the order of import and instrumentation is the run's."""
    from .apps.flask_security_app import create_app

    assert audit_trail.records == []
    made = []

    def make(**options: Any) -> Door:
        app, mails = create_app(PASSWORD, **options)
        made.append(app)
        audit_trail.story()
        return Door(app, mails, audit_trail)

    yield make
    for app in made:
        app.extensions["engine"].dispose()


@pytest.fixture
def door(make: Any) -> Door:
    """The application as it is."""
    made: Door = make()
    return made


class TestPassword:
    """Signing in with a password, proving it again, leaving."""

    def test_sign_in(self, door: Door) -> None:
        """The form, the hash, two functions and two signals are one record; a token that is handed out too is part of it."""
        door.post("/login?include_auth_token", email="ann@example.org", password=PASSWORD)
        assert door.told() == [record("auth.sign_in", at="/login", who="ann", typed="ann", **SIGN_IN)]
        door.trail.assert_no_secret(PASSWORD)

    def test_sign_in_by_form(self, door: Door) -> None:
        """The same where a browser sends a form and is sent on."""
        form = {"username": "annofthestory", "password": PASSWORD}
        assert door.browser.post("/login", data=form).status_code == 302
        assert door.told() == [record("auth.sign_in", at="/login", who="ann", audit__identity="annofthestory", **SIGN_IN)]

    @pytest.mark.parametrize(
        ("name", "password", "reason", "known"),
        [
            ("ann", WRONG, "wrong_password", True),
            ("zed", WRONG, "unknown_identity", False),
            ("bob", PASSWORD, "inactive_account", True),
            ("bob", WRONG, "wrong_password", True),
            ("ann", "", "invalid_input", False),
        ],
    )
    def test_refused(self, door: Door, name: str, password: str, reason: str, *, known: bool) -> None:
        """Every answer is the same to the visitor, and none is on the record."""
        door.post("/login", email=f"{name}@example.org", password=password)
        assert door.status == 400
        whose = {"who": name} if known else {}
        assert door.told() == [
            record("auth.sign_in", "failure", at="/login", typed=name, audit__reason=reason, **whose, **SIGN_IN)
        ]

    def test_unconfirmed(self, make: Any) -> None:
        """Right, and not yet welcome; then the link of a mail, twice, and one that nobody sent."""
        door = make(CONFIRMABLE=True)
        new = {"email": "new@example.org", "username": "newofthestory"}
        door.post("/register", **new, password=OTHER, password_confirm=OTHER)
        (registered,) = door.told()
        assert registered == record(
            "auth.register",
            at="/register",
            typed="new",
            **by("register_with", "password"),
            user__id=registered["user.id"],
            audit__resource=USER,
        )
        door.post("/login", email="new@example.org", password=OTHER)
        whose = {"typed": "new", "user__id": "4", "audit__resource": USER}
        assert door.told() == [
            record("auth.sign_in", "failure", at="/login", audit__reason="unverified_account", **whose, **SIGN_IN)
        ]
        door.post("/confirm", email="new@example.org")
        door.post("/confirm", email="zed@example.org")
        asked = {"audit__action": "request_confirmation", **UNKNOWN}
        assert door.told() == [
            record("account.verify_request", at="/confirm", user__id="4", audit__resource=USER, **asked),
            record("account.verify_request", "failure", at="/confirm", typed="zed", audit__reason="unknown_identity", **asked),
        ]
        link = door.mail("confirmation_token")
        for token in (link, link, "garbage"):
            door.browser.get(f"/confirm/{token}")
        opened = {"at": "/confirm/<token>", "method": "GET", "audit__action": "confirm", "audit__strategy": "magic_link"}
        assert door.told() == [
            record("account.verify", user__id="4", audit__resource=USER, **opened),
            record("account.verify", "failure", audit__reason="invalid_code", **opened),
        ]
        door.trail.assert_no_secret(link)

    def test_sign_out(self, door: Door) -> None:
        """Once; the session of nobody ends silently. Flask-Login tells it, by the account, not by the session's own id."""
        door.enter()
        door.post("/logout")
        door.post("/logout")
        facts = {"library": "Flask-Login", "audit__action": "sign_out", "audit__strategy": "session"}
        assert door.told() == [record("auth.sign_out", at="/logout", who="ann", **facts)]

    def test_proved_again(self, door: Door) -> None:
        """A wrong and a right password where a fresh one is wanted."""
        door.enter()
        door.post("/verify", password=WRONG)
        door.post("/verify?include_auth_token", password=PASSWORD)
        again = {"at": "/verify", "who": "ann", **by("reauthenticate_with", "password")}
        assert door.told() == [
            record("auth.reauthenticate", "failure", audit__reason="wrong_password", **again),
            record("auth.reauthenticate", **again),
        ]

    def test_browsing_is_silent(self, door: Door) -> None:
        """Pages with and without a session."""
        for _ in range(2):
            for path in ("/login", "/fresh", "/nowhere", "/token"):
                door.browser.get(path)
            assert door.told() == []
            door.enter()

    def test_remembered(self, door: Door) -> None:
        """A cookie of days ago signs in again; the account is the same as ever."""
        door.post("/login", email="ann@example.org", password=PASSWORD, remember=True)
        assert door.told() == [
            record("auth.sign_in", at="/login", who="ann", typed="ann", audit__params__remember="true", **SIGN_IN)
        ]
        door.browser.delete_cookie("session")
        assert door.browser.get("/fresh").status_code == 200
        facts = {"library": "Flask-Login", "method": "GET", **by("sign_in_with", "remember_me")}
        assert door.told() == [record("session.renew", at="/fresh", who="ann", **facts)]


class TestPasswords:
    """Passwords that change."""

    @pytest.mark.parametrize(
        ("old", "new", "again", "reason"),
        [
            (PASSWORD, OTHER, OTHER, ""),
            (WRONG, OTHER, OTHER, "wrong_password"),
            (PASSWORD, "short", "short", "weak_password"),
            (PASSWORD, OTHER, WRONG, "password_mismatch"),
            (PASSWORD, PASSWORD, PASSWORD, "invalid_input"),
        ],
    )
    def test_change(self, door: Door, old: str, new: str, again: str, reason: str) -> None:
        """The user is signed in again with it, which is no event."""
        door.enter()
        door.post("/change", password=old, new_password=new, new_password_confirm=again)
        facts = {"at": "/change", "who": "ann", "audit__action": "change_password", "audit__strategy": "password"}
        failed = {"outcome": "failure", "audit__reason": reason} if reason else {}
        assert door.told() == [record("password.change", **facts, **failed)]
        door.trail.assert_no_secret(PASSWORD, OTHER)

    def test_reset(self, make: Any) -> None:
        """Asked for, a weak one, a good one, the link once more, a link that nobody sent; then signed in by the mail."""
        door = make(AUTO_LOGIN_AFTER_RESET=False)
        for name in ("ann", "zed", "bob"):
            door.post("/reset", email=f"{name}@example.org")
            assert door.status == 200
        asked = {"at": "/reset", "audit__action": "request_password_reset_with_password", "audit__strategy": "password"}
        assert door.told() == [
            record("password.reset_request", who="ann", **asked),
            record("password.reset_request", "failure", typed="zed", audit__reason="unknown_identity", **asked),
            record("password.reset_request", "failure", typed="bob", who="bob", audit__reason="inactive_account", **asked),
        ]
        link = door.mail("reset_token")
        door.post(f"/reset/{link}", password="short", password_confirm="short")
        for token in (link, link, "garbage"):
            door.post(f"/reset/{token}", password=OTHER, password_confirm=OTHER)
        opened = {"at": "/reset/<token>", "audit__action": "password_reset_with_password", "audit__strategy": "password"}
        assert door.told() == [
            record("password.reset", "failure", who="ann", audit__reason="weak_password", **opened),
            record("password.reset", who="ann", **opened),
            record("password.reset", "failure", audit__reason="invalid_code", **opened),
            record("password.reset", "failure", audit__reason="invalid_code", **opened),
        ]
        door.trail.assert_no_secret(link, OTHER)

    def test_reset_request_that_cannot_be_sent(self, door: Door) -> None:
        """The mail server is down: nothing was sent, and the page breaks as it would without us."""
        door.mails.broken = True
        door.browser.application.config["PROPAGATE_EXCEPTIONS"] = False
        door.post("/reset", email="ann@example.org")
        assert (door.status, door.told()) == (500, [])

    def test_registration(self, door: Door) -> None:
        """A new account and its first sign-in are two things; a name that is taken, a weak password, two that differ."""
        door.browser.get("/register")
        new = {"username": "newofthestory", "email": "new@example.org"}
        door.post("/register", **new, password=OTHER, password_confirm=OTHER)
        registered, signed_in = door.told()
        assert registered["event"] == "auth.register"
        assert signed_in == record(
            "auth.sign_in", at="/register", user__id=registered["user.id"], audit__resource=USER, **by("sign_in_with", "session")
        )
        door.post("/logout")
        door.told()
        door.post("/register", **new, password=OTHER, password_confirm=OTHER)
        second = {"username": "secondofthestory", "email": "second@example.org"}
        door.post("/register", **second, password="short", password_confirm="short")
        if since("5.6"):  # JSON had no second password before
            door.post("/register", **second, password=OTHER, password_confirm=WRONG)
        refused = {"outcome": "failure", "at": "/register", **by("register_with", "password")}
        expected = [
            record("auth.register", typed="new", audit__reason="identity_in_use", **refused),
            record("auth.register", typed="second", audit__reason="weak_password", **refused),
            record("auth.register", typed="second", audit__reason="password_mismatch", **refused),
        ]
        assert door.told() == expected[: 3 if since("5.6") else 2]


class TestSecondFactor:
    """Codes, recovery codes, keys."""

    def set_up(self, door: Door) -> Any:
        """Give ann an authenticator; a generator of its codes."""
        import pyotp

        door.enter()
        asked = door.post("/tf-setup", setup="authenticator")
        totp = pyotp.TOTP(asked["tf_authr_key"].replace("-", "").replace(" ", ""))
        door.state = asked["tf_state_token"]
        return totp

    def test_set_up(self, door: Door) -> None:
        """A wrong code, a right one; then away with it."""
        totp = self.set_up(door)
        door.post(f"/tf-setup/{door.state}", code="000000")
        door.post(f"/tf-setup/{door.state}", code=totp.now())
        where = {"at": "/tf-setup/<token>", "who": "ann", "audit__strategy": "totp"}
        assert door.told() == [
            record("mfa.enroll", "failure", audit__action="confirm_setup_with_totp", audit__reason="mfa_invalid", **where),
            record("mfa.enroll", audit__action="setup_with_totp", audit__params__method="authenticator", **where),
        ]
        door.post("/tf-setup", setup="disable")
        assert door.told() == [record("mfa.remove", at="/tf-setup", who="ann", **by("remove", "otp"))]
        door.trail.assert_no_secret(totp.secret)

    def test_sign_in(self, door: Door) -> None:
        """The password alone signs nobody in; a wrong code, a code by mail, a right one."""
        totp = self.set_up(door)
        door.post(f"/tf-setup/{door.state}", code=totp.now())
        door.post("/logout")
        door.told()
        door.post("/login", email="ann@example.org", password=PASSWORD)
        first = record("auth.authenticate", at="/login", who="ann", typed="ann", **by("authenticate_with", "password"))
        assert door.told() == [first]
        door.post("/tf-validate", code="000000")
        door.post("/tf-rescue", help_setup="email")
        door.post("/tf-validate", code=totp.at(time.time() + 30))
        assert door.told() == [
            record(
                "mfa.verify", "failure", at="/tf-validate", who="ann", audit__reason="mfa_invalid", **by("verify_with", "totp")
            ),
            record("mfa.code.send", at="/tf-rescue", who="ann", audit__params__method="email", **by("request", "otp")),
            record("auth.sign_in", at="/tf-validate", who="ann", **by("sign_in_with", "totp")),
        ]

    def test_code_that_cannot_be_sent(self, door: Door) -> None:
        """The mail server is down."""
        totp = self.set_up(door)
        door.post(f"/tf-setup/{door.state}", code=totp.now())
        door.post("/logout")
        door.enter()
        door.mails.broken = True
        door.post("/tf-rescue", help_setup="email")
        assert door.told() == [
            record(
                "mfa.code.send",
                "failure",
                at="/tf-rescue",
                who="ann",
                audit__params__method="email",
                audit__reason="send_failed",
                error__type="ConnectionRefusedError",
                **by("request", "otp"),
            )
        ]

    def test_recovery_codes(self, door: Door) -> None:
        """Made, guessed, used, used again."""
        totp = self.set_up(door)
        door.post(f"/tf-setup/{door.state}", code=totp.now())
        door.told()
        codes = door.post("/mf-recovery-codes")["recovery_codes"]
        made = {"audit__action": "generate_recovery_codes", "audit__strategy": "recovery_code"}
        assert door.told() == [record("mfa.recovery_codes.generate", at="/mf-recovery-codes", who="ann", **made)]
        for _ in range(2):
            door.post("/logout")
            door.enter()
            door.post("/mf-recovery", code=codes[0])
        used = {"at": "/mf-recovery", "who": "ann"}
        refused = {"audit__reason": "mfa_invalid", **by("verify_with", "recovery_code")}
        assert door.told() == [record("mfa.recovery_code.use", "failure", **used, **refused)]
        door.trail.assert_no_secret(*codes)

    def test_recovery_code(self, door: Door) -> None:
        """One code is one sign-in."""
        totp = self.set_up(door)
        door.post(f"/tf-setup/{door.state}", code=totp.now())
        codes = door.post("/mf-recovery-codes")["recovery_codes"]
        door.post("/logout")
        door.enter()
        door.post("/mf-recovery", code=codes[0])
        assert door.told() == [record("auth.sign_in", at="/mf-recovery", who="ann", **by("sign_in_with", "recovery_code"))]


class TestKeys:
    """Passkeys: stored, used, wrong, removed. The form and py_webauthn inside it are one event."""

    KEY: ClassVar = {"audit__token__id": "token-1"}

    def ask(self, door: Door, path: str, **body: Any) -> tuple[str, str]:
        """Where to send the answer, and the challenge."""
        asked = door.post(path, **body)
        return f"{path}/{asked['wan_state']}", asked["credential_options"]["challenge"]

    def store(self, door: Door) -> Authenticator:
        """Give ann a key."""
        door.enter()
        key = Authenticator("localhost", "http://localhost")
        where, challenge = self.ask(door, "/wan-register", name="my key", usage="first")
        door.post(where, credential=json.dumps(key.attest(challenge)))
        return key

    def test_stored_and_removed(self, door: Door) -> None:
        """An answer to another challenge, a right one; away with it."""
        self.store(door)
        where, _ = self.ask(door, "/wan-register", name="another", usage="first")
        key = Authenticator("localhost", "http://localhost")
        door.post(where, credential=json.dumps(key.attest("bm90IHRoaXM")))
        door.post("/wan-delete", name="my key")
        facts = {"audit__strategy": "webauthn", "audit__params__usage": "first", "audit__action": "store_webauthn_credential"}
        model = {"audit__params__aaguid": "00000000-0000-0000-0000-000000000000", "audit__params__user_verified": "true"}
        refused = {"audit__reason": "nonce_mismatch", "error__type": "InvalidRegistrationResponse", "audit__token__id": "token-2"}
        removed = {"audit__strategy": "webauthn", "audit__action": "delete_webauthn_credential"}
        assert door.told() == [
            record("mfa.enroll", at="/wan-register/<token>", who="ann", **facts, **model, **self.KEY),
            record("mfa.enroll", "failure", at="/wan-register/<token>", who="ann", **facts, **refused),
            record("mfa.remove", at="/wan-delete", who="ann", **removed),
        ]

    def test_sign_in(self, door: Door) -> None:
        """A key that nobody has, an answer to another challenge, a right one."""
        key = self.store(door)
        door.post("/logout")
        door.told()
        for signer, said in ((Authenticator(key.rp_id, key.origin), ""), (key, "bm90IHRoaXM"), (key, "")):
            where, challenge = self.ask(door, "/wan-signin")
            door.post(where, credential=json.dumps(signer.sign(said or challenge)))
        facts = {"at": "/wan-signin/<token>", **by("sign_in_with", "webauthn")}
        wrong = {"audit__reason": "nonce_mismatch", "error__type": "InvalidAuthenticationResponse"}
        unknown, refused, signed_in = door.told()
        assert unknown == record("auth.sign_in", "failure", audit__reason="unknown_identity", **facts)
        assert refused == record("auth.sign_in", "failure", who="ann", **facts, **wrong, **self.KEY)
        signed_in.pop("audit.params.user_verified", None)  # since py_webauthn 2.5
        assert signed_in == record("auth.sign_in", who="ann", **facts, **self.KEY)

    def test_proved_again(self, door: Door) -> None:
        """With a key, and with somebody else's."""
        key = self.store(door)
        door.told()
        where, challenge = self.ask(door, "/wan-verify")
        door.post(where, credential=json.dumps(key.sign(challenge)))
        facts = {"at": "/wan-verify/<token>", **by("reauthenticate_with", "webauthn")}
        (again,) = door.told()
        again.pop("audit.params.user_verified", None)
        assert again == record("auth.reauthenticate", who="ann", **facts, **self.KEY)
        door.post("/logout")
        door.enter("eve")
        where, challenge = self.ask(door, "/wan-verify")
        door.post(where, credential=json.dumps(key.sign(challenge)))
        (refused,) = door.told()
        refused.pop("audit.params.user_verified", None)
        assert refused == record(
            "auth.reauthenticate",
            "failure",
            audit__reason="invalid_credentials",
            user__id="3",
            audit__resource=USER,
            **facts,
            **self.KEY,
        )


class TestUnified:
    """One form for passwords and codes, and links by mail."""

    @pytest.fixture
    def door(self, make: Any) -> Door:
        """With unified sign-in."""
        made: Door = make(UNIFIED_SIGNIN=True)
        return made

    def with_mail(self, door: Door) -> None:
        """Let ann sign in by mail."""
        door.enter()
        state = door.post("/us-setup", chosen_method="email")["state"]
        door.post(f"/us-setup/{state}", passcode="000000")
        door.post(f"/us-setup/{state}", passcode=door.mail("login_token"))

    @pytest.mark.parametrize(
        ("name", "passcode", "reason", "strategy"),
        [
            ("ann", PASSWORD, "", "password"),
            ("ann", WRONG, "wrong_password", "password"),
            ("zed", WRONG, "unknown_identity", "unknown"),
            ("bob", PASSWORD, "inactive_account", "unknown"),
        ],
    )
    def test_password(self, door: Door, name: str, passcode: str, reason: str, strategy: str) -> None:
        """What was typed may have been a password or a code; it is a password if one was compared."""
        door.post("/us-signin", identity=f"{name}@example.org", passcode=passcode)
        failed = {"outcome": "failure", "audit__reason": reason} if reason else {}
        whose = {"who": name} if name in WHO else {}
        assert door.told() == [
            record("auth.sign_in", at="/us-signin", typed=name, **whose, **failed, **by("sign_in_with", strategy))
        ]

    def test_set_up(self, door: Door) -> None:
        """A code is sent, a wrong one comes back, a right one; away with it."""
        self.with_mail(door)
        door.post("/us-verify", passcode=PASSWORD)
        door.post("/us-setup", delete_method=["email"])
        sent = {"at": "/us-setup", "who": "ann", "audit__params__method": "email"}
        checked = {"at": "/us-setup/<token>", "who": "ann", **by("setup_with", "otp")}
        assert door.told() == [
            record("mfa.code.send", **sent, **by("request", "otp")),
            record("mfa.enroll", "failure", audit__reason="mfa_invalid", **checked),
            record("mfa.enroll", audit__params__method="email", **checked),
            record("auth.reauthenticate", at="/us-verify", who="ann", **by("reauthenticate_with", "password")),
            record("mfa.remove", **sent, **by("remove", "otp")),
        ]

    def test_code_and_link(self, door: Door) -> None:
        """Asked for by ann and by nobody; a wrong link, a right one; the code itself."""
        self.with_mail(door)
        door.post("/logout")
        door.told()
        door.post("/us-signin/send-code", identity="ann@example.org", chosen_method="email")
        door.post("/us-signin/send-code", identity="zed@example.org", chosen_method="email")
        asked = {"at": "/us-signin/send-code", **by("request", "magic_link")}
        assert door.told() == [
            record("auth.magic_link.request", who="ann", audit__params__method="email", **asked),
            record("auth.magic_link.request", "failure", typed="zed", audit__reason="unknown_identity", **asked),
        ]
        link, code = door.mail("login_link").removeprefix("http://localhost"), door.mail("login_token")
        door.browser.get(link.replace(code, "000000"))
        door.browser.get(link)
        opened = {"at": "/us-verify-link", "method": "GET", "who": "ann", **by("sign_in_with", "magic_link")}
        expected = [
            record("auth.sign_in", "failure", audit__reason="invalid_credentials", **opened),
            record("auth.sign_in", **opened),
        ]
        assert door.told() == expected[0 if since("5.8") else 1 :]  # told since 5.8
        door.trail.assert_no_secret(code)

    def test_code(self, door: Door) -> None:
        """The code of the mail, typed."""
        self.with_mail(door)
        door.post("/logout")
        door.post("/us-signin/send-code", identity="ann@example.org", chosen_method="email")
        door.told()
        door.post("/us-signin", identity="ann@example.org", passcode=door.mail("login_token"))
        (one,) = door.told()
        assert one == record(
            "auth.sign_in",
            at="/us-signin",
            who="ann",
            typed="ann",
            **by("sign_in_with", "otp"),
            **({"audit__attempts": one["audit.attempts"]} if "audit.attempts" in one else {}),
        )


def test_passwordless(make: Any) -> None:
    """A link is asked for by ann, by nobody and by bob, who may not; it signs in, and one that nobody sent does not."""
    door = make(PASSWORDLESS=True, USERNAME_ENABLE=False, CHANGE_USERNAME=False, RETURN_GENERIC_RESPONSES=False)
    for name in ("ann", "zed", "bob"):
        door.post("/login", email=f"{name}@example.org")
    asked = {"at": "/login", **by("request", "magic_link")}
    assert door.told() == [
        record("auth.magic_link.request", who="ann", **asked),
        record("auth.magic_link.request", "failure", typed="zed", audit__reason="unknown_identity", **asked),
        record("auth.magic_link.request", "failure", typed="bob", who="bob", audit__reason="inactive_account", **asked),
    ]
    link = door.mail("login_token")
    door.browser.get("/login/garbage")
    door.browser.get(f"/login/{link}")
    opened = {"at": "/login/<token>", "method": "GET", **by("sign_in_with", "magic_link")}
    assert door.told() == [
        record("auth.sign_in", "failure", audit__reason="invalid_code", **opened),
        record("auth.sign_in", who="ann", **opened),
    ]
    door.trail.assert_no_secret(link)


class TestTokens:
    """Credentials that requests carry."""

    def test_token(self, door: Door) -> None:
        """A good one and none are silent; a garbled one is refused."""
        token = door.enter()["user"]["authentication_token"]
        door.post("/logout")
        door.told()
        for shown in (token, None, token[:-3], "garbage"):
            door.browser.get("/token", headers={"Authentication-Token": shown} if shown else {})
        facts = {"at": "/token", "method": "GET", "audit__reason": "token_bad_signature", **by("verify_with", "token")}
        assert door.told() == [record("auth.verify", "failure", **facts), record("auth.verify", "failure", **facts)]
        door.trail.assert_no_secret(token)

    def test_basic(self, door: Door) -> None:
        """A right password and none are silent; wrong ones, unknown and disabled users are not."""
        for shown in (("ann@example.org", PASSWORD), None, ("ann@example.org", WRONG), ("zed@example.org", WRONG)):
            door.browser.get("/basic", auth=shown)
        door.browser.get("/basic", auth=("bob@example.org", PASSWORD))
        facts = {"at": "/basic", "method": "GET", **by("verify_with", "basic")}
        assert door.told() == [
            record("auth.verify", "failure", typed="ann", audit__reason="wrong_password", **facts),
            record("auth.verify", "failure", typed="zed", audit__reason="unknown_identity", **facts),
            record("auth.verify", "failure", typed="bob", audit__reason="invalid_credentials", **facts),
        ]

    class TestEverythingRecorded:
        """Options `request_auth=all` and the refreshes."""

        @pytest.fixture
        def audit_trail_options(self) -> dict[str, Any]:
            """Successes too."""
            return {"request_auth": "all", "include_events": "token.refresh", "identity_privacy_mode": "none"}

        def test_carried(self, door: Door) -> None:
            """Whose they are."""
            token = door.enter()["user"]["authentication_token"]
            door.post("/logout")
            door.told()
            door.browser.get("/basic", auth=("ann@example.org", PASSWORD))
            door.browser.get("/token", headers={"Authentication-Token": token})
            basic, *rest = door.told()
            facts = {"at": "/basic", "method": "GET", **by("verify_with", "basic")}
            assert basic == record("auth.verify", who="ann", typed="ann", **facts)
            carried = {"library": "Flask-Login", "at": "/token", "method": "GET", **by("verify_with", "custom")}
            assert rest == [record("auth.verify", who="ann", **carried)]

        def test_refresh(self, make: Any) -> None:
            """A token for a token; garbage; one that was used up, and with it all of its family."""
            from .apps.flask_security_app import REFRESHES

            if not REFRESHES:
                pytest.skip("since Flask-Security 5.9")
            door = make(REFRESH_TOKEN=True)
            first = door.enter()["user"]["refresh_token"]
            second = door.post("/refresh-token", refresh_token=first)["user"]["refresh_token"]
            for token in ("garbage", first, second):
                door.post("/refresh-token", refresh_token=token)
            at = {"at": "/refresh-token"}
            facts = {"audit__action": "refresh_token", "audit__strategy": "token", **at}
            reused = {"audit__action": "reuse_token", "audit__strategy": "token", "audit__reason": "token_reused", **at}
            revoked = {"audit__action": "revoke_token", "audit__strategy": "token", **at}
            assert door.told() == [
                record("token.refresh", who="ann", **facts),
                record("token.refresh", "failure", audit__reason="token_malformed", error__type="INVALID", **facts),
                record("token.reuse", "failure", who="ann", error__type="GEN_MISMATCH", **reused),
                record("token.revoke", who="ann", **revoked),
                record("token.refresh", "failure", who="ann", audit__reason="token_revoked", error__type="REVOKED", **facts),
            ]
            door.trail.assert_no_secret(first, second)


class TestAccounts:
    """What users and administrators do to accounts."""

    def test_new_address_and_name(self, door: Door) -> None:
        """A mail to the new address, its link, the link again, another name."""
        door.enter()
        door.post("/change-email", email="annie@example.org")
        link = door.mail("token")
        door.browser.get(f"/change-email/{link}")
        door.browser.get(f"/change-email/{link}")
        door.post("/change-username", username="annieofthestory")
        asked = {"at": "/change-email", "who": "ann", "audit__action": "request_confirmation", **UNKNOWN}
        opened = {"at": "/change-email/<token>", "method": "GET", **by("change_email", "magic_link")}
        opened["audit__action"] = "change_email"
        named = {"at": "/change-username", "who": "ann", "audit__action": "change_username", **UNKNOWN}
        expected = [
            record("account.verify_request", **asked),
            record("account.identity.change", who="ann", **opened),
            record("account.identity.change", "failure", audit__reason="invalid_code", **opened),
            record("account.identity.change", **named),
        ]
        assert door.told() == expected[: 4 if since("5.6") else 3]  # names change since 5.6

    @pytest.mark.parametrize(
        ("verb", "event", "action", "more"),
        [
            ("password", "password.set", "set_password", {"audit__strategy": "password"}),
            ("role", "account.role.change", "change_role", {"audit__params__role": "admin", "audit__params__change": "add"}),
            ("deactivate", "account.disable", "disable", {}),
            ("toggle", "account.disable", "disable", {}),
            ("delete", "account.delete", "destroy", {}),
        ],
    )
    def test_administrator(self, door: Door, verb: str, event: str, action: str, more: dict[str, str]) -> None:
        """Who did it is beside whose account it is."""
        door.enter("eve")
        door.post(f"/admin/{verb}/ann")
        facts = {"at": "/admin/<verb>/<name>", "audit__action": action, "audit__actor__id": "3", "audit__actor__type": "user"}
        assert door.told() == [record(event, who="ann", **{**UNKNOWN, **facts, **more})]

    def test_nothing_changes(self, door: Door) -> None:
        """A role that is there, an account that is active."""
        door.enter("eve")
        door.post("/admin/no-role/ann")
        door.post("/admin/activate/ann")
        assert door.told() == []
        door.post("/admin/activate/bob")
        assert [one["event"] for one in door.told()] == ["account.enable"]
