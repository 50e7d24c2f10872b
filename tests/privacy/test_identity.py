from __future__ import annotations

from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.config import IdentityPrivacy
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Param, Status
from opentelemetry_instrumentation_authaudit.privacy.identity import IdentityRules
from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Keyring

from .conftest import Configured


def event(**facts: Any) -> AuditEvent:
    """A refused sign-in of somebody who typed *identity*."""
    return AuditEvent(event="auth.sign_in", status=Status.FAILURE, time=0, library="lib 1", identity="ann@example.com", **facts)


@pytest.fixture
def rules(configured: Configured, keys: Keyring) -> IdentityRules:
    """Known identities by domain, unknown ones not at all, the field `email` in clear."""
    options = {"identity_privacy_mode": "domain", "unknown_identity_mode": "exclude", "include_fields": "email"}
    return IdentityRules.of(configured(**options), keys)


@pytest.mark.parametrize(
    ("facts", "mode"),
    [
        ({"identity_known": True}, IdentityPrivacy.DOMAIN),
        ({"subject": "app.User:1"}, IdentityPrivacy.DOMAIN),
        ({"identity_known": False}, IdentityPrivacy.EXCLUDE),
        ({}, IdentityPrivacy.EXCLUDE),
        ({"params": {"email": Param("ann@example.com", sensitive=True)}}, IdentityPrivacy.NONE),
        ({"params": {"email": Param("bob@example.com", sensitive=True)}}, IdentityPrivacy.EXCLUDE),
        ({"params": {"username": Param("ann@example.com", sensitive=True)}, "identity_known": True}, IdentityPrivacy.DOMAIN),
    ],
)
def test_the_mode_follows_what_is_known(facts: dict[str, Any], mode: IdentityPrivacy, rules: IdentityRules) -> None:
    """Nobody's account: the stricter mode, for it may be a password. Lifted only for the included field that carried it."""
    assert rules.mode_for(event(**facts)) is mode


@pytest.mark.parametrize(
    ("identity", "recorded"),
    [
        ("ann@example.com", "*@example.com"),
        ("ann+tag@Mail.Example.CO.UK", "*@mail.example.co.uk"),
        ("ann", None),
        ("p@ssw0rd!", None),
        ("hunter2@", None),
        ("a@b@example.com", None),
        ("ann@localhost", None),
        ("ann@[192.0.2.43]", None),
        ("my pass@example.com", None),
    ],
)
def test_the_domain_of_an_email_is_kept(identity: str, recorded: str | None, rules: IdentityRules, keys: Keyring) -> None:
    """What has no e-mail's form has no domain: it is hashed, not guessed at."""
    assert rules.apply(identity, IdentityPrivacy.DOMAIN) == (recorded or keys.identity(identity))


def test_the_other_modes(rules: IdentityRules, keys: Keyring) -> None:
    """In clear, hashed, or not at all."""
    assert rules.apply("ann", IdentityPrivacy.NONE) == "ann"
    assert rules.apply("ann", IdentityPrivacy.HASH) == keys.identity("ann")
    assert rules.apply("ann", IdentityPrivacy.EXCLUDE) is None
