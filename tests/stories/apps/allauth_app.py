"""The pages and the API of django-allauth with everything switched on, and a security key that a browser could use."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from allauth.account import views
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_encode


class Key:
    """A security key in memory: WebAuthn Level 2, "none" attestation, ES256."""

    def __init__(self) -> None:
        self.id = os.urandom(16)
        self.owner = b""
        self.count = 0
        self._secret = ec.generate_private_key(ec.SECP256R1())

    def create(self, options: Any) -> str:
        """Answer `navigator.credentials.create()`."""
        asked = options["publicKey"]
        self.owner = asked["user"]["id"]
        known = b"\0" * 16 + len(self.id).to_bytes(2, "big") + self.id
        algorithm: Any = ES256
        known += cbor.encode(algorithm.from_cryptography_key(self._secret.public_key()))
        statement = {"fmt": "none", "attStmt": {}, "authData": self._data(asked["rp"]["id"], 0x45) + known}
        answer = {"attestationObject": websafe_encode(cbor.encode(statement))}
        return self._answer("webauthn.create", asked, answer)

    def get(self, options: Any, *, forged: bool = False) -> str:
        """Answer `navigator.credentials.get()`; a forged answer is signed for another challenge."""
        asked = options["publicKey"]
        data, client = self._data(asked["rpId"], 0x05), self._client("webauthn.get", asked)
        signed = data + hashlib.sha256(b"another challenge" if forged else client).digest()
        signature = self._secret.sign(signed, ec.ECDSA(hashes.SHA256()))
        answer = {"authenticatorData": websafe_encode(data), "signature": websafe_encode(signature), "userHandle": self.owner}
        return self._answer("webauthn.get", asked, answer)

    def _answer(self, kind: str, asked: Any, answer: dict[str, Any]) -> str:
        key = websafe_encode(self.id)
        answer |= {"clientDataJSON": websafe_encode(self._client(kind, asked))}
        more = {"clientExtensionResults": {"credProps": {"rk": True}}, "authenticatorAttachment": "platform"}
        return json.dumps({"id": key, "rawId": key, "type": "public-key", "response": answer, **more})

    def _data(self, domain: str, flags: int) -> bytes:
        self.count += 1
        return hashlib.sha256(domain.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    @staticmethod
    def _client(kind: str, asked: Any) -> bytes:
        return json.dumps({"type": kind, "challenge": asked["challenge"], "origin": "https://testserver"}).encode()


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


urlpatterns = [
    path("", home),
    path("accounts/", include("allauth.urls")),
    path("_allauth/", include("allauth.headless.urls")),
    # with codes instead of links, which a site decides before it starts
    path("code/confirm/", views.confirm_password_reset_code, name="account_confirm_password_reset_code"),
    path("code/complete/", views.complete_password_reset, name="account_complete_password_reset"),
    path("code/done/", views.password_reset_from_key_done, name="account_password_reset_completed"),
]
