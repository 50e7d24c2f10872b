"""Keyed hashes: what joins the records of one person, address or session without naming them.

`hashed:<key id>:<32 hex digits>` is HMAC-SHA256 (RFC 2104), cut to 128 bits. Without the key nobody can try out all addresses
or likely e-mails; whoever destroys a retired key makes its pseudonyms anonymous for good.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..config import Config
from ..guard import warn

__all__ = ("Key", "Keyring", "folded", "generated_file", "key_folder", "new_key")

_DIGITS = 32
_KEY_BYTES = 32
_NAMED_KEY = re.compile(r"([A-Za-z0-9_.-]{1,32}):(.+)", re.DOTALL)
_FILE = "hash.key"


@dataclass(frozen=True, slots=True)
class Key:
    """A hash key; its id stands in every hash made with it."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Key:
        """A key from `id:key`, or from a bare key, whose id is then derived from it; ValueError if there is none."""
        if not text:
            raise ValueError("A hash key is empty.")
        named = _NAMED_KEY.fullmatch(text)
        if named:
            return cls(named[1], named[2].encode())
        secret = text.encode()
        return cls(hmac.digest(secret, b"authaudit key id", "sha256").hex()[:8], secret)

    def written(self) -> str:
        """Its line in a file of keys: the secret, which no `repr` shows."""
        return f"{self.id}:{self.secret.decode()}"


@dataclass(frozen=True, slots=True)
class Keyring:
    """One or more keys: the first hashes, the others recognise what they hashed before a rotation."""

    keys: tuple[Key, ...]

    @classmethod
    def of(cls, config: Config) -> Keyring:
        """The keys of `hash_key` and `hash_key_file`; without them the one generated for this host."""
        keys = [Key.parse(config.hash_key)] if config.hash_key else []
        if config.hash_key_file:
            keys += _keys_in(config.hash_key_file)
        return cls(tuple(keys or _generated(generated_file(config))))

    @property
    def first(self) -> Key:
        """The key that new hashes are made with."""
        return self.keys[0]

    def address(self, packed: bytes) -> str:
        """The pseudonym of an IP address in network byte order."""
        return _hash(self.first, packed)

    def session(self, session_key: str) -> str:
        """The pseudonym of a session key."""
        return _hash(self.first, _labelled("session", session_key))

    def token(self, token_id: str) -> str:
        """The pseudonym of a token's or API key's id."""
        return _hash(self.first, _labelled("token", token_id))

    def identity(self, identity: str) -> str:
        """The pseudonym of an e-mail or user name; case, blanks around it and Unicode's look-alike forms do not matter."""
        return _hash(self.first, _labelled("identity", folded(identity)))

    def every(self) -> tuple[Keyring, ...]:
        """A ring for each key, to search for what any of them hashed."""
        return tuple(Keyring((key,)) for key in self.keys)


def key_folder(config: Config) -> Path:
    """Where generated keys live: beside the journals' root, so that whoever copies or ships the journals leaves them behind."""
    return config.journal_dir.parent / "keys"


def generated_file(config: Config) -> Path:
    """The file of this host's own keys."""
    return key_folder(config) / _FILE


def _hash(key: Key, message: bytes) -> str:
    return f"hashed:{key.id}:{hmac.digest(key.secret, message, 'sha256').hex()[:_DIGITS]}"


def _labelled(purpose: str, text: str) -> bytes:
    """Different purposes give different hashes: a session's pseudonym tells nothing about a token's."""
    return f"{purpose}\0{text}".encode("utf-8", "replace")


def folded(identity: str) -> str:
    """*identity* such that two spellings of the same one are equal."""
    return unicodedata.normalize("NFKC", identity).strip().casefold()


def _keys_in(path: Path) -> list[Key]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        warn(
            f"privacy.hash_key_file {path}",
            "hash_key_file %s cannot be read (%s): a key of this host is used instead. Give this process read access to it.",
            path,
            type(error).__name__,
        )
        return []
    keys = _parsed(lines)
    if not keys:
        warn(
            f"privacy.hash_key_file {path}",
            "hash_key_file %s holds no key, so this host's is used: write one `id:key` a line.",
            path,
        )
    return keys


def _parsed(lines: Iterable[str]) -> list[Key]:
    return [Key.parse(line) for line in map(str.strip, lines) if line and not line.startswith("#")]


def _generated(path: Path) -> list[Key]:
    """The keys of this host, made by whichever process comes first; one of this process alone where none can be kept."""
    try:
        if not path.exists():
            _create(path)
            warn(
                f"privacy.hash_key {path}",
                "No hash_key is set: one was generated in %s, so pseudonyms join on this host only. "
                "With several hosts or containers set OTEL_PYTHON_AUTHAUDIT_HASH_KEY (or _HASH_KEY_FILE) to one key for all.",
                path,
            )
        return _parsed(path.read_text(encoding="utf-8").splitlines()) or [Key.parse("")]
    except (OSError, ValueError) as error:
        warn(
            f"privacy.hash_key {path}",
            "No hash_key is set and %s cannot be used (%s): pseudonyms join within this process only. "
            "Set OTEL_PYTHON_AUTHAUDIT_HASH_KEY or _HASH_KEY_FILE.",
            path,
            type(error).__name__,
        )
        return [new_key()]


def new_key() -> Key:
    """A random key with a random id."""
    return Key(secrets.token_hex(4), secrets.token_hex(_KEY_BYTES).encode())


def _create(path: Path) -> None:
    """Write a new key under another name, then link it: of several processes one wins, and none reads half a key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    key = new_key()
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(f"{key.written()}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(aside, path)
    except FileExistsError:
        pass  # another process was faster: its key is everybody's
    finally:
        aside.unlink()
