"""pysaml2: a service provider and an identity provider of the library, with keys and metadata made for them."""

from __future__ import annotations

import base64
import gc
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .saml_keys import KeyPair, made

pytestmark = [
    pytest.mark.skipif(shutil.which("xmlsec1") is None, reason="needs xmlsec1 (Debian: apt-get install xmlsec1)"),
    # pysaml2 7.5 imports names that cryptography is about to move.
    pytest.mark.filterwarnings("ignore:CFB has been moved"),
    pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def _lost_files() -> Iterator[None]:
    """The library leaves temporary files to the garbage collector, which is to find them now."""
    yield
    gc.collect()


Record = dict[str, str]
LIBRARY = f"pysaml2 {version('pysaml2')}"
IDP = {"audit__provider": "idp.example.org", "audit__params__issuer": "https://idp.example.org/metadata"}


Keys = dict[str, KeyPair]


@pytest.fixture(scope="module")
def keys() -> Keys:
    """Of everybody."""
    return {name: made(name) for name in ("sp", "idp", "forger", "stranger")}


class World:
    """Both parties, which know each other, and a browser."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        from .apps import pysaml2_app as app  # here, so that the order of import is the run's

        self.app, self.folder, self.keys = app, folder, keys
        sp, idp = app.Party(folder / "sp", app.SP, keys["sp"]), app.Party(folder / "idp", app.IDP, keys["idp"])
        self.described = app.described(sp.service_provider())
        self.provider = app.IdentityProvider(idp, self.described)
        self.application = app.create_app(sp.service_provider(app.described(idp.identity_provider())))
        self.browser = self.application.test_client()

    def impostor(self, name: str, entity_id: str = "https://idp.example.org/metadata") -> Any:
        """A provider that nobody trusts."""
        return self.app.IdentityProvider(
            self.app.Party(self.folder / token_hex() / name, entity_id, self.keys[name]), self.described
        )

    def asked(self) -> str:
        """Go to the login page, and read there what the identity provider is asked."""
        from saml2 import BINDING_HTTP_REDIRECT

        (message,) = parse_qs(urlsplit(self.browser.get("/saml/login").location).query)["SAMLRequest"]
        number: str = self.provider.server.parse_authn_request(message, BINDING_HTTP_REDIRECT).message.id
        return number

    def show(self, message: str, at: str = "/saml/acs", field: str = "SAMLResponse") -> int:
        """What the browser brings; the status code."""
        body = urlencode({field: base64.b64encode(message.encode()).decode()})  # Werkzeug 2.3.0 would leave a plus sign as it is
        code: int = self.browser.post(at, data=body, content_type="application/x-www-form-urlencoded").status_code
        return code

    def sign_out(self, message: str) -> int:
        """The provider's request to sign out, brought by the browser."""
        return self.show(message, "/saml/sls", "SAMLRequest")


@pytest.fixture(scope="module")
def made_world(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> World:
    """Both parties: they take a while to make."""
    return World(tmp_path_factory.mktemp("saml"), keys)


@pytest.fixture
def world(made_world: World, audit_trail: AuditTrail) -> World:
    """The world with a new browser, in which nobody is signed in."""
    made_world.browser = made_world.application.test_client()
    return made_world


def record(event: str, outcome: str = "success", *, at: str = "/saml/acs", **more: str) -> Record:
    """A whole record of this application: what is constant, and *more* with `__` for dots."""
    constant = {
        "event": event,
        "audit.outcome": outcome,
        "audit.library": LIBRARY,
        "audit.strategy": "saml",
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "http.request.method": "POST",
        "server.address": "localhost",
        "http.route": at,
        "audit.flow.id": "flow-1",
    }
    return {**constant, **{name.replace("__", "."): value for name, value in more.items()}}


def story(audit_trail: AuditTrail) -> list[Record]:
    """The story, without the client's own user agent."""
    return [{name: value for name, value in one.items() if name != "user_agent.original"} for one in audit_trail.story()]


def refused(reason: str, error: str | None, **more: str) -> Record:
    """An assertion that was not accepted."""
    facts = {"audit__action": "sign_in_with_saml", "audit__reason": reason, **({"error__type": error} if error else {})}
    return record("auth.sign_in", "failure", **{**facts, **more})


ACCEPTED = {
    **IDP,
    "audit__action": "authenticate_with_idp.example.org",
    "user__id": "ann",
    "audit__token__id": "token-1",
}
SIGNED_OUT = {"audit__action": "sign_out", "user__id": "ann"}


def instant(**offset: int) -> str:
    """A time near now, as SAML writes it."""
    return (datetime.now(timezone.utc) + timedelta(**offset)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_sign_in(world: World, audit_trail: AuditTrail) -> None:
    """Question, answer, session: what the identity provider said is the record; the question is none."""
    assert world.show(world.provider.answer("ann", world.asked())) == 302
    assert story(audit_trail) == [record("auth.authenticate", **ACCEPTED)]


def late(response: Any) -> None:
    """Valid in former times."""
    response.assertion.conditions.not_on_or_after = instant(hours=-1)
    response.assertion.conditions.not_before = instant(hours=-2)


def early(response: Any) -> None:
    """Valid in times to come."""
    response.assertion.conditions.not_before = instant(hours=1)
    response.assertion.conditions.not_on_or_after = instant(hours=2)


def old(response: Any) -> None:
    """Written the day before yesterday."""
    response.issue_instant = instant(days=-2)


def elsewhere(response: Any) -> None:
    """Meant for another application."""
    response.assertion.conditions.audience_restriction[0].audience[0].text = "https://other.example.org"


def misdirected(response: Any) -> None:
    """Sent to another application."""
    response.destination = "http://other.example.org/acs"


def of_another_question(response: Any) -> None:
    """Confirmed for a question that somebody else asked."""
    response.assertion.subject.subject_confirmation[0].subject_confirmation_data.in_response_to = "id-of-another"


def empty(response: Any) -> None:
    """Says nothing of anybody."""
    response.assertion = []


@pytest.mark.parametrize(
    ("change", "reason", "error"),
    [
        (late, "token_expired", "ResponseLifetimeExceed"),
        (early, "token_not_yet_valid", "ToEarly"),
        (old, "token_expired", None),
        (elsewhere, "token_wrong_audience", "Exception"),
        (misdirected, "invalid_credentials", None),
        (of_another_question, "state_mismatch", "UnsolicitedResponse"),
        (empty, "token_malformed", "InvalidAssertion"),
    ],
)
def test_one_thing_wrong(world: World, audit_trail: AuditTrail, change: Any, reason: str, error: str | None) -> None:
    """What is wrong is the reason, in the library's own word where it has one."""
    assert world.show(world.provider.answer("ann", world.asked(), change)) in {401, 500}
    assert story(audit_trail) == [refused(reason, error)]


def test_forged(world: World, audit_trail: AuditTrail) -> None:
    """Signed with another key than the one in the metadata."""
    world.show(world.impostor("forger").answer("ann", world.asked()))
    assert story(audit_trail) == [refused("token_bad_signature", "SignatureError")]


def test_changed(world: World, audit_trail: AuditTrail) -> None:
    """Signed for bob, shown for ann."""
    world.show(world.provider.answer("bob", world.asked()).replace(">bob<", ">ann<"))
    assert story(audit_trail) == [refused("token_bad_signature", "SignatureError")]


def test_stranger(world: World, audit_trail: AuditTrail) -> None:
    """A provider that the metadata do not know."""
    world.show(world.impostor("stranger", "https://stranger.example.org").answer("ann", world.asked()))
    (told,) = story(audit_trail)
    assert (told["audit.outcome"], told["audit.reason"]) == ("failure", "token_wrong_issuer")


def test_shown_again(world: World, audit_trail: AuditTrail) -> None:
    """The question was answered before."""
    answer = world.provider.answer("ann", world.asked())
    world.show(answer)
    world.show(answer)
    replayed = refused("state_mismatch", "UnsolicitedResponse", audit__flow__id="flow-2")
    assert story(audit_trail) == [record("auth.authenticate", **ACCEPTED), replayed]


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        ("AuthnFailed", "provider_denied", "StatusAuthnFailed"),
        ("RequestDenied", "provider_denied", "StatusRequestDenied"),
        ("UnsupportedBinding", "provider_error", "StatusUnsupportedBinding"),
    ],
)
def test_provider_that_says_no(world: World, audit_trail: AuditTrail, status: str, reason: str, error: str) -> None:
    """No assertion at all: the status says why."""
    world.show(world.provider.no(world.asked(), status))
    assert story(audit_trail) == [refused(reason, error)]


@pytest.mark.parametrize(
    ("garbage", "outcome", "reason"),
    [
        ("PGE+", "failure", "token_malformed"),  # no XML
        ("PGEvPg==", "failure", "invalid_credentials"),  # XML of another kind
        ("%%%", "unknown", "backend_error"),  # the library itself breaks over it
    ],
)
def test_garbage(world: World, audit_trail: AuditTrail, garbage: str, outcome: str, reason: str) -> None:
    """Not an answer at all."""
    world.browser.post("/saml/acs", data={"SAMLResponse": garbage})
    (told,) = story(audit_trail)
    assert (told["event"], told["audit.outcome"], told["audit.reason"]) == ("auth.sign_in", outcome, reason)


def test_nothing_shown(world: World, audit_trail: AuditTrail) -> None:
    """Whoever walks by without an answer is not signing in."""
    assert world.browser.post("/saml/acs").status_code == 401
    assert audit_trail.story() == []


class TestSignOut:
    """The session ends."""

    @pytest.fixture(autouse=True)
    def _signed_in(self, world: World, audit_trail: AuditTrail) -> None:
        world.show(world.provider.answer("ann", world.asked()))
        audit_trail.story()

    def test_by_the_provider(self, world: World, audit_trail: AuditTrail) -> None:
        """The provider's request, and what the library does upon it, are one."""
        assert world.sign_out(world.provider.logout_request("ann")) == 200
        assert story(audit_trail) == [record("auth.sign_out", at="/saml/sls", **SIGNED_OUT)]

    def test_of_somebody_else(self, world: World, audit_trail: AuditTrail) -> None:
        """The request names another than the one who is signed in: nobody is signed out."""
        world.sign_out(world.provider.logout_request("bob"))
        facts = {"audit__action": "sign_out", "audit__reason": "unknown_identity", "audit__identity": "ann"}
        assert story(audit_trail) == [record("auth.sign_out", "failure", at="/saml/sls", **facts)]

    def test_forged(self, world: World, audit_trail: AuditTrail) -> None:
        """Somebody else's signature."""
        world.sign_out(world.impostor("forger").logout_request("ann"))
        (told,) = story(audit_trail)
        assert (told["event"], told["audit.outcome"], told["audit.reason"]) == ("auth.sign_out", "failure", "token_bad_signature")

    def test_by_the_application(self, world: World, audit_trail: AuditTrail) -> None:
        """Without the provider; the second time there is nobody left."""
        world.browser.post("/saml/forget")
        world.browser.post("/saml/forget")
        assert story(audit_trail) == [record("auth.sign_out", at="/saml/forget", **SIGNED_OUT)]


def test_nothing_secret(world: World, audit_trail: AuditTrail) -> None:
    """Neither the answer nor its signature."""
    answer = world.provider.answer("ann", world.asked())
    world.show(answer)
    world.show(answer)
    signature = answer.split("SignatureValue>")[1].split("<")[0].replace("\n", "")
    audit_trail.assert_no_secret(base64.b64encode(answer.encode()).decode(), signature)
