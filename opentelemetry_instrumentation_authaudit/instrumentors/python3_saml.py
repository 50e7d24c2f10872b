"""python3-saml: what an identity provider says of somebody, and its sign-outs. Signing in is then up to the application."""

from __future__ import annotations

from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from .saml_facts import ISSUER, REFUSALS, by_issuer

__all__ = ("BLIND", "HOOKS")

_ASSERTION: Final = "{urn:oasis:names:tc:SAML:2.0:assertion}"
_PROTOCOL: Final = "{urn:oasis:names:tc:SAML:2.0:protocol}"
_NOTHING_SHOWN: Final = frozenset({8, 9})  # SAML_RESPONSE_NOT_FOUND, SAML_LOGOUTMESSAGE_NOT_FOUND


def _process_response(call: Call) -> Flow:
    """It returns nothing: errors are kept in the object."""
    auth = call.instance
    outcome = yield
    document = vars(auth).get("_last_response")
    if outcome.error is not None:
        return SKIP if getattr(outcome.error, "code", None) in _NOTHING_SHOWN else Facts(**_provider(auth))
    errors = auth.get_errors()
    if errors:
        return Facts(
            status=Status.FAILURE,
            reason=_said_by_provider(document),
            fallback=Reason.TOKEN_MALFORMED,
            error_type=str(errors[0]),
            identity=_first(document, "NameID"),
            token_id=_assertion_id(document),
            **_provider(auth),
        )
    return Facts(subject=auth.get_nameid(), token_id=_assertion_id(document), **_provider(auth))


def _process_slo(call: Call) -> Flow:
    """A provider's request to sign somebody out, or its answer to one of ours, which names nobody."""
    auth = call.instance
    outcome = yield
    if outcome.error is not None:
        return SKIP if getattr(outcome.error, "code", None) in _NOTHING_SHOWN else Facts(**_provider(auth))
    errors = auth.get_errors()
    if errors:
        reason = _SLO_ERRORS.get(errors[0], Reason.TOKEN_MALFORMED)
        return Facts(status=Status.FAILURE, fallback=reason, error_type=str(errors[0]), **_provider(auth))
    return Facts(subject=_signed_out(auth), **_provider(auth))


def _validation_error(call: Call) -> Flow:
    """The reason is the code of an exception that the library keeps to itself."""
    code = call.arg("code")
    yield
    return Facts(reason=_REASONS.get(code)) if isinstance(code, int) else None


def _provider(auth: Any) -> dict[str, Any]:
    return by_issuer(auth.get_settings().get_idp_data().get("entityId"))


def _signed_out(auth: Any) -> str | None:
    """Whom the request that was just verified named, unless it was encrypted."""
    request = vars(auth).get("_last_request")
    if not request:
        return None
    from onelogin.saml2.xml_utils import OneLogin_Saml2_XML  # noqa: PLC0415 -- the application has imported it

    return _first(OneLogin_Saml2_XML.to_etree(request), "NameID")


def _first(document: Any, name: str) -> str | None:
    """The text of the first element of that name; None in what is encrypted, or was never read."""
    element = document.find(f".//{_ASSERTION}{name}") if hasattr(document, "find") else None
    text = getattr(element, "text", None)
    return text.strip() or None if isinstance(text, str) else None


def _assertion_id(document: Any) -> str | None:
    element = document.find(f".//{_ASSERTION}Assertion") if hasattr(document, "find") else None
    return None if element is None else element.get("ID")


def _said_by_provider(document: Any) -> Reason | None:
    """A status that is not a success."""
    found = document.iterfind(f".//{_PROTOCOL}StatusCode") if hasattr(document, "iterfind") else ()
    codes = [str(code.get("Value")).rpartition(":")[2] for code in found]
    if not codes or codes[0] == "Success":
        return None
    return Reason.PROVIDER_DENIED if any(code in REFUSALS for code in codes[1:]) else Reason.PROVIDER_ERROR


_SLO_ERRORS: Final = {
    "invalid_logout_request_signature": Reason.TOKEN_BAD_SIGNATURE,
    "invalid_logout_response_signature": Reason.TOKEN_BAD_SIGNATURE,
    "logout_not_success": Reason.PROVIDER_ERROR,
}

_SIGNATURES: Final = (6, 7, 8, 9, 10, 11, 12, 13, 32, 33, 34, 42, 43, 46, 47)
_REASONS: Final = {
    **dict.fromkeys(_SIGNATURES, Reason.TOKEN_BAD_SIGNATURE),
    15: Reason.STATE_MISMATCH,  # WRONG_INRESPONSETO
    16: Reason.POLICY_DENIED,  # NO_ENCRYPTED_ASSERTION
    17: Reason.POLICY_DENIED,  # NO_ENCRYPTED_NAMEID
    19: Reason.TOKEN_NOT_YET_VALID,  # ASSERTION_TOO_EARLY
    20: Reason.TOKEN_EXPIRED,  # ASSERTION_EXPIRED
    24: Reason.TOKEN_WRONG_AUDIENCE,  # WRONG_DESTINATION
    25: Reason.TOKEN_WRONG_AUDIENCE,  # EMPTY_DESTINATION
    26: Reason.TOKEN_WRONG_AUDIENCE,  # WRONG_AUDIENCE
    27: Reason.TOKEN_WRONG_ISSUER,  # ISSUER_MULTIPLE_IN_RESPONSE
    28: Reason.TOKEN_WRONG_ISSUER,  # ISSUER_NOT_FOUND_IN_ASSERTION
    29: Reason.TOKEN_WRONG_ISSUER,  # WRONG_ISSUER
    30: Reason.TOKEN_EXPIRED,  # SESSION_EXPIRED
    31: Reason.INVALID_CREDENTIALS,  # WRONG_SUBJECTCONFIRMATION: for another address, time or request
    40: Reason.TOKEN_WRONG_AUDIENCE,  # SP_NAME_QUALIFIER_NAME_MISMATCH
    44: Reason.TOKEN_EXPIRED,  # RESPONSE_EXPIRED
    45: Reason.POLICY_DENIED,  # AUTHN_CONTEXT_MISMATCH
}
"""Codes of `OneLogin_Saml2_ValidationError`; all others mean that the message is not as SAML wants it."""

_ERRORS: Final = {
    "Error": Reason.TOKEN_MALFORMED,  # of binascii
    "XMLSyntaxError": Reason.TOKEN_MALFORMED,
    "UnicodeDecodeError": Reason.TOKEN_MALFORMED,
    "OneLogin_Saml2_ValidationError": Reason.TOKEN_MALFORMED,
}


def _row(method: str, extract: Any, event: str) -> Hook:
    return Hook(
        target=f"onelogin.saml2.auth:OneLogin_Saml2_Auth.{method}",
        extract=extract,
        event=event,
        strategy=Strategy.SAML,
        params=ISSUER,
        errors=_ERRORS,
        defer=True,
        foreign=True,
    )


HOOKS = (
    _row("process_response", _process_response, "auth.authenticate"),
    _row("process_slo", _process_slo, "auth.sign_out"),
    Hook(
        target="onelogin.saml2.errors:OneLogin_Saml2_ValidationError.__init__",
        extract=_validation_error,
        role=Role.NOTE,
    ),
)

BLIND = (
    "An assertion that is shown a second time is refused only by applications that keep its id or compare `InResponseTo`.",
    "What a refused assertion says of a person is recorded as claimed; of an encrypted one nothing is.",
    "A provider's answer to a sign-out names nobody: only a sign-out told by the application's own library says who it was.",
)
