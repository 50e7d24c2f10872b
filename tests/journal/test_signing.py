from __future__ import annotations

import hmac
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit import guard
from opentelemetry_instrumentation_authaudit.journal.signing import SigningKey, take_key

FIRST = "correct horse battery staple"


def key_file(folder: Path, text: str = FIRST) -> Path:
    """A file with a key."""
    path = folder / "signing.key"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_start_moves_the_key_on(tmp_path: Path) -> None:
    """Three processes get three keys, the verifier derives each from the first text, and none is left in the file."""
    path = key_file(tmp_path)
    taken = [take_key(path) for _ in range(3)]
    expected = SigningKey.parse(FIRST)
    for number, key in enumerate(taken):
        assert key == expected
        assert key is not None
        assert key.name == f"{expected.id}.{number}"
        assert key.secret.hex() not in path.read_text(encoding="utf-8")
        expected = expected.next()
    assert path.stat().st_mode & 0o777 == 0o600


def test_processes_that_start_together_never_share_a_key(tmp_path: Path) -> None:
    """Sixteen starts at once, one file: sixteen generations."""
    path = key_file(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(take_key, [path] * 16))
    assert sorted(key.generation for key in taken if key is not None) == list(range(16))


def test_a_signature_is_a_plain_hmac() -> None:
    """A verifier in any language can check it from the checkpoint's own attributes."""
    key = SigningKey.parse(FIRST)
    expected = hmac.new(key.secret, b"00000000000000aa\n7\nabcd\n2", "sha256").hexdigest()
    assert key.sign("00000000000000aa", 7, "abcd", 2) == expected


@pytest.mark.parametrize("text", [None, "", "  \n"])
def test_without_a_key_nothing_is_signed_and_the_operator_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | None
) -> None:
    """A missing or empty file costs the signatures, not the audit."""
    guard._warned.pop("journal.signing_key", None)
    assert take_key(tmp_path / "none" if text is None else key_file(tmp_path, text)) is None
    assert "checkpoints are not signed" in caplog.text


def test_a_key_does_not_show_itself() -> None:
    """Whoever prints it by accident learns its name only."""
    key = SigningKey.parse(FIRST)
    assert key.secret.hex() not in repr(key)
    assert FIRST not in repr(key)
