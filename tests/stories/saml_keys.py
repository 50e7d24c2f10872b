"""Keys and certificates for the stories of SAML, made anew for each run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

__all__ = ("KeyPair", "made")


@dataclass(frozen=True)
class KeyPair:
    """A private key and its certificate, in PEM."""

    key: str
    certificate: str

    @property
    def bare_certificate(self) -> str:
        """As metadata hold it: without header, footer and line ends."""
        return "".join(self.certificate.splitlines()[1:-1])


def made(name: str) -> KeyPair:
    """A new key, and a certificate that it gives itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, clear = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, clear)
    return KeyPair(private.decode(), certificate.public_bytes(pem).decode())
