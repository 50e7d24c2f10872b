"""pysaml2 as a service provider: what an identity provider says of somebody, and its sign-outs. Signing in is then up to the
application."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Role, Status, Strategy
from .saml_facts import ISSUER, REFUSALS, by_issuer

__all__ = ("BLIND", "HOOKS")

_ended: ContextVar[list[str | None] | None] = ContextVar("authaudit_saml_ended", default=None)
"""Who was signed out while a provider's request to do so is handled."""


def _response(call: Call) -> Flow:
    """What is wrong makes an exception (some are bare, without a class of their own), None, or an answer in which nothing was read."""
    if not call.arg("xmlstr"):
        return SKIP
    outcome = yield
    response = outcome.result
    if outcome.error is not None:
        bare = type(outcome.error) is Exception
        return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS) if bare else None
    if response is None:
        return Facts(status=Status.FAILURE, fallback=Reason.TOKEN_MALFORMED)
    assertion = getattr(response, "assertion", None)
    if assertion is None:
        return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS)
    return Facts(subject=_name(response.name_id), token_id=_text(getattr(assertion, "id", None)), **by_issuer(response.issuer()))


def _logout_request(call: Call) -> Flow:
    """A provider's request: it must name whoever is signed in here."""
    name = _name(call.arg("name_id"))
    ended: list[str | None] = []
    token = _ended.set(ended)
    outcome = yield
    _ended.reset(token)
    if outcome.error is None and not ended:
        return Facts(status=Status.FAILURE, fallback=Reason.UNKNOWN_IDENTITY, identity=name)
    return Facts(subject=name) if outcome.error is None else Facts(identity=name)


def _local_logout(call: Call) -> Flow:
    """What every sign-out comes down to; of somebody who is not signed in there is nothing to tell."""
    name = _name(call.arg("name_id"))
    outcome = yield
    if outcome.error is not None:
        return SKIP
    ended = _ended.get()
    if ended is not None:
        ended.append(name)
    return Facts(subject=name)


def _wrong_if_false(reason: Reason) -> Any:
    def extract(_call: Call) -> Flow:
        outcome = yield
        return Facts(reason=reason) if outcome.error is None and not outcome.result else None

    return extract


def _unreadable(_call: Call) -> Flow:
    outcome = yield
    return Facts(reason=Reason.TOKEN_MALFORMED) if outcome.error is not None else None


def _name(name_id: Any) -> str | None:
    """The text of a NameID."""
    return _text(getattr(name_id, "text", None))


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


_ERRORS: Final = {
    **{f"Status{code}": Reason.PROVIDER_DENIED for code in REFUSALS},
    "StatusError": Reason.PROVIDER_ERROR,
    "BadSignature": Reason.TOKEN_BAD_SIGNATURE,
    "CertificateError": Reason.TOKEN_BAD_SIGNATURE,
    "CertificateTooOld": Reason.TOKEN_BAD_SIGNATURE,
    "IncorrectlySigned": Reason.TOKEN_BAD_SIGNATURE,
    "SignatureError": Reason.TOKEN_BAD_SIGNATURE,
    "MissingKey": Reason.TOKEN_WRONG_ISSUER,  # the metadata have no such provider
    "UnsolicitedResponse": Reason.STATE_MISMATCH,
    "ResponseLifetimeExceed": Reason.TOKEN_EXPIRED,
    "ToEarly": Reason.TOKEN_NOT_YET_VALID,
    "VerificationError": Reason.INVALID_CREDENTIALS,  # for another address or request
    "DecryptError": Reason.TOKEN_MALFORMED,
    "DecryptionFailed": Reason.TOKEN_MALFORMED,
    "InvalidAssertion": Reason.TOKEN_MALFORMED,
    "NotValid": Reason.TOKEN_MALFORMED,
    "ParseError": Reason.TOKEN_MALFORMED,
    "RequestVersionTooHigh": Reason.TOKEN_MALFORMED,
    "RequestVersionTooLow": Reason.TOKEN_MALFORMED,
    "TypeError": Reason.TOKEN_MALFORMED,  # another message than the one that was asked for
    "UnravelError": Reason.TOKEN_MALFORMED,
    "ValueError": Reason.TOKEN_MALFORMED,
}


def _row(target: str, extract: Any, event: str) -> Hook:
    return Hook(
        target=f"saml2.{target}",
        extract=extract,
        event=event,
        strategy=Strategy.SAML,
        params=ISSUER,
        errors=_ERRORS,
        defer=True,
        foreign=True,
    )


def _note(target: str, extract: Any) -> Hook:
    return Hook(target=f"saml2.{target}", extract=extract, role=Role.NOTE)


HOOKS = (
    _row("client_base:Base.parse_authn_request_response", _response, "auth.authenticate"),
    _row("client:Saml2Client.handle_logout_request", _logout_request, "auth.sign_out"),
    _row("client:Saml2Client.local_logout", _local_logout, "auth.sign_out"),
    _note("response:for_me", _wrong_if_false(Reason.TOKEN_WRONG_AUDIENCE)),
    _note("response:StatusResponse.issue_instant_ok", _wrong_if_false(Reason.TOKEN_EXPIRED)),
    _note("entity:Entity.unravel", _unreadable),
)

BLIND = (
    "Whom a refused assertion is about is not known; an answer for another address is refused without saying why.",
    "An assertion that is shown a second time is refused only where the application forgets the question that it answered.",
    "What pysaml2 does for an identity provider (`saml2.server`) is not seen: there the application itself checks passwords.",
)
