"""What a collector's file exporter writes, as a source of records to ship.

The file exporter appends a request a line to `audit.jsonl` and renames it (`audit-<time>-size.jsonl`) when it is full. A file is known
again by its inode and its first line, so a cursor survives the renaming, and an inode used anew does not inherit one. A line may be
torn, and a good document may follow a torn one on the same line; a last line without an end is taken once it is a whole document.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from ..guard import warn
from ..journal import cursor
from ..journal.cursor import Position
from ..journal.line import Envelope
from ..journal.names import JournalFile
from ..journal.streams import Batch, set_aside
from ..journal.targets import Target, targets_of
from ..journal.window import Window
from ..model import names
from ..query.documents import Around, Record, Unreadable, parse
from ..query.links import canonical

__all__ = ("Collected", "collected_in", "enclosed", "waits_for_target")

_MARK: Final = json.dumps(names.RECORD_ID).encode()
"""In every audit record once."""
_HEAD: Final = 1 << 16
_CHUNK: Final = 1 << 20
_BLANK: Final = b"\0\r\n \t"
"""Between documents; NUL bytes are what a crash of the machine leaves."""
_DEAD: Final = "refused.dead.jsonl"


_Stamp: TypeAlias = tuple[int, int, int]
"""Inode, size and time of the last change: while they are the same, so is the content."""


@dataclass(slots=True)
class _File:
    """A file and how far it was shipped."""

    path: Path
    identity: str
    offset: int
    """Bytes that are done with."""
    seen: int
    """Bytes that were looked at: whole lines end here."""
    waiting: int
    """Records between the two."""

    @property
    def inode(self) -> str:
        """As its identity has it."""
        return self.identity.partition("-")[0]


class Collected:
    """The records in the files that *find* gives, and that the target has not got: a `streams.Source`."""

    def __init__(self, find: Callable[[], Iterable[Path]], target: Target, unreadable: Unreadable) -> None:
        """*find* is asked again and again: files come, are renamed and go. What cannot be read is noted in *unreadable*."""
        self._find, self._target, self._unreadable = find, target, unreadable
        self._files: dict[str, _File] = {}
        self._stamps: dict[Path, tuple[_Stamp, str]] = {}
        self._window = Window()
        self._reading: tuple[_File, int] | None = None
        """The file that the window was read from, and where it ends."""
        self._left = 0

    def next(self, limit: int) -> Batch | None:
        """See `Source`."""
        while not self._window:
            file = next((file for file in self._files.values() if file.offset < file.seen), None)
            if file is None:
                return None
            self._read_ahead(file, limit)
        return self._window.next(limit)

    def acknowledge(self, batch: Batch) -> None:
        """See `Source`. The cursor moves once everything that was read ahead has arrived."""
        self._window.passed(batch)
        self._left = max(0, self._left - len(batch.records))
        if not self._window:
            self._move_on()

    def bury(self, batch: Batch, why: str) -> None:
        """See `Source`."""
        set_aside(self._target.place / _DEAD, batch, why)
        self.acknowledge(batch)

    def depth(self) -> int:
        """See `Source`."""
        return self._left

    def adopt(self) -> int:
        """See `Source`."""
        self._target.served()
        before = {file.identity for file in self._files.values() if file.offset < file.seen}
        if not self._stamps:
            self._sweep()
        self._look()
        return len({file.identity for file in self._files.values() if file.offset < file.seen} - before)

    def close(self) -> None:
        """Let go of the target, too."""
        self._target.release()

    def _look(self) -> None:
        found: dict[str, _File] = {}
        for path in self._find():
            try:
                file = self._looked_at(path)
            except FileNotFoundError:  # renamed or pruned in this moment
                continue
            except OSError as error:
                self._unreadable.files[str(path)] = error.strerror or type(error).__name__
                continue
            if file is not None:
                file.path = path
                found[file.identity] = file
        unseen = [file for identity, file in self._files.items() if identity not in found]
        there = _inodes({file.path.parent for file in unseen}) - {file.inode for file in found.values()}
        for file in unseen:
            if file.inode in there:  # its new name came too late for this look
                found[file.identity] = file
            else:
                self._miss(file)
        self._files = found
        self._left = len(self._window) + sum(file.waiting for file in found.values())

    def _looked_at(self, path: Path) -> _File | None:
        with path.open("rb") as opened:
            stat = os.fstat(opened.fileno())
            stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            known, identity = self._stamps.get(path, (None, ""))
            if known != stamp:
                identity = _identity(opened)
                self._stamps[path] = (stamp, identity)
            if not identity:
                return None
            file = self._files.get(identity) or self._known(path, identity)
            if known != stamp or not file.seen:
                _count(opened, file)
            return file

    def _sweep(self) -> None:
        """Remove cursors of files that went while nobody shipped."""
        there = _inodes({path.parent for path in self._find()})
        for path in self._target.place.glob("*-*.cursor"):
            if path.name.partition("-")[0] not in there:
                path.unlink(missing_ok=True)

    def _known(self, path: Path, identity: str) -> _File:
        position = cursor.load(self._cursor(identity))
        offset = position.offset if position is not None else 0
        return _File(path, identity, offset, offset, 0)

    def _miss(self, file: _File) -> None:
        """What is not there any more needs no cursor; that it went too early is worth a word."""
        if self._reading is None or self._reading[0] is not file:
            self._cursor(file.identity).unlink(missing_ok=True)
        if file.waiting:
            warn(
                f"ship.gone:{file.identity}",
                "%s is gone, and %d records in it were not shipped. Let the collector keep its files longer, or ship more often; "
                "what was in it, only another copy still has.",
                file.path,
                file.waiting,
            )

    def _read_ahead(self, file: _File, limit: int) -> None:
        try:
            with file.path.open("rb") as opened:
                if _identity(opened) != file.identity:  # renamed in this moment
                    self._look()
                    return
                opened.seek(file.offset)
                lines = _lines(opened, file.seen - file.offset, limit)
        except FileNotFoundError:
            self._look()
            return
        self._reading = (file, file.offset + sum(map(len, lines)))
        file.waiting -= min(file.waiting, sum(line.count(_MARK) for line in lines))
        records = (record for line in lines for record in parse(line, self._unreadable, file.path.name))
        self._window.fill(enclosed(records, self._unreadable))
        self._left = len(self._window) + sum(other.waiting for other in self._files.values())
        if not self._window:  # nothing of ours in it
            self._move_on()

    def _move_on(self) -> None:
        if self._reading is not None:
            file, end = self._reading
            file.offset, self._reading = end, None
            cursor.save(self._cursor(file.identity), Position(file.path.name, file.offset, 0, ""))

    def _cursor(self, identity: str) -> Path:
        return self._target.place / f"{identity}.cursor"


def enclosed(records: Iterable[Record], unreadable: Unreadable) -> Iterator[tuple[Envelope, bytes]]:
    """The canonical bytes of *records*, each with its envelope; where that is not known, the service's name is all of it."""
    last: tuple[Around | None, Envelope] | None = None
    for record in records:
        around = record.around
        if around is None:
            attributes = [{"key": "service.name", "value": {"stringValue": record.service}}] if record.service else []
            around = Around({"attributes": attributes}, {}, names.SCHEMA_URL)
        if last is None or last[0] is not around:
            last = (around, around.envelope())
        try:
            yield last[1], canonical(record)
        except ValueError:
            unreadable.lines += 1


def collected_in(place: Path) -> list[Path]:
    """The collector's files at *place*: in a folder all of them, of a named file its rotated ones too, oldest first."""
    folder, pattern = (place, "*.jsonl") if place.is_dir() else (place.parent, f"{place.stem}-*{place.suffix}")
    found = sorted(path for path in folder.glob(pattern) if not path.name.endswith(".dead.jsonl"))
    rotated = [path for path in found if JournalFile.parse(path.name) is None and path != place]
    return rotated if place.is_dir() or not place.exists() else [*rotated, place]


def waits_for_target(path: Path, now: int) -> bool:
    """Whether a target that is served at *now* (nanoseconds since the epoch) lacks something of the collector's file *path*."""
    places = list(targets_of(path.parent, now))
    if not places:
        return False
    with path.open("rb") as opened:
        identity = _identity(opened)
        file = _File(path, identity, 0, 0, 0)
        _count(opened, file)
    reached = [cursor.load(place / f"{identity}.cursor") for place in places]
    return any((position.offset if position is not None else 0) < file.seen for position in reached) if identity else False


def _inodes(folders: Iterable[Path]) -> set[str]:
    """Of everything in *folders*."""
    return {f"{entry.inode():x}" for folder in folders for entry in os.scandir(folder)}


def _identity(opened: BinaryIO) -> str:
    """A name for the file by which it is known again; empty while it has no whole line."""
    inode = os.fstat(opened.fileno()).st_ino
    opened.seek(0)
    read = opened.read(_HEAD)
    line, end, _ = read.lstrip(_BLANK).partition(b"\n")
    if not end and len(read) < _HEAD and not _is_document(line):
        return ""
    return f"{inode:x}-{hashlib.sha256(line).hexdigest()[:16]}"


def _count(opened: BinaryIO, file: _File) -> None:
    """Look at what was appended."""
    size = os.fstat(opened.fileno()).st_size
    if size < file.seen:  # cut off: a store knows by their ids the records that come again
        file.offset = file.seen = file.waiting = 0
    opened.seek(file.seen)
    tail = b""
    while chunk := opened.read(_CHUNK):
        block = tail + chunk
        end = block.rfind(b"\n") + 1
        file.waiting += block[:end].count(_MARK)
        file.seen += end
        tail = block[end:]
    if tail and _is_document(tail):
        file.waiting += tail.count(_MARK)
        file.seen += len(tail)


def _lines(opened: BinaryIO, length: int, limit: int) -> list[bytes]:
    """Whole lines of the next *length* bytes: so many that there are at least *limit* records, or enough bytes."""
    lines: list[bytes] = []
    records = size = 0
    while size < length and records < limit and size < _CHUNK:
        line = opened.readline(length - size)
        if not line:
            break
        lines.append(line)
        records += line.count(_MARK)
        size += len(line)
    return lines


def _is_document(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text.strip(_BLANK)), dict)
    except (ValueError, RecursionError):
        return False
