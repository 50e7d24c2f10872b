"""Filters as SQL: never narrower than what is asked, so that the tests of `Filters` on what comes back have the last word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, TypeAlias

from ...model import names
from ...model.event import Status
from ...query.filters import Filters
from .rows import moment, storable

__all__ = ("condition",)

_Part: TypeAlias = "tuple[str, list[Any]]"

_KEPT: Final = 256
"""Characters of a value that a column with an index keeps; the attributes have all of it."""
_PATTERN: Final = re.compile(r"\{\w+\}|\*")
_SPECIAL: Final = re.compile(r"([\\%_])")
_HASHED: Final = "hashed:"
_OCTET: Final = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = rf"^{_OCTET}(\.{_OCTET}){{3}}$"
_ADDRESSES: Final = ("r.client_address", f"r.attributes->>'{names.PEER_ADDRESS}'")
_ADDRESS: Final = """
{0} = ANY(%s) OR ({0} NOT LIKE %s AND CASE WHEN {0} ~ %s THEN {0}::inet <<= ANY(%s::inet[]) ELSE true END)"""
"""What is neither a hash nor a plain IPv4 address may match."""


def condition(filters: Filters) -> tuple[str, list[Any]]:
    """What stands behind WHERE, with its parameters, for rows called `r`."""
    parts = list(_parts(filters))
    return " AND ".join(f"({sql})" for sql, _ in parts) or "true", [value for _, values in parts for value in values]


def _parts(filters: Filters) -> Iterator[_Part]:
    exact = {
        "r.subject": filters.subject,
        "r.provider": filters.provider,
        "r.tenant": filters.tenant,
        "r.status": tuple(map(_status, filters.status)),
    }
    yield from (_one_of(column, wanted) for column, wanted in exact.items() if wanted)
    if filters.service:
        yield _one_of("r.service", filters.service, kept=None)
    if filters.action and "" not in filters.action:  # which stands for a record without one
        yield _patterns("r.action_name", filters.action, kept=_KEPT)
    if filters.event:
        yield _patterns("r.event", filters.event, kept=None)
    if filters.without:
        yield "r.event <> ALL(%s)", [list(map(storable, filters.without))]
    yield from _alternatives(filters)
    yield from _times(filters)


def _alternatives(filters: Filters) -> Iterator[_Part]:
    """What may stand in one of several places, or in one of several forms."""
    if filters.strategy:
        parts = [_one_of(column, filters.strategy) for column in ("r.strategy", "r.provider")]
        yield " OR ".join(sql for sql, _ in parts), [value for _, values in parts for value in values]
    if filters.identity and not any(value.strip().casefold().startswith(_HASHED) for value in filters.identity):
        yield "r.identity = ANY(%s) OR r.identity NOT LIKE %s", [list(filters.identity_hashes()), f"{_HASHED}%"]
    if filters.ip:
        yield _addresses(filters)


def _times(filters: Filters) -> Iterator[_Part]:
    if filters.since > 0:
        yield "r.logged_at >= %s", [_moment(filters.since)]
    if filters.until is not None:
        yield "r.logged_at <= %s", [_moment(filters.until)]


def _status(wanted: str) -> str:
    """As the column has it: everything else is unknown there."""
    return wanted if wanted in {Status.SUCCESS.value, Status.FAILURE.value} else Status.UNKNOWN.value


def _moment(nanoseconds: int) -> datetime:
    """The microsecond it is in: what is finer is left to the test."""
    return moment(nanoseconds // 1000)


def _one_of(column: str, values: Iterable[str], kept: int | None = _KEPT) -> _Part:
    return f"{column} = ANY(%s)", [[storable(value)[:kept] for value in values]]


def _patterns(column: str, wanted: tuple[str, ...], kept: int | None) -> _Part:
    if not any(_PATTERN.search(value) for value in wanted):
        return _one_of(column, wanted, kept)
    return f"{column} LIKE ANY(%s)", [[_like(value, kept) for value in wanted]]


def _like(pattern: str, kept: int | None) -> str:
    """The part before the first wildcard finds everything that may match, and can use an index."""
    first, *more = (_SPECIAL.sub(r"\\\1", storable(part)[:kept]) for part in _PATTERN.split(pattern))
    return f"{first}%" if more else first


def _addresses(filters: Filters) -> _Part:
    """Hashes are compared, plain IPv4 addresses looked at; everything else is left to the test."""
    networks = [str(network) for network in filters.networks() if network.version == 4]  # noqa: PLR2004
    values = [list(filters.address_hashes()), f"{_HASHED}%", _IPV4, networks]
    return " OR ".join(_ADDRESS.format(f"({column})") for column in _ADDRESSES), values * 2
