"""A service provider on pysaml2, and an identity provider made with the same library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask, redirect, request, session
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, class_name, saml
from saml2.client import Saml2Client
from saml2.config import IdPConfig, SPConfig
from saml2.metadata import create_metadata_string
from saml2.server import Server
from saml2.sigver import pre_signature_part

if TYPE_CHECKING:
    from pathlib import Path

    from ..saml_keys import KeyPair

SP, IDP = "http://localhost/saml/metadata", "https://idp.example.org/metadata"


class Party:
    """One of the two, with its keys in files, as the library wants them."""

    def __init__(self, folder: Path, entity_id: str, keys: KeyPair) -> None:
        folder.mkdir(parents=True)
        self.key, self.certificate = folder / "key.pem", folder / "certificate.pem"
        self.key.write_text(keys.key)
        self.certificate.write_text(keys.certificate)
        self.base = {"entityid": entity_id, "key_file": str(self.key), "cert_file": str(self.certificate)}

    def service_provider(self, *trusted: str) -> SPConfig:
        endpoints = {
            "assertion_consumer_service": [("http://localhost/saml/acs", BINDING_HTTP_POST)],
            "single_logout_service": [("http://localhost/saml/sls", BINDING_HTTP_POST)],
        }
        options = {"want_response_signed": True, "want_assertions_signed": False, "logout_requests_signed": True}
        return self._loaded(SPConfig(), "sp", {"endpoints": endpoints, **options}, trusted)

    def identity_provider(self, *trusted: str) -> IdPConfig:
        endpoints = {
            "single_sign_on_service": [("https://idp.example.org/sso", BINDING_HTTP_REDIRECT)],
            "single_logout_service": [("https://idp.example.org/slo", BINDING_HTTP_POST)],
        }
        return self._loaded(IdPConfig(), "idp", {"endpoints": endpoints, "name": "idp"}, trusted)

    def _loaded(self, config: Any, kind: str, service: dict[str, Any], trusted: tuple[str, ...]) -> Any:
        metadata = {"metadata": {"inline": list(trusted)}} if trusted else {}
        return config.load({**self.base, "service": {kind: service}, **metadata})


def described(config: Any) -> str:
    """The metadata of a party, for the other one."""
    text: str = create_metadata_string(None, config, sign=False).decode()
    return text


class IdentityProvider:
    """Answers questions of the service provider, with one thing changed where a test says so."""

    def __init__(self, party: Party, service_provider: str) -> None:
        self.server = Server(config=party.identity_provider(service_provider))

    def name(self, text: str) -> saml.NameID:
        return saml.NameID(text=text, format=saml.NAMEID_FORMAT_PERSISTENT)

    def answer(self, name: str, in_response_to: str, change: Any = None) -> str:
        """A signed response about *name*; *change* may spoil it before it is signed."""
        response = self.server.create_authn_response(
            identity={"mail": f"{name}@example.org"},
            in_response_to=in_response_to,
            destination="http://localhost/saml/acs",
            sp_entity_id=SP,
            name_id=self.name(name),
            authn={"class_ref": saml.AUTHN_PASSWORD, "authn_auth": IDP},
            sign_response=False,
            sign_assertion=False,
        )
        if change is not None:
            change(response)
        response.signature = pre_signature_part(response.id, self.server.sec.my_cert, 1)
        signed: str = self.server.sec.sign_statement(str(response), class_name(response), node_id=response.id)
        return signed

    def no(self, in_response_to: str, status: str) -> str:
        """A signed response that says no, and why."""
        error = (f"urn:oasis:names:tc:SAML:2.0:status:{status}", "no")
        return str(self.server.create_error_response(in_response_to, "http://localhost/saml/acs", error, sign=True))

    def logout_request(self, name: str) -> str:
        """A signed request to end the session of *name*."""
        address = "http://localhost/saml/sls"
        return str(self.server.create_logout_request(address, SP, name_id=self.name(name), sign=True)[1])


def create_app(config: SPConfig) -> Flask:
    """The service provider."""
    app = Flask(__name__)
    app.secret_key = "story"
    client = Saml2Client(config=config)
    asked: dict[str, str] = {}
    people: dict[str, saml.NameID] = {}

    @app.get("/saml/login")
    def login() -> Any:
        number, message = client.prepare_for_authenticate(entityid=IDP)
        asked[number] = "/"
        return redirect(dict(message["headers"])["Location"])

    @app.post("/saml/acs")
    def acs() -> Any:
        answer = client.parse_authn_request_response(request.form.get("SAMLResponse"), BINDING_HTTP_POST, asked)
        if answer is None:
            return "no", 401
        asked.pop(answer.in_response_to)
        people[answer.name_id.text] = answer.name_id
        session["user"] = answer.name_id.text
        return redirect("/")

    @app.post("/saml/sls")
    def sls() -> Any:
        name = people.get(session.get("user", ""), saml.NameID(text="nobody"))
        client.handle_logout_request(request.form["SAMLRequest"], name, BINDING_HTTP_POST)
        return "bye"

    @app.post("/saml/forget")
    def forget() -> Any:
        client.local_logout(people.get(session.get("user", ""), saml.NameID(text="nobody")))
        return "bye"

    return app
