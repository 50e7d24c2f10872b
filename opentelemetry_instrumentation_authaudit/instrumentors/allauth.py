"""django-allauth: accounts, providers, second factors, sessions and the headless API."""

from __future__ import annotations

from ..hooks import Hook
from . import allauth_account, allauth_headless, allauth_login, allauth_mfa, allauth_social

__all__ = ("BLIND", "HOOKS")

HOOKS: tuple[Hook, ...] = (
    *allauth_login.HOOKS,
    *allauth_account.HOOKS,
    *allauth_social.HOOKS,
    *allauth_mfa.HOOKS,
    *allauth_headless.HOOKS,
)

BLIND = (
    "A form that is sent with a field missing is no attempt.",
    "Applications of SAML and OpenID Connect providers have names of their own: where both are installed, a sign-in through "
    "either is told as OAuth 2.0. So are OAuth 1.0a, OpenID 2.0 and Telegram.",
    "A browser that is trusted to skip the second factor is told as the sign-in that it is, by the first factor.",
    "That a code has expired is told when the next page is posted with it, not when it expires.",
    "Sessions that end by expiry, or because the password changed, are not seen.",
)
