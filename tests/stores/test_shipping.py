"""Several sources through one connection; what is remembered of a target, and under which name."""

from __future__ import annotations

from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.journal.streams import Batch
from opentelemetry_instrumentation_authaudit.journal.targets import JournalsForTarget, Target
from opentelemetry_instrumentation_authaudit.pipeline.answers import Answer, Verdict
from opentelemetry_instrumentation_authaudit.pipeline.delivery import Delivery
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.files import FileStore
from opentelemetry_instrumentation_authaudit.stores.repair import Repair
from opentelemetry_instrumentation_authaudit.stores.shipping import Outspoken, Several, described, target_name
from tests.journal.helpers import OTHER, OWN, fill

from .recorded import honest_day


def journals(folder: Path, name: str, count: int, stream: str) -> JournalsForTarget:
    """The source of a service with so many records."""
    fill(folder / name, count, stream).close(done=True)
    target = Target(folder / name, "t")
    assert target.hold("t")
    return JournalsForTarget(folder / name, target)


def test_sources_take_turns(tmp_path: Path) -> None:
    """A service with much to tell keeps nobody waiting; one that comes later is taken in."""
    found = [journals(tmp_path, "shop", 3, OWN)]
    several = Several(lambda: [found.pop()] if found else [])
    several.adopt()
    found.append(journals(tmp_path, "blog", 1, OTHER))
    several.adopt()
    assert several.depth() == 4
    order = []
    while (batch := several.next(1)) is not None:
        assert several.next(1) == batch  # until it is acknowledged
        order.append(batch.stream)
        several.acknowledge(batch)
    assert order == [OWN, OTHER, OWN, OWN]
    several.close()
    assert Target(tmp_path / "shop", "t").forget()


class Wordy:
    """A sender whose store says what is wrong."""

    def send(self, batch: Batch | None, timeout: float | None = None) -> Answer:
        """Refuse."""
        raise StoreError("the table is missing: authaudit store init")

    def close(self) -> None:
        """Nothing to let go of."""


def test_a_stores_own_words_reach_the_operator() -> None:
    """What it says is the answer, and one that only a person can mend."""
    assert Outspoken(Wordy()).send(None) == Answer(Verdict.MISCONFIGURED, "the table is missing: authaudit store init")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("postgresql://writer:pa55@DB:5432/audit?sslmode=require", "postgres://other@db:5432/audit", True),
        ("postgresql://db/audit?password_file=/a", "postgresql://db/audit?connect_timeout=3", True),
        ("postgresql://db/audit", "postgresql://db/other", False),
        ("postgresql://db/audit", "postgresql://db/audit?table=other", False),
        ("postgresql://a:1,b:2/audit", "postgresql://a:1,c:2/audit", False),
        ("victorialogs://host:9428?account=1", "victorialogs://host:9428?account=2", False),
        ("victorialogs://host:9428", "victorialogs+https://host:9428", True),
        ("/var/backup", "file:/var/backup", True),
        ("/var/backup", "/var/other", False),
    ],
)
def test_what_makes_another_target(one: str, other: str, *, same: bool) -> None:
    """The place, not who signs in there; and no password is in a name."""
    assert (target_name(one) == target_name(other)) is same
    assert "pa55" not in target_name(one) + described(one)
    assert "/" not in target_name(one)


def test_a_repair_ends_where_the_sources_end(tmp_path: Path) -> None:
    """More was missing than the sources still have: it does not wait for what will never come."""
    place = tmp_path / "source"
    place.mkdir()
    path = honest_day().collected(place)
    (tmp_path / "store").mkdir()
    store = FileStore([tmp_path / "store"], [], Unreadable())
    records = FileStore([path], [path], Unreadable()).records(Filters())
    repair = Repair(records, len(honest_day()) + 5, Unreadable())
    delivery = Delivery(repair, store.sender())
    assert delivery.flush(30)
    delivery.shutdown()
    assert repair.depth() == 0
    assert sum(1 for _ in store.copies(Filters())) == len(honest_day())
    assert Repair(iter(()), 0, Unreadable()).next(1) is None
