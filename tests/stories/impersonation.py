"""What the stories of the three libraries that impersonate have in common: root (3) acts as ann (1), carl (4) may not."""

from __future__ import annotations

from typing import Any

from .web import Record, record

ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
ROOT = {"audit__actor__id": "auth.user:3", "audit__actor__type": "user"}
CARL = {"audit__actor__id": "auth.user:4", "audit__actor__type": "user"}
NEW = "kT4!-pWq9-zRb"
BACKEND = "django.contrib.auth.backends.ModelBackend"


def user(name: str) -> Any:
    """The stored user."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username=name)


def add_people() -> None:
    """Carl (4), who is nobody, and sam (5), a second administrator."""
    from django.contrib.auth import get_user_model

    users: Any = get_user_model().objects
    users.create_user("carl")
    users.create_superuser("sam")


def impersonation(library: str, what: str, outcome: str = "success", *, at: str, **more: str) -> Record:
    """The start or the end of an impersonation: root of ann, unless *more* says otherwise; an empty value is left out."""
    action = {"start": "impersonate", "end": "stop_impersonating"}[what]
    facts = {"audit__action": action, "audit__strategy": "impersonation", **ANN, **ROOT, **more}
    return record(library, f"impersonation.{what}", outcome, at=at, **{name: value for name, value in facts.items() if value})


def meanwhile(event: str, action: str, strategy: str, *, at: str, **more: str) -> Record:
    """Something that ann seems to do."""
    facts = {"audit__action": action, "audit__strategy": strategy, **ANN, **ROOT, **more}
    return record("Django", event, at=at, **{name: value for name, value in facts.items() if value})
