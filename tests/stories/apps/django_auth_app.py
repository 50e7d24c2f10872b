"""A Django site with the stock views, the admin and a database in memory."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

import django
from django.conf import settings

TEMPLATES = {"form.html": "{{ form.as_p }}", "mail.txt": "{{ uid }}/{{ token }}", "subject.txt": "reset"}
PASSWORD = "Hf7!-zLm3"
LONG_ENOUGH = "django.contrib.auth.password_validation.MinimumLengthValidator"


_began: list[str] = []


async def slow_check_began() -> None:
    """Wait until a backend has begun to check somebody."""
    while not _began:  # noqa: ASYNC110 -- the site has another event loop
        await asyncio.sleep(0.01)
    _began.clear()


class Flaky:
    """A backend of the application's own that does not derive from Django's; the identity says what it does."""

    def authenticate(self, request: Any, username: str | None = None, password: str | None = None) -> None:
        if username == "crash":
            raise ConnectionError(password)

    async def aauthenticate(self, request: Any, username: str | None = None, **credentials: Any) -> None:
        if username == "slow":
            _began.append(username)
            await asyncio.sleep(60)

    def get_user(self, key: Any) -> None:
        return None


@lru_cache
def start() -> None:
    """Set Django up, once a process."""
    contrib = [f"django.contrib.{name}" for name in ("contenttypes", "auth", "sessions", "messages", "admin")]
    processors = [
        "django.template.context_processors.request",
        *(f"{app}.context_processors.{app[15:]}" for app in contrib[1:4:2]),
    ]
    settings.configure(
        SECRET_KEY="not a secret",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=f"{__package__}.django_auth_urls",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": "file:stories?mode=memory&cache=shared",
                "OPTIONS": {"uri": True},
            }
        },
        INSTALLED_APPS=contrib,
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [
                        ("django.template.loaders.locmem.Loader", TEMPLATES),
                        "django.template.loaders.app_directories.Loader",
                    ],
                    "context_processors": processors,
                },
            }
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        AUTH_PASSWORD_VALIDATORS=[{"NAME": LONG_ENOUGH}],
        AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.ModelBackend", f"{__name__}.Flaky"],
        LOGIN_REDIRECT_URL="/",
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        SIMPLE_JWT={"BLACKLIST_AFTER_ROTATION": True, "SIGNING_KEY": "read at import, once a process, whichever story is first"},
    )
    django.setup()
    from django.core.management import call_command
    from django.test.utils import setup_test_environment

    setup_test_environment()
    call_command("migrate", verbosity=0)


def populate() -> None:
    """Empty the database; then there are ann (1), bob (2, inactive) and root (3, superuser)."""
    from django.contrib.auth import get_user_model
    from django.contrib.contenttypes.models import ContentType
    from django.core import mail
    from django.core.management.color import no_style
    from django.db import connection

    ContentType.objects.clear_cache()
    tables = [name for name in connection.introspection.table_names() if name != "django_migrations"]  # of other stories too
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables, reset_sequences=True))
    mail.outbox = []
    users: Any = get_user_model().objects
    users.create_user("ann", "ann@example.org", PASSWORD)
    users.create_user("bob", "bob@example.org", PASSWORD, is_active=False)
    users.create_superuser("root", "root@example.org", PASSWORD)


@lru_cache
def member_model() -> Any:
    """A user model as many sites have it: a UUID as the key, an e-mail address as the user name, a manager of its own."""
    import uuid

    from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
    from django.db import connection, models

    class MemberManager(BaseUserManager):
        def create_user(self, email: str, password: str | None = None) -> Any:
            member = self.model(email=email)
            member.set_password(password)
            member.save()
            return member

    class Member(AbstractBaseUser):
        id: Any = models.UUIDField(primary_key=True, default=uuid.uuid4)
        email: Any = models.EmailField(unique=True)
        objects = MemberManager()
        USERNAME_FIELD = "email"

        class Meta:
            app_label = "auth"

        def save(self, *args: Any, **kwargs: Any) -> None:
            self.email = self.email.lower()
            super().save(*args, **kwargs)

        def check_password(self, raw_password: Any) -> bool:
            return super().check_password(raw_password.strip())

    with connection.schema_editor() as editor:
        editor.create_model(Member)
    return Member
