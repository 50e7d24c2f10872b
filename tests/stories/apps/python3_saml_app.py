"""A service provider on python3-saml, as its documentation shows one, and the identity provider that it trusts."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from flask import Flask, redirect, request, session
from flask_login import LoginManager, UserMixin, login_user, logout_user
from onelogin.saml2.auth import OneLogin_Saml2_Auth
from onelogin.saml2.constants import OneLogin_Saml2_Constants
from onelogin.saml2.utils import OneLogin_Saml2_Utils

if TYPE_CHECKING:
    from ..saml_keys import KeyPair

SP = "http://localhost/saml"
IDP = "https://idp.example.org/metadata"

_STATUS = "urn:oasis:names:tc:SAML:2.0:status:"
_RESPONSE = """<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"
 ID="{response_id}" Version="2.0" IssueInstant="{now}" Destination="{destination}" {in_response_to}>
<saml:Issuer>{issuer}</saml:Issuer><samlp:Status>{status}</samlp:Status>{assertion}</samlp:Response>"""
_ASSERTION = """<saml:Assertion ID="{assertion_id}" Version="2.0" IssueInstant="{now}"><saml:Issuer>{issuer}</saml:Issuer>
<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified">{name}</saml:NameID>
<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
<saml:SubjectConfirmationData NotOnOrAfter="{until}" Recipient="{destination}" {in_response_to}/></saml:SubjectConfirmation></saml:Subject>
<saml:Conditions NotBefore="{since}" NotOnOrAfter="{until}"><saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience>
</saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="{now}" SessionIndex="{session_index}"><saml:AuthnContext>
<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext>
</saml:AuthnStatement><saml:AttributeStatement><saml:Attribute Name="mail"><saml:AttributeValue>{name}@example.org</saml:AttributeValue>
</saml:Attribute></saml:AttributeStatement></saml:Assertion>"""


def settings(keys: KeyPair, trusted: KeyPair, **more: Any) -> dict[str, Any]:
    """What the service provider knows of itself and of whom it trusts."""
    redirected = OneLogin_Saml2_Constants.BINDING_HTTP_REDIRECT
    security = {
        "logoutRequestSigned": True,
        "logoutResponseSigned": True,
        "wantMessagesSigned": True,
        "authnRequestsSigned": True,
    }
    return {
        "strict": True,
        "security": {**security, "requestedAuthnContext": False, **more},
        "sp": {
            "entityId": SP,
            "assertionConsumerService": {"url": f"{SP}/acs"},
            "singleLogoutService": {"url": f"{SP}/sls", "binding": redirected},
            "x509cert": keys.certificate,
            "privateKey": keys.key,
        },
        "idp": {
            "entityId": IDP,
            "singleSignOnService": {"url": "https://idp.example.org/sso", "binding": redirected},
            "singleLogoutService": {"url": "https://idp.example.org/slo", "binding": redirected},
            "x509cert": trusted.certificate,
        },
    }


@dataclass
class IdentityProvider:
    """Answers as it is told to: in good order, or with one thing wrong."""

    keys: KeyPair
    issuer: str = IDP
    audience: str = SP
    destination: str = f"{SP}/acs"
    age: timedelta = field(default_factory=timedelta)
    status: tuple[str, ...] = ("Success",)

    def answer(self, name: str, in_response_to: str | None = None) -> str:
        """A signed response about *name*, as a browser posts it."""
        now = datetime.now(timezone.utc) - self.age
        instants = {"since": now - timedelta(minutes=1), "now": now, "until": now + timedelta(minutes=5)}
        words = {key: instant.strftime("%Y-%m-%dT%H:%M:%SZ") for key, instant in instants.items()}
        words |= {"name": name, "issuer": self.issuer, "audience": self.audience, "destination": self.destination}
        words |= {"response_id": f"_{uuid4()}", "assertion_id": f"_{uuid4()}", "session_index": f"_{uuid4()}"}
        words["in_response_to"] = f'InResponseTo="{in_response_to}"' if in_response_to else ""
        inner = "".join(f'<samlp:StatusCode Value="{_STATUS}{code}"/>' for code in self.status[1:])
        words["status"] = f'<samlp:StatusCode Value="{_STATUS}{self.status[0]}">{inner}</samlp:StatusCode>'
        words["assertion"] = _ASSERTION.format(**words) if self.status == ("Success",) else ""
        return self.signed(_RESPONSE.format(**words))

    def signed(self, xml: str) -> str:
        algorithms = (OneLogin_Saml2_Constants.RSA_SHA256, OneLogin_Saml2_Constants.SHA256)
        signed: bytes = OneLogin_Saml2_Utils.add_sign(xml, self.keys.key, self.keys.certificate, False, *algorithms)
        return base64.b64encode(signed).decode()

    def speaking(self, provider: KeyPair) -> OneLogin_Saml2_Auth:
        """The library's own other end, to make messages of a sign-out."""
        mirrored = settings(self.keys, provider)
        mirrored["sp"]["entityId"], mirrored["idp"]["entityId"] = self.issuer, SP
        mirrored["idp"]["singleLogoutService"]["url"] = f"{SP}/sls"
        return OneLogin_Saml2_Auth(_request(), mirrored)


def _request() -> dict[str, Any]:
    return {"http_host": "localhost", "script_name": "/", "get_data": {}, "post_data": {}}


class User(UserMixin):
    """The application's name for somebody."""

    def __init__(self, name: str) -> None:
        self.id = f"user-{name}"

    @property
    def is_active(self) -> bool:
        return self.id != "user-bob"


def create_app(configuration: dict[str, Any]) -> Flask:
    """The service provider."""
    app = Flask(__name__)
    app.secret_key = "story"
    LoginManager(app).user_loader(lambda ident: User(ident.removeprefix("user-")))

    def auth() -> OneLogin_Saml2_Auth:
        said = {"http_host": request.host, "script_name": request.path, "https": "off"}
        return OneLogin_Saml2_Auth({**said, "get_data": request.args, "post_data": request.form}, configuration)

    @app.get("/saml/login")
    def login() -> Any:
        asked = auth()
        address = asked.login()
        session["asked"] = asked.get_last_request_id()
        return redirect(address)

    def received() -> OneLogin_Saml2_Auth:
        answer = auth()
        answer.process_response(request_id=session.pop("asked", None) or "none")
        return answer

    @app.route("/saml/acs", methods=["GET", "POST"])
    def acs() -> Any:
        answer = received()
        if answer.is_authenticated() and login_user(User(answer.get_nameid())):
            return redirect("/")
        return "no", 401

    @app.post("/plain/acs")
    def without_login_library() -> Any:
        answer = received()
        if answer.is_authenticated():
            session["user"] = answer.get_nameid()
        return ("welcome", 200) if answer.is_authenticated() else ("no", 401)

    @app.get("/saml/logout")
    def logout() -> Any:
        return redirect(auth().logout(name_id=request.args["name"]))

    @app.get("/saml/sls")
    def sls() -> Any:
        ending = auth()
        address = ending.process_slo(delete_session_cb=logout_user)
        return redirect(address or "/") if not ending.get_errors() else ("no", 400)

    @app.get("/plain/sls")
    def sls_beside_the_login_library() -> Any:
        ending = auth()
        logout_user()
        ending.process_slo(keep_local_session=True)
        return "bye"

    return app
