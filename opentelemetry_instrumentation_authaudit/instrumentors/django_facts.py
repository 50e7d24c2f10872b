"""What Django's objects tell about a user, a request, a form: shared by the rows of every library built on Django.

Nothing here loads a user or a session that Django has not loaded already, and nothing here fails on a mock.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final

from ..hooks import Actor, Reason, Request, Strategy
from ..hooks.request import from_asgi, from_wsgi

__all__ = (
    "ASKS",
    "actor",
    "again",
    "backend_strategy",
    "cleaned",
    "complaint",
    "current",
    "identity",
    "in_session",
    "keyed",
    "loaded",
    "mechanism",
    "nothing",
    "password_event",
    "pending",
    "posted",
    "read",
    "refused",
    "resource",
    "session_key",
    "stored",
    "subject",
    "text",
    "user_of",
)

_IDENTITIES: Final = ("username", "email", "login", "remote_user")
_BY_BACKEND: Final = {"ldap": Strategy.LDAP, "radius": Strategy.RADIUS, "kerberos": Strategy.KERBEROS, "social": Strategy.OAUTH2}
"""Part of a backend's path -> what it checks, where the names of the credentials do not tell."""
_BY_CREDENTIAL: Final[Mapping[str, tuple[Strategy, str | None]]] = {
    "sesame": (Strategy.MAGIC_LINK, None),
    "remote_user": (Strategy.CUSTOM, "remote_user"),  # the web server has checked, and does not say how
    "session_info": (Strategy.SAML, None),  # djangosaml2
    "ticket": (Strategy.CUSTOM, "cas"),  # django-cas-ng
    "nonce": (Strategy.OIDC, None),  # mozilla-django-oidc
    "authorization_code": (Strategy.OIDC, None),  # django-auth-adfs
    "password": (Strategy.PASSWORD, None),
}
"""Keyword of `authenticate` -> mechanism and provider."""
_BY_CODE: Final = {
    "password_incorrect": Reason.WRONG_PASSWORD,
    "unique": Reason.IDENTITY_IN_USE,
    "password_mismatch": Reason.PASSWORD_MISMATCH,
    "password_too_short": Reason.WEAK_PASSWORD,
    "password_too_similar": Reason.WEAK_PASSWORD,
    "password_too_common": Reason.WEAK_PASSWORD,
    "password_entirely_numeric": Reason.WEAK_PASSWORD,
}
"""Code of a form's error -> reason, the weightiest first."""
ASKS: Final = frozenset({"token_required", "device_required", "challenge_message", "challenge_exception", "not_interactive"})
"""Codes by which a sign-in form asks for a second factor: the password was right, and nothing has failed (django-otp)."""

_STARS: Final = "*" * 20
current: ContextVar[Any] = ContextVar("authaudit_django_request", default=None)
"""The request being answered, which knows who is signed in."""
refused: ContextVar[dict[tuple[type, int], Any] | None] = ContextVar("authaudit_django_refused", default=None)
"""The forms that have refused something in it, by their class and the identity of their data, which they keep alive."""


def read(request: Any, flow_id: str) -> Request:
    """A Django request, WSGI or ASGI: its `META` has the same keys. Route templates keep path tokens out of the record.

    For ASGI the headers of proxies are read as they were sent: in `META`, Django before 4.2.30, 5.2.13 and 6.0.4 appends a
    client's `X_Forwarded_For` to the proxy's `X-Forwarded-For` (CVE-2026-3902), and the last word would be the client's.
    """
    match = request.resolver_match
    script = request.META.get("SCRIPT_NAME", "").rstrip("/")
    route = None if match is None else f"{script}/{match.route.removeprefix('^')}"
    found = from_wsgi(request.META, flow_id, route=route)
    scope = vars(request).get("scope")
    if scope is None or hasattr(request, "environ"):  # WSGI, where an application may keep anything under that name
        return found
    sent = from_asgi(scope, flow_id)
    return replace(found, forwarded=sent.forwarded, x_forwarded_for=sent.x_forwarded_for, x_real_ip=sent.x_real_ip)


def subject(user: Any) -> str | None:
    """`auth.user:42`: the model that holds the row and its key; None for nobody, and for a user that is not stored."""
    key = getattr(user, "pk", None)
    if key is None:
        return None
    return str(key) if getattr(user, "_meta", None) is None else keyed(user, key)


def keyed(model: Any, key: Any) -> str:
    """The subject that *model*, or the model of that row, keeps under *key*."""
    return f"{model._meta.concrete_model._meta.label_lower}:{key}"  # noqa: SLF001 -- Django's documented name


def stored(key: Any) -> dict[str, Any]:
    """Facts about the user who is stored under *key*."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 -- the application has imported it, else this would not run

    return {"subject": keyed(get_user_model(), key), "resource": resource(get_user_model())}


def loaded(user: Any) -> Any:
    """What a lazy object has loaded, without making it load; any other object itself."""
    from django.utils.functional import LazyObject  # noqa: PLC0415 -- the application has imported it, else this would not run

    while isinstance(user, LazyObject):  # middlewares wrap what others have wrapped
        user = vars(user).get("_wrapped")
    return user


def resource(user: Any) -> str | None:
    """`auth.User`: the user model."""
    meta = getattr(user, "_meta", None)
    return None if meta is None else str(meta.label)


def user_of(request: Any) -> Any:
    """Who is signed in on *request*, if Django has loaded the user already."""
    return None if request is None else loaded(vars(request).get("user"))


def in_session(request: Any, name: str) -> Any:
    """What the session holds under *name*, if Django has loaded it already."""
    return (getattr(getattr(request, "session", None), "__dict__", {}).get("_session_cache") or {}).get(name)


def posted(request: Any, name: str) -> str | None:
    """A field of the form, if somebody has read it already."""
    form = vars(request).get("_post")
    return None if form is None else text(form.get(name))


def actor(whose: str | None) -> Actor | None:
    """Who does it, where that is not the subject *whose*."""
    who = subject(user_of(current.get()))
    return None if who is None or who == whose else Actor(who)


def password_event(whose: str | None) -> str:
    """What setting the password of *whose* is, where no form says so: the view and who is signed in tell."""
    request = current.get()
    who = subject(user_of(request))
    view = getattr(getattr(request, "resolver_match", None), "func", None)
    if hasattr(getattr(view, "view_class", None), "reset_url_token") or (request is not None and who is None):
        return "password.reset"
    return "password.change" if who is not None and who == whose else "password.set"


def pending(user: Any) -> bool:
    """Whether a password was set that is not saved; Django forgets it when it saves, and when it only upgrades a hash."""
    return vars(user).get("_password") is not None


def cleaned(form: Any, name: str) -> Any:
    """What *form* made of a field; None where it was not asked, or refused it."""
    return (getattr(form, "cleaned_data", None) or {}).get(name)


def again(form: Any) -> bool:
    """Whether a form of this class has refused the same data in this request: views make a second one to show what was wrong."""
    key, known = (type(form), id(form.data)), refused.get()
    if known is None or key in known:
        return known is not None
    known[key] = form
    return False


def complaint(form: Any) -> tuple[str | None, Reason | None]:
    """Code and reason why a form refused what it was given; nothing if all it misses is a field."""
    faults = vars(form).get("_errors")
    codes = {error.code: field for field, errors in (faults.as_data() if faults else {}).items() for error in errors}
    for code, reason in _BY_CODE.items():
        if code in codes:
            return code, reason
    for code, field in codes.items():
        if code != "required":
            return text(code), Reason.WEAK_PASSWORD if field.endswith("password2") else Reason.INVALID_INPUT
    return None, None


def identity(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Facts about what was given as the identity among the keywords of `authenticate`."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 -- the application has imported it, else this would not run
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415

    names: tuple[Any, ...] = _IDENTITIES
    with suppress(ImproperlyConfigured):  # no user model, only backends
        names = (get_user_model().USERNAME_FIELD, *names)
    name = next((name for name in names if isinstance(credentials.get(name), str)), None)
    return {} if name is None else {"identity": credentials[name], "identity_field": "email" if name == "email" else "username"}


def nothing(credentials: Mapping[str, Any]) -> bool:
    """Whether every credential was left out: a web server that says of no request who sends it, an empty form. Django puts stars
    in the place of a password, whether there is one or not."""
    given = [value for name, value in credentials.items() if name != "request"]
    return any(value is None for value in given) and all(value is None or value == _STARS for value in given)


def mechanism(credentials: Mapping[str, Any]) -> tuple[Strategy | None, str | None]:
    """Mechanism and provider, as the names of the credentials tell."""
    return next((known for name, known in _BY_CREDENTIAL.items() if name in credentials), (None, None))


def backend_strategy(backend: str | None) -> Strategy | None:
    """The mechanism of a backend that is known by its path; that of `ModelBackend` says nothing."""
    return next((known for part, known in _BY_BACKEND.items() if part in (backend or "").lower()), None)


def session_key(request: Any) -> str | None:
    """The key as known by now, without loading the session; a session kept in the cookie has no key, only contents."""
    session = getattr(request, "session", None)
    if any(kind.__module__.endswith("signed_cookies") for kind in type(session).__mro__):
        return None
    return text(getattr(session, "session_key", None))


def text(value: Any) -> str | None:
    """*value* if it is a string."""
    return value if isinstance(value, str) else None
