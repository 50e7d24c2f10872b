from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.privacy.sanitise import CUT, MAX_CHARS, cap, clean, plain, render

from .hostile import HARMLESS, RAISING, HugeInt, LyingStr, RaisesOnStr


class Colour(str, Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    label: str | None = None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (42, "42"),
        (1.5, "1.5"),
        (b"caf\xc3\xa9\xff", "café\ufffd"),
        (bytearray(b"ab"), "ab"),
        (Colour.RED, "red"),
        (["a", 1, None, True], "a,1,,true"),
        (("openid", "profile"), "openid,profile"),
        ({"b", "a"}, "a,b"),
        ({"a": 1, "b": [None, "x"]}, '{"a":1,"b":[null,"x"]}'),
        (Point(1), '{"x":1,"label":null}'),
        (Point, "<type>"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.10"), "1.10"),
        (date(2026, 11, 24), "2026-11-24"),
        (datetime(2026, 11, 24, tzinfo=timezone.utc), "2026-11-24 00:00:00+00:00"),
        (object(), "<object>"),
        (RaisesOnStr(), "<RaisesOnStr>"),
        (LyingStr("text"), "text"),
        (HugeInt(7), "7"),
        (10**30, str(2**63 - 1)),
        (-(10**30), str(-(2**63))),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
    ids=itertools.count(),
)
def test_every_value_has_one_text(value: Any, text: str) -> None:
    """Lists are comma-joined, mappings are JSON, unknown objects are their class and never their `repr`."""
    assert render(plain(value)) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain — naïve 日本", "plain — naïve 日本"),
        ("lone \ud800\udfff", "lone \ufffd\ufffd"),
        ("\x00\x1b[31mred\x7f", "\ufffd\ufffd[31mred\ufffd"),
        ("new\nline", "new\ufffdline"),
        ("\u202eevil\u2066", "\ufffdevil\ufffd"),
        ("zero\u200bwidth", "zero\u200bwidth"),
    ],
)
def test_characters_that_do_harm_are_replaced(text: str, cleaned: str) -> None:
    """No lone surrogate breaks the UTF-8, no escape sequence reaches an auditor's terminal, no NUL a database."""
    assert clean(text) == cleaned


def test_a_cut_is_marked() -> None:
    """1,024 characters, the last an ellipsis where more was sent."""
    assert cap("x" * MAX_CHARS) == "x" * MAX_CHARS
    assert cap("x" * (MAX_CHARS + 1)) == "x" * (MAX_CHARS - 1) + CUT


@pytest.mark.parametrize("name", HARMLESS)
def test_a_hostile_value_becomes_short_text_at_once(name: str) -> None:
    """10 MB, 200 levels, cycles, lies: valid UTF-8 in milliseconds, nothing of the object's own code runs."""
    started = time.process_time()
    text = cap(clean(render(plain(HARMLESS[name]))))
    assert time.process_time() - started < 0.1
    assert len(text.encode()) <= MAX_CHARS * 4
    assert "hunter2" not in text


@pytest.mark.parametrize("name", RAISING)
def test_a_container_that_raises_when_read_raises_here(name: str) -> None:
    """There is no reading it otherwise; the policy gives up that attribute alone."""
    with pytest.raises(RuntimeError):
        plain(RAISING[name])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner) | st.tuples(inner, inner),
    max_leaves=30,
)


@given(json_values)
def test_what_is_rendered_can_be_stored(value: Any) -> None:
    """Any mixture of builtin values ends as clean UTF-8; a mapping as JSON that reads back."""
    data = plain(value)
    text = render(data)
    assert clean(text) == text
    text.encode()
    if isinstance(data, dict):
        assert json.loads(text) == data
