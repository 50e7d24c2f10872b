"""`Forwarded` (RFC 7239), `X-Forwarded-For` and `X-Real-IP`: read completely, and rebuilt from what was understood.

Both are the client's to forge: whatever is not understood is dropped, never copied. Each proxy appends on the right, so the
right end is the trustworthy one: that is what is kept where a header is too long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeAlias

from .addresses import INVALID, parse

__all__ = ("Element", "parse_forwarded", "rebuild_forwarded", "rebuild_host", "rebuild_list", "split_list")

Pseudonymise: TypeAlias = Callable[[str], "str | None"]
"""An address as sent -> what is recorded of it, None for nothing (`AddressPrivacy`)."""

MAX_CHARS: Final = 4096
"""What is read of all lines of a header, from the right."""
MAX_ELEMENTS: Final = 32

# One pass over the text, each character looked at once: a quoted string (or the rest, if it never ends), a delimiter, other text.
_LEXEMES = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?$)|[,;=]|[^",;=]+', re.DOTALL)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z]{1,10}")
_OBFUSCATED = re.compile(r"(_[A-Za-z0-9._-]{1,64})(?::.*)?")
_HOST_NAME = re.compile(r"([A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}))(?::\d{1,5})?")
_LAST_LABEL_NUMBER = re.compile(r"(?:.*\.)?(?:\d+|0[xX][0-9A-Fa-f]*)\.?")  # the URL standard reads such a host as IPv4
# An address inside a name: ip-192-0-2-43, c000022b, 2001-db8--1, 2001-db8-cafe-0-0-0-0-17.
_EMBEDDED = re.compile(
    r"\d{1,3}(?:[._-]\d{1,3}){3}|[0-9A-Fa-f]{8}|(?<!xn)(?:--|__)|(?<![A-Za-z0-9])(?:[0-9A-Fa-f]{1,4}[_-]){3}[0-9A-Fa-f]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Element:
    """One hop of a `Forwarded` header: the four parameters of RFC 7239, unquoted, None where absent."""

    for_: str | None = None
    by: str | None = None
    host: str | None = None
    proto: str | None = None


def parse_forwarded(lines: Iterable[str]) -> tuple[Element, ...]:
    """Every element of every header line, the client's first; parameters that are malformed or unknown are left out."""
    text = _right_end(lines)
    elements = []
    for part in _split(_LEXEMES.findall(text), ","):
        pairs = dict(filter(None, map(_pair, _split(part, ";"))))
        known = Element(pairs.get("for"), pairs.get("by"), pairs.get("host"), pairs.get("proto"))
        if known != Element():
            elements.append(known)
    return tuple(elements[-MAX_ELEMENTS:])


def split_list(lines: Iterable[str]) -> tuple[str, ...]:
    """Every element of a comma-separated header (`X-Forwarded-For`, `X-Real-IP`), blanks and quotes stripped, none empty."""
    parts = (part.strip(' \t"') for part in _right_end(lines).split(","))
    return tuple(part for part in parts if part)[-MAX_ELEMENTS:]


def rebuild_forwarded(lines: Iterable[str], pseudonymise: Pseudonymise) -> str:
    """The header rebuilt from its parsed elements, every address pseudonymised; empty if nothing is left."""
    return ", ".join(filter(None, (_rebuilt(element, pseudonymise) for element in parse_forwarded(lines))))


def rebuild_list(lines: Iterable[str], pseudonymise: Pseudonymise) -> str:
    """`X-Forwarded-For` rebuilt: every element pseudonymised, `unknown` and obfuscated identifiers kept."""
    return ", ".join(filter(None, (_node(part, pseudonymise) for part in split_list(lines))))


def rebuild_host(text: str | None, pseudonymise: Pseudonymise) -> str | None:
    """A host: its name, unless it is, looks like, or contains an address."""
    if text is None:
        return None
    name = _HOST_NAME.fullmatch(text)
    if parse(text) is None and name and not _LAST_LABEL_NUMBER.fullmatch(name[1]) and not _EMBEDDED.search(name[1]):
        return name[1].lower()
    return pseudonymise(text)


def _right_end(lines: Iterable[str]) -> str:
    """All lines as one list (RFC 9110, 5.3); of a too long one the last elements that are whole."""
    text = ",".join(lines)
    if len(text) <= MAX_CHARS:
        return text
    return text[-MAX_CHARS:].partition(",")[2]


def _split(lexemes: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    for is_delimiter, group in groupby(lexemes, delimiter.__eq__):
        if not is_delimiter:
            yield list(group)


def _pair(lexemes: list[str]) -> tuple[str, str] | None:
    """Name (lower case) and value of `name=value`, None if malformed. Blanks around `=`, though not in the RFC, are read."""
    parts = [part for part in (lexeme.strip(" \t") for lexeme in lexemes) if part]
    if len(parts) != len("n=v") or parts[1] != "=" or not _TOKEN.fullmatch(parts[0]):
        return None
    value = _unquoted(parts[2])
    return (parts[0].lower(), value) if value else None


def _unquoted(value: str) -> str:
    """The content of a quoted string; unquoted text as it is; empty where a quote never ends."""
    if not value.startswith('"'):
        return value
    if len(value) < len('""') or not value.endswith('"'):
        return ""
    return _ESCAPED.sub(r"\1", value[1:-1])


def _rebuilt(element: Element, pseudonymise: Pseudonymise) -> str:
    parts = (
        ("for", _node(element.for_, pseudonymise)),
        ("by", _node(element.by, pseudonymise)),
        ("host", rebuild_host(element.host, pseudonymise)),
        ("proto", _proto(element.proto)),
    )
    return ";".join(f"{name}={_quoted(value)}" for name, value in parts if value)


def _node(text: str | None, pseudonymise: Pseudonymise) -> str | None:
    """A node of RFC 7239, 6: `unknown`, an obfuscated identifier, or what *pseudonymise* makes of the rest."""
    if text is None or text.lower() == "unknown":
        return text and "unknown"
    obfuscated = _OBFUSCATED.fullmatch(text)
    if obfuscated:
        return INVALID if _EMBEDDED.search(obfuscated[1]) else obfuscated[1]
    return pseudonymise(text)


def _proto(text: str | None) -> str | None:
    return text.lower() if text and _SCHEME.fullmatch(text) else None


def _quoted(value: str) -> str:
    return value if _TOKEN.fullmatch(value) else f'"{value}"'
