"""python-ldap: binds to a real directory, in every way the library has."""

from __future__ import annotations

import pickle
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

pytest.importorskip("_ldap", reason="needs python-ldap, which is compiled here (see scripts/venv.sh)")

Record = dict[str, str]
LIBRARY = f"python-ldap {version('python-ldap')}"
ANN = f"uid=ann,{BASE}"
BOB = f"uid=bob,{BASE}"
RIGHT = "correct-horse-42-battery"
WRONG = "wrong-otter-17-lantern"
NEW = "new-maple-31-orbit"

pytestmark = pytest.mark.skipif(slapd() is None, reason="needs OpenLDAP's server (Debian: apt-get install slapd)")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """A directory with two people."""
    with serve(tmp_path_factory.mktemp("ldap"), {"ann": RIGHT, "bob": RIGHT}) as running:
        yield running


@pytest.fixture
def connect(directory: Directory, audit_trail: AuditTrail) -> Any:
    """Makes connections; the library is imported here, so that the order of import is the run's."""
    import ldap

    def connect(url: str = directory.url, kind: str = "SimpleLDAPObject", **options: Any) -> Any:
        return getattr(ldap.ldapobject, kind)(url, **options)

    return connect


def record(event: str, outcome: str = "success", **more: str) -> Record:
    """A whole record of a script: what is constant, and *more* with `__` for dots."""
    constant = {"event": event, "audit.outcome": outcome, "audit.library": LIBRARY, "audit.strategy": "ldap"}
    return {**constant, **{name.replace("__", "."): value for name, value in more.items()}}


def accepted(dn: str, **more: str) -> Record:
    """A bind that the directory accepted."""
    facts = {"audit__action": "authenticate_with_ldap", "user__id": dn, "audit__identity": dn}
    return record("auth.authenticate", **{**facts, **more})


def refused(dn: str, reason: str = "invalid_credentials", error: str = "INVALID_CREDENTIALS", **more: str) -> Record:
    """A bind that the directory refused."""
    facts = {"audit__action": "authenticate_with_ldap", "audit__identity": dn, "audit__reason": reason, "error__type": error}
    return record("auth.authenticate", "failure", **{**facts, **more})


class TestBind:
    """A script that binds."""

    @pytest.mark.parametrize("kind", ["SimpleLDAPObject", "ReconnectLDAPObject"])
    @pytest.mark.parametrize("method", ["simple_bind_s", "bind_s"])
    def test_waiting(self, connect: Any, audit_trail: AuditTrail, kind: str, method: str) -> None:
        """Question and answer in one call: one record each."""
        import ldap

        getattr(connect(kind=kind), method)(ANN, RIGHT)
        with pytest.raises(ldap.INVALID_CREDENTIALS):
            getattr(connect(kind=kind), method)(who=ANN, cred=WRONG)
        assert audit_trail.story() == [accepted(ANN), refused(ANN)]

    @pytest.mark.parametrize("method", ["result", "result2", "result3", "result4"])
    def test_not_waiting(self, connect: Any, audit_trail: AuditTrail, method: str) -> None:
        """Nothing is told before the answer is there, and nothing twice."""
        import ldap

        connection = connect()
        number = connection.simple_bind(ANN, RIGHT)
        assert audit_trail.story() == []
        while getattr(connection, method)(number, timeout=0)[0] is None:
            pass
        with pytest.raises(ldap.INVALID_CREDENTIALS):
            getattr(connection, method)(connection.bind(ANN, WRONG, ldap.AUTH_SIMPLE))
        assert audit_trail.story() == [accepted(ANN), refused(ANN)]

    def test_answers_to_other_questions(self, connect: Any, audit_trail: AuditTrail) -> None:
        """The answer to a bind is told to whoever asks for any answer; those to searches are nobody's business."""
        connection = connect()
        connection.simple_bind(ANN, RIGHT)
        connection.result()
        connection.simple_bind(BOB, RIGHT)
        number = connection.search(BASE, 2, "(uid=ann)")
        connection.result(number)
        connection.result()
        connection.search_s(BASE, 2, "(uid=ann)")
        assert audit_trail.story() == [accepted(ANN), accepted(BOB)]

    def test_anonymous(self, connect: Any, audit_trail: AuditTrail) -> None:
        """Nobody says to be anybody: no event."""
        connect().simple_bind_s()
        connect(kind="ReconnectLDAPObject").simple_bind_s("", "")
        connect().bind_s("", "")
        assert audit_trail.story() == []

    def test_empty_password_refused(self, connect: Any, audit_trail: AuditTrail) -> None:
        """OpenLDAP does not take a name without a password for anything."""
        import ldap

        with pytest.raises(ldap.UNWILLING_TO_PERFORM):
            connect().simple_bind_s(ANN, "")
        assert audit_trail.story() == [refused(ANN, "policy_denied", "UNWILLING_TO_PERFORM")]

    def test_empty_password_accepted(self, tmp_path: Path, connect: Any, audit_trail: AuditTrail) -> None:
        """Where a server takes it, it is nobody's sign-in, though the application may believe so: the record says how."""
        with serve(tmp_path / "ldap", {"ann": RIGHT}, unauthenticated=True) as lax:
            for kind in ("SimpleLDAPObject", "ReconnectLDAPObject"):
                connect(lax.url, kind).simple_bind_s(ANN, "")
        told = record("auth.authenticate", audit__action="authenticate_with_anonymous", audit__identity=ANN)
        unproved = {**told, "audit.strategy": "anonymous", "audit.params.mechanism": "UNAUTHENTICATED"}
        assert audit_trail.story() == [unproved] * 2

    @pytest.mark.parametrize("kind", ["SimpleLDAPObject", "ReconnectLDAPObject"])
    def test_server_that_is_not_there(self, connect: Any, audit_trail: AuditTrail, kind: str) -> None:
        """Nobody knows whether the password was right."""
        import ldap

        options = {"retry_max": 2, "retry_delay": 0.01} if kind == "ReconnectLDAPObject" else {}
        with pytest.raises(ldap.SERVER_DOWN):
            connect(f"ldap://127.0.0.1:{free_port()}", kind, **options).simple_bind_s(ANN, RIGHT)
        lost = record("auth.authenticate", "unknown", audit__action="authenticate_with_ldap", audit__identity=ANN)
        assert audit_trail.story() == [{**lost, "audit.reason": "backend_error", "error.type": "SERVER_DOWN"}]

    def test_name_that_is_no_dn(self, connect: Any, audit_trail: AuditTrail) -> None:
        """The server cannot read it."""
        import ldap

        with pytest.raises(ldap.INVALID_DN_SYNTAX):
            connect().simple_bind_s("ann", RIGHT)
        assert audit_trail.story() == [refused("ann", "invalid_input", "INVALID_DN_SYNTAX")]


class TestReconnection:
    """Connections that look after themselves."""

    def test_bind_is_repeated(self, tmp_path: Path, connect: Any, audit_trail: AuditTrail) -> None:
        """What the library does by itself after the server was away is nobody's sign-in."""
        import ldap

        with serve(tmp_path / "first", {"ann": RIGHT}) as first:
            connection = connect(first.url, "ReconnectLDAPObject", retry_delay=0.01)
            connection.simple_bind_s(ANN, RIGHT)
        with pytest.raises(ldap.SERVER_DOWN):
            connection.search_s(BASE, 2, "(uid=ann)")
        with serve(tmp_path / "second", {"ann": RIGHT}, port=first.port):
            assert connection.search_s(BASE, 2, "(uid=ann)")
            assert pickle.loads(pickle.dumps(connection)).whoami_s() == f"dn:{ANN}"
        assert audit_trail.story() == [accepted(ANN)]

    def test_bind_that_fails_when_repeated(self, tmp_path: Path, connect: Any, audit_trail: AuditTrail) -> None:
        """The password was changed meanwhile: that is told."""
        import ldap

        with serve(tmp_path / "first", {"ann": RIGHT}) as first:
            connection = connect(first.url, "ReconnectLDAPObject", retry_delay=0.01)
            connection.simple_bind_s(ANN, RIGHT)
        with serve(tmp_path / "second", {"ann": NEW}, port=first.port), pytest.raises(ldap.INVALID_CREDENTIALS):
            connection.search_s(BASE, 2, "(uid=ann)")
        assert audit_trail.story() == [accepted(ANN), refused(ANN)]

    def test_bind_on_a_lost_connection(self, tmp_path: Path, connect: Any, audit_trail: AuditTrail) -> None:
        """The first try finds the connection gone, the second one counts."""
        with serve(tmp_path / "first", {"ann": RIGHT, "bob": RIGHT}) as first:
            connection = connect(first.url, "ReconnectLDAPObject", retry_delay=0.01)
            connection.simple_bind_s(ANN, RIGHT)
        with serve(tmp_path / "second", {"ann": RIGHT, "bob": RIGHT}, port=first.port):
            connection.simple_bind_s(BOB, RIGHT)
        assert audit_trail.story() == [accepted(ANN), accepted(BOB)]


class TestSasl:
    """Mechanisms beside a name and a password."""

    def test_digest(self, connect: Any, audit_trail: AuditTrail) -> None:
        """The name is one of the answers that the mechanism is given."""
        import ldap.sasl

        connect().sasl_interactive_bind_s("", ldap.sasl.digest_md5("ann", RIGHT))
        with pytest.raises(ldap.INVALID_CREDENTIALS):
            connect(kind="ReconnectLDAPObject").sasl_interactive_bind_s("", ldap.sasl.digest_md5("ann", WRONG))
        told = {"audit__params__mechanism": "DIGEST-MD5"}
        assert audit_trail.story() == [accepted("ann", **told), refused("ann", **told)]

    def test_external(self, directory: Directory, connect: Any, audit_trail: AuditTrail) -> None:
        """Over the Unix socket the server knows the process: a success of nobody that we could name."""
        connect(directory.socket).sasl_external_bind_s()
        told = record("auth.authenticate", audit__action="authenticate_with_ldap", audit__params__mechanism="EXTERNAL")
        assert audit_trail.story() == [told]

    def test_step_by_step(self, connect: Any, audit_trail: AuditTrail) -> None:
        """The application speaks the mechanism itself; a question of the server is no answer yet."""
        import ldap

        connection = connect()
        connection.sasl_bind_s("", "PLAIN", f"\0ann\0{RIGHT}".encode())
        connection.sasl_bind_s("", "DIGEST-MD5", "")
        with pytest.raises(ldap.INVALID_CREDENTIALS):
            connect().sasl_bind_s("", "PLAIN", f"\0ann\0{WRONG}".encode())
        told = {"audit__action": "authenticate_with_ldap", "audit__params__mechanism": "PLAIN"}
        reason = {"audit__reason": "invalid_credentials", "error__type": "INVALID_CREDENTIALS"}
        good, bad = record("auth.authenticate", **told), record("auth.authenticate", "failure", **told, **reason)
        assert audit_trail.story() == [good, bad]
        audit_trail.assert_no_secret(RIGHT, WRONG)

    def test_mechanism_that_the_server_has_not(self, connect: Any, audit_trail: AuditTrail) -> None:
        """Refused for what it is, not for who it is."""
        import ldap

        with pytest.raises(ldap.STRONG_AUTH_NOT_SUPPORTED):
            connect().sasl_bind_s("", "GSSAPI", b"ticket")
        (told,) = audit_trail.story()
        assert (told["audit.outcome"], told["audit.reason"]) == ("failure", "policy_denied")


class TestPassword:
    """Passwords kept in the directory."""

    @pytest.fixture
    def people(self, tmp_path: Path) -> Iterator[Directory]:
        """A directory for this test alone."""
        with serve(tmp_path / "ldap", {"ann": RIGHT, "bob": RIGHT}) as running:
            yield running

    @pytest.fixture(params=["SimpleLDAPObject", "ReconnectLDAPObject"])
    def signed_in(self, people: Directory, connect: Any, audit_trail: AuditTrail, request: pytest.FixtureRequest) -> Any:
        """A connection of somebody."""

        def signed_in(dn: str, password: str = RIGHT) -> Any:
            connection = connect(people.url, request.param)
            connection.simple_bind_s(dn, password)
            audit_trail.story()
            return connection

        return signed_in

    def test_ones_own(self, signed_in: Any, audit_trail: AuditTrail) -> None:
        """With the old one at hand, or for oneself, whom the call then does not name."""
        connection = signed_in(ANN)
        connection.passwd_s(ANN, RIGHT, NEW)
        connection.passwd_s(None, None, RIGHT)
        told = record("password.change", audit__action="change_password")
        assert audit_trail.story() == [{**told, "user.id": ANN}, told]
        audit_trail.assert_no_secret(RIGHT, NEW)

    def test_wrong_old_password(self, signed_in: Any, audit_trail: AuditTrail) -> None:
        """OpenLDAP says so in words."""
        import ldap

        with pytest.raises(ldap.UNWILLING_TO_PERFORM):
            signed_in(ANN).passwd_s(ANN, WRONG, NEW)
        (told,) = audit_trail.story()
        assert (told["event"], told["audit.outcome"], told["audit.reason"]) == ("password.change", "failure", "wrong_password")

    def test_somebody_elses(self, signed_in: Any, audit_trail: AuditTrail) -> None:
        """Who may do it sets it; who may not is told."""
        import ldap

        signed_in(ADMIN, ADMIN_PASSWORD).passwd_s(ANN, None, NEW)
        assert audit_trail.story() == [record("password.set", audit__action="set_password", user__id=ANN)]
        connection = signed_in(BOB)
        with pytest.raises(ldap.INSUFFICIENT_ACCESS):
            connection.passwd_s(ANN, None, NEW)
        (told,) = audit_trail.story()
        assert (told["event"], told["audit.reason"]) == ("password.set", "permission_denied")

    def test_attribute(self, signed_in: Any, audit_trail: AuditTrail) -> None:
        """A password is an attribute like any other; other attributes are no events."""
        import ldap

        connection = signed_in(ADMIN, ADMIN_PASSWORD)
        connection.modify_s(ANN, [(ldap.MOD_REPLACE, "cn", [b"Ann"])])
        old_for_new = [(ldap.MOD_DELETE, "userPassword", [RIGHT.encode()]), (ldap.MOD_ADD, "userPassword", [NEW.encode()])]
        connection.modify_s(ANN, old_for_new)
        connection.modify_ext_s(ANN, [(ldap.MOD_REPLACE, "userPassword", [RIGHT.encode()])])
        assert audit_trail.story() == [
            record("password.change", audit__action="change_password", user__id=ANN),
            record("password.set", audit__action="set_password", user__id=ANN),
        ]


@pytest.mark.parametrize(
    ("code", "reason"),
    [("525", "unknown_identity"), ("52e", "wrong_password"), ("533", "inactive_account"), ("775", "locked_account")],
)
def test_active_directory_says_why(connect: Any, audit_trail: AuditTrail, code: str, reason: str) -> None:
    """Its reason stands in the diagnostic message, which is not recorded."""
    import ldap

    with active_directory(code) as url, pytest.raises(ldap.INVALID_CREDENTIALS):
        connect(url).simple_bind_s("ann@example.org", WRONG)
    assert audit_trail.story() == [refused("ann@example.org", reason)]


class TestApplication:
    """People who sign in to a web application with the directory's passwords."""

    @pytest.fixture
    def client(self, directory: Directory, audit_trail: AuditTrail) -> Iterator[Any]:
        """A browser."""
        from .apps.python_ldap_app import create_app

        with create_app(directory.url, BASE, (SERVICE, SERVICE_PASSWORD)).test_client() as made:
            yield made

    @pytest.mark.parametrize("at", ["/lookup", "/polled", "/kept"])
    def test_search_then_bind(self, client: Any, audit_trail: AuditTrail, at: str) -> None:
        """The person, once, and never the service account."""
        client.post(at, data={"name": "ann", "password": RIGHT})
        client.post(at, data={"name": "ann", "password": WRONG})
        told = [(one["event"], one["audit.outcome"], one["audit.identity"], one["http.route"]) for one in audit_trail.story()]
        assert told == [("auth.authenticate", "success", ANN, at), ("auth.sign_in", "failure", ANN, at)]
        audit_trail.assert_no_secret(RIGHT, WRONG, SERVICE_PASSWORD)
