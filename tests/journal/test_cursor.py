from __future__ import annotations

from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit import guard
from opentelemetry_instrumentation_authaudit.journal.cursor import Position, load, save

HERE = Position("2026-11-24.00000000000000aa.0001.jsonl", 4711, 12, "ab" * 32)


def test_a_position_is_remembered(tmp_path: Path) -> None:
    """Saved twice, the second is what is read; nothing else is left in the folder, and nobody else may read it."""
    path = tmp_path / "s.cursor"
    save(path, Position(HERE.file, 1, 1, "00"))
    save(path, HERE)
    assert load(path) == HERE
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600


def test_before_anything_arrived_there_is_none(tmp_path: Path) -> None:
    """Then a stream is delivered from its beginning, and nobody is warned."""
    assert load(tmp_path / "none") is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"file":"f","offset":"x","number":1,"hash":""}', "\ufffe"])
def test_a_spoilt_cursor_costs_a_second_delivery(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str) -> None:
    """At least once: rather twice than never, and the operator learns why."""
    guard._warned.pop("journal.cursor", None)
    path = tmp_path / "s.cursor"
    path.write_text(content, encoding="utf-16")
    assert load(path) is None
    assert "delivered again from the beginning" in caplog.text
