"""python3-saml: a real exchange of messages signed with keys made for it, and everything that can be wrong with one."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .saml_keys import KeyPair, made

pytest.importorskip("xmlsec", reason="needs xmlsec, which is compiled where it has no wheel")

# python3-saml 1.16 asks for the time in a way that Python 3.12 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")

Record = dict[str, str]
LIBRARY = f"python3-saml {version('python3-saml')}"
FLASK_LOGIN = f"flask-login {version('Flask-Login')}"
IDP = {"audit__provider": "idp.example.org", "audit__params__issuer": "https://idp.example.org/metadata"}


@pytest.fixture(scope="module")
def ours() -> KeyPair:
    """Key of the service provider."""
    return made("sp")


@pytest.fixture(scope="module")
def theirs() -> KeyPair:
    """Key of the identity provider."""
    return made("idp")


@pytest.fixture
def idp(theirs: KeyPair, audit_trail: AuditTrail) -> Any:
    """The identity provider; the library is imported here, so that the order of import is the run's."""
    from .apps.python3_saml_app import IdentityProvider

    return IdentityProvider(theirs)


@pytest.fixture
def client(ours: KeyPair, theirs: KeyPair, audit_trail: AuditTrail) -> Iterator[Any]:
    """A browser at the service provider."""
    from .apps.python3_saml_app import create_app, settings

    with create_app(settings(ours, theirs)).test_client() as browser:
        yield browser


def asked(client: Any) -> str:
    """Go to the login page, and read there what the identity provider is asked."""
    from onelogin.saml2.utils import OneLogin_Saml2_Utils
    from onelogin.saml2.xml_utils import OneLogin_Saml2_XML

    (message,) = parse_qs(urlsplit(client.get("/saml/login").location).query)["SAMLRequest"]
    ident: str = OneLogin_Saml2_XML.to_etree(OneLogin_Saml2_Utils.decode_base64_and_inflate(message)).get("ID")
    return ident


def show(client: Any, answer: str, at: str = "/saml/acs") -> Any:
    """What the browser brings; encoded here, since Werkzeug 2.3.0 leaves a plus sign as it is."""
    return client.post(at, data=urlencode({"SAMLResponse": answer}), content_type="application/x-www-form-urlencoded")


def record(event: str, outcome: str = "success", *, at: str = "/saml/acs", method: str = "POST", **more: str) -> Record:
    """A whole record of this application: what is constant, and *more* with `__` for dots."""
    constant = {
        "event": event,
        "audit.outcome": outcome,
        "audit.library": LIBRARY,
        "audit.strategy": "saml",
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "http.request.method": method,
        "server.address": "localhost",
        "http.route": at,
        "audit.flow.id": "flow-1",
    }
    return {**constant, **{name.replace("__", "."): value for name, value in {**IDP, **more}.items()}}


def story(audit_trail: AuditTrail) -> list[Record]:
    """The story, without the client's own user agent."""
    return [{name: value for name, value in one.items() if name != "user_agent.original"} for one in audit_trail.story()]


def refused(reason: str, **more: str) -> Record:
    """An assertion that was not accepted."""
    facts = {"audit__action": "sign_in_with_idp.example.org", "audit__reason": reason, "error__type": "invalid_response"}
    return record("auth.sign_in", "failure", **facts, **more)


CLAIMED = {"audit__identity": "ann", "audit__token__id": "token-1"}
SIGNED_IN = {
    "audit__library": FLASK_LOGIN,
    "audit__action": "sign_in_with_idp.example.org",
    "user__id": "user-ann",
    "audit__resource": "tests.stories.apps.python3_saml_app:User",
}


def test_sign_in(client: Any, idp: Any, audit_trail: AuditTrail) -> None:
    """Question, answer, `login_user`, signal: one record, of the application's user."""
    show(client, idp.answer("ann", asked(client)))
    assert story(audit_trail) == [record("auth.sign_in", **SIGNED_IN, audit__token__id="token-1")]


def test_without_a_login_library(client: Any, idp: Any, audit_trail: AuditTrail) -> None:
    """Nobody tells of a session: what the identity provider said is the record."""
    idp.destination = "http://localhost/plain/acs"
    show(client, idp.answer("ann", asked(client)), at="/plain/acs")
    facts = {"audit__action": "authenticate_with_idp.example.org", "user__id": "ann", "audit__token__id": "token-1"}
    assert story(audit_trail) == [record("auth.authenticate", at="/plain/acs", **facts)]


def test_account_that_is_not_active(client: Any, idp: Any, audit_trail: AuditTrail) -> None:
    """The identity provider vouches for bob, and the application says no: one failure."""
    show(client, idp.answer("bob", asked(client)))
    facts = {**SIGNED_IN, "user__id": "user-bob", "audit__reason": "inactive_account", "audit__token__id": "token-1"}
    assert story(audit_trail) == [record("auth.sign_in", "failure", **facts)]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"age": timedelta(hours=1)}, "token_expired"),
        ({"age": -timedelta(hours=1)}, "token_not_yet_valid"),
        ({"audience": "https://other.example.org"}, "token_wrong_audience"),
        ({"destination": "http://other.example.org/acs"}, "token_wrong_audience"),
        ({"issuer": "https://evil.example.org"}, "token_wrong_issuer"),
        ({"keys": made("somebody else")}, "token_bad_signature"),
    ],
)
def test_one_thing_wrong(client: Any, idp: Any, audit_trail: AuditTrail, wrong: dict[str, Any], reason: str) -> None:
    """What is wrong is the reason; whom it claims to be about is told as claimed."""
    for name, value in wrong.items():
        setattr(idp, name, value)
    assert show(client, idp.answer("ann", asked(client))).status_code == 401
    assert story(audit_trail) == [refused(reason, **CLAIMED)]


def test_answer_that_was_changed(client: Any, idp: Any, audit_trail: AuditTrail) -> None:
    """Signed for bob, shown for ann."""
    answer = base64.b64decode(idp.answer("bob", asked(client))).replace(b">bob<", b">ann<")
    show(client, base64.b64encode(answer).decode())
    assert story(audit_trail) == [refused("token_bad_signature", **CLAIMED)]


def test_answer_without_a_signature(client: Any, idp: Any, audit_trail: AuditTrail) -> None:
    """Nobody signed it."""
    idp.signed = lambda xml: base64.b64encode(xml.encode()).decode()
    show(client, idp.answer("ann", asked(client)))
    assert story(audit_trail) == [refused("token_bad_signature", **CLAIMED)]


def test_answer_shown_again(client: Any, idp: Any, audit_trail: AuditTrail) -> None:
    """The question was answered before: both records bear the same assertion."""
    answer = idp.answer("ann", asked(client))
    show(client, answer)
    show(client, answer)
    replayed = refused("state_mismatch", **CLAIMED, audit__flow__id="flow-2")
    assert story(audit_trail) == [record("auth.sign_in", **SIGNED_IN, audit__token__id="token-1"), replayed]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (("Responder", "AuthnFailed"), "provider_denied"),
        (("Responder", "RequestDenied"), "provider_denied"),
        (("Requester",), "provider_error"),
    ],
)
def test_provider_that_says_no(client: Any, idp: Any, audit_trail: AuditTrail, status: tuple[str, ...], reason: str) -> None:
    """No assertion at all: the status says why."""
    idp.status = status
    show(client, idp.answer("ann", asked(client)))
    assert story(audit_trail) == [refused(reason)]


@pytest.mark.parametrize(("garbage", "error"), [("%%%", "XMLSyntaxError"), ("PGE+", "XMLSyntaxError")])
def test_garbage(client: Any, audit_trail: AuditTrail, garbage: str, error: str) -> None:
    """No XML: the application's own error page, and a failure."""
    show(client, garbage)
    facts = {"audit__action": "sign_in_with_idp.example.org", "audit__reason": "token_malformed", "error__type": error}
    assert story(audit_trail) == [record("auth.sign_in", "failure", **facts)]


def test_nothing_shown(client: Any, audit_trail: AuditTrail) -> None:
    """Whoever walks by without an answer is not signing in: no event; nor is the question one."""
    client.get("/saml/acs")
    client.post("/saml/acs")
    client.get("/saml/sls")
    client.get("/saml/login")
    client.get("/saml/logout?name=ann")
    assert audit_trail.story() == []


class TestSignOut:
    """Single logout."""

    @pytest.fixture(autouse=True)
    def _signed_in(self, client: Any, idp: Any, audit_trail: AuditTrail) -> None:
        show(client, idp.answer("ann", asked(client)))
        audit_trail.story()

    def query(self, address: str) -> str:
        """What a redirect carries."""
        return urlsplit(address).query

    @pytest.mark.parametrize("at", ["/saml/sls", "/plain/sls"])
    def test_by_the_provider(self, client: Any, idp: Any, ours: KeyPair, audit_trail: AuditTrail, at: str) -> None:
        """The provider's request and the application's sign-out are one, inside one another or side by side."""
        asking = idp.speaking(ours)
        asking._settings._idp["singleLogoutService"]["url"] = f"http://localhost{at}"
        client.get(f"{at}?{self.query(asking.logout(name_id='ann'))}")
        (told,) = story(audit_trail)
        assert (told["event"], told["audit.action"], told["user.id"]) == ("auth.sign_out", "sign_out", "user-ann")

    def test_by_the_provider_of_nobody_here(self, client: Any, idp: Any, ours: KeyPair, audit_trail: AuditTrail) -> None:
        """The browser that brings the request has no session."""
        client.delete_cookie("session")
        client.get(f"/saml/sls?{self.query(idp.speaking(ours).logout(name_id='ann'))}")
        told = record("auth.sign_out", at="/saml/sls", method="GET", audit__action="sign_out", user__id="ann")
        assert story(audit_trail) == [told]

    def test_forged(self, client: Any, ours: KeyPair, audit_trail: AuditTrail) -> None:
        """Somebody else's signature."""
        from .apps.python3_saml_app import IdentityProvider

        client.get(f"/saml/sls?{self.query(IdentityProvider(made('evil')).speaking(ours).logout(name_id='ann'))}")
        facts = {"audit__action": "sign_out", "audit__reason": "token_bad_signature"}
        error = {"error__type": "invalid_logout_request_signature"}
        assert story(audit_trail) == [record("auth.sign_out", "failure", at="/saml/sls", method="GET", **facts, **error)]

    def test_answer_of_the_provider(self, client: Any, idp: Any, ours: KeyPair, audit_trail: AuditTrail) -> None:
        """The application asked; the answer ends its session."""
        asking = client.get("/saml/logout?name=ann").location
        other = idp.speaking(ours)
        message = {key: values[0] for key, values in parse_qs(self.query(asking)).items()}
        other._request_data = {"http_host": "idp.example.org", "script_name": "/slo", "https": "on", "get_data": message}
        answer = other.process_slo(keep_local_session=True)
        audit_trail.story()
        client.get(f"/saml/sls?{self.query(answer)}")
        (told,) = story(audit_trail)
        assert (told["event"], told["audit.outcome"], told["user.id"]) == ("auth.sign_out", "success", "user-ann")


def test_nothing_secret(client: Any, idp: Any, audit_trail: AuditTrail) -> None:
    """Neither the answer nor its signature."""
    answer = idp.answer("ann", asked(client))
    show(client, answer)
    show(client, answer)
    signature = base64.b64decode(answer).split(b"SignatureValue>")[1].split(b"<")[0].decode().replace("\n", "")
    audit_trail.assert_no_secret(answer, signature)
