"""django-sesame: links that are asked for, followed, too old, used up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.testing import AuditTrail

from .apps.django_auth_app import PASSWORD
from .web import Record, label, record

ANN = {"user__id": "auth.user:1", "audit__resource": "auth.User"}
LINK = {"audit__strategy": "magic_link"}
BACKEND = {"audit__params__backend": "sesame.backends.ModelBackend"}
HOUR = 3600


@pytest.fixture
def site(audit_trail: AuditTrail) -> Iterator[Callable[..., Any]]:
    """The site, and how to change its settings."""
    from .apps.django_site import site as standing

    with standing(
        "sesame_app", AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.ModelBackend", BACKEND["audit__params__backend"]]
    ):
        from django.test import override_settings

        audit_trail.story()
        yield override_settings
        audit_trail.assert_no_secret(PASSWORD)


@pytest.fixture
def client(site: Any) -> Any:
    """A browser that nobody is signed in with."""
    from django.test import Client

    return Client(raise_request_exception=False)


def ask(client: Any, name: str = "ann", **more: str) -> str:
    """Ask for a link; what is mailed."""
    return str(client.post("/ask/", {"username": name, **more}).content.decode())


def asked(**more: str) -> Record:
    """A link of ann's was made."""
    facts = {"audit__action": "request_magic_link", **LINK, **ANN, "at": "/ask/", **more}
    return record("django-sesame", "auth.magic_link.request", **facts)


def followed(event: str, outcome: str = "success", *, at: str = "/login/", **more: str) -> Record:
    """A link was followed."""
    facts = {"audit__action": f"{event}_with_magic_link", **LINK, **more}
    return record("Django", f"auth.{event}", outcome, at=at, method="GET", **facts)


def refused(reason: str, **more: str) -> Record:
    """A link was followed in vain."""
    return followed("sign_in", "failure", audit__reason=reason, **more)


def test_link_is_asked_for_and_followed(client: Any, audit_trail: AuditTrail) -> None:
    """One record each; no token in either."""
    token = ask(client)
    assert client.get(f"/login/?sesame={token}").status_code == 302
    told = {**BACKEND, **ANN, "session__id": "session-1", "audit__flow__id": "flow-2"}
    assert audit_trail.story() == [asked(), followed("sign_in", **told)]
    audit_trail.assert_no_secret(token)


@pytest.mark.parametrize("kind", ["query", "parameters"])
def test_link_in_every_form(client: Any, audit_trail: AuditTrail, kind: str) -> None:
    """A query string, or its parameters."""
    ask(client, **{"as": kind})
    assert audit_trail.story() == [asked()]


def test_nobody_to_send_it_to(client: Any, audit_trail: AuditTrail) -> None:
    """No account, no token, nothing to be seen."""
    ask(client, "zed")
    assert audit_trail.story() == []


def test_administrator_makes_a_link(client: Any, audit_trail: AuditTrail) -> None:
    """Who made it is not who it is for."""
    from django.contrib.auth import get_user_model

    client.force_login(get_user_model().objects.get(username="root"), BACKEND["audit__params__backend"])
    audit_trail.story()
    ask(client)
    assert audit_trail.story() == [asked(audit__actor__id="auth.user:3", audit__actor__type="user")]


def test_link_made_in_a_shell(site: Any, audit_trail: AuditTrail) -> None:
    """Outside any request."""
    from django.contrib.auth import get_user_model
    from sesame.utils import get_token

    get_token(get_user_model().objects.get(username="ann"))
    constant = {"event": "auth.magic_link.request", "audit.action": "request_magic_link", "audit.strategy": "magic_link"}
    told = {
        "audit.outcome": "success",
        "audit.library": label("django-sesame"),
        "user.id": "auth.user:1",
        "audit.resource": "auth.User",
    }
    assert audit_trail.story() == [{**constant, **told}]


@pytest.mark.parametrize("tokens", ["sesame.tokens_v1", "sesame.tokens_v2"])
def test_too_old(client: Any, site: Any, audit_trail: AuditTrail, tokens: str) -> None:
    """The library says no; its clock says why."""
    with site(SESAME_MAX_AGE=HOUR, SESAME_TOKENS=[tokens]):
        token = ask(client)
        assert client.get(f"/login/?sesame={token}").status_code == 302
    audit_trail.story()
    with site(SESAME_MAX_AGE=0, SESAME_TOKENS=[tokens]):
        assert client.get(f"/login/?sesame={token}").status_code == 403
    assert audit_trail.story() == [refused("code_expired")]


def test_too_old_for_this_door(client: Any, site: Any, audit_trail: AuditTrail) -> None:
    """The application's own limit is shorter."""
    with site(SESAME_MAX_AGE=HOUR):
        token = ask(client)
        client.get(f"/by-hand/60/?token={token}")
        audit_trail.story()
        client.get(f"/by-hand/0/?token={token}")
    assert audit_trail.story() == [refused("code_expired", at="/by-hand/<int:seconds>/")]


def test_used_up(client: Any, site: Any, audit_trail: AuditTrail) -> None:
    """A link that works once, followed again."""
    with site(SESAME_ONE_TIME=True):
        token = ask(client)
        client.get(f"/login/?sesame={token}")
        audit_trail.story()
        assert client.get(f"/login/?sesame={token}").status_code == 403
    assert audit_trail.story() == [refused("invalid_code")]


@pytest.mark.parametrize("forged", [lambda token: token[:-4] + "AAAA", lambda token: token[:9], lambda _: "no-token-at-all!"])
def test_forged_or_cut_off(client: Any, audit_trail: AuditTrail, forged: Callable[[str], str]) -> None:
    """Nothing is known of it but that it is no good."""
    token = forged(ask(client))
    audit_trail.story()
    client.get("/login/", {"sesame": token})
    assert audit_trail.story() == [refused("invalid_code")]


def test_cut_off_before_its_age(client: Any, site: Any, audit_trail: AuditTrail) -> None:
    """Too short to hold a time."""
    with site(SESAME_MAX_AGE=HOUR):
        client.get("/login/", {"sesame": "AAAA"})
    assert audit_trail.story() == [refused("invalid_code")]


def test_inactive_account(client: Any, audit_trail: AuditTrail) -> None:
    """The token may be right: the account may not."""
    token = ask(client, "bob")
    audit_trail.story()
    client.get(f"/login/?sesame={token}")
    bob = {"user__id": "auth.user:2", "audit__resource": "auth.User"}
    assert audit_trail.story() == [refused("inactive_account", **bob)]


def test_without_a_token(client: Any, audit_trail: AuditTrail) -> None:
    """Nothing was shown."""
    assert client.get("/login/").status_code == 403
    assert audit_trail.story() == []


def test_link_to_one_page(client: Any, audit_trail: AuditTrail) -> None:
    """A link with a scope proves who it is and begins no session; it is no good elsewhere."""
    token = ask(client, scope="page:front")
    assert client.get(f"/page/front/?sesame={token}").content == b"1"
    assert client.get(f"/page/back/?sesame={token}").status_code == 403
    made, seen, elsewhere = audit_trail.story()
    at = "/page/<str:name>/"
    assert made == asked(audit__params__scope="page:front")
    told = {"audit__params__scope": "page:front", "audit__flow__id": "flow-2", **BACKEND, **ANN}
    assert seen == followed("authenticate", at=at, **told)
    assert elsewhere == refused("invalid_code", at=at, audit__params__scope="page:back", audit__flow__id="flow-3")


@pytest.mark.parametrize("middleware", [False, True])
def test_link_that_signs_in_anywhere(client: Any, site: Any, audit_trail: AuditTrail, middleware: bool) -> None:
    """By a decorator, or by the middleware before any view."""
    from django.conf import settings

    token = ask(client)
    audit_trail.story()
    more = ["sesame.middleware.AuthenticationMiddleware"] if middleware else []
    with site(MIDDLEWARE=[*settings.MIDDLEWARE, *more]):
        type(client)().get(f"/door/?sesame={token}")
    told = {**BACKEND, **ANN, "session__id": "session-1"}
    expected = followed("sign_in", at="/door/", **told)
    if middleware:
        expected["url.path"] = expected.pop("http.route")
    assert audit_trail.story() == [expected]
