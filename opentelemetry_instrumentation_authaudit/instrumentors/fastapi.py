"""FastAPI: its security classes only extract credentials, so what became of them is concluded from checks and the response.

The request scope is Starlette's. A request without credentials is no event: nobody was refused.
"""

from __future__ import annotations

from collections.abc import Callable

from ..hooks import SKIP, Call, Facts, Flow, Hook, Reason, Role, Strategy

__all__ = ("BLIND", "HOOKS")


def _form(call: Call) -> Flow:
    identity = call.arg("username")
    params = {name: call.arg(name) or None for name in ("grant_type", "scope", "client_id")}  # an empty scope is a default
    yield
    return Facts(identity=identity if isinstance(identity, str) else None, params=params)


def _basic(call: Call) -> Flow:
    request = call.arg("request")
    outcome = yield
    if outcome.error is not None:
        header = request.headers.get("Authorization")
        shown = isinstance(header, str) and header[:6].lower() == "basic "
        return Facts(reason=Reason.INVALID_INPUT) if shown else SKIP
    return SKIP if outcome.result is None else Facts(identity=outcome.result.username)


def _carried(_call: Call) -> Flow:
    outcome = yield
    return Facts() if outcome.result else SKIP  # none was shown


_TOKENS = (
    "http:HTTPBearer",
    "oauth2:OAuth2",
    "oauth2:OAuth2PasswordBearer",
    "oauth2:OAuth2AuthorizationCodeBearer",
    "open_id_connect_url:OpenIdConnect",
    "api_key:APIKeyCookie",  # a cookie holds a session's token, whatever its class is called
)
_KEYS = ("api_key:APIKeyHeader", "api_key:APIKeyQuery")


def _security(target: str, event: str, strategy: Strategy, extract: Callable[[Call], Flow] = _carried) -> Hook:
    """Applications override it, to look elsewhere in the request."""
    path = f"fastapi.security.{target}.__call__"
    return Hook(target=path, extract=extract, role=Role.HINT, event=event, strategy=strategy, overrides=True)


HOOKS = (
    Hook(
        target="fastapi.security.oauth2:OAuth2PasswordRequestForm.__init__",  # the strict form calls it too
        extract=_form,
        role=Role.HINT,
        event="auth.sign_in",
        strategy=Strategy.PASSWORD,
        params={"grant_type": False, "scope": False, "client_id": False},
    ),
    _security("http:HTTPBasic", "auth.verify", Strategy.BASIC, _basic),
    *(_security(target, "auth.verify", Strategy.TOKEN) for target in _TOKENS),
    *(_security(target, "api_key.verify", Strategy.API_KEY) for target in _KEYS),
)

BLIND = (
    "FastAPI never hears whether a credential was right: it is concluded from password and token checks that are watched, then "
    "from the response, and marked `audit.inferred`. A sign-in form answered below 400 counts as a sign-in.",
    "A carried credential counts as refused if the response is a 401 (for an API key in a header or query also a 403).",
    "A sign-in form that lacks a field is refused by FastAPI (422) before anything looks at it, and is no event.",
    "Credentials that an application takes from the request itself, without a class of `fastapi.security`, are seen only as far "
    "as the libraries that check them are.",
)
