"""Flask-JWT-Extended: tokens that requests carry, tokens that are handed out, cookies that are cleared.

A token minted in a request that checked a password is a sign-in, one minted for the bearer of another token is a refresh. The access
and the refresh token of one login are one event.
"""

from __future__ import annotations

import json
import sys
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Strategy
from .flask_facts import current_request, said
from .pyjwt import REASONS

__all__ = ("BLIND", "HOOKS")

_REFUSALS: Final = {
    **REASONS,
    "CSRFError": Reason.CSRF_FAILED,
    "FreshTokenRequired": Reason.POLICY_DENIED,
    "InvalidHeaderError": Reason.TOKEN_MALFORMED,
    "InvalidQueryParamError": Reason.TOKEN_MALFORMED,
    "JWTDecodeError": Reason.TOKEN_MALFORMED,
    "RevokedTokenError": Reason.TOKEN_REVOKED,
    "UserClaimsVerificationError": Reason.POLICY_DENIED,
    "UserLookupError": Reason.UNKNOWN_IDENTITY,
    "WrongTokenError": Reason.TOKEN_WRONG_TYPE,
}


def _verify(call: Call) -> Flow:
    event = "token.refresh" if call.arg("refresh") is True else "auth.verify"
    outcome = yield
    if outcome.error is None:
        if outcome.result is None:
            return SKIP  # a method that is exempt, or no token where one is optional
        return Facts(**_claimed(outcome.result[1]))
    if type(outcome.error).__name__ == "NoAuthorizationError":
        return SKIP
    return Facts(
        event=event, **_claimed(getattr(outcome.error, "jwt_data", None))
    )  # only a token whose signature is right has data


def _mint(call: Call) -> Flow:
    fresh, usual = call.arg("fresh", default=False), call.arg("expires_delta") is None
    access = call.arg("token_type") == "access"
    outcome = yield
    if outcome.error is not None:
        return None
    minted, carried = _claimed(_payload(outcome.result)), _carried()
    renews = carried.get("type") == "refresh" or (access and usual and not fresh)
    if renews and carried and _claimed(carried)["subject"] == minted["subject"]:
        return Facts(event="token.refresh", **minted)
    return Facts(params={"fresh": bool(fresh) or None}, **minted, **({} if carried else said(current_request())))


def _cleared(_call: Call) -> Flow:
    """Cookies are also cleared because they were refused: no sign-out then."""
    refused = sys.exc_info()[1] is not None
    yield
    carried = _carried()
    return SKIP if refused or not (carried or _has_cookie()) else Facts(**_claimed(carried))


def _claimed(claims: Any) -> dict[str, Any]:
    """What the claims of a good token tell."""
    from flask_jwt_extended.config import config  # noqa: PLC0415 -- the application has imported it, else this would not run

    if not isinstance(claims, Mapping):
        return {"subject": None}
    return {"subject": _text(claims.get(config.identity_claim_key)), "token_id": _text(claims.get("jti")), "claims": claims}


def _payload(token: Any) -> Any:
    """The claims of a token that was made just now: only there the identity is what the application made of it."""
    part = token.split(".")[1]
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _carried() -> Mapping[str, Any]:
    """The claims of the good token that this request carries; empty if it carries none."""
    import flask  # noqa: PLC0415

    claims = flask.g.get("_jwt_extended_jwt") if flask.has_request_context() else None
    return claims if isinstance(claims, Mapping) else {}


def _has_cookie() -> bool:
    import flask  # noqa: PLC0415
    from flask_jwt_extended.config import config  # noqa: PLC0415

    return flask.has_request_context() and bool(flask.request.cookies.get(config.access_cookie_name))  # empty: no token, too


def _text(claim: object) -> str | None:
    return str(claim) if isinstance(claim, (str, int)) and claim != "" else None


HOOKS = (
    Hook(
        target="flask_jwt_extended.view_decorators:verify_jwt_in_request",
        extract=_verify,
        event="auth.verify",
        strategy=Strategy.TOKEN,
        errors=_REFUSALS,
    ),
    Hook(
        target="flask_jwt_extended.jwt_manager:JWTManager._encode_jwt_from_config",
        extract=_mint,
        event="token.issue",
        strategy=Strategy.TOKEN,
        params={"fresh": False},
        establishes_session=True,
    ),
    Hook(
        target="flask_jwt_extended.utils:unset_jwt_cookies",
        extract=_cleared,
        event="auth.sign_out",
        strategy=Strategy.TOKEN,
    ),
)

BLIND = (
    "A wrong password never reaches Flask-JWT-Extended: it is concluded from the hash that was checked; an unknown user is not seen.",
    "A token that the application puts on its block list is no event, only that it is refused from then on; a sign-out is seen where "
    "`unset_jwt_cookies` ends it, without the user where the view asked for no token.",
    "A request without a token where one is required is no event, nor is one whose header has another scheme than the tokens'.",
    "That a good token was required to be fresh and was not is recorded as its refusal (`policy_denied`).",
)
