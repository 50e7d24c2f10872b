"""What every store can do, and how one is opened by its URL."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlencode, urlsplit

from ..model import names
from ..query.filters import Filters
from ..query.reader import Record
from .errors import StoreError

if TYPE_CHECKING:  # who only asks need not load Protobuf
    from ..pipeline.otlp import Sender

__all__ = ("SCHEMES", "Address", "Merged", "Store", "is_url", "open_store")

Progress = Callable[[int], None]

SCHEMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "postgresql": "postgresql",
        "postgres": "postgresql",
        "victorialogs": "victorialogs",
        "victorialogs+https": "victorialogs",
        "clickhouse": "clickhouse",
        "clickhouse+https": "clickhouse",
    }
)
"""The scheme of a URL, and the module of this room that opens it; everything else is a path."""

_SECRETS: Final = frozenset({"password", "sslpassword"})
"""Options of libpq that are not to be shown."""


@dataclass(frozen=True, slots=True)
class Address:
    """A store's URL: `scheme://user:password@host:port/database?option=value`.

    A password in a command line can be seen by others: `?password_file=/path` names a file whose first line it is; PostgreSQL also
    takes what libpq takes (`PGPASSWORD`, `~/.pgpass`). It may have further hosts behind a comma: `host1:5432,host2:5432`.
    """

    scheme: str
    host: str
    port: int | None
    user: str
    password: str = field(repr=False)
    database: str
    options: Mapping[str, str]
    others: tuple[tuple[str, int | None], ...] = ()
    """Further hosts of the same store, and their ports."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """StoreError for a URL that is none, without repeating it: it may hold a password."""
        try:
            parts, others = _hosts(urlsplit(url))
            given = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
            port = parts.port
        except ValueError:  # whose words may repeat what looked like a port, and is a part of a password
            raise StoreError(
                "--store: this is no URL of a store: write scheme://user@host:port/database?option=value; in a password / # ? @ and "
                "brackets are percent-encoded, or it lies in a file: ?password_file=/path"
            ) from None
        return cls(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.lstrip("/")),
            options=MappingProxyType({name: values[-1] for name, values in given.items()}),
            others=others,
        )

    def asking(self, **options: str) -> Address:
        """The same with these options, also where it has others of their names."""
        return replace(self, options=MappingProxyType({**self.options, **options}))

    @property
    def secret(self) -> str:
        """The password, also where a file holds it; empty if there is none. StoreError for a file that cannot be read."""
        path = self.options.get("password_file")
        if self.password or not path:
            return self.password
        try:
            return Path(path).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, ValueError) as error:
            raise StoreError(f"?password_file={path} cannot be read: {getattr(error, 'strerror', None) or 'no text'}") from None

    def __str__(self) -> str:
        """The URL without its password."""
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        hosts = ",".join(_printed(host, port) for host, port in ((self.host, self.port), *self.others))
        shown = {name: value for name, value in self.options.items() if name not in _SECRETS}
        options = f"?{urlencode(shown, safe='/.')}" if shown else ""
        return f"{self.scheme}://{user}{hosts}{'/' if self.database else ''}{quote(self.database)}{options}"


class Store(ABC):
    """Where records are kept. Asking changes nothing. Every method raises StoreError where the store cannot be reached or used."""

    settling: float = 0.0
    """Seconds for which the store may still lose what it has accepted, if it is killed."""

    @abstractmethod
    def __str__(self) -> str:
        """Where it is, for people; never with a password."""

    @abstractmethod
    def records(self, filters: Filters) -> Iterator[Record]:
        """The records that pass *filters*, in the order of their time, each once."""

    def last(self, filters: Filters, count: int) -> list[Record]:
        """The newest *count* of `records`, oldest first."""
        return list(deque(self.records(filters), maxlen=count))

    @abstractmethod
    def copies(self, filters: Filters, progress: Progress = lambda _done: None) -> Iterator[Record]:
        """Every copy of the records that pass, in any order; `Record.file` says where it stands. *progress*: see `size`."""

    def size(self) -> int:
        """How much `copies` will tell its *progress* of when everything is asked for, in a unit of its own; 0: not known."""
        return 0

    @abstractmethod
    def sender(self) -> Sender:
        """Who writes batches into this store. An accepted batch is committed there, as far as the store tells the truth."""

    def close(self) -> None:  # noqa: B027 -- most stores hold none
        """Let go of connections."""


class Merged(Store):
    """Several stores, asked as one; a copy of a record that an earlier one has is passed over."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = stores

    def __str__(self) -> str:
        return ", ".join(map(str, self.stores))

    def records(self, filters: Filters) -> Iterator[Record]:
        """See `Store`."""
        seen: set[str] = set()
        for record in heapq.merge(*(store.records(filters) for store in self.stores), key=_order):
            if record.id not in seen:
                seen.add(record.id)
                yield record

    def last(self, filters: Filters, count: int) -> list[Record]:
        """See `Store`."""
        found = {record.id: record for store in self.stores for record in store.last(filters, count)}
        return sorted(found.values(), key=_order)[-count:] if count else []

    def copies(self, filters: Filters, progress: Progress = lambda _done: None) -> Iterator[Record]:
        """See `Store`."""
        for store in self.stores:
            yield from store.copies(filters, progress)

    def size(self) -> int:
        """See `Store`."""
        return sum(store.size() for store in self.stores)

    def sender(self) -> Sender:
        """StoreError: it is not one place."""
        raise StoreError(f"records can be written into one store only, not into {self}")

    def close(self) -> None:
        """See `Store`."""
        for store in self.stores:
            store.close()


def is_url(place: str) -> bool:
    """Whether *place* names a store by URL; else it is a path."""
    scheme, separator, _ = place.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def open_store(url: str) -> Store:
    """The store at *url*. It connects to nothing before it is asked. StoreError for a URL that is none, or a missing extra."""
    address = Address.parse(url)
    if address.scheme not in SCHEMES:
        raise StoreError(f"{address.scheme}:// is no store; there are {', '.join(sorted(SCHEMES))}, and paths")
    module = import_module(f".{SCHEMES[address.scheme]}", __package__)
    store: Store = module.open_address(address)
    return store


def _hosts(parts: SplitResult) -> tuple[SplitResult, tuple[tuple[str, int | None], ...]]:
    """The URL with its first host only, and the others. ValueError for a port that is none."""
    login, at, hosts = parts.netloc.rpartition("@")
    first, *others = hosts.split(",")
    found = [urlsplit(f"//{host}") for host in others]
    return parts._replace(netloc=f"{login}{at}{first}"), tuple((one.hostname or "", one.port) for one in found)


def _printed(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port}" if port else name


def _order(record: Record) -> tuple[int, str, int]:
    return record.time, record.attributes.get(names.STREAM_ID, ""), record.number
