"""Django's own authentication: forms, views, admin, middleware and sessions, sync and async.

Django speaks through functions (`authenticate`, `login`), signals, forms and the user model; several of them speak in every
sign-in, and the engine folds them. Only forms know that the admin refuses a user without staff rights (with HTTP 200, after
`authenticate` said yes) and that a new password is refused. New accounts and passwords are seen where all ways to them meet:
`AbstractBaseUser.save`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ..hooks import SKIP, Call, Closing, Facts, Flow, Hook, Opening, Reason, Role, Status, Strategy
from . import django_facts as django

__all__ = ("BLIND", "HOOKS")

_FOUND: Final = 302


def _response(call: Call) -> Flow:
    request = call.arg("request")
    token, refused = django.current.set(request), django.refused.set({})
    try:
        outcome = yield Opening(partial(django.read, request))
    finally:  # also where this request runs inside another one, and the extractor is given up at once
        django.current.reset(token)
        django.refused.reset(refused)
    return Closing(getattr(outcome.result, "status_code", None))


def _authenticate(call: Call) -> Flow:
    if django.nothing(call.kwargs):
        return None
    identity = django.identity(call.kwargs)
    strategy, provider = django.mechanism(call.kwargs)
    carried = call.arg("request") is not None and not call.kwargs.keys() - {"request"}
    outcome = yield
    facts: dict[str, Any] = {"strategy": strategy, "provider": provider, **identity}
    if carried:  # given nothing but the request, backends check what it carries
        facts["event"] = "auth.verify"
    user = outcome.result
    if outcome.error is not None:
        return Facts(**facts)
    if user is None:
        return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS, **facts)
    backend = django.text(getattr(user, "backend", None))
    facts["strategy"] = django.backend_strategy(backend) or strategy
    return Facts(params={"backend": backend}, **facts, **_who(user))


def _login_failed(call: Call) -> Flow:
    """Inside `authenticate` it tells nothing new; libraries that check credentials themselves send it alone."""
    credentials = call.arg("credentials") or {}
    if django.nothing(credentials):
        return None
    strategy, provider = django.mechanism(credentials)
    yield
    facts: dict[str, Any] = {"strategy": strategy, "provider": provider, **django.identity(credentials)}
    return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS, **facts)


def _denied(_call: Call) -> Flow:
    outcome = yield
    return Facts(reason=Reason.PERMISSION_DENIED) if type(outcome.error).__name__ == "PermissionDenied" else None


def _inactive(call: Call) -> Flow:
    user = call.arg("user")
    outcome = yield
    return Facts(reason=Reason.INACTIVE_ACCOUNT, **_who(user)) if outcome.result is False else None


def _form_cleaned(call: Call) -> Flow:
    form = call.instance
    outcome = yield
    user = getattr(form, "user_cache", None)
    if outcome.error is None and user is None:
        return SKIP  # a field was empty: nothing was tried
    facts: dict[str, Any] = {"identity": django.text(django.cleaned(form, "username")), **_who(user)}
    code = django.text(getattr(outcome.error, "code", None))
    if user is not None and code in django.ASKS:
        return Facts(status=Status.SUCCESS, **facts)
    if user is not None and outcome.error is not None:
        facts["fallback"] = Reason.INACTIVE_ACCOUNT if code == "inactive" else Reason.REJECTED_AFTER_VERIFICATION
    elif code == "invalid_login":
        facts["fallback"] = Reason.INVALID_CREDENTIALS
    return Facts(error_type=code, **facts)


def _check_password(call: Call) -> Flow:
    outcome = yield
    if outcome.error is not None:
        return None
    facts = _who(call.instance)
    return Facts(**facts) if outcome.result else Facts(status=Status.FAILURE, reason=Reason.WRONG_PASSWORD, **facts)


def _login(call: Call) -> Flow:
    request, user, backend = call.arg("request"), call.arg("user"), django.text(call.arg("backend"))
    yield
    return Facts(session_key=django.session_key(request), params={"backend": backend}, **_who(user))


def _logged_in_or_out(call: Call) -> Flow:
    user = call.arg("user")
    yield
    if django.subject(user) is None:
        return SKIP
    return Facts(session_key=django.session_key(call.arg("request")), **_who(user))


def _logout(_call: Call) -> Flow:
    """The signal inside says who it is; only that the session could not be ended is news."""
    outcome = yield
    return SKIP if outcome.error is None else Facts()


def _reset_requested(call: Call) -> Flow:
    """Django answers the same whether the address is known or not; only a mail that is sent tells."""
    yield
    return Facts(status=Status.UNKNOWN, identity=django.text(django.cleaned(call.instance, "email")), identity_field="email")


def _reset_mailed(call: Call) -> Flow:
    user = (call.arg("context") or {}).get("user")
    yield
    return Facts(identity=django.text(django.cleaned(call.instance, "email")), identity_field="email", **_who(user))


def _reset_link(call: Call) -> Flow:
    view = call.instance
    outcome = yield
    moved = getattr(outcome.result, "status_code", None) == _FOUND  # a good link, its token now in the session
    if outcome.error is not None or moved or getattr(view, "validlink", True):
        return SKIP
    return Facts(status=Status.FAILURE, reason=Reason.INVALID_CODE, **_who(view.user))


def _password_refused(call: Call) -> Flow:
    form = call.instance
    outcome = yield
    code, reason = django.complaint(form)
    if outcome.error is None and (reason is None or django.again(form)):
        return SKIP
    facts = _by_whom(form.user)
    return Facts(event=_event(form), status=Status.FAILURE if reason else None, reason=reason, error_type=code, **facts)


def _password_saved(call: Call) -> Flow:
    form = call.instance
    outcome = yield
    if outcome.error is None and django.pending(form.user):
        return SKIP  # commit=False: the user will be saved later
    usable = False if django.cleaned(form, "set_usable_password") is False else None
    return Facts(event=_event(form), params={"usable_password": usable}, **_by_whom(form.user))


def _registration_refused(call: Call) -> Flow:
    form = call.instance
    outcome = yield
    code, reason = django.complaint(form)
    if outcome.error is None and (reason is None or django.again(form)):
        return SKIP
    username = form.data.get(form.add_prefix(form._meta.model.USERNAME_FIELD))  # noqa: SLF001 -- Django's documented name
    facts: dict[str, Any] = {
        "identity": django.text(username),
        "resource": django.resource(form.instance),
        "actor": django.actor(None),
    }
    return Facts(status=Status.FAILURE if reason else None, reason=reason, error_type=code, **facts)


def _user_saved(call: Call) -> Flow:
    user = call.instance
    new = user._state.adding  # noqa: SLF001 -- Django's documented name
    if not new and not django.pending(user):
        return None
    password = bool(vars(user).get("password")) and user.has_usable_password()
    outcome = yield
    if not new:
        return Facts(event=django.password_event(django.subject(user)), strategy=Strategy.PASSWORD, **_by_whom(user))
    facts = _by_whom(user) | {"identity": django.text(user.get_username())}
    if outcome.error is not None:
        facts["subject"] = None  # a key may be chosen before it is stored
    facts |= {"strategy": Strategy.PASSWORD} if password else {"action": "register"}
    rights: dict[str, Any] = {name: getattr(user, name, None) is True or None for name in ("is_staff", "is_superuser")}
    return Facts(params=rights, **facts)


def _who(user: Any) -> dict[str, Any]:
    return {"subject": django.subject(user), "resource": django.resource(user)}


def _by_whom(user: Any) -> dict[str, Any]:
    return {**_who(user), "actor": django.actor(django.subject(user))}


def _event(form: Any) -> str:
    from django.contrib.auth import forms  # noqa: PLC0415 -- the application has imported it, else there were no form

    if isinstance(form, forms.AdminPasswordChangeForm):
        return "password.set"
    return "password.change" if isinstance(form, forms.PasswordChangeForm) else django.password_event(django.subject(form.user))


_A, _FORMS, _USER = "django.contrib.auth:", "django.contrib.auth.forms:", "django.contrib.auth.base_user:AbstractBaseUser."
_BACKENDS = "django.contrib.auth.backends:"
_REQUEST = partial(Hook, extract=_response, role=Role.REQUEST)
_CHECK = partial(
    Hook,
    extract=_authenticate,
    event="auth.authenticate",
    params={"backend": False},
    errors={"PermissionDenied": Reason.PERMISSION_DENIED},  # of a receiver; that of a backend stays inside
    defer=True,
)
_SESSION = partial(Hook, strategy=Strategy.SESSION)
_LOGIN = partial(_SESSION, extract=_login, event="auth.sign_in", params={"backend": False}, establishes_session=True)
_LOGOUT = partial(_SESSION, extract=_logout, event="auth.sign_out")
_SIGNAL = partial(Hook, role=Role.SIGNAL)
_NOTE = partial(Hook, role=Role.NOTE, overrides=True)
_EVIDENCE = partial(Hook, extract=_check_password, role=Role.EVIDENCE, strategy=Strategy.PASSWORD, overrides=True)
_FORM = partial(
    Hook,
    strategy=Strategy.PASSWORD,
    params={"usable_password": False},
    errors={"ValidationError": Reason.INVALID_INPUT},
    overrides=True,
)

HOOKS: tuple[Hook, ...] = (
    _REQUEST(target="django.core.handlers.base:BaseHandler.get_response"),
    _REQUEST(target="django.core.handlers.base:BaseHandler.get_response_async"),
    _CHECK(target=f"{_A}authenticate"),
    _CHECK(target=f"{_A}aauthenticate", versions=">=5.0"),
    _LOGIN(target=f"{_A}login"),
    _LOGIN(target=f"{_A}alogin", versions=">=5.0"),
    _LOGOUT(target=f"{_A}logout"),
    _LOGOUT(target=f"{_A}alogout", versions=">=5.0"),
    _SIGNAL(
        target="django.contrib.auth.signals:user_logged_in",
        extract=_logged_in_or_out,
        event="auth.sign_in",
        strategy=Strategy.SESSION,
    ),
    _SIGNAL(
        target="django.contrib.auth.signals:user_logged_out",
        extract=_logged_in_or_out,
        event="auth.sign_out",
        strategy=Strategy.SESSION,
    ),
    _SIGNAL(target="django.contrib.auth.signals:user_login_failed", extract=_login_failed, event="auth.authenticate"),
    _NOTE(target=f"{_BACKENDS}ModelBackend.user_can_authenticate", extract=_inactive),
    _NOTE(target=f"{_BACKENDS}BaseBackend.authenticate", extract=_denied),
    _NOTE(target=f"{_BACKENDS}BaseBackend.aauthenticate", extract=_denied, versions=">=5.2"),
    _EVIDENCE(target=f"{_USER}check_password"),
    _EVIDENCE(target=f"{_USER}acheck_password", versions=">=5.0"),
    Hook(
        target=f"{_USER}save",
        extract=_user_saved,
        event="auth.register",
        params={"is_staff": False, "is_superuser": False},
        errors={"IntegrityError": Reason.IDENTITY_IN_USE},
        overrides=True,
    ),
    _FORM(target=f"{_FORMS}AuthenticationForm.clean", extract=_form_cleaned, event="auth.authenticate", defer=True),
    _FORM(target=f"{_FORMS}BaseUserCreationForm._post_clean", extract=_registration_refused, event="auth.register"),
    _FORM(target=f"{_FORMS}SetPasswordForm.clean", extract=_password_refused, event="password.reset"),
    _FORM(target=f"{_FORMS}SetPasswordForm.save", extract=_password_saved, event="password.reset"),
    _FORM(target=f"{_FORMS}AdminPasswordChangeForm.clean", extract=_password_refused, event="password.set"),
    _FORM(target=f"{_FORMS}AdminPasswordChangeForm.save", extract=_password_saved, event="password.set"),
    _FORM(target=f"{_FORMS}PasswordResetForm.save", extract=_reset_requested, role=Role.HINT, event="password.reset_request"),
    _FORM(
        target=f"{_FORMS}PasswordResetForm.send_mail",
        extract=_reset_mailed,
        event="password.reset_request",
        errors={"SMTPException": Reason.SEND_FAILED, "OSError": Reason.SEND_FAILED},
    ),
    Hook(
        target="django.contrib.auth.views:PasswordResetConfirmView.dispatch",
        extract=_reset_link,
        event="password.reset",
        strategy=Strategy.PASSWORD,
        nest=False,
    ),
)

BLIND = (
    "Users that `bulk_create`, `QuerySet.update`, fixtures or SQL write are not seen, nor models without `AbstractBaseUser`.",
    "A refusal by `PermissionDenied` is told from wrong credentials only for backends that derive from `BaseBackend`.",
    "A password reset for which no mail is sent has status unknown: no such address, or somebody else sends the mail.",
    "Sessions that end because the password changed elsewhere, or by expiry, are not seen.",
    "What an administrator changes about an account besides its password (active, groups, e-mail) is not seen.",
)
