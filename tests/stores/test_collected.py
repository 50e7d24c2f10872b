"""The files of a collector as a source: renamed, torn, joined, pruned, and every record of ours all the same."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.journal.canonical import decode
from opentelemetry_instrumentation_authaudit.journal.streams import Batch
from opentelemetry_instrumentation_authaudit.journal.targets import GIVEN_UP_DAYS, Target
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable
from opentelemetry_instrumentation_authaudit.stores.collected import Collected, collected_in, waits_for_target
from tests.query.trail import canonical, envelope

from .exporter import OTHERS, FileExporter, ids, request


class Shipper:
    """A target that takes everything from the files in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.target = Target(folder, "pg")
        assert self.target.hold("pg://somewhere")
        self.unreadable = Unreadable()
        self.source = Collected(lambda: collected_in(folder), self.target, self.unreadable)

    def batches(self, limit: int = 100) -> Iterator[Batch]:
        """What waits, each acknowledged when the next is asked for."""
        self.source.adopt()
        while (batch := self.source.next(limit)) is not None:
            yield batch
            self.source.acknowledge(batch)

    def ids(self, limit: int = 100) -> list[str]:
        """The ids of everything that waits, now acknowledged."""
        return [id_of(record) for batch in self.batches(limit) for record in batch.records]


def id_of(record: bytes) -> str:
    """Of a canonical record."""
    return str(decode(record).attributes[names.RECORD_ID])


@pytest.fixture
def exporter(tmp_path: Path) -> FileExporter:
    """A collector's file."""
    return FileExporter(tmp_path)


def test_canonical_bytes_come_back(exporter: FileExporter, tmp_path: Path) -> None:
    """What the collector added to a record is left out, what stands around it is kept; others' records are passed over."""
    exporter.write(request(1, 2, more=[OTHERS]), request(3, service="blog"))
    first, second = Shipper(tmp_path).batches()
    assert first.records == (canonical(1), canonical(2))
    assert json.loads(first.resource) == json.loads(envelope().resource)
    assert json.loads(first.scope) == json.loads(envelope().scope)
    assert first.schema_url == names.SCHEMA_URL
    assert b'"blog"' in second.resource
    assert second.records == (canonical(3),)


def test_what_was_shipped_is_not_shipped_again(exporter: FileExporter, tmp_path: Path) -> None:
    """Also after the file was renamed, and by another process."""
    exporter.write(request(1, 2))
    shipper = Shipper(tmp_path)
    assert shipper.ids() == ids(1, 2)
    exporter.write(request(3))
    exporter.rotate()
    exporter.write(request(4))
    shipper.source.close()
    assert Shipper(tmp_path).ids() == ids(3, 4)


def test_renamed_while_it_is_read(exporter: FileExporter, tmp_path: Path) -> None:
    """Between two batches, twice: nothing is missing, nothing comes twice."""
    exporter.write(*(request(number) for number in range(1, 7)))
    shipper = Shipper(tmp_path)
    found: list[str] = []
    for number, batch in enumerate(shipper.batches(limit=1)):
        found += map(id_of, batch.records)
        if number in {1, 3}:
            exporter.rotate()
            exporter.write(request(7 + number))
    assert sorted(found + shipper.ids()) == ids(1, 2, 3, 4, 5, 6, 8, 10)


def test_a_crash_between_store_and_cursor_sends_again(exporter: FileExporter, tmp_path: Path) -> None:
    """Of what was read ahead together everything comes again until all of it is acknowledged: the store knows the ids."""
    exporter.write(request(1, 2, 3))
    shipper = Shipper(tmp_path)
    batches = shipper.batches(limit=2)
    assert len(next(batches).records) == 2
    assert len(next(batches).records) == 1  # the first two are acknowledged, and the process dies
    shipper.source.close()
    assert Shipper(tmp_path).ids() == ids(1, 2, 3)


def test_the_next_batch_begins_at_the_same_record(exporter: FileExporter, tmp_path: Path) -> None:
    """A receiver that refuses is asked with fewer; what is refused for good is set aside."""
    exporter.write(request(1, 2, 3))
    shipper = Shipper(tmp_path)
    shipper.source.adopt()
    sizes = [len(batch.records) for batch in map(shipper.source.next, (3, 2, 1)) if batch is not None]
    assert sizes == [3, 2, 1]
    batch = shipper.source.next(1)
    assert batch is not None
    shipper.source.bury(batch, "no")
    assert shipper.ids() == ids(2, 3)
    assert b'"why":"no"' in (shipper.target.place / "refused.dead.jsonl").read_bytes()


def test_torn_and_joined_lines(exporter: FileExporter, tmp_path: Path) -> None:
    """A disk was full: the torn document is counted, the good one behind it on the same line is shipped."""
    exporter.write(request(1)[:200], end=b"")
    exporter.write(request(2), request(3))
    exporter.write(b"\0" * 100, end=b"")  # the machine crashed
    exporter.write(request(4))
    shipper = Shipper(tmp_path)
    assert shipper.ids() == ids(2, 3, 4)
    assert shipper.unreadable.lines == 2
    assert shipper.source.depth() == 0


def test_an_unfinished_line_waits(exporter: FileExporter, tmp_path: Path) -> None:
    """The exporter is in the midst of writing: nothing is counted as torn, and it comes when it is whole."""
    exporter.write(request(1))
    exporter.write(request(2)[:300], end=b"")
    shipper = Shipper(tmp_path)
    assert shipper.ids() == ids(1)
    exporter.write(request(2)[300:])
    assert shipper.ids() == ids(2)
    assert not shipper.unreadable


def test_the_newline_stands_in_the_next_file(exporter: FileExporter, tmp_path: Path) -> None:
    """The rotation came between a document and its newline: both files are whole."""
    exporter.write(request(1), end=b"")
    shipper = Shipper(tmp_path)
    assert shipper.ids() == ids(1)
    exporter.rotate()
    exporter.write(b"", request(2))
    assert shipper.ids() == ids(2)
    assert not shipper.unreadable


def test_lines_of_other_signals(exporter: FileExporter, tmp_path: Path) -> None:
    """A file that several pipelines share."""
    exporter.write(b'{"resourceSpans":[]}', request(1), b"no JSON", request(2))
    assert Shipper(tmp_path).ids() == ids(1, 2)


def test_an_inode_used_anew_inherits_nothing(exporter: FileExporter, tmp_path: Path) -> None:
    """The file was deleted, and the next one got its inode: it is read from its beginning."""
    exporter.write(request(1))
    shipper = Shipper(tmp_path)
    assert shipper.ids() == ids(1)
    with exporter.path.open("r+b") as file:  # the same inode with other content: as an exporter without rotation begins anew
        file.truncate()
    exporter.write(request(2))
    assert shipper.ids() == ids(2)


def test_cursors_of_pruned_files_go(exporter: FileExporter, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever ships for years leaves no heap of them; what went too early is told."""
    exporter.write(request(1))
    shipper = Shipper(tmp_path)
    assert shipper.ids() == ids(1)
    exporter.rotate().unlink()
    exporter.write(request(2))
    assert shipper.ids() == ids(2)
    assert len(list(shipper.target.place.glob("*.cursor"))) == 1
    exporter.write(request(3, 4))
    shipper.source.adopt()
    exporter.path.unlink()
    assert shipper.ids() == []
    assert "2 records in it were not shipped" in caplog.text
    shipper.source.close()
    assert not list(Shipper(tmp_path).target.place.glob("*.cursor"))


def test_a_named_file_stands_for_its_rotated_ones(exporter: FileExporter, tmp_path: Path) -> None:
    """And for no other file of the folder."""
    exporter.write(request(1))
    aside = exporter.rotate()
    exporter.write(request(2))
    (tmp_path / "other.jsonl").write_bytes(request(3))
    assert collected_in(exporter.path) == [aside, exporter.path]
    assert len(collected_in(tmp_path)) == 3


def test_pruning_can_ask(exporter: FileExporter, tmp_path: Path) -> None:
    """Whether a file waits for a target: before it was shipped, not after; not for one that nobody serves."""
    now = time.time_ns()
    exporter.write(request(1))
    assert not waits_for_target(exporter.path, now)
    shipper = Shipper(tmp_path)
    assert waits_for_target(exporter.path, now)
    shipper.ids()
    assert not waits_for_target(exporter.path, now)
    exporter.write(request(2))
    assert waits_for_target(exporter.path, now)
    assert not waits_for_target(exporter.path, now + (GIVEN_UP_DAYS + 1) * 86_400 * 10**9)


def test_what_cannot_be_read_costs_itself(exporter: FileExporter, tmp_path: Path) -> None:
    """A folder of that name is told, a link to nowhere is nothing; the files are shipped."""
    exporter.write(request(1))
    (tmp_path / "audit-x.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "audit-y.jsonl").mkdir()
    shipper = Shipper(tmp_path)
    assert shipper.ids() == ids(1)
    assert list(shipper.unreadable.files) == [str(tmp_path / "audit-y.jsonl")]
