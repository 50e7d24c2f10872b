"""Shipping into a store: what is remembered under which name, and several sources as one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from ..journal.streams import Batch, Source
from ..pipeline.answers import Answer, Verdict
from ..pipeline.otlp import Sender
from .errors import StoreError
from .store import Address, is_url

__all__ = ("Outspoken", "Several", "described", "target_name")

_CONNECTION: Final = re.compile(
    r"password_file|passfile|ssl\w*|connect_timeout|application_name|ca_file|timeout|keepalives\w*|target_session_attrs"
)
"""Options that say how to reach a store; the others say which place in it is meant."""


def described(target: str) -> str:
    """A store's URL or path, for people and files: without a password. StoreError for a URL that is none."""
    return str(Address.parse(target)) if is_url(target) else str(Path(target.removeprefix("file:")).absolute())


def target_name(target: str) -> str:
    """The file name under which is remembered what *target*, a URL or a path, has got.

    Who signs in there, with which password and how encrypted, makes no other target. StoreError for a URL that is none.
    """
    if not is_url(target):
        path = described(target)
        return f"file-{_digest(path)}"
    address = Address.parse(target)
    scheme = {"postgres": "postgresql"}.get(address.scheme, address.scheme.partition("+")[0])
    options = sorted((name, value) for name, value in address.options.items() if not _CONNECTION.fullmatch(name))
    hosts = [(address.host.lower(), address.port), *address.others]
    place = repr((scheme, hosts, address.database, options))
    return f"{scheme}-{re.sub('[^a-z0-9.-]+', '-', address.host.lower())[:40]}-{_digest(place)}"


class Several:
    """Sources that are shipped through one connection, in turns: a `streams.Source`."""

    def __init__(self, find: Callable[[], Iterable[Source]]) -> None:
        """*find* gives the sources that are new since it was asked last."""
        self._find = find
        self._sources: list[Source] = []

    def next(self, limit: int) -> Batch | None:
        """See `Source`."""
        for source in list(self._sources):
            batch = source.next(limit)
            if batch is not None:
                return batch
            self._turn(source)
        return None

    def acknowledge(self, batch: Batch) -> None:
        """See `Source`."""
        source = self._sources[0]
        self._turn(source)
        source.acknowledge(batch)

    def bury(self, batch: Batch, why: str) -> None:
        """See `Source`."""
        source = self._sources[0]
        source.bury(batch, why)
        self._turn(source)

    def depth(self) -> int:
        """See `Source`."""
        return sum(source.depth() for source in list(self._sources))

    def adopt(self) -> int:
        """See `Source`."""
        self._sources.extend(self._find())
        return sum(source.adopt() for source in self._sources)

    def close(self) -> None:
        """See `Source`."""
        for source in self._sources:
            source.close()

    def _turn(self, source: Source) -> None:
        self._sources.remove(source)
        self._sources.append(source)


class Outspoken:
    """A `Sender` that answers with a store's own words where the store says what is wrong."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def send(self, batch: Batch | None, timeout: float | None = None) -> Answer:
        """See `Sender`."""
        try:
            return self._sender.send(batch, timeout)
        except StoreError as error:
            return Answer(Verdict.MISCONFIGURED, str(error))

    def close(self) -> None:
        """See `Sender`."""
        self._sender.close()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
