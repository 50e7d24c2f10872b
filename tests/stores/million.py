"""Many records, quickly: whole chained streams over thirty days, 20,000 accounts, from templates of what the pipeline makes.

`batches()` is for the `Sender` of a store; `journal()` and `collected()` are files, made once and kept outside the tree. A million
records take about ten seconds and 1.5 GB. Asked for one account, every store must give `history(ACCOUNT)` records.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from opentelemetry_instrumentation_authaudit.journal.backlog import Batch
from opentelemetry_instrumentation_authaudit.journal.canonical import GENESIS, CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Status, Strategy

from .happenings import PEOPLE, Happening, refused, second_factor, signed_in, signed_out
from .recorded import HASH_KEY, MIDNIGHT, SECOND, Recorder, batch_of, envelope

MILLION: Final = 1_000_000
ACCOUNTS: Final = 20_000
ACCOUNT: Final = "auth.user:4242"
STREAMS: Final = 32
DAYS: Final = 30
SERVICE: Final = "shop"

_VERSION: Final = 2
"""Goes up with every change of what is generated, so that kept files are made anew."""
_CHECKPOINT_EVERY: Final = 1000
_A_LINE: Final = 100
"""Records a request, as a collector writes them."""
_DAY: Final = 86_400 * SECOND
_SPREAD: Final = 7919
_SLOTS: Final = {
    names.RECORD_ID: "id", names.FLOW_ID: "flow", names.IDENTITY: "identity", names.SUBJECT: "subject", names.SESSION_ID: "session",
    names.TENANT: "tenant", names.CLIENT_ADDRESS: "address", names.PEER_ADDRESS: "address", names.SEQUENCE_NUMBER: "number",
    names.PREVIOUS_HASH: "previous", names.STREAM_ID: "stream", names.SEQUENCE_END: "number",
}  # fmt: skip
_TIME: Final = "1111111111111111111"


def history(subject: str, count: int = MILLION) -> int:
    """How many records there are of an account."""
    return sum(_event(place, length) in _OF_PEOPLE for place, length, who in _places(count) if subject == f"auth.user:{who}")


def batches(count: int = MILLION, size: int = 1000) -> Iterator[Batch]:
    """The streams in turn, as a sender takes them."""
    waiting = [(stream, _stream(number, count)) for number, stream in enumerate(_ids())]
    while waiting:
        for stream, records in list(waiting):
            some = tuple(islice(records, size))
            if some:
                yield batch_of(stream, SERVICE, some)
            if len(some) < size:
                waiting.remove((stream, records))


def journal(count: int = MILLION) -> Path:
    """A folder with the journals of a service."""

    def make(folder: Path) -> None:
        around = envelope(SERVICE)
        (folder / SERVICE).mkdir()
        for number, stream in enumerate(_ids()):
            for part, (day, records) in enumerate(_days(number, count), 1):
                name = f"{datetime.fromtimestamp(day * 86_400, timezone.utc):%Y-%m-%d}.{stream}.{part:04d}.jsonl"
                (folder / SERVICE / name).write_bytes(b"".join(around.head + record + around.tail for record in records))

    return _kept(f"journal-{count}", make)


def collected(count: int = MILLION) -> Path:
    """A collector's file in a folder of its own, requests of a hundred records, one a line."""

    def make(folder: Path) -> None:
        around = envelope(SERVICE)
        with (folder / "audit.jsonl").open("wb") as file:
            for batch in batches(count, _A_LINE):
                file.write(around.head + b",".join(batch.records) + around.tail)

    return _kept(f"collected-{count}", make)


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name in the place of temporary files, made if it is not there; whoever is first makes it for all."""
    place = Path(tempfile.gettempdir()) / f"authaudit-recorded-{os.getuid()}-{_VERSION}" / name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=place.parent))
        make(aside)
        try:
            aside.rename(place)
        except OSError:  # another was first
            shutil.rmtree(aside)
    return place


def _ids() -> list[str]:
    return [hashlib.sha256(b"stream %d" % number).hexdigest()[:16] for number in range(STREAMS)]


def _places(count: int) -> Iterator[tuple[int, int, int]]:
    """For every record: its place in its stream, the length of that, and whose it is."""
    for number in range(STREAMS):
        length = _length(number, count)
        for place in range(length):
            yield place, length, (place * STREAMS + number) * _SPREAD % ACCOUNTS


def _length(number: int, count: int) -> int:
    return count // STREAMS + (number < count % STREAMS)


def _event(place: int, length: int) -> str:
    """What the record at that place tells of."""
    if place == 0:
        return "audit.start"
    if place == length - 1:
        return "audit.stop"
    if place % _CHECKPOINT_EVERY == 0:
        return "audit.checkpoint"
    return "refused" if place % 13 == 0 else ("signed_in", "signed_out", "second_factor")[place % 3]


_OF_PEOPLE: Final = frozenset({"refused", "signed_in", "signed_out", "second_factor"})


def _time(place: int, number: int, count: int) -> int:
    """When the record at that place of the stream was made."""
    return MIDNIGHT - DAYS * _DAY + (place * STREAMS + number) * (DAYS * 86_400 * 1_000_000 // count * 1000)


def _days(number: int, count: int) -> Iterator[tuple[int, list[bytes]]]:
    """The records of a process by the day, which is counted from the epoch."""
    for day, items in groupby(enumerate(_stream(number, count)), lambda item: _time(item[0], number, count) // _DAY):
        yield day, [record for _, record in items]


def _stream(number: int, count: int) -> Iterator[bytes]:
    """The records of a process."""
    templates, people, stream = _templates(), _people(), _ids()[number].encode()
    length, previous = _length(number, count), GENESIS.encode()
    for place in range(length):
        index = place * STREAMS + number
        time = _time(place, number, count)
        facts = people[index * _SPREAD % ACCOUNTS]
        moment = b"%012x" % (time // 1_000_000)
        facts[b"id"] = b"%b-%b-7%03x-8%03x-%012x" % (moment[:8], moment[8:], place & 0xFFF, number, index)
        facts[b"number"], facts[b"previous"], facts[b"stream"], facts[b"time"] = (
            b"%d" % (place + 1),
            previous,
            stream,
            b"%d" % time,
        )
        facts[b"flow"] = previous[:32]
        record = templates[_event(place, length)] % facts
        yield record
        previous = hashlib.sha256(record).hexdigest().encode()


def _people() -> list[dict[bytes, bytes]]:
    """What is always the same of an account."""
    key = HASH_KEY.partition(":")[0].encode()

    def hashed(kind: str, number: int) -> bytes:
        return b"hashed:%b:%b" % (key, hashlib.sha256(f"{kind} {number}".encode()).hexdigest()[:32].encode())

    return [
        {
            b"subject": b"auth.user:%d" % number,
            b"identity": hashed("identity", number),
            b"session": hashed("session", number),
            b"tenant": b"tenant-%d" % (number % 50),
            b"address": b"10.%d.%d.%d" % (number >> 16, number >> 8 & 255, number & 255),
        }
        for number in range(ACCOUNTS)
    ]


def _templates() -> dict[str, bytes]:
    """Canonical records with a slot for what differs, made by the pipeline's own encoding."""
    recorder, person = Recorder(MIDNIGHT), PEOPLE[0]
    told = {
        "refused": replace(refused(person.identity, person.home), subject=person.subject),
        "signed_in": signed_in(person, person.home, session="many"),
        "signed_out": signed_out(person, person.home, session="many"),
        "second_factor": second_factor(person, person.home),
    }
    for event in ("audit.start", "audit.checkpoint", "audit.stop"):
        told[event] = AuditEvent(event=event, status=Status.SUCCESS, time=0, library="authaudit 1.0.0", strategy=Strategy.UNKNOWN)
    return {name: _template(recorder.record(Happening(0, event), 0)) for name, event in told.items()}


def _template(record: CanonicalRecord) -> bytes:
    own: dict[str, str | int] = {names.SEQUENCE_NUMBER: 0, names.PREVIOUS_HASH: "", names.STREAM_ID: ""}
    if record.event in {"audit.checkpoint", "audit.stop"}:
        own[names.CHECKPOINT_DROPPED] = "0"
    if record.event == "audit.stop":
        own[names.SEQUENCE_END] = ""
    found = {**record.attributes, **own}
    slots = {name: f"<{slot}>" for name, slot in _SLOTS.items() if name in found}
    text = encode(replace(record, attributes={**found, **slots, names.SEQUENCE_NUMBER: 0}, time=int(_TIME))).replace(b"%", b"%%")
    text = text.replace(b'"intValue":"0"', b'"intValue":"<number>"').replace(_TIME.encode(), b"<time>")
    return re.sub(rb"<(\w+)>", rb"%(\1)b", text)
