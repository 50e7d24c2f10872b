"""social-auth-core and social-auth-app-django against a provider on loopback: sign-ins, links, refusals of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import httpx
import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .web import Record, label, record

pytestmark = pytest.mark.filterwarnings("ignore:defusedxml.cElementTree:DeprecationWarning")  # imported by OpenID 2.0's library

PYJWT = tuple(int(part) for part in version("PyJWT").split(".")[:2])
id_token = pytest.mark.skipif(PYJWT < (2, 7), reason="social-auth-core asks for PyJWT 2.7 to check whole ID tokens")
STEP = "tests.stories.apps.social_auth_app"
PIPELINE = (
    *(f"social_core.pipeline.social_auth.{step}" for step in ("social_details", "social_uid", "auth_allowed", "social_user")),
    f"{STEP}.refuse",
    f"{STEP}.ask_for_more",
    "social_core.pipeline.user.get_username",
    "social_core.pipeline.user.create_user",
    *(f"social_core.pipeline.social_auth.{step}" for step in ("associate_user", "load_extra_data")),
    "social_core.pipeline.user.user_details",
)


@pytest.fixture
def provider(audit_trail: AuditTrail) -> Iterator[Any]:
    """The provider, and the site that sends people there."""
    from .apps import django_auth_app
    from .apps.social_provider import CODE, SECRET, TOKEN, served

    django_auth_app.start()
    from .apps.django_site import site as standing

    settings: dict[str, Any] = {
        "AUTHENTICATION_BACKENDS": [f"{STEP}.Village", f"{STEP}.Town", "django.contrib.auth.backends.ModelBackend"],
        "SOCIAL_AUTH_PIPELINE": PIPELINE,
        "SOCIAL_AUTH_LOGIN_ERROR_URL": "/refused",
        "SOCIAL_AUTH_RAISE_EXCEPTIONS": False,
        "SOCIAL_AUTH_URL_NAMESPACE": "social",
        **{
            f"SOCIAL_AUTH_{name}_{part}": value
            for name in ("VILLAGE", "TOWN")
            for part, value in (("KEY", "client"), ("SECRET", SECRET))
        },
    }
    middleware = ["social_django.middleware.SocialAuthExceptionMiddleware"]
    with served() as provider, standing("social_auth_app", "social_django", middleware=middleware, **settings):
        from .apps import social_auth_app

        social_auth_app.address = provider.address
        audit_trail.story()
        yield provider
        audit_trail.assert_no_secret(CODE, TOKEN, SECRET)


@pytest.fixture
def client(provider: Any) -> Any:
    """A browser that nobody is signed in with."""
    from django.test import Client

    return Client(raise_request_exception=False)


def visit(client: Any, backend: str = "village", **changed: str) -> Any:
    """Go to the provider and come back, with *changed* in what the provider says; the answer."""
    there = client.post(f"/login/{backend}/")["Location"]
    back = httpx.URL(httpx.get(there).headers["Location"])
    return client.get(back.path, {**dict(back.params), **changed})


def told(audit_trail: AuditTrail) -> list[Record]:
    """The story."""
    return audit_trail.story()


def signed(
    event: str, outcome: str = "success", *, at: str = "/complete/<str:backend>/", backend: str = "village", **more: str
) -> Record:
    """A record of the visit."""
    verbs = {
        "auth.sign_in": "sign_in_with",
        "auth.authenticate": "authenticate_with",
        "auth.register": "register_with",
        "auth.reauthenticate": "reauthenticate_with",
        "account.link": "link",
        "account.unlink": "unlink",
    }
    facts = {
        "audit__action": f"{verbs[event]}_{backend}",
        "audit__strategy": {"village": "oauth2", "town": "oidc"}[backend],
        "audit__provider": backend,
        "method": "GET",
    }
    made = record("social-auth-core", event, outcome, at=at, **{**facts, **more})
    return {name: value for name, value in made.items() if value}


SIGNED_IN = {"session__id": "session-1", "audit__params__backend": f"{STEP}.Village", "audit__resource": "auth.User"}


def in_django(made: Record) -> Record:
    """The session is Django's to tell."""
    return {**made, "audit.library": label("Django")}


def known(client: Any, audit_trail: AuditTrail, backend: str = "village") -> str:
    """Sign up and out; the subject."""
    visit(client, backend)
    client.logout()
    *_, new, _, _ = told(audit_trail)
    return new["user.id"]


NEW = {"user__id": "auth.user:4", "audit__resource": "auth.User"}


@pytest.mark.parametrize("backend", ["village", pytest.param("town", marks=id_token)])
def test_first_and_second_visit(client: Any, audit_trail: AuditTrail, backend: str) -> None:
    """The account is made and signed in: two things that happened; then one. The code, the tokens and the state stay out."""
    assert visit(client, backend).status_code == 302
    register, sign_in = told(audit_trail)
    params = f"{STEP}.{backend.title()}"
    assert register.pop("audit.identity")  # the library makes a name up where it is taken
    assert register == signed("auth.register", backend=backend, **NEW)
    expected = in_django(signed("auth.sign_in", backend=backend, **{**SIGNED_IN, **NEW, "audit__params__backend": params}))
    assert sign_in == expected
    client.logout()
    told(audit_trail)
    visit(client, backend)
    assert told(audit_trail) == [expected]


@pytest.mark.parametrize(
    ("backend", "mood", "reason"),
    [
        ("village", "declines", "provider_denied"),
        ("town", "declines", "provider_denied"),
        ("village", "bad code", "invalid_code"),
        ("village", "down", "provider_error"),
        ("town", "forged", "token_bad_signature"),
        ("town", "late", "token_expired"),
        pytest.param("town", "other nonce", "nonce_mismatch", marks=id_token),
    ],
)
def test_refused(client: Any, provider: Any, audit_trail: AuditTrail, backend: str, mood: str, reason: str) -> None:
    """The person declines, the provider refuses the code or is down, its answer is not what it should be (older versions have one
    exception for all of that)."""
    from social_core.exceptions import AuthException

    if not hasattr(AuthException, "default_code") and mood in {"forged", "other nonce"}:
        reason = "provider_error"
    provider.mood = mood
    assert visit(client, backend)["Location"].startswith("/refused")
    (one,) = told(audit_trail)
    assert one.pop("error.type")
    assert one == signed("auth.sign_in", "failure", backend=backend, audit__reason=reason)


@pytest.mark.parametrize("changed", [{"state": "another-state-of-thirty-two-bytes"}, {"state": ""}])
def test_state(client: Any, audit_trail: AuditTrail, changed: dict[str, str]) -> None:
    """A visit that was not begun here."""
    visit(client, **changed)
    (one,) = told(audit_trail)
    assert (one["event"], one["audit.outcome"]) == ("auth.sign_in", "failure")
    assert one["audit.reason"] == ("state_mismatch" if changed["state"] else "invalid_input")
    audit_trail.assert_no_secret("another-state-of-thirty-two-bytes")


@pytest.mark.parametrize(
    ("mood", "outcome", "reason"), [("policy", "failure", "provider_error"), ("crash", "unknown", "backend_error")]
)
def test_pipeline_that_refuses_or_breaks(client: Any, audit_trail: AuditTrail, mood: str, outcome: str, reason: str) -> None:
    """A step of the application's own says no, or crashes: nobody was registered."""
    client.get("/prepare", {"mood": mood})
    visit(client)
    (one,) = told(audit_trail)
    assert (one["event"], one["audit.outcome"], one["audit.reason"]) == ("auth.sign_in", outcome, reason)


def test_inactive(client: Any, audit_trail: AuditTrail) -> None:
    """The provider says yes, the account is disabled: one failure, of whom and why."""
    from django.contrib.auth.models import User

    subject = known(client, audit_trail)
    User.objects.filter(pk=subject.rpartition(":")[2]).update(is_active=False)
    visit(client)
    more = {**NEW, "audit__reason": "inactive_account", "audit__params__backend": f"{STEP}.Village"}
    assert told(audit_trail) == [signed("auth.sign_in", "failure", **more)]


def test_pipeline_that_pauses(client: Any, audit_trail: AuditTrail) -> None:
    """It asks for more: nothing is told until it goes on; then all of it is."""
    client.get("/prepare", {"ask": "1"})
    page = visit(client)["Location"]
    assert page.startswith("/colour?")
    assert told(audit_trail) == []
    client.get("/complete/village/", {"partial_token": page.partition("?")[2], "colour": "blue"})
    register, sign_in = told(audit_trail)
    assert (register["event"], register["audit.provider"]) == ("auth.register", "village")
    assert sign_in == in_django(signed("auth.sign_in", **{**SIGNED_IN, **NEW}))


def test_pipeline_that_answers_itself(client: Any, audit_trail: AuditTrail) -> None:
    """A page instead of a user is no sign-in."""
    client.get("/prepare", {"mood": "page"})
    assert visit(client).content == b"later"
    assert told(audit_trail) == []


def test_link_and_unlink(client: Any, audit_trail: AuditTrail) -> None:
    """Whoever is signed in links an account, proves it is theirs once more, and unlinks it; nothing is left to unlink then."""
    from .apps.django_auth_app import PASSWORD

    client.login(username="ann", password=PASSWORD)
    told(audit_trail)
    ann = {"user__id": "auth.user:1", "audit__resource": "auth.User", "audit__params__backend": f"{STEP}.Village"}
    visit(client)
    assert told(audit_trail) == [signed("account.link", **ann)]
    visit(client)
    assert told(audit_trail) == [signed("auth.reauthenticate", **ann)]
    for _ in range(2):
        client.post("/disconnect/village/")
    unlinked = {"at": "/disconnect/<str:backend>/", "method": "POST", **ann, "audit__params__backend": ""}
    assert told(audit_trail) == [signed("account.unlink", **unlinked)]


def test_link_of_somebody_else(client: Any, audit_trail: AuditTrail) -> None:
    """The account at the provider belongs to another user here; or the person declines."""
    from .apps.django_auth_app import PASSWORD

    known(client, audit_trail)
    client.login(username="ann", password=PASSWORD)
    told(audit_trail)
    visit(client)
    (one,) = told(audit_trail)
    assert one.pop("error.type")
    assert one == signed("account.link", "failure", audit__reason="identity_in_use")


def test_unlink_that_would_lock_out(client: Any, audit_trail: AuditTrail) -> None:
    """Without a password the only account cannot be unlinked."""
    visit(client)
    told(audit_trail)
    client.post("/disconnect/village/")
    (one,) = told(audit_trail)
    assert one.pop("error.type")
    facts = {"at": "/disconnect/<str:backend>/", "method": "POST", "audit__reason": "policy_denied", **NEW}
    assert one == signed("account.unlink", "failure", **facts)


@pytest.mark.parametrize("refuse", [False, True])
def test_token_given_to_the_application(client: Any, provider: Any, audit_trail: AuditTrail, *, refuse: bool) -> None:
    """No redirects: the application hands a token to the library, and no session follows, or the answer refuses it."""
    from .apps.social_provider import TOKEN

    known(client, audit_trail)
    client.post("/by-token/village", {"token": TOKEN, **({"refuse": "1"} if refuse else {})})
    more = {**NEW, "at": "/by-token/<backend>", "method": "POST", "audit__params__backend": f"{STEP}.Village"}
    if refuse:
        assert told(audit_trail) == [signed("auth.sign_in", "failure", audit__reason="rejected_after_verification", **more)]
    else:
        assert told(audit_trail) == [signed("auth.authenticate", **more)]


def test_begin_is_off_by_default(client: Any, audit_trail: AuditTrail) -> None:
    """Sending a browser to the provider is no event until asked for."""
    assert client.post("/login/village/").status_code == 302
    assert told(audit_trail) == []
