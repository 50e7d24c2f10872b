"""The search for secrets finds what it is to find."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from .canaries import found_in

SECRET = "correct/horse+42 bättery"
WAYS: dict[str, Callable[[str], str]] = {
    "raw": lambda text: text,
    "url": lambda text: quote(text, safe=""),
    "url twice": lambda text: quote(quote(text, safe=""), safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 behind something": lambda text: base64.b64encode(f"ann:{text}!".encode()).decode(),
    "base64 behind another": lambda text: base64.urlsafe_b64encode(f"annie:{text}".encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "json": json.dumps,
    "json in json": lambda text: json.dumps(json.dumps({"a": text})),
    "first half": lambda text: text[: len(text) // 2],
    "second half in base64": lambda text: base64.b64encode(text[len(text) // 2 :].encode()).decode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_found(way: str) -> None:
    """However it was written into something bigger."""
    assert list(found_in(f'{{"x":"before {WAYS[way](SECRET)} behind"}}'.encode(), SECRET))


def test_nothing_is_found_where_nothing_is() -> None:
    """Neither in other text nor in other encodings."""
    other = "incorrect cow 17 butter"
    assert not list(found_in(" ".join(encode(other) for encode in WAYS.values()).encode(), SECRET))


def test_short_secret_is_a_word() -> None:
    """Six digits stand in every other number; alone they are the code."""
    assert list(found_in(b'{"code":"123456"}', "123456")) == [b"123456"]
    assert not list(found_in(b'{"time":"1712345678"}', "123456"))
