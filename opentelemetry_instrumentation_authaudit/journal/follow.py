"""Reading a stream's files on from a position: whole lines only, over all parts, also while somebody appends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .cursor import Position
from .line import Envelope
from .names import JournalFile, files

__all__ = ("Found", "first_in", "follow", "last_in", "last_record")

_CHUNK: Final = 1 << 18
_TAIL: Final = 1 << 20  # more than the longest line


@dataclass(frozen=True, slots=True)
class Found:
    """A record in its place."""

    file: str
    end: int
    """Offset behind its line."""
    envelope: Envelope
    record: bytes


def follow(folder: Path, stream: str, position: Position | None) -> Iterator[Found]:
    """The records of *stream* behind *position*, oldest first. Torn lines are passed over, an unfinished last one waits."""
    reached, offset = (JournalFile.parse(position.file), position.offset) if position is not None else (None, 0)
    if reached is not None:
        for found in _records(folder / reached.name, offset):
            offset = found.end
            yield found
    after = reached.part if reached is not None else 0
    later = [file for file in files(folder, stream) if file.part > after]
    if reached is not None and later:  # seen before this second look, so nothing more is appended to what lies before
        yield from _records(folder / reached.name, offset)
    for file in later:
        yield from _records(folder / file.name, 0)


def last_record(folder: Path, stream: str) -> bytes | None:
    """The last whole record of *stream*, None if it has none."""
    found = (last_in(folder / file.name) for file in reversed(files(folder, stream)))
    return next((record for record in found if record is not None), None)


def first_in(path: Path) -> bytes | None:
    """The first whole record of the file *path*, None if it has none."""
    found = next(_records(path, 0), None)
    return found.record if found is not None else None


def last_in(path: Path) -> bytes | None:
    """The last whole record of the file *path*, None if it has none."""
    try:
        start = max(0, path.stat().st_size - _TAIL)
    except FileNotFoundError:
        return None
    found = list(_records(path, start))
    return found[-1].record if found else None


def _records(path: Path, offset: int) -> Iterator[Found]:
    envelope: Envelope | None = None
    head = tail = b""
    for end, line in _lines(path, offset):
        if envelope is not None and line.startswith(head) and line.endswith(tail):  # as nearly all lines of a file
            yield Found(path.name, end, envelope, line[len(head) : -len(tail)])
        elif (parts := Envelope.split(line)) is not None:
            envelope = parts[0]
            head, tail = envelope.head, envelope.tail.rstrip()
            yield Found(path.name, end, *parts)


def _lines(path: Path, offset: int) -> Iterator[tuple[int, bytes]]:
    """Every whole line from *offset* on, without its newline, and the offset behind it."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # retention was here
        return
    with file:
        file.seek(offset)
        rest = b""
        while chunk := file.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                offset += len(line) + 1
                yield offset, line
