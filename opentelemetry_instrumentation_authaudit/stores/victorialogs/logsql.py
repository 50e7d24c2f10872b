"""Questions in LogsQL: what of the filters VictoriaLogs can answer, so that it sends what may match and little else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from ...model import names
from ...privacy.pseudonyms import folded
from ...query.filters import Filters

__all__ = ("EVENT", "NAMES", "SERVICE", "logsql", "of_record", "quoted")

EVENT: Final = "event_name"
SERVICE: Final = "service.name"
NAMES: Final = frozenset(
    value
    for name, value in vars(names).items()
    if name.isupper() and not name.startswith("SCHEMA_") and not str(value).startswith("audit.") and isinstance(value, str)
)
"""Attributes of a record that are not called `audit.` something."""
_ROOM: Final = 15 * 1024
"""Bytes of all clauses. A question of more than 16 KiB is refused (`-search.maxQueryLen`); what has no room is left to us."""
_OURS: Final = f'("{names.LOG}":* or "{names.RECORD_ID}":*)'
"""What has an id is an audit record. But ids lie in one column, all different and dear to read; the log's name it knows at once."""
_WILD: Final = re.compile(r"\{\w+\}|\*")
_SPECIAL: Final = re.compile(r"([\\.+*?()|\[\]{}^$])")
_OTHER: Final = re.compile(r"[^\x00-\x7f]")
_NOT_ASCII: Final = '"[^\\\\x00-\\\\x7f]"'


def logsql(filters: Filters) -> str:
    """Filters in LogsQL. They let every record through that passes *filters*, and may let through more; times are not among them."""
    chosen: list[str] = []
    for clause in _clauses(filters):
        if sum(len(one.encode()) + 1 for one in (*chosen, clause)) < _ROOM:
            chosen.append(clause)
    return " ".join([*chosen, _OURS])


def of_record(name: str) -> bool:
    """Whether a field is an attribute of the record. Resource, scope and record are one flat object there."""
    return name.startswith("audit.") or name in NAMES


def quoted(text: str) -> str:
    """*text* as a string literal (https://docs.victoriametrics.com/victorialogs/logsql/#string-literals: those of Go)."""
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False)


def _clauses(asked: Filters) -> Iterator[str]:
    exact = {
        (names.SUBJECT,): asked.subject,
        (names.OUTCOME,): asked.status,
        (names.STRATEGY, names.PROVIDER): asked.strategy,
        (names.PROVIDER,): asked.provider,
        (names.TENANT,): asked.tenant,
        (SERVICE,): asked.service,
    }
    yield from (_any(_in(field, values) for field in fields) for fields, values in exact.items() if values)
    for field, patterns in {names.ACTION: asked.action, EVENT: asked.event}.items():
        if patterns:
            yield _any(_like(field, pattern) for pattern in patterns)
    if asked.without:
        yield f"!{_in(EVENT, asked.without)}"
    if asked.identity:
        yield _identities(asked)
    if asked.ip:
        yield _any(_addresses(quoted(name), asked) for name in (names.CLIENT_ADDRESS, names.PEER_ADDRESS))


def _any(clauses: Iterable[str]) -> str:
    return f"({' or '.join(clauses)})"


def _in(field: str, values: Iterable[str]) -> str:
    return f"{quoted(field)}:in({','.join(map(quoted, values))})"


def _like(field: str, pattern: str) -> str:
    """A catalogue's pattern as a regular expression of RE2."""
    if not _WILD.search(pattern):
        return _in(field, (pattern,))
    expression = ".+".join(map(_literal, _WILD.split(pattern)))
    return f"{quoted(field)}:~{quoted(f'(?s)^{expression}$')}"


def _literal(text: str) -> str:
    """As a regular expression of RE2, which does not take all that `re.escape` writes.

    VictoriaLogs first looks for the words of the expression, and does not find one that ends with U+FFFD: any character stands for
    those that are not ASCII.
    """
    return _OTHER.sub(".", _SPECIAL.sub(r"\\\1", text))


def _identities(asked: Filters) -> str:
    """Hashes are compared; of what is clear, the server folds ASCII as we do, and leaves the rest to us."""
    field = quoted(names.IDENTITY)
    plain = sorted({folded(identity) for identity in asked.identity})
    ways = [f"{field}:~{quoted(f'(?is){_literal(text)}')}" for text in plain if text.isascii()]
    if hashed := asked.identity_hashes():
        ways.append(_in(names.IDENTITY, sorted(hashed)))
    return _any([*ways, f"{field}:~{_NOT_ASCII}"])


def _addresses(field: str, asked: Filters) -> str:
    """Hashes are compared and dotted addresses counted; every other spelling (IPv6, networks, ports) is left to us."""
    dotted = f"{field}:~{quoted('^[0-9.]+$')}"
    ways = [f"{field}:ipv4_range({quoted(str(network))})" for network in asked.networks() if network.version == 4]  # noqa: PLR2004
    if hashed := asked.address_hashes():
        ways.append(f"{field}:in({','.join(map(quoted, sorted(hashed)))})")
    return _any([*ways, f'({field}:* !{dotted} !{field}:="hashed:"*)'])
