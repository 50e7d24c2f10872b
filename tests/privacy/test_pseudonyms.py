from __future__ import annotations

import hashlib
import hmac
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Key, Keyring, key_folder

from .conftest import Configured

CONCURRENT = """
import sys
from pathlib import Path
from opentelemetry_instrumentation_authaudit.config import load
from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Keyring
sys.stdin.read(1)
print(Keyring.of(load({}, journal_dir=Path(sys.argv[1]))).identity("ann"))
"""


def test_the_first_key_hashes_and_its_id_stands_in_the_hash(configured: Configured) -> None:
    """HMAC-SHA256 with the purpose in front, cut to 32 hex digits, after the key's id."""
    ring = Keyring.of(configured(hash_key="2026:correct horse"))
    expected = hmac.new(b"correct horse", b"session\0abc", hashlib.sha256).hexdigest()[:32]
    assert ring.session("abc") == f"hashed:2026:{expected}"


def test_purposes_do_not_join() -> None:
    """The pseudonym of a session tells nothing about a token or a person of the same text."""
    ring = Keyring((Key.parse("1:k"),))
    assert len({ring.session("abc"), ring.token("abc"), ring.identity("abc"), ring.address(b"abc")}) == 4


@pytest.mark.parametrize("text", ["ann@example.com", " Ann@Example.COM ", "\uff41\uff4e\uff4e@example.com"])
def test_one_person_has_one_pseudonym(text: str, keys: Keyring) -> None:
    """Case, blanks and full-width letters do not make another person."""
    assert keys.identity(text) == keys.identity("ann@example.com")


def test_a_bare_key_gets_an_id_of_its_own() -> None:
    """Two keys without names never share an id, so a rotation shows in the hashes."""
    first, second = Key.parse("one"), Key.parse("two")
    assert first.id != second.id
    assert first == Key.parse("one")
    assert Key.parse("a name with blanks:k").secret == b"a name with blanks:k"


def test_an_empty_key_is_refused() -> None:
    """A hash with an empty key is one that everybody can make."""
    with pytest.raises(ValueError, match="empty"):
        Key.parse("")


def test_a_key_file_holds_several_keys(configured: Configured, tmp_path: Path) -> None:
    """The first line hashes; a search tries every key; comments and blank lines are skipped."""
    file = tmp_path / "keys.txt"
    file.write_text("# rotated in May\n2026-05:new\n\n2025-05:old\n")
    ring = Keyring.of(configured(hash_key=None, hash_key_file=file))
    assert [key.id for key in ring.keys] == ["2026-05", "2025-05"]
    assert ring.identity("ann").startswith("hashed:2026-05:")
    assert [each.identity("ann")[:14] for each in ring.every()] == ["hashed:2026-05", "hashed:2025-05"]


def test_no_secret_is_in_a_repr(configured: Configured) -> None:
    """A key may end up in a traceback page; its secret must not."""
    assert "horse" not in repr(Keyring.of(configured(hash_key="1:correct horse")))


def test_without_a_key_one_is_generated_once(configured: Configured, caplog: pytest.LogCaptureFixture) -> None:
    """Beside the journals, for its owner only, used again at the next start, with a warning that names the option."""
    config = configured(hash_key=None)
    first = Keyring.of(config)
    (file,) = key_folder(config).iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert config.journal_dir not in file.parents
    assert Keyring.of(config) == first
    assert len(first.first.secret) == 64
    (warning,) = caplog.messages
    assert "OTEL_PYTHON_AUTHAUDIT_HASH_KEY" in warning
    assert first.first.secret.decode() not in caplog.text


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    """Eight processes race to generate it: one wins, all use its key, no half-written file stays behind."""
    command = [sys.executable, "-c", CONCURRENT, str(tmp_path / "journal")]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    hashes = {racer.communicate("!")[0].strip() for racer in racers}
    assert len(hashes) == 1
    assert hashes.pop().startswith("hashed:")
    assert len(list((tmp_path / "keys").iterdir())) == 1


def test_a_folder_that_cannot_be_written_costs_the_joining_only(
    configured: Configured, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Hashing goes on with a key of this process, and the operator is told; it never falls back to clear text."""
    (tmp_path / "keys").write_text("a file where the folder should be")
    ring = Keyring.of(configured(hash_key=None))
    assert ring.identity("ann") != Keyring.of(configured(hash_key=None)).identity("ann")
    assert "this process only" in caplog.text


@pytest.mark.parametrize("content", [None, b"", b"# nothing\n", b"\xff\xfe"])
def test_a_key_file_that_holds_no_key_is_named(
    content: bytes | None, configured: Configured, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Missing, empty or unreadable: this host's key is used, and the warning says which file and what to do."""
    file = tmp_path / "keys.txt"
    if content is not None:
        file.write_bytes(content)
    ring = Keyring.of(configured(hash_key=None, hash_key_file=file))
    assert ring == Keyring.of(configured(hash_key=None))
    assert "hash_key_file" in caplog.text
    assert str(file) in caplog.text


def test_a_generated_file_that_was_emptied_is_not_a_key(configured: Configured, caplog: pytest.LogCaptureFixture) -> None:
    """An empty key would be a public one: a key of this process is used instead."""
    config = configured(hash_key=None)
    Keyring.of(config)
    (file,) = key_folder(config).iterdir()
    file.write_text("")
    assert len(Keyring.of(config).first.secret) == 64
    assert str(file) in caplog.text
