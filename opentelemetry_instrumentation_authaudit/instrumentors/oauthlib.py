"""oauthlib: authorization servers of OAuth 1, OAuth 2 and OpenID Connect, whichever framework they stand in, and resource checks.

The endpoints keep their request to themselves, so the grants are watched: every class that answers for a grant type, those that
an application adds too. The flavours of OpenID Connect hand on to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Family, Flow, Hook, Reason, Role, Status, Strategy
from . import oauth_facts as oauth
from .credentials import carried

__all__ = ("BLIND", "HOOKS")

_GRANTED, _REFUSED = 200, 401
_BY_GRANT: Final = {
    "authorization_code": Reason.INVALID_CODE,
    "urn:ietf:params:oauth:grant-type:device_code": Reason.INVALID_CODE,
}
"""What `invalid_grant` says about a grant of this type."""
_DOUBTS: Final = {
    "MismatchingRedirectURIError": Reason.REDIRECT_MISMATCH,
    "MissingRedirectURIError": Reason.REDIRECT_MISMATCH,
    "InvalidRedirectURIError": Reason.REDIRECT_MISMATCH,
    "MissingCodeVerifierError": Reason.PKCE_FAILED,
    "MissingCodeChallengeError": Reason.PKCE_FAILED,
    "UnsupportedCodeChallengeMethodError": Reason.PKCE_FAILED,
    "InvalidClientIdError": Reason.UNKNOWN_IDENTITY,
}
"""Exceptions that say more than their code."""


def _token(call: Call) -> Flow:
    request = call.arg("request")
    if _asked(request, "grant_type") is None and _asked(request, "response_type") is not None:
        return None  # an implicit grant: the authorization endpoint tells
    outcome = yield
    code, _ = _answer(outcome.result) if outcome.error is None else (_code(outcome.error), {})
    if outcome.error is not None and code is None:
        return Facts(**_who(request), **_what(request))
    if code in oauth.WAITING:
        return SKIP
    facts = _who(request) | _what(request)
    if code is not None:
        grant = _asked(request, "grant_type") or ""
        better = {"invalid_grant": _BY_GRANT.get(grant, Reason.INVALID_CREDENTIALS)}
        return Facts(**facts, **oauth.refused(code, **better))
    if "subject" not in facts:
        facts["subject"] = oauth.client(facts["params"]["client_id"])
    return Facts(**facts)


def _authorized(call: Call) -> Flow:
    request = call.arg("request")
    outcome = yield
    facts = _who(request) | _what(request)
    if outcome.error is not None:
        code = _code(outcome.error)
        return Facts(**facts) if code is None else Facts(**facts, **oauth.refused(code))
    headers = outcome.result[0] if isinstance(outcome.result, tuple) and outcome.result else None
    location = headers.get("Location") if isinstance(headers, Mapping) else None
    if location is None:
        return SKIP  # a token was handed out at once, and says so itself
    event, error = oauth.granted(location)
    return Facts(event=event, **facts) if error is None else Facts(**facts, **oauth.refused(error))


def _doubted(call: Call) -> Flow:
    """An authorization request that is refused before anybody was asked."""
    request = call.arg("request")
    outcome = yield
    code = _code(outcome.error)
    if code is None:
        return SKIP if outcome.error is None else None
    reason = _DOUBTS.get(type(outcome.error).__name__)
    return Facts(reason=reason, **_who(request), **_what(request), **oauth.refused(code))


def _token_doubted(_call: Call) -> Flow:
    outcome = yield
    return Facts(reason=_DOUBTS.get(type(outcome.error).__name__))


def _challenge(_call: Call) -> Flow:
    outcome = yield
    return Facts(reason=Reason.PKCE_FAILED) if outcome.error is None and not outcome.result else None


def _revoked(_call: Call) -> Flow:
    outcome = yield
    code, _ = _answer(outcome.result) if outcome.error is None else (_code(outcome.error), {})
    return None if code is None else Facts(**oauth.refused(code))


def _introspected(_call: Call) -> Flow:
    outcome = yield
    code, content = _answer(outcome.result) if outcome.error is None else (_code(outcome.error), {})
    if code is not None:
        return Facts(**oauth.refused(code))
    if outcome.error is None and content.get("active") is False:
        return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS)
    return Facts(subject=oauth.text(content.get("sub")))


def _by_client(call: Call) -> Flow:
    """Who asks to revoke or to introspect a token."""
    request = call.arg("request")
    yield
    client_id = _client(request)
    return Facts(actor=oauth.caller(client_id), params={"client_id": client_id})


def _verified(call: Call) -> Flow:
    request = call.arg("request")
    shown = _shown(request)
    if shown is None:
        return None
    outcome = yield
    if outcome.error is not None:
        code = _code(outcome.error)
        return None if code is None else Facts(**oauth.refused(code))
    facts: dict[str, Any] = {"params": {"client_id": _client(request)}}
    if outcome.result:
        return Facts(**facts, **oauth.owner(_set(request, "user")))
    code = oauth.text(oauth.mapping(_set(request, "oauth2_error")).get("error"))
    reason = Reason.TOKEN_MALFORMED if not shown else oauth.REASONS.get(code or "") or Reason.INVALID_CREDENTIALS
    return Facts(status=Status.FAILURE, fallback=reason, error_type=code, **facts)


def _shown(request: Any) -> str | None:
    """The token a request carries, empty for a header that has none in it, None where no token is shown."""
    headers = getattr(request, "headers", None)
    header = headers.get("Authorization") if isinstance(headers, Mapping) else None
    if not isinstance(header, str):
        return _asked(request, "access_token")
    words = header.split()
    if not words or words[0].lower() in {"basic", "digest", "negotiate"}:
        return None
    return words[1] if len(words) == 2 else ""  # noqa: PLR2004 -- scheme and token


def _signed(_call: Call) -> Flow:
    outcome = yield
    if outcome.error is not None:
        return None
    valid, request = outcome.result
    key = oauth.text(_set(request, "client_key"))
    if request is None or key is None:
        return SKIP  # not signed at all
    facts: dict[str, Any] = {"provider": "oauth1", "params": {"client_id": key}, **oauth.owner(_set(request, "user"))}
    if valid:
        facts.setdefault("subject", oauth.client(key))
        return Facts(**facts)
    log = oauth.mapping(_set(request, "validator_log"))
    reason = Reason.TOKEN_BAD_SIGNATURE if log.get("client") and log.get("signature") is False else Reason.INVALID_CREDENTIALS
    return Facts(status=Status.FAILURE, reason=reason, **facts)


def _token_1(_call: Call) -> Flow:
    outcome = yield
    if outcome.error is not None:
        return None
    _, body, status = outcome.result
    if status == _GRANTED:
        return Facts(provider="oauth1")
    code = dict(oauth.redirection(f"?{body}")).get("error") or ("invalid_client" if status == _REFUSED else None)
    return Facts(provider="oauth1", **oauth.refused(code))


def _by_consumer(call: Call) -> Flow:
    request = call.arg("request")
    yield
    return Facts(params={"client_id": oauth.text(_set(request, "client_key"))}, **oauth.owner(_set(request, "user")))


def _answer(result: Any) -> tuple[str | None, Mapping[str, Any]]:
    """Error code and content of what an endpoint returns: headers, body, status."""
    _, body, status = result if isinstance(result, tuple) and len(result) == 3 else (None, None, None)  # noqa: PLR2004
    return oauth.answer(status, body)


def _code(error: BaseException | None) -> str | None:
    """The OAuth error code of an exception of oauthlib's; None for any other."""
    known = any(kind.__name__ == "OAuth2Error" for kind in type(error).__mro__)
    return oauth.text(getattr(error, "error", None)) or "invalid_request" if known else None


def _asked(request: Any, name: str) -> str | None:
    """A parameter as the client sent it, or a validator corrected it."""
    return oauth.text(getattr(request, name, None))


def _set(request: Any, name: str) -> Any:
    """What a validator or endpoint has set on oauthlib's request: by attribute, a client's parameter of that name would do too."""
    return oauth.stored(request, name)


def _client(request: Any) -> str | None:
    given = _asked(request, "client_id") or oauth.text(oauth.stored(_set(request, "client"), "client_id"))
    headers = getattr(request, "headers", None)
    return given or (carried(headers.get("Authorization"))["identity"] if isinstance(headers, Mapping) else None)


def _who(request: Any) -> dict[str, Any]:
    facts = oauth.owner(_set(request, "user"))
    return facts | {"identity": _asked(request, "username")} if _by_password(request) else facts


def _what(request: Any) -> dict[str, Any]:
    """Mechanism and parameters. A password is a sign-in, a refresh is none, and OpenID Connect is asked for by its scope."""
    scopes = _set(request, "scopes")
    said = {name: _asked(request, name) for name in ("grant_type", "response_type")}
    oidc = isinstance(scopes, (list, tuple, set)) and "openid" in scopes
    facts: dict[str, Any] = {"strategy": Strategy.OIDC if oidc else Strategy.OAUTH2}
    if _by_password(request):
        facts = {"event": "auth.sign_in", "strategy": Strategy.PASSWORD}
    elif said["grant_type"] == "refresh_token":
        facts["event"] = "token.refresh"
    given = oauth.scope(scopes) or _asked(request, "scope")
    return facts | {"params": {"client_id": _client(request), "scope": given, **said}}


def _by_password(request: Any) -> bool:
    return _asked(request, "grant_type") == "password"


_GRANTS, _ENDPOINTS = "oauthlib.oauth2.rfc6749.grant_types", "oauthlib.oauth2.rfc6749.endpoints"
_OAUTH1 = "oauthlib.oauth1.rfc5849.endpoints"
_ASKED: Final = {"client_id": False, "scope": False, "grant_type": False, "response_type": False}
_CLIENT: Final = {"client_id": False}
_GRANT = partial(Hook, params=_ASKED, overrides=True)
_AUTHORIZE = partial(_GRANT, event="oauth.authorize", strategy=Strategy.OAUTH2)
_NOTE = partial(Hook, role=Role.NOTE, params=_CLIENT, overrides=True)
_VERIFY = partial(Hook, event="auth.verify", params=_CLIENT)

HOOKS: tuple[Hook, ...] = (
    _GRANT(
        target=f"{_GRANTS}.base:GrantTypeBase.create_token_response",
        extract=_token,
        event="token.issue",
        strategy=Strategy.OAUTH2,
        absorbs=frozenset({Family.SIGN_OUT}),
        establishes_session=True,
    ),
    _AUTHORIZE(target=f"{_GRANTS}.base:GrantTypeBase.create_authorization_response", extract=_authorized),
    _AUTHORIZE(target=f"{_GRANTS}.authorization_code:AuthorizationCodeGrant.validate_authorization_request", extract=_doubted),
    _AUTHORIZE(target=f"{_GRANTS}.implicit:ImplicitGrant.validate_token_request", extract=_doubted),
    _NOTE(target=f"{_GRANTS}.authorization_code:AuthorizationCodeGrant.validate_token_request", extract=_token_doubted),
    _NOTE(target=f"{_GRANTS}.authorization_code:AuthorizationCodeGrant.validate_code_challenge", extract=_challenge),
    Hook(
        target=f"{_ENDPOINTS}.revocation:RevocationEndpoint.create_revocation_response",
        extract=_revoked,
        event="token.revoke",
        strategy=Strategy.OAUTH2,
    ),
    _NOTE(target=f"{_ENDPOINTS}.revocation:RevocationEndpoint.validate_revocation_request", extract=_by_client),
    _VERIFY(
        target=f"{_ENDPOINTS}.introspect:IntrospectEndpoint.create_introspect_response",
        extract=_introspected,
        strategy=Strategy.TOKEN,
    ),
    _NOTE(target=f"{_ENDPOINTS}.introspect:IntrospectEndpoint.validate_introspect_request", extract=_by_client),
    _VERIFY(
        target="oauthlib.oauth2.rfc6749.tokens:TokenBase.validate_request",
        extract=_verified,
        strategy=Strategy.TOKEN,
        overrides=True,
    ),
    _VERIFY(
        target=f"{_OAUTH1}.resource:ResourceEndpoint.validate_protected_resource_request",
        extract=_signed,
        strategy=Strategy.CUSTOM,
    ),
    _VERIFY(target=f"{_OAUTH1}.signature_only:SignatureOnlyEndpoint.validate_request", extract=_signed, strategy=Strategy.CUSTOM),
    Hook(
        target=f"{_OAUTH1}.access_token:AccessTokenEndpoint.create_access_token_response",
        extract=_token_1,
        event="token.issue",
        strategy=Strategy.CUSTOM,
    ),
    _NOTE(target=f"{_OAUTH1}.access_token:AccessTokenEndpoint.validate_access_token_request", extract=_by_consumer),
)

BLIND = (
    "A revocation is answered alike whether there was such a token or not: it is recorded as a success, and whose token it was "
    "only a framework knows (django-oauth-toolkit does).",
    "That a user refuses consent is seen where the framework tells (django-oauth-toolkit does): oauthlib is not called at all.",
    "A request that is malformed before a grant type is known (a GET, a query string) is refused without a record.",
    "The client side (`WebApplicationClient`, requests-oauthlib) is not watched: it serves sign-ins and service tokens alike.",
)
