"""Users and clients of OAuth servers: whatever a database hands out is read without asking it again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from opentelemetry_instrumentation_authaudit.instrumentors import oauth_facts as oauth


def test_row_of_sqlalchemy_that_was_committed_is_not_loaded_again() -> None:
    """After a commit its attributes are gone and would cost a query each; its identity is still known."""
    from sqlalchemy import Column, Integer, create_engine, event
    from sqlalchemy.orm import Session, declarative_base

    base: Any = declarative_base()

    class Member(base):  # type: ignore[misc]
        __tablename__ = "member"
        id = Column(Integer, primary_key=True)

    engine = create_engine("sqlite://")
    base.metadata.create_all(engine)
    asked: list[str] = []
    with Session(engine) as session:
        member = Member(id=42)
        session.add(member)
        session.commit()
        event.listen(engine, "before_cursor_execute", lambda _conn, _cursor, statement, *_: asked.append(statement))
        facts = oauth.owner(member)
    engine.dispose()
    assert facts == {"subject": "42", "resource": f"{__name__}:{Member.__qualname__}"}
    assert asked == []


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        (None, None),
        ("ann", "ann"),
        (7, "7"),
        (True, None),
        ({"sub": "a-1"}, "a-1"),
        (SimpleNamespace(id=3), "3"),
        (object(), None),
    ],
)
def test_users_of_every_kind(user: Any, subject: str | None) -> None:
    """A key, a dictionary of claims, an object; nobody, and something that nothing is known of."""
    assert oauth.owner(user).get("subject") == subject


def test_double_of_a_test_suite_is_nobody() -> None:
    """An object that has every attribute knows none."""

    class Everything:
        def __getattr__(self, name: str) -> Any:
            return Everything()

    assert oauth.owner(Everything()) == {}
    assert oauth.whose(Everything()) == {}


@pytest.mark.parametrize(
    ("location", "event", "error"),
    [
        ("http://a/cb?code=x&state=y", "consent.grant", None),
        ("http://a/cb#access_token=x&token_type=Bearer", "token.issue", None),
        ("http://a/cb#code=x&id_token=y", "token.issue", None),
        ("http://a/cb?error=invalid_scope", "oauth.authorize", "invalid_scope"),
        ("http://a/cb?code=forged&error=invalid_scope", "oauth.authorize", "invalid_scope"),
        ("http://a/cb?error=forged&code=x", "consent.grant", None),
        ("http://a/cb?state=y", "consent.grant", None),
        ("http://[", "consent.grant", None),
        (None, "consent.grant", None),
    ],
)
def test_authorization_response_is_read_from_its_end(location: object, event: str, error: str | None) -> None:
    """A client may register or send an address with parameters of its own; the server's come after them."""
    assert oauth.granted(location) == (event, error)
