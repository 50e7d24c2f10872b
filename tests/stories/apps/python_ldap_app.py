"""An application whose users live in an LDAP directory, asked through python-ldap in the usual ways."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ldap
from flask import Flask, request
from ldap.filter import filter_format

if TYPE_CHECKING:
    from collections.abc import Iterator


class Directory:
    """The directory, and the account that may search it."""

    def __init__(self, url: str, base: str, service: tuple[str, str]) -> None:
        self.url, self.base, self.service = url, base, service

    @contextmanager
    def connection(self) -> Iterator[Any]:
        made = ldap.initialize(self.url)
        try:
            yield made
        finally:
            made.unbind_s()

    def find(self, connection: Any, name: str) -> str | None:
        found = connection.search_s(self.base, ldap.SCOPE_SUBTREE, filter_format("(uid=%s)", [name]), ["uid"])
        return found[0][0] if found else None

    def search_then_bind(self, name: str, password: str, *, wait: bool = True) -> bool:
        with self.connection() as lookup, self.connection() as mine:
            lookup.simple_bind_s(*self.service)
            found = self.find(lookup, name)
            if found is None:
                return False
            try:
                if wait:
                    mine.simple_bind_s(found, password)
                else:
                    mine.result(mine.simple_bind(found, password))
            except ldap.INVALID_CREDENTIALS:
                return False
            self.find(lookup, name)
            return True

    def one_connection(self, name: str, password: str) -> bool:
        with self.connection() as connection:
            connection.simple_bind_s(*self.service)
            found = self.find(connection, name)
            try:
                connection.simple_bind_s(found, password)
            except ldap.INVALID_CREDENTIALS:
                return False
            connection.simple_bind_s(*self.service)  # to read what only the service account may
            return True


def create_app(url: str, base: str, service: tuple[str, str]) -> Flask:
    """The application."""
    app = Flask(__name__)
    directory = Directory(url, base, service)

    def answer(good: bool) -> tuple[str, int]:
        return ("welcome", 200) if good else ("no", 401)

    @app.post("/lookup")
    def lookup() -> Any:
        return answer(directory.search_then_bind(request.form["name"], request.form["password"]))

    @app.post("/polled")
    def polled() -> Any:
        return answer(directory.search_then_bind(request.form["name"], request.form["password"], wait=False))

    @app.post("/kept")
    def on_one_connection() -> Any:
        return answer(directory.one_connection(request.form["name"], request.form["password"]))

    return app
