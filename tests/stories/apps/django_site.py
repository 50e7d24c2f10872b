"""The site of `django_auth_app` with further applications: Django can be set up only once a process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import django_auth_app

_migrated: set[tuple[str, ...]] = set()
_pages: dict[Any, Any] = {}
"""Models in the admin, where each application adds its own once a process."""


@contextmanager
def site(urls: str, *applications: str, middleware: Sequence[str] = (), **settings: Any) -> Iterator[None]:
    """Django with *applications* installed, the URLs of module *urls*, and ann, bob (inactive) and root."""
    django_auth_app.start()
    from django.apps import apps
    from django.conf import settings as standing
    from django.contrib.admin import site as admin
    from django.core.management import call_command
    from django.test import override_settings

    before = dict(admin._registry)
    installed = [*standing.INSTALLED_APPS, *applications]
    settings |= {"MIDDLEWARE": [*standing.MIDDLEWARE, *middleware], "ROOT_URLCONF": f"{__package__}.{urls}"}
    with override_settings(**settings), _announced(installed), override_settings(INSTALLED_APPS=installed):
        if applications not in _migrated:
            call_command("migrate", verbosity=0)
            _migrated.add(applications)
        _pages.update(admin._registry)
        admin._registry = {model: page for model, page in _pages.items() if model._meta.app_label in apps.app_configs}
        try:
            django_auth_app.populate()
            yield
            django_auth_app.populate()  # rows of these applications would stay in the way of the next story
        finally:
            admin._registry = before


@contextmanager
def _announced(installed: list[str]) -> Iterator[None]:
    """Applications read the settings while they are installed, `INSTALLED_APPS` too: models that are abstract elsewhere (Django
    REST framework's tokens), once a process. A story that imports such a module must install its application."""
    from django.conf import settings

    settings.INSTALLED_APPS = installed
    try:
        yield
    finally:
        del settings.INSTALLED_APPS
