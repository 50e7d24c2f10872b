"""What the rows of `authlib` say about authorization servers and the APIs that their tokens open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Reason, Skip, Status, Strategy
from . import oauth_facts as oauth
from .credentials import carried

__all__ = (
    "challenge",
    "expired",
    "grant",
    "introspected",
    "issued",
    "issued_1",
    "redirect",
    "registered",
    "revoked",
    "signed",
    "signer",
    "token_of_client",
    "validated",
    "verified",
    "wished",
)

_BY_GRANT: Final = {
    "authorization_code": {"invalid_grant": Reason.INVALID_CODE},
    "urn:ietf:params:oauth:grant-type:device_code": {"invalid_grant": Reason.INVALID_CODE},
    "password": {"invalid_request": Reason.INVALID_CREDENTIALS},  # so it says of a wrong password
}
"""What a code says about a grant of this type."""
_CAUSES: Final = {
    "ExpiredTokenError": Reason.TOKEN_EXPIRED,
    "BadSignatureError": Reason.TOKEN_BAD_SIGNATURE,
    "DecodeError": Reason.TOKEN_MALFORMED,
}
_ONE: Final = {
    "InvalidClientError": Reason.INVALID_CREDENTIALS,
    "InvalidNonceError": Reason.TOKEN_REUSED,
    "InvalidSignatureError": Reason.TOKEN_BAD_SIGNATURE,
    "InvalidTokenError": Reason.INVALID_CREDENTIALS,
}


def validated(call: Call) -> Flow:
    """A token request that is refused; if it is not, the token tells."""
    request = _request(call.instance)
    outcome = yield
    return SKIP if outcome.error is None else _refusal(request, outcome.error)


def issued(call: Call) -> Flow:
    request = _request(call.instance)
    outcome = yield
    if outcome.error is not None:
        return _refusal(request, outcome.error)
    _, body, _ = _parts(outcome.result)
    facts = _what(request, oauth.mapping(body).get("scope"))
    owner = oauth.owner(oauth.stored(request, "user"))
    return Facts(**facts, **(owner or {"subject": oauth.client(facts["params"]["client_id"])}))


def wished(call: Call) -> Flow:
    """No grant of this type is registered."""
    request = _passed(call, "request", 0)
    outcome = yield
    return SKIP if outcome.error is None else _refusal(request, outcome.error)


def grant(call: Call) -> Flow:
    """Consent, or a token handed to the browser at once."""
    request = _request(call.instance)
    user = _passed(call, "grant_user", 1)
    outcome = yield
    facts = _what(request) | (oauth.owner(user) or oauth.owner(oauth.stored(request, "user")))
    if outcome.error is not None:
        code = _code(outcome.error)
        if code == "access_denied":
            facts["event"] = "consent.grant"
        return Facts(**facts) if code is None else Facts(**facts, **oauth.refused(code))
    _, _, headers = _parts(outcome.result)
    location = dict(headers).get("Location") if isinstance(headers, (list, tuple)) else None
    return Facts(event=oauth.granted(location)[0], **facts)


def challenge(_call: Call) -> Flow:
    outcome = yield
    return Facts(reason=Reason.PKCE_FAILED) if _code(outcome.error) else None


def redirect(_call: Call) -> Flow:
    outcome = yield
    return Facts(reason=Reason.REDIRECT_MISMATCH) if _code(outcome.error) else None


def revoked(_call: Call) -> Flow:
    outcome = yield
    code = _code(outcome.error)
    return None if code is None else Facts(**oauth.refused(code))


def introspected(_call: Call) -> Flow:
    outcome = yield
    if outcome.error is not None:
        code = _code(outcome.error)
        return None if code is None else Facts(**oauth.refused(code))
    _, body, _ = _parts(outcome.result)
    content = oauth.mapping(body)
    if content.get("active") is False:
        return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS)
    return Facts(subject=oauth.text(content.get("sub")))


def token_of_client(call: Call) -> Flow:
    """The token that a client wants revoked or explained, and the client."""
    client = call.arg("client")
    outcome = yield
    name = oauth.text(oauth.stored(client, "client_id"))
    return Facts(actor=oauth.caller(name), params={"client_id": name}, **oauth.whose(outcome.result))


def registered(_call: Call) -> Flow:
    outcome = yield
    if outcome.error is not None:
        code = _code(outcome.error)
        return None if code is None else Facts(**oauth.refused(code, invalid_client_metadata=Reason.INVALID_INPUT))
    _, body, _ = _parts(outcome.result)
    name = oauth.text(oauth.mapping(body).get("client_id"))
    return Facts(subject=oauth.client(name), params={"client_id": name})


def verified(call: Call) -> Flow:
    request = call.arg("request")
    outcome = yield
    if outcome.error is None:
        token = outcome.result
        claims = token if isinstance(token, Mapping) else None
        name = token.get("client_id") if claims is not None else oauth.stored(token, "client_id")
        return Facts(claims=claims, params={"client_id": oauth.text(name)}, **oauth.whose(token))
    code = _code(outcome.error)
    if code in {"missing_authorization", "unsupported_token_type"}:
        header = getattr(request, "headers", {}).get("Authorization")
        empty = isinstance(header, str) and header.split()[:1] and header.split()[0].lower() == "bearer"
        return Facts(status=Status.FAILURE, reason=Reason.TOKEN_MALFORMED, error_type=code) if empty else SKIP
    cause = _CAUSES.get(type(outcome.error.__cause__ or outcome.error.__context__).__name__)
    return None if code is None else Facts(reason=cause, **oauth.refused(code))


def expired(reason: Reason) -> Any:
    """Whether a stored token is of no use any more, and whose it is."""

    def extract(call: Call) -> Flow:
        facts = oauth.whose(call.instance)
        outcome = yield
        return Facts(reason=reason if outcome.error is None and outcome.result else None, **facts)

    return extract


def signed(_call: Call) -> Flow:
    """A request signed as OAuth 1 has it."""
    outcome = yield
    if outcome.error is None:
        return Facts(provider="oauth1", **_signer(outcome.result))
    if "oauth_consumer_key" in str(getattr(outcome.error, "description", "")):
        return SKIP  # not signed at all
    return Facts(provider="oauth1", **_refusal_1(outcome.error))


def issued_1(call: Call) -> Flow:
    request = call.arg("request")
    outcome = yield
    return Facts(provider="oauth1", **_signer(request), **_refusal_1(outcome.error))


def signer(call: Call) -> Flow:
    """Whose signature is about to be checked."""
    facts = _signer(call.arg("request"))
    yield
    return Facts(**facts)


def _signer(request: Any) -> dict[str, Any]:
    """The client that signs, and whose its credential is; Authlib's own temporary credentials are mappings."""
    credential = oauth.stored(request, "credential")
    user = credential.get("user_id") if isinstance(credential, Mapping) else None
    client = oauth.text(getattr(request, "client_id", None))
    return {"params": {"client_id": client}, **(oauth.owner(user) or oauth.whose(credential))}


def _refusal_1(error: BaseException | None) -> dict[str, Any]:
    if not any(kind.__name__ == "OAuth1Error" for kind in type(error).__mro__):
        return {}
    code, reason = oauth.text(getattr(error, "error", None)), _ONE.get(type(error).__name__, Reason.INVALID_INPUT)
    return {"status": Status.FAILURE, "reason": reason, "error_type": code}


def _refusal(request: Any, error: BaseException) -> Facts | Skip:
    code = _code(error)
    if code in oauth.WAITING:
        return SKIP
    facts = _what(request) | oauth.owner(oauth.stored(request, "user"))
    if code is None:
        return Facts(**facts)
    if code == "invalid_grant" and "redirect_uri" in str(getattr(error, "description", "")):
        facts["reason"] = Reason.REDIRECT_MISMATCH
    better = _BY_GRANT.get(facts["params"]["grant_type"] or "", {})
    return Facts(**(oauth.refused(code, **better) | facts))


def _passed(call: Call, name: str, at: int) -> Any:
    """An argument of a function that Authlib has wrapped so that it shows no parameters."""
    return call.kwargs.get(name, call.args[at] if len(call.args) > at else None)


def _request(grant: Any) -> Any:
    return oauth.stored(grant, "request")


def _what(request: Any, scope: Any = None) -> dict[str, Any]:
    """Mechanism and parameters. A password is a sign-in, a refresh is none, and OpenID Connect is asked for by its scope."""
    said = {name: _asked(request, name) for name in ("grant_type", "response_type", "client_id")}
    given = oauth.scope(scope) or _asked(request, "scope")
    said["client_id"] = said["client_id"] or oauth.text(oauth.stored(oauth.stored(request, "client"), "client_id"))
    headers = getattr(request, "headers", None)
    said["client_id"] = said["client_id"] or (carried(headers.get("Authorization"))["identity"] if headers else None)
    oidc = "openid" in (given or "").split()
    facts: dict[str, Any] = {"strategy": Strategy.OIDC if oidc else Strategy.OAUTH2, "params": {"scope": given, **said}}
    if said["grant_type"] == "password":
        name = oauth.text((getattr(request, "form", None) or {}).get("username"))
        facts |= {"event": "auth.sign_in", "strategy": Strategy.PASSWORD, "identity": name}
    elif said["grant_type"] == "refresh_token":
        facts["event"] = "token.refresh"
    return facts


def _asked(request: Any, name: str) -> str | None:
    """A parameter as the client sent it; before 1.6 requests had no payload."""
    return oauth.text(getattr(oauth.stored(request, "payload") or request, name, None))


def _parts(result: Any) -> tuple[Any, Any, Any]:
    """Status, body and headers."""
    return result if isinstance(result, tuple) and len(result) == 3 else (None, None, None)  # noqa: PLR2004


def _code(error: BaseException | None) -> str | None:
    """The OAuth error code of an exception of Authlib's; None for any other."""
    known = any(kind.__name__ == "OAuth2Error" for kind in type(error).__mro__)
    return oauth.text(getattr(error, "error", None)) or "invalid_request" if known else None
