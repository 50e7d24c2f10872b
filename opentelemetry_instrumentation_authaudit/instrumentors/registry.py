"""The libraries we watch: one line each. From a line come the lazy import hook, the switch, the version check, the README table,
`authaudit doctor`, the conformance tests and the oldest/newest test matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module, metadata
from typing import Final

from packaging.specifiers import SpecifierSet

from ..hooks import Hook

__all__ = ("LIBRARIES", "Library")


@dataclass(frozen=True)
class Library:
    """A library we watch. Its rows are `HOOKS` of `instrumentors/<name>.py`; `BLIND` there says what cannot be seen."""

    name: str
    """Our name for it: the file, the switch (`disabled_instrumentors`), the story test."""
    trigger: str
    """Module whose import makes the library present."""
    distributions: tuple[str, ...]
    """Names on PyPI that provide it, for its version; the first one installed counts."""
    versions: str
    """PEP 440 range that is tested: oldest to newest."""

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The library's rows."""
        return tuple(import_module(f".{self.name}", __package__).HOOKS)

    @property
    def blind(self) -> tuple[str, ...]:
        """What cannot be seen there, a sentence each."""
        return tuple(import_module(f".{self.name}", __package__).BLIND)

    @property
    def installed(self) -> tuple[str, str] | None:
        """(distribution, version) that is installed here, None if none is."""
        for name in self.distributions:
            try:
                return name, metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return None

    def supports(self, version: str) -> bool:
        """Whether *version* is in the tested range."""
        return SpecifierSet(self.versions, prereleases=True).contains(version)

    @cached_property
    def label(self) -> str:
        """Library and version as records print them: `flask-login 0.6.3`; the version is `unknown` for a vendored copy."""
        name, version = self.installed or (self.distributions[0], "unknown")
        return f"{name.lower()} {version}"


LIBRARIES: Final[tuple[Library, ...]] = (
    Library("django_auth", "django", ("Django",), ">=4.2"),
    Library("flask", "flask", ("Flask",), ">=2.3"),
    Library("flask_login", "flask_login", ("Flask-Login",), ">=0.6.2"),
    Library("starlette", "starlette", ("starlette",), ">=0.27"),
    Library("fastapi", "fastapi", ("fastapi",), ">=0.100"),
    Library("fastapi_users", "fastapi_users", ("fastapi-users",), ">=12.1"),
    Library("pyjwt", "jwt", ("PyJWT",), ">=2.4"),
    Library("bcrypt", "bcrypt", ("bcrypt",), ">=3.2"),
    Library("argon2", "argon2", ("argon2-cffi",), ">=23.1"),
    Library("passlib", "passlib", ("libpass", "passlib"), ">=1.7.4"),
    Library("pwdlib", "pwdlib", ("pwdlib",), ">=0.2"),
    Library("werkzeug", "werkzeug", ("Werkzeug",), ">=2.3"),
    Library("pyotp", "pyotp", ("pyotp",), ">=2.6"),
    Library("ldap3", "ldap3", ("ldap3",), ">=2.9"),
    Library("python_ldap", "ldap", ("python-ldap",), ">=3.4"),
    Library("python3_saml", "onelogin.saml2", ("python3-saml",), ">=1.16"),
    Library("pysaml2", "saml2", ("pysaml2",), ">=7.4"),
    Library("quart", "quart", ("Quart",), ">=0.19.9"),
    Library("litestar", "litestar", ("litestar",), ">=2.13"),
    Library("django_otp", "django_otp", ("django-otp",), ">=1.3"),
    Library("two_factor", "two_factor", ("django-two-factor-auth",), ">=1.16"),
    Library("axes", "axes", ("django-axes",), ">=6.1"),
    Library("sesame", "sesame", ("django-sesame",), ">=3.2"),
    Library("hijack", "hijack", ("django-hijack",), ">=3.4"),
    Library("impersonate", "impersonate", ("django-impersonate",), ">=1.9.1"),
    Library("loginas", "loginas", ("django-loginas",), ">=0.3.11"),
    Library("aiohttp", "aiohttp.web", ("aiohttp",), ">=3.10.8"),
    Library("flask_jwt_extended", "flask_jwt_extended", ("Flask-JWT-Extended",), ">=4.5.1"),
    Library("flask_httpauth", "flask_httpauth", ("Flask-HTTPAuth",), ">=4.8"),
    Library("webauthn", "webauthn", ("webauthn",), ">=2.2"),
    Library("flask_security", "flask_security", ("Flask-Security", "Flask-Security-Too"), ">=5.5.2"),
    Library("allauth", "allauth", ("django-allauth",), ">=65.5"),
    Library("tornado", "tornado", ("tornado",), ">=6.3"),
    Library("oauthlib", "oauthlib", ("oauthlib",), ">=3.2"),
    Library("oauth2_provider", "oauth2_provider", ("django-oauth-toolkit",), ">=2.3"),
    Library("authlib", "authlib", ("Authlib",), ">=1.3"),
    Library("rest_framework", "rest_framework", ("djangorestframework",), ">=3.15"),
    Library("pyramid", "pyramid", ("pyramid",), ">=2.0"),
    Library("simplejwt", "rest_framework_simplejwt", ("djangorestframework-simplejwt",), ">=5.3"),
    Library("knox", "knox", ("django-rest-knox",), ">=4.2"),
    Library("dj_rest_auth", "dj_rest_auth", ("dj-rest-auth",), ">=7.0.1"),
    Library("social_auth", "social_core", ("social-auth-core",), ">=4.5"),
    Library("djoser", "djoser", ("djoser",), ">=2.2"),
)
