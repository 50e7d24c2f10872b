"""ldap3: binds to a real directory, in every strategy of the library and in the usual ways of an application."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from ..ports import free_port
from .ldap_server import (
    ADMIN,
    ADMIN_PASSWORD,
    BASE,
    SERVICE,
    SERVICE_PASSWORD,
    Directory,
    active_directory,
    serve,
    slapd,
)

Record = dict[str, str]
LIBRARY = f"ldap3 {version('ldap3')}"
ANN = f"uid=ann,{BASE}"
BOB = f"uid=bob,{BASE}"
RIGHT = "correct-horse-42-battery"
WRONG = "wrong-otter-17-lantern"

pytestmark = [
    pytest.mark.skipif(slapd() is None, reason="needs OpenLDAP's server (Debian: apt-get install slapd)"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ldap3", "ignore::DeprecationWarning:pyasn1"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def _lost_sockets() -> Iterator[None]:
    """Connections that restart leave their former socket to the garbage collector, which is to find it now."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """A directory with two people."""
    with serve(tmp_path_factory.mktemp("ldap"), {"ann": RIGHT, "bob": RIGHT}) as running:
        yield running


def record(event: str, outcome: str = "success", **more: str) -> Record:
    """A whole record of a script: what is constant, and *more* with `__` for dots."""
    constant = {"event": event, "audit.outcome": outcome, "audit.library": LIBRARY, "audit.strategy": "ldap"}
    return {**constant, **{name.replace("__", "."): value for name, value in more.items()}}


def accepted(dn: str, **more: str) -> Record:
    """A bind that the directory accepted."""
    facts = {"audit__action": "authenticate_with_ldap", "user__id": dn, "audit__identity": dn}
    return record("auth.authenticate", **{**facts, **more})


def refused(dn: str, reason: str, error: str, **more: str) -> Record:
    """A bind that the directory refused."""
    facts = {"audit__action": "authenticate_with_ldap", "audit__identity": dn, "audit__reason": reason, "error__type": error}
    return record("auth.authenticate", "failure", **{**facts, **more})


@pytest.fixture
def connect(directory: Directory, audit_trail: AuditTrail) -> Iterator[Any]:
    """Makes connections, and closes them in the end; the library is imported here, so that the order of import is the run's."""
    from ldap3 import Connection, Server

    made = []

    def connect(user: str | None = ANN, password: str | None = RIGHT, url: str = directory.url, **options: Any) -> Any:
        made.append(Connection(Server(url), user, password, **options))
        return made[-1]

    yield connect
    for connection in made:
        connection.unbind()


class TestBind:
    """A script that binds."""

    @pytest.mark.parametrize("strategy", ["SYNC", "SAFE_SYNC", "ASYNC", "RESTARTABLE", "SAFE_RESTARTABLE"])
    def test_every_strategy(self, connect: Any, audit_trail: AuditTrail, strategy: str) -> None:
        """A right and a wrong password are one record each, whatever the strategy returns."""
        for password in (RIGHT, WRONG):
            connect(password=password, client_strategy=strategy).bind()
        assert audit_trail.story() == [accepted(ANN), refused(ANN, "invalid_credentials", "invalidCredentials")]

    def test_automatic(self, connect: Any, audit_trail: AuditTrail) -> None:
        """A connection that binds as it is made, and raises where it cannot."""
        from ldap3.core.exceptions import LDAPBindError

        connect(auto_bind=True)
        with pytest.raises(LDAPBindError):
            connect(password=WRONG, auto_bind=True)
        assert audit_trail.story() == [accepted(ANN), refused(ANN, "invalid_credentials", "invalidCredentials")]

    def test_exceptions(self, connect: Any, audit_trail: AuditTrail) -> None:
        """Option `raise_exceptions`: the exception carries the result."""
        from ldap3.core.exceptions import LDAPInvalidCredentialsResult, LDAPInvalidDNSyntaxResult

        with pytest.raises(LDAPInvalidCredentialsResult):
            connect(password=WRONG, raise_exceptions=True).bind()
        with pytest.raises(LDAPInvalidDNSyntaxResult):
            connect(user="ann", raise_exceptions=True).bind()
        assert audit_trail.story() == [
            refused(ANN, "invalid_credentials", "LDAPInvalidCredentialsResult"),
            refused("ann", "invalid_input", "LDAPInvalidDNSyntaxResult"),
        ]

    def test_context(self, connect: Any, audit_trail: AuditTrail) -> None:
        """A `with` block binds at its beginning, once."""
        with connect() as connection:
            connection.search(BASE, "(uid=ann)")
        assert audit_trail.story() == [accepted(ANN)]

    def test_unknown_person(self, connect: Any, audit_trail: AuditTrail) -> None:
        """The directory does not say whether there is such an entry, or whether it has a password, nor do we."""
        for dn in (f"uid=zed,{BASE}", BASE):
            connect(user=dn).bind()
        assert audit_trail.story() == [
            refused(f"uid=zed,{BASE}", "invalid_credentials", "invalidCredentials"),
            refused(BASE, "invalid_credentials", "invalidCredentials"),
        ]

    def test_empty_password(self, connect: Any, audit_trail: AuditTrail) -> None:
        """The library refuses to send what a server could take for an anonymous bind."""
        from ldap3.core.exceptions import LDAPPasswordIsMandatoryError

        with pytest.raises(LDAPPasswordIsMandatoryError):
            connect(password="").bind()
        assert audit_trail.story() == [refused(ANN, "invalid_input", "LDAPPasswordIsMandatoryError")]

    def test_anonymous(self, connect: Any, audit_trail: AuditTrail) -> None:
        """Nobody says to be anybody: no event."""
        assert connect(None, None).bind()
        connect(None, None, auto_bind=True)
        assert audit_trail.story() == []

    def test_file_instead_of_a_server(self, connect: Any, audit_trail: AuditTrail) -> None:
        """The LDIF strategy writes down what it would have asked: nobody answers."""
        connect(client_strategy="LDIF").bind()
        assert audit_trail.story() == []

    @pytest.mark.parametrize("auto_bind", [True, False])
    def test_server_that_is_not_there(self, connect: Any, audit_trail: AuditTrail, auto_bind: bool) -> None:
        """Nobody knows whether the password was right."""
        from ldap3.core.exceptions import LDAPSocketOpenError

        with pytest.raises(LDAPSocketOpenError):
            connect(url=f"ldap://127.0.0.1:{free_port()}", auto_bind=auto_bind).bind()
        lost = record("auth.authenticate", "unknown", audit__action="authenticate_with_ldap", audit__identity=ANN)
        assert audit_trail.story() == [{**lost, "audit.reason": "backend_error", "error.type": "LDAPSocketOpenError"}]

    def test_rebind(self, connect: Any, audit_trail: AuditTrail) -> None:
        """A script that becomes somebody else on one connection: each is told."""
        connection = connect(auto_bind=True)
        connection.rebind(BOB, RIGHT)
        connection.rebind(BOB, WRONG)
        assert audit_trail.story() == [
            accepted(ANN),
            accepted(BOB),
            refused(BOB, "invalid_credentials", "invalidCredentials"),
        ]


class TestLazy:
    """A connection that binds when it is first used."""

    @pytest.mark.parametrize("strategy", ["SYNC", "SAFE_SYNC"])
    def test_bind_is_told_when_it_happens(self, connect: Any, audit_trail: AuditTrail, strategy: str) -> None:
        """`bind` says True without having asked anybody: no success."""
        connection = connect(lazy=True, client_strategy=strategy)
        assert connection.bind()
        assert audit_trail.story() == []
        connection.search(BASE, "(uid=ann)")
        connection.search(BASE, "(uid=bob)")
        assert audit_trail.story() == [accepted(ANN)]

    def test_bind_that_fails_when_it_happens(self, connect: Any, audit_trail: AuditTrail) -> None:
        """The wrong password is found out by the search."""
        connection = connect(password=WRONG, lazy=True, auto_bind=True)
        assert connection.rebind(ANN, WRONG)
        assert audit_trail.story() == []
        connection.search(BASE, "(uid=ann)")
        assert audit_trail.story() == [refused(ANN, "invalid_credentials", "invalidCredentials")]

    def test_bind_that_never_happens(self, connect: Any, audit_trail: AuditTrail) -> None:
        """A lazy connection that is not used proves nothing."""
        with connect(password=WRONG, lazy=True):
            pass
        assert audit_trail.story() == []


class TestReconnection:
    """Connections that look after themselves."""

    def test_restartable_binds_again(self, tmp_path: Path, connect: Any, audit_trail: AuditTrail) -> None:
        """What the library does by itself after the server was away is nobody's sign-in."""
        with serve(tmp_path / "first", {"ann": RIGHT}) as first:
            connection = connect(url=first.url, client_strategy="RESTARTABLE", auto_bind=True)
            connection.strategy.restartable_sleep_time = 0
        with serve(tmp_path / "second", {"ann": RIGHT}, port=first.port):
            assert connection.search(BASE, "(uid=ann)")
        assert audit_trail.story() == [accepted(ANN)]

    def test_pool(self, connect: Any, audit_trail: AuditTrail) -> None:
        """A pool checks the credentials once; its threads then bind with what was told."""
        connection = connect(client_strategy="REUSABLE", pool_name="story", pool_size=2)
        assert connection.bind()
        for _ in range(4):
            connection.get_response(connection.search(BASE, "(uid=ann)"))
        assert audit_trail.story() == [accepted(ANN)]

    def test_pool_with_a_wrong_password(self, connect: Any, audit_trail: AuditTrail) -> None:
        """Nothing is told twice of a failure either."""
        connection = connect(password=WRONG, client_strategy="REUSABLE", pool_name="wrong", pool_size=2)
        assert not connection.bind()
        assert audit_trail.story() == [refused(ANN, "invalid_credentials", "invalidCredentials")]


class TestSasl:
    """Mechanisms beside a name and a password."""

    def test_digest(self, connect: Any, audit_trail: AuditTrail) -> None:
        """The name is one of the credentials; the mechanism is on the record."""
        for password in (RIGHT, WRONG):
            credentials = (None, "ann", password, None)
            connect(None, None, authentication="SASL", sasl_mechanism="DIGEST-MD5", sasl_credentials=credentials).bind()
        told = {"audit__params__mechanism": "DIGEST-MD5"}
        failed = refused("ann", "invalid_credentials", "invalidCredentials", **told)
        assert audit_trail.story() == [accepted("ann", **told), failed]

    def test_plain(self, connect: Any, audit_trail: AuditTrail) -> None:
        """As DIGEST-MD5, for servers that keep no password in clear."""
        credentials = (None, "ann", RIGHT)
        connect(None, None, authentication="SASL", sasl_mechanism="PLAIN", sasl_credentials=credentials).bind()
        assert audit_trail.story() == [accepted("ann", audit__params__mechanism="PLAIN")]

    def test_external(self, directory: Directory, connect: Any, audit_trail: AuditTrail) -> None:
        """Over the Unix socket the server knows the process: a success of nobody that we could name."""
        external = {"authentication": "SASL", "sasl_mechanism": "EXTERNAL", "sasl_credentials": ""}
        assert connect(None, None, url=directory.socket, **external).bind()
        told = record("auth.authenticate", audit__action="authenticate_with_ldap", audit__params__mechanism="EXTERNAL")
        assert audit_trail.story() == [told]

    def test_unknown_mechanism(self, connect: Any, audit_trail: AuditTrail) -> None:
        """The library does not know it: nothing was asked, nothing is known."""
        from ldap3.core.exceptions import LDAPSASLMechanismNotSupportedError

        with pytest.raises(LDAPSASLMechanismNotSupportedError):
            connect(None, None, authentication="SASL", sasl_mechanism="OTP", sasl_credentials=()).bind()
        (told,) = audit_trail.story()
        assert (told["audit.outcome"], told["error.type"]) == ("unknown", "LDAPSASLMechanismNotSupportedError")


class TestPassword:
    """Passwords kept in the directory."""

    @pytest.fixture
    def people(self, tmp_path: Path) -> Iterator[Directory]:
        """A directory for this test alone."""
        with serve(tmp_path / "ldap", {"ann": RIGHT, "bob": RIGHT}) as running:
            yield running

    def changed(self, event: str, action: str, dn: str = ANN, outcome: str = "success", **more: str) -> Record:
        """What a change is told as."""
        return record(event, outcome, audit__action=action, user__id=dn, **more)

    def test_ones_own(self, people: Directory, connect: Any, audit_trail: AuditTrail) -> None:
        """With the old one at hand, or for oneself."""
        connection = connect(url=people.url, auto_bind=True)
        audit_trail.story()
        assert connection.extend.standard.modify_password(ANN, RIGHT, "new-maple-31-orbit")
        assert connection.extend.standard.modify_password(new_password="newer-maple-32-orbit")
        assert audit_trail.story() == [self.changed("password.change", "change_password")] * 2
        audit_trail.assert_no_secret(RIGHT, "new-maple-31-orbit", "newer-maple-32-orbit")

    @pytest.mark.parametrize("strategy", ["SYNC", "SAFE_SYNC", "ASYNC"])
    def test_wrong_old_password(self, people: Directory, connect: Any, audit_trail: AuditTrail, strategy: str) -> None:
        """OpenLDAP says so in words."""
        connection = connect(url=people.url, client_strategy=strategy)
        connection.bind()
        audit_trail.story()
        connection.extend.standard.modify_password(ANN, WRONG, "new-maple-31-orbit")
        (told,) = audit_trail.story()
        assert (told["event"], told["audit.outcome"], told["user.id"]) == ("password.change", "failure", ANN)

    def test_somebody_elses(self, people: Directory, connect: Any, audit_trail: AuditTrail) -> None:
        """Who may do it sets it, and is on the record."""
        connection = connect(ADMIN, ADMIN_PASSWORD, url=people.url, auto_bind=True)
        audit_trail.story()
        connection.extend.standard.modify_password(ANN, new_password="new-maple-31-orbit")
        by = {"audit__actor__id": ADMIN, "audit__actor__type": "user"}
        assert audit_trail.story() == [self.changed("password.set", "set_password", **by)]

    def test_without_permission(self, people: Directory, connect: Any, audit_trail: AuditTrail) -> None:
        """Bob may not set ann's."""
        connection = connect(BOB, url=people.url, auto_bind=True)
        audit_trail.story()
        assert not connection.extend.standard.modify_password(ANN, new_password="new-maple-31-orbit")
        (told,) = audit_trail.story()
        assert (told["audit.outcome"], told["audit.reason"]) == ("failure", "permission_denied")
        assert (told["user.id"], told["audit.actor.id"]) == (ANN, BOB)

    def test_attribute(self, people: Directory, connect: Any, audit_trail: AuditTrail) -> None:
        """A password is an attribute like any other; other attributes are no events."""
        connection = connect(url=people.url, auto_bind=True)
        audit_trail.story()
        connection.modify(ANN, {"cn": [("MODIFY_REPLACE", ["Ann"])]})
        connection.modify(ANN, {"userPassword": [("MODIFY_DELETE", [RIGHT]), ("MODIFY_ADD", ["new-maple-31-orbit"])]})
        connection.modify(ANN, {"userPassword": [("MODIFY_REPLACE", ["newer-maple-32-orbit"])]})
        assert audit_trail.story() == [self.changed("password.change", "change_password")] * 2

    def test_active_directory(self, people: Directory, connect: Any, audit_trail: AuditTrail) -> None:
        """Microsoft's way; this server has no such attributes, so that all of it fails."""
        connection = connect(ADMIN, ADMIN_PASSWORD, url=people.url, auto_bind=True, check_names=False)
        audit_trail.story()
        assert not connection.extend.microsoft.modify_password(ANN, "new-maple-31-orbit")
        assert not connection.extend.microsoft.modify_password(ANN, "new-maple-31-orbit", old_password=RIGHT)
        connection.extend.microsoft.unlock_account(ANN)
        told = audit_trail.story()
        assert [(one["event"], one["user.id"], one["audit.actor.id"]) for one in told] == [
            ("password.set", ANN, ADMIN),
            ("password.change", ANN, ADMIN),
            ("account.unlock", ANN, ADMIN),
        ]
        assert {one["audit.outcome"] for one in told} == {"unknown"}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("525", "unknown_identity"),
        ("52e", "wrong_password"),
        ("532", "expired_password"),
        ("533", "inactive_account"),
        ("773", "expired_password"),
        ("775", "locked_account"),
        ("999", "invalid_credentials"),
    ],
)
def test_active_directory_says_why(connect: Any, audit_trail: AuditTrail, code: str, reason: str) -> None:
    """Its reason stands in the diagnostic message, which is not recorded."""
    with active_directory(code) as url:
        assert not connect("EXAMPLE\\ann", WRONG, url=url).bind()
    assert audit_trail.story() == [refused("EXAMPLE\\ann", reason, "invalidCredentials")]


def test_pretended_server(connect: Any, audit_trail: AuditTrail) -> None:
    """Applications test themselves with a strategy of the library that needs no server: it is told like one."""
    connection = connect("cn=ann", client_strategy="MOCK_SYNC")
    connection.strategy.add_entry("cn=ann", {"userPassword": RIGHT, "sn": "ann"})
    assert connection.bind()
    connection.rebind(password=WRONG)
    assert audit_trail.story() == [accepted("cn=ann"), refused("cn=ann", "invalid_credentials", "invalidCredentials")]


class TestApplication:
    """People who sign in to a web application with the directory's passwords."""

    @pytest.fixture
    def client(self, directory: Directory, audit_trail: AuditTrail) -> Iterator[Any]:
        """A browser."""
        from .apps.ldap3_app import create_app

        app = create_app(directory.url, BASE, (SERVICE, SERVICE_PASSWORD))
        assert audit_trail.story() == [accepted(SERVICE)]  # it keeps a connection, which it opens at its start
        with app.test_client() as made:
            yield made
        app.extensions["directory"].close()

    def told(self, event: str, outcome: str = "success", *, at: str, library: str = LIBRARY, **more: str) -> Record:
        """A record of the application."""
        request = {
            "audit.library": library,
            "client.address": "127.0.0.1",
            "network.peer.address": "127.0.0.1",
            "http.request.method": "POST",
            "server.address": "localhost",
            "http.route": at,
            "audit.flow.id": "flow-1",
        }
        return {**record(event, outcome, **more), **request}

    def story(self, audit_trail: AuditTrail) -> list[Record]:
        """The story, without the client's own user agent."""
        return [{name: value for name, value in one.items() if name != "user_agent.original"} for one in audit_trail.story()]

    def test_sign_in(self, client: Any, audit_trail: AuditTrail) -> None:
        """Service bind, search, the person's bind, `login_user`, signal: one record, of the application's user."""
        client.post("/login", data={"username": "ann", "password": RIGHT})
        assert self.story(audit_trail) == [
            self.told(
                "auth.sign_in",
                at="/login",
                library=f"flask-login {version('Flask-Login')}",
                audit__action="sign_in_with_ldap",
                user__id="1",
                audit__identity="ann",
                audit__resource="tests.stories.apps.ldap3_app:User",
            )
        ]

    def test_wrong_password(self, client: Any, audit_trail: AuditTrail) -> None:
        """The directory's answer is the failure; the service account is not told."""
        client.post("/login", data={"username": "ann", "password": WRONG})
        facts = {"audit__action": "sign_in_with_ldap", "audit__identity": ANN, "audit__reason": "invalid_credentials"}
        assert self.story(audit_trail) == [
            self.told("auth.sign_in", "failure", at="/login", error__type="invalidCredentials", **facts)
        ]

    def test_unknown_person(self, client: Any, audit_trail: AuditTrail) -> None:
        """The search found nobody: told as what was typed, not as the service account."""
        client.post("/login", data={"username": "zed", "password": WRONG})
        (told,) = self.story(audit_trail)
        assert (told["event"], told["audit.outcome"], told["audit.identity"]) == ("auth.sign_in", "failure", "zed")
        assert "user.id" not in told

    def test_unknown_person_without_a_login_library(self, client: Any, audit_trail: AuditTrail) -> None:
        """The name stands in the form, and the response refuses it: concluded."""
        client.post("/lookup", data={"username": "zed", "password": WRONG})
        facts = {"audit__action": "sign_in_with_ldap", "audit__identity": "zed", "audit__reason": "invalid_credentials"}
        assert self.story(audit_trail) == [self.told("auth.sign_in", "failure", at="/lookup", audit__inferred="true", **facts)]

    def test_service_account_alone(self, client: Any, audit_trail: AuditTrail) -> None:
        """No name, no password: what is known is that the service account bound."""
        client.get("/phonebook/ann")
        (told,) = self.story(audit_trail)
        assert (told["event"], told["audit.outcome"], told["user.id"]) == ("auth.authenticate", "success", SERVICE)

    def test_account_that_is_not_active(self, client: Any, audit_trail: AuditTrail) -> None:
        """Right password, and the application says no: one failure."""
        client.post("/login", data={"username": "bob", "password": RIGHT})
        (told,) = self.story(audit_trail)
        assert (told["audit.action"], told["audit.reason"], told["user.id"]) == ("sign_in_with_ldap", "inactive_account", "2")

    @pytest.mark.parametrize("at", ["/lookup", "/kept"])
    def test_search_then_bind(self, client: Any, audit_trail: AuditTrail, at: str) -> None:
        """No login library at all: the person, once; also where the connection goes back to the service account."""
        client.post(at, data={"username": "ann", "password": RIGHT})
        client.post(at, data={"username": "ann", "password": WRONG})
        good = self.told("auth.authenticate", at=at, audit__action="authenticate_with_ldap", user__id=ANN, audit__identity=ANN)
        facts = {"audit__action": "sign_in_with_ldap", "audit__identity": ANN, "audit__reason": "invalid_credentials"}
        bad = self.told("auth.sign_in", "failure", at=at, error__type="invalidCredentials", **facts)
        assert self.story(audit_trail) == [good, {**bad, "audit.flow.id": "flow-2"}]

    def test_direct_bind(self, client: Any, audit_trail: AuditTrail) -> None:
        """Right and refused all the same: the response says so."""
        client.post("/direct", data={"username": "bob", "password": RIGHT})
        facts = {"audit__action": "sign_in_with_ldap", "audit__identity": BOB, "user__id": BOB}
        reason = {"audit__reason": "rejected_after_verification"}
        assert self.story(audit_trail) == [self.told("auth.sign_in", "failure", at="/direct", **reason, **facts)]

    def test_nothing_secret(self, client: Any, audit_trail: AuditTrail) -> None:
        """Neither the people's passwords nor the service account's."""
        for at in ("/login", "/lookup", "/direct", "/kept"):
            for password in (RIGHT, WRONG):
                client.post(at, data={"username": "ann", "password": password})
        audit_trail.assert_no_secret(RIGHT, WRONG, SERVICE_PASSWORD)
