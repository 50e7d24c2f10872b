"""What the rows of `authlib` say about a sign-in with somebody else's accounts: its clients for Flask, Django and Starlette."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Reason, Status, Strategy
from . import oauth_facts as oauth

__all__ = ("ERRORS", "callback", "callback_1", "id_token")

_CLAIMS: Final = {"nonce": Reason.NONCE_MISMATCH, "iss": Reason.TOKEN_WRONG_ISSUER, "aud": Reason.TOKEN_WRONG_AUDIENCE}
_CODES: Final = {
    "access_denied": Reason.PROVIDER_DENIED,
    "consent_required": Reason.PROVIDER_DENIED,
    "interaction_required": Reason.PROVIDER_DENIED,
    "mismatching_state": Reason.STATE_MISMATCH,
    "missing_request_token": Reason.STATE_MISMATCH,
    "oauth_error": Reason.STATE_MISMATCH,  # OAuth 1: a request token that this session did not ask for
    "server_error": Reason.PROVIDER_ERROR,
    "temporarily_unavailable": Reason.PROVIDER_ERROR,
}
ERRORS: Final[Mapping[str, Reason]] = {
    "BadSignatureError": Reason.TOKEN_BAD_SIGNATURE,
    "ExpiredTokenError": Reason.TOKEN_EXPIRED,
    "InvalidTokenError": Reason.TOKEN_NOT_YET_VALID,
    "InvalidKeyIdError": Reason.TOKEN_BAD_SIGNATURE,
    "UnsupportedAlgorithmError": Reason.TOKEN_BAD_SIGNATURE,
    "JoseError": Reason.TOKEN_MALFORMED,
    "OAuthError": Reason.PROVIDER_ERROR,
    "OAuth1Error": Reason.PROVIDER_ERROR,
    "OAuth2Error": Reason.PROVIDER_ERROR,
}
"""Exceptions of a callback; any other (the provider cannot be reached) leaves the outcome unknown."""


def callback(call: Call) -> Flow:
    provider = oauth.text(oauth.stored(call.instance, "name"))
    outcome = yield
    if outcome.error is not None:
        return Facts(provider=provider, **_why(outcome.error))
    token = outcome.result if isinstance(outcome.result, Mapping) else {}
    claims = token.get("userinfo")
    return Facts(
        provider=provider,
        strategy=Strategy.OIDC if "id_token" in token else None,
        params={"scope": oauth.scope(token.get("scope"))},
        **_person(claims),
    )


def callback_1(call: Call) -> Flow:
    """OAuth 1 has no claims; what a provider adds to its token is not standardised, `user_id` and `screen_name` are common."""
    provider = oauth.text(oauth.stored(call.instance, "name"))
    outcome = yield
    if outcome.error is not None:
        bare = '"oauth_token"' in str(getattr(outcome.error, "description", ""))  # so they come back who denied it, too
        return Facts(provider=provider, **_why(outcome.error) | ({"reason": Reason.INVALID_INPUT} if bare else {}))
    token = outcome.result if isinstance(outcome.result, Mapping) else {}
    return Facts(provider=provider, subject=oauth.text(token.get("user_id")), identity=oauth.text(token.get("screen_name")))


def id_token(call: Call) -> Flow:
    """An ID token that came by another way, from a page's script or an app; inside a callback it folds away."""
    provider, token = oauth.text(oauth.stored(call.instance, "name")), call.arg("token")
    shown = not isinstance(token, Mapping) or "id_token" in token
    outcome = yield
    if not shown:
        return SKIP  # the answer is None, or a KeyError from the asynchronous client of older versions
    if outcome.error is not None:
        return Facts(provider=provider, **_why(outcome.error))
    return Facts(provider=provider, **_person(outcome.result))


def _person(claims: Any) -> dict[str, Any]:
    """Who it is at the provider's, and the name a person knows it by (OpenID Connect Core, 5.1)."""
    if not isinstance(claims, Mapping):
        return {}
    name = next((field for field in ("email", "preferred_username") if oauth.text(claims.get(field))), None)
    facts: dict[str, Any] = {"subject": oauth.text(claims.get("sub")), "claims": claims}
    if name is not None:
        facts |= {"identity": claims[name], "identity_field": "email" if name == "email" else "username"}
    return facts


def _why(error: BaseException) -> dict[str, Any]:
    """What an exception means, beyond its class; a code that the browser may have made up is believed only if it is a known one."""
    claim = _CLAIMS.get(str(getattr(error, "claim_name", None) or getattr(error, "claim", None)))
    if claim is not None:
        return {"status": Status.FAILURE, "reason": claim}
    code = oauth.text(getattr(error, "error", None))
    if any(kind.__name__ in {"OAuthError", "OAuth2Error"} for kind in type(error).__mro__):
        known = code if code in _CODES or code in oauth.REASONS else None
        return {"status": Status.FAILURE, "reason": _CODES.get(code or ""), "error_type": known}
    return {}
