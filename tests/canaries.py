"""Secrets to look for: every form in which one may hide in bytes, whole or by halves."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_plus

__all__ = ("encodings", "found_in")

_LONG: Final = 10
"""Characters from which on a secret is sought everywhere; a shorter one (a six-digit code) only as a word of its own."""
_HALVED: Final = 16
"""Characters from which on halves are sought too."""
_DISTINCT: Final = 8
"""Bytes below which a form is found anywhere by chance."""
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{0,23}")
"""Short runs of hexadecimal digits: ids and hashes are full of them."""


def found_in(data: bytes, secret: str) -> Iterator[bytes]:
    """The forms of *secret* that occur in *data*."""
    if len(secret) < _LONG:
        yield from dict.fromkeys(re.findall(rb"(?<!\w)" + re.escape(secret.encode()) + rb"(?!\w)", data))
    else:
        yield from (form for form in encodings(secret) if form in data)


@lru_cache(maxsize=4096)
def encodings(secret: str) -> frozenset[bytes]:
    """*secret* and its halves: raw, URL-encoded once and twice, base64 in every alignment, hex, escaped for JSON and for Python."""
    half = len(secret) // 2
    parts = {secret, secret[:half], secret[half:]} if len(secret) >= _HALVED else {secret}
    forms = {form for part in parts if not _HEXADECIMAL.fullmatch(part) or part == secret for form in _forms(part)}
    return frozenset(form for form in forms if len(form) >= _DISTINCT)


def _forms(part: str) -> Iterator[bytes]:
    raw = part.encode("utf-8", "surrogatepass")
    yield raw
    for once in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield from (once.encode(), once.lower().encode(), quote(once, safe="").encode())
    yield from (raw.hex().encode(), raw.hex().upper().encode())
    yield from (json.dumps(part)[1:-1].encode(), json.dumps(json.dumps(part)[1:-1])[1:-1].encode())
    yield part.encode("ascii", "backslashreplace")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            yield _inner(encode(bytes(before) + raw), before)


def _inner(encoded: bytes, before: int) -> bytes:
    """The characters of a base64 text that depend on nothing but the secret inside."""
    begin = (0, 2, 3)[before]
    padding = len(encoded) - len(encoded.rstrip(b"="))
    end = len(encoded) - (padding + 1 if padding else 0)
    return encoded[begin:end]
