"""The registry of streams: what a store held on a day, written down elsewhere, so that a whole stream cannot vanish unseen.

One JSON object a line, each naming the hash of the line before it and signed by a key of its own that moves on with every line. It
belongs to somebody who cannot write the store: another account, an object store that only appends.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ..journal.signing import SigningKey
from .chain import StreamCheck
from .expiry import Expiry
from .links import Finding, Kind

if TYPE_CHECKING:
    from .verify import Keys

__all__ = ("Entry", "Registry")

GENESIS = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a registry remembers of a stream."""

    stream: str
    last: int
    """Number of the last record that was there."""
    head: str
    """Hex SHA-256 of that record."""
    day: str
    """UTC date of that record."""
    ended: bool
    """Whether it was `audit.stop`."""

    @classmethod
    def of(cls, check: StreamCheck) -> Entry:
        """What is there now."""
        last = check.last
        day = datetime.fromtimestamp(last.time // 1_000_000_000, timezone.utc).date().isoformat()
        return cls(check.stream, last.number, last.digest.hex(), day, last.event == "audit.stop")


@dataclass(slots=True)
class Registry:
    """The lines of a registry file, read back."""

    entries: dict[str, Entry] = field(default_factory=dict)
    """The newest of each stream."""
    previous: str = GENESIS
    """Hash of the last line."""
    lines: int = 0
    faults: list[Finding] = field(default_factory=list)
    """What is wrong with the file itself."""
    _signed: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> Registry:
        """The registry that *text* holds. ValueError, with the line, for what is no registry."""
        registry = cls()
        for number, line in enumerate(text.splitlines(), 1):
            registry._take(number, line)
        return registry

    def line(self, checks: Mapping[str, StreamCheck], made_at: str, key: SigningKey | None) -> str | None:
        """The next line: every stream that is new or longer than the registry knows; None if there is none."""
        entries = [Entry.of(check) for _, check in sorted(checks.items())]
        news = [asdict(entry) for entry in entries if entry != self.entries.get(entry.stream)]
        if not news:
            return None
        body: dict[str, Any] = {"made_at": made_at, "previous": self.previous, "streams": news}
        if key is not None:
            body |= {"key_id": key.name}
            body["value"] = _mac(key, body)
        return _canonical(body)

    def compare(self, checks: Mapping[str, StreamCheck], keys: Keys, expiry: Expiry) -> Iterator[Finding]:
        """What the store lacks of what the registry remembers, and what of that may be gone by *expiry*."""
        yield from self.faults
        yield from self._forged(keys)
        for stream, entry in sorted(self.entries.items()):
            check = checks.get(stream)
            gone = entry.day < expiry.oldest_day or expiry.tells(stream, entry.last, entry.head)
            if check is None:
                if not gone:
                    yield Finding(
                        Kind.MISSING,
                        stream,
                        f"the registry knows this stream, {entry.last} records long, and nothing of it is here",
                    )
            elif check.last.number < entry.last:
                says = f"the registry knows {entry.last} records of this stream, and the last one here is {check.last.number}"
                kind = Kind.EXPIRED if gone else Kind.TRUNCATED  # an older file may be under legal hold
                yield Finding(kind, stream, says, check.last.number, check.last.id, check.last.file)
            elif check.digest_at(entry.last) not in {"", entry.head}:
                yield Finding(Kind.MODIFIED, stream, f"record {entry.last} is not the one that the registry knows", entry.last)

    def _take(self, number: int, line: str) -> None:
        try:
            found = json.loads(line)
            news = [Entry(**entry) for entry in found["streams"]]
            previous = found["previous"]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"line {number} is no line of a registry ({type(error).__name__})") from None
        if previous != self.previous:
            self.faults.append(
                Finding(Kind.DELETED, "", f"line {number} of the registry does not follow the line before it", number)
            )
        for entry in news:
            self.entries[entry.stream] = entry
        self._signed.append((number, found))
        self.previous = hashlib.sha256(line.encode()).hexdigest()
        self.lines += 1

    def _forged(self, keys: Keys) -> Iterator[Finding]:
        for number, found in self._signed:
            key = keys.named(str(found.get("key_id", "")))
            body = {name: value for name, value in found.items() if name != "value"}
            if key is None and keys:
                yield Finding(
                    Kind.UNSIGNED, "", f"line {number} of the registry is not signed by a key that follows from --key", number
                )
            elif key is not None and not hmac.compare_digest(_mac(key, body), str(found.get("value", ""))):
                yield Finding(Kind.FORGED, "", f"the signature of line {number} of the registry does not fit", number)


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def _mac(key: SigningKey, body: Mapping[str, Any]) -> str:
    return hmac.digest(key.secret, b"authaudit registry\n" + _canonical(body).encode(), "sha256").hex()
