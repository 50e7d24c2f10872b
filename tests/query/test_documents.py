"""Blocks of lines looked at as one: whatever stands in a file, nothing is passed over that looking at each line would have found."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.query.documents import Unreadable, parse, worth_parsing

from .trail import canonical, line

GOOD = [line(canonical(number, user__id=f"user:{number % 3}")) for number in range(9)]
PRINTED = b'{"audit.record.id":"1","logged_at":"2026-11-20T00:00:00Z","user.id":"user:1"}\n'

pieces = st.one_of(
    st.sampled_from(GOOD),
    st.builds(lambda good, cut: good[:cut], st.sampled_from(GOOD), st.integers(0, len(GOOD[0]) - 1)),
    st.builds(lambda good, cut: good[:cut] + b"\n", st.sampled_from(GOOD), st.integers(0, len(GOOD[0]) - 1)),
    st.builds(lambda good, cut: b"\0" * cut + good[cut:], st.sampled_from(GOOD), st.integers(1, len(GOOD[0]) - 1)),
    st.sampled_from([PRINTED, b"\n", b"\0\0\0\n", b"[]\n", b"null", b'{"resourceLogs":[]}\n']),
)


def found(lines: list[bytes]) -> tuple[list[str], int]:
    """The records of *lines* that are asked for, and how much could not be read."""
    unreadable = Unreadable()
    records = [record for one in lines for record in parse(one, unreadable)]
    return [record.id for record in records if record.attributes.get("user.id") == "user:1"], unreadable.lines


@given(st.lists(pieces, max_size=12), st.integers(1, 3000))
def test_blocks_find_what_lines_find(told: list[bytes], size: int) -> None:
    """Good lines, torn ones, two on one line, zeros, documents of others; blocks that end anywhere, smaller than a line too."""
    text = b"".join(told)
    kept = list(worth_parsing(io.BytesIO(text), lambda lines: b'"user:1"' in lines, size))
    assert found(kept) == found(text.split(b"\n"))


def test_what_nobody_asks_for_is_not_parsed() -> None:
    """A million records of others cost a search."""
    text = b"".join(GOOD) * 50
    assert list(worth_parsing(io.BytesIO(text), lambda lines: b'"user:4"' in lines, 1 << 16)) == []
    assert len(list(worth_parsing(io.BytesIO(text), lambda lines: b'"user:1"' in lines, 1 << 16))) == 150
