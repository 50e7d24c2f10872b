"""PyJWT: evidence. `jwt.decode` is a bound method captured when the package is imported, so the method below it is watched.

A verified token says whose it is; of a refused one nothing is believed. Decoding without a signature check proves nothing and is
not looked at (Flask-JWT-Extended reads every token that way first).
"""

from __future__ import annotations

from typing import Final

from ..hooks import Call, Facts, Flow, Hook, Reason, Role, Strategy

__all__ = ("BLIND", "HOOKS", "REASONS")

REASONS: Final = {
    "ExpiredSignatureError": Reason.TOKEN_EXPIRED,
    "ImmatureSignatureError": Reason.TOKEN_NOT_YET_VALID,
    "InvalidAlgorithmError": Reason.TOKEN_BAD_SIGNATURE,
    "InvalidAudienceError": Reason.TOKEN_WRONG_AUDIENCE,
    "InvalidIssuerError": Reason.TOKEN_WRONG_ISSUER,
    "InvalidSignatureError": Reason.TOKEN_BAD_SIGNATURE,
    "InvalidTokenError": Reason.TOKEN_MALFORMED,  # the base of them all, of DecodeError too
}
"""Exceptions of the package -> why the token was refused."""


def _decode(call: Call) -> Flow:
    options = call.arg("options")
    if options is not None and not options.get("verify_signature", True):
        return None
    outcome = yield
    if outcome.error is not None:
        return None  # the row names the exceptions
    claims = outcome.result["payload"]
    return Facts(subject=_text(claims.get("sub")), token_id=_text(claims.get("jti")), claims=claims)


def _text(claim: object) -> str | None:
    """RFC 7519 wants a string; a number is common."""
    return str(claim) if isinstance(claim, (str, int)) and claim != "" else None


HOOKS = (
    Hook(
        target="jwt.api_jwt:PyJWT.decode_complete",
        extract=_decode,
        role=Role.EVIDENCE,
        event="auth.verify",
        strategy=Strategy.TOKEN,
        errors=REASONS,
    ),
)

BLIND = (
    "A token checked outside any request is nobody's sign-in and is not recorded.",
    "That the user of a good token was deleted or disabled only the application knows: it is seen where the answer is a 401 and "
    "the token came through a security class of FastAPI.",
    "`jwt.decode_complete`, called as a function of the package, was captured at import and is not seen; `jwt.decode` is.",
    "Tokens read with `verify_signature` off are ignored, also where the application checks the signature by other means.",
)
