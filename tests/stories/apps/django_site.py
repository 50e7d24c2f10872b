"""The site of `django_auth_app` with further applications: Django can be set up only once a process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import django_auth_app

_pages: dict[tuple[str, ...], dict[Any, Any]] = {}
"""What each set of applications has added to the admin, which it does once a process."""


@contextmanager
def site(urls: str, *applications: str, middleware: Sequence[str] = (), **settings: Any) -> Iterator[None]:
    """Django with *applications* installed, the URLs of module *urls*, and ann, bob (inactive) and root."""
    django_auth_app.start()
    from django.conf import settings as standing
    from django.contrib.admin import site as admin
    from django.core.management import call_command
    from django.test import override_settings

    before = dict(admin._registry)
    with override_settings(
        INSTALLED_APPS=[*standing.INSTALLED_APPS, *applications],
        MIDDLEWARE=[*standing.MIDDLEWARE, *middleware],
        ROOT_URLCONF=f"{__package__}.{urls}",
        **settings,
    ):
        if applications not in _pages:
            call_command("migrate", verbosity=0)
            _pages[applications] = dict(admin._registry)
        admin._registry = _pages[applications]
        try:
            django_auth_app.populate()
            yield
            django_auth_app.populate()  # rows of these applications would stay in the way of the next story
        finally:
            admin._registry = before
