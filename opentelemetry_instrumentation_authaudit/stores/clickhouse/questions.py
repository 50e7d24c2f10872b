"""Questions in ClickHouse's SQL: what of the filters the server can answer, so that it sends what may match and little else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Final

from ...model import names
from ...privacy.pseudonyms import folded
from ...query.filters import Filters

__all__ = ("Question",)

_LATEST: Final = (1 << 63) - 1
_DOTTED: Final = r"'^[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+$'"


@dataclass(slots=True)
class Question:
    """A `WHERE` clause and its parameters. It lets everything through that passes the filters, and may let through more."""

    filters: Filters
    column: Callable[[str], str]
    """How an attribute is asked for."""
    parameters: dict[str, str | int] = field(default_factory=dict)
    where: str = ""

    def __post_init__(self) -> None:
        self.where = "\n  AND ".join(self._clauses())

    def _clauses(self) -> Iterator[str]:
        asked, column = self.filters, self.column
        yield f"{column(names.RECORD_ID)} != ''"
        if asked.since:
            yield f"Timestamp >= fromUnixTimestamp64Nano({self._bind(min(asked.since, _LATEST), 'Int64')}, 'UTC')"
        if asked.until is not None:
            yield f"Timestamp <= fromUnixTimestamp64Nano({self._bind(min(asked.until, _LATEST), 'Int64')}, 'UTC')"
        exact = {
            (column(names.SUBJECT),): asked.subject,
            (column(names.OUTCOME),): asked.status,
            (column(names.STRATEGY), column(names.PROVIDER)): asked.strategy,
            (column(names.PROVIDER),): asked.provider,
            (column(names.TENANT),): asked.tenant,
            ("ServiceName",): asked.service,
        }
        yield from (self._one_of(where, values) for where, values in exact.items() if values)
        for where, patterns in {column(names.ACTION): asked.action, "EventName": asked.event}.items():
            if patterns:
                yield _any(f"{where} LIKE {self._bind(_like(pattern))}" for pattern in patterns)
        if asked.without:
            yield f"NOT {self._one_of(('EventName',), asked.without)}"
        if asked.identity:
            yield self._identities(column(names.IDENTITY))
        if asked.ip:
            yield _any(self._addresses(column(name)) for name in (names.CLIENT_ADDRESS, names.PEER_ADDRESS))

    def _bind(self, value: str | int, kind: str = "String") -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"

    def _one_of(self, columns: Iterable[str], values: Iterable[str]) -> str:
        bound = ", ".join(map(self._bind, values))
        return _any(f"{column} IN ({bound})" for column in columns)

    def _identities(self, column: str) -> str:
        """Hashes are compared; of what is clear, the server folds ASCII as we do, and leaves the rest to us."""
        plain = {folded(identity) for identity in self.filters.identity}
        ways = [f"position(lower({column}), {self._bind(text)}) > 0" for text in sorted(plain) if text.isascii()]
        ways += (
            [f"{column} IN ({', '.join(map(self._bind, sorted(hashed)))})"] if (hashed := self.filters.identity_hashes()) else []
        )
        return _any([*ways, f"length({column}) != lengthUTF8({column})"])

    def _addresses(self, column: str) -> str:
        """Hashes are compared and dotted addresses counted; every other spelling (IPv6, networks, ports) is left to us."""
        hashed = self.filters.address_hashes()
        ways = [f"{column} IN ({', '.join(map(self._bind, sorted(hashed)))})"] if hashed else []
        for network in self.filters.networks():
            if isinstance(network, IPv4Network):
                low, high = (self._bind(int(network[place]), "UInt32") for place in (0, -1))
                ways.append(f"IPv4StringToNumOrDefault({column}) BETWEEN {low} AND {high}")
        other = f"{column} != '' AND NOT match({column}, {_DOTTED}) AND NOT startsWith({column}, 'hashed:')"
        return _any([*ways, f"({other})"])


def _any(clauses: Iterable[str]) -> str:
    return f"({' OR '.join(clauses)})"


def _like(pattern: str) -> str:
    """A catalogue's pattern as one of `LIKE`, which lets through a little more: its `%` may also stand for nothing."""
    parts = re.split(r"\{\w+\}|\*", pattern)
    return "%".join(re.sub(r"([\\%_])", r"\\\1", part) for part in parts)
