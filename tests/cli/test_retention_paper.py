"""docs/retention.md: every command in it is run, and answers as printed there."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.cli.main import main
from tests.pipeline.telling import service
from tests.pipeline.test_evidence import long_life

PAPER = Path(__file__).parents[2] / "docs" / "retention.md"
SHOP, ARCHIVE = "/var/lib/shop/journal", "/mnt/archive"


def sessions() -> list[tuple[str, str]]:
    """Every command of a `console` block, and what follows it there."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAPER.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    commands = [part.partition("\n") for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, printed) for command, _, printed in commands]


def test_the_paper_tells_the_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One story from top to bottom, at noon of 24 November 2026; `...` stands for anything."""
    long_life(tmp_path, [-115, -110, -105, -20], checkpoint_seconds=1e9)
    service(tmp_path).rename(tmp_path / "journal" / "shop")
    monkeypatch.setenv("OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME", "90")
    places = {SHOP: str(tmp_path / "journal"), ARCHIVE: str(tmp_path / "archive")}
    for command, printed in sessions():
        words = [_placed(word, places) for word in shlex.split(command)]
        if words[0] == "rm":
            (gone,) = Path(words[1]).parent.glob(Path(words[1]).name)
            gone.unlink()
            continue
        more = ["--now", "2026-11-24T12:00:00Z"] if words[1] == "retention" else []
        assert words[0] == "authaudit"
        assert main([*words[1:], *more]) == 0, command
        said = _placed(capsys.readouterr().out, {here: there for there, here in places.items()})
        assert doctest.OutputChecker().check_output(printed, said, doctest.ELLIPSIS), f"{command}\n{said}"
    assert len(sessions()) > 8


def _placed(text: str, places: dict[str, str]) -> str:
    for place, other in places.items():
        text = text.replace(place, other)
    return text
