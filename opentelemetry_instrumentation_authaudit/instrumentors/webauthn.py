"""py_webauthn: passkeys and security keys that sign a challenge, and those that are stored.

An assertion is credentials shown, as a password is: whoever makes a session of it tells the sign-in, and it knows by then how it was
won. Which check refused it only the library's message says; of that nothing but the reason is taken.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final

from ..hooks import Call, Facts, Flow, Hook, Reason, Strategy

__all__ = ("BLIND", "HOOKS")

_REFUSED: Final = ("InvalidAuthenticationResponse", "InvalidRegistrationResponse")
_SAYS: Final = {
    "Response sign count": Reason.TOKEN_REUSED,  # a replay, or a copy of the key is in use
    "Client data challenge": Reason.NONCE_MISMATCH,
    "Unexpected client data origin": Reason.TOKEN_WRONG_AUDIENCE,  # signed for another site
    "Unexpected RP ID hash": Reason.TOKEN_WRONG_AUDIENCE,
    "Unexpected client data type": Reason.TOKEN_WRONG_TYPE,
    "Could not verify authentication signature": Reason.TOKEN_BAD_SIGNATURE,
    "Attestation statement could not": Reason.TOKEN_BAD_SIGNATURE,
    "User ": Reason.POLICY_DENIED,  # presence or verification that is required
    "Unsupported": Reason.POLICY_DENIED,
    "clientDataJSON was malformed": Reason.TOKEN_MALFORMED,
    "authenticatorData was malformed": Reason.TOKEN_MALFORMED,
    "attestationObject was malformed": Reason.TOKEN_MALFORMED,
    "id and raw_id": Reason.TOKEN_MALFORMED,
}
"""How messages of the library begin -> why the response was refused."""
_MALFORMED: Final = (
    "InvalidAttestationObjectStructure",
    "InvalidAuthenticatorDataStructure",
    "InvalidBackupFlags",
    "InvalidCBORData",
    "InvalidJSONStructure",
)


def _signed(call: Call) -> Flow:
    shown = call.arg("credential")
    outcome = yield
    if outcome.error is not None:
        return _refusal(outcome.error, shown)
    result = outcome.result
    return Facts(token_id=_key_id(result.credential_id), params={"user_verified": getattr(result, "user_verified", None)})


def _stored(call: Call) -> Flow:
    shown = call.arg("credential")
    outcome = yield
    if outcome.error is not None:
        return _refusal(outcome.error, shown)
    result = outcome.result
    params = {"aaguid": result.aaguid, "user_verified": result.user_verified}
    return Facts(token_id=_key_id(result.credential_id), params=params)


def _refusal(error: BaseException, shown: Any) -> Facts:
    message = str(error.args[0]) if type(error).__name__ in _REFUSED and error.args else ""
    reason = next((reason for start, reason in _SAYS.items() if message.startswith(start)), None)
    return Facts(reason=reason, token_id=_shown_id(shown))


def _shown_id(credential: Any) -> str | None:
    """The id of the key, as its response claims it."""
    if isinstance(credential, str):
        try:
            credential = json.loads(credential)
        except (ValueError, RecursionError):
            return None
    value = credential.get("id") if isinstance(credential, Mapping) else getattr(credential, "id", None)
    return value if isinstance(value, str) and value else None


def _key_id(raw: bytes) -> str:
    """As browsers write it (WebAuthn, 5.1): base64url without padding."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


_ERRORS: Final = {
    **dict.fromkeys(_REFUSED, Reason.INVALID_CREDENTIALS),
    **dict.fromkeys(_MALFORMED, Reason.TOKEN_MALFORMED),
    "InvalidCertificateChain": Reason.TOKEN_WRONG_ISSUER,
    "SignatureVerificationException": Reason.TOKEN_BAD_SIGNATURE,
}

HOOKS = (
    Hook(
        target="webauthn.authentication.verify_authentication_response:verify_authentication_response",
        extract=_signed,
        event="auth.authenticate",
        strategy=Strategy.WEBAUTHN,
        params={"user_verified": False},
        errors=_ERRORS,
        defer=True,
    ),
    Hook(
        target="webauthn.registration.verify_registration_response:verify_registration_response",
        extract=_stored,
        event="mfa.enroll",
        strategy=Strategy.WEBAUTHN,
        params={"aaguid": False, "user_verified": False},
        errors=_ERRORS,
        defer=True,
    ),
)

BLIND = (
    "py_webauthn does not know whose key it checks: the subject comes from the sign-in that follows, if a library makes it.",
    "A key that no account has, or that is taken off one, is the application's own business: the library is not asked.",
    "Whether a key is the first or the second factor, or confirms who is signed in already, only a library above knows.",
)
