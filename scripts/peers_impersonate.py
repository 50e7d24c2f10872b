"""Settings for the tests of django-impersonate, whose source distribution brings none."""

_CONTRIB = ("contenttypes", "auth", "sessions", "messages", "admin")
_CONTEXT = ("django.template.context_processors.request", "django.contrib.auth.context_processors.auth")

SECRET_KEY = "of no worth"  # noqa: S105 -- nothing is kept
INSTALLED_APPS = [*(f"django.contrib.{name}" for name in _CONTRIB), "impersonate"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "impersonate.middleware.ImpersonateMiddleware",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "impersonate.tests"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": [*_CONTEXT, "django.contrib.messages.context_processors.messages"]},
    }
]
USE_TZ = True
