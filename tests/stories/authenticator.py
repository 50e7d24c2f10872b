"""A security key of software: makes real attestations and assertions (WebAuthn Level 2, 6.3), right ones and wrong ones."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

USER_PRESENT, USER_VERIFIED, HAS_KEY = 0x01, 0x04, 0x40


def text(raw: bytes) -> str:
    """Bytes as WebAuthn writes them in JSON."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass
class Authenticator:
    """One key pair for one site."""

    rp_id: str
    origin: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    key_id: bytes = field(default_factory=lambda: os.urandom(16))
    count: int = 0
    flags: int = USER_PRESENT | USER_VERIFIED

    @property
    def public_key(self) -> bytes:
        """The public key as COSE writes it (RFC 9053, 7.1): ES256."""
        point = self.key.public_key().public_numbers()
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})

    def attest(self, challenge: str, **client_data: str) -> dict[str, Any]:
        """The answer to `navigator.credentials.create()`, without an attestation of its maker."""
        client = self._client_data("webauthn.create", challenge, client_data)
        attested = bytes(16) + len(self.key_id).to_bytes(2, "big") + self.key_id + self.public_key
        data = self._authenticator_data(self.flags | HAS_KEY) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._credential({"clientDataJSON": text(client), "attestationObject": text(attestation), "transports": ["usb"]})

    def sign(self, challenge: str, **client_data: str) -> dict[str, Any]:
        """The answer to `navigator.credentials.get()`."""
        self.count += 1
        client = self._client_data("webauthn.get", challenge, client_data)
        data = self._authenticator_data(self.flags)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        response = {"clientDataJSON": text(client), "authenticatorData": text(data), "signature": text(signature)}
        return self._credential(response)

    def _client_data(self, kind: str, challenge: str, changed: dict[str, str]) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, **changed}).encode()

    def _authenticator_data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        key_id = text(self.key_id)
        return {"id": key_id, "rawId": key_id, "type": "public-key", "response": response, "clientExtensionResults": {}}
